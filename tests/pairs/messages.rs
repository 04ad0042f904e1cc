//! Commands in, replies out: order, jobs, errors.

use kinglet::metrics::names::Counter;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::world::Message;
use kinglet::wire::websocket::frame::Opcode;
use serde_json::json;

use crate::{NO_RATE, SECOND, ask, pick, publish, said, types, world};

#[test]
fn every_command_has_one_reply_with_its_id() {
    let mut world = world("");
    let id = world.connect("/ws?room=a");
    let replies = ask(
        &mut world,
        id,
        json!({"type": "subscribe", "rooms": ["b", "*", "c"], "id": 1}),
    );
    assert_eq!(types(&replies), ["subscribed", "error", "subscribed"]);
    assert!(replies.iter().all(|reply| reply["id"] == 1));
    let replies = ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "room": "b", "request_id": "x"}),
    );
    assert_eq!(
        pick(&replies[0], &["type", "room", "request_id"]),
        ["unsubscribed", "b", "x"]
    );
    let replies = ask(&mut world, id, json!({"type": "nonsense", "id": "i"}));
    assert_eq!(replies[0]["id"], "i");
    assert_eq!(replies[0]["data"]["code"], "VALIDATION_FAILED");
    world
        .client(id)
        .frame(Opcode::Binary, br#"{"type":"ping"}"#);
    world.client(id).frame(Opcode::Binary, b"\xff");
    world.settle();
    let replies = world.client(id).take_json();
    assert_eq!(types(&replies), ["pong", "error"]);
}

#[test]
fn what_comes_while_a_job_is_in_flight_keeps_its_order() {
    for seed in 0..16 {
        let mut world = world(NO_RATE);
        world.rng = kinglet::base::rng::Rng::from_seed(seed);
        world.jobs.delay_turns_max = 5;
        world.jobs.refused_percent = if seed % 2 == 0 { 50 } else { 0 };
        world.conditions = Conditions {
            piece_max: Some(40),
            ..Conditions::default()
        };
        let ids: Vec<_> = (0..3).map(|_| world.connect("/ws?room=a")).collect();
        for number in 0..30 {
            for id in &ids {
                let kind = if number % 3 == 0 { "history" } else { "ping" };
                let command = json!({"type": kind, "room": "a", "id": number});
                world.client(*id).command(command);
            }
        }
        world.settle();
        for id in ids {
            let replies = world.client(id).take_json();
            let found: Vec<_> = replies.iter().map(|reply| reply["id"].as_u64()).collect();
            assert_eq!(found, (0..30).map(Some).collect::<Vec<_>>(), "seed {seed}");
        }
        assert_eq!(world.total(Counter::JobsWaited) > 0, seed % 2 == 0);
    }
}

#[test]
fn a_job_that_finds_the_queue_full_is_offered_again() {
    let mut world = world("");
    let id = world.connect("/ws?room=a");
    world.jobs.refused_percent = 100;
    world
        .client(id)
        .command(json!({"type": "history", "room": "a"}));
    for _ in 0..20 {
        world.turn();
    }
    assert!(world.total(Counter::JobsWaited) > 0);
    assert_eq!(world.client(id).take_json().len(), 0);
    world.jobs.refused_percent = 0;
    world.settle();
    assert_eq!(types(&world.client(id).take_json()), ["history"]);
}

#[test]
fn an_answer_for_one_who_has_gone_is_dropped() {
    let mut world = world("");
    let id = world.connect("/ws?room=a");
    world.jobs.delay_turns_max = 50;
    world
        .client(id)
        .command(json!({"type": "history", "room": "a"}));
    world.turn();
    world.turn();
    world.client(id).cut();
    let other = world.connect("/ws?room=a");
    world.advance(SECOND);
    assert_eq!(world.client(other).take_json().len(), 0);
    assert_eq!(world.connections(), 1, "noticed when reading goes on");
}

#[test]
fn ten_errors_in_a_row_close_with_4503() {
    let mut world = world("");
    let id = world.connect("/ws");
    for _ in 0..9 {
        ask(&mut world, id, json!({"type": "nonsense"}));
    }
    assert_eq!(
        types(&ask(&mut world, id, json!({"type": "ping"}))),
        ["pong"]
    );
    for _ in 0..9 {
        ask(&mut world, id, json!({"type": "nonsense"}));
    }
    assert_eq!(world.client(id).close_code(), None);
    assert_eq!(types(&ask(&mut world, id, json!(1))), ["error"]);
    assert_eq!(world.client(id).close_code(), Some(4503));
    assert_eq!(world.total(Counter::SessionsClosedForErrors), 1);
    assert_eq!(world.connections(), 0);
}

#[test]
fn refusals_that_are_no_mistake_of_the_client_are_not_counted() {
    let mut world = world("[limits]\nrooms_per_session = 1\n");
    let id = world.connect("/ws");
    let full = json!({"type": "subscribe", "room": "another"});
    for _ in 0..12 {
        let replies = ask(&mut world, id, full.clone());
        assert_eq!(replies[0]["data"]["code"], "RESOURCE_LIMIT");
    }
    assert_eq!(world.client(id).close_code(), None);
    assert_eq!(world.total(Counter::CommandErrors), 12);
    // Nor do they make up for mistakes.
    for _ in 0..9 {
        ask(&mut world, id, json!({"type": "nonsense"}));
    }
    ask(&mut world, id, full);
    assert_eq!(world.client(id).close_code(), None);
    ask(&mut world, id, json!({"type": "nonsense"}));
    assert_eq!(world.client(id).close_code(), Some(4503));
}

#[test]
fn errors_of_jobs_count_too() {
    let mut world = world("");
    let id = world.connect("/ws");
    for _ in 0..12 {
        world
            .client(id)
            .command(json!({"type": "history", "room": "nobody"}));
    }
    world.settle();
    assert_eq!(world.client(id).take_json().len(), 10);
    assert_eq!(world.client(id).close_code(), Some(4503));
    assert_eq!(world.connections(), 0);
}

#[test]
fn a_panic_is_answered_and_nobody_else_hears_of_it() {
    let mut world = world("");
    let (id, other) = (world.connect("/ws"), world.connect("/ws"));
    let replies = ask(&mut world, id, json!({"type": "testkit.panic"}));
    assert_eq!(replies[0]["data"]["code"], "INTERNAL_ERROR");
    ask(&mut world, id, publish("global", 1));
    assert_eq!(said(&world.client(other).take_json()), [1]);
}

#[test]
fn pings_of_clients_are_answered_with_their_payload() {
    let mut world = world("");
    let id = world.connect("/ws");
    world.client(id).frame(Opcode::Ping, b"payload");
    world.settle();
    let inbox: Vec<Message> = world.client(id).inbox.drain(..).collect();
    assert_eq!(inbox, [Message::Pong(b"payload".to_vec())]);
}

#[test]
fn echo_repeats_messages_in_their_kind() {
    let mut world = world("[debug]\necho = true\n");
    let id = world.connect("/ws/echo");
    world.client(id).frame(Opcode::Text, "grün".as_bytes());
    world.client(id).frame(Opcode::Binary, &[0, 255]);
    world.settle();
    let inbox: Vec<Message> = world.client(id).inbox.drain(..).collect();
    assert_eq!(
        inbox,
        [Message::Text("grün".into()), Message::Binary(vec![0, 255])]
    );
}
