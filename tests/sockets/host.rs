//! The machine, as the whole server tells of it: over HTTP and in its rooms.

use std::fs;
use std::time::{Duration, Instant};

use kinglet::testkit::client::get;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens::Token;
use serde_json::{Value, json};

use crate::tokens::{CHAT_KEY, ask_as, secured};
use crate::{request, start};

const METRICS: &str = "/api/v1/metrics";

/// How soon whoever comes first is told, on a machine that does other things as well.
const SOON: Duration = Duration::from_secs(3);

/// The members that clients of the replaced system read, and what they are.
fn check_metrics(found: &Value) {
    let whole = |name: &str, least: u64, most: u64| {
        let number = found[name].as_u64();
        assert!(
            number.is_some_and(|number| (least..=most).contains(&number)),
            "{name}: {found}"
        );
    };
    whole("cpu_usage", 0, 100);
    whole("cpu_cores", 1, 4096);
    whole("memory_total", 1, u64::MAX);
    whole("memory_usage", 0, found["memory_total"].as_u64().unwrap());
    whole("memory_percent", 0, 100);
    whole("storage_total", 1, u64::MAX);
    whole("storage_usage", 0, found["storage_total"].as_u64().unwrap());
    whole("storage_percent", 0, 100);
    whole("uptime", 1, u64::MAX);
    assert!(
        found["cpu_temp"].is_null() || found["cpu_temp"].as_i64() > Some(0),
        "{found}"
    );
    assert!(!found["hostname"].as_str().unwrap().is_empty());
    assert!(found["is_undervolted"].is_boolean());
    assert!(found["timestamp"].as_str().unwrap().ends_with('Z'));
    for interface in found["network_interfaces"].as_array().unwrap() {
        for name in [
            "name",
            "ip4",
            "ip6",
            "mac",
            "type",
            "default",
            "virtual",
            "operstate",
        ] {
            assert!(interface.get(name).is_some(), "{name}: {interface}");
        }
    }
    let processes = found["top_processes"].as_array().unwrap();
    assert!((1..=10).contains(&processes.len()), "{found}");
    let score = |process: &Value| {
        let share = |name: &str| {
            let share = process[name].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&share), "{process}");
            share
        };
        0.6 * share("cpu") + 0.4 * share("mem")
    };
    // They are sorted before they are rounded.
    let is_sorted = |pair: &[Value]| score(&pair[0]) >= score(&pair[1]) - 0.11;
    assert!(processes.windows(2).all(is_sorted), "{found}");
}

/// What a room tells next.
fn told(socket: &mut Socket, event: &str) -> Value {
    loop {
        let message = socket.message();
        if message["type"] == event {
            return message["data"].clone();
        }
    }
}

#[test]
fn the_machine_is_told_over_http() {
    let server = start(&[]);
    let answer = get(server.address(), METRICS);
    assert_eq!(answer.status(), 200, "{answer:?}");
    let found = answer.json();
    check_metrics(&found);
    let formatted = found["uptime_formatted"].as_str().unwrap();
    let last = formatted.chars().last();
    assert!(last.is_some_and(|unit| "dhm".contains(unit)), "{formatted}");
    // Within the interval everybody is told the same.
    assert_eq!(
        get(server.address(), METRICS).json()["timestamp"],
        found["timestamp"]
    );
}

#[test]
fn what_is_too_old_is_measured_again_for_whoever_asks() {
    let server = start(&[("KINGLET_HOST__INTERVAL", "100ms")]);
    let time = || get(server.address(), METRICS).json()["timestamp"].clone();
    let first = time();
    until("it is measured again", || time() != first);
}

