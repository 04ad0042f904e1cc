//! Policy `latest`: whoever reads slowly gets the newest publication, nobody an older one after it.

use std::time::Duration;

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, World};
use serde_json::json;

use crate::{
    POLICIES, SECOND, ask, connect_slow, numbers, publish, publish_all, read_on, said, world,
};

#[test]
fn a_slow_member_gets_the_newest_and_is_live_again() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["latest:a"]);
    let fast = world.connect("/ws?room=latest:a");
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "latest:a", 0..200);
    assert_eq!(said(&world.client(fast).take_json()), numbers(0..200));
    assert_eq!(world.total(Counter::FellBehind), 1);

    let heard = said(&read_on(&mut world, slow));
    let begun = heard.len() as u64 - 1;
    assert!((2..30).contains(&begun), "{begun}");
    assert_eq!(heard[..heard.len() - 1], numbers(0..begun));
    assert_eq!(heard.last(), Some(&json!(199)));
    assert_eq!(world.total(Counter::Refilled), 1);
    assert_eq!(world.total(Counter::LatestReplaced), 199 - begun);
    publish_all(&mut world, publisher, "latest:a", 200..202);
    assert_eq!(said(&world.client(slow).take_json()), numbers(200..202));
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
}

#[test]
fn the_newest_of_each_room_comes_before_what_another_room_has_to_catch_up_with() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["lag:a", "latest:a", "latest:b"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "lag:a", 0..100);
    publish_all(&mut world, publisher, "latest:a", 1000..1010);
    publish_all(&mut world, publisher, "latest:b", 2000..2010);
    let heard = said(&read_on(&mut world, slow));
    let place = |number: u64| heard.iter().position(|data| *data == number).unwrap();
    assert!(
        place(1009) + 1 == place(2009) && place(2009) < 30,
        "{heard:?}"
    );
    let lagged: Vec<_> = heard
        .iter()
        .filter(|n| n.as_u64() < Some(1000))
        .cloned()
        .collect();
    assert_eq!(lagged, numbers(0..100));
    assert_eq!(heard.len(), 102);
}

