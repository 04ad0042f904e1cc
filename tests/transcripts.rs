//! The transcripts in `docs/` against the real binary: what the documents show is what it does.
//!
//! Each transcript gets a server of its own, so that offsets are its own, too. What a transcript
//! does not list must not arrive. A command without a transcript, a route without a section and a
//! section without a route are faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kinglet::app::http::routes::table::ROUTES;
use kinglet::dialect::native::decode::COMMANDS;
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

#[path = "transcripts/document.rs"]
mod document;
#[path = "transcripts/peer.rs"]
mod peer;
#[path = "transcripts/placeholder.rs"]
mod placeholder;

use document::{Step, Transcript, transcripts};
use peer::{Received, Server, Socket};
use placeholder::Placeholders;

/// The program that takes the place of the Claude CLI.
const STAND_IN: &str = env!("CARGO_BIN_EXE_claude-stand-in");

#[test]
fn the_server_does_what_the_documents_show() {
    let mut faults = Vec::new();
    for transcript in documented() {
        if let Err(fault) = replay(&transcript) {
            faults.push(fault);
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_command_has_a_transcript() {
    let shown: BTreeSet<String> = documented()
        .iter()
        .flat_map(|transcript| &transcript.steps)
        .filter_map(|(_, step)| match step {
            Step::Send(text) => serde_json::from_str::<Value>(text).ok(),
            _ => None,
        })
        .filter_map(|message| Some(message.get("type")?.as_str()?.to_owned()))
        .collect();
    let names = COMMANDS.iter().map(|command| command.name);
    let missing: Vec<&str> = names
        .filter(|name| !name.starts_with("testkit.") && !shown.contains(*name))
        .collect();
    assert!(missing.is_empty(), "without a transcript: {missing:?}");
}

#[test]
fn every_route_has_its_section_and_every_section_its_route() {
    let reference = fs::read_to_string(docs().join("http-api.md")).unwrap();
    let described: BTreeSet<&str> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let routes: Vec<String> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method.as_str(), route.path))
        .collect();
    let routes: BTreeSet<&str> = routes.iter().map(String::as_str).collect();
    assert_eq!(described, routes);
}

fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"))
}

/// The transcripts of every document, in the order of the files' names.
fn documented() -> Vec<Transcript> {
    let mut paths: Vec<_> = fs::read_dir(docs())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        transcripts(&format!("docs/{name}"), &fs::read_to_string(path).unwrap())
            .unwrap_or_else(|fault| panic!("{fault}"))
    };
    paths.iter().flat_map(read).collect()
}

fn replay(transcript: &Transcript) -> Result<(), String> {
    let file = transcript.place.split(':').next().unwrap_or_default();
    let server = Server::start(transcript);
    let mut socket = transcript
        .path
        .as_deref()
        .map(|path| Socket::open(server.address, path, transcript));
    let mut known = Placeholders::of("dir", &server.directory());
    let mut answer = None;
    for (line, step) in &transcript.steps {
        play(step, &server, &mut socket, &mut answer, &mut known)
            .map_err(|fault| format!("{file}:{line}: {fault}"))?;
    }
    match socket.map(|mut socket| socket.is_quiet()) {
        Some(Err(more)) => Err(format!("{}: not listed: {more:?}", transcript.place)),
        Some(Ok(())) | None => Ok(()),
    }
}

