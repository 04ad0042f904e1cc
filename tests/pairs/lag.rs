//! Policy `lag`: whoever reads slowly gets everything, from the history, as it reads on.

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::{Value, json};

use crate::{
    POLICIES, SECOND, ask, connect_slow, numbers, pick, publish, publish_all, read_on, said, types,
    world,
};

/// A world with a slow member of `lag:a`, one that keeps up, and a publisher.
fn scene(config: &str) -> (World, ClientId, ClientId, ClientId) {
    let mut world = world(config);
    let (slow, _) = connect_slow(&mut world, &["lag:a"]);
    let fast = world.connect("/ws?room=lag:a");
    let publisher = world.connect("/ws");
    (world, slow, fast, publisher)
}

#[test]
fn a_member_that_lags_gets_everything_in_order_and_is_live_again() {
    let (mut world, slow, fast, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..200);
    assert_eq!(said(&world.client(fast).take_json()), numbers(0..200));
    assert_eq!(world.total(Counter::FellBehind), 1);
    assert_eq!(world.total(Counter::Refilled), 0);
    let most = world.shards().map(kinglet::shard::Shard::outbox_bytes_max);
    assert!(most.max() < Some(16 * 200), "only half an outbox waits");

    assert_eq!(said(&read_on(&mut world, slow)), numbers(0..200));
    assert!(world.total(Counter::Refilled) > 100);
    let refilled = world.total(Counter::Refilled);
    publish_all(&mut world, publisher, "lag:a", 200..203);
    let live = world.client(slow).take_json();
    assert_eq!(said(&live), numbers(200..203));
    assert_eq!(
        pick(&live[0], &["room", "offset", "also"]),
        [json!("lag:a"), json!(201), Value::Null]
    );
    assert_eq!(world.total(Counter::Refilled), refilled, "these were live");
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
    assert_eq!(world.total(Counter::MessagesDropped), 0);
}

#[test]
fn what_is_published_while_it_catches_up_has_its_place() {
    let (mut world, slow, _, publisher) = scene(POLICIES);
    let mut heard = Vec::new();
    for round in 0..20 {
        publish_all(&mut world, publisher, "lag:a", round * 10..round * 10 + 10);
        // It reads a little between, never to the end.
        world.client(slow).appetite = Some(150);
        world.turn();
        world.turn();
        world.client(slow).appetite = Some(0);
        heard.extend(said(&world.client(slow).take_json()));
    }
    assert!((10..150).contains(&heard.len()), "{}", heard.len());
    heard.extend(said(&read_on(&mut world, slow)));
    assert_eq!(heard, numbers(0..200));
}

#[test]
fn a_member_that_reads_nothing_at_all_is_dropped_by_its_stall() {
    let (mut world, _, _, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..100);
    world.advance(11 * SECOND);
    assert_eq!(world.connections(), 2);
    assert_eq!(world.total(Counter::WriteStalls), 1);
}

#[test]
fn whoever_falls_out_of_the_history_is_closed_with_4000() {
    let check = |history: &str, count: u64, pause| {
        let config = POLICIES.replace("history_count = 300", history);
        let (mut world, slow, fast, publisher) = scene(&config);
        publish_all(&mut world, publisher, "lag:a", 0..count);
        world.advance(pause);
        assert_eq!(world.client(slow).close_code(), None, "{history}");
        let heard = said(&read_on(&mut world, slow));
        assert_eq!(heard, numbers(0..heard.len() as u64), "{history}");
        assert_eq!(world.client(slow).close_code(), Some(4000), "{history}");
        assert_eq!(world.total(Counter::LagClosedGone), 1, "{history}");
        assert_eq!(said(&world.client(fast).take_json()), numbers(0..count));
    };
    check("history_count = 50", 100, SECOND);
    check("history_count = 300\nhistory_bytes = \"1KiB\"", 300, SECOND);
    check("history_count = 300\nhistory_age = \"3s\"", 100, 4 * SECOND);
}

#[test]
fn whoever_is_behind_when_the_history_is_deleted_is_closed_with_4002() {
    let (mut world, slow, fast, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..100);
    let api = world.open();
    world
        .client(api)
        .request("DELETE", "/api/v1/rooms/lag:a/history", "");
    world.settle();
    publish_all(&mut world, publisher, "lag:a", 100..110);
    read_on(&mut world, slow);
    assert_eq!(world.client(slow).close_code(), Some(4002));
    assert_eq!(world.total(Counter::LagClosedReset), 1);
    assert_eq!(said(&world.client(fast).take_json()), numbers(0..110));
    assert_eq!(world.client(fast).close_code(), None);
}

