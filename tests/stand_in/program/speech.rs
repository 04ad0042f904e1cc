//! Scenarios in which the CLI speaks as it should, or nearly: what it says line by line.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Scenario;
use crate::arguments::Arguments;

/// Plays a scenario of speech; an unknown one is refused.
pub fn play(scenario: &Scenario, arguments: &Arguments, prompt: &str) -> io::Result<ExitCode> {
    if let Ok(path) = env::var("CLAUDE_MOCK_LOG_FILE") {
        return replay(&path);
    }
    let session = &session(arguments);
    let count = |default: usize| scenario.number.unwrap_or(default);
    match scenario.name.as_str() {
        "success" => {
            init(session, arguments)?;
            say(&assistant(session, &format!("You said: {}", prompt.trim())))?;
            say(&result(session, "success"))
        }
        "environment" => {
            init(session, arguments)?;
            let variables: Vec<(String, String)> = env::vars().collect();
            let directory = env::current_dir()?;
            let all: Vec<String> = env::args().collect();
            say(
                &json!({"type": "system", "subtype": "environment", "variables": variables,
                "directory": directory, "arguments": all, "session_id": session}),
            )?;
            say(&result(session, "success"))
        }
        "multi_message" => {
            init(session, arguments)?;
            for number in 1..=count(3) {
                say(&assistant(session, &format!("message {number}")))?;
                say(&tool_result(session, &format!("result {number}")))?;
            }
            say(&result(session, "success"))
        }
        "long_response" => {
            init(session, arguments)?;
            say(&assistant(session, &"long ".repeat(count(50 * 1024) / 5)))?;
            say(&result(session, "success"))
        }
        "slow_stream" => {
            init(session, arguments)?;
            for number in 1..=count(10) {
                thread::sleep(Duration::from_millis(100));
                say(&partial(session, &format!("part {number} ")))?;
            }
            say(&result(session, "success"))
        }
        "partial_json" => {
            init(session, arguments)?;
            write(b"{\"type\":\"assistant\",\"message\":{\"content\":")?;
            return Ok(ExitCode::SUCCESS);
        }
        "invalid_json" => {
            write(b"this is no JSON\n{\"type\":\n[1,2]\n{}\n{\"type\":7}\n")?;
            say(&result(session, "success"))
        }
        "empty" => return Ok(ExitCode::SUCCESS),
        "error" => {
            init(session, arguments)?;
            say(&json!({"type": "error", "message": "the model is overloaded"}))?;
            return Ok(ExitCode::from(1));
        }
        "error_result" => {
            init(session, arguments)?;
            say(&result(session, "error_during_execution"))?;
            return Ok(exit(count(1)));
        }
        "exit" => return Ok(exit(count(1))),
        "timeout" => {
            init(session, arguments)?;
            crate::trouble::wait();
        }
        unknown => {
            eprintln!("error: unknown scenario {unknown:?}");
            return Ok(ExitCode::from(64));
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The exit code `number`.
fn exit(number: usize) -> ExitCode {
    ExitCode::from(u8::try_from(number).unwrap_or(1))
}

/// The session of this run: another one each time, as with the CLI.
pub fn session(arguments: &Arguments) -> String {
    let before = arguments.resume.as_deref().unwrap_or("");
    let number = before
        .rsplit('-')
        .next()
        .and_then(|last| last.parse::<u64>().ok());
    format!("00000000-0000-4000-8000-{:012}", number.unwrap_or(0) + 1)
}

/// Says how the session starts, and who we are.
pub fn init(session: &str, arguments: &Arguments) -> io::Result<()> {
    say(
        &json!({"type": "system", "subtype": "init", "cwd": env::current_dir()?,
        "session_id": session, "pid": process::id(), "tools": ["Bash", "Edit", "Read"],
        "mcp_servers": [], "model": arguments.model.as_deref().unwrap_or("stand-in"),
        "permissionMode": arguments.mode.as_deref().unwrap_or("default"),
        "resumed": arguments.resume, "apiKeySource": "none"}),
    )
}

/// A message of the model.
pub fn assistant(session: &str, text: &str) -> Value {
    json!({"type": "assistant", "message": {"id": "m", "role": "assistant",
        "content": [{"type": "text", "text": text}], "usage": {"output_tokens": 1}},
        "parent_tool_use_id": null, "session_id": session})
}

fn tool_result(session: &str, text: &str) -> Value {
    json!({"type": "user", "message": {"role": "user", "content": [{"type": "tool_result",
        "tool_use_id": "t", "content": text}]}, "session_id": session})
}

fn partial(session: &str, text: &str) -> Value {
    json!({"type": "stream_event", "event": {"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text}}, "session_id": session})
}

/// The end of a turn.
pub fn result(session: &str, subtype: &str) -> Value {
    json!({"type": "result", "subtype": subtype, "is_error": subtype != "success",
        "duration_ms": 12, "duration_api_ms": 10, "num_turns": 1, "result": "done",
        "session_id": session, "total_cost_usd": 0.0125,
        "usage": {"input_tokens": 3, "output_tokens": 5}})
}

/// Writes one line, after the pause between lines.
pub fn say(message: &Value) -> io::Result<()> {
    pause();
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    write(&line)
}

/// Writes bytes at once.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn pause() {
    let number = |name: &str, default: f64| {
        let text = env::var(name).ok();
        text.and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(default)
    };
    let speed = number("CLAUDE_MOCK_SPEED", 1.0).max(0.001);
    let millis = number("CLAUDE_MOCK_DELAY_MS", 0.0) / speed;
    if let Ok(pause) = Duration::try_from_secs_f64(millis / 1000.0) {
        thread::sleep(pause);
    }
}

/// Says each line of a file: of a recorded conversation (`{"direction": "claude", "message": …}`)
/// the messages of the CLI, of any other file all lines as they are.
fn replay(path: &str) -> io::Result<ExitCode> {
    for line in fs::read_to_string(path)?.lines() {
        let recorded: Option<Value> = serde_json::from_str(line).ok();
        let direction = recorded
            .as_ref()
            .and_then(|line| line.get("direction")?.as_str());
        match (direction, &recorded) {
            (Some("claude"), Some(recorded)) => {
                let message = recorded.get("message");
                let whole = message.and_then(|message| message.get("content"));
                let whole = whole.filter(|whole| whole.is_object());
                say(whole.or(message).unwrap_or(&Value::Null))?;
            }
            (Some(_), _) => {}
            (None, _) => {
                pause();
                write(format!("{line}\n").as_bytes())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
