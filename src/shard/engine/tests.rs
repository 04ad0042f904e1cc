//! Sessions of Engine.IO and Socket.IO in a world without sockets, where time is ours.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::metrics::names::Counter;
use crate::testkit::socket_io::{Heard, SocketIoClient, event};
use crate::testkit::tokens::{CONFIG, Token};
use crate::testkit::world::{ClientId, Message, Options, World};
use crate::wire::websocket::frame::Opcode;

const PATH: &str = "/socket.io/?EIO=4";

pub(super) fn world(config: &str) -> World {
    World::new(Options {
        config,
        ..Options::default()
    })
}

/// A session on one WebSocket.
pub(super) struct Socket {
    pub(super) id: ClientId,
    pub(super) client: SocketIoClient,
}

impl Socket {
    pub(super) fn open(world: &mut World) -> Self {
        let id = world.connect(&format!("{PATH}&transport=websocket"));
        let client = SocketIoClient::default();
        let mut socket = Self { id, client };
        socket.read(world);
        assert!(socket.client.open.is_some());
        socket
    }

    /// One in a namespace.
    pub(super) fn connected(world: &mut World, namespace: &str, auth: Option<&Value>) -> Self {
        let mut socket = Self::open(world);
        socket.connect(world, namespace, auth);
        socket
    }

    pub(super) fn connect(&mut self, world: &mut World, namespace: &str, auth: Option<&Value>) {
        let connect = self.client.connect(namespace, auth);
        let heard = self.ask(world, &connect);
        assert!(
            matches!(&heard[0], Heard::Connected(name, _) if name == namespace),
            "{heard:?}"
        );
    }

    fn say(&mut self, world: &mut World, frame: &str) {
        world.client(self.id).frame(Opcode::Text, frame.as_bytes());
    }

    /// What is heard after a frame, in this moment.
    pub(super) fn ask(&mut self, world: &mut World, frame: &str) -> Vec<Heard> {
        self.say(world, frame);
        world.settle();
        self.read(world)
    }

    pub(super) fn read(&mut self, world: &mut World) -> Vec<Heard> {
        for message in std::mem::take(&mut world.client(self.id).inbox) {
            match message {
                Message::Text(text) => self.client.text(&text),
                Message::Binary(bytes) => self.client.binary(&bytes),
                Message::Close(..) => self.client.heard.push(Heard::Closed),
                Message::Ping | Message::Pong(_) => {}
            }
        }
        for pong in std::mem::take(&mut self.client.owed) {
            self.say(world, &pong);
        }
        self.client.take()
    }
}

pub(super) fn publish(world: &mut World, room: &str, data: usize) {
    let id = world.open();
    let body = json!({"room": room, "event": "said", "data": data}).to_string();
    world.client(id).request("POST", "/api/v1/publish", &body);
    world.settle();
    let answer = world.client(id).answers.pop_front().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    world.client(id).cut();
    world.settle();
}

/// The data of the events `said`.
pub(super) fn said(heard: &[Heard]) -> Vec<u64> {
    let data = heard.iter().filter_map(|heard| match heard {
        Heard::Event { array, .. } if array[0] == "said" => array[1].as_u64(),
        _ => None,
    });
    data.collect()
}

fn acks(heard: &[Heard]) -> Vec<u64> {
    let ids = heard.iter().filter_map(|heard| match heard {
        Heard::Ack { id, .. } => Some(*id),
        _ => None,
    });
    ids.collect()
}

pub(super) fn subscribe(room: &str, id: u64) -> String {
    event("/", "subscribe", &json!([room]), 0, Some(id))
}

