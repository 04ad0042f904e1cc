//! Publications between sessions: several rooms, exceptions, rooms that come and go.

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{Options, World};
use serde_json::{Value, json};

use crate::{NO_RATE, SECOND, ask, pick, publish, said, types, world};

fn on(shards: u16) -> World {
    World::new(Options {
        config: NO_RATE,
        shards,
        ..Options::default()
    })
}

#[test]
fn a_member_of_several_rooms_gets_one_message_that_names_them() {
    for shards in [1, 2] {
        let mut world = on(shards);
        let ids: Vec<_> = ["a", "b", "c", "a&room=c", "c&room=b&room=a", "d"]
            .iter()
            .map(|rooms| world.connect(&format!("/ws?room={rooms}")))
            .collect();
        ask(&mut world, ids[5], publish("b", 0));
        let command = json!({"type": "publish", "rooms": ["b", "a", "c", "b"], "event": "said",
            "data": 1});
        let reply = ask(&mut world, ids[5], command);
        assert_eq!(types(&reply), ["published"]);
        assert_eq!(reply[0]["results"].as_array().unwrap().len(), 3);
        let mut uids = Vec::new();
        let mut check = |index: usize, room: &str, offset: u64, also: Value| {
            let received = world.client(ids[index]).take_json();
            let last = received.last().unwrap();
            let found = pick(last, &["room", "offset", "also"]);
            assert_eq!(found, [json!(room), json!(offset), also], "{index}");
            uids.push(last["uid"].clone());
        };
        check(0, "a", 1, Value::Null);
        check(1, "b", 2, Value::Null);
        check(2, "c", 1, Value::Null);
        check(3, "a", 1, json!([{"room": "c", "offset": 1}]));
        check(
            4,
            "b",
            2,
            json!([{"room": "a", "offset": 1}, {"room": "c", "offset": 1}]),
        );
        assert!(uids[0].is_string() && uids.iter().all(|uid| *uid == uids[0]));
        assert!(world.client(ids[5]).take_json().is_empty());
    }
}

#[test]
fn sessions_in_except_hear_nothing() {
    let mut world = on(1);
    let a = world.open();
    world.client(a).upgrade("/ws?room=a", "kinglet.v1");
    world.settle();
    let session = world.client(a).take_json()[0]["session"].clone();
    let b = world.connect("/ws?room=a");
    let command = json!({"type": "publish", "room": "a", "event": "said", "data": 1,
        "except": session});
    assert_eq!(types(&ask(&mut world, a, command)), ["published"]);
    assert_eq!(said(&world.client(b).take_json()), [1]);
}

#[test]
fn all_members_see_one_order_across_shards() {
    let mut world = on(3);
    let ids: Vec<_> = (0..6).map(|_| world.connect("/ws?room=a")).collect();
    for round in 0..20 {
        for id in &ids {
            world.client(*id).command(publish("a", round));
        }
    }
    world.settle();
    let mut first: Option<Vec<Value>> = None;
    for id in ids {
        let received = world.client(id).take_json();
        let live = received.iter().filter(|message| message["type"] == "said");
        let offsets: Vec<Value> = live.map(|message| message["offset"].clone()).collect();
        let expected: Vec<Value> = (1..=120).map(|offset| json!(offset)).collect();
        assert_eq!(offsets, expected);
        assert_eq!(first.get_or_insert(offsets.clone()), &offsets);
    }
}

#[test]
fn a_full_mailbox_refuses_and_loses_nothing_it_has_accepted() {
    let mut world = World::new(Options {
        config: NO_RATE,
        mailbox: 10,
        ..Options::default()
    });
    let (member, talker) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    for number in 0..30 {
        world.client(talker).command(publish("a", number));
    }
    world.settle();
    let replies = world.client(talker).take_json();
    let accepted: Vec<Value> = replies
        .iter()
        .zip(0..)
        .filter(|(reply, _)| reply["type"] == "published")
        .map(|(_, number)| json!(number))
        .collect();
    assert_eq!(accepted.len(), 10);
    let refused = &replies[15]["data"];
    assert_eq!(refused["code"], "SERVER_BUSY");
    assert_eq!(said(&world.client(member).take_json()), accepted);
    // That is nobody's mistake, however often it happens.
    assert_eq!(world.total(Counter::PublicationsRefusedBusy), 20);
    assert_eq!(
        types(&ask(&mut world, talker, publish("a", 99))),
        ["published"]
    );
    assert_eq!(said(&world.client(member).take_json()), [99]);
}

