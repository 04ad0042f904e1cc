//! What can be typed. The doc comments of the fields are the help that operators read.
//!
//! May not touch: what the commands do. Invariant: a flag that has no effect in this version is
//! not accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use crate::cli::bench::BenchArguments;
use crate::cli::server::Token;
use crate::cli::url::{DEFAULT_URL, Url};
use crate::config::{Flags, parse_duration};
use crate::domain::access::{Grant, UserId};
use crate::domain::command::Since;
use crate::domain::durable::DurableName;
use crate::domain::project::ProjectId;
use crate::domain::room::RoomName;

const EXAMPLES: &str = "\
Try it, in three terminals:
  kinglet
  kinglet subscribe global
  kinglet publish global hello '{\"from\":\"me\"}'";

/// A realtime server that fits on a small machine.
///
/// Apps and services meet in rooms over WebSocket; a backend pushes with one HTTP POST; whoever was
/// away gets what they missed. Without a command, `kinglet` serves.
#[derive(Debug, Parser)]
#[command(name = "kinglet", version, args_conflicts_with_subcommands = true)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: ServeArguments,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server (what `kinglet` alone does, too)
    Serve(ServeArguments),
    /// Check the configuration that `serve` would use, and say every fault in it
    CheckConfig(ServeArguments),
    /// Check that a server would do well here, and say what to do where it would not
    ///
    /// Takes the flags of `serve` and looks at what these lead to: the configuration, its
    /// directories, addresses, limits, agents and certificates. Nothing is left behind, and a server
    /// that runs is not disturbed. The exit code is 1 if a check failed; warnings are none.
    Doctor(DoctorArguments),
    /// Write a configuration with auth and a secret, and print a first token
    Init(InitArguments),
    /// Print a token for a user, signed with the configuration's first secret
    Token(TokenArguments),
    /// Publish one event to a room
    Publish(PublishArguments),
    /// Print the events of rooms, one JSON object a line, until interrupted
    ///
    /// The first connection must succeed. After that a lost one is made again, after delays that
    /// grow up to half a minute, and what was missed meanwhile is printed first. It ends when the
    /// server says not to come back: a close code from 4500 to 4999, 1002, 1003 or 1007 to 1010, or
    /// a refusal such as 401, 403 and 404.
    Subscribe(SubscribeArguments),
    /// Print everything a room keeps, one JSON object a line
    Export(ExportArguments),
    /// Publish lines of JSON, as export and subscribe print them
    ///
    /// One after the other, up to the first that is refused. Each has an idempotency key of its own,
    /// so an import that was interrupted can be run again within five minutes: what is published
    /// already is not published twice. Offsets and timestamps are made anew.
    Import(ImportArguments),
    /// Start a run in a project, print what it says, and end with its exit code
    ///
    /// Leaving never ends a run: an interrupt says so, a second one cancels it, a third one leaves.
    /// The exit code is the run's own; 124 if it took too long, 130 if it was cancelled, above 128
    /// if a signal ended it.
    Run(RunArguments),
    /// List what runs and what ran, newest first
    Runs(RunsArguments),
    /// Ask a server whether it is well; 0 if it is
    Health(ServerArgument),
    /// Measure a WebSocket server: this one, or any other
    Bench(BenchArguments),
    /// Print the version
    Version,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ServeArguments {
    /// The configuration; without it ./kinglet.toml is read if there is one
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
    /// Where to listen, such as 127.0.0.1:9000 (repeatable) [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The directory of the server's own files [default: ./kinglet-data]
    #[arg(long, value_name = "PATH")]
    data_dir: Option<String>,
    /// Speak https and wss, with a certificate made here that nobody vouches for
    #[arg(long)]
    tls_self_signed: bool,
    /// The least important lines to log: error, warn, info, debug, trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Listen where other machines can connect, though nobody is asked who they are
    #[arg(long)]
    insecure: bool,
    /// With --insecure: let other machines run agents, and administer connections and users, too
    #[arg(long, requires = "insecure")]
    insecure_runs: bool,
}

impl ServeArguments {
    /// What serving with this configuration and without other flags takes.
    pub(super) const fn of_config(config: Option<PathBuf>) -> Self {
        Self {
            config,
            listen: Vec::new(),
            data_dir: None,
            tls_self_signed: false,
            log_level: None,
            insecure: false,
            insecure_runs: false,
        }
    }

    /// The same on other addresses.
    pub(super) fn listening_on(mut self, addresses: &[SocketAddr]) -> Self {
        self.listen = addresses.iter().map(ToString::to_string).collect();
        self
    }