#[test]
fn a_client_is_told_what_is_published_where_it_is() {
    let mut world = world("");
    let mut socket = Socket::connected(&mut world, "/", None);
    let heard = socket.ask(&mut world, &subscribe("chat:1", 7));
    let Heard::Ack { id, array, .. } = &heard[0] else {
        panic!("{heard:?}");
    };
    assert_eq!(
        (*id, &array[0]),
        (7, &json!({"status":"success","room":"chat:1"}))
    );
    publish(&mut world, "chat:1", 1);
    publish(&mut world, "chat:2", 2);
    publish(&mut world, "global", 3);
    assert_eq!(said(&socket.read(&mut world)), [1, 3]);
    let leave = event("/", "unsubscribe", &json!([{"room": "chat:1"}]), 0, Some(8));
    assert_eq!(acks(&socket.ask(&mut world, &leave)), [8]);
    publish(&mut world, "chat:1", 4);
    assert!(socket.read(&mut world).is_empty());
    assert_eq!(world.total(Counter::SessionsOpened), 1);
    world.client(socket.id).cut();
    world.settle();
    assert_eq!(world.total(Counter::SessionsClosed), 1);
    assert_eq!(world.total(Counter::EngineSessionsClosed), 1);
}

#[test]
fn two_namespaces_on_one_connection_are_two_sessions() {
    let mut world = world("");
    let mut socket = Socket::connected(&mut world, "/", None);
    socket.connect(&mut world, "/ws", None);
    socket.ask(&mut world, &subscribe("chat:1", 1));
    publish(&mut world, "chat:1", 1);
    let heard = socket.read(&mut world);
    assert_eq!(said(&heard), [1], "only the one that asked: {heard:?}");
    publish(&mut world, "global", 2);
    assert_eq!(socket.read(&mut world).len(), 2);
    assert!(socket.ask(&mut world, "41").is_empty());
    publish(&mut world, "global", 3);
    let heard = socket.read(&mut world);
    let Heard::Event {
        namespace, array, ..
    } = &heard[0]
    else {
        panic!("{heard:?}");
    };
    assert_eq!((namespace.as_str(), heard.len()), ("/ws", 1));
    assert_eq!(array[1]["data"], 3);
}

#[test]
fn what_comes_over_the_rate_waits_in_its_order() {
    let mut world = world("[limits]\nmessages_per_second = 1\nmessage_burst = 1\n");
    let mut socket = Socket::connected(&mut world, "/", None);
    for id in 1..=4 {
        socket.say(&mut world, &subscribe(&format!("chat:{id}"), id));
    }
    world.settle();
    let first = acks(&socket.read(&mut world));
    assert!(first.len() < 4 && !first.is_empty(), "{first:?}");
    let mut all = first;
    for _ in 0..6 {
        world.advance(Duration::from_secs(1));
        all.extend(acks(&socket.read(&mut world)));
    }
    assert_eq!(all, [1, 2, 3, 4]);
    assert!(world.total(Counter::RatePaused) > 0);
}

#[test]
fn packets_of_one_post_wait_as_frames_do_and_are_answered_when_all_are_taken() {
    let mut world = world("[limits]\nmessages_per_second = 1\nmessage_burst = 1\n");
    let (mut poller, sid) = Poller::open(&mut world);
    let packets: Vec<String> = (1..=3)
        .map(|id| subscribe(&format!("chat:{id}"), id))
        .collect();
    let body = format!("40\u{1e}{}", packets.join("\u{1e}"));
    let post = world.open();
    world.client(post).request("POST", &sid, &body);
    world.settle();
    assert!(world.client(post).answers.is_empty(), "it waits");
    world.advance(Duration::from_secs(4));
    let answer = world.client(post).answers.pop_front().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    let heard = poller.poll(&mut world);
    assert_eq!(acks(&heard), [1, 2, 3]);
}

/// A session that is polled.
struct Poller {
    id: ClientId,
    target: String,
    client: SocketIoClient,
}

impl Poller {
    /// A new session, and the target of its requests.
    fn open(world: &mut World) -> (Self, String) {
        let id = world.open();
        let target = format!("{PATH}&transport=polling");
        let client = SocketIoClient::default();
        let mut poller = Self { id, target, client };
        poller.poll(world);
        let sid = poller.client.open.as_ref().unwrap().sid.clone();
        poller.target = format!("{}&sid={sid}", poller.target);
        let target = poller.target.clone();
        (poller, target)
    }

