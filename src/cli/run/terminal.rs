//! What a run's events say to somebody who reads them in a terminal.
//!
//! Pure. Invariant: of what a run printed, a terminal gets text, tabs and colours; no other escape
//! sequence, which could change its title, its clipboard or what stands above.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Where something is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On standard output.
    Output,
    /// On standard error, as it is.
    Error,
    /// On standard error, as a remark of ours.
    Note,
    /// It is for programs.
    Nowhere,
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Which run.
    pub(super) run: String,
    pub(super) place: Place,
    pub(super) text: String,
}

#[derive(Deserialize)]
struct Output<'a> {
    run: String,
    stream: String,
    line: Option<String>,
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Permission<'a> {
    run: String,
    request: String,
    tool: String,
    #[serde(borrow)]
    input: &'a RawValue,
    decision: Option<String>,
}

#[derive(Deserialize)]
struct Stalled {
    run: String,
    silent_ms: u64,
}

#[derive(Deserialize)]
struct Started {
    run: Id,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// What the event of this type with this `data` says; `None` if it is no run's. `for_terminal`
/// takes away what a terminal would obey.
pub(super) fn told(kind: &str, data: &str, for_terminal: bool) -> Option<Told> {
    match kind {
        "run.output" => {
            let output: Output<'_> = serde_json::from_str(data).ok()?;
            let (place, mut text) = match (&output.line, output.json) {
                (_, Some(json)) => said_by_claude(json.get()),
                (Some(line), None) if output.stream == "stdout" => (Place::Output, line.clone()),
                (line, None) => (Place::Error, line.clone().unwrap_or_default()),
            };
            if output.truncated {
                text.push_str(" […]");
            }
            if for_terminal {
                text = harmless(&text);
            }
            let run = output.run;
            Some(Told { run, place, text })
        }
        "run.stalled" => {
            let Stalled { run, silent_ms } = serde_json::from_str(data).ok()?;
            let text = format!("nothing was printed for {} s", silent_ms / 1000);
            let place = Place::Note;
            Some(Told { run, place, text })
        }
        "permission.requested" | "permission.resolved" | "permission.expired" => {
            let permission: Permission<'_> = serde_json::from_str(data).ok()?;
            let what = kind.trim_start_matches("permission.");
            let decision = permission.decision.unwrap_or_default();
            let (request, tool, input) = (permission.request, permission.tool, permission.input);
            let text = format!("permission {request} {what} {decision}: {tool} {input}");
            Some(Told {
                run: permission.run,
                place: Place::Note,
                text: text.replace(" :", ":"),
            })
        }
        "run.started" | "run.queued" => {
            let Started { run } = serde_json::from_str(data).ok()?;
            Some(Told {
                run: run.id,
                place: Place::Nowhere,
                text: String::new(),
            })
        }
        _ => None,
    }
}

/// What a line of the Claude CLI says to people: the agent's words, and which tools it uses.
fn said_by_claude(json: &str) -> (Place, String) {
    let Ok(line) = serde_json::from_str::<Value>(json) else {
        return (Place::Nowhere, String::new());
    };
    let kind = line.get("type").and_then(Value::as_str).unwrap_or_default();
    let content = line.pointer("/message/content").and_then(Value::as_array);
    match (kind, content) {
        ("assistant", Some(content)) => {
            let words: Vec<&str> = content.iter().filter_map(words).collect();
            let tools: Vec<&str> = content.iter().filter_map(tool).collect();
            if !words.is_empty() {
                return (Place::Output, words.join("\n"));
            }
            match tools.is_empty() {
                true => (Place::Nowhere, String::new()),
                false => (Place::Note, format!("uses {}", tools.join(", "))),
            }
        }
        ("error", _) => {
            let text = line.get("message").or_else(|| line.get("error"));
            let text = text
                .and_then(Value::as_str)
                .unwrap_or("the agent reports an error");
            (Place::Error, text.to_owned())
        }
        _ => (Place::Nowhere, String::new()),
    }
}

fn words(block: &Value) -> Option<&str> {
    (block.get("type")?.as_str()? == "text").then(|| block.get("text")?.as_str())?
}

fn tool(block: &Value) -> Option<&str> {
    (block.get("type")?.as_str()? == "tool_use").then(|| block.get("name")?.as_str())?
}

/// `text` without control characters, but for tabs, line breaks and colours (SGR, ECMA-48 section
/// 8.3.117).
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(char::is_control) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let colour = colour(from);
        if let Some(colour) = colour.and_then(|length| from.get(..length)) {
            out.push_str(colour);
            rest = from.get(colour.len()..).unwrap_or_default();
            continue;
        }
        let mut characters = from.chars();
        if let Some(kept @ ('\t' | '\n')) = characters.next() {
            out.push(kept);
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out
}

/// The length of the colour sequence that `text` begins with, if it does.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    parameters.get(end..)?.starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_text_and_colours_only() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected, "{text:?}");
        check("plain ✓", "plain ✓");
        check("\x1b[1;31mred\x1b[0m\tx\n", "\x1b[1;31mred\x1b[0m\tx\n");
        check("\x1b]0;title\x07x", "]0;titlex");
        check("\x1b[2Jx\x1b[", "[2Jx[");
        check("a\rb\x08c\u{9b}1mé", "abc1mé");
        check("\x1b[38:5:1m", "\x1b[38:5:1m");
    }

    #[test]
    fn each_event_says_what_people_need() {
        let check = |kind: &str, data: &str, expected: Option<(Place, &str)>| {
            let found = told(kind, data, true);
            let found = found.as_ref().map(|told| (told.place, told.text.as_str()));
            assert_eq!(found, expected, "{kind} {data}");
        };
        let output = |rest: &str| format!(r#"{{"run":"r","stream":"stdout",{rest}}}"#);
        check(
            "run.output",
            &output(r#""line":"hi""#),
            Some((Place::Output, "hi")),
        );
        check(
            "run.output",
            &output(r#""line":"hi","truncated":true"#),
            Some((Place::Output, "hi […]")),
        );
        check(
            "run.output",
            r#"{"run":"r","stream":"stderr","line":"oh"}"#,
            Some((Place::Error, "oh")),
        );
        let words = r#""json":{"type":"assistant","message":{"content":[{"type":"text","text":"Hello"},{"type":"text","text":"there"}]}}"#;
        check(
            "run.output",
            &output(words),
            Some((Place::Output, "Hello\nthere")),
        );
        let tools = r#""json":{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{}}]}}"#;
        check(
            "run.output",
            &output(tools),
            Some((Place::Note, "uses Bash")),
        );
        let result = r#""json":{"type":"result","result":"Hello"}"#;
        check("run.output", &output(result), Some((Place::Nowhere, "")));
        let error = r#""json":{"type":"error","message":"no"}"#;
        check("run.output", &output(error), Some((Place::Error, "no")));
        check(
            "run.stalled",
            r#"{"run":"r","silent_ms":300000}"#,
            Some((Place::Note, "nothing was printed for 300 s")),
        );
        check(
            "permission.requested",
            r#"{"run":"r","request":"q","tool":"Bash","input":{"command":"ls"}}"#,
            Some((
                Place::Note,
                r#"permission q requested: Bash {"command":"ls"}"#,
            )),
        );
        check(
            "permission.resolved",
            r#"{"run":"r","request":"q","tool":"Bash","input":{},"decision":"deny"}"#,
            Some((Place::Note, "permission q resolved deny: Bash {}")),
        );
        check("task.created", "{}", None);
        check("run.output", "[]", None);
    }
}
