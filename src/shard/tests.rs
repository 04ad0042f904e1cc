//! What the shard as a whole promises and no outside client can bring about.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::Shard;
use crate::base::ids::ShardId;
use crate::base::rng::Rng;
use crate::metrics::names::Counter;
use crate::testkit::world::{Options, World};

#[test]
#[allow(clippy::panic, clippy::unwrap_used)]
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
