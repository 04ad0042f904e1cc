//! `kinglet bench` against kinglet, against a plain hub, and against servers that are broken.
//!
//! Runs are short and small: they show that what is counted is right, not how fast anything is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "bench/hub.rs"]
mod hub;
#[path = "bench/rooms.rs"]
mod rooms;
#[path = "bench/runs.rs"]
mod runs;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kinglet::testkit::client;
use kinglet::testkit::server::{Server, until};
use serde_json::Value;

use hub::{Behaviour, start_hub};

const BINARY: &str = env!("CARGO_BIN_EXE_kinglet");

fn command(scenario: &str, url: &str, arguments: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["bench", scenario, "--url", url, "--json"]);
    command.args(arguments.split_whitespace()).env_clear();
    command.stdin(Stdio::null());
    command
}

fn bench(scenario: &str, url: &str, arguments: &str) -> Output {
    command(scenario, url, arguments).output().unwrap()
}

/// The report of a run that must succeed without a word on standard error but how busy it was.
fn report(scenario: &str, url: &str, arguments: &str) -> Value {
    let output = bench(scenario, url, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let unexpected = |line: &&str| !line.contains("the generator was busy");
    assert_eq!(errors.lines().find(unexpected), None);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs what must fail with one line.
fn check_failure(scenario: &str, url: &str, arguments: &str, code: i32, words: &[&str]) {
    let output = bench(scenario, url, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word} in {errors}");
    }
}

fn kinglet() -> (Server, String) {
    let settings = [
        ("KINGLET_DEBUG__ECHO", "true"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
    ];
    let server = Server::start(BINARY, &settings);
    let url = format!("http://{}", server.address());
    (server, url)
}

fn number(report: &Value, key: &str) -> f64 {
    let value = report[key].as_f64();
    value.unwrap_or_else(|| panic!("no {key} in {report}"))
}

/// Nothing went wrong on any connection.
fn assert_clean(report: &Value) {
    for key in ["failures", "ended"] {
        assert_eq!(
            report[key].as_object().map(|o| o.len()),
            Some(0),
            "{report}"
        );
    }
}

const SHORT: &str = "--warmup 50ms --duration 300ms";

#[test]
fn connect_counts_handshakes_and_the_servers_time_for_them() {
    let (server, url) = kinglet();
    let pid = server.pid();
    let report = report(
        "connect",
        &url,
        &format!("{SHORT} --connections 8 --pid {pid}"),
    );
    assert_clean(&report);
    let handshakes = number(&report, "handshakes");
    assert!(handshakes >= 1.0, "{report}");
    assert!(number(&report, "handshakes_per_second") > 0.0);
    let latency = &report["latency_us"];
    let percentiles = ["p50", "p90", "p99", "max"].map(|name| number(latency, name));
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{report}");
    assert!(number(&report, "server_cpu_us") >= number(&report, "server_cpu_user_us"));
    assert!(number(&report, "server_resident_bytes") > 100_000.0);
    let opened = server.counter("kinglet_connections_accepted_total");
    assert!(opened as f64 >= handshakes, "{opened} {handshakes}");
}

#[test]
fn idle_tells_memory_and_that_nobody_left() {
    let (server, url) = kinglet();
    let pid = server.pid();
    let arguments = format!("{SHORT} --connections 200 --pid {pid} --sources 2");
    let report = report("idle", &url, &arguments);
    assert_clean(&report);
    assert_eq!(number(&report, "opened"), 200.0);
    assert_eq!(number(&report, "still_open"), 200.0);
    assert!(
        number(&report, "bytes_per_connection") < 100_000.0,
        "{report}"
    );
    assert!(number(&report, "server_resident_before_bytes") > 100_000.0);
}

#[test]
fn idle_ends_early_and_says_why_when_the_server_goes() {
    let (server, url) = kinglet();
    let run = command("idle", &url, "--connections 20 --duration 10m --warmup 0s")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("all are there", || {
        client::get(server.address(), "/api/v1/ws/stats").json()["connectedClients"] == 20
    });
    server.signal("TERM");
    let output = run.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ended"]["closed with 1001"], 20, "{report}");
    assert_eq!(number(&report, "still_open"), 0.0);
}

#[test]
fn echo_compares_what_comes_back() {
    let (server, url) = kinglet();
    let pid = server.pid();
    for size in [1, 5, 64, 70_000] {
        let arguments = format!("{SHORT} --connections 3 --in-flight 2 --size {size} --pid {pid}");
        let report = report("echo", &url, &arguments);
        assert_clean(&report);
        assert!(number(&report, "messages") >= 1.0, "{report}");
        assert_eq!(number(&report, "mismatches"), 0.0);
        assert_eq!(number(&report, "opened"), 3.0);
    }
}

#[test]
fn fanout_counts_every_delivery_in_a_room() {
    let (_server, url) = kinglet();
    for pace in ["--rate 100", "--in-flight 4", "--in-flight 4 --socket"] {
        let arguments = format!("{SHORT} --connections 10 --room a&b:c {pace}");
        let report = report("fanout", &url, &arguments);
        assert_clean(&report);
        let published = number(&report, "publications");
        assert!(published >= 1.0, "{report}");
        let delivered = number(&report, "deliveries");
        assert!(
            (delivered - 10.0 * published).abs() <= 10.0 * 8.0,
            "{report}"
        );
        assert_eq!(number(&report, "lost"), 0.0, "{report}");
        assert_eq!(number(&report, "out_of_order"), 0.0, "{report}");
    }
}

#[test]
fn fanout_says_what_the_server_refused() {
    let server = Server::start(BINARY, &[("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "5")]);
    let url = format!("http://{}", server.address());
    let report = report(
        "fanout",
        &url,
        &format!("{SHORT} --connections 2 --rate 500"),
    );
    let refused = report["refused"]["refused: RATE_LIMITED"].as_u64();
    assert!(refused.is_some_and(|count| count > 0), "{report}");
    assert_eq!(
        number(&report, "lost"),
        0.0,
        "refused is not lost: {report}"
    );
}

#[test]
fn a_plain_server_is_measured_at_its_own_path() {
    let url = start_hub(Behaviour::Good);
    let connect = report(
        "connect",
        &format!("{url}/hub"),
        &format!("{SHORT} --connections 2"),
    );
    assert_clean(&connect);
    assert!(number(&connect, "handshakes") >= 1.0);
    let idle = report(
        "idle",
        &format!("{url}/hub"),
        &format!("{SHORT} --connections 5"),
    );
    assert_eq!(number(&idle, "still_open"), 5.0);
    let echo = report(
        "echo",
        &format!("{url}/echo?x=1"),
        &format!("{SHORT} --connections 2"),
    );
    assert_eq!(number(&echo, "mismatches"), 0.0);
    assert!(number(&echo, "messages") >= 1.0);
    let arguments = format!("{SHORT} --connections 5 --plain --rate 100");
    let fanout = report("fanout", &format!("{url}/hub"), &arguments);
    assert_clean(&fanout);
    assert!(number(&fanout, "deliveries") >= 5.0, "{fanout}");
    assert_eq!(number(&fanout, "lost"), 0.0, "{fanout}");
    assert_eq!(number(&fanout, "out_of_order"), 0.0, "{fanout}");
}

#[test]
fn a_server_that_speaks_socketio_is_measured() {
    let url = start_hub(Behaviour::Good);
    for scenario in ["connect", "idle"] {
        let report = report(
            scenario,
            &url,
            &format!("{SHORT} --connections 2 --socketio"),
        );
        assert_clean(&report);
    }
    let echo = report("echo", &url, &format!("{SHORT} --connections 1 --socketio"));
    assert!(number(&echo, "messages") >= 1.0, "{echo}");
    assert_eq!(number(&echo, "mismatches"), 0.0, "{echo}");
    let arguments = format!("{SHORT} --connections 5 --socketio --rate 100");
    let fanout = report("fanout", &url, &arguments);
    assert!(number(&fanout, "deliveries") >= 5.0, "{fanout}");
    assert_eq!(number(&fanout, "lost"), 0.0, "{fanout}");
    // Whoever does not join its namespace is not in.
    let plain = format!("{url}/hub");
    let arguments = format!("{SHORT} --connections 1 --socketio");
    check_failure("connect", &plain, &arguments, 1, &["no answer in time"]);
}

#[test]
fn a_hub_that_is_posted_to_is_measured() {
    let url = format!("{}/hub", start_hub(Behaviour::Good));
    let arguments = format!("{SHORT} --connections 5 --post /pub --rate 100");
    let fanout = report("fanout", &url, &arguments);
    assert_clean(&fanout);
    assert!(number(&fanout, "deliveries") >= 5.0, "{fanout}");
    assert_eq!(number(&fanout, "lost"), 0.0, "{fanout}");
}

#[test]
fn headers_reach_the_server() {
    let url = start_hub(Behaviour::WantsHeader);
    check_failure(
        "connect",
        &format!("{url}/hub"),
        SHORT,
        1,
        &["the answer was 401"],
    );
    let output = command("connect", &format!("{url}/hub"), SHORT)
        .args(["--header", "X-Secret: open sesame"])
        .output()
        .unwrap();
    assert!(output.status.success());
}

#[test]
fn a_token_opens_a_server_that_asks_for_one() {
    let secret = "0123456789abcdef".repeat(4);
    let keys = format!("[{{algorithm = \"HS256\", secret = \"{secret}\"}}]");
    let settings = [
        ("KINGLET_AUTH__MODE", "token"),
        ("KINGLET_AUTH__KEYS", keys.as_str()),
    ];
    let server = Server::start(BINARY, &settings);
    let url = format!("http://{}", server.address());
    let arguments = format!("{SHORT} --connections 3 --rate 20");
    let refused = bench("fanout", &url, &arguments);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let made = Command::new(BINARY)
        .args(["token", "--user", "bench", "--role", "admin"])
        .env_clear()
        .envs(settings)
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let output = command("fanout", &url, &arguments)
        .env("KINGLET_TOKEN", token.trim())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(number(&report, "deliveries") > 0.0, "{report}");
    assert_eq!(number(&report, "lost"), 0.0, "{report}");
}

#[test]
fn losses_and_disorder_are_counted() {
    let arguments = format!("{SHORT} --connections 3 --plain --rate 200");
    let hub = format!("{}/hub", start_hub(Behaviour::Forgets));
    let forgot = report("fanout", &hub, &arguments);
    assert!(number(&forgot, "lost") >= 3.0, "{forgot}");
    assert_eq!(number(&forgot, "out_of_order"), 0.0, "{forgot}");
    let hub = format!("{}/hub", start_hub(Behaviour::Repeats));
    let repeated = report("fanout", &hub, &arguments);
    assert_eq!(number(&repeated, "lost"), 0.0, "{repeated}");
    assert!(number(&repeated, "out_of_order") >= 3.0, "{repeated}");
}

#[test]
fn a_false_echo_is_none() {
    let url = start_hub(Behaviour::Garbles);
    let output = bench(
        "echo",
        &format!("{url}/echo"),
        &format!("{SHORT} --connections 2"),
    );
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(number(&report, "mismatches") >= 1.0, "{report}");
    assert_eq!(number(&report, "messages"), 0.0, "{report}");
}

#[test]
fn servers_that_do_not_work_are_one_line() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("ws://{}", listener.local_addr().unwrap())
    };
    check_failure(
        "connect",
        &nobody,
        SHORT,
        1,
        &["refused", "is the server running"],
    );
    let (_server, url) = kinglet();
    check_failure(
        "idle",
        &format!("{url}/nothing"),
        SHORT,
        1,
        &["/nothing", "404"],
    );
    let silent = Server::start(BINARY, &[]);
    let silent = format!("http://{}", silent.address());
    check_failure("echo", &silent, SHORT, 1, &["404", "KINGLET_DEBUG__ECHO"]);
    let mute = format!("{}/mute", start_hub(Behaviour::Good));
    let output = bench("echo", &mute, SHORT);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no message came back"));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let began = Instant::now();
    check_failure("idle", &url, SHORT, 1, &["no answer in time"]);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_tried() {
    let url = "ws://127.0.0.1:1";
    check_failure(
        "idle",
        url,
        "--connections 999999",
        2,
        &["descriptor limit"],
    );
    check_failure("idle", url, "--pid 999999999", 2, &["process 999999999"]);
    let refused = ["wss://127.0.0.1:1", "not connected", "is --url right?"];
    check_failure("idle", "wss://127.0.0.1:1", "", 1, &refused);
    let none = ["--ca", "/nowhere/none.pem"];
    check_failure(
        "idle",
        "wss://127.0.0.1:1",
        "--ca /nowhere/none.pem",
        2,
        &none,
    );
    check_failure("idle", "ws://[::1]:1", "--sources 2", 2, &["--sources"]);
    check_failure("fanout", url, "--size 10", 2, &["--size"]);
    check_failure("fanout", url, "--rate 5 --in-flight 1", 2, &["--in-flight"]);
    check_failure("echo", url, "--duration 10", 2, &["500ms"]);
}