#[test]
fn a_publication_replaces_the_older_one_for_those_who_are_left_out_of_it_too() {
    let mut world = world(POLICIES);
    let (slow, name) = connect_slow(&mut world, &["latest:a"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "latest:a", 0..50);
    let command = json!({"type": "publish", "room": "latest:a", "event": "said", "data": 50,
        "except": [name]});
    ask(&mut world, publisher, command);
    let heard = said(&read_on(&mut world, slow));
    assert_eq!(heard, numbers(0..heard.len() as u64));
    assert!(heard.len() < 30);
    publish_all(&mut world, publisher, "latest:a", 51..52);
    assert_eq!(said(&world.client(slow).take_json()), [51]);
}

/// A world whose `latest` rooms have an interval of a second, with a member and a publisher.
fn paced() -> (World, ClientId, ClientId) {
    let config = POLICIES.replace("\"latest\"", "\"latest\"\nmin_interval = \"1s\"");
    let mut world = world(&config);
    let member = world.connect("/ws?room=latest:a");
    let publisher = world.connect("/ws");
    (world, member, publisher)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn between_two_publications_lies_the_interval_and_the_newest_follows_it() {
    let (mut world, member, publisher) = paced();
    let mut check = |after: u64, published: Option<u64>, heard: &[u64]| {
        world.advance(millis(after));
        if let Some(number) = published {
            ask(&mut world, publisher, publish("latest:a", number));
        }
        assert_eq!(
            said(&world.client(member).take_json()),
            heard,
            "{published:?}"
        );
    };
    check(0, Some(1), &[1]);
    check(100, Some(2), &[]);
    check(100, Some(3), &[]);
    check(799, None, &[]);
    check(1, None, &[3]);
    check(5000, None, &[]);
    check(0, Some(4), &[4]);
    check(999, Some(5), &[]);
    check(1, None, &[5]);
    check(1000, Some(6), &[6]);
    assert_eq!(world.total(Counter::LatestReplaced), 1);
    // Rooms do not wait for each other.
    let other = world.connect("/ws?room=latest:b");
    publish_all(&mut world, publisher, "latest:b", 7..8);
    assert_eq!(said(&world.client(other).take_json()), [7]);
}

#[test]
fn one_who_joins_while_a_publication_is_held_back_has_its_position_already() {
    let (mut world, member, publisher) = paced();
    publish_all(&mut world, publisher, "latest:a", 1..3);
    let late = world.connect("/ws");
    let command = json!({"type": "subscribe", "room": "latest:a"});
    assert_eq!(ask(&mut world, late, command)[0]["offset"], 2);
    world.advance(SECOND);
    assert_eq!(said(&world.client(member).take_json()), [1, 2]);
    assert!(world.client(late).take_json().is_empty());
    publish_all(&mut world, publisher, "latest:a", 3..4);
    world.advance(SECOND);
    assert_eq!(said(&world.client(late).take_json()), [3]);
}

#[test]
fn what_is_held_back_leaves_out_whom_it_shall_and_goes_with_the_last_member() {
    let (mut world, member, publisher) = paced();
    let (slow, name) = connect_slow(&mut world, &["latest:a"]);
    world.client(slow).appetite = None;
    publish_all(&mut world, publisher, "latest:a", 1..2);
    let command = json!({"type": "publish", "room": "latest:a", "event": "said", "data": 2,
        "except": [name]});
    ask(&mut world, publisher, command);
    world.advance(SECOND);
    assert_eq!(said(&world.client(slow).take_json()), [1]);
    assert_eq!(said(&world.client(member).take_json()), [1, 2]);
    publish_all(&mut world, publisher, "latest:a", 3..4);
    world.client(slow).cut();
    let leave = json!({"type": "unsubscribe", "room": "latest:a"});
    ask(&mut world, member, leave);
    ask(
        &mut world,
        member,
        json!({"type": "subscribe", "room": "latest:a"}),
    );
    world.advance(2 * SECOND);
    assert!(said(&world.client(member).take_json()).is_empty());
}

#[test]
fn a_publication_to_several_rooms_waits_for_no_interval() {
    let (mut world, member, publisher) = paced();
    publish_all(&mut world, publisher, "latest:a", 1..3);
    let command =
        json!({"type": "publish", "rooms": ["latest:a", "x"], "event": "said", "data": 3});
    ask(&mut world, publisher, command);
    assert_eq!(said(&world.client(member).take_json()), [1, 3]);
    world.advance(millis(900));
    publish_all(&mut world, publisher, "latest:a", 4..5);
    assert!(
        world.client(member).take_json().is_empty(),
        "the interval began anew"
    );
    world.advance(millis(100));
    assert_eq!(said(&world.client(member).take_json()), [4]);
}

#[test]
fn one_who_is_behind_gets_what_was_let_through_last_and_then_the_next() {
    let (mut world, _, publisher) = paced();
    let (slow, _) = connect_slow(&mut world, &["latest:a", "lag:a"]);
    publish_all(&mut world, publisher, "lag:a", 0..50);
    publish_all(&mut world, publisher, "latest:a", 1000..1003);
    let heard = said(&read_on(&mut world, slow));
    assert_eq!(heard.iter().filter(|n| n.as_u64() >= Some(1000)).count(), 1);
    assert!(heard.contains(&json!(1000)));
    world.advance(SECOND);
    assert_eq!(said(&world.client(slow).take_json()), [1002]);
}

#[test]
fn the_newest_waits_for_no_room_that_has_it_already() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["lag:a", "latest:a"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "lag:a", 0..30);
    let both = json!({"type": "publish", "rooms": ["lag:a", "latest:a"], "event": "said",
        "data": 1000});
    ask(&mut world, publisher, both);
    // It recovers the one room, so it waits for this publication in the other room alone.
    let recover = json!({"type": "subscribe", "room": "lag:a", "since": 31});
    ask(&mut world, slow, recover);
    publish_all(&mut world, publisher, "lag:a", 31..60);
    let heard = said(&read_on(&mut world, slow));
    let place = |number: u64| heard.iter().position(|data| *data == number).unwrap();
    assert!(place(1000) < place(31), "{heard:?}");
    assert_eq!(heard[place(31)..], numbers(31..60));
}
