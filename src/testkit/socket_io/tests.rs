//! The client against a server that is nothing but the two machines and a queue: what the public
//! protocol suites expect of their test server, over both transports.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::ids::{PeerId, SessionId};
use crate::protocol::engine_session::step::{Outlet, PollAnswer, Received, Step as EngineStep};
use crate::protocol::engine_session::{EngineSession, Timing};
use crate::protocol::socket_session::{NO_NAMESPACE, Rules, SocketSession, Step};
use crate::wire::engine_io::handshake::{Terms, Transport, write_open};
use crate::wire::engine_io::payload;

const TIMING: Timing = Timing {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_secs(1),
    close_timeout: Duration::from_secs(1),
};

const NOW: Mono = Mono::ZERO;

const fn peer(slot: u32) -> PeerId {
    PeerId {
        slot,
        generation: 0,
    }
}

/// What a session has to send.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Queued {
    Text(String),
    Bytes(Bytes),
}

/// A session, what it has to send, and what its connections got.
struct Server {
    engine: EngineSession,
    socket: SocketSession,
    rules: Rules,
    queue: Vec<Queued>,
    /// Answers to requests and frames, in order, by connection.
    got: Vec<(u32, Queued)>,
    is_over: bool,
}

impl Server {
    fn new(transport: Transport) -> Self {
        let rules = Rules {
            namespaces: Arc::from([Arc::from("/"), Arc::from("/custom")]),
            connect_timeout: Duration::from_secs(1),
            attachment_timeout: Duration::from_secs(1),
            packet_bytes: 1_000_000,
        };
        let engine = match transport {
            Transport::Polling => EngineSession::polling(&TIMING, NOW),
            Transport::WebSocket => EngineSession::websocket(peer(0), &TIMING, NOW),
        };
        let terms = Terms {
            ping_interval: TIMING.ping_interval,
            ping_timeout: TIMING.ping_timeout,
            max_payload: rules.packet_bytes,
        };
        let mut open = Vec::new();
        write_open(SessionId(7), transport, &terms, &mut open);
        Self {
            socket: SocketSession::new(&rules, NOW),
            engine,
            rules,
            queue: vec![Queued::Text(String::from_utf8(open).unwrap())],
            got: Vec::new(),
            is_over: false,
        }
    }

    fn poll(&mut self, id: u32) {
        let steps = self.engine.poll(peer(id));
        self.perform(steps);
        self.flush();
    }

    fn post(&mut self, id: u32, body: &str) {
        let steps = self.engine.post(peer(id));
        self.perform(steps);
        let limits = PayloadLimits {
            bytes: 1_000_000,
            packets: 100,
        };
        match payload::packets(body.as_bytes(), &limits) {
            Err(fault) => {
                let steps = self.engine.fail(fault);
                self.perform(steps);
            }
            Ok(packets) => {
                for packet in packets {
                    match packet {
                        Ok(packet) => self.receive(id, packet),
                        Err(fault) => {
                            let steps = self.engine.fail(fault);
                            self.perform(steps);
                        }
                    }
                }
            }
        }
        let steps = self.engine.posted(peer(id));
        self.perform(steps);
        self.flush();
    }

    fn frame(&mut self, id: u32, text: &str) {
        match Carrier::parse(text) {
            Ok(packet) => self.receive(id, packet),
            Err(fault) => {
                let steps = self.engine.fail(fault);
                self.perform(steps);
            }
        }
        self.flush();
    }

    fn receive(&mut self, from: u32, packet: Carrier<'_>) {
        let received = self.engine.receive(peer(from), packet, &TIMING, NOW);
        let meant = match received {
            Received::Steps(steps) => return self.perform(steps),
            Received::Text(text) => self.socket.text(text, &self.rules, NOW),
            Received::Binary(bytes) => self.socket.binary(bytes, &self.rules, NOW),
        };
        match meant {
            Ok(step) => self.application(step),
            Err(_) => {
                let steps = self.engine.close(&TIMING, NOW);
                self.perform(steps);
            }
        }
    }

    /// What the suites' test server does.
    fn application(&mut self, step: Step<'_>) {
        match step {
            Step::Connect { namespace, auth } => {
                assert!(self.socket.connected(&namespace));
                self.say(|out| encode::connected(&namespace, "me", None, out));
                let text = EventText {
                    name: "auth",
                    arguments: auth.as_deref().unwrap_or("{}"),
                    ..EventText::default()
                };
                self.say(|out| encode::event(&namespace, &text, out));
            }
            Step::UnknownNamespace(name) => {
                self.say(|out| encode::connect_error(&name, NO_NAMESPACE, None, out));
            }
            Step::Event {
                namespace,
                id,
                payload,
                attachments,
            } => {
                let count = attachments.len();
                match (payload.name(), id) {
                    ("message", _) => {
                        let text = EventText {
                            name: "message-back",
                            arguments: payload.arguments(),
                            attachments: count,
                            ..EventText::default()
                        };
                        self.say(|out| encode::event(&namespace, &text, out));
                    }
                    ("message-with-ack", Some(id)) => {
                        let arguments = payload.arguments();
                        self.say(|out| encode::ack(&namespace, id, arguments, count, out));
                    }
                    _ => {}
                }
                self.queue
                    .extend(attachments.into_iter().map(Queued::Bytes));
            }
            Step::Nothing | Step::Acknowledged { .. } | Step::Left(_) => {}
        }
    }

    fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.queue.push(Queued::Text(message(write)));
    }

    fn perform(&mut self, steps: Vec<EngineStep>) {
        for step in steps {
            let (id, answer) = match step {
                EngineStep::QueuePing => {
                    self.queue.push(Queued::Text("2".to_owned()));
                    continue;
                }
                EngineStep::MoveTo(_) => continue,
                EngineStep::End(_) => {
                    self.is_over = true;
                    continue;
                }
                EngineStep::AnswerPoll(id, PollAnswer::Noop) => (id, "6".to_owned()),
                EngineStep::AnswerPoll(id, PollAnswer::QueuedOrNoop) => match self.body() {
                    body if body.is_empty() => (id, "6".to_owned()),
                    body => (id, body),
                },
                EngineStep::AnswerPoll(id, PollAnswer::QueuedThenClose) => {
                    self.queue.push(Queued::Text("1".to_owned()));
                    (id, self.body())
                }
                EngineStep::AnswerPost(id) => (id, "ok".to_owned()),
                EngineStep::Refuse(id, fault) => (id, format!("refused {}", fault.code())),
                EngineStep::AnswerProbe(id) => (id, "3probe".to_owned()),
                EngineStep::CloseSocket(id) => (id, "closed".to_owned()),
            };
            self.got.push((id.slot, Queued::Text(answer)));
        }
    }

    fn flush(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        match self.engine.outlet() {
            Outlet::Nowhere => {}
            Outlet::Socket(id) => {
                let frames = std::mem::take(&mut self.queue);
                let frames = frames.into_iter().map(|frame| (id.slot, frame));
                self.got.extend(frames);
            }
            Outlet::Poll(id) => {
                assert_eq!(self.engine.take_poll(), Some(id));
                let body = self.body();
                self.got.push((id.slot, Queued::Text(body)));
            }
        }
    }

    fn body(&mut self) -> String {
        let mut body = Vec::new();
        for queued in self.queue.drain(..) {
            match queued {
                Queued::Text(text) => payload::push_text(text.as_bytes(), &mut body),
                Queued::Bytes(bytes) => payload::push_binary(&bytes, &mut body),
            }
        }
        String::from_utf8(body).unwrap()
    }

    /// What connection `id` got, and all others nothing.
    fn got(&mut self, id: u32) -> Vec<String> {
        let got = std::mem::take(&mut self.got);
        got.into_iter()
            .map(|(to, what)| {
                assert_eq!(to, id, "{what:?}");
                match what {
                    Queued::Text(text) => text,
                    Queued::Bytes(bytes) => format!("{:?}", &*bytes),
                }
            })
            .collect()
    }

    /// One on a WebSocket whose client is in the main namespace.
    fn connected() -> Self {
        let mut server = Self::new(Transport::WebSocket);
        server.frame(0, "40");
        let got = server.got(0);
        assert_eq!(got.len(), 3);
        assert_eq!(got[1..], [r#"40{"sid":"me"}"#, r#"42["auth",{}]"#]);
        server
    }
}

#[test]
fn a_session_of_polls_goes_over_to_a_websocket() {
    let (mut server, mut client) = (Server::new(Transport::Polling), SocketIoClient::default());
    server.poll(1);
    client.body(server.got(1)[0].as_bytes());
    let open = client.open.clone().unwrap();
    assert_eq!(open.upgrades, ["websocket"]);
    assert_eq!((open.ping_interval, open.ping_timeout), (300, 200));
    server.poll(2);
    assert!(server.got.is_empty(), "a poll hangs");
    let auth = json!({"token": "123"});
    server.post(3, &client.connect("/custom", Some(&auth)));
    let (post, poll) = (server.got.remove(0), server.got.remove(0));
    assert_eq!(post, (3, Queued::Text("ok".to_owned())));
    let Queued::Text(body) = poll.1 else {
        panic!("a poll gets text");
    };
    client.body(body.as_bytes());
    let connected = Heard::Connected("/custom".to_owned(), json!({"sid": "me"}));
    let Heard::Event { array, .. } = &client.take()[1] else {
        panic!("the event follows {connected:?}");
    };
    assert_eq!(array, &[json!("auth"), auth]);

    server.poll(4);
    let steps = server.engine.attach(peer(5), &TIMING, NOW);
    assert_eq!(steps, []);
    server.frame(5, "2probe");
    let got = std::mem::take(&mut server.got);
    let text = |text: &str| Queued::Text(text.to_owned());
    assert_eq!(got, [(5, text("3probe")), (4, text("6"))]);
    // What is said between the probe and the upgrade arrives behind it.
    server.post(6, &event("/custom", "message", &json!([1, "2"]), 0, None));
    assert_eq!(server.got(6), ["ok"]);
    server.frame(5, "5");
    assert_eq!(server.got(5), [r#"42/custom,["message-back",1,"2"]"#]);
    server.poll(7);
    assert_eq!(server.got(7), ["refused 3"]);
    server.frame(5, &event("/custom", "message", &json!([]), 0, None));
    assert_eq!(server.got(5), [r#"42/custom,["message-back"]"#]);
}

#[test]
fn the_suites_packets_come_back_as_they_expect() {
    let check = |frames: &[&str], expected: &[&str]| {
        let mut server = Server::connected();
        for frame in frames {
            server.frame(0, frame);
        }
        assert_eq!(server.got(0), expected, "{frames:?}");
    };
    check(
        &[r#"42["message",1,"2",{"3":[true]}]"#],
        &[r#"42["message-back",1,"2",{"3":[true]}]"#],
    );
    check(
        &[r#"42456["message-with-ack",1,"2",{"3":[false]}]"#],
        &[r#"43456[1,"2",{"3":[false]}]"#],
    );
    check(
        &["40/random"],
        &[r#"44/random,{"message":"Invalid namespace"}"#],
    );
    check(
        &["40/custom", "41/custom", r#"42["message","to main"]"#],
        &[
            r#"40/custom,{"sid":"me"}"#,
            r#"42/custom,["auth",{}]"#,
            r#"42["message-back","to main"]"#,
        ],
    );
    check(&["41"], &[]);
    for invalid in [
        "4abc",
        "4",
        "42{}",
        "42abc[\"message\",1]",
        "49[]",
        "abc",
        "1",
        "2",
    ] {
        check(&[invalid], &["closed"]);
    }
}

#[test]
fn attachments_come_back_over_either_transport() {
    let places = json!([place(0), place(1)]);
    let frame = event("/", "message", &places, 2, None);
    let acked = event("/", "message-with-ack", &places, 2, Some(9));
    let mut server = Server::connected();
    for sent in [&frame, &acked] {
        server.frame(0, sent);
        for bytes in [&[1u8, 2, 3][..], &[4]] {
            server.receive(0, Carrier::binary(bytes));
        }
        server.flush();
    }
    let back = event("/", "message-back", &places, 2, None);
    let answer = ack("/", 9, &places, 2);
    let bytes = ["[1, 2, 3]", "[4]"];
    let expected = [&back, bytes[0], bytes[1], &answer, bytes[0], bytes[1]];
    assert_eq!(server.got(0), expected);

    let (mut server, mut client) = (Server::new(Transport::Polling), SocketIoClient::default());
    server.post(1, &format!("40\u{1e}{frame}\u{1e}bAQID\u{1e}bBA=="));
    assert_eq!(server.got(1), ["ok"]);
    server.poll(2);
    client.body(server.got(2)[0].as_bytes());
    let heard = client.take();
    let expected = Heard::Event {
        namespace: "/".to_owned(),
        id: None,
        array: vec![json!("message-back"), place(0), place(1)],
        attachments: vec![Bytes::from_static(&[1, 2, 3]), Bytes::from_static(&[4])],
    };
    assert_eq!(heard.last(), Some(&expected));
}

#[test]
fn a_body_that_is_no_payload_ends_the_session() {
    for body in ["abc", "", "4a\u{1e}", "4\u{1e}b!"] {
        let mut server = Server::new(Transport::Polling);
        server.poll(1);
        server.got.clear();
        server.post(2, body);
        assert!(server.is_over, "{body:?}");
        assert_eq!(server.got(2).len(), 1, "{body:?}");
        server.poll(3);
        assert_eq!(server.got(3), ["refused 1"], "{body:?}");
    }
}

#[test]
fn a_client_with_a_pid_comes_back_to_the_last_offset_it_heard() {
    let mut client = SocketIoClient::default();
    assert_eq!(client.connect("/", None), "40");
    client.text(r#"40{"sid":"a"}"#);
    client.text(r#"42["a","no offset"]"#);
    assert_eq!(client.connect("/", None), "40");
    client.text(r#"40{"sid":"a","pid":"p"}"#);
    assert_eq!(client.connect("/", None), r#"40{"pid":"p"}"#);
    client.text(r#"42["a",1,"x"]"#);
    client.text(r#"427["a","asked"]"#);
    client.text(r#"42["a",2]"#);
    let auth = json!({"token": "t"});
    let expected = r#"40{"offset":"x","pid":"p","token":"t"}"#;
    assert_eq!(client.connect("/", Some(&auth)), expected);
    client.text("2");
    assert_eq!(client.owed, ["3"]);
}