    /// What of it overrides the configuration.
    pub(super) fn flags(self) -> Flags {
        Flags {
            listen: self.listen,
            data_dir: self.data_dir,
            tls_self_signed: self.tls_self_signed,
            log_level: self.log_level,
            insecure: self.insecure,
            insecure_runs: self.insecure_runs,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    pub(super) serve: ServeArguments,
    /// Print one JSON object a line: check, verdict, message
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// Where to write it; the secret goes beside it
    #[arg(long, value_name = "PATH", default_value = "kinglet.toml")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    /// The user's id, the token's sub
    #[arg(long, value_name = "ID", value_parser = UserId::parse)]
    pub(super) user: UserId,
    /// Its role, such as admin, user, agent or readonly [default: user]
    #[arg(long, value_name = "ROLE")]
    pub(super) role: Option<String>,
    /// What it may do besides (repeatable), such as 'chat:*=subscribe,publish'
    #[arg(long = "room", value_name = "PATTERN=ACTION,ACTION", value_parser = RoomArgument::parse)]
    pub(super) rooms: Vec<RoomArgument>,
    /// What is told of it to those who may know who is present, such as '{"name":"Ada"}'
    #[arg(long, value_name = "JSON", value_parser = parse_info)]
    pub(super) info: Option<Value>,
    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_lifetime)]
    pub(super) expires: Duration,
    /// Sign with the private key in this PEM file, if the configuration has public keys
    #[arg(long, value_name = "FILE")]
    pub(super) private_key: Option<PathBuf>,
    /// The configuration; without it ./kinglet.toml is read if there is one
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

/// A pattern of rooms and the actions allowed in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoomArgument(pub(super) String, pub(super) Vec<String>);

impl RoomArgument {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write PATTERN=ACTION,ACTION, such as 'chat:*=subscribe,publish'".to_owned();
        let (pattern, allow) = text.rsplit_once('=').ok_or_else(wrong)?;
        let allow: Vec<&str> = allow.split(',').collect();
        Grant::parse(pattern, allow.iter().copied()).map_err(|fault| fault.to_string())?;
        let allow = allow.into_iter().map(str::to_owned).collect();
        Ok(Self(pattern.to_owned(), allow))
    }
}

fn parse_info(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|fault| fault.to_string())
}

/// Reads a duration above 0.
fn parse_lifetime(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a token needs time to be used; write a duration above 0".to_owned()),
        time => Ok(time),
    }
}

#[derive(Debug, Args)]
pub(super) struct ServerArgument {
    /// The server, http://HOST:PORT or https://HOST:PORT (ws and wss mean the same)
    #[arg(long, value_name = "URL", env = "KINGLET_URL")]
    #[arg(default_value = DEFAULT_URL, value_parser = Url::parse)]
    pub(super) url: Url,
    /// The token that shows who is asking; others can read arguments, so prefer the variable
    #[arg(
        long,
        value_name = "TOKEN",
        env = "KINGLET_TOKEN",
        hide_env_values = true
    )]
    pub(super) token: Option<Token>,
    /// Certificates to trust, as PEM, in place of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PublishArguments {
    /// The room, such as global or chat:42
    #[arg(value_parser = RoomName::parse)]
    pub(super) room: RoomName,
    /// The event's name
    pub(super) event: String,
    /// What happened, as JSON; - reads it from standard input [default: null]
    #[arg(allow_negative_numbers = true)]
    pub(super) data: Option<String>,
    /// Makes repeating safe: for five minutes, the same key publishes once
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Who publishes, told to all who read it
    #[arg(long)]
    pub(super) source: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerArgument,
}

