//! A program that takes the place of the Claude CLI in tests: it speaks as the CLI does, or
//! misbehaves as a child can.
//!
//! Its flags are the CLI's; an unknown one ends it with 1, as there. What it does is a scenario,
//! chosen by `CLAUDE_MOCK_SCENARIO` or by a word `scenario:NAME` or `scenario:NAME:NUMBER` of the
//! prompt (`speech.rs`, `trouble.rs`); with `CLAUDE_MOCK_LOG_FILE` it replays a file instead.
//! `CLAUDE_MOCK_DELAY_MS` (0) is the pause before each line, `CLAUDE_MOCK_SPEED` (1) divides it.
//!
//! Uses nothing but the standard library; what that cannot do (ignore a signal, start a session) is
//! done by `sh` and `setsid` or `perl`, through which it executes itself again.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod conversation;
mod speech;
mod trouble;

use std::env;
use std::io::{self, Read};
use std::process::ExitCode;

use arguments::Arguments;

fn main() -> ExitCode {
    let given: Vec<String> = env::args().skip(1).collect();
    // A second life that `trouble` has started.
    if given.first().is_some_and(|first| first == trouble::HOLD) {
        return trouble::hold();
    }
    let arguments = match Arguments::parse(&given) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(1);
        }
    };
    if arguments.version {
        println!("2.1.0 (stand-in)");
        return ExitCode::SUCCESS;
    }
    let outcome = match arguments.interactive {
        true => conversation::hold(&arguments),
        false => answer(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        // Whoever reads us has gone.
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

/// Reads the prompt up to its end and plays what it asks for.
fn answer(arguments: &Arguments) -> io::Result<ExitCode> {
    if let Some(scenario) = Scenario::of_environment().filter(trouble::never_reads) {
        return trouble::play(&scenario);
    }
    let mut prompt = String::new();
    io::stdin().read_to_string(&mut prompt)?;
    let scenario = Scenario::of(&prompt);
    match trouble::knows(&scenario) {
        true => trouble::play(&scenario),
        false => speech::play(&scenario, arguments, &prompt),
    }
}

/// What is to be played.
struct Scenario {
    name: String,
    /// How much of it, if that was said.
    number: Option<usize>,
}

impl Scenario {
    fn of(prompt: &str) -> Self {
        let of_prompt = || {
            let mut words = prompt.split_whitespace();
            words.find_map(|word| word.strip_prefix("scenario:").map(Self::named))
        };
        let chosen = Self::of_environment().or_else(of_prompt);
        chosen.unwrap_or_else(|| Self::named("success"))
    }

    fn of_environment() -> Option<Self> {
        let name = env::var("CLAUDE_MOCK_SCENARIO").ok();
        name.map(|name| Self::named(&name))
    }

    fn named(text: &str) -> Self {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, number.parse().ok()),
            None => (text, None),
        };
        Self {
            name: name.to_owned(),
            number,
        }
    }
}