#[test]
fn publications_to_several_rooms_come_once_and_in_the_same_order_to_slow_and_fast() {
    let mut world = World::new(Options {
        config: POLICIES,
        shards: 2,
        ..Options::default()
    });
    let rooms = ["lag:a", "lag:b", "lag:c"];
    let slow: Vec<(ClientId, String)> = (0..4)
        .map(|number| connect_slow(&mut world, &rooms[..=number % 3]))
        .collect();
    let fast: Vec<ClientId> = (0..4)
        .map(|number| {
            let names: Vec<String> = rooms[..=number % 3]
                .iter()
                .map(|room| format!("room={room}"))
                .collect();
            world.connect(&format!("/ws?{}", names.join("&")))
        })
        .collect();
    let publisher = world.connect("/ws");
    for number in 0..120 {
        let to = match number % 5 {
            0 => json!(["lag:a"]),
            1 => json!(["lag:c", "lag:a"]),
            2 => json!(["lag:b"]),
            3 => json!(["lag:b", "lag:none", "lag:c", "lag:a"]),
            _ => json!(["lag:c"]),
        };
        let except = if number % 7 == 0 {
            json!([slow[0].1, slow[2].1])
        } else {
            json!([])
        };
        let command = json!({"type": "publish", "rooms": to, "event": "said", "data": number,
            "except": except});
        ask(&mut world, publisher, command);
    }
    assert_eq!(world.total(Counter::FellBehind), 1 + 2 + 3 + 1);
    for (number, (slow, _)) in slow.iter().enumerate() {
        let expected = world.client(fast[number]).take_json();
        let excepted = number == 0 || number == 2;
        let expected: Vec<&Value> = expected
            .iter()
            .filter(|message| !excepted || message["data"].as_u64().unwrap() % 7 != 0)
            .collect();
        let found = read_on(&mut world, *slow);
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{number}");
        assert!(found.len() > 30);
    }
}

#[test]
fn a_long_backlog_of_one_room_comes_before_what_another_shares_with_it() {
    let config = POLICIES.replace("outbox_messages = 16", "outbox_messages = 256");
    let mut world = world(&config);
    let (slow, _) = connect_slow(&mut world, &["lag:a", "lag:b"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "lag:a", 0..350);
    for number in 350..360 {
        let command = json!({"type": "publish", "rooms": ["lag:b", "lag:a"], "event": "said",
            "data": number});
        ask(&mut world, publisher, command);
    }
    let heard = read_on(&mut world, slow);
    assert_eq!(said(&heard), numbers(0..360));
    let also = json!([{"room": "lag:a", "offset": 351}]);
    assert_eq!(pick(&heard[350], &["room", "also"]), [json!("lag:b"), also]);
}

#[test]
fn what_still_waits_in_the_mailbox_comes_once() {
    let (mut world, slow, fast, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..50);
    let api = world.open();
    for number in 50..150 {
        let body = publish("lag:a", number).to_string();
        world.client(api).request("POST", "/api/v1/publish", &body);
    }
    world.client(slow).appetite = None;
    world.settle();
    assert_eq!(said(&world.client(slow).take_json()), numbers(0..150));
    assert_eq!(said(&world.client(fast).take_json()), numbers(0..150));
}

#[test]
fn one_who_lags_is_not_kept_from_it_by_what_may_be_dropped() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["lag:a", "drop:b"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "lag:a", 0..50);
    let mut heard = Vec::new();
    for round in 0..300 {
        publish_all(
            &mut world,
            publisher,
            "drop:b",
            1000 + round * 10..1010 + round * 10,
        );
        world.client(slow).appetite = Some(300);
        world.turn();
        world.client(slow).appetite = Some(0);
        heard.extend(said(&world.client(slow).take_json()));
    }
    let lagged = heard.iter().filter(|number| number.as_u64() < Some(1000));
    assert_eq!(lagged.cloned().collect::<Vec<_>>(), numbers(0..50));
    assert!(heard.len() > 100, "the other room is heard, too");
}

#[test]
fn leaving_a_room_while_behind_leaves_the_others_complete() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["lag:a", "lag:b"]);
    let publisher = world.connect("/ws");
    for number in 0..60 {
        ask(&mut world, publisher, publish("lag:a", number));
        ask(&mut world, publisher, publish("lag:b", 1000 + number));
    }
    let leave = json!({"type": "unsubscribe", "room": "lag:a"});
    world.client(slow).command(leave);
    world.settle();
    ask(&mut world, publisher, publish("lag:a", 60));
    let again = json!({"type": "subscribe", "room": "lag:a"});
    world.client(slow).command(again);
    world.settle();
    ask(&mut world, publisher, publish("lag:a", 61));

    let heard = read_on(&mut world, slow);
    let place = types(&heard).iter().position(|kind| *kind == "subscribed");
    let (before, after) = heard.split_at(place.unwrap());
    assert_eq!(after[0]["offset"], 61, "{:?}", after[0]);
    let of = |messages: &[Value], room: &str| -> Vec<Value> {
        let messages = messages.iter().filter(|message| message["room"] == room);
        said(&messages.cloned().collect::<Vec<_>>())
    };
    let first = of(before, "lag:a");
    assert_eq!(first, numbers(0..first.len() as u64));
    assert_eq!(of(after, "lag:a"), [61]);
    assert_eq!(of(&heard, "lag:b"), numbers(1000..1060));
}

