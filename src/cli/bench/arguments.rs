//! What can be typed after `kinglet bench`. The doc comments of the fields are the help.
//!
//! May not touch: what the scenarios do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, value_parser};

use crate::cli::bench::dialect::{Dialect, SOCKETIO_PATH};
use crate::cli::bench::stamp::STAMP_BYTES;
use crate::cli::bench::target::Target;
use crate::cli::server::Token;
use crate::cli::url::DEFAULT_URL;
use crate::domain::room::RoomName;

/// Bounds that keep a slip of the finger from taking the machine.
const CONNECTIONS_MAX: u64 = 1_000_000;
const SIZE_MAX: u64 = 16 * 1024 * 1024;
const IN_FLIGHT_MAX: u64 = 10_000;
const RATE_MAX: u64 = 100_000;
const MISSED_MAX: u64 = 1_000_000;
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The loopback addresses 127.0.0.1 to this one may be used at once.
const SOURCES_MAX: i64 = 250;

const EXAMPLES: &str = "\
Any WebSocket server can be measured; give its process for CPU and memory:
  kinglet bench connect --url ws://127.0.0.1:9000/ws --pid 4711
  kinglet bench idle    --url ws://127.0.0.1:9000/ws --pid 4711 --connections 10000
  kinglet bench echo    --url ws://127.0.0.1:9000/echo --pid 4711
  kinglet bench fanout  --url ws://127.0.0.1:9000/hub --pid 4711 --plain
  kinglet bench fanout  --url ws://127.0.0.1:9000/sub --pid 4711 --post /pub
  kinglet bench echo    --url ws://127.0.0.1:9000 --pid 4711 --socketio
On a shared machine give server and generator a core each: `taskset -c 0 …`, `taskset -c 1 …`.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct BenchArguments {
    #[command(subcommand)]
    pub(super) asked: Asked,
}

#[derive(Debug, Subcommand)]
pub(super) enum Asked {
    #[command(flatten)]
    Measure(Box<Scenario>),
    /// Print lines that say when they were printed: the command of an agent for `bench run`
    #[command(hide = true)]
    Lines(LinesArguments),
}

#[derive(Debug, Subcommand)]
pub(super) enum Scenario {
    /// Connect, upgrade and close, again and again, as fast as it goes
    Connect(ConnectArguments),
    /// Open connections and let them rest: memory for each
    Idle(IdleArguments),
    /// Send messages that come back, and compare them
    Echo(EchoArguments),
    /// Publish to many: latency, losses and order of what arrives
    Fanout(FanoutArguments),
    /// Publish into rooms of kinglet's, as fast as it acknowledges
    Publish(PublishArguments),
    /// Get what was missed from kinglet, by subscribing or as pages of the history
    Recover(RecoverArguments),
    /// Lose kinglet while it is restarted, come back, and get what was missed
    Storm(StormArguments),
    /// Start runs of an agent of kinglet's, one after the other, and watch them to their ends
    Run(RunArguments),
}

impl Scenario {
    /// Whether it is for kinglet alone.
    pub(super) fn is_kinglets(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Idle(_) | Self::Echo(_) | Self::Fanout(_) => false,
            Self::Publish(_) | Self::Recover(_) | Self::Storm(_) | Self::Run(_) => true,
        }
    }

    /// What all of them take.
    pub(super) fn common_mut(&mut self) -> &mut CommonArguments {
        match self {
            Self::Connect(asked) => &mut asked.common,
            Self::Idle(asked) => &mut asked.common,
            Self::Echo(asked) => &mut asked.common,
            Self::Fanout(asked) => &mut asked.common,
            Self::Publish(asked) => &mut asked.common,
            Self::Recover(asked) => &mut asked.common,
            Self::Storm(asked) => &mut asked.common,
            Self::Run(asked) => &mut asked.common,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CommonArguments {
    /// The server, ws://HOST:PORT/PATH; without a path, kinglet's own for the scenario
    #[arg(long, value_name = "URL", env = "KINGLET_URL")]
    #[arg(default_value = DEFAULT_URL, value_parser = Target::parse)]
    pub(super) url: Target,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub(super) duration: Duration,
    /// How long the server runs warm before that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    pub(super) warmup: Duration,
    /// The server's process on this machine: its CPU and memory are reported, too
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// The token that shows who is asking; others can read arguments, so prefer the variable
    #[arg(
        long,
        value_name = "TOKEN",
        env = "KINGLET_TOKEN",
        hide_env_values = true
    )]
    pub(super) token: Option<Token>,
    /// One more header for each request, such as 'Cookie: a=b' (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    pub(super) headers: Vec<(String, String)>,
    /// Connect from 127.0.0.1, 127.0.0.2 and on, this many addresses: one has about 28,000 ports
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = value_parser!(u8).range(1..=SOURCES_MAX))]
    pub(super) sources: u8,
    /// Speak Socket.IO 5 over its WebSocket transport; messages are its event `bench`
    #[arg(long)]
    pub(super) socketio: bool,
    /// With wss: certificates to trust, as PEM, in place of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// With wss: resume TLS sessions, as clients do that come back; otherwise each is a new one
    #[arg(long)]
    pub(super) resume: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

