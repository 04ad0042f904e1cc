//! The binary as operators and scripts meet it: lines, exit codes, signals.
//!
//! Every server listens on a port that the system chose and is found by its first line. Nothing
//! sleeps: lines are waited for with a deadline, and memberships are asked for until they are
//! there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/process.rs"]
mod process;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use process::{DEADLINE, Ended, Running, ended, ended_in, exit_code, kinglet, lines_of, signal};
use serde_json::{Value, json};

/// A server and the lines it began with.
struct Served {
    running: Running,
    url: String,
    greeting: Vec<String>,
}

fn serve() -> Served {
    serve_with("")
}

fn serve_with(config: &str) -> Served {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kinglet.toml"), config).unwrap();
    let running = Running::start_in(folder, &["--listen", "127.0.0.1:0"]);
    let mut greeting = vec![running.line()];
    while !greeting.last().unwrap().starts_with("try: ") {
        greeting.push(running.line());
    }
    let start = concat!("kinglet ", env!("CARGO_PKG_VERSION"), " listens on ");
    let url = greeting[0].strip_prefix(start).unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    Served {
        running,
        url,
        greeting,
    }
}

impl Served {
    /// Runs a client command to its end.
    fn client(&self, arguments: &[&str]) -> Ended {
        ended(&[arguments, &["--url", &self.url]].concat(), &[])
    }

    fn publish(&self, room: &str, event: &str, data: &str) -> Value {
        let published = self.client(&["publish", room, event, data]);
        assert_eq!(published.code, Some(0), "{}", published.errors);
        serde_json::from_str(&published.output).unwrap()
    }

    fn subscribe(&self, arguments: &[&str]) -> Running {
        Running::start(&[&["subscribe", "--url", &self.url], arguments].concat())
    }

    /// Waits until `room` has this many members.
    fn wait_for_members(&self, room: &str, members: u64) {
        let started = Instant::now();
        let path = format!("/api/v1/rooms/{room}");
        while request(&self.url, "GET", &path, "", "").1["members"] != json!(members) {
            assert!(started.elapsed() < DEADLINE, "nobody came");
            thread::yield_now();
        }
    }
}

/// Runs a command that must fail with one line on standard error and nothing on standard output.
fn check_failure(arguments: &[&str], code: i32, words: &[&str]) {
    let found = ended(arguments, &[]);
    assert_eq!(found.code, Some(code), "{arguments:?} {}", found.errors);
    assert_eq!(found.output, "", "{arguments:?}");
    assert_eq!(found.errors.lines().count(), 1, "{}", found.errors);
    assert!(found.errors.starts_with("error: "), "{}", found.errors);
    for word in words {
        assert!(found.errors.contains(word), "{word} in {}", found.errors);
    }
}

