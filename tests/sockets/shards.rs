//! Sessions of Engine.IO whose requests come on connections of other reactors.
//!
//! New connections go to the reactor that has the fewest, so that those which are opened one after
//! the other, and kept, are shared out evenly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kinglet::base::ids::{SessionId, ShardId};
use kinglet::testkit::client::{Answer, Connection};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::testkit::socket_io::{Heard, SocketIoClient, event};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::json;

use crate::clients::secure;
use crate::start;

const REACTORS: usize = 3;
const SETTINGS: [(&str, &str); 2] = [
    ("KINGLET_SERVER__REACTORS", "3"),
    ("KINGLET_DEBUG__ECHO", "true"),
];
const PATH: &str = "/socket.io/?EIO=4&transport=";
const MOVED: &str = "kinglet_connections_moved_total";

/// A client that polls.
struct Polling {
    client: SocketIoClient,
    target: String,
    asked: u64,
}

impl Polling {
    /// Begins a session on `connection` and enters the first namespace.
    fn begin(connection: &mut Connection) -> Self {
        let mut client = SocketIoClient::default();
        let opened = connection.request("GET", &format!("{PATH}polling"), &[], b"");
        assert_eq!(opened.status(), 200, "{opened:?}");
        client.body(opened.body());
        let sid = client.open.as_ref().unwrap().sid.clone();
        let mut polling = Self {
            client,
            target: format!("{PATH}polling&sid={sid}"),
            asked: 0,
        };
        let connect = polling.client.connect("/", None);
        polling.post(connection, &connect);
        while !matches!(
            polling.poll(connection).as_slice(),
            [Heard::Connected(..), ..]
        ) {}
        polling
    }

    fn shard(&self) -> ShardId {
        let sid = self.client.open.as_ref().unwrap().sid.as_str();
        SessionId::parse(sid).unwrap().shard()
    }

    fn post(&mut self, connection: &mut Connection, body: &str) {
        let answer = connection.request("POST", &self.target, &[], body.as_bytes());
        assert_eq!(
            (answer.status(), answer.body()),
            (200, &b"ok"[..]),
            "{answer:?}"
        );
    }

    /// What comes next, which is waited for.
    fn poll(&mut self, connection: &mut Connection) -> Vec<Heard> {
        let answer = connection.request("GET", &self.target, &[], b"");
        assert_eq!(answer.status(), 200, "{answer:?}");
        self.client.body(answer.body());
        self.client.take()
    }

    /// Asks for an acknowledgement by one request and gets it by others.
    fn ask(&mut self, mut connection: impl FnMut() -> Connection) {
        self.ask_by(&mut |polling, body| polling.post(&mut connection(), body));
        self.hear_by(&mut |polling| polling.poll(&mut connection()));
    }

    fn ask_by(&mut self, post: &mut dyn FnMut(&mut Self, &str)) {
        self.asked += 1;
        let body = question(self.asked);
        post(self, &body);
    }

    fn hear_by(&mut self, poll: &mut dyn FnMut(&mut Self) -> Vec<Heard>) {
        let mut heard = Vec::new();
        while !heard.contains(&acknowledged(self.asked)) {
            heard = poll(self);
        }
    }
}

fn question(number: u64) -> String {
    event("/", "message-with-ack", &json!([number]), 0, Some(number))
}

fn acknowledged(number: u64) -> Heard {
    Heard::Ack {
        namespace: "/".to_owned(),
        id: number,
        array: vec![json!(number)],
        attachments: Vec::new(),
    }
}

/// One client for each reactor, each with the connection that it began on.
fn one_for_each(server: &Server) -> Vec<(Polling, Connection)> {
    let mut clients: Vec<(Polling, Connection)> = Vec::new();
    let mut others = Vec::new();
    until("a session in each reactor", || {
        let mut connection = server.connect();
        let polling = Polling::begin(&mut connection);
        match clients.iter().any(|(it, _)| it.shard() == polling.shard()) {
            true => others.push(connection),
            false => clients.push((polling, connection)),
        }
        clients.len() == REACTORS
    });
    clients.sort_by_key(|(polling, _)| polling.shard());
    let shards: Vec<ShardId> = clients.iter().map(|(it, _)| it.shard()).collect();
    assert_eq!(shards, [ShardId(0), ShardId(1), ShardId(2)]);
    clients
}

fn finds_its_session_on_every_connection(server: &Server) {
    let mut clients = one_for_each(server);
    for _ in 0..34 {
        for (polling, _) in &mut clients {
            polling.ask(|| server.connect());
        }
    }
    assert!(
        server.counter(MOVED) > 60,
        "{} moved",
        server.counter(MOVED)
    );
}

#[test]
fn a_client_that_polls_finds_its_session_on_every_new_connection() {
    finds_its_session_on_every_connection(&start(&SETTINGS));
}

#[test]
fn a_client_that_polls_finds_its_session_on_every_new_connection_over_tls() {
    let (server, _data) = secure(&SETTINGS);
    finds_its_session_on_every_connection(&server);
}

