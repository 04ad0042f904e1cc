//! What is kinglet's own: publishing into rooms, recovering from them, and coming back to them when
//! the server is killed and started again.
//!
//! `KINGLET_TEST_STORM` says how many come back (200).

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use kinglet::testkit::client::{get, note};
use kinglet::testkit::server::{Server, until};
use serde_json::Value;
use tempfile::TempDir;

use crate::{BINARY, SHORT, assert_clean, bench, check_failure, command, kinglet, number, report};

/// Starts a server with rooms on disk, without limits that a measurement would meet.
fn durable(directory: &Path, listen: &str) -> (Server, String) {
    let directory = directory.to_str().expect("a path that can be spelt");
    let settings = [
        ("KINGLET_SERVER__LISTEN", listen),
        ("KINGLET_SERVER__DATA_DIR", directory),
        ("KINGLET_ROOMS__DEFAULT__DURABLE", "true"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_COUNT", "20000"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_BYTES", "64MiB"),
        ("KINGLET_LIMITS__CONNECTIONS", "20000"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
    ];
    let server = Server::start(BINARY, &settings);
    let url = format!("http://{}", server.address());
    (server, url)
}

#[test]
fn clients_of_socketio_hear_what_is_published_in_global() {
    let directory = TempDir::new().unwrap();
    let (_server, url) = durable(directory.path(), "127.0.0.1:0");
    for scenario in ["connect", "idle"] {
        let report = report(
            scenario,
            &url,
            &format!("{SHORT} --connections 2 --socketio"),
        );
        assert_clean(&report);
    }
    let arguments = format!("{SHORT} --connections 5 --socketio --global --rate 100");
    let fanout = report("fanout", &url, &arguments);
    assert_clean(&fanout);
    assert!(number(&fanout, "deliveries") >= 5.0, "{fanout}");
    assert_eq!(number(&fanout, "lost"), 0.0, "{fanout}");
    assert_eq!(number(&fanout, "out_of_order"), 0.0, "{fanout}");
    check_failure("fanout", &url, "--global", 2, &["--socketio"]);
}

#[test]
fn publish_counts_what_is_acknowledged_and_says_how_long_it_took() {
    let directory = TempDir::new().unwrap();
    let (server, url) = durable(directory.path(), "127.0.0.1:0");
    let pid = server.pid();
    for how in [
        "",
        "--connections 4 --in-flight 3",
        "--connections 2 --socket --rooms 3",
    ] {
        let report = report(
            "publish",
            &url,
            &format!("{SHORT} --size 5 --pid {pid} {how}"),
        );
        assert_clean(&report);
        assert!(number(&report, "acknowledged") >= 1.0, "{report}");
        assert!(number(&report["latency_us"], "p50") > 0.0, "{report}");
        assert!(number(&report, "server_cpu_us") >= 0.0, "{report}");
        assert_eq!(report["refused"], serde_json::json!({}), "{report}");
    }
    let page = get(server.address(), "/api/v1/rooms/bench:3/history?limit=1").json();
    assert_eq!(page["publications"][0]["data"], "kkkkk", "{page}");
}

#[test]
fn publish_ends_when_so_many_are_published() {
    let (server, url) = kinglet();
    let arguments = "--warmup 0s --duration 10m --publications 100 --connections 3 --in-flight 7 \
                     --rooms 10 --room a";
    let report = report("publish", &url, arguments);
    assert_eq!(number(&report, "acknowledged"), 100.0, "{report}");
    for room in 1..=10 {
        let room = get(server.address(), &format!("/api/v1/rooms/a:{room}/history")).json();
        assert_eq!(room["offset"], 10, "{room}");
    }
}

#[test]
fn publish_says_by_code_what_is_refused() {
    let server = Server::start(BINARY, &[("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "5")]);
    let url = format!("http://{}", server.address());
    let report = report("publish", &url, &format!("{SHORT} --in-flight 20"));
    let refused = report["refused"]["refused: RATE_LIMITED"].as_u64();
    assert!(refused.is_some_and(|count| count > 0), "{report}");
    check_failure("publish", &url, "--socketio", 2, &["--socketio"]);
}

#[test]
fn recover_counts_what_has_all_that_was_missed() {
    let directory = TempDir::new().unwrap();
    let (server, url) = durable(directory.path(), "127.0.0.1:0");
    let pid = server.pid();
    // More than the newest 300, which are in memory: these pages are from the disk.
    for how in [
        "--connections 3",
        "--pages --connections 3",
        "--pages --missed 700",
    ] {
        let report = report("recover", &url, &format!("{SHORT} --pid {pid} {how}"));
        assert_clean(&report);
        assert!(number(&report, "recoveries") >= 1.0, "{report}");
        assert_eq!(report["refused"], serde_json::json!({}), "{report}");
    }
}

#[test]
fn recover_says_when_the_room_keeps_too_little() {
    let (_server, url) = kinglet();
    let output = bench("recover", &url, &format!("{SHORT} --missed 101"));
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("does the room keep 101 publications?"),
        "{errors}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        number(&report["refused"], "not all that was missed came") >= 1.0,
        "{report}"
    );
}

#[test]
fn a_storm_of_those_who_come_back_loses_nothing() {
    let count = env::var("KINGLET_TEST_STORM").unwrap_or_else(|_| "200".to_owned());
    let directory = TempDir::new().unwrap();
    let (server, url) = durable(directory.path(), "127.0.0.1:0");
    let arguments = format!("--connections {count} --rate 20 --duration 2m");
    let run = storm(&server, &url, &arguments);
    // The port that the first was given: those who come back know no other.
    let address = server.address().to_string();
    drop(server); // By kill -9.
    let (_server, _) = durable(directory.path(), &address);
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    note(&report.to_string());
    assert_eq!(report["back"], report["subscribers"], "{report}");
    for key in ["lost", "out_of_order", "unrecovered"] {
        assert_eq!(number(&report, key), 0.0, "{report}");
    }
    assert!(number(&report, "recovered") > 0.0, "{report}");
}

#[test]
fn a_storm_says_what_a_server_forgot_and_that_none_came() {
    let (server, url) = kinglet();
    let output = bench("storm", &url, "--connections 2 --duration 300ms");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("not restarted within 300ms"), "{errors}");
    let run = storm(
        &server,
        &url,
        "--connections 5 --rate 100 --duration 1m --room other",
    );
    let address = server.address().to_string();
    drop(server);
    let _server = Server::start(BINARY, &[("KINGLET_SERVER__LISTEN", &address)]);
    let output = run.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(number(&report, "back"), 5.0, "{report}");
    assert_eq!(number(&report, "unrecovered"), 5.0, "{report}");
}

/// Begins a storm and returns when all are there and hear something.
fn storm(server: &Server, url: &str, arguments: &str) -> Child {
    let mut command = command("storm", url, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(run.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.contains("restart the server now"), "{line}");
    let before = server.counter("kinglet_publications_total");
    until("something is published", || {
        server.counter("kinglet_publications_total") > before
    });
    run
}
