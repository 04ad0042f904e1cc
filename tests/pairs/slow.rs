//! Readers that are slower than what is sent to them.

use kinglet::metrics::names::Counter;
use serde_json::json;

use crate::{NO_RATE, SECOND, ask, assert_in_order, publish, said, types, world};

#[test]
fn a_slow_consumer_is_closed_with_4000_and_nobody_else_notices() {
    let mut world = world(NO_RATE);
    world.conditions.capacity = 4000;
    let slow = world.connect("/ws?room=a");
    let (fast, other) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    world.client(slow).appetite = Some(0);
    for number in 0..400 {
        ask(&mut world, other, publish("a", number));
    }
    let all: Vec<_> = (0..400).map(|number| json!(number)).collect();
    assert_eq!(said(&world.client(fast).take_json()), all);
    assert_eq!(world.total(Counter::SlowConsumersClosed), 1);
    assert!(world.total(Counter::MessagesDropped) > 200);

    world.client(slow).appetite = None;
    world.settle();
    let heard = said(&world.client(slow).take_json());
    assert!(!heard.is_empty() && heard.len() < 100, "{}", heard.len());
    assert_eq!(
        heard,
        all[..heard.len()],
        "what it had begun, from the first, without a gap"
    );
    assert_eq!(world.client(slow).close_code(), Some(4000));
    assert_eq!(world.connections(), 2);
}

#[test]
fn a_slow_consumer_that_reads_nothing_at_all_is_dropped_by_its_stall() {
    let mut world = world(NO_RATE);
    world.conditions.capacity = 1000;
    let (slow, other) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    world.client(slow).appetite = Some(0);
    for _ in 0..300 {
        ask(&mut world, other, publish("a", 1));
    }
    assert_eq!(world.total(Counter::SlowConsumersClosed), 1);
    world.advance(11 * SECOND);
    assert_eq!(world.connections(), 1);
}

#[test]
fn one_publication_of_any_size_enters_an_empty_queue() {
    let mut world = world("[limits]\noutbox_bytes = \"1KiB\"\n");
    let (id, other) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    let big = "x".repeat(900_000);
    ask(&mut world, other, publish("a", big.clone()));
    assert_eq!(said(&world.client(id).take_json()), [big]);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn a_burst_within_one_turn_closes_nobody_who_keeps_up() {
    let mut world = world(NO_RATE);
    let member = world.connect("/ws?room=a");
    let api = world.open();
    // 600 publications in one piece of input: more than a queue holds.
    let body = r#"{"room":"a","event":"said","data":1}"#;
    for _ in 0..600 {
        world.client(api).request("POST", "/api/v1/publish", body);
    }
    // One who publishes to its own room has a reply and a publication for each.
    let talker = world.connect("/ws?room=b");
    for _ in 0..600 {
        world.client(talker).command(publish("b", 2));
    }
    world.settle();
    assert_eq!(said(&world.client(member).take_json()).len(), 600);
    assert_eq!(world.client(member).close_code(), None);
    assert_eq!(said(&world.client(talker).take_json()).len(), 600);
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
}

#[test]
fn a_session_that_has_just_opened_reads_its_handshake_whatever_follows() {
    let mut world = world(NO_RATE);
    world.conditions.capacity = 30;
    let id = world.open();
    world.client(id).appetite = Some(0);
    for _ in 0..100 {
        world.client(id).request("GET", "/health", "");
    }
    world.client(id).upgrade("/ws?room=a", "kinglet.v1");
    while !world.client(id).has_sent_all() {
        world.turn();
    }
    world.settle();
    world.conditions.capacity = 256 * 1024;
    let other = world.connect("/ws?room=b");
    for _ in 0..600 {
        ask(&mut world, other, publish("a", 1));
    }
    world.client(id).appetite = None;
    world.settle();
    let answers = &world.client(id).answers;
    assert_eq!(answers.back().map(|answer| answer.status), Some(101));
    assert_eq!(types(&world.client(id).take_json())[0], "connected");
    assert_eq!(world.client(id).close_code(), Some(4000));
}

#[test]
fn one_who_does_not_read_its_replies_gets_no_new_ones_until_it_does() {
    let mut world = world(NO_RATE);
    world.conditions.capacity = 2000;
    let id = world.connect("/ws");
    world.client(id).appetite = Some(0);
    for number in 0..2000 {
        world
            .client(id)
            .command(json!({"type": "ping", "id": number}));
    }
    world.settle();
    let received = world.total(Counter::MessagesReceived);
    assert!((256..400).contains(&received), "{received}");
    assert_eq!(world.client(id).close_code(), None);
    world.client(id).appetite = Some(700);
    world.settle();
    let replies = world.client(id).take_json();
    assert_eq!(replies.len(), 2000);
    assert_in_order(&replies);
    assert_eq!(world.client(id).close_code(), None);
}

#[test]
fn replies_that_a_drained_queue_lets_out_are_sent_without_another_event() {
    let mut world = world("[limits]\nmessages_per_second = 0\noutbox_messages = 4\n");
    let id = world.connect("/ws?room=a");
    for number in 0..50 {
        let kind = if number % 7 == 6 { "history" } else { "ping" };
        world
            .client(id)
            .command(json!({"type": kind, "room": "a", "id": number}));
    }
    world.settle();
    assert_eq!(world.client(id).take_json().len(), 50, "no time has passed");
}

#[test]
fn recovering_many_rooms_at_once_does_not_fill_memory() {
    let mut world = world(NO_RATE);
    world.conditions.capacity = 30_000;
    let other = world.connect("/ws?room=x");
    let rooms: Vec<String> = (0..50).map(|number| format!("room{number}")).collect();
    for _ in 0..4 {
        let command = json!({"type": "publish", "rooms": rooms, "event": "said",
            "data": "x".repeat(200_000)});
        ask(&mut world, other, command);
    }
    let id = world.connect("/ws?room=x");
    world.client(id).appetite = Some(0);
    world
        .client(id)
        .command(json!({"type": "subscribe", "rooms": rooms, "since": 0}));
    world.settle();
    let most = world
        .shards()
        .map(kinglet::shard::Shard::outbox_bytes_max)
        .max();
    assert!(most < Some(3 << 20), "{most:?} bytes wait for one session");
    world.client(id).appetite = None;
    world.settle();
    let replies = world.client(id).take_json();
    assert_eq!(replies.len(), 50);
    let (whole, lost): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply["recovered"] == true);
    assert!(!whole.is_empty() && !lost.is_empty());
    assert!(
        whole
            .iter()
            .all(|reply| reply["publications"].as_array().unwrap().len() == 4)
    );
    assert!(
        lost.iter()
            .all(|reply| reply["publications"] == json!([]) && reply["offset"] == 4)
    );
}