#[test]
fn recovering_while_behind_has_no_gap_and_no_repeat() {
    let (mut world, slow, _, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..100);
    let again = json!({"type": "subscribe", "room": "lag:a", "since": 3});
    world.client(slow).command(again);
    world.settle();
    publish_all(&mut world, publisher, "lag:a", 100..105);
    let heard = read_on(&mut world, slow);
    let place = types(&heard).iter().position(|kind| *kind == "subscribed");
    let (before, after) = heard.split_at(place.unwrap());
    assert_eq!(said(before), numbers(0..before.len() as u64));
    assert_eq!(
        pick(&after[0], &["recovered", "offset"]),
        [json!(true), json!(100)]
    );
    assert_eq!(after[0]["publications"].as_array().unwrap().len(), 97);
    assert_eq!(said(after), numbers(100..105));
}

#[test]
fn a_session_that_ends_while_behind_leaves_nothing_behind() {
    let (mut world, slow, fast, publisher) = scene(POLICIES);
    let (other, _) = connect_slow(&mut world, &["lag:a", "latest:a"]);
    publish_all(&mut world, publisher, "lag:a", 0..50);
    publish_all(&mut world, publisher, "latest:a", 0..5);
    assert_eq!(world.total(Counter::FellBehind), 3);
    world.client(slow).close(1000);
    world.client(other).cut();
    world.settle();
    publish_all(&mut world, publisher, "lag:a", 50..60);
    assert_eq!(said(&world.client(fast).take_json()), numbers(0..60));
    let heard = said(&read_on(&mut world, slow));
    assert_eq!(heard, numbers(0..heard.len() as u64));
    assert_eq!(world.client(slow).close_code(), Some(1000));
    assert_eq!(world.connections(), 2);
}

#[test]
fn a_drain_ends_whoever_is_behind_with_1001() {
    let (mut world, slow, _, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..50);
    world.begin_drain(30 * SECOND);
    world.settle();
    let heard = said(&read_on(&mut world, slow));
    assert_eq!(heard, numbers(0..heard.len() as u64));
    assert_eq!(world.client(slow).close_code(), Some(1001));
    world.advance(5 * SECOND);
    assert_eq!(world.connections(), 0);
    assert_eq!(world.drain_cut(), 0);
}

#[test]
fn a_room_that_demands_a_close_gets_it_only_when_its_own_publication_does_not_fit() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["lag:a", "b"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "lag:a", 0..50);
    // Half of the outbox is left for this room.
    publish_all(&mut world, publisher, "b", 0..8);
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
    publish_all(&mut world, publisher, "b", 8..9);
    assert_eq!(world.total(Counter::SlowConsumersClosed), 1);
    read_on(&mut world, slow);
    assert_eq!(world.client(slow).close_code(), Some(4000));
}

#[test]
fn one_publication_to_rooms_of_several_policies_follows_the_strictest() {
    let check = |rooms: &[&str], closed: u64, dropped: u64| {
        let mut world = world(POLICIES);
        let (slow, _) = connect_slow(&mut world, rooms);
        let publisher = world.connect("/ws");
        publish_all(&mut world, publisher, "lag:a", 0..50);
        let to_all = json!({"type": "publish", "rooms": rooms, "event": "said", "data": 50});
        ask(&mut world, publisher, to_all);
        assert_eq!(
            world.total(Counter::SlowConsumersClosed),
            closed,
            "{rooms:?}"
        );
        assert_eq!(world.total(Counter::OldestDropped), dropped, "{rooms:?}");
        let heard = read_on(&mut world, slow);
        let expected = if closed > 0 { Some(4000) } else { None };
        assert_eq!(world.client(slow).close_code(), expected, "{rooms:?}");
        if closed == 0 {
            assert_eq!(said(&heard), numbers(0..51), "{rooms:?}");
            let last = &heard[50];
            let also = rooms
                .contains(&"latest:a")
                .then(|| json!([{"room": "latest:a", "offset": 1}]));
            assert_eq!(pick(last, &["room", "also"]), [json!("lag:a"), also.into()]);
        }
    };
    check(&["lag:a", "b"], 1, 0);
    check(&["lag:a", "drop:b"], 0, 1);
    check(&["lag:a", "latest:a"], 0, 0);
    check(&["lag:a", "latest:a", "drop:b"], 0, 1);
    check(&["lag:a", "latest:a", "drop:b", "c"], 1, 0);
}

#[test]
fn commands_of_one_who_lags_are_answered_meanwhile() {
    let (mut world, slow, _, publisher) = scene(POLICIES);
    publish_all(&mut world, publisher, "lag:a", 0..100);
    for number in 0..40 {
        world
            .client(slow)
            .command(json!({"type": "ping", "id": number}));
    }
    let heard = read_on(&mut world, slow);
    assert_eq!(said(&heard), numbers(0..100));
    let pongs: Vec<&Value> = heard.iter().filter(|m| m["type"] == "pong").collect();
    assert_eq!(pongs.len(), 40);
    let last = heard.iter().rposition(|message| message["type"] == "pong");
    assert!(last < Some(100), "they need not wait for everything");
}
