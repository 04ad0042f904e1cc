//! Rooms with mailboxes that nobody empties but the test.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::{Joined, RoomFault, Rooms, Watch};
use crate::base::clock::{Mono, Now};
use crate::base::ids::{SessionId, ShardId};
use crate::base::rng::Rng;
use crate::bus::mail::Mail;
use crate::bus::mailbox::Mailbox;
use crate::bus::presence::{Changes, Entrant};
use crate::bus::room::Wanted;
use crate::config::{Config, Flags, Sources, load, no_files};
use crate::domain::access::Identity;
use crate::domain::command::{Payload, Publish, Since};
use crate::domain::room::RoomName;

const A: ShardId = ShardId(0);
const B: ShardId = ShardId(1);

/// What one who was away wants, whatever its amount.
fn wanted(since: &Since) -> Wanted<'_> {
    let most = usize::MAX;
    Wanted { since, most }
}

struct Hall {
    rooms: Rooms,
    mailboxes: Arc<[Arc<Mailbox>]>,
}

/// Somebody on a shard.
fn on(shard: ShardId) -> Entrant<'static> {
    Entrant {
        shard,
        session: SessionId(7),
        identity: &Identity::Anonymous,
    }
}

impl Hall {
    fn new(config: &str, mailbox: usize) -> Self {
        let flags = Flags::default();
        let sources = Sources {
            file: Some(("rooms.toml", config)),
            environment: &[],
            flags: &flags,
            files: no_files,
        };
        let (config, _): (Config, _) = load(&sources).unwrap();
        let mailboxes: Arc<[Arc<Mailbox>]> = (0..2)
            .map(|_| Arc::new(Mailbox::new(mailbox, Box::new(|| {}))))
            .collect();
        let (limit, rng) = (config.limits.rooms, Rng::from_seed(1));
        let rooms = Rooms::new(config.rooms, limit, Arc::clone(&mailboxes), rng);
        Self { rooms, mailboxes }
    }

    fn join(&self, name: &str, shard: ShardId) -> Joined {
        self.join_since(name, shard, None)
    }

    fn join_since(&self, name: &str, shard: ShardId, since: Option<&Since>) -> Joined {
        self.join_wanting(name, shard, since.map(wanted), Mono::ZERO)
    }

    fn join_wanting(
        &self,
        name: &str,
        shard: ShardId,
        wanted: Option<Wanted<'_>>,
        now: Mono,
    ) -> Joined {
        let changes = &mut Changes::default();
        let joined = self
            .rooms
            .join(&room(name), on(shard), wanted, changes, now);
        joined.unwrap()
    }

    fn leave(&self, joined: &Joined, shard: ShardId) {
        let changes = &mut Changes::default();
        self.rooms.leave(&joined.room, on(shard), changes);
    }

    fn publish(&self, names: &[&str]) -> Result<Vec<u64>, RoomFault> {
        let publication = self.rooms.publish(asked(names), at(0))?;
        self.rooms.check_invariants();
        let offsets = publication.placements.iter().map(|place| place.offset);
        Ok(offsets.collect())
    }

    /// The offsets in each piece of mail of a shard, with its sequence.
    fn mail(&self, shard: ShardId) -> Vec<(u64, Vec<u64>)> {
        let mut taken = VecDeque::new();
        self.mailboxes[shard.index()].take(usize::MAX, &mut taken);
        let of = |mail| {
            let Mail::Deliver(delivery) = mail else {
                return None;
            };
            let publication = delivery.publication();
            let offsets = publication.placements.iter().map(|place| place.offset);
            Some((publication.sequence, offsets.collect()))
        };
        taken.into_iter().filter_map(of).collect()
    }

    fn names(&self, prefix: &str, after: &str, limit: usize) -> (Vec<String>, bool) {
        let (rooms, more) = self.rooms.list(prefix, after, limit, |_| true);
        let names = rooms.iter().map(|room| room.room.as_str().to_owned());
        (names.collect(), more)
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::ZERO + Duration::from_secs(seconds),
        ..Now::default()
    }
}

fn asked(names: &[&str]) -> Publish {
    Publish {
        rooms: names.iter().map(|name| room(name)).collect(),
        event: "said".into(),
        payload: Payload::Json("1".into()),
        source: None,
        key: None,
        except: vec![SessionId(1)],
    }
}