#[test]
fn a_room_that_nobody_uses_is_dropped_and_returns_with_a_new_epoch() {
    let mut world = on(1);
    let (a, b) = (world.connect("/ws?room=a"), world.connect("/ws?room=b"));
    let first = ask(&mut world, a, publish("a", 1))[0]["epoch"].clone();
    world.client(a).close(1000);
    world.advance(299 * SECOND);
    assert_eq!(
        world.services.rooms.count(),
        2,
        "its history is still young"
    );
    let command = json!({"type": "subscribe", "room": "a", "since": {"epoch": first, "offset": 0}});
    let reply = ask(&mut world, b, command.clone());
    assert_eq!(reply[0]["recovered"], true);
    ask(&mut world, b, json!({"type": "unsubscribe", "room": "a"}));
    world.advance(299 * SECOND);
    assert_eq!(
        world.services.rooms.count(),
        2,
        "who lost its connection may still come back"
    );
    world.advance(5 * SECOND);
    assert_eq!(world.services.rooms.count(), 1);
    let reply = ask(&mut world, b, command);
    assert_eq!(
        pick(&reply[0], &["recovered", "offset"]),
        [json!(false), json!(0)]
    );
    assert_ne!(reply[0]["epoch"], first);
}

#[test]
fn members_hear_what_comes_after_a_history_was_cleared() {
    let mut world = on(1);
    let (id, api) = (world.connect("/ws?room=a"), world.open());
    for number in 0..5 {
        ask(&mut world, id, publish("a", number));
    }
    ask(&mut world, id, json!({"type": "unsubscribe", "room": "a"}));
    ask(&mut world, id, json!({"type": "subscribe", "room": "a"}));
    world
        .client(api)
        .request("DELETE", "/api/v1/rooms/a/history", "");
    world.settle();
    let received = ask(&mut world, id, publish("a", "after"));
    assert_eq!(said(&received), ["after"]);
}

#[test]
fn a_new_room_of_an_old_name_brings_nothing_of_the_old_one() {
    let mut world = World::new(Options {
        config: "[limits]\nmessages_per_second = 0\nrooms = 2\n[rooms.brief]\nhistory_count = 0\n",
        ..Options::default()
    });
    let (a, b) = (world.connect("/ws?room=brief:x"), world.connect("/ws"));
    // All in one turn: published, left, dropped to make place, joined anew, and only then
    // delivered.
    world.client(a).command(publish("brief:x", "old"));
    world
        .client(a)
        .command(json!({"type": "unsubscribe", "room": "brief:x"}));
    for (kind, room) in [
        ("subscribe", "other"),
        ("unsubscribe", "other"),
        ("subscribe", "brief:x"),
    ] {
        world.client(b).command(json!({"type": kind, "room": room}));
    }
    world.settle();
    let replies = world.client(b).take_json();
    assert_eq!(
        types(&replies),
        ["subscribed", "unsubscribed", "subscribed"]
    );
    let received = ask(&mut world, b, publish("brief:x", "new"));
    assert_eq!(said(&received), ["new"]);
}

#[test]
fn a_session_may_be_in_so_many_rooms_and_no_more() {
    let mut world = world("[limits]\nrooms_per_session = 2\n");
    let id = world.connect("/ws?room=a");
    let reply = ask(
        &mut world,
        id,
        json!({"type": "subscribe", "rooms": ["b", "c", "a"]}),
    );
    assert_eq!(types(&reply), ["subscribed", "error", "subscribed"]);
    assert_eq!(reply[1]["data"]["code"], "RESOURCE_LIMIT");
    ask(&mut world, id, json!({"type": "unsubscribe", "room": "b"}));
    let reply = ask(&mut world, id, json!({"type": "subscribe", "room": "c"}));
    assert_eq!(types(&reply), ["subscribed"]);
    let refused = world.open();
    world
        .client(refused)
        .upgrade("/ws?room=a&room=b&room=c", "");
    world.settle();
    assert_eq!(world.client(refused).answers[0].status / 100, 4);
}

#[test]
fn leaving_a_room_one_is_not_in_is_no_error() {
    let mut world = on(1);
    let id = world.connect("/ws?room=a");
    let reply = ask(&mut world, id, json!({"type": "unsubscribe", "room": "b"}));
    assert_eq!(types(&reply), ["unsubscribed"]);
    assert_eq!(world.services.rooms.count(), 1);
}