impl CommonArguments {
    /// How messages are wrapped.
    pub(super) fn dialect(&self) -> Dialect {
        if self.socketio {
            Dialect::SocketIo
        } else {
            Dialect::Plain
        }
    }

    /// The path of the URL; without one that of the dialect, for kinglet's own `ours`.
    pub(super) fn path_or(&self, ours: &str) -> String {
        match self.dialect() {
            Dialect::Plain => self.url.path_or(ours),
            Dialect::SocketIo => self.url.path_or(SOCKETIO_PATH),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ConnectArguments {
    /// Connections on their way at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = parse_connections)]
    pub(super) connections: usize,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct IdleArguments {
    /// Connections
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_connections)]
    pub(super) connections: usize,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct EchoArguments {
    /// Connections
    #[arg(long, value_name = "N", default_value = "100", value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = parse_size)]
    pub(super) size: usize,
    /// Messages on their way on each connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_in_flight)]
    pub(super) in_flight: usize,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct FanoutArguments {
    /// Subscribers
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Publications a second
    #[arg(long, value_name = "N", default_value = "50")]
    #[arg(value_parser = value_parser!(u32).range(1..=RATE_MAX as i64))]
    pub(super) rate: u32,
    /// Publish whenever fewer than N publications are on their way, instead of at a rate
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = parse_in_flight)]
    pub(super) in_flight: Option<usize>,
    /// Bytes of data in each publication
    #[arg(long, value_name = "BYTES", default_value = "128", value_parser = parse_stamped_size)]
    pub(super) size: usize,
    /// The room; subscribers join it by the address, publications go to kinglet's HTTP API
    #[arg(long, default_value = "bench", conflicts_with = "plain", value_parser = RoomName::parse)]
    pub(super) room: RoomName,
    /// Publish by commands on a WebSocket; limits.messages_per_second holds for them
    #[arg(long, conflicts_with_all = ["plain", "post", "socketio"])]
    pub(super) socket: bool,
    /// With --socketio: publish by kinglet's HTTP API into `global`, which all its clients are in
    #[arg(long, requires = "socketio", conflicts_with_all = ["plain", "room"])]
    pub(super) global: bool,
    /// Any hub that sends on what one connection sends: no rooms, no HTTP API
    #[arg(long)]
    pub(super) plain: bool,
    /// Any hub that sends on what is posted to this path, each publication as the whole body
    #[arg(long, value_name = "PATH", conflicts_with_all = ["plain", "room", "socketio"])]
    #[arg(value_parser = parse_path)]
    pub(super) post: Option<String>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct PublishArguments {
    /// Connections that publish
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Publications on their way on each connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_in_flight)]
    pub(super) in_flight: usize,
    /// Bytes of data in each publication
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = parse_size)]
    pub(super) size: usize,
    /// The room
    #[arg(long, default_value = "bench", value_parser = RoomName::parse)]
    pub(super) room: RoomName,
    /// Publish into ROOM:1, ROOM:2 and on in turns
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_connections)]
    pub(super) rooms: usize,
    /// Publish by commands on WebSockets; limits.messages_per_second holds for them
    #[arg(long)]
    pub(super) socket: bool,
    /// End when so many are published, those of the warm-up among them
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(super) publications: Option<u64>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct RecoverArguments {
    /// Connections, each with one request on its way
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Publications that were missed; they are published first
    #[arg(long, value_name = "N", default_value = "300")]
    #[arg(value_parser = value_parser!(u64).range(1..=MISSED_MAX))]
    pub(super) missed: u64,
    /// Bytes of data in each publication
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = parse_size)]
    pub(super) size: usize,
    /// The room; it must keep what was missed
    #[arg(long, default_value = "bench", value_parser = RoomName::parse)]
    pub(super) room: RoomName,
    /// Get the first page of what was missed over HTTP, in place of subscribing
    #[arg(long)]
    pub(super) pages: bool,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct StormArguments {
    /// Subscribers
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Publications a second, whenever the server is there
    #[arg(long, value_name = "N", default_value = "2")]
    #[arg(value_parser = value_parser!(u32).range(1..=RATE_MAX as i64))]
    pub(super) rate: u32,
    /// Bytes of data in each publication
    #[arg(long, value_name = "BYTES", default_value = "128", value_parser = parse_size)]
    pub(super) size: usize,
    /// The room; it must be durable to lose nothing
    #[arg(long, default_value = "bench", value_parser = RoomName::parse)]
    pub(super) room: RoomName,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Viewers of the project
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Which of the server's agents; one whose command is `kinglet bench lines` says
    /// when it printed what
    #[arg(long, value_name = "AGENT")]
    pub(super) agent: String,
    /// The project: its id, or its directory, which becomes a project if it is none yet
    #[arg(long, value_name = "PROJECT", default_value = ".")]
    pub(super) project: String,
    /// The agent's command, to be timed for comparison with nobody but a pipe to print into
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct LinesArguments {
    /// How many
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(super) count: u64,
    /// So many a second, each by itself; without it as fast as they are taken, many at once
    #[arg(long, value_name = "N")]
    #[arg(value_parser = value_parser!(u32).range(1..=RATE_MAX as i64))]
    pub(super) rate: Option<u32>,
    /// Bytes of each, without the line feed
    #[arg(long, value_name = "BYTES", default_value = "60", value_parser = parse_size)]
    pub(super) size: usize,
}

fn parse_number(text: &str, min: u64, max: u64) -> Result<usize, String> {
    let number: Option<u64> = text.parse().ok();
    number
        .filter(|number| (min..=max).contains(number))
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| format!("write a whole number from {min} to {max}"))
}