fn play(
    step: &Step,
    server: &Server,
    socket: &mut Option<Socket>,
    answer: &mut Option<(u16, Value)>,
    known: &mut Placeholders,
) -> Result<(), String> {
    let no_socket = || "the transcript has no socket, or it is closed".to_owned();
    match step {
        Step::Send(text) => {
            let text = known.fill(text)?;
            let socket = socket.as_mut().ok_or_else(no_socket)?;
            socket.send(Opcode::Text, text.as_bytes());
        }
        Step::SendClose(code) => socket.as_mut().ok_or_else(no_socket)?.close(*code),
        Step::Message(expected) => match socket.as_mut().ok_or_else(no_socket)?.receive() {
            Received::Message(found) => known
                .compare(expected, &found)
                .map_err(|fault| format!("{fault}\n    in {found}"))?,
            other => return Err(format!("{other:?} came instead")),
        },
        Step::Close(code) => match socket.take().ok_or_else(no_socket)?.receive() {
            Received::Close(found) if found == *code => {}
            other => return Err(format!("{other:?} came instead")),
        },
        Step::Request(request) => {
            let request = document::Request {
                method: request.method.clone(),
                target: known.fill(&request.target)?,
                body: known.fill(&request.body)?,
            };
            *answer = Some(server.ask(&request));
        }
        Step::Answer(status, expected) => {
            let (found_status, found) = answer.take().ok_or("nothing was asked")?;
            if found_status != *status {
                return Err(format!("{found_status} came instead, with {found}"));
            }
            known
                .compare(expected, &found)
                .map_err(|fault| format!("{fault}\n    in {found}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let check = |expected: Value, found: Value, fits: bool| {
        let outcome = Placeholders::default().compare(&expected, &found);
        assert_eq!(outcome.is_ok(), fits, "{expected} and {found}: {outcome:?}");
    };
    let time = "2026-01-02T03:04:05.678Z";
    check(json!({"a": 1}), json!({"a": 1}), true);
    check(json!({"a": 1}), json!({"a": 2}), false);
    check(json!({"a": 1}), json!({"a": 1, "b": 2}), false);
    check(json!({"a": 1, "b": 2}), json!({"a": 1}), false);
    check(json!([1, [2]]), json!([1, [2]]), true);
    check(json!([1]), json!([1, 2]), false);
    check(json!([{"a": "<int>"}]), json!([{"a": 7}]), true);
    check(json!("<int>"), json!("7"), false);
    check(json!("<text>"), json!("x"), true);
    check(json!("<text>"), json!(""), false);
    check(json!("<object>"), json!({"a": 1}), true);
    check(json!("<object>"), json!([]), false);
    check(json!("<time>"), json!(time), true);
    check(json!("<time>"), json!("2026-01-02 03:04:05"), false);
    check(json!(["<epoch>", "<epoch>"]), json!(["a", "a"]), true);
    check(json!(["<epoch>", "<epoch>"]), json!(["a", "b"]), false);
    check(json!(["<uid>", "<uid2>"]), json!(["a", "b"]), true);
}

#[test]
fn placeholders_are_filled_in_once_they_are_known() {
    let mut known = Placeholders::default();
    assert!(known.fill("{\"epoch\":\"<epoch>\"}").is_err());
    known.compare(&json!("<epoch>"), &json!("e1")).unwrap();
    let filled = known.fill("{\"epoch\":\"<epoch>\"}").unwrap();
    assert_eq!(filled, "{\"epoch\":\"e1\"}");
    let filled = known.fill("{\"token\":\"<token:ada>\",\"x\":1}").unwrap();
    let filled: Value = serde_json::from_str(&filled).unwrap();
    assert!(filled["token"].as_str().unwrap().starts_with("ey") && filled["x"] == 1);
}

#[test]
fn reads_the_lines_of_a_transcript_and_refuses_others() {
    let text = "```json\nS: {}\n```\n```transcript path=/ws?a=1 protocol=p set=debug.echo=true \
                mode=token user=ada as=admin\n\
                C: {\"type\":\"ping\"}\nS: {\"a\":1}\nHTTP: GET /x\nHTTP: POST /x {\"b\":2}\n\
                HTTP: 200 {}\nHTTP: 204\nC: close 1000\nS: close 4503\n```\n";
    let found = transcripts("docs/x.md", text).unwrap();
    let [transcript] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(transcript.place, "docs/x.md:4");
    assert_eq!(transcript.path.as_deref(), Some("/ws?a=1"));
    assert_eq!(transcript.protocol.as_deref(), Some("p"));
    let setting = ("debug.echo".to_owned(), "true".to_owned());
    assert_eq!(transcript.settings, [setting]);
    let (user, role) = (transcript.user.as_deref(), transcript.role.as_deref());
    let found = (transcript.asks_for_tokens, user, role);
    assert_eq!(found, (true, Some("ada"), Some("admin")));
    let request = |method: &str, body: &str| {
        Step::Request(document::Request {
            method: method.to_owned(),
            target: "/x".to_owned(),
            body: body.to_owned(),
        })
    };
    let steps = [
        (5, Step::Send("{\"type\":\"ping\"}".to_owned())),
        (6, Step::Message(json!({"a": 1}))),
        (7, request("GET", "")),
        (8, request("POST", "{\"b\":2}")),
        (9, Step::Answer(200, json!({}))),
        (10, Step::Answer(204, Value::Null)),
        (11, Step::SendClose(1000)),
        (12, Step::Close(4503)),
    ];
    assert_eq!(transcript.steps, steps);
    for bad in ["X: {}", "S: {", "S: close x", "HTTP: GET", "nothing"] {
        let text = format!("```transcript\n{bad}\n```");
        assert!(transcripts("docs/x.md", &text).is_err(), "{bad}");
    }
    assert!(transcripts("docs/x.md", "```transcript pth=/ws\n```").is_err());
}
