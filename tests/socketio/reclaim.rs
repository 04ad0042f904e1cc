//! Clients that come back to another reactor, while others publish without a pause.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use kinglet::base::ids::SessionId;
use kinglet::testkit::client::Connection;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::testkit::socket_io::{Heard, SocketIoClient, event};
use serde_json::{Value, json};

use crate::session::WEBSOCKET;
use crate::start;

const SETTINGS: [(&str, &str); 3] = [
    ("KINGLET_SERVER__REACTORS", "3"),
    ("KINGLET_SOCKETIO__RECOVERY", "2m"),
    ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
];

/// Publications that may be on their way: far fewer than a session keeps, and than rooms do.
const AHEAD: u64 = 40;

/// How often the client comes back.
const ROUNDS: usize = 90;

/// What the publisher and the client know of each other.
#[derive(Default)]
struct Progress {
    heard: AtomicU64,
    is_over: AtomicBool,
}

/// Publishes 1, 2, 3 and so on, each to one room or to two.
fn publish(server: &Server, progress: &Progress) {
    let mut connection = Connection::open(server.address());
    let mut data = 0;
    while !progress.is_over.load(Ordering::Relaxed) {
        if data >= progress.heard.load(Ordering::Relaxed) + AHEAD {
            thread::yield_now();
            continue;
        }
        data += 1;
        let rooms: &[&str] = match data % 4 {
            0 => &["chat:1", "chat:2"],
            1 => &["chat:2", "global"],
            2 => &["chat:1"],
            _ => &["chat:2"],
        };
        let body = json!({"rooms": rooms, "event": "said", "data": data}).to_string();
        let answer = connection.request("POST", "/api/v1/publish", &[], body.as_bytes());
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
}

fn next(socket: &mut Socket, client: &mut SocketIoClient) -> Heard {
    loop {
        if !client.heard.is_empty() {
            return client.heard.remove(0);
        }
        match socket.receive() {
            Received::Text(text) => client.text(&text),
            other => panic!("a packet was expected, not {other:?}"),
        }
    }
}

/// Comes in, perhaps again; the id that the client is told, and its shard.
fn come(server: &Server, client: &mut SocketIoClient) -> (Socket, Value, u16) {
    let mut socket = Socket::open(server.address(), WEBSOCKET);
    let known = std::mem::take(client);
    client.recovery = known.recovery;
    while client.open.is_none() {
        match socket.receive() {
            Received::Text(text) => client.text(&text),
            other => panic!("a packet was expected, not {other:?}"),
        }
    }
    let sid = &client.open.as_ref().unwrap().sid;
    let shard = SessionId::parse(sid).unwrap().shard();
    socket.text(&client.connect("/", None));
    match next(&mut socket, client) {
        Heard::Connected(_, told) => (socket, told["sid"].clone(), shard.0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_comes_back_to_any_reactor_hears_everything_once_and_in_order() {
    let server = start(&SETTINGS);
    let mut client = SocketIoClient::default();
    let (mut socket, id, shard) = come(&server, &mut client);
    for (number, room) in ["chat:1", "chat:2"].into_iter().enumerate() {
        let asked = event("/", "subscribe", &json!([room]), 0, Some(number as u64));
        socket.text(&asked);
        while !matches!(next(&mut socket, &mut client), Heard::Ack { .. }) {}
    }
    let (progress, mut shards, mut last) = (Progress::default(), BTreeSet::from([shard]), 0);
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&server, &progress));
        for round in 0..ROUNDS {
            while last < (round as u64 + 1) * 25 {
                if let Heard::Event { array, .. } = next(&mut socket, &mut client)
                    && array[0] == "said"
                {
                    assert_eq!(array[1], last + 1, "in round {round}");
                    last += 1;
                    progress.heard.store(last, Ordering::Relaxed);
                }
            }
            // What it has not read is lost with the connection, if it came at all.
            assert!(client.heard.is_empty());
            let kept = (round % 2 == 0).then_some(socket);
            let (again, told, shard) = come(&server, &mut client);
            assert_eq!(told, id, "in round {round}");
            shards.insert(shard);
            socket = again;
            drop(kept);
        }
        progress.is_over.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
    });
    let reclaimed = server.counter("kinglet_sessions_reclaimed_total");
    assert!(reclaimed > 10, "{reclaimed}");
    assert!(shards.len() > 1, "{shards:?}");
    assert_eq!(server.counter("kinglet_sessions_not_recovered_total"), 0);
}
