//! What kinglet costs: memory per connection and CPU time per operation, of the real binary.
//!
//! `make bench` runs all of it; `cargo bench --bench figures -- fanout` runs what is named. The
//! server has core 0, the generator core 1. Figures are the server's CPU time (all threads, from
//! the scheduler) per operation; every delivery is checked by its offset.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod process;
mod swarm;

use std::time::{Duration, Instant};

use kinglet::wire::websocket::frame::Opcode;

use crate::process::{GENERATOR_CORE, Server, own_cpu_nanos};
use crate::swarm::Swarm;

fn main() {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let wants = |name: &str| named.is_empty() || named.iter().any(|n| name.starts_with(n.as_str()));
    let pid = std::process::id().to_string();
    let pinned = std::process::Command::new("taskset")
        .args(["-cp", GENERATOR_CORE, &pid])
        .output()
        .is_ok_and(|done| done.status.success());
    assert!(
        pinned,
        "taskset (util-linux) pins server and generator to a core each"
    );
    if wants("rest") {
        let server = Server::start(&[]);
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
    if wants("idle") {
        idle(10_000);
    }
    for (connections, in_flight, bytes) in [
        (1, 1, 64),
        (100, 1, 64),
        (1000, 1, 64),
        (100, 16, 64),
        (100, 1, 16 * 1024),
    ] {
        if wants("echo") {
            echo(connections, in_flight, bytes);
        }
    }
    if wants("fanout") {
        fanout(1000, Some(50), 1, Duration::from_secs(20), true);
        fanout(1000, Some(200), 1, Duration::from_secs(5), false);
        fanout(1000, None, 16, Duration::from_secs(5), false);
        fanout(10_000, Some(5), 1, Duration::from_secs(10), false);
        fanout(10_000, Some(20), 1, Duration::from_secs(10), false);
    }
}

/// SIGTERM with `count` sessions open: who is told 1001, how long it takes, the exit code. With
/// `twice` a second SIGTERM follows at once.
fn drain(count: usize, twice: bool) {
    let mut server = Server::start(&[]);
    let mut swarm = Swarm::new(server.address, "/ws");
    swarm.connect(server.address, count);
    let (mut told, mut others) = (0, 0);
    let began = Instant::now();
    server.terminate();
    let mut signalled = 1;
    let code = loop {
        swarm.turn(Duration::from_millis(20), |_, opcode, payload| {
            let is_1001 = opcode == Opcode::Close && payload.starts_with(&[0x03, 0xe9]);
            told += usize::from(is_1001);
            others += usize::from(!is_1001);
        });
        if twice && signalled == 1 && began.elapsed() > Duration::from_millis(300) {
            server.terminate();
            signalled = 2;
        }
        if let Some(code) = server.exit_code() {
            swarm.turn(Duration::from_millis(20), |_, _, payload| {
                told += usize::from(payload.starts_with(&[0x03, 0xe9]));
            });
            break code;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "it does not end");
    };
    println!(
        "drain {count}: {told} told 1001, {others} others; exit {code} after {:.2} s and \
         {signalled} SIGTERM",
        began.elapsed().as_secs_f64()
    );
}

/// Connects, upgrades, rests: CPU per handshake, resident bytes per connection.
fn idle(count: usize) {
    let server = Server::start(&[]);
    let mut swarm = Swarm::new(server.address, "/ws");
    swarm.connect(server.address, 10);
    std::thread::sleep(Duration::from_millis(300));
    let (before, cpu) = (server.resident_bytes(), server.cpu_nanos());
    swarm.connect(server.address, count);
    let handshake = (server.cpu_nanos() - cpu) as f64 / count as f64 / 1e3;
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        swarm.turn(Duration::from_millis(100), |_, _, _| {});
    }
    let each = (server.resident_bytes() - before) as f64 / count as f64;
    println!("idle {count}: {each:.0} bytes resident each; handshake {handshake:.1} us CPU");
}

/// Round trips on /ws/echo.
fn echo(connections: usize, in_flight: usize, bytes: usize) {
    let server = Server::start(&[("KINGLET_DEBUG__ECHO", "true")]);
    let mut swarm = Swarm::new(server.address, "/ws/echo");
    swarm.connect(server.address, connections);
    let message = vec![b'x'; bytes];
    for _ in 0..in_flight {
        for index in 0..connections {
            swarm.send(index, &message);
            swarm.flush(index);
        }
    }
    let mut done = 0u64;
    let mut due = Vec::new();
    let mut round = |swarm: &mut Swarm, until: Instant, done: &mut u64| {
        while Instant::now() < until {
            swarm.turn(Duration::from_millis(10), |index, _, payload| {
                assert_eq!(payload.len(), bytes);
                due.push(index);
            });
            *done += due.len() as u64;
            for index in &due {
                swarm.send(*index, &message);
            }
            for index in due.drain(..) {
                swarm.flush(index);
            }
        }
    };
    round(
        &mut swarm,
        Instant::now() + Duration::from_millis(500),
        &mut done,
    );
    done = 0;
    let (cpu, own, began) = (server.cpu_nanos(), own_cpu_nanos(), Instant::now());
    round(&mut swarm, began + Duration::from_secs(3), &mut done);
    let each = (server.cpu_nanos() - cpu) as f64 / done as f64 / 1e3;
    let busy = (own_cpu_nanos() - own) as f64 / began.elapsed().as_nanos() as f64 * 100.0;
    println!(
        "echo {bytes} B x{connections} in flight {in_flight}: {each:.2} us CPU each, \
         {:.0}/s, generator {busy:.0} %",
        done as f64 / began.elapsed().as_secs_f64()
    );
}

