//! The real binary under everything that a hostile day brings at once, for SOAK_SECONDS.
//!
//! ```text
//! start ─▶ warm ─▶ loads (load.rs) … watched (watch.rs) … ─▶ quiet ─▶ verdict, TERM
//! ```
//!
//! `make soak` runs it; without SOAK_SECONDS it only says so, for `cargo bench` runs all benches.
//! It ends by itself, two minutes or so after the loads have, when the last room is swept. The exit
//! code is 1 when the server died, somebody who behaved lost something, or what it took is not given
//! back: see the constants. May not touch: processes it did not start.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod faithful;
mod load;
mod watch;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use kinglet::testkit::server::Server;
use serde_json::Value;

use crate::load::Plan;
use crate::watch::Watch;

/// What the server may have, so that floods reach the end of it.
const DESCRIPTORS: usize = 256;

/// Megabytes by which resident memory may be above the start when all is quiet again: what the
/// allocator keeps for the next time, and what the kernel counts of the binary once it was read.
const KEPT_MB_MAX: f64 = 24.0;

/// Megabytes by which the average of the last third may be above that of the second: the first one
/// fills what is meant to be kept.
const GROWN_MB_MAX: f64 = 8.0;

/// How long the server has to become quiet: it looks at each room once in 64 s, and drops one that
/// it finds unused for the second time.
const QUIET: Duration = Duration::from_secs(150);

fn main() -> ExitCode {
    let Ok(seconds) = env::var("SOAK_SECONDS") else {
        println!("soak: `make soak` runs it, for SOAK_SECONDS (120)");
        return ExitCode::SUCCESS;
    };
    let seconds: u64 = seconds.parse().expect("SOAK_SECONDS is a whole number");
    assert!(seconds >= 6, "SOAK_SECONDS is 6 at least");
    let mut server = Server::start_with_descriptors(
        env!("CARGO_BIN_EXE_kinglet"),
        DESCRIPTORS,
        &[
            ("KINGLET_LOG__LEVEL", "error"),
            ("KINGLET_DEBUG__ECHO", "true"),
            ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
            ("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "1s"),
            ("KINGLET_LIMITS__WRITE_TIMEOUT", "1s"),
            // Answers are kept for five minutes, which is longer than we wait.
            ("KINGLET_LIMITS__IDEMPOTENCY_KEYS", "1000"),
            ("KINGLET_ROOMS__DEFAULT__HISTORY_AGE", "10s"),
        ],
    );
    let mut faults = Vec::new();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        soak(&mut server, Duration::from_secs(seconds), &mut faults);
    }));
    if ran.is_err() {
        faults.push("the soak could not go on: see above".to_owned());
        eprintln!("the server's log:\n{}", server.stderr());
    }
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    if faults.is_empty() {
        println!("soak: nothing was lost, and everything was given back");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn soak(server: &mut Server, time: Duration, faults: &mut Vec<String>) {
    let address = server.address();
    load::warm(address);
    let before = Watch::sample(server.pid());
    let watch = Watch::start(server.pid());
    let plan = Plan {
        address,
        until: Instant::now() + time,
    };
    thread::scope(|scope| {
        let loads: Vec<_> = load::LOADS
            .iter()
            .map(|load| (load.name, scope.spawn(move || (load.run)(&plan))))
            .collect();
        while Instant::now() < plan.until {
            thread::sleep(Duration::from_secs(1));
            server.signal("HUP");
        }
        for (name, load) in loads {
            match load.join() {
                Ok(did) => println!("{name}: {did}"),
                Err(_) => faults.push(format!("{name}: failed, see above")),
            }
        }
    });
    let seen = watch.finish();
    let after = load::quiet(server, before.descriptors, QUIET, faults);
    tell_memory(&before, &seen, &after, faults);
    tell_counters(server, faults);
    server.signal("TERM");
    let code = server.wait();
    if code != 0 {
        faults.push(format!("the server ended with {code}"));
    }
}

fn tell_memory(
    before: &watch::Sample,
    seen: &[watch::Sample],
    after: &watch::Sample,
    faults: &mut Vec<String>,
) {
    let average = |samples: &[watch::Sample]| {
        let sum: f64 = samples.iter().map(|sample| sample.megabytes).sum();
        sum / samples.len().max(1) as f64
    };
    let third = seen.len() / 3;
    let (second, last) = (&seen[third..2 * third], &seen[2 * third..]);
    let (second, last) = (average(second), average(last));
    let peak = seen
        .iter()
        .map(|sample| sample.megabytes)
        .fold(0.0, f64::max);
    let (start, end) = (before.megabytes, after.megabytes);
    println!(
        "resident: {start:.1} MB at the start, {peak:.1} MB at most, {end:.1} MB at the end; \
         {second:.1} MB in the second third, {last:.1} MB in the last"
    );
    println!(
        "descriptors: {} at the start, {} at most, {} at the end",
        before.descriptors,
        seen.iter()
            .map(|sample| sample.descriptors)
            .max()
            .unwrap_or(0),
        after.descriptors
    );
    if end - start > KEPT_MB_MAX {
        faults.push(format!("{:.1} MB are not given back", end - start));
    }
    if last - second > GROWN_MB_MAX {
        faults.push(format!("memory grows: {:.1} MB in a third", last - second));
    }
    if after.descriptors > before.descriptors {
        faults.push("descriptors leak".to_owned());
    }
}

fn tell_counters(server: &Server, faults: &mut Vec<String>) {
    const TELLING: [&str; 11] = [
        "refused", "timeout", "stall", "fault", "large", "pause", "backoff", "closed", "dropped",
        "panic", "reload",
    ];
    let stats = kinglet::testkit::client::get(server.address(), "/api/v1/websocket/stats").json();
    let counters = stats["counters"].as_object().cloned().unwrap_or_default();
    for (name, value) in &counters {
        let value = value.as_u64().unwrap_or(0);
        if value > 0 && TELLING.iter().any(|word| name.contains(word)) {
            println!("  {name} {value}");
        }
    }
    let count = |name: &str| counters.get(name).and_then(Value::as_u64).unwrap_or(0);
    for never in [
        "kinglet_handler_panics_total",
        "kinglet_reloads_failed_total",
    ] {
        if count(never) > 0 {
            faults.push(format!("{never} is {}", count(never)));
        }
    }
    // A load that met no resistance has shown nothing.
    for always in [
        "kinglet_handshake_timeouts_total",
        "kinglet_write_stalls_total",
        "kinglet_protocol_faults_total",
        "kinglet_messages_too_large_total",
        "kinglet_http_faults_total",
        "kinglet_connections_refused_limit_total",
        "kinglet_reloads_total",
    ] {
        if count(always) == 0 {
            faults.push(format!("{always} is 0: its load did nothing"));
        }
    }
}
