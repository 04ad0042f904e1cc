//! What the shard as a whole promises and no outside client can bring about.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::Shard;
use crate::base::ids::{PeerId, ShardId};
use crate::base::rng::Rng;
use crate::bus::mail::{Manage, Who};
use crate::domain::command::{Payload, Publish};
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::testkit::world::{HOST, Options, World};
use crate::wire::websocket::handshake::client_request;

#[test]
fn a_panic_in_any_step_of_a_conversation_ends_that_peer_alone() {
    let world = World::new(Options::default());
    let mut shard = Shard::new(ShardId(0), Arc::clone(&world.services), Rng::from_seed(1));
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = world.services.started;
    let live = world.services.live();
    let counters = world.services.counters_of(ShardId(0));
    let mut open = || {
        let context = world.services.context(&live, &counters, now);
        let admitted = world.services.accept(here, context).unwrap();
        shard.open(here, admitted, now).unwrap()
    };
    let (unlucky, other) = (open(), open());
    let outcome = shard.on_peer(unlucky, "otherwise", |_, _| panic!("on purpose"));
    assert_eq!(outcome, "otherwise");
    assert_eq!(world.services.total(Counter::HandlerPanics), 1);
    let mut ended = Vec::new();
    shard.take_ended(&mut ended);
    assert_eq!(ended, [unlucky]);
    shard.check_invariants();
    assert!(shard.wants_input(other));
    assert_eq!(shard.on_peer(other, 0, |_, _| 1), 1);
    assert_eq!(shard.on_peer(unlucky, 0, |_, _| 1), 0);
}

/// A shard that is driven by hand, of a world that does not turn.
struct Hand {
    world: World,
    shard: Shard,
}

impl Hand {
    fn new(config: &str) -> Self {
        let world = World::new(Options {
            config,
            ..Options::default()
        });
        let shard = Shard::new(ShardId(0), Arc::clone(&world.services), Rng::from_seed(1));
        Self { world, shard }
    }

    fn join(&mut self, target: &str) -> PeerId {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let services = &self.world.services;
        let (live, counters) = (services.live(), services.counters_of(ShardId(0)));
        let context = services.context(&live, &counters, services.started);
        let admitted = services.accept(here, context).unwrap();
        let id = self.shard.open(here, admitted, services.started).unwrap();
        let mut request = client_request(HOST, target, "dGhlIHNhbXBsZSBub25jZQ==", &[], &[]);
        self.shard.receive(id, &mut request, services.started);
        self.write_all(id);
        id
    }

    /// Lets the socket of `id` take everything at once.
    fn write_all(&mut self, id: PeerId) {
        self.shard
            .take_dirty(&mut Vec::new(), self.world.services.started);
        let mut slices = [IoSlice::new(&[]); 64];
        let (_, total) = self.shard.gather(id, &mut slices);
        self.shard.wrote(id, total, self.world.services.started);
    }

    fn publish(&mut self, room: &str) {
        let publish = Publish {
            rooms: vec![RoomName::parse(room).unwrap()],
            event: "said".into(),
            payload: Payload::Json("1".into()),
            source: None,
            key: None,
            except: Vec::new(),
        };
        let services = &self.world.services;
        services.rooms.publish(publish, services.started).unwrap();
        self.shard.take_mail(services.started);
    }
}

#[test]
fn a_panic_in_a_refill_leaves_nobody_counted_as_behind() {
    let mut hand = Hand::new(
        "[limits]\noutbox_messages = 8\n[rooms.latest]\nslow_consumer = \"latest\"\n\
         [rooms.lag]\nslow_consumer = \"lag\"\n",
    );
    let rooms = "/ws?room=latest&room=lag";
    let (slow, other) = (hand.join(rooms), hand.join(rooms));
    for _ in 0..8 {
        for room in ["latest", "lag"] {
            hand.publish(room);
            // The one socket takes nothing, the other everything.
            hand.shard.wrote(slow, 0, hand.world.services.started);
            hand.write_all(other);
        }
    }
    assert_eq!(hand.world.total(Counter::FellBehind), 2);
    hand.shard.hub.refills.is_broken = true;
    hand.write_all(slow);
    assert_eq!(hand.world.total(Counter::HandlerPanics), 1);
    let mut ended = Vec::new();
    hand.shard.take_ended(&mut ended);
    assert_eq!(ended, [slow]);
    hand.shard.check_invariants();
}

#[test]
fn what_operators_do_with_a_session_that_does_not_read_fills_no_memory() {
    let mut hand = Hand::new("[limits]\noutbox_messages = 10\n");
    let now = hand.world.services.started;
    let slow = hand.join("/ws");
    let session = hand.shard.peers.get_mut(slow).unwrap().open_session();
    let who = Who::Session(session.unwrap().id);
    let room = RoomName::parse("project:1").unwrap();
    let commands = [Manage::Subscribe(room.clone()), Manage::Unsubscribe(room)];
    let mut done = 0;
    for _ in 0..100 {
        for command in &commands {
            done += hand.shard.manage(&who, command, now).done;
            hand.shard.wrote(slow, 0, now);
        }
    }
    assert_eq!(done, 11, "the last one ends it");
    assert_eq!(hand.world.total(Counter::SlowConsumersClosed), 1);
    hand.shard.check_invariants();
}