/// One HTTP exchange as other programs make it: status and JSON body.
fn request(url: &str, method: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn serve_says_where_it_listens_and_lines_that_work() {
    let served = serve();
    let [_, mode, warning, watch, curl] = served.greeting.as_slice() else {
        panic!("{:?}", served.greeting);
    };
    assert!(mode.starts_with("mode: open, anyone on this machine"));
    assert_eq!(
        warning,
        "warning: every local user can run agents as kinglet's user"
    );
    let arguments: Vec<&str> = watch.split(' ').skip(2).collect();
    assert_eq!(arguments, ["subscribe", "global", "--url", &served.url]);
    let reader = Running::start(&arguments);
    served.wait_for_members("global", 1);

    let (target, body) = curl
        .strip_prefix("try: curl ")
        .and_then(|rest| rest.strip_suffix('\''))
        .and_then(|rest| rest.split_once(" -d '"))
        .unwrap();
    let path = target.strip_prefix(&served.url).unwrap();
    let kind = "application/x-www-form-urlencoded"; // What curl -d says.
    let (status, answer) = request(&served.url, "POST", path, kind, body);
    assert_eq!((status, &answer["results"][0]["offset"]), (200, &json!(1)));
    let event = reader.event();
    assert_eq!(
        (&event["type"], &event["room"]),
        (&json!("hello"), &json!("global"))
    );
}

#[test]
fn what_is_published_is_printed_with_its_offset() {
    let served = serve();
    let reader = served.subscribe(&["chat:1", "chat:2", "chat:1"]);
    served.wait_for_members("chat:2", 1);
    assert_eq!(
        served.publish("chat:2", "said", "{\"a\": -1.0}")["results"][0]["offset"],
        1
    );
    let optional = ["publish", "chat:2", "said", "--source", "me", "--key", "k"];
    for _ in 0..2 {
        assert_eq!(served.client(&optional).code, Some(0));
    }
    served.publish("global", "said", "3");
    served.publish("chat:1", "last", "-4");

    let mut first = reader.event();
    first["timestamp"].take();
    let expected = json!({"type": "said", "room": "chat:2", "offset": 1, "timestamp": null,
        "data": {"a": -1.0}});
    assert_eq!(first, expected);
    let second = reader.event();
    let fields = [&second["offset"], &second["data"], &second["source"]];
    assert_eq!(fields, [&json!(2), &Value::Null, &json!("me")]);
    assert_eq!(reader.event()["type"], "last");
}

#[test]
fn publish_reads_standard_input() {
    let served = serve();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let publish = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let arguments = ["publish", "global", "said", "-", "--url", &served.url];
        let mut command = kinglet(folder.path(), &arguments);
        command.stdin(File::open(&path).unwrap());
        Ended::from(command.output().unwrap())
    };
    assert_eq!(publish("[1,\n \"zwei\"]\n").code, Some(0));
    let refused = publish("[1,");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .errors
            .starts_with("error: standard input is not JSON")
    );
    let large = publish(&format!("\"{}\"", "x".repeat(2 * 1024 * 1024)));
    assert_eq!(large.code, Some(1), "{}", large.errors);
    assert!(
        large.errors.starts_with("error: MESSAGE_SIZE_LIMIT: "),
        "{}",
        large.errors
    );
    let larger = publish(&" ".repeat(16 * 1024 * 1024 + 1));
    assert!(
        larger.errors.contains("longer than 16 MiB"),
        "{}",
        larger.errors
    );
    let reader = served.subscribe(&["global", "--since", "0"]);
    assert_eq!(reader.event()["data"], json!([1, "zwei"]));
}

#[test]
fn since_prints_what_was_missed_before_what_is_new() {
    let served = serve();
    let answer = served.publish("chat", "said", "1");
    let epoch = answer["results"][0]["epoch"].as_str().unwrap().to_owned();
    served.publish("chat", "said", "2");
    served.publish("other", "said", "1");

    let position = format!("{epoch}:1");
    let exact = served.subscribe(&["chat", "--since", &position]);
    let bare = served.subscribe(&["chat", "other", "--since", "0"]);
    served.wait_for_members("chat", 2);
    served.publish("chat", "said", "3");
    let offsets = |reader: &Running, count: usize| -> Vec<(String, u64)> {
        let events = (0..count).map(|_| reader.event());
        let place = |event: Value| {
            assert_eq!(event["data"], event["offset"], "{event}");
            let room = event["room"].as_str().unwrap().to_owned();
            (room, event["offset"].as_u64().unwrap())
        };
        events.map(place).collect()
    };
    let at = |room: &str, offset| (room.to_owned(), offset);
    assert_eq!(offsets(&exact, 2), [at("chat", 2), at("chat", 3)]);
    let expected = [at("chat", 1), at("chat", 2), at("other", 1), at("chat", 3)];
    assert_eq!(offsets(&bare, 4), expected);
}

#[test]
fn since_pages_through_more_than_one_answer_can_hold() {
    let served = serve_with("[rooms.long]\nhistory_count = 650\n");
    for first in (1..=700).step_by(100) {
        let publish = |n| json!({"publish": {"room": "long:1", "event": "n", "data": n}});
        let commands: Vec<Value> = (first..first + 100).map(publish).collect();
        let body = json!({ "commands": commands }).to_string();
        let kind = "application/json";
        let (status, _) = request(&served.url, "POST", "/api/v1/batch", kind, &body);
        assert_eq!(status, 200);
    }
    let reader = served.subscribe(&["long:1", "--since", "0"]);
    let said = reader.error();
    assert_eq!(said, "warning: long:1: offsets 1 to 50 are no longer kept");
    for expected in 51..=700 {
        assert_eq!(reader.event()["data"], json!(expected));
    }
}