fn parse_connections(text: &str) -> Result<usize, String> {
    parse_number(text, 1, CONNECTIONS_MAX)
}

fn parse_in_flight(text: &str) -> Result<usize, String> {
    parse_number(text, 1, IN_FLIGHT_MAX)
}

fn parse_size(text: &str) -> Result<usize, String> {
    parse_number(text, 1, SIZE_MAX)
}

/// What is published tells when and which it was, and needs the room for it.
fn parse_stamped_size(text: &str) -> Result<usize, String> {
    parse_number(text, STAMP_BYTES as u64, SIZE_MAX)
}

/// Reads what may stand in a request line.
fn parse_path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_path
        .then(|| text.to_owned())
        .ok_or_else(|| "write a path such as /pub?room=a, percent-encoded".to_owned())
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text);
    time.ok()
        .filter(|time| *time <= DURATION_MAX)
        .ok_or_else(|| "write a time of at most a day, such as 500ms, 10s or 2m".to_owned())
}

/// Reads `Name: value`.
fn parse_header(text: &str) -> Result<(String, String), String> {
    let is_name = |name: &str| {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !name.is_empty() && name.bytes().all(is_token)
    };
    text.split_once(':')
        .map(|(name, value)| (name, value.trim()))
        .filter(|(name, value)| is_name(name) && !value.contains(|c: char| c.is_control()))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write 'Name: value'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_headers() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = parse_header(text).ok();
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(found, expected, "{text:?}");
        };
        check("Origin: http://a:1", Some(("Origin", "http://a:1")));
        check("X-Empty:", Some(("X-Empty", "")));
        for wrong in ["", ":", ": a", "a", "a b: c", "a: b\r\nc: d", "é: b"] {
            check(wrong, None);
        }
    }

    #[test]
    fn reads_times_and_numbers() {
        let check = |text: &str, expected: Option<u64>| {
            let millis = expected.map(Duration::from_millis);
            assert_eq!(parse_time(text).ok(), millis, "{text:?}");
        };
        check("500ms", Some(500));
        check("2m", Some(120_000));
        for wrong in ["", "10", "-1s", "25h", "1 fortnight"] {
            check(wrong, None);
        }
        assert_eq!(parse_connections("1000000"), Ok(1_000_000));
        for wrong in ["0", "1000001", "-1", "1e3", ""] {
            assert!(parse_connections(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse_stamped_size("10").is_err());
    }
}
