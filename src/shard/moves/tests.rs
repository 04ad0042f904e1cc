//! Two shards of one server, between which connections move that no socket belongs to.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::rng::Rng;
use crate::protocol::http_exchange::Step;
use crate::testkit::world::{Options, World};
use crate::wire::http::scan::HeadLimits;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PUBLISH: &str = "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                       application/json\r\nContent-Length: 47\r\n\r\n";
const BODY: &str = "{\"room\":\"lobby\",\"event\":\"said\",\"payload\":\"yes\"}";
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Two {
    world: World,
    one: Shard,
    other: Shard,
    now: Now,
}

impl Two {
    fn new(config: &str) -> Self {
        let world = World::new(Options {
            config,
            shards: 2,
            tls: false,
            ..Options::default()
        });
        let shard = |id, seed| {
            let services = Arc::clone(&world.services);
            Shard::new(ShardId(id), services, Rng::from_seed(seed))
        };
        let (one, other) = (shard(0, 1), shard(1, 2));
        let now = world.services.started;
        Self {
            world,
            one,
            other,
            now,
        }
    }

    /// A connection of the first shard.
    fn open(&mut self) -> PeerId {
        let services = &self.world.services;
        let (live, counters) = (services.live(), services.counters_of(ShardId(0)));
        let context = services.context(&live, &counters, self.now);
        let admitted = services.accept(CLIENT, context).unwrap();
        assert!(admitted.is_counted);
        self.one.open(CLIENT, admitted, self.now).unwrap()
    }

    /// Has `id` send `head`, on which the other shard is to decide, and then `rest`.
    fn ask_other(&mut self, id: PeerId, head: &str, rest: &str) {
        let now = self.now;
        self.one.on_peer(id, (), |peer, hub| {
            let Conversation::Http(http) = &mut peer.conversation else {
                panic!("{peer:?}");
            };
            let limits = HeadLimits {
                bytes: 1024,
                headers: 10,
            };
            let (taken, step) = http.exchange.receive(head.as_bytes(), &limits);
            assert!(matches!((taken, step), (length, Step::Head) if length == head.len()));
            let timeout = hub.live.config.limits.handshake_timeout;
            peer.timers.set(Timer::Handshake, timeout, now.mono);
            send_on(peer, id, ShardId(1), hub, now);
            dispatch::settle(peer, id, hub);
        });
        self.one.receive(id, &mut rest.as_bytes().to_vec(), now);
    }

    fn leave(&mut self) -> Vec<Moving> {
        let mut moving = Vec::new();
        self.one.take_moving(&mut moving);
        self.check();
        moving
    }

    /// Has all move who want to; the last of them.
    fn cross(&mut self) -> PeerId {
        let mut last = None;
        for Moving { shard, parcel, .. } in self.leave() {
            assert_eq!(shard, ShardId(1));
            last = self.other.adopt(parcel, self.now);
            self.check();
        }
        last.unwrap()
    }

    fn check(&self) {
        self.one.check_invariants();
        self.other.check_invariants();
    }

    fn connections(&self) -> (usize, usize, u64) {
        let services = &self.world.services;
        (self.one.len(), self.other.len(), services.connections())
    }
}