#[test]
fn a_position_of_another_stream_is_said_to_be_lost() {
    let served = serve();
    served.publish("chat", "said", "1");
    let reader = served.subscribe(&["chat", "--since", "another:1"]);
    let said = reader.error();
    assert!(
        said.starts_with("warning: chat: what came after offset 1 cannot be"),
        "{said}"
    );
    served.publish("chat", "said", "2");
    assert_eq!(reader.event()["offset"], json!(2));
    // A room that is not there yet holds nothing to be missed.
    let early = served.subscribe(&["early", "--since", "0"]);
    served.wait_for_members("early", 1);
    served.publish("early", "said", "1");
    assert_eq!(early.event()["offset"], json!(1));
    let late = served.subscribe(&["never", "--since", "7"]);
    assert!(
        late.error()
            .contains("going on with what comes after offset 0")
    );
}

#[test]
fn refusals_are_one_line_with_a_code_of_their_own() {
    check_failure(&["--lisen", "x"], 2, &["'--lisen'", "'--listen'"]);
    check_failure(&["publish", "global"], 2, &["<EVENT>"]);
    check_failure(&["publish", "a b", "e"], 2, &["U+0020"]);
    check_failure(
        &["publish", "a", "e", "hi"],
        2,
        &["DATA is not JSON", "'\"hi\"'"],
    );
    check_failure(&["subscribe"], 2, &["<ROOM>"]);
    check_failure(&["subscribe", "a", "--since", "x"], 2, &["EPOCH:OFFSET"]);
    check_failure(&["subscribe", "a", "b", "--since", "e:1"], 2, &["one room"]);
    let no_tls = ["subscribe", "a", "--ca", "ca.pem"];
    check_failure(&no_tls, 2, &["--ca is for https"]);
    let open = ["--listen", "0.0.0.0:0"];
    check_failure(&open, 2, &["0.0.0.0:0", "--insecure"]);
    check_failure(
        &["serve", "--config", "none.toml"],
        2,
        &["cannot read none.toml"],
    );
}

#[test]
fn a_client_without_a_server_says_what_to_do() {
    // A port that was free a moment ago and that nobody listens on.
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("ws://{}", listener.local_addr().unwrap())
    };
    let words = ["kinglet serve", "--url", "KINGLET_URL"];
    check_failure(&["publish", "a", "e", "--url", &url], 1, &words);
    check_failure(&["subscribe", "a", "--url", &url], 1, &words);
    let found = ended(&["publish", "a", "e"], &[("KINGLET_URL", &url)]);
    let named = url.replace("ws://", "http://");
    assert!(found.errors.contains(&named), "{}", found.errors);
}

#[test]
fn the_servers_refusals_are_repeated() {
    let served = serve();
    let check = |arguments: &[&str], words: &str| {
        let found = served.client(arguments);
        assert_eq!(found.code, Some(1));
        assert!(found.errors.starts_with(words), "{}", found.errors);
        assert_eq!(found.errors.lines().count(), 1);
    };
    check(&["publish", "global", "ping"], "error: VALIDATION_FAILED: ");
    let rooms: Vec<String> = (0..129).map(|n| format!("r{n}")).collect();
    let mut arguments = vec!["subscribe"];
    arguments.extend(rooms.iter().map(String::as_str));
    check(&arguments, "error: RESOURCE_LIMIT: ");
}

#[test]
fn another_kind_of_server_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = [
        "HTTP/1.1 502 Bad\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\n\r\nhi",
        "SSH-2.0\r\n\r\n",
        "",
    ];
    let said = [
        "the server answered 502",
        "is this a kinglet",
        "is not HTTP",
        "without a word",
    ];
    let server = thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                seen.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for words in said {
        check_failure(&["publish", "a", "e", "--url", &url], 1, &[words]);
    }
    server.join().unwrap();
}

