//! Behind a proxy: whose request it is, which name the page knows, what counts for whom. The proxy
//! is this test, which connects from loopback and writes what proxies write; `nginx.rs` has a real
//! one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use kinglet::testkit::client::{Answer, Connection, get};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use serde_json::json;

use crate::{start, still_serves};

fn upgrade(server: &Server, headers: &[(&str, &str)]) -> Result<Socket, Answer> {
    Socket::handshake(Connection::open(server.address()), "/ws", &[], headers)
}

fn upgrade_for(server: &Server, client: &str) -> Result<Socket, Answer> {
    upgrade(server, &[("X-Forwarded-For", client)])
}

/// Connects for `client` from `threads` threads at once, `each` times; the sockets that it got.
fn storm(server: &Server, client: Option<&str>, threads: usize, each: usize) -> Vec<Socket> {
    let connect = || {
        let named = client.map(|client| ("X-Forwarded-For", client));
        let sockets = (0..each).filter_map(|_| upgrade(server, named.as_slice()).ok());
        sockets.collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(connect)).collect();
        let ended = all.into_iter().map(|thread| thread.join().unwrap());
        ended.flatten().collect()
    })
}

#[test]
fn a_page_is_let_in_by_the_host_that_its_proxy_was_asked_for() {
    let server = start(&[]);
    let check = |origin: &str, forwarded: &str, status: u16| {
        let headers = [("Origin", origin), ("X-Forwarded-Host", forwarded)];
        let upgraded = upgrade(&server, &headers);
        let found = upgraded.map_or_else(|refusal| refusal.status(), |_| 101);
        assert_eq!(found, status, "{origin} {forwarded}");
        let mut connection = Connection::open(server.address());
        let body = json!({"room": "a", "event": "x"}).to_string();
        let answer = connection.request("POST", "/api/v1/publish", &headers, body.as_bytes());
        let expected = if status == 101 { 200 } else { status };
        assert_eq!(answer.status(), expected, "{origin} {forwarded}");
    };
    check("https://chat.example", "chat.example", 101);
    check("http://chat.example", "chat.example", 101);
    check("https://chat.example:8443", "chat.example:8443", 101);
    check("https://chat.example", "first.example, chat.example", 101);
    // A proxy that leaves the port out names another site.
    check("https://chat.example:8443", "chat.example", 403);
    check("https://evil.example", "chat.example", 403);
    check("https://chat.example", "chat.example, evil.example", 403);
    check("null", "null", 403);
}

#[test]
fn who_is_no_trusted_proxy_speaks_for_itself_and_is_told_so() {
    let server = start(&[
        ("KINGLET_SERVER__TRUSTED_PROXIES", "192.0.2.0/24"),
        ("KINGLET_LIMITS__CONNECTIONS_PER_IP", "1"),
    ]);
    let page = [
        ("Origin", "https://chat.example"),
        ("X-Forwarded-Host", "chat.example"),
    ];
    let refusal = upgrade(&server, &page).unwrap_err();
    let message = refusal.json()["error"]["message"].to_string();
    assert_eq!(refusal.status(), 403);
    for part in ["chat.example", "127.0.0.1:", "server.trusted_proxies"] {
        assert!(message.contains(part), "{message}");
    }
    // It is a direct client from this machine, which no limit per client is for.
    let _kept = [0, 1, 2].map(|_| upgrade_for(&server, "198.51.100.1").unwrap());
}

