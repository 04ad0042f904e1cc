//! `/ws/metrics`: what the clients of P4 say and are told.

mod channels;
mod rights;

use kinglet::domain::command::{Payload, Publish};
use kinglet::domain::room::RoomName;
use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, End, Message, World};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

use crate::{NO_RATE, SECOND, ask, types, world};

const PATH: &str = "/ws/metrics";

/// Publishes as the sampler of the machine does, which needs no rights.
fn sample(world: &mut World, rooms: &[&str], event: &str, data: u64) {
    let publish = Publish {
        rooms: rooms.iter().map(|room| room_name(room)).collect(),
        event: event.into(),
        payload: Payload::Json(data.to_string().into()),
        source: Some("host".into()),
        key: None,
        except: Vec::new(),
    };
    world.services.rooms.publish(publish, world.now()).unwrap();
    world.settle();
}

fn room_name(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn metrics(world: &mut World, data: u64) {
    sample(world, &["metrics"], "metrics", data);
}

/// What a client has been told, as types and data.
fn told(world: &mut World, id: ClientId) -> Vec<(String, Value)> {
    let messages = world.client(id).take_json().into_iter();
    let told = messages.map(|message| {
        let kind = message["type"].as_str().unwrap().to_owned();
        (kind, message["data"].clone())
    });
    told.collect()
}

fn samples(range: std::ops::RangeInclusive<u64>) -> Vec<(String, Value)> {
    range.map(|data| ("metrics".into(), data.into())).collect()
}

#[test]
fn the_golden_transcript() {
    let mut world = world("");
    metrics(&mut world, 1);
    let id = world.connect(PATH);
    let client = world.client(id).take_json();
    let [hello, first] = &client[..] else {
        panic!("hello and metrics: {client:?}")
    };
    let name = hello["data"]["clientId"].as_str().unwrap();
    assert_eq!(
        *hello,
        json!({
            "type": "connected",
            "data": {"clientId": name, "subscribedChannels": ["metrics"]},
            "timestamp": "2026-01-01T00:00:00.000Z",
        })
    );
    let expected = json!({"type": "metrics", "data": 1, "timestamp": "2026-01-01T00:00:00.000Z"});
    assert_eq!(*first, expected);
    for data in 2..4 {
        world.advance(5 * SECOND);
        metrics(&mut world, data);
    }
    let last = world.client(id).take_json().pop().unwrap();
    let expected = json!({"type": "metrics", "data": 3, "timestamp": "2026-01-01T00:00:10.000Z"});
    assert_eq!(last, expected);

    let pong = json!({
        "type": "connected",
        "data": {"pong": true},
        "timestamp": "2026-01-01T00:00:10.000Z",
    });
    assert_eq!(ask(&mut world, id, json!({"type": "ping"})), [pong]);
    let leave = json!({"type": "unsubscribe", "channel": "metrics"});
    assert!(ask(&mut world, id, leave).is_empty());
    metrics(&mut world, 4);
    assert!(told(&mut world, id).is_empty());
    let come_back = json!({"type": "subscribe", "data": {"channel": "metrics"}});
    world.client(id).command(come_back);
    world.settle();
    assert_eq!(told(&mut world, id), samples(4..=4));
    metrics(&mut world, 5);
    assert_eq!(told(&mut world, id), samples(5..=5));
}

#[test]
fn a_client_that_comes_before_the_first_sample_waits_for_it() {
    let mut world = world("");
    let id = world.connect(PATH);
    assert_eq!(types(&world.client(id).take_json()), ["connected"]);
    metrics(&mut world, 1);
    assert_eq!(told(&mut world, id), samples(1..=1));
}

#[test]
fn what_cannot_be_read_is_told_and_the_connection_stays() {
    let mut world = world("");
    let id = world.connect(PATH);
    world.client(id).take_json();
    world.client(id).frame(Opcode::Text, b"not json");
    world.client(id).frame(Opcode::Binary, b"\xff\xfe");
    world.settle();
    let expected = json!({
        "type": "error",
        "message": "Invalid message format",
        "timestamp": "2026-01-01T00:00:00.000Z",
    });
    assert_eq!(world.client(id).take_json(), [expected.clone(), expected]);
    assert_eq!(world.total(Counter::CommandErrors), 2);
    metrics(&mut world, 1);
    assert_eq!(told(&mut world, id), samples(1..=1));
}

#[test]
fn ten_mistakes_in_a_row_end_it_and_one_message_between_them_does_not() {
    let mut world = world("");
    let id = world.connect(PATH);
    for message in [r#"{"type":"subscribe","channel":"metrics"}"#, "{}", ""] {
        for _ in 0..9 {
            world.client(id).frame(Opcode::Text, b"{");
        }
        world.client(id).frame(Opcode::Text, message.as_bytes());
    }
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(4503));
    assert_eq!(world.total(Counter::CommandErrors), 9 + 9 + 10);
}