#[test]
fn a_bad_configuration_shows_every_fault() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[server]\nlisen = \"127.0.0.1:0\"\n[limits]\nheaders = 0\n";
    std::fs::write(folder.path().join("kinglet.toml"), text).unwrap();
    for command in ["serve", "check-config"] {
        let environment = [("KINGLET_LOG__LEVEL", "loud")];
        let found = ended_in(folder.path(), &[command], &environment);
        assert_eq!((found.code, found.output.as_str()), (Some(2), ""));
        assert_eq!(found.errors.lines().count(), 3, "{}", found.errors);
        for word in ["server.lisen", "limits.headers", "log.level"] {
            assert!(found.errors.contains(word), "{word} in {}", found.errors);
        }
    }
}

#[test]
fn check_config_says_what_it_read() {
    let folder = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], environment: &[(&str, &str)], expected: &str| {
        let arguments = [&["check-config"], arguments].concat();
        let found = ended_in(folder.path(), &arguments, environment);
        assert_eq!(
            (found.code, found.output.as_str()),
            (Some(0), expected),
            "{}",
            found.errors
        );
    };
    check(
        &[],
        &[("KINGLET_URL", "http://a")],
        "ok\nfrom: defaults (there is no ./kinglet.toml)\nlisten: 127.0.0.1:8080\n",
    );
    std::fs::write(
        folder.path().join("kinglet.toml"),
        "[server]\nlisten = \"[::1]:9\"",
    )
    .unwrap();
    check(
        &["--log-level", "debug"],
        &[("KINGLET_LIMITS__HEADERS", "50")],
        "ok\nfrom: defaults, ./kinglet.toml, KINGLET_LIMITS__HEADERS, flags\nlisten: [::1]:9\n",
    );
    std::fs::write(folder.path().join("other.toml"), "").unwrap();
    check(
        &["--config", "other.toml"],
        &[],
        "ok\nfrom: defaults, other.toml\nlisten: 127.0.0.1:8080\n",
    );
}

#[test]
fn version_and_help_go_to_standard_output() {
    let version = concat!("kinglet ", env!("CARGO_PKG_VERSION"), "\n");
    for spelling in ["version", "--version", "-V"] {
        let found = ended(&[spelling], &[]);
        assert_eq!((found.code, found.output.as_str()), (Some(0), version));
    }
    let help = ended(&["--help"], &[]);
    assert_eq!((help.code, help.errors.as_str()), (Some(0), ""));
    for command in ["serve", "check-config", "publish", "subscribe", "version"] {
        assert!(
            help.output.contains(&format!("\n  {command} ")),
            "{}",
            help.output
        );
    }
}

#[test]
fn a_taken_port_is_a_failure_with_a_hint() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    check_failure(&["--listen", &address], 1, &[&address, "--listen"]);
}

#[test]
fn a_signal_drains_the_server_and_tells_its_subscribers() {
    for name in ["TERM", "INT", "QUIT"] {
        let mut served = serve();
        let reader = served.subscribe(&["global"]);
        served.wait_for_members("global", 1);
        served.running.signal(name);
        assert_eq!(served.running.exit_code(), Some(0), "{name}");
        let said = reader.error();
        assert!(
            said.starts_with("warning: the server closed the connection: 1001"),
            "{said}"
        );
    }
}

#[test]
fn nobody_reading_its_output_is_no_failure() {
    let closed = || std::io::pipe().unwrap().1;
    let folder = tempfile::tempdir().unwrap();
    let mut command = kinglet(folder.path(), &["--listen", "127.0.0.1:0"]);
    command.stdout(closed()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let log = lines_of(server.stderr.take().unwrap());
    let line = log.recv_timeout(DEADLINE).unwrap();
    let address = line
        .split("address=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let url = format!("http://{address}");

    let arguments = ["publish", "global", "said", "--url", &url];
    assert_eq!(ended(&arguments, &[]).code, Some(0));
    let mut command = kinglet(
        folder.path(),
        &["subscribe", "global", "--since", "0", "--url", &url],
    );
    assert_eq!(command.stdout(closed()).status().unwrap().code(), Some(0));
    signal(&server, "TERM");
    assert_eq!(exit_code(&mut server), Some(0));
}
