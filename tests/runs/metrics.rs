//! What the server tells of itself: the page for Prometheus, the lines to StatsD, the event in its
//! room, after things happened that they tell of.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use kinglet::metrics::gauges::{GAUGES, Label};
use kinglet::metrics::histograms::HISTOGRAMS;
use kinglet::metrics::table::COUNTERS;
use kinglet::testkit::client::{Connection, note};
use kinglet::testkit::server::until;
use kinglet::testkit::socket::Socket;
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

use crate::host::{Host, text};

/// The page, as it is.
fn page(host: &Host) -> String {
    let answer = host.get("/metrics");
    assert_eq!(answer.status(), 200, "{answer:?}");
    let kind = answer.header("Content-Type");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    String::from_utf8(answer.body().to_vec()).unwrap()
}

/// Every series of the page with its value.
fn series(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Something of everything: sessions, rooms, refusals, projects, runs, the store.
fn live_a_little(host: &Host) -> (Socket, Socket) {
    let address = host.server().address();
    let mut talker = Socket::open(address, "/ws?room=chat");
    let listener = Socket::open(address, "/ws?room=chat&room=system:server_stats");
    let said = json!({"type": "publish", "room": "chat", "event": "said", "data": "hello"});
    assert_eq!(talker.ask(&json!({"type": "ping"}))["type"], "pong");
    talker.json(&said);
    talker.json(&json!({"type": "no such thing"}));
    let keyed = json!({"room": "chat", "event": "said", "id": "k"});
    for _ in 0..2 {
        assert_eq!(host.post("/api/v1/publish", &keyed).status(), 200);
    }
    let mut gone = Socket::open(address, "/ws?room=chat");
    gone.close(1000, "");
    assert_eq!(gone.closed().0, 1000);
    let mut broken = Connection::open(address);
    assert_eq!(
        broken
            .request("GET", "/ws", &[("Upgrade", "websocket")], b"")
            .status(),
        400
    );
    let project = host.project("a");
    host.ended(&host.shell(&project, "echo one; exit 0"));
    host.ended(&host.shell(&project, "exit 3"));
    let long = host.shell(&project, "sleep 60");
    assert_eq!(host.cancel(&long).status(), 202);
    host.ended(&long);
    let room = format!("/api/v1/rooms/project:{project}/history");
    assert_eq!(host.get(&room).status(), 200);
    (talker, listener)
}

#[test]
fn the_page_has_every_series_and_they_move() {
    let host = Host::start(&[]);
    let before = series(&page(&host));
    let _sessions = live_a_little(&host);
    let mut after = BTreeMap::new();
    // What is in the rooms is looked at once a second.
    until("the ends of sessions are counted", || {
        after = series(&page(&host));
        (after["kinglet_sessions"], after["kinglet_members"]) == (2.0, 3.0)
    });
    for (_, name, _) in COUNTERS {
        assert!(after[*name] >= before[*name], "{name}");
    }
    for (_, name, label, _) in GAUGES {
        let key = match label {
            Label::None => (*name).to_owned(),
            Label::State(state) => format!("{name}{{state=\"{state}\"}}"),
            Label::Build => continue,
        };
        // Not every machine tells all of itself, and none before it was looked at.
        let is_known = !key.starts_with("kinglet_host_") && !key.starts_with("node_");
        assert!(!is_known || after.contains_key(&key), "{key} is missing");
    }
    for row in HISTOGRAMS {
        assert!(
            after.contains_key(&format!("{}_count", row.name)),
            "{}",
            row.name
        );
    }
    // What such a session can move; the rest are refusals, faults and features of other tests.
    let moved = "connections sessions rooms members history_publications history_bytes \
        projects{state=\"idle\"} store_up connections_limit \
        connections_accepted_total connections_closed_total http_requests_total \
        handshake_failures_total sessions_opened_total sessions_closed_total \
        messages_received_total messages_sent_total bytes_received_total bytes_sent_total \
        command_errors_total publications_total idempotent_repeats_total runs_started_total \
        runs_exited_total runs_failed_total runs_cancelled_total run_lines_total \
        store_publications_total store_commits_total jobs_done_total \
        run_duration_seconds_count store_commit_seconds_count store_commit_seconds_sum \
        job_seconds_count job_seconds_sum publication_bytes_count publication_bytes_sum";
    for name in moved.split_whitespace() {
        let found = after.get(&format!("kinglet_{name}"));
        assert!(found.is_some_and(|value| *value > 0.0), "{name}: {found:?}");
    }
    for name in "cpu_seconds_total resident_memory_bytes virtual_memory_bytes threads open_fds \
        max_fds start_time_seconds"
        .split_whitespace()
    {
        assert!(after[&format!("process_{name}")] > 0.0, "{name}");
    }
    assert_eq!(after["kinglet_run_duration_seconds_count"], 3.0);
    let still: Vec<&String> = after
        .iter()
        .filter(|(_, value)| **value == 0.0)
        .map(|(name, _)| name)
        .collect();
    note(&format!(
        "series that are zero after a short session: {still:?}"
    ));
}

/// Limits so small that they are hit, and clients that break every rule.
fn live_dangerously(host: &Host) {
    let address = host.server().address();
    let raw = |bytes: &[u8]| {
        let mut connection = Connection::open(address);
        connection.send(bytes);
        connection.take_through(b"HTTP/1.1 ");
    };
    raw(b"GET / HTTP/9.9\r\n\r\n");
    raw(&[0x16, 0x03, 0x01, 0x00, 0x05, 1, 0, 0, 1, 0]);
    let long = "x".repeat(4000);
    let answer = Connection::open(address).request("GET", "/", &[("X-Long", &long)], b"");
    assert_eq!(answer.status(), 431);
    let answer = host.post(
        "/api/v1/publish",
        &json!({"room": "a", "event": "e", "data": long}),
    );
    assert_eq!(answer.status(), 413);
    let mut stream = Connection::open(address);
    stream.send("GET /api/v1/events?room=told HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.take_through(b"subscribed");
    let mut breaker = Socket::open(address, "/ws?room=told");
    breaker.frame(true, Opcode::Continuation, b"of nothing");
    assert_eq!(breaker.closed().0, 1002);
    let mut shouter = Socket::open(address, "/ws?room=told");
    shouter.text(&long);
    assert_eq!(shouter.closed().0, 1009);
    let mut stubborn = Socket::open(address, "/ws?room=told");
    for _ in 0..10 {
        stubborn.text("nonsense");
        assert_eq!(stubborn.message()["type"], "error");
    }
    assert_eq!(stubborn.closed().0, 4503);
    let mut joiner = Socket::open(address, "/ws?room=told");
    let subscribe = |room: &str| json!({"type": "subscribe", "room": room, "since": 0});
    assert_eq!(joiner.ask(&subscribe("told"))["type"], "subscribed");
    for text in ["1", "2", "3", "4"] {
        host.post(
            "/api/v1/publish",
            &json!({"room": "kept", "event": "e", "data": text}),
        );
    }
    assert_eq!(joiner.ask(&subscribe("kept"))["recovered"], false);
    assert_eq!(joiner.ask(&subscribe("third"))["type"], "error");
    for room in 0..10 {
        host.post(
            "/api/v1/publish",
            &json!({"room": format!("r{room}"), "event": "e"}),
        );
    }
    let listed = host.get("/api/v1/connections").json();
    let id = text(&listed["connections"][0]["id"]);
    assert_eq!(
        host.delete(&format!("/api/v1/connections/{id}")).status(),
        204
    );
    host.server().signal("HUP");
}

/// Runs that wait, ask, are silent, take too long and are refused.
fn run_in_every_way(host: &Host) {
    let (project, other) = (host.project("a"), host.project("b"));
    let mut watcher = host.watch(&project);
    let asking = host.play(&project, "permission");
    watcher.await_kind("permission.requested");
    let waiting = host.shell(&project, "sleep 60");
    watcher.await_kind("run.queued");
    let held = host.get("/metrics");
    let held = series(std::str::from_utf8(held.body()).unwrap());
    assert_eq!(held["kinglet_runs{state=\"queued\"}"], 1.0);
    assert_eq!(held["kinglet_runs{state=\"running\"}"], 1.0);
    assert_eq!(held["kinglet_projects{state=\"executing\"}"], 1.0);
    assert_eq!(held["kinglet_projects{state=\"idle\"}"], 1.0);
    let answer = format!("/api/v1/runs/{asking}/permissions/ask-1");
    assert_eq!(host.post(&answer, &json!({"allow": true})).status(), 202);
    host.ended(&asking);
    assert_eq!(host.ended(&waiting)["state"], "timeout");
    assert_eq!(host.ended(&host.shell(&other, "exit 3"))["state"], "failed");
    let third = host.root.path().join("c");
    std::fs::create_dir(&third).unwrap();
    let refused = host.post("/api/v1/projects", &json!({"path": third}));
    assert_eq!(refused.code(), "RESOURCE_LIMIT");
}

#[test]
fn the_page_tells_of_the_machine_once_it_was_looked_at() {
    let host = Host::start(&[]);
    let mut now = BTreeMap::new();
    until("the machine was looked at", || {
        now = series(&page(&host));
        now["kinglet_host_sample_seconds_count"] > 0.0
            && now.contains_key("node_memory_MemTotal_bytes")
    });
    let known = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = known
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: f64 = line.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    assert_eq!(now["node_memory_MemTotal_bytes"], kilobytes * 1024.0);
    assert!(now["node_memory_MemAvailable_bytes"] <= kilobytes * 1024.0);
    assert!((0.0..=1.0).contains(&now["kinglet_host_cpu_usage_ratio"]));
    assert!(now["kinglet_host_storage_bytes"] > now["kinglet_host_storage_available_bytes"]);
}

#[test]
fn limits_that_are_hit_and_faults_show_on_the_page() {
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = statsd.local_addr().unwrap().to_string();
    let host = Host::start(&[
        ("KINGLET_METRICS__STATSD", address.as_str()),
        ("KINGLET_METRICS__PUBLISH_INTERVAL", "200ms"),
        ("KINGLET_LIMITS__HEAD_BYTES", "2KiB"),
        ("KINGLET_LIMITS__MESSAGE_BYTES", "2KiB"),
        ("KINGLET_LIMITS__ROOMS", "8"),
        ("KINGLET_LIMITS__ROOMS_PER_SESSION", "2"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_COUNT", "2"),
        ("KINGLET_ROOMS__DEFAULT__JOIN_LEAVE", "true"),
        ("KINGLET_PROJECTS__MAX", "2"),
        ("KINGLET_PROJECTS__BUSY", "queue"),
        ("KINGLET_AGENTS__CLAUDE__INTERACTIVE", "true"),
        ("KINGLET_AGENTS__SHELL__STALL_AFTER", "200ms"),
        ("KINGLET_AGENTS__SHELL__TIMEOUT", "1s"),
    ]);
    run_in_every_way(&host);
    live_dangerously(&host);
    let moved = "http_faults_total tls_on_plain_port_total heads_too_large_total \
        bodies_too_large_total event_streams_opened_total protocol_faults_total \
        messages_too_large_total sessions_closed_for_errors_total presence_told_total \
        recoveries_refused_total session_rooms_refused_total rooms_refused_total \
        sessions_disconnected_total reloads_total runs_queued_total \
        runs_timed_out_total runs_stalled_total runs_failed_total permissions_requested_total \
        permissions_resolved_total projects_refused_total statsd_packets_sent_total \
        projects{state=\"error\"}";
    let still = || {
        let page = series(&page(&host));
        let names = moved
            .split_whitespace()
            .map(|name| format!("kinglet_{name}"));
        names.filter(|name| page[name] == 0.0).collect::<Vec<_>>()
    };
    let mut left = still();
    until("everything has moved", || {
        let again = still();
        if again != left {
            left = again;
            note(&format!("not moved yet: {left:?}"));
        }
        left.is_empty()
    });
}

#[test]
fn the_reader_of_prometheus_understands_the_page() {
    let Ok(interpreter) = std::env::var("KINGLET_TEST_PYTHON") else {
        return note("skipped: KINGLET_TEST_PYTHON is not set; `make test` installs the reader");
    };
    let host = Host::start(&[]);
    let _sessions = live_a_little(&host);
    let page = page(&host);
    let mut reader = Command::new(interpreter);
    reader.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/metrics.py"));
    let output = fed(&mut reader, &page).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let read: BTreeMap<String, f64> = serde_json::from_slice(&output.stdout).unwrap();
    let own = series(&page);
    assert_eq!(read.len(), own.len());
    for (name, value) in own {
        // It spells labels without quotes, and bounds as numbers.
        let name = name.replace('"', "");
        let found = read.get(&name);
        assert!(
            name.contains("{le=") || found == Some(&value),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn the_tool_of_prometheus_finds_nothing_wrong_with_the_page() {
    let host = Host::start(&[]);
    let page = page(&host);
    match fed(Command::new("promtool").args(["check", "metrics"]), &page) {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            note("skipped: promtool is not installed (apt-get install prometheus)");
        }
        Err(error) => panic!("{error}"),
    }
}

/// What a program says that reads `text`.
fn fed(program: &mut Command, text: &str) -> io::Result<Output> {
    let piped = program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    child.wait_with_output()
}

#[test]
fn only_admins_read_the_page_if_that_is_configured() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef";
    let host = Host::start(&[
        ("KINGLET_AUTH__MODE", "token"),
        (
            "KINGLET_AUTH__API_KEYS",
            "[{name=\"root\",key=\"the-key-of-root-is-long-enough\"},{name=\"few\",key=\"the-key-of-few-is-long-enough-too\",grants={role=\"user\"}}]",
        ),
        (
            "KINGLET_AUTH__KEYS",
            &format!("[{{algorithm=\"HS256\",secret=\"{secret}\"}}]"),
        ),
        ("KINGLET_METRICS__REQUIRE_AUTH", "true"),
    ]);
    let check = |key: Option<&str>, status: u16| {
        let mut connection = Connection::open(host.server().address());
        let headers: Vec<_> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
        let answer = connection.request("GET", "/metrics", &headers, b"");
        assert_eq!(answer.status(), status, "{key:?}");
    };
    check(None, 401);
    check(Some("the-key-of-few-is-long-enough-too"), 403);
    check(Some("the-key-of-root-is-long-enough"), 200);
}

#[test]
fn statsd_gets_what_grew_and_how_things_are() {
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap();
    statsd
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let address = statsd.local_addr().unwrap().to_string();
    let host = Host::start(&[
        ("KINGLET_METRICS__STATSD", address.as_str()),
        ("KINGLET_METRICS__PUBLISH_INTERVAL", "200ms"),
    ]);
    let mut socket = Socket::open(host.server().address(), "/ws?room=a");
    for _ in 0..7 {
        assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
    }
    let (mut received, mut sessions) = (0, 0.0);
    let mut packet = [0; 2048];
    until("StatsD has heard of all messages", || {
        let length = statsd.recv(&mut packet).unwrap();
        assert!(length <= 1432, "{length} bytes");
        let text = std::str::from_utf8(&packet[..length]).unwrap();
        for line in text.lines() {
            let (name, rest) = line.split_once(':').unwrap();
            let (value, kind) = rest.split_once('|').unwrap();
            match name {
                "kinglet_messages_received_total" => {
                    assert_eq!(kind, "c");
                    received += value.parse::<u64>().unwrap();
                }
                "kinglet_sessions" => {
                    assert_eq!(kind, "g");
                    sessions = value.parse().unwrap();
                }
                _ => assert!(matches!(kind, "c" | "g"), "{line}"),
            }
        }
        received == 7 && sessions == 1.0
    });
    assert!(host.server().counter("kinglet_statsd_packets_sent_total") > 0);
}

#[test]
fn packets_that_nobody_takes_are_counted_and_hold_up_nothing() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let host = Host::start(&[
        ("KINGLET_METRICS__STATSD", closed.to_string().as_str()),
        ("KINGLET_METRICS__PUBLISH_INTERVAL", "100ms"),
    ]);
    until("a refusal is counted", || {
        host.server().counter("kinglet_statsd_packets_failed_total") > 0
    });
    assert_eq!(host.get("/health").status(), 200);
}

#[test]
fn those_in_the_room_are_told_of_the_server_every_interval() {
    let host = Host::start(&[("KINGLET_METRICS__PUBLISH_INTERVAL", "300ms")]);
    let project = host.project("a");
    host.ended(&host.shell(&project, "exit 0"));
    let mut socket = Socket::open(host.server().address(), "/ws?room=system:server_stats");
    let (first, second) = (socket.message(), socket.message());
    for told in [&first, &second] {
        assert_eq!(told["type"], "server_stats");
        assert_eq!(told["room"], "system:server_stats");
    }
    let data = &second["data"];
    assert_eq!(data["connections"], 1);
    assert_eq!(data["projects"]["total"], 1);
    assert_eq!(data["executions"]["total"], 1);
    assert_eq!(data["executions"]["success"], 1);
    assert!(data["executions"]["avg_duration_ms"].is_u64());
    let sent = |told: &Value| told["data"]["messages"]["sent"].as_u64().unwrap();
    assert!(sent(&second) > sent(&first));
    assert!(data["messages"]["rate_per_sec"].as_f64().unwrap() > 0.0);
}
