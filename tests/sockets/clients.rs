//! Clients that others wrote, against the real binary: `ws` of Node.js, `websockets` of Python; the
//! `eventsource` of Node.js is beside its subject.
//! `make test` installs them and sets KINGLET_TEST_CLIENTS to the folder of the first and
//! KINGLET_TEST_PYTHON to the interpreter that finds the second; without one of them, its tests are
//! skipped aloud.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kinglet::testkit::client::note;
use kinglet::testkit::server::Server;
use tempfile::TempDir;

use crate::start;

/// The folder with the installed JavaScript clients, or why there is none.
pub fn javascript() -> Result<String, &'static str> {
    let folder = std::env::var("KINGLET_TEST_CLIENTS")
        .map_err(|_| "KINGLET_TEST_CLIENTS is not set; `make test` installs the clients")?;
    if !Path::new(&folder).join("node_modules").is_dir() {
        return Err("KINGLET_TEST_CLIENTS has no node_modules; run npm ci in it");
    }
    match Command::new("node").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(folder),
        _ => Err("node is not installed"),
    }
}

#[test]
fn the_ws_library_of_node_works_with_rooms() {
    let folder = match javascript() {
        Ok(folder) => folder,
        Err(reason) => {
            return note(&format!(
                "skipped: the clients in JavaScript, because {reason}"
            ));
        }
    };
    let settings = [("KINGLET_HEARTBEAT__PING_INTERVAL", "1s")];
    let run = |base: String, trusted: &Path| {
        let run = Command::new("node")
            .arg(Path::new(&folder).join("rooms.mjs"))
            .arg(base)
            .env("NODE_EXTRA_CA_CERTS", trusted)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{said}");
    };
    let server = start(&settings);
    run(format!("ws://{}", server.address()), Path::new(""));
    let (server, data) = secure(&settings);
    let trusted = data.path().join("self-signed.pem");
    run(format!("wss://{}", server.address()), &trusted);
}

#[test]
fn the_ws_library_of_node_works_with_projects() {
    let folder = match javascript() {
        Ok(folder) => folder,
        Err(reason) => {
            return note(&format!(
                "skipped: the clients in JavaScript, because {reason}"
            ));
        }
    };
    let data = tempfile::tempdir().unwrap();
    let root = data.path().canonicalize().unwrap().join("projects");
    std::fs::create_dir(&root).unwrap();
    let root = root.to_str().unwrap();
    let kept = data.path().join("data");
    let server = start(&[
        (
            "KINGLET_AGENTS__CLAUDE__COMMAND",
            env!("CARGO_BIN_EXE_claude-stand-in"),
        ),
        ("KINGLET_PROJECTS__ROOTS", root),
        ("KINGLET_SERVER__DATA_DIR", kept.to_str().unwrap()),
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
    ]);
    let run = Command::new("node")
        .arg(Path::new(&folder).join("projects.mjs"))
        .arg(format!("ws://{}", server.address()))
        .arg(root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}

/// A server that speaks TLS, and the folder with its certificate.
pub fn secure(settings: &[(&str, &str)]) -> (Server, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut all = vec![
        ("KINGLET_SERVER__DATA_DIR", data.path().to_str().unwrap()),
        ("KINGLET_SERVER__TLS__SELF_SIGNED", "true"),
    ];
    all.extend(settings);
    (start(&all), data)
}

/// A client in Python, to be run against the server at `base`; `None` if there is none, which is
/// said.
pub fn python(script: &str, base: &str) -> Option<Command> {
    let Ok(interpreter) = std::env::var("KINGLET_TEST_PYTHON") else {
        note(
            "skipped: a client in Python, because KINGLET_TEST_PYTHON is not set; `make test` \
             installs it",
        );
        return None;
    };
    let mut command = Command::new(interpreter);
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    command.arg(clients.join(script)).arg(base);
    Some(command)
}

/// The same with a subject of `rooms.py`.
fn rooms(base: &str, subject: &str) -> Option<Command> {
    let mut command = python("rooms.py", base)?;
    command.arg(subject);
    Some(command)
}

/// Runs one subject of `rooms.py` against a server of its own.
fn check(subject: &str) {
    let server = start(&HEARTBEAT);
    succeeds(rooms(&format!("ws://{}", server.address()), subject));
}

const HEARTBEAT: [(&str, &str); 2] = [
    ("KINGLET_HEARTBEAT__PING_INTERVAL", "200ms"),
    ("KINGLET_HEARTBEAT__PONG_TIMEOUT", "2s"),
];

/// Runs a client, if there is one, to its good end.
pub fn succeeds(command: Option<Command>) {
    let Some(mut command) = command else { return };
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}

#[test]
fn websockets_of_python_does_the_same_over_tls() {
    for subject in [
        "hello",
        "subscribe_and_publish",
        "recovery",
        "a_mebibyte",
        "ten_errors",
    ] {
        let (server, data) = secure(&HEARTBEAT);
        let mut command = rooms(&format!("wss://{}", server.address()), subject);
        if let Some(command) = &mut command {
            command.env("SSL_CERT_FILE", data.path().join("self-signed.pem"));
        }
        succeeds(command);
    }
}

#[test]
fn websockets_of_python_is_greeted_under_the_subprotocol() {
    check("hello");
}

#[test]
fn websockets_of_python_subscribes_and_publishes() {
    check("subscribe_and_publish");
}

#[test]
fn websockets_of_python_reads_histories() {
    check("history");
}

#[test]
fn websockets_of_python_recovers_what_it_missed() {
    check("recovery");
}

#[test]
fn websockets_of_python_gets_pongs_for_its_keepalive() {
    check("keepalive_of_the_client");
}

#[test]
fn websockets_of_python_answers_pings() {
    check("pings_of_the_server");
}

#[test]
fn websockets_of_python_sends_and_receives_a_mebibyte() {
    check("a_mebibyte");
}

#[test]
fn websockets_of_python_sends_in_fragments() {
    check("fragments");
}

#[test]
fn websockets_of_python_is_closed_with_1009_for_too_big_a_message() {
    check("a_message_over_the_limit");
}

#[test]
fn websockets_of_python_is_closed_with_4503_for_ten_errors() {
    check("ten_errors");
}

#[test]
fn websockets_of_python_is_served_with_compression() {
    check("compression");
}

#[test]
fn websockets_of_python_is_refused_for_another_site() {
    check("another_site");
}

#[test]
fn websockets_of_python_is_closed_with_1001_when_the_server_drains() {
    let mut server = start(&[]);
    let base = format!("ws://{}", server.address());
    let Some(mut command) = rooms(&base, "drain") else {
        return;
    };
    let mut run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "connected\n");
    server.signal("TERM");
    let run = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert_eq!(server.wait(), 0);
}