fn since(offset: u64) -> Since {
    Since {
        epoch: None,
        offset,
    }
}

#[test]
fn offsets_count_per_room_and_mail_goes_where_members_are() {
    let hall = Hall::new("", 100);
    hall.join("x", A);
    hall.join("y", B);
    assert_eq!(hall.publish(&["x"]), Ok(vec![1]));
    assert_eq!(hall.publish(&["y", "x"]), Ok(vec![1, 2]));
    assert_eq!(hall.publish(&["nobody"]), Ok(vec![1]));
    assert_eq!(hall.mail(A), [(1, vec![1]), (2, vec![1, 2])]);
    assert_eq!(hall.mail(B), [(2, vec![1, 2])]);
}

#[test]
fn a_full_mailbox_leaves_every_room_as_it_was() {
    let hall = Hall::new("", 1);
    hall.join("x", A);
    hall.join("y", B);
    assert_eq!(hall.publish(&["x"]), Ok(vec![1]));
    assert_eq!(hall.publish(&["y", "x"]), Err(RoomFault::Busy));
    assert!(!hall.rooms.has_room_for_mail());
    assert_eq!(hall.publish(&["y"]), Ok(vec![1]), "its shard has room");
    assert_eq!(hall.mail(A).len(), 1);
    assert_eq!(hall.publish(&["x"]), Ok(vec![2]));
}

#[test]
fn joining_takes_a_position_and_what_was_missed_up_to_it() {
    let hall = Hall::new("[rooms.default]\nhistory_count = 3\n", 100);
    for _ in 0..5 {
        hall.publish(&["x"]).unwrap();
    }
    let check = |asked: u64, missed: Option<&[u64]>| {
        let joined = hall.join_since("x", A, Some(&since(asked)));
        assert_eq!((joined.position.offset, joined.sequence), (5, 5));
        let offsets = joined
            .missed
            .map(|all| all.iter().map(|(n, _)| *n).collect());
        assert_eq!(offsets, missed.map(<[u64]>::to_vec), "since {asked}");
    };
    check(5, Some(&[]));
    check(3, Some(&[4, 5]));
    check(2, Some(&[3, 4, 5]));
    check(1, None);
    check(6, None);
    let epoch = hall.rooms.summary(&room("x")).unwrap().position.epoch;
    let other = Since {
        epoch: Some(crate::domain::position::Epoch::parse("other").unwrap()),
        offset: 5,
    };
    let joined = hall.join_since("x", A, Some(&other));
    assert!(joined.missed.is_none());
    let same = Since {
        epoch: Some(epoch),
        offset: 5,
    };
    let looked = hall
        .rooms
        .look(&joined.room, Some(wanted(&same)), Mono::ZERO);
    assert_eq!(looked.missed.map(|missed| missed.len()), Some(0));
}

#[test]
fn more_than_is_wanted_at_most_is_not_missed_at_all() {
    let hall = Hall::new("", 100);
    for _ in 0..5 {
        hall.publish(&["x"]).unwrap();
    }
    let check = |offset: u64, most: usize, missed: Option<usize>| {
        let since = since(offset);
        let wanted = Wanted {
            since: &since,
            most,
        };
        let joined = hall.join_wanting("x", A, Some(wanted), Mono::ZERO);
        let found = joined.missed.map(|all| all.len());
        assert_eq!(found, missed, "since {offset}, {most} at most");
    };
    check(0, 5, Some(5));
    check(0, 4, None);
    check(1, 4, Some(4));
    check(5, 0, Some(0));
}

#[test]
fn the_newest_publication_says_all_of_a_room_that_keeps_one() {
    let hall = Hall::new("[rooms.default]\nhistory_count = 1\n", 100);
    let missed = |asked: &Since, at: Mono| {
        let joined = hall.join_wanting("x", A, Some(wanted(asked)), at);
        joined
            .missed
            .map(|all| all.iter().map(|(offset, _)| *offset).collect::<Vec<_>>())
    };
    assert_eq!(missed(&since(0), Mono::ZERO), Some(vec![]));
    for _ in 0..3 {
        hall.publish(&["x"]).unwrap();
    }
    for before in 0..3 {
        assert_eq!(missed(&since(before), Mono::ZERO), Some(vec![3]));
    }
    assert_eq!(missed(&since(3), Mono::ZERO), Some(vec![]));
    assert_eq!(missed(&since(4), Mono::ZERO), None);
    let another = Since {
        epoch: crate::domain::position::Epoch::parse("another"),
        offset: 2,
    };
    assert_eq!(missed(&another, Mono::ZERO), None);
    assert_eq!(missed(&since(0), at(3600).mono), None, "it has aged out");
}

