//! What kinglet costs: memory per connection and CPU time per operation, of the real binary.
//!
//! `make bench` runs all of it; `cargo bench --bench figures -- fanout` runs what is named: rest,
//! drain, connect, idle, echo, fanout. The server has core 0, the generator, `kinglet bench`, core
//! 1. Figures are the server's CPU time per operation; every echo and delivery is checked.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod process;

use std::time::{Duration, Instant};

use kinglet::testkit::client;
use kinglet::testkit::server::until;

use crate::process::Server;

/// Each scenario with the arguments of its runs.
const RUNS: [(&str, &[&str]); 4] = [
    ("connect", &["--connections 64"]),
    ("idle", &["--connections 10000 --duration 1s --warmup 2s"]),
    (
        "echo",
        &[
            "--connections 1",
            "--connections 100",
            "--connections 1000",
            "--connections 100 --in-flight 16",
            "--connections 100 --size 16384",
        ],
    ),
    (
        "fanout",
        &[
            "--connections 1000 --rate 50",
            "--connections 1000 --rate 200",
            "--connections 1000 --in-flight 16",
            "--connections 10000 --rate 5",
            "--connections 10000 --rate 20",
        ],
    ),
];

fn main() {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let wants = |name: &str| named.is_empty() || named.iter().any(|n| name.starts_with(n.as_str()));
    if wants("rest") {
        let server = Server::start();
        std::thread::sleep(Duration::from_millis(300));
        println!(
            "rest: {:.1} MB resident",
            server.resident_bytes() as f64 / 1e6
        );
    }
    if wants("drain") {
        drain(5000, false);
        drain(5000, true);
    }
    for (scenario, runs) in RUNS.iter().filter(|(scenario, _)| wants(scenario)) {
        for arguments in *runs {
            let server = Server::start();
            let done = server.bench(scenario, arguments).status();
            assert!(done.is_ok_and(|status| status.success()), "{scenario}");
        }
    }
}

/// SIGTERM with `count` sessions open: who is told 1001, how long it takes, the exit code. With
/// `twice` a second SIGTERM follows at once.
fn drain(count: u64, twice: bool) {
    let mut server = Server::start();
    let arguments = format!("--connections {count} --duration 60s --json");
    let mut command = server.bench("idle", &arguments);
    let swarm = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until("all are connected", || {
        client::get(server.address, "/api/v1/ws/stats").json()["connectedClients"] == count
    });
    let began = Instant::now();
    server.terminate();
    let mut signalled = 1;
    let code = loop {
        if twice && signalled == 1 && began.elapsed() > Duration::from_millis(300) {
            server.terminate();
            signalled = 2;
        }
        if let Some(code) = server.exit_code() {
            break code;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = began.elapsed().as_secs_f64();
    let report = swarm.wait_with_output().unwrap().stdout;
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let ended = report["ended"].as_object().unwrap();
    let told = ended.get("closed with 1001").and_then(|n| n.as_u64());
    let told = told.unwrap_or(0);
    println!(
        "drain {count}: {told} told 1001, {} others; exit {code} after {took:.2} s and \
         {signalled} SIGTERM",
        count - told
    );
}