/// All that a shard has for `id`, which its socket takes.
fn sent(shard: &mut Shard, id: PeerId, now: Now) -> String {
    shard.take_dirty(&mut Vec::new(), now);
    let mut slices = [IoSlice::new(&[]); 64];
    let (count, total) = shard.gather(id, &mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
    shard.wrote(id, total, now);
    String::from_utf8(bytes).unwrap()
}

/// The statuses of the answers in `sent`.
fn statuses(sent: &str) -> Vec<&str> {
    let answers = sent.split("HTTP/1.1 ").skip(1);
    answers.map(|answer| answer.get(..3).unwrap()).collect()
}

#[test]
fn a_request_goes_on_where_it_was_sent_with_all_that_came_before_and_behind_it() {
    let mut two = Two::new("");
    let id = two.open();
    two.one.receive(id, &mut LIVE.as_bytes().to_vec(), two.now);
    two.one.wrote(id, 10, two.now);
    let body = format!("{BODY}{LIVE}{LIVE}");
    let (early, late) = body.split_at(20);
    let requests = two.world.total(Counter::HttpRequests);
    two.ask_other(id, PUBLISH, early);
    assert!(!two.one.wants_input(id));
    assert!(two.one.has_left_over());

    let there = two.cross();
    assert_eq!(two.connections(), (0, 1, 1));
    assert!(!two.one.wants_input(id) && two.other.wants_input(there));
    let mut late = late.as_bytes().to_vec();
    two.other.receive(there, &mut late, two.now);
    two.check();
    let sent = sent(&mut two.other, there, two.now);
    assert!(sent.starts_with("00 OK\r\n"), "{sent}");
    assert_eq!(statuses(&sent), ["200", "200", "200"]);
    assert_eq!(two.world.total(Counter::HttpRequests), requests + 2);
    assert_eq!(two.world.total(Counter::ConnectionsMoved), 1);
}

#[test]
fn whatever_is_counted_of_a_connection_is_counted_once_and_let_go_where_it_ends() {
    let mut two = Two::new("");
    let id = two.open();
    let services = Arc::clone(&two.world.services);
    let counted = || (services.handshakes(), services.counted_clients().len());
    assert_eq!(counted(), (1, 1));
    two.ask_other(id, LIVE, "");
    let there = two.cross();
    assert_eq!(counted(), (0, 1), "the request was answered");
    two.other.broken(there);
    let mut ended = Vec::new();
    two.one.take_ended(&mut ended);
    assert_eq!((ended.as_slice(), counted()), ([].as_slice(), (0, 1)));
    two.other.take_ended(&mut ended);
    assert_eq!((ended.as_slice(), counted()), ([there].as_slice(), (0, 0)));
    assert_eq!(two.connections(), (0, 0, 0));
}

#[test]
fn a_client_that_has_said_all_gets_its_answer_and_the_end() {
    for says_so in [true, false] {
        let mut two = Two::new("");
        let id = two.open();
        let head = match says_so {
            true => LIVE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
            false => LIVE.to_owned(),
        };
        two.ask_other(id, &head, "");
        two.one.end_of_input(id);
        let there = two.cross();
        assert_eq!(statuses(&sent(&mut two.other, there, two.now)), ["200"]);
        let mut ended = Vec::new();
        two.other.take_ended(&mut ended);
        assert_eq!(ended, [there], "{says_so}");
    }
}

#[test]
fn whoever_is_gone_or_too_late_does_not_leave() {
    let mut two = Two::new("");
    let gone = two.open();
    two.ask_other(gone, LIVE, "");
    two.one.broken(gone);
    assert!(two.leave().is_empty());
    let mut ended = Vec::new();
    two.one.take_ended(&mut ended);
    assert_eq!(ended, [gone]);
    let late = two.open();
    two.ask_other(late, LIVE, "");
    let timeout = two.one.hub.live.config.limits.handshake_timeout;
    two.now.mono = two.now.mono + timeout + limits::TICK;
    two.one.fire(two.now);
    assert_eq!(statuses(&sent(&mut two.one, late, two.now)), ["408"]);
    assert!(two.leave().is_empty());
    assert_eq!(two.world.total(Counter::ConnectionsMoved), 0);
}

#[test]
fn a_timeout_goes_on_where_the_connection_is() {
    let mut two = Two::new("");
    let id = two.open();
    two.ask_other(id, PUBLISH, "{");
    let there = two.cross();
    let timeout = two.other.hub.live.config.limits.handshake_timeout;
    two.now.mono = two.now.mono + timeout + limits::TICK;
    two.one.fire(two.now);
    two.other.fire(two.now);
    assert_eq!(statuses(&sent(&mut two.other, there, two.now)), ["408"]);
    two.check();
}

#[test]
fn while_the_server_shuts_down_nobody_leaves_and_whoever_is_on_the_way_is_not_waited_for() {
    let mut two = Two::new("");
    let (first, second) = (two.open(), two.open());
    two.ask_other(first, PUBLISH, "{");
    two.world.services.begin_drain();
    two.other.begin_drain(Duration::from_secs(30), two.now);
    let there = two.cross();
    two.ask_other(second, LIVE, "");
    assert!(two.leave().is_empty());
    assert_eq!(statuses(&sent(&mut two.one, second, two.now)), ["503"]);
    two.now.mono = two.now.mono + limits::CLOSE_TIMEOUT + limits::TICK;
    two.other.fire(two.now);
    assert_eq!(statuses(&sent(&mut two.other, there, two.now)), ["408"]);
    two.check();
}

#[test]
fn what_is_cut_on_its_way_out_was_owed_an_answer() {
    let mut two = Two::new("");
    let id = two.open();
    two.ask_other(id, LIVE, "");
    two.one.begin_drain(Duration::from_secs(30), two.now);
    two.one.cut();
    assert!(two.leave().is_empty());
    assert_eq!(two.one.drain_report().unwrap().cut, 1);
}

#[test]
fn an_id_leads_to_another_shard_that_exists_or_nowhere() {
    let two = Two::new("");
    let elsewhere = |shard| {
        let session = SessionId::in_shard(0x0123_4567_89ab_cdef << 40, ShardId(shard));
        two.other.hub.elsewhere(session)
    };
    assert_eq!(elsewhere(0), Some(ShardId(0)));
    for nowhere in [1, 2, u16::MAX] {
        assert_eq!(elsewhere(nowhere), None, "{nowhere}");
    }
}