fn sweep(hall: &Hall, seconds: u64) -> usize {
    let swept = (0..64).map(|turn| hall.rooms.sweep(turn, at(seconds).mono));
    let evicted = swept.sum();
    hall.rooms.check_invariants();
    evicted
}

#[test]
fn a_room_outlives_its_members_and_history_by_the_age_of_history() {
    let hall = Hall::new("", 100);
    let joined = hall.join("x", A);
    hall.publish(&["x"]).unwrap();
    assert_eq!(sweep(&hall, 301), 1);
    hall.leave(&joined, A);
    sweep(&hall, 302);
    let again = hall.join("x", A);
    assert_eq!(
        again.position.epoch, joined.position.epoch,
        "it came back in time"
    );
    hall.leave(&joined, A);
    sweep(&hall, 400);
    sweep(&hall, 699);
    assert_eq!(hall.rooms.count(), 1);
    sweep(&hall, 700);
    assert_eq!(hall.rooms.count(), 0);
    let new = hall.join("x", A);
    assert_eq!(new.position.offset, 0);
    assert_ne!(new.position.epoch, joined.position.epoch);
}

#[test]
fn a_room_that_was_left_makes_place_for_another() {
    let hall = Hall::new("[limits]\nrooms = 2\n", 100);
    let left = hall.join("left", A);
    hall.join("kept", A);
    assert_eq!(hall.publish(&["new"]), Err(RoomFault::TooMany { limit: 2 }));
    hall.leave(&left, A);
    assert_eq!(hall.publish(&["new"]), Ok(vec![1]));
    assert!(hall.rooms.summary(&room("left")).is_none());
    assert_eq!(
        hall.publish(&["left"]),
        Err(RoomFault::TooMany { limit: 2 })
    );
    hall.rooms.check_invariants();
}

#[test]
fn limits_and_strict_namespaces_refuse_rooms_and_count_none() {
    let hall = Hall::new("[limits]\nrooms = 2\n", 100);
    hall.publish(&["a", "b"]).unwrap();
    assert_eq!(hall.publish(&["c"]), Err(RoomFault::TooMany { limit: 2 }));
    assert_eq!(hall.publish(&["b"]), Ok(vec![2]));
    let hall = Hall::new("[server]\nstrict_rooms = true\n[rooms.chat]\n", 100);
    assert_eq!(hall.publish(&["chat:1", "global"]), Ok(vec![1, 1]));
    let refused = hall.publish(&["other"]);
    assert!(
        matches!(refused, Err(RoomFault::UnknownNamespace { .. })),
        "{refused:?}"
    );
    hall.rooms.check_invariants();
}

#[test]
fn rooms_are_listed_by_name_in_pages() {
    let hall = Hall::new("", 100);
    for number in 0..30 {
        hall.publish(&[&format!("r{number:02}"), "other"]).unwrap();
    }
    let (first, more) = hall.names("r", "", 20);
    assert_eq!(
        (first.len(), first[0].as_str(), first[19].as_str(), more),
        (20, "r00", "r19", true)
    );
    let (rest, more) = hall.names("r", "r19", 20);
    assert_eq!((rest.len(), rest[9].as_str(), more), (10, "r29", false));
    assert_eq!(hall.names("o", "", 1), (vec!["other".to_owned()], false));
}

#[test]
fn deleted_history_is_gone_under_a_new_epoch() {
    let hall = Hall::new("", 100);
    hall.publish(&["x"]).unwrap();
    let before = hall.rooms.summary(&room("x")).unwrap().position;
    let after = hall.rooms.clear_history(&room("x")).unwrap();
    assert_ne!(before.epoch, after.epoch);
    let found = hall
        .rooms
        .history(&room("x"), None, 9, false, Mono::ZERO)
        .unwrap();
    assert!(found.page.items.is_empty() && !found.page.more && found.is_whole);
    assert!(hall.rooms.clear_history(&room("none")).is_none());
}

