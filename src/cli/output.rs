//! What the commands say: results on standard output, everything else on standard error.
//!
//! Invariants: each call writes one line and flushes it, so that a reader on a pipe has it at once;
//! no control character of a peer reaches the terminal through standard error.

use std::io::{self, Write};

use crate::base::one_line::on_one_line;
use crate::cli::Failure;
use crate::cli::comeback::Ended;

/// Writes one line of results.
///
/// # Errors
/// [`Failure::OutputClosed`] when nobody reads standard output any more.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Failed(format!("cannot write to standard output: {error}")),
    })
}

/// Where events go that are followed.
pub(super) trait Sink {
    /// Takes one event, spelt as a live publication.
    fn event(&mut self, json: &str) -> Result<(), Ended>;
}

/// Each event as one line of results.
pub(super) struct Lines;

impl Sink for Lines {
    fn event(&mut self, json: &str) -> Result<(), Ended> {
        Ok(line(&one_line(json))?)
    }
}

/// Says what ended the command.
pub(super) fn error(text: &str) {
    complain("error", text);
}

/// Says what the operator should know though the command goes on.
pub(super) fn warning(text: &str) {
    complain("warning", text);
}

/// Says that all is well again.
pub(super) fn note(text: &str) {
    complain("note", text);
}

/// Passes on what a run printed on its standard error.
pub(super) fn raw_error(text: &str) {
    // There is nowhere left to say that this failed.
    let _ = io::stderr()
        .lock()
        .write_all(format!("{text}\n").as_bytes());
}

/// `text` as one word of a shell command, so that a line which shows it can be copied.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+,=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn complain(kind: &str, text: &str) {
    let line = format!("{kind}: {}\n", on_one_line(text));
    // There is nowhere left to say that this failed.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// `json` on one line: outside of strings a line break is only space, inside there is none.
pub(super) fn one_line(json: &str) -> String {
    json.trim().replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn json_of_several_lines_becomes_one() {
        assert_eq!(one_line("{\r\n\"a\":1\n}\n"), "{  \"a\":1 }");
    }
}
