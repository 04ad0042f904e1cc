//! The interactive mode: messages come on standard input, as JSON, while the program runs.
//!
//! `scenario:permission` asks whether a tool may be used and says what was answered;
//! `scenario:listen` says every further message and goes on until it is interrupted; every other
//! scenario is as without input.

use std::io::{self, BufRead};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::Scenario;
use crate::arguments::Arguments;
use crate::{speech, trouble};

/// Reads messages until a turn has ended or nothing more comes.
pub fn hold(arguments: &Arguments) -> io::Result<ExitCode> {
    let session = speech::session(arguments);
    let mut turn = Turn {
        session: &session,
        listens: false,
        asked: 0,
    };
    for line in io::stdin().lock().lines() {
        let line = line?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            eprintln!("error: not JSON: {line}");
            return Ok(ExitCode::from(1));
        };
        let kind = message.get("type").and_then(Value::as_str);
        let ended = match kind {
            Some("user") if turn.listens || turn.asked > 0 => turn.hear(&text_of(&message))?,
            Some("user") => {
                let prompt = text_of(&message);
                let scenario = Scenario::of(&prompt);
                match scenario.name.as_str() {
                    "permission" if arguments.asks => turn.ask(arguments)?,
                    "listen" => turn.listen(arguments)?,
                    _ if trouble::knows(&scenario) => return trouble::play(&scenario),
                    _ => return speech::play(&scenario, arguments, &prompt),
                }
            }
            Some("control_request") => turn.control(&message)?,
            Some("control_response") => turn.answered(&message)?,
            _ => {
                eprintln!("error: unknown message: {line}");
                return Ok(ExitCode::from(1));
            }
        };
        if ended {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A turn; each method says whether it has ended it.
struct Turn<'a> {
    session: &'a str,
    listens: bool,
    /// Permissions asked for.
    asked: usize,
}

impl Turn<'_> {
    fn ask(&mut self, arguments: &Arguments) -> io::Result<bool> {
        speech::init(self.session, arguments)?;
        self.asked += 1;
        speech::say(
            &json!({"type": "control_request", "request_id": format!("ask-{}", self.asked),
            "request": {"subtype": "can_use_tool", "tool_name": "Bash",
                "input": {"command": "ls"}, "tool_use_id": "t"}}),
        )?;
        Ok(false)
    }

    fn listen(&mut self, arguments: &Arguments) -> io::Result<bool> {
        self.listens = true;
        speech::init(self.session, arguments)?;
        Ok(false)
    }

    fn hear(&mut self, text: &str) -> io::Result<bool> {
        speech::say(&speech::assistant(self.session, &format!("heard: {text}")))?;
        Ok(false)
    }

    /// Obeys an interrupt; greets back.
    fn control(&mut self, message: &Value) -> io::Result<bool> {
        let subtype = message.pointer("/request/subtype").and_then(Value::as_str);
        let id = message.get("request_id");
        let outcome = match subtype {
            Some("interrupt" | "initialize") => "success",
            _ => "error",
        };
        speech::say(&json!({"type": "control_response",
            "response": {"subtype": outcome, "request_id": id}}))?;
        if subtype != Some("interrupt") {
            return Ok(false);
        }
        speech::say(&speech::result(self.session, "error_during_execution"))?;
        Ok(true)
    }

    /// Uses the tool or not, as was answered.
    fn answered(&mut self, message: &Value) -> io::Result<bool> {
        let id = message
            .pointer("/response/request_id")
            .and_then(Value::as_str);
        if id != Some(&format!("ask-{}", self.asked)) {
            eprintln!("error: an answer to a question that was not asked: {message}");
            return Ok(false);
        }
        let answer = message.pointer("/response/response");
        let part = |name: &str| answer.and_then(|answer| answer.get(name));
        let text = match part("behavior").and_then(Value::as_str) {
            Some("allow") if part("updatedInput").is_some_and(Value::is_object) => {
                format!("used with {}", part("updatedInput").unwrap_or(&Value::Null))
            }
            Some("deny") if part("message").is_some_and(Value::is_string) => {
                format!("denied: {}", part("message").unwrap_or(&Value::Null))
            }
            _ => format!("not understood: {message}"),
        };
        speech::say(&speech::assistant(self.session, &text))?;
        speech::say(&speech::result(self.session, "success"))?;
        Ok(true)
    }
}

/// The text of a user's message.
fn text_of(message: &Value) -> String {
    let content = message.pointer("/message/content");
    let text = content.and_then(|content| {
        let first = content.get(0).and_then(|first| first.get("text"));
        first.and_then(Value::as_str).or_else(|| content.as_str())
    });
    text.unwrap_or("").to_owned()
}
