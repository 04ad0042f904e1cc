//! The command line: what the operator typed, carried out, and said back in lines.
//!
//! ```text
//! arguments ─┬─ serve, check-config, doctor ── configuration ── runtime::server
//!            ├─ init, token ────────── configuration
//!            ├─ publish, subscribe, export, import, run, runs, health
//!            │        └─ http_client, socket_client ── transport ── tls
//!            └─ bench ── a load generator with connections of its own
//! ```
//!
//! May not touch: what a server does once it runs. Invariants: a failure is one line on standard
//! error (each fault of a configuration is one); results go to standard output, and nobody reading
//! them is no failure; the exit code is made in one place.

mod acknowledging;
mod arguments;
mod bench;
mod comeback;
mod configuration;
mod doctor;
mod export;
mod following;
mod health;
mod http_client;
mod import;
mod init;
mod output;
mod publish;
mod recovery;
mod run;
mod runs;
mod serve;
mod server;
mod socket_client;
mod subscribe;
mod tls;
mod token;
mod transport;
mod url;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::arguments::{Arguments, Command};
use crate::runtime::keeper;

/// How a command ended; its code is what scripts and service managers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done, or drained.
    Done,
    /// Failed at start or while running.
    Failed,
    /// Asked for something that is none of ours: usage or configuration.
    Misused,
    /// Drained incompletely.
    Cut,
    /// A run that was followed ended with this code.
    Run(u8),
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Misused => 2,
            Self::Cut => 3,
            Self::Run(code) => code,
        }
    }
}

/// Why a command did not end well.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The caller's fault; one fault a line.
    Misuse(String),
    /// It did not work out; one line.
    Failed(String),
    /// Nobody reads standard output any more, so there is nothing left to do.
    OutputClosed,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    // First of all: it forks, and so may have no thread, and its errors go to nobody's terminal.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == keeper::SUBCOMMAND)
    {
        return keep().code().into();
    }
    let exit = match Arguments::try_parse() {
        Ok(arguments) => carry_out(arguments),
        Err(error) => show_usage(&error),
    };
    exit.code().into()
}

/// The hidden subcommand, with which kinglet starts itself for each run.
fn keep() -> Exit {
    match keeper::main() {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::error(&error.to_string());
            Exit::Failed
        }
    }
}

fn carry_out(arguments: Arguments) -> Exit {
    let command = arguments.command.unwrap_or(Command::Serve(arguments.serve));
    let ended = match command {
        Command::Serve(asked) => serve::run(asked),
        Command::CheckConfig(asked) => configuration::check(asked),
        Command::Doctor(asked) => doctor::run(asked),
        Command::Health(asked) => health::run(asked),
        Command::Init(asked) => init::run(&asked),
        Command::Token(asked) => token::run(asked),
        Command::Publish(asked) => publish::run(asked),
        Command::Subscribe(asked) => subscribe::run(asked),
        Command::Export(asked) => export::run(asked),
        Command::Import(asked) => import::run(asked),
        Command::Run(asked) => run::run(asked),
        Command::Runs(asked) => runs::run(asked),
        Command::Bench(asked) => bench::run(asked),
        Command::Version => {
            output::line(concat!("kinglet ", env!("CARGO_PKG_VERSION"))).map(|()| Exit::Done)
        }
    };
    match ended {
        Ok(exit) => exit,
        Err(Failure::OutputClosed) => Exit::Done,
        Err(Failure::Misuse(faults)) => {
            faults.lines().for_each(output::error);
            Exit::Misused
        }
        Err(Failure::Failed(reason)) => {
            output::error(&reason);
            Exit::Failed
        }
    }
}

/// Help goes to standard output as clap lays it out; a fault becomes one line.
fn show_usage(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // Whoever asked for help and went away needs none.
        let _ = error.print();
        return Exit::Done;
    }
    output::error(&usage_line(&error.render().to_string()));
    Exit::Misused
}

/// clap's paragraphs, joined.
fn usage_line(rendered: &str) -> String {
    let paragraphs: Vec<String> = rendered
        .split("\n\n")
        .map(|paragraph| {
            let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
            lines.join(" ").trim().to_owned()
        })
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    let line = paragraphs.join("; ");
    match line.strip_prefix("error: ") {
        Some(rest) => rest.to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::usage_line;

    #[test]
    fn a_usage_fault_is_one_line() {
        let check = |rendered: &str, expected: &str| assert_eq!(usage_line(rendered), expected);
        check(
            "error: unexpected argument '--lisen' found\n\n  tip: a similar argument exists: \
             '--listen'\n\nUsage: kinglet --listen <ADDRESS>\n\nFor more, try '--help'.\n",
            "unexpected argument '--lisen' found; tip: a similar argument exists: '--listen'; \
             Usage: kinglet --listen <ADDRESS>; For more, try '--help'.",
        );
        check(
            "error: missing:\n  <ROOM>\n  <EVENT>\n",
            "missing: <ROOM> <EVENT>",
        );
        check("", "");
    }
}