    fn poll(&mut self, world: &mut World) -> Vec<Heard> {
        world.client(self.id).request("GET", &self.target, "");
        world.settle();
        self.read(world)
    }

    fn read(&mut self, world: &mut World) -> Vec<Heard> {
        while let Some(answer) = world.client(self.id).answers.pop_front() {
            assert_eq!(answer.status, 200, "{}", answer.body);
            self.client.body(answer.body.as_bytes());
        }
        self.client.take()
    }

    fn post(&self, world: &mut World, body: &str) {
        let id = world.open();
        world.client(id).request("POST", &self.target, body);
        world.settle();
        let answer = world.client(id).answers.pop_front().unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }
}

#[test]
fn a_poll_hangs_until_something_is_published() {
    let mut world = world("");
    let (mut poller, _) = Poller::open(&mut world);
    poller.post(&mut world, "40");
    assert_eq!(poller.poll(&mut world).len(), 1);
    assert!(poller.poll(&mut world).is_empty(), "it hangs");
    publish(&mut world, "global", 1);
    assert_eq!(said(&poller.read(&mut world)), [1]);
    for data in 2..5 {
        publish(&mut world, "global", data);
    }
    assert_eq!(said(&poller.poll(&mut world)), [2, 3, 4], "they waited");
    for data in 0..20 {
        publish(&mut world, "global", data);
    }
    let first = said(&poller.poll(&mut world));
    assert!(
        (15..=16).contains(&first.len()),
        "Python's clients take 16: {first:?}"
    );
    let rest = said(&poller.poll(&mut world));
    assert_eq!([first, rest].concat(), (0..20).collect::<Vec<_>>());
}

#[test]
fn who_does_not_poll_is_a_slow_consumer() {
    let mut world = world("[limits]\noutbox_messages = 8\n");
    let (mut poller, _) = Poller::open(&mut world);
    poller.post(&mut world, "40");
    poller.poll(&mut world);
    for data in 0..8 {
        publish(&mut world, "global", data);
    }
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
    publish(&mut world, "global", 8);
    assert_eq!(world.total(Counter::SlowConsumersClosed), 1);
    let heard = poller.poll(&mut world);
    assert_eq!(heard.last(), Some(&Heard::Closed), "{heard:?}");
    assert_eq!(world.total(Counter::SessionsClosed), 1);
}

#[test]
fn a_websocket_that_is_not_read_holds_no_more_than_an_outbox() {
    let mut world = world("[limits]\noutbox_messages = 8\n");
    let mut socket = Socket::connected(&mut world, "/", None);
    world.client(socket.id).appetite = Some(0);
    world.client(socket.id).link.conditions.capacity = 10;
    let mut published = 0;
    while world.total(Counter::SlowConsumersClosed) == 0 {
        publish(&mut world, "global", published);
        published += 1;
        assert!(published < 40);
    }
    world.client(socket.id).appetite = None;
    world.advance(Duration::from_secs(30));
    socket.read(&mut world);
    assert_eq!(world.total(Counter::SessionsClosed), 1);
    assert_eq!(
        world.total(Counter::ConnectionsClosed),
        published as u64 + 1
    );
}

#[test]
fn a_shutdown_ends_every_kind_of_session() {
    let mut world = world("[socketio]\nrecovery = \"2m\"\n");
    let mut socket = Socket::connected(&mut world, "/", None);
    let mut lost = Socket::connected(&mut world, "/", None);
    lost.read(&mut world);
    world.client(lost.id).cut();
    let (mut hanging, _) = Poller::open(&mut world);
    hanging.post(&mut world, "40");
    hanging.poll(&mut world);
    hanging.poll(&mut world);
    let (idle, _) = Poller::open(&mut world);
    idle.post(&mut world, "40");
    assert_eq!(world.total(Counter::SessionsDetached), 1);
    world.begin_drain(Duration::from_secs(30));
    world.advance(Duration::from_secs(5));
    assert_eq!(socket.read(&mut world).last(), Some(&Heard::Closed));
    assert_eq!(hanging.read(&mut world).last(), Some(&Heard::Closed));
    assert_eq!(world.total(Counter::SessionsClosed), 4);
    assert_eq!(world.total(Counter::EngineSessionsClosed), 4);
    assert_eq!((world.connections(), world.drain_cut()), (0, 0));
}

