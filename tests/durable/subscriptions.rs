//! Durable subscriptions: what is new after `kill -9` for somebody who kept no position.

use kinglet::testkit::client::{Connection, post};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens::{Token, VARIABLES};
use serde_json::{Value, json};

use crate::{offset_of, start};

/// Comes back as `name`: the reply, and the offsets that are new.
fn come(server: &Server, name: &str) -> (Socket, Value, Vec<u64>) {
    let mut socket = Socket::open(server.address(), "/ws?room=elsewhere");
    let reply = socket.ask(&json!({"type": "subscribe", "room": "a", "durable": name}));
    assert_eq!(reply["recovered"], true, "{reply}");
    let publications = reply["publications"].as_array().unwrap();
    let offsets = publications.iter().map(offset_of).collect();
    (socket, reply, offsets)
}

fn publish(server: &Server, count: u64) {
    for number in 0..count {
        let body = json!({"room": "a", "event": "e", "data": number});
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
    }
}

#[test]
fn after_kill_9_exactly_what_was_not_acknowledged_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    publish(&server, 2);
    let (mut socket, reply, new) = come(&server, "phone");
    assert_eq!((&reply["acknowledged"], new), (&json!(2), vec![]));
    publish(&server, 5);
    for offset in 3..=7 {
        assert_eq!(socket.message()["offset"], offset);
    }
    let answer = socket.ask(&json!({"type": "ack", "room": "a", "offset": 4}));
    assert_eq!(answer["type"], "acknowledged", "{answer}");
    // Dropping a server kills it with -9.
    drop(server);
    let server = start(directory.path(), &[]);
    publish(&server, 1);
    let (_, reply, new) = come(&server, "phone");
    assert_eq!((&reply["acknowledged"], new), (&json!(4), vec![5, 6, 7, 8]));
    let (_, _, new) = come(&server, "laptop");
    assert_eq!(new, [0; 0]);
    let forget = json!({"type": "unsubscribe", "room": "a", "durable": "phone", "forget": true});
    let (mut socket, ..) = come(&server, "phone");
    assert_eq!(socket.ask(&forget)["type"], "unsubscribed");
    drop(server);
    let server = start(directory.path(), &[]);
    assert_eq!(come(&server, "phone").2, [0; 0]);
}

#[test]
fn another_user_with_the_same_name_has_another_position() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &VARIABLES);
    let open = |token: &Token| {
        let bearer = token.bearer();
        let headers = [("Authorization", bearer.as_str())];
        let connection = Connection::open(server.address());
        Socket::handshake(connection, "/ws?room=global", &[], &headers).unwrap()
    };
    let come = |user: &str| {
        let mut socket = open(&Token::of(user).role("user"));
        let subscribe = json!({"type": "subscribe", "room": "project:1", "durable": "phone"});
        let reply = socket.ask(&subscribe);
        (socket, reply["acknowledged"].clone(), reply)
    };
    let (mut ada, _, _) = come("ada");
    let mut root = open(&Token::of("root").role("admin"));
    for number in 0..3 {
        let publish = json!({"type": "publish", "room": "project:1", "event": "e", "data": number});
        assert_eq!(root.ask(&publish)["type"], "published");
        ada.message();
    }
    ada.ask(&json!({"type": "ack", "room": "project:1", "offset": 1}));
    assert_eq!(come("bob").1, 3);
    let (_, acknowledged, reply) = come("ada");
    assert_eq!(acknowledged, 1);
    assert_eq!(reply["publications"].as_array().unwrap().len(), 2);
}
