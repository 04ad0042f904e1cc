//! Channels: which of them are rooms, what is heard in several, and what is listed of them.

use crossbeam_channel::Sender;
use kinglet::base::limits::{DEVICE_CHANNEL_BYTES, DEVICE_CHANNELS};
use kinglet::bus::mail::{Mail, Manage, SessionPage, SessionSummary, Who, ask as ask_shards};
use kinglet::dialect::Dialect;
use kinglet::domain::room::RoomName;
use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, World};
use serde_json::{Value, json};

use super::{PATH, metrics, sample, samples, told};
use crate::{ask, types, world};

fn subscribe(world: &mut World, id: ClientId, channel: &str) -> Vec<Value> {
    ask(world, id, json!({"type": "subscribe", "channel": channel}))
}

/// What every shard answers.
fn every_shard<T>(world: &mut World, mail: impl Fn(Sender<T>) -> Mail) -> T {
    let answers = ask_shards(&world.services.mailboxes, mail).unwrap();
    world.settle();
    answers.try_recv().unwrap()
}

fn sessions(world: &mut World) -> Vec<SessionSummary> {
    every_shard(world, |reply| Mail::ListSessions {
        page: SessionPage {
            limit: 9,
            ..SessionPage::default()
        },
        reply,
    })
}

#[test]
fn a_channel_gives_its_newest_at_once_and_then_what_comes() {
    let mut world = world("");
    for (channel, room) in [
        ("system-info", "metrics:system-info"),
        ("processes", "metrics:processes"),
        ("network-interfaces", "metrics:network-interfaces"),
    ] {
        let id = world.connect(PATH);
        world.client(id).take_json();
        sample(&mut world, &[room], channel, 1);
        sample(&mut world, &[room], channel, 2);
        let newest = subscribe(&mut world, id, channel);
        assert_eq!(
            (&newest[0]["type"], &newest[0]["data"]),
            (&channel.into(), &2.into())
        );
        assert_eq!(newest.len(), 1);
        assert!(subscribe(&mut world, id, channel).is_empty(), "again");
        sample(&mut world, &[room], channel, 3);
        assert_eq!(told(&mut world, id), [(channel.to_owned(), json!(3))]);
    }
}

#[test]
fn a_publication_in_several_channels_is_told_once() {
    let mut world = world("");
    let both = world.connect(PATH);
    let one = world.connect(PATH);
    subscribe(&mut world, both, "processes");
    for id in [both, one] {
        world.client(id).take_json();
    }
    sample(&mut world, &["metrics:processes", "metrics"], "metrics", 1);
    for id in [both, one] {
        let messages = world.client(id).take_json();
        assert_eq!(types(&messages), ["metrics"]);
        assert_eq!(messages[0].get("also"), None);
    }
}

#[test]
fn unknown_channels_are_kept_listed_and_never_heard() {
    let mut world = world("");
    let id = world.connect(PATH);
    let hello = world.client(id).take_json().remove(0);
    for channel in ["logs", "history", "logs", "global"] {
        assert!(subscribe(&mut world, id, channel).is_empty());
    }
    sample(&mut world, &["global", "logs"], "said", 1);
    assert!(told(&mut world, id).is_empty());
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "data": {"channel": "history"}}),
    );
    subscribe(&mut world, id, "system-info");
    let listed = sessions(&mut world).remove(0);
    assert_eq!(listed.id.to_string(), hello["data"]["clientId"]);
    assert_eq!(listed.dialect, Dialect::Device);
    let rooms: Vec<&str> = listed.rooms.iter().map(RoomName::as_str).collect();
    assert_eq!(rooms, ["metrics", "metrics:system-info"]);
    let channels: Vec<&str> = listed.channels.iter().map(|name| &**name).collect();
    assert_eq!(channels, ["logs", "global"]);
    world.client(id).close(1000);
    world.settle();
    assert!(sessions(&mut world).is_empty());
}

#[test]
fn unknown_channels_are_few_and_short() {
    let mut world = world("");
    let id = world.connect(PATH);
    world.client(id).take_json();
    for number in 0..DEVICE_CHANNELS {
        assert!(subscribe(&mut world, id, &format!("c{number}")).is_empty());
    }
    let refused = subscribe(&mut world, id, "one more");
    assert_eq!(types(&refused), ["error"]);
    let message = refused[0]["message"].as_str().unwrap();
    assert!(message.contains("16 channels"), "{message}");
    assert!(subscribe(&mut world, id, "c3").is_empty(), "it is known");
    assert!(
        subscribe(&mut world, id, "processes").is_empty(),
        "it is a room"
    );
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "channel": "c3"}),
    );
    assert!(subscribe(&mut world, id, &"x".repeat(DEVICE_CHANNEL_BYTES)).is_empty());
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "channel": "c4"}),
    );
    let long = subscribe(&mut world, id, &"x".repeat(DEVICE_CHANNEL_BYTES + 1));
    assert_eq!(types(&long), ["error"]);
    assert_eq!(world.total(Counter::DeviceChannelsRefused), 2);
}

#[test]
fn an_operator_takes_a_client_out_and_cannot_put_it_elsewhere() {
    let mut world = world("");
    let id = world.connect(PATH);
    world.client(id).take_json();
    let who = Who::Session(sessions(&mut world).remove(0).id);
    let room = super::room_name("metrics");
    let mut manage = |what: Manage| {
        let managed = every_shard(&mut world, |reply| Mail::Manage {
            who: who.clone(),
            what: what.clone(),
            reply,
        });
        (
            (managed.done, managed.refused),
            world.client(id).take_json(),
        )
    };
    let (managed, messages) = manage(Manage::Unsubscribe(room.clone()));
    assert_eq!((managed, types(&messages)), ((1, 0), vec!["error"]));
    let message = "an operator has ended the subscription to metrics";
    assert_eq!(messages[0]["message"], message);
    assert_eq!(manage(Manage::Subscribe(room)), ((0, 1), vec![]));
    metrics(&mut world, 1);
    assert!(told(&mut world, id).is_empty());
    subscribe(&mut world, id, "metrics");
    metrics(&mut world, 2);
    assert_eq!(told(&mut world, id), samples(2..=2));
}