#[test]
fn there_are_no_more_sessions_than_the_configuration_allows() {
    let mut world = world("[socketio]\nsessions = 2\n");
    let (_first, _) = Poller::open(&mut world);
    let second = Socket::open(&mut world);
    let refused = |world: &mut World| {
        let id = world.open();
        world
            .client(id)
            .request("GET", &format!("{PATH}&transport=polling"), "");
        world.settle();
        world.client(id).answers.pop_front().unwrap().status
    };
    assert_eq!(refused(&mut world), 503);
    assert_eq!(world.total(Counter::EngineSessionsRefused), 1);
    world.client(second.id).cut();
    world.settle();
    assert_eq!(refused(&mut world), 200);
}

#[test]
fn without_a_token_nobody_is_let_in_and_the_transport_stays() {
    let mut world = world(CONFIG);
    let mut socket = Socket::open(&mut world);
    let refusal = |heard: &[Heard]| match heard {
        [Heard::Refused(_, payload)] => payload["data"]["code"].clone(),
        heard => panic!("{heard:?}"),
    };
    for auth in [None, Some(json!({})), Some(json!({"token": "x.y.z"}))] {
        let connect = socket.client.connect("/ws", auth.as_ref());
        let heard = socket.ask(&mut world, &connect);
        assert_eq!(refusal(&heard), "UNAUTHORIZED", "{auth:?}");
    }
    let token = json!({"token": Token::of("ada").sign()});
    socket.connect(&mut world, "/ws", Some(&token));
    let ask = |room: &str| event("/ws", "subscribe", &json!([{"room": room}]), 0, Some(1));
    let heard = socket.ask(&mut world, &ask("user:bob"));
    let Heard::Ack { array, .. } = &heard[0] else {
        panic!("{heard:?}");
    };
    assert_eq!(array[0]["message"], "Access denied");
    publish_as_admin(&mut world, "user:ada");
    assert_eq!(socket.read(&mut world).len(), 1, "its own room");
}

pub(super) fn publish_as_admin(world: &mut World, room: &str) {
    let id = world.open();
    let body = json!({"room": room, "event": "said", "data": 1}).to_string();
    let bearer = Token::of("root").role("admin").bearer();
    let request = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world.client(id).send(request.as_bytes());
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 200);
}

#[test]
fn what_is_overdue_is_not_put_off_by_requests() {
    let mut world = world("[socketio]\nconnect_timeout = \"1s\"\n");
    let (mut poller, target) = Poller::open(&mut world);
    for _ in 0..10 {
        poller.post(&mut world, "6");
        world.advance(Duration::from_millis(110));
    }
    assert_eq!(poller.poll(&mut world).last(), Some(&Heard::Closed));
    assert_eq!(world.total(Counter::ProtocolFaults), 1);
    let id = world.open();
    world.client(id).request("GET", &target, "");
    world.settle();
    assert_eq!(world.client(id).answers.pop_front().unwrap().status, 400);
}

#[test]
fn who_comes_and_goes_too_often_waits() {
    let mut world = world("[limits]\nmessages_per_second = 2\nmessage_burst = 2\n");
    let mut socket = Socket::open(&mut world);
    for frame in ["40", "41", "40/none", "40", "41", "40", "41"] {
        socket.say(&mut world, frame);
    }
    world.settle();
    assert!(world.total(Counter::SessionsOpened) < 3);
    assert!(world.total(Counter::RatePaused) > 0);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.total(Counter::SessionsOpened), 3, "nothing is lost");
}