#[test]
fn who_comes_first_is_told_at_once_and_then_at_the_interval() {
    let server = start(&[("KINGLET_HOST__INTERVAL", "500ms")]);
    let began = Instant::now();
    let mut socket = Socket::open(server.address(), "/ws?room=metrics");
    check_metrics(&told(&mut socket, "metrics"));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let began = Instant::now();
    let times: Vec<Value> = (0..4)
        .map(|_| told(&mut socket, "metrics")["timestamp"].clone())
        .collect();
    assert!(
        began.elapsed() >= Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    assert!(
        times.is_sorted_by(|a, b| a.as_str() < b.as_str()),
        "{times:?}"
    );
}

#[test]
fn each_topic_has_its_room() {
    let server = start(&[("KINGLET_HOST__INTERVAL", "1h")]);
    let watch = |room: &str, event: &str, member: &str| {
        let mut socket = Socket::open(server.address(), &format!("/ws?room={room}"));
        let began = Instant::now();
        let data = told(&mut socket, event);
        assert!(began.elapsed() < SOON, "{room} {:?}", began.elapsed());
        assert!(data.get(member).is_some(), "{room}: {data}");
        data
    };
    let info = watch("metrics:system-info", "system-info", "kernel");
    assert!(info["memory_total"].as_u64() > Some(0));
    let found = watch(
        "metrics:network-interfaces",
        "network-interfaces",
        "network_interfaces",
    );
    assert!(found["network_interfaces"].is_array());
    let found = watch("metrics:processes", "processes", "processes_total");
    assert!(found["top_processes"].as_array().unwrap().len() <= 50);
    watch("metrics", "metrics", "cpu_usage");
    assert_eq!(server.counter("kinglet_host_publications_dropped_total"), 0);
}

#[test]
fn nobody_but_the_server_tells_of_the_machine() {
    let server = start(&[]);
    let mut socket = Socket::open(server.address(), "/ws?room=metrics");
    let command = json!({"type": "publish", "room": "metrics", "event": "x", "id": 1});
    socket.json(&command);
    assert_eq!(told(&mut socket, "error")["code"], "PERMISSION_DENIED");
}

#[test]
fn arguments_of_processes_are_told_only_if_that_was_configured() {
    let commands = |server: &Server| {
        let found = get(server.address(), METRICS).json();
        found["top_processes"].to_string()
    };
    let discreet = start(&[("KINGLET_HOST__TOP_PROCESSES", "100")]);
    let frank = start(&[
        ("KINGLET_HOST__TOP_PROCESSES", "100"),
        ("KINGLET_HOST__COMMAND_LINES", "true"),
    ]);
    let is_told = |server: &Server| commands(server).contains("kinglet serve");
    until("it tells its own command", || {
        is_told(&frank) || commands(&frank).len() > 20_000
    });
    assert!(!is_told(&discreet));
    let none = start(&[("KINGLET_HOST__TOP_PROCESSES", "0")]);
    assert_eq!(commands(&none), "[]");
}

#[test]
fn whoever_may_subscribe_to_the_room_may_ask() {
    let server = secured(&[]);
    let check = |bearer: &str, expected: u16| {
        let answer = ask_as(bearer, &server, "GET", METRICS, "");
        assert_eq!(answer.status(), expected, "{answer:?}");
    };
    check(&Token::of("ada").sign(), 200);
    check(&Token::of("ada").role("admin").sign(), 200);
    check(CHAT_KEY, 403);
    assert_eq!(request(&server, "GET", METRICS, &[], "").status(), 401);
}

#[test]
fn another_interval_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinglet.toml");
    let write = |interval: &str| {
        let config = format!("server.listen = \"127.0.0.1:0\"\nhost.interval = \"{interval}\"\n");
        fs::write(&path, config).unwrap();
    };
    write("1h");
    let arguments = ["--config", path.to_str().unwrap()];
    let server = Server::start_with(env!("CARGO_BIN_EXE_kinglet"), &arguments, &[]);
    let mut socket = Socket::open(server.address(), "/ws?room=metrics");
    told(&mut socket, "metrics");
    write("100ms");
    server.signal("HUP");
    // It would wait an hour for them.
    told(&mut socket, "metrics");
    told(&mut socket, "metrics");
}
