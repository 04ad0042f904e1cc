//! `kinglet export` and `kinglet import`: a room's history as lines, and lines into rooms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/process.rs"]
mod process;

use std::io::Write;
use std::process::Stdio;

use kinglet::testkit::client::get;
use kinglet::testkit::server::Server;
use process::{Ended, ended, kinglet};
use serde_json::{Value, json};

const KEEPS_MUCH: [(&str, &str); 1] = [("KINGLET_ROOMS__DEFAULT__HISTORY_COUNT", "2000")];

fn start(settings: &[(&str, &str)]) -> (Server, String) {
    let server = Server::start(env!("CARGO_BIN_EXE_kinglet"), settings);
    let url = format!("http://{}", server.address());
    (server, url)
}

fn run(url: &str, arguments: &[&str]) -> Ended {
    ended(&[arguments, &["--url", url]].concat(), &[])
}

/// Runs `import` with these lines on its standard input.
fn import(url: &str, arguments: &[&str], lines: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let all = [&["import", "--url", url], arguments].concat();
    let mut command = kinglet(folder.path(), &all);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that has stopped reads no more.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    child.wait_with_output().unwrap().into()
}

fn lines(count: u64) -> String {
    let line = |number| format!("{}\n", json!({"type": "said", "room": "a", "data": number}));
    (1..=count).map(line).collect()
}

fn data(exported: &str) -> Vec<Value> {
    let lines = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["data"].clone()).collect()
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let (_server, url) = start(&KEEPS_MUCH);
    let done = import(&url, &[], &lines(700));
    assert_eq!(
        (done.code, &*done.output),
        (Some(0), "{\"published\":700}\n")
    );
    // More than two pages.
    let exported = run(&url, &["export", "a"]);
    assert_eq!((exported.code, &*exported.errors), (Some(0), ""));
    assert_eq!(data(&exported.output), numbers(1..=700));
    let part = run(&url, &["export", "a", "--since", "690"]);
    assert_eq!(data(&part.output), numbers(691..=700));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    std::fs::write(&file, &exported.output).unwrap();
    let done = run(&url, &["import", "b", "--file", file.to_str().unwrap()]);
    assert_eq!(
        (done.code, &*done.output),
        (Some(0), "{\"published\":700}\n")
    );
    let copied = run(&url, &["export", "b"]);
    assert_eq!(data(&copied.output), numbers(1..=700));
}

#[test]
fn an_import_that_is_run_again_publishes_nothing_twice() {
    let (server, url) = start(&KEEPS_MUCH);
    import(&url, &[], &lines(5));
    let done = import(&url, &[], &lines(9));
    assert_eq!(&*done.output, "{\"published\":9}\n");
    assert_eq!(data(&run(&url, &["export", "a"]).output), numbers(1..=9));
    // To another room it is another import.
    import(&url, &["b"], &lines(9));
    let room = get(server.address(), "/api/v1/rooms/b").json();
    assert_eq!(room["offset"], 9);
}

#[test]
fn an_import_stops_at_the_first_line_that_is_refused() {
    let (_server, url) = start(&KEEPS_MUCH);
    let check = |third: &str, words: &str| {
        let all = format!("{}\n\n{third}\n{}", lines(1), lines(2));
        let stopped = import(&url, &["a"], &all);
        assert_eq!((stopped.code, &*stopped.output), (Some(1), ""));
        assert_eq!(stopped.errors.lines().count(), 1, "{}", stopped.errors);
        for words in ["error: line 4: ", words, "1 lines before it are published"] {
            assert!(
                stopped.errors.contains(words),
                "{words}: {}",
                stopped.errors
            );
        }
    };
    check(r#"{"type":"presence.join","data":1}"#, "VALIDATION_FAILED");
    check(r#"{"data":1}"#, "type");
    check("no json", "JSON");
    assert_eq!(data(&run(&url, &["export", "a"]).output), numbers(1..=1));
    let nowhere = import(&url, &[], r#"{"type":"said"}"#);
    assert!(
        nowhere.errors.contains("kinglet import ROOM"),
        "{}",
        nowhere.errors
    );
}

#[test]
fn a_room_that_is_not_there_has_nothing_to_export() {
    let (_server, url) = start(&[("KINGLET_ROOMS__DEFAULT__HISTORY_COUNT", "3")]);
    let none = run(&url, &["export", "a"]);
    assert_eq!((none.code, &*none.output), (Some(1), ""));
    assert!(none.errors.contains("NOT_FOUND"), "{}", none.errors);
    import(&url, &[], &lines(5));
    let exported = run(&url, &["export", "a"]);
    assert_eq!(data(&exported.output), numbers(3..=5));
    assert!(
        exported
            .errors
            .contains("offsets 1 to 2 are no longer kept"),
        "{}",
        exported.errors
    );
    let other = run(&url, &["export", "a", "--since", "another:1"]);
    assert_eq!(other.code, Some(1));
    assert!(other.errors.contains("STREAM_RESET"), "{}", other.errors);
}