/// One publisher on a socket, `count` subscribers in one room, 128 bytes of data.
fn fanout(count: usize, per_second: Option<u64>, in_flight: u64, time: Duration, stall: bool) {
    let server = Server::start(&[]);
    let mut swarm = Swarm::new(server.address, "/ws?room=load:1");
    if stall {
        // The kernel would hold a million bytes for a client that does not read.
        swarm.receive_buffer = Some(4096);
        swarm.connect(server.address, 1);
        swarm.receive_buffer = None;
    }
    swarm.connect(server.address, count - usize::from(stall));
    let mut publisher = Swarm::new(server.address, "/ws?room=load:none");
    publisher.connect(server.address, 1);
    let stalled = stall.then_some(0);
    if let Some(index) = stalled {
        swarm.stall(index);
    }
    let command = format!(
        r#"{{"type":"publish","room":"load:1","event":"tick","data":"{}"}}"#,
        "x".repeat(126)
    );
    let mut last = vec![0u64; count];
    let (mut delivered, mut published, mut acknowledged) = (0u64, 0u64, 0u64);
    let (cpu, split, own) = (server.cpu_nanos(), server.cpu_split(), own_cpu_nanos());
    let began = Instant::now();
    let readers = (count - usize::from(stall)) as u64;
    let goal = per_second.map(|rate| rate * time.as_secs());
    loop {
        let elapsed = began.elapsed();
        let due = match (per_second, goal) {
            (Some(rate), Some(goal)) => {
                let due = u64::try_from(elapsed.as_nanos() * u128::from(rate) / 1_000_000_000);
                due.unwrap_or(0).min(goal)
            }
            _ if elapsed < time => {
                // Saturated: as many on their way as allowed, counted when all have them.
                (delivered / readers + in_flight).max(published)
            }
            _ => published,
        };
        while published < due {
            publisher.send(0, command.as_bytes());
            published += 1;
        }
        publisher.flush(0);
        publisher.turn(Duration::ZERO, |_, _, _| acknowledged += 1);
        swarm.turn(Duration::from_millis(1), |index, opcode, payload| {
            if opcode == Opcode::Text {
                let offset = offset_of(payload);
                assert_eq!(
                    offset,
                    last[index] + 1,
                    "client {index} misses or repeats one"
                );
                last[index] = offset;
                delivered += 1;
            }
        });
        let is_over = elapsed >= time && goal.is_none_or(|goal| published >= goal);
        if is_over && delivered == published * readers && acknowledged == published {
            break;
        }
        assert!(
            elapsed < time + Duration::from_secs(20),
            "{delivered} of {}",
            published * readers
        );
    }
    let wall = began.elapsed();
    let each = (server.cpu_nanos() - cpu) as f64 / delivered as f64 / 1e3;
    let after = server.cpu_split();
    let user = (after.0 - split.0) as f64 * 1e4 / delivered as f64;
    let busy = (own_cpu_nanos() - own) as f64 / wall.as_nanos() as f64 * 100.0;
    let rate = per_second.map_or("saturated".to_owned(), |rate| format!("{rate}/s"));
    println!(
        "fanout to {count}, {rate}, {in_flight} in flight: {each:.2} us CPU per delivery \
         (user {user:.2}), {delivered} deliveries in order, generator {busy:.0} %"
    );
    if let Some(index) = stalled {
        let frames = swarm.drain(index);
        let close = frames.last().expect("frames before the close");
        let code = close
            .1
            .get(..2)
            .map(|code| u16::from_be_bytes([code[0], code[1]]));
        println!(
            "  the stalled subscriber got {} of {published}, then close {code:?} ({:?})",
            frames.len() - 1,
            String::from_utf8_lossy(close.1.get(2..).unwrap_or_default())
        );
        assert_eq!((close.0, code), (Opcode::Close, Some(4000)));
    }
}

fn offset_of(payload: &[u8]) -> u64 {
    let text = std::str::from_utf8(payload).expect("text");
    let (_, rest) = text.split_once("\"offset\":").expect("an offset");
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().expect("a number")
}