#[test]
fn a_connection_serves_sessions_of_all_reactors_in_turn_also_at_once() {
    let (server, _data) = secure(&SETTINGS);
    let (mut clients, mut own): (Vec<_>, Vec<_>) = one_for_each(&server).into_iter().unzip();
    let connection = own.first_mut().unwrap();
    let before = server.counter(MOVED);
    for _ in 0..20 {
        for polling in &mut clients {
            polling.ask_by(&mut |polling, body| polling.post(connection, body));
            polling.hear_by(&mut |polling| polling.poll(connection));
        }
    }
    assert!(server.counter(MOVED) >= before + 59);
    // All of a round's requests are sent before the first is answered.
    for _ in 0..20 {
        let mut requests = Vec::new();
        for polling in &mut clients {
            polling.asked += 1;
            let (target, body) = (&polling.target, question(polling.asked));
            let length = body.len();
            let host = connection.host();
            requests.extend_from_slice(
                format!(
                    "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n\
                     {body}GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
                )
                .as_bytes(),
            );
        }
        connection.send(requests);
        for polling in &mut clients {
            assert_eq!(connection.answer(false).unwrap().body(), b"ok");
            let polled = connection.answer(false).unwrap();
            polling.client.body(polled.body());
            if !polling.client.take().contains(&acknowledged(polling.asked)) {
                polling.hear_by(&mut |polling| polling.poll(&mut server.connect()));
            }
        }
    }
}

/// What a WebSocket brings next of the session.
fn hear(socket: &mut Socket, client: &mut SocketIoClient) -> Vec<Heard> {
    loop {
        match socket.receive() {
            Received::Text(text) => client.text(&text),
            other => panic!("a packet was expected, not {other:?}"),
        }
        let heard = client.take();
        if !heard.is_empty() {
            return heard;
        }
    }
}

fn goes_over_to_a_websocket(server: &Server) {
    for (mut polling, _connection) in one_for_each(server) {
        let sid = polling.client.open.as_ref().unwrap().sid.clone();
        let target = format!("{PATH}websocket&sid={sid}");
        // One that is cut before it has replaced polling changes nothing.
        for _ in 0..REACTORS {
            let socket = Socket::handshake(server.connect(), &target, &[], &[]);
            drop(socket.unwrap());
            polling.ask(|| server.connect());
        }
        let mut socket = Socket::handshake(server.connect(), &target, &[], &[]).unwrap();
        socket.text("2probe");
        assert_eq!(hear(&mut socket, &mut polling.client), [Heard::Probed]);
        socket.text("5");
        for number in 1000..1010 {
            socket.text(&question(number));
            let heard = hear(&mut socket, &mut polling.client);
            assert_eq!(heard, [acknowledged(number)]);
        }
        socket.frame(true, Opcode::Close, b"");
    }
}

#[test]
fn a_session_goes_over_to_a_websocket_that_another_reactor_accepted() {
    let server = start(&SETTINGS);
    goes_over_to_a_websocket(&server);
    assert!(server.counter(MOVED) > 0);
}

#[test]
fn a_session_goes_over_to_a_websocket_that_another_reactor_accepted_over_tls() {
    let (server, _data) = secure(&SETTINGS);
    goes_over_to_a_websocket(&server);
    assert!(server.counter(MOVED) > 0);
}

#[test]
fn a_session_that_no_reactor_has_is_unknown() {
    let server = start(&SETTINGS);
    let mut connection = server.connect();
    let begun = Polling::begin(&mut connection);
    for shard in [0, 1, 2, 3, 64, u16::MAX] {
        let sid = SessionId::in_shard(0x0123_4567_89ab_cdef << 48, ShardId(shard));
        let target = format!("{PATH}polling&sid={sid}");
        for method in ["GET", "POST"] {
            let refused = connection.request(method, &target, &[], b"");
            let expected = json!({"code": 1, "message": "Session ID unknown"});
            assert_eq!(
                (refused.status(), refused.json()),
                (400, expected),
                "{shard}"
            );
            if refused.header("connection") == "close" {
                connection = server.connect();
            }
        }
    }
    drop(begun);
}

#[test]
fn requests_on_their_way_between_reactors_do_not_hold_up_the_end() {
    let mut server = start(&SETTINGS);
    let clients = one_for_each(&server);
    let targets: Vec<String> = clients.iter().map(|(it, _)| it.target.clone()).collect();
    let (has_ended, address) = (AtomicBool::new(false), server.address());
    let code = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !has_ended.load(Ordering::Relaxed) {
                    let Ok(mut connection) = Connection::try_open(address) else {
                        return;
                    };
                    let mut request = |target: &str| -> Option<Answer> {
                        let request = format!(
                            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n6"
                        );
                        connection.try_send(request.as_bytes()).ok()?;
                        connection.answer(false).ok()
                    };
                    while let Some(answer) = targets.iter().map(|it| request(it)).last().flatten() {
                        assert!([200, 400, 503].contains(&answer.status()), "{answer:?}");
                    }
                }
            });
        }
        until("connections move", || server.counter(MOVED) > 200);
        server.signal("TERM");
        let code = server.wait();
        has_ended.store(true, Ordering::Relaxed);
        code
    });
    assert_eq!(code, 0, "{}", server.stderr());
    assert!(
        server.stderr().contains("complete=true"),
        "{}",
        server.stderr()
    );
}
