//! `publish`: one event by one HTTP POST.

use std::io::{self, Read};

use serde_json::value::RawValue;

use crate::cli::arguments::PublishArguments;
use crate::cli::http_client::exchange;
use crate::cli::server::Server;
use crate::cli::transport::TransportFault;
use crate::cli::{Exit, Failure, output};
use crate::wire::json::object::Object;

/// Bytes taken from standard input: the most that any server's limits.message_bytes allows.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Longer texts are not repeated in a message.
const QUOTED_LETTERS_MAX: usize = 60;

/// Publishes and prints where the event went.
pub(super) fn run(asked: PublishArguments) -> Result<Exit, Failure> {
    let server = Server::new(asked.server)?;
    let data = match asked.data.as_deref() {
        None => "null".to_owned(),
        Some("-") => read_input()?,
        Some(text) => {
            check_json(text).map_err(|error| Failure::Misuse(not_json(text, &error)))?;
            text.to_owned()
        }
    };
    let mut body = Vec::with_capacity(data.len() + 256);
    Object::begin(&mut body)
        .string("room", asked.room.as_str())
        .string("event", &asked.event)
        .raw("data", &data)
        .string_if("source", asked.source.as_deref())
        .string_if("id", asked.key.as_deref())
        .end();
    let answer = exchange(&server, "POST", "/api/v1/publish", &body)?;
    if answer.status != 200 {
        return Err(answer.refusal().into());
    }
    if check_json(&answer.body).is_err() {
        return Err(TransportFault::NotKinglet("the answer is not JSON").into());
    }
    output::line(&output::one_line(&answer.body))?;
    Ok(Exit::Done)
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    let mut input = io::stdin().lock().take(INPUT_BYTES_MAX + 1);
    input
        .read_to_string(&mut text)
        .map_err(|error| Failure::Misuse(format!("cannot read standard input: {error}")))?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        let reason = "standard input is longer than 16 MiB, the most a message may have";
        return Err(Failure::Misuse(reason.to_owned()));
    }
    match check_json(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(Failure::Misuse(format!(
            "standard input is not JSON ({error})"
        ))),
    }
}

fn check_json(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<&RawValue>(text).map(|_| ())
}

/// What to say of data that is not JSON: most often somebody meant a text, or a shell took the
/// quotes.
fn not_json(text: &str, error: &serde_json::Error) -> String {
    let is_short = text.chars().count() <= QUOTED_LETTERS_MAX;
    let survives_the_shell = !text.contains(|letter: char| letter == '\'' || letter.is_control());
    let example = match serde_json::to_string(text) {
        Ok(quoted) if is_short && survives_the_shell && !text.is_empty() => quoted,
        Ok(_) | Err(_) => "\"hello\"".to_owned(),
    };
    format!(
        "DATA is not JSON ({error}); a text needs double quotes inside single ones: '{example}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_is_not_json_is_met_with_what_to_write() {
        let check = |text: &str, expected: Option<&str>| {
            let found = check_json(text).err().map(|error| not_json(text, &error));
            match (found, expected) {
                (Some(line), Some(end)) => assert!(line.ends_with(end), "{line}"),
                (found, expected) => assert_eq!(found.as_deref(), expected, "{text}"),
            }
        };
        for json in ["null", "1e400", " {\"a\":[1]} ", "\"\\ud800\"", "[[]]"] {
            check(json, None);
        }
        check("hello", Some(": '\"hello\"'"));
        check("say \"hi\"", Some(": '\"say \\\"hi\\\"\"'"));
        check("it's", Some(": '\"hello\"'"));
        check("", Some(": '\"hello\"'"));
        check("{a:1}", Some(": '\"{a:1}\"'"));
        check("1 2", Some(": '\"1 2\"'"));
        check("\"a\nb\"", Some(": '\"hello\"'"));
    }
}