#[derive(Debug, Args)]
pub(super) struct SubscribeArguments {
    /// The rooms
    #[arg(required = true, value_name = "ROOM", value_parser = RoomName::parse)]
    pub(super) rooms: Vec<RoomName>,
    /// First print what came after this position: OFFSET, or EPOCH:OFFSET (for one room); 0 is
    /// everything that is kept
    #[arg(long, value_name = "POSITION", value_parser = parse_since)]
    pub(super) since: Option<Since>,
    /// Go on from what was printed under this name before; the server keeps it, in durable rooms
    #[arg(long, value_name = "NAME", value_parser = DurableName::parse)]
    pub(super) durable: Option<DurableName>,
    #[command(flatten)]
    pub(super) server: ServerArgument,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The room
    #[arg(value_parser = RoomName::parse)]
    pub(super) room: RoomName,
    /// Only what came after this position: OFFSET, or EPOCH:OFFSET
    #[arg(long, value_name = "POSITION", value_parser = parse_since)]
    pub(super) since: Option<Since>,
    #[command(flatten)]
    pub(super) server: ServerArgument,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The room that all go to [default: each to the one that its line names]
    #[arg(value_parser = RoomName::parse)]
    pub(super) room: Option<RoomName>,
    /// Where the lines are [default: standard input]
    #[arg(long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) server: ServerArgument,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The project: its id, or its directory, which becomes a project if it is none yet
    pub(super) project: String,
    /// Which of the server's agents
    #[arg(long, default_value = "claude")]
    pub(super) agent: String,
    /// A value for one of the agent's parameters (repeatable)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    pub(super) params: Vec<(String, String)>,
    /// Options for the agent, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub(super) options: Option<String>,
    /// Print events as they are, one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Print the run's id and leave it alone
    #[arg(long, conflicts_with = "json")]
    pub(super) detach: bool,
    #[command(flatten)]
    pub(super) server: ServerArgument,
    /// What to ask of the agent, after --; - reads it from standard input
    #[arg(last = true)]
    pub(super) prompt: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct RunsArguments {
    /// The id of a project [default: all of them]
    #[arg(value_parser = parse_project)]
    pub(super) project: Option<ProjectId>,
    /// At most so many of each project
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub(super) limit: u16,
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) server: ServerArgument,
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn parse_project(text: &str) -> Result<ProjectId, String> {
    let wrong = "a project's id has 36 characters, such as 0f8fad5b-d9cb-469f-a165-70867728950e";
    ProjectId::parse(text).ok_or_else(|| wrong.to_owned())
}

/// Reads `OFFSET` or `EPOCH:OFFSET`.
fn parse_since(text: &str) -> Result<Since, String> {
    let wrong = "write OFFSET or EPOCH:OFFSET, such as 17 or 0dKx3vTq81Zb:17";
    Since::parse(text).ok_or_else(|| wrong.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::domain::position::{Epoch, OFFSET_MAX};

    #[test]
    fn the_definitions_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serves_without_a_command() {
        let bare = Arguments::try_parse_from(["kinglet", "--listen", "127.0.0.1:0"]).unwrap();
        assert!(bare.command.is_none());
        assert_eq!(bare.serve.flags().listen, ["127.0.0.1:0"]);
        let mixed = ["kinglet", "--insecure", "version"];
        assert!(Arguments::try_parse_from(mixed).is_err());
    }

    #[test]
    fn reads_positions() {
        let check = |text: &str, expected: Option<(Option<&str>, u64)>| {
            let found = parse_since(text).ok();
            let expected = expected.map(|(epoch, offset)| Since {
                epoch: epoch.and_then(Epoch::parse),
                offset,
            });
            assert_eq!(found, expected, "{text}");
        };
        check("0", Some((None, 0)));
        check("17", Some((None, 17)));
        check("a-_9:17", Some((Some("a-_9"), 17)));
        check("9007199254740991", Some((None, OFFSET_MAX)));
        for wrong in [
            "",
            ":",
            ":1",
            "a:",
            "a",
            "a:b:1",
            "+1",
            "-1",
            "a:+1",
            " 1",
            "é:1",
            "9007199254740992",
            "99999999999999999999",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn reads_grants() {
        let check = |text: &str, expected: Option<(&str, &[&str])>| {
            let found = RoomArgument::parse(text).ok();
            let expected = expected.map(|(pattern, allow)| {
                let allow = allow.iter().map(|word| (*word).to_owned()).collect();
                RoomArgument(pattern.to_owned(), allow)
            });
            assert_eq!(found, expected, "{text}");
        };
        check("chat:*=publish", Some(("chat:*", &["publish"])));
        check("a=b=run,history", Some(("a=b", &["run", "history"])));
        for wrong in [
            "",
            "a",
            "=publish",
            "a=",
            "a=all",
            "a=publish,",
            "a*b=publish",
            "a =run",
        ] {
            check(wrong, None);
        }
        assert_eq!(parse_lifetime("90s"), Ok(Duration::from_secs(90)));
        assert!(parse_lifetime("0").is_err() && parse_lifetime("1").is_err());
    }

    #[test]
    fn takes_negative_numbers_and_the_dash_for_data() {
        let data = |data: &str| {
            let parsed = Arguments::try_parse_from(["kinglet", "publish", "r", "e", data]).unwrap();
            match parsed.command {
                Some(Command::Publish(asked)) => asked.data,
                _ => None,
            }
        };
        assert_eq!(data("-").as_deref(), Some("-"));
        assert_eq!(data("-5.5").as_deref(), Some("-5.5"));
    }
}
