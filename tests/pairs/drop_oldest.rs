//! Policy `drop_oldest`: newer publications take the place of older ones that wait.

use kinglet::metrics::names::Counter;
use serde_json::{Value, json};

use crate::{
    POLICIES, ask, assert_in_order, connect_slow, numbers, publish, publish_all, read_on, said,
    world,
};

#[test]
fn a_slow_member_gets_the_newest_that_an_outbox_holds() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["drop:a"]);
    let fast = world.connect("/ws?room=drop:a");
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "drop:a", 0..200);
    assert_eq!(said(&world.client(fast).take_json()), numbers(0..200));
    let heard = said(&read_on(&mut world, slow));
    // What its socket had taken, one of it perhaps in part, and then the end without a gap.
    let begun = heard.len() as u64 - 15;
    assert!((2..30).contains(&begun), "{heard:?}");
    let expected = [numbers(0..begun), numbers(185..200)].concat();
    assert_eq!(heard, expected);
    assert_eq!(
        world.total(Counter::OldestDropped),
        200 - heard.len() as u64
    );
    publish_all(&mut world, publisher, "drop:a", 200..202);
    assert_eq!(said(&world.client(slow).take_json()), numbers(200..202));
    assert_eq!(world.total(Counter::SlowConsumersClosed), 0);
}

#[test]
fn replies_and_publications_of_other_rooms_are_never_dropped() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["drop:a", "drop:b", "lag:a", "c"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "drop:a", 0..12);
    for number in 0..6 {
        world
            .client(slow)
            .command(json!({"type": "ping", "id": number}));
    }
    publish_all(&mut world, publisher, "lag:a", 1000..1002);
    publish_all(&mut world, publisher, "c", 2000..2002);
    publish_all(&mut world, publisher, "drop:b", 3000..3100);
    let both = json!({"type": "publish", "rooms": ["drop:a", "drop:b"], "event": "said",
        "data": 4000});
    ask(&mut world, publisher, both);
    let heard = read_on(&mut world, slow);
    let pongs: Vec<Value> = heard
        .iter()
        .filter(|m| m["type"] == "pong")
        .cloned()
        .collect();
    assert_eq!(pongs.len(), 6);
    assert_in_order(&pongs);
    let data = said(&heard);
    let of = |low: u64, high: u64| -> Vec<u64> {
        let data = data.iter().filter_map(Value::as_u64);
        data.filter(|number| (low..high).contains(number)).collect()
    };
    assert_eq!(of(1000, 2000), [1000, 1001]);
    assert_eq!(of(2000, 3000), [2000, 2001]);
    assert_eq!(of(4000, 5000), [4000], "the newest of both");
    let rest = of(0, 1000).len() + of(3000, 4000).len();
    assert_eq!(world.total(Counter::OldestDropped), 112 - rest as u64);
    assert_eq!(world.client(slow).close_code(), None);
    assert!(of(0, 1000).is_sorted() && of(3000, 4000).is_sorted());
}

#[test]
fn the_new_one_is_dropped_when_nothing_else_may_be() {
    let mut world = world(POLICIES);
    let (slow, _) = connect_slow(&mut world, &["drop:a", "c"]);
    let publisher = world.connect("/ws");
    publish_all(&mut world, publisher, "c", 0..8);
    while world.total(Counter::OldestDropped) == 0 {
        // Its own replies fill the rest.
        world.client(slow).command(json!({"type": "ping"}));
        world.settle();
        let waiting = world.total(Counter::OutboxPauses) > 0;
        if waiting {
            ask(&mut world, publisher, publish("drop:a", 1000));
        }
    }
    let heard = said(&read_on(&mut world, slow));
    assert_eq!(heard, numbers(0..8));
    assert_eq!(world.total(Counter::OldestDropped), 1);
    assert_eq!(world.client(slow).close_code(), None);
}