#[test]
fn the_eleventh_socket_of_a_client_is_refused_and_the_first_of_another_is_not() {
    let server = start(&[]);
    let mut kept: Vec<Socket> = (0..10)
        .map(|_| upgrade_for(&server, "198.51.100.1").unwrap())
        .collect();
    let refusal = upgrade_for(&server, "203.0.113.9, 198.51.100.1").unwrap_err();
    assert_eq!(
        (refusal.status(), refusal.code()),
        (429, "CONNECTION_LIMIT".into())
    );
    assert_eq!(refusal.header("retry-after"), "5");
    let _other = upgrade_for(&server, "198.51.100.2").unwrap();
    let _direct = Socket::open(server.address(), "/ws");
    drop(kept.pop());
    until("there is room for one", || {
        upgrade_for(&server, "198.51.100.1").is_ok_and(|socket| {
            kept.push(socket);
            true
        })
    });
    assert!(upgrade_for(&server, "198.51.100.1").is_err());
    assert_eq!(kept.len(), 10);
}

#[test]
fn at_once_from_many_sides_nobody_gets_one_too_many() {
    let server = start(&[
        ("KINGLET_LIMITS__NEW_CONNECTIONS_PER_MINUTE", "0"),
        ("KINGLET_LIMITS__CONNECTIONS", "40"),
    ]);
    for _ in 0..3 {
        let mine = storm(&server, Some("198.51.100.1"), 8, 10);
        assert_eq!(mine.len(), 10);
        let all = storm(&server, None, 8, 10);
        assert_eq!(all.len(), 30);
        drop((mine, all));
        until("all are gone", || {
            get(server.address(), "/health").json()["connections"] == 1
        });
    }
    assert_eq!(
        server.counter("kinglet_connections_refused_client_total"),
        3 * 70
    );
    assert!(server.counter("kinglet_reserved_refused_total") > 0);
}

#[test]
fn at_once_from_many_sides_the_rate_holds() {
    let server = start(&[
        ("KINGLET_LIMITS__CONNECTIONS_PER_IP", "0"),
        ("KINGLET_LIMITS__NEW_CONNECTIONS_PER_MINUTE", "20"),
    ]);
    let (refused, began) = (AtomicUsize::new(0), Instant::now());
    let connect = || {
        for _ in 0..10 {
            if let Err(refusal) = upgrade_for(&server, "198.51.100.1") {
                assert_eq!(refusal.status(), 429);
                let wait: u64 = refusal.header("retry-after").parse().unwrap();
                assert!((1..=4).contains(&wait), "{wait}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(connect);
        }
    });
    // Twenty come in, and one more for each three seconds that it takes.
    let earned = usize::try_from(began.elapsed().as_secs() / 3).unwrap() + 1;
    let refused = refused.into_inner();
    assert!((60 - earned..=60).contains(&refused), "{refused}");
    still_serves(&server);
}

/// What the kernel says each poll of the server waits for: how many descriptors.
#[cfg(target_os = "linux")]
fn polled(server: &Server) -> std::collections::BTreeMap<std::ffi::OsString, usize> {
    let folder = format!("/proc/{}/fdinfo", server.pid());
    std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let info = std::fs::read_to_string(entry.path()).ok()?;
            let count = info.lines().filter(|line| line.starts_with("tfd:")).count();
            Some((entry.file_name(), count))
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn connections_are_shared_out_evenly_over_reactors() {
    let server = start(&[("KINGLET_SERVER__REACTORS", "2")]);
    let own = polled(&server);
    assert_eq!(own.len(), 3, "those of the reactors and of the executor");
    let check = |sockets: &[Socket]| {
        let half = sockets.len() / 2;
        let found = polled(&server);
        let mut grown: Vec<usize> = own.iter().map(|(poll, own)| found[poll] - own).collect();
        grown.sort_unstable();
        assert_eq!(grown, [0, half, half]);
    };
    let open = || Socket::open(server.address(), "/ws");
    let mut sockets: Vec<Socket> = (0..100).map(|_| open()).collect();
    check(&sockets);
    // Those that leave make room where they were.
    let leaving = sockets.iter().step_by(2).count();
    let mut index = 0;
    sockets.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    until("they are gone", || {
        polled(&server).values().sum::<usize>() == own.values().sum::<usize>() + sockets.len()
    });
    sockets.extend((0..leaving).map(|_| open()));
    check(&sockets);
}
