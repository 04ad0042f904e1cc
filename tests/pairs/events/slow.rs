//! Streams whose clients read too slowly: the policies of their rooms.

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::World;
use serde_json::Value;

use super::{Stream, said};
use crate::{POLICIES, SECOND, numbers, publish_all, world};

/// A stream that has begun and is no longer read, on a link that holds little.
fn stalled(world: &mut World, target: &str) -> Stream {
    let capacity = std::mem::replace(&mut world.conditions.capacity, 1000);
    let mut stream = Stream::open(world, target);
    stream.take(world);
    world.conditions.capacity = capacity;
    world.client(stream.client).appetite = Some(0);
    stream
}

fn read_on(world: &mut World, stream: &mut Stream) -> Vec<Value> {
    world.client(stream.client).appetite = Some(500);
    said(&stream.take(world))
}

fn offset_of(id: &str) -> u64 {
    id.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_slow_stream_is_ended_and_recovers_what_it_missed() {
    for target in ["/api/v1/rooms/a/events", "/api/v1/events?room=b&room=a"] {
        let mut world = world(POLICIES);
        let talker = world.connect("/ws?room=x");
        let mut stream = stalled(&mut world, target);
        publish_all(&mut world, talker, "a", 0..60);
        assert_eq!(world.total(Counter::SlowConsumersClosed), 1);
        let heard = read_on(&mut world, &mut stream);
        assert_eq!(stream.ending(), "4000 slow consumer");
        assert!(!heard.is_empty() && heard.len() < 60);
        let id = stream.reader.last_id.clone();
        assert_eq!(offset_of(&id), heard.len() as u64);
        let rest = said(&Stream::resume(&mut world, target, &id).take(&mut world));
        assert_eq!([heard, rest].concat(), numbers(0..60), "{target}");
    }
}

#[test]
fn a_stream_that_takes_nothing_at_all_is_dropped_by_its_stall() {
    let mut world = world(POLICIES);
    let talker = world.connect("/ws?room=x");
    stalled(&mut world, "/api/v1/rooms/lag:1/events");
    publish_all(&mut world, talker, "lag:1", 0..50);
    world.advance(11 * SECOND);
    assert_eq!(world.total(Counter::WriteStalls), 1);
    assert_eq!(world.connections(), 1);
}

#[test]
fn drop_oldest_keeps_the_newest_with_the_ids_that_belong_to_them() {
    for target in [
        "/api/v1/rooms/drop:1/events",
        "/api/v1/events?room=x&room=drop:1",
    ] {
        let mut world = world(POLICIES);
        let talker = world.connect("/ws?room=y");
        let mut stream = stalled(&mut world, target);
        publish_all(&mut world, talker, "drop:1", 0..80);
        world.client(stream.client).appetite = Some(500);
        let events = stream.take(&mut world);
        let heard = said(&events);
        assert!(
            heard.len() < 60 && heard.is_sorted_by_key(Value::as_u64),
            "{heard:?}"
        );
        assert_eq!(heard.last(), Some(&Value::from(79)));
        for event in &events {
            assert_eq!(event.json()["offset"], offset_of(&event.id));
        }
        let dropped = world.total(Counter::OldestDropped);
        assert_eq!(dropped + heard.len() as u64, 80);
        assert!(!stream.has_ended(&mut world));
    }
}

#[test]
fn latest_brings_the_newest_when_the_stream_reads_on() {
    for target in [
        "/api/v1/rooms/latest:1/events",
        "/api/v1/events?room=x&room=latest:1",
    ] {
        let mut world = world(POLICIES);
        let talker = world.connect("/ws?room=y");
        let mut stream = stalled(&mut world, target);
        publish_all(&mut world, talker, "latest:1", 0..80);
        let heard = read_on(&mut world, &mut stream);
        assert!(heard.len() < 40, "{heard:?}");
        assert_eq!(heard.last(), Some(&Value::from(79)));
        assert_eq!(offset_of(&stream.reader.last_id), 80);
    }
}

#[test]
fn lag_brings_everything_when_the_stream_reads_on() {
    for target in [
        "/api/v1/rooms/lag:1/events",
        "/api/v1/events?room=lag:1&room=x",
    ] {
        let mut world = world(POLICIES);
        let talker = world.connect("/ws?room=y");
        let mut stream = stalled(&mut world, target);
        publish_all(&mut world, talker, "lag:1", 0..200);
        assert_eq!(world.total(Counter::FellBehind), 1);
        assert_eq!(read_on(&mut world, &mut stream), numbers(0..200));
        publish_all(&mut world, talker, "lag:1", 200..210);
        assert_eq!(said(&stream.take(&mut world)), numbers(200..210));
        assert!(!stream.has_ended(&mut world));
    }
}