#[test]
fn forgotten_history_leaves_the_stream_as_it_stands() {
    let hall = Hall::new("", 100);
    hall.publish(&["x"]).unwrap();
    let before = hall.rooms.summary(&room("x")).unwrap().position;
    hall.rooms.forget_history(&room("x"), Mono::ZERO);
    let found = hall
        .rooms
        .history(&room("x"), None, 9, false, Mono::ZERO)
        .unwrap();
    assert!(found.page.items.is_empty());
    assert_eq!(found.position, before);
    assert_eq!(hall.publish(&["x"]), Ok(vec![2]));
    hall.rooms.forget_history(&room("none"), Mono::ZERO);
}

#[test]
fn only_the_first_member_of_a_watched_room_wakes_who_watches() {
    let hall = Hall::new("", 100);
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    hall.rooms.watch(Watch {
        rooms: vec![room("metrics"), room("metrics:processes")],
        wake: Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }),
    });
    let check = |joined: Option<Joined>, expected: usize| {
        assert_eq!(woken.load(Ordering::Relaxed), expected);
        joined
    };
    check(Some(hall.join("metrics:others", A)), 0);
    let first = check(Some(hall.join("metrics", A)), 1).unwrap();
    let second = check(Some(hall.join("metrics", B)), 1).unwrap();
    assert!(hall.rooms.is_occupied(&room("metrics")));
    hall.leave(&first, A);
    hall.leave(&second, B);
    assert!(!hall.rooms.is_occupied(&room("metrics")));
    check(Some(hall.join("metrics", B)), 2);
    check(Some(hall.join("metrics:processes", B)), 3);
}

#[test]
fn releasing_forgets_what_nobody_needs_the_longest_silent_first_and_streams_go_on() {
    let hall = Hall::new("", 100);
    let member = hall.join("occupied", A);
    for (second, name) in [(1, "occupied"), (3, "b"), (2, "a"), (4, "c")] {
        hall.rooms.publish(asked(&[name]), at(second)).unwrap();
    }
    let retained = |name: &str| {
        let history = hall.rooms.history(&room(name), None, 10, false, at(4).mono);
        history.unwrap().page.items.len()
    };
    let all = |names: [&str; 4]| names.map(retained);
    let names = ["occupied", "a", "b", "c"];
    assert_eq!(hall.rooms.release(0), 0);
    assert_eq!(all(names), [1, 1, 1, 1]);
    assert_eq!(hall.rooms.release(1), 1, "a history is given up whole");
    assert_eq!(all(names), [1, 0, 1, 1]);
    assert_eq!(hall.rooms.release(u64::MAX), 2);
    assert_eq!(all(names), [1, 0, 0, 0]);
    hall.rooms.check_invariants();

    let epoch = hall.rooms.summary(&room("a")).unwrap().position.epoch;
    assert!(hall.join_since("a", B, Some(&since(0))).missed.is_none());
    let known = Since {
        epoch: Some(epoch),
        offset: 1,
    };
    let current = hall.join_since("a", B, Some(&known)).missed;
    assert_eq!(
        current.map(|missed| missed.len()),
        Some(0),
        "nothing is missing"
    );
    assert_eq!(hall.publish(&["a"]), Ok(vec![2]), "offsets go on");
    hall.leave(&member, A);
    assert_eq!(hall.rooms.release(u64::MAX), 1);
    assert_eq!(retained("occupied"), 0);
}

#[test]
fn publishers_on_many_threads_agree_on_one_order_in_all_rooms_they_share() {
    let hall = Hall::new("", 100_000);
    let names = ["a", "b", "c"];
    for name in names {
        hall.join(name, A);
        hall.join(name, B);
    }
    thread::scope(|scope| {
        for thread in 0..4 {
            let hall = &hall;
            scope.spawn(move || {
                for number in 0..500 {
                    // In every order of naming them, which must not matter to the locks.
                    let (first, second) = (
                        (thread + number) % 3,
                        (thread + number + 1 + number % 2) % 3,
                    );
                    hall.publish(&[names[first], names[second]]).unwrap();
                }
            });
        }
    });
    let (on_a, on_b) = (hall.mail(A), hall.mail(B));
    assert_eq!(on_a.len(), 2000);
    assert_eq!(on_a, on_b);
    hall.rooms.check_invariants();
}