#[test]
fn what_asks_for_nothing_known_is_ignored_and_counted() {
    let mut world = world("");
    let id = world.connect(PATH);
    world.client(id).take_json();
    for message in [
        json!({"type": "auth", "token": "x"}),
        json!({"type": "publish", "room": "metrics", "event": "e", "data": 1}),
        json!({"type": "subscribe"}),
        json!({"type": "unsubscribe", "room": "metrics"}),
        json!({}),
    ] {
        assert!(ask(&mut world, id, message).is_empty());
    }
    assert_eq!(world.total(Counter::DeviceMessagesIgnored), 5);
    metrics(&mut world, 1);
    assert_eq!(told(&mut world, id), samples(1..=1));
}

#[test]
fn json_in_a_binary_message_is_a_message() {
    let mut world = world("");
    let id = world.connect(PATH);
    world.client(id).take_json();
    world
        .client(id)
        .frame(Opcode::Binary, br#"{"type":"ping"}"#);
    world.settle();
    assert_eq!(
        told(&mut world, id),
        [("connected".into(), json!({"pong": true}))]
    );
}

#[test]
fn a_message_of_a_million_bytes_is_the_largest() {
    let mut world = world("");
    let message = |bytes: usize| {
        let padding = "x".repeat(bytes - r#"{"type":"ping","a":""}"#.len());
        format!(r#"{{"type":"ping","a":"{padding}"}}"#)
    };
    let id = world.connect(PATH);
    world.client(id).take_json();
    world
        .client(id)
        .frame(Opcode::Text, message(1_000_000).as_bytes());
    world.settle();
    assert_eq!(types(&world.client(id).take_json()), ["connected"]);
    world
        .client(id)
        .frame(Opcode::Text, message(1_000_001).as_bytes());
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1009));
}

#[test]
fn at_shutdown_devices_are_closed_with_1000_and_others_with_1001() {
    let mut world = world("");
    let (device, native) = (world.connect(PATH), world.connect("/ws"));
    world.begin_drain(30 * SECOND);
    world.settle();
    let inbox = &world.client(device).inbox;
    let goodbye = Message::Close(1000, "Server shutting down".into());
    assert_eq!(inbox.back(), Some(&goodbye));
    assert_eq!(world.client(device).end, Some(End::Finished));
    assert_eq!(world.client(native).close_code(), Some(1001));
}

#[test]
fn a_silent_client_in_a_channel_is_pinged_and_stays() {
    let mut world = world("");
    let id = world.connect(PATH);
    world.advance(20 * 60 * SECOND);
    let pings = world.client(id).inbox.iter();
    assert!(pings.filter(|message| **message == Message::Ping).count() > 30);
    assert_eq!(world.client(id).close_code(), None);
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "channel": "metrics"}),
    );
    world.advance(6 * 60 * SECOND);
    assert_eq!(
        world.client(id).close_code(),
        Some(1001),
        "it is in no room"
    );
}

#[test]
fn a_client_that_reads_slowly_gets_the_newest() {
    let mut world = world("[limits]\noutbox_messages = 16\n");
    let capacity = std::mem::replace(&mut world.conditions.capacity, 1000);
    let slow = world.connect(PATH);
    world.conditions.capacity = capacity;
    let fast = world.connect(PATH);
    world.client(slow).appetite = Some(0);
    for data in 0..200 {
        metrics(&mut world, data);
    }
    let all = told(&mut world, fast);
    assert_eq!(all[1..], samples(0..=199));
    world.client(slow).appetite = None;
    world.settle();
    let mut some = told(&mut world, slow);
    assert!(some.len() < 60, "{}", some.len());
    assert_eq!(some.pop(), samples(199..=199).pop());
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
}

#[test]
fn each_dialect_has_its_own_words_for_the_same_publication() {
    let mut world = world("");
    let device = world.connect(PATH);
    let native = world.connect("/ws?room=metrics");
    world.client(device).take_json();
    metrics(&mut world, 7);
    let mut spelt = world.client(device).take_json().remove(0);
    assert_eq!(spelt.as_object_mut().unwrap().len(), 3);
    let spelt = world.client(native).take_json().remove(0);
    assert_eq!(spelt["room"], "metrics");
    assert_eq!(spelt["source"], "host");
}

#[test]
fn its_messages_take_tokens_of_its_rate() {
    let mut unlimited = world(NO_RATE);
    let mut limited = world("");
    for (world, pauses) in [(&mut unlimited, false), (&mut limited, true)] {
        let id = world.connect(PATH);
        for _ in 0..200 {
            world.client(id).command(json!({"type": "nothing"}));
        }
        world.settle();
        assert_eq!(world.total(Counter::RatePaused) > 0, pauses);
    }
}
