//! Durable subscriptions on a real disk, and the file of a version that had none.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::base::clock::Wall;
use crate::base::limits::SUBSCRIPTION_AGE;
use crate::domain::position::Position;
use crate::store::commit::{Done, Work};
use crate::store::database::{FILE, Store};
use crate::store::schema::{APPLICATION_ID, STEPS};
use crate::store::subscriptions::{Action, Keep, Outcome};
use crate::store::tests::{KEYS, Place, at, epoch, room};

fn place(spelt: &str, offset: u64) -> Position {
    Position {
        epoch: epoch(spelt),
        offset,
    }
}

/// Does all of it in one transaction; names and rooms are told apart by a slash.
fn perform(store: &mut Store, asked: &[(&str, &str, Action)], now: Wall) -> Vec<Outcome> {
    let rooms: Vec<_> = asked
        .iter()
        .map(|(_, at, _)| at.split_once('/').unwrap())
        .collect();
    let rooms: Vec<_> = rooms.iter().map(|(name, to)| (*name, room(to))).collect();
    let work = asked.iter().zip(&rooms);
    let work = work.map(|((owner, _, action), (name, room))| {
        Work::Keep(Keep {
            owner,
            name,
            room,
            action: *action,
            most: 3,
        })
    });
    let work: Vec<_> = work.collect();
    let done = store.commit(&work, KEYS, now).unwrap().done;
    let kept = done.into_iter().map(|done| match done {
        Done::Kept(outcome) => outcome,
        other => panic!("{other:?}"),
    });
    kept.collect()
}

#[test]
fn what_was_acknowledged_only_grows_and_is_kept() {
    let disk = Place::new();
    let mut store = disk.open("e").store;
    let mut check = |action: Action, expected: Position| {
        let kept = perform(&mut store, &[("ada", "phone/a", action)], at(0));
        assert_eq!(kept, [Outcome::Kept(expected)], "{action:?}");
    };
    check(Action::Begin(place("e", 5)), place("e", 5));
    check(Action::Begin(place("e", 9)), place("e", 5));
    check(Action::Acknowledge(place("e", 7)), place("e", 7));
    check(Action::Acknowledge(place("e", 6)), place("e", 7));
    // Another stream begins where it begins.
    check(Action::Begin(place("f", 2)), place("e", 7));
    check(Action::Acknowledge(place("f", 2)), place("f", 2));
    drop(store);
    let mut store = disk.open("e").store;
    let kept = perform(
        &mut store,
        &[("ada", "phone/a", Action::Begin(place("f", 0)))],
        at(0),
    );
    assert_eq!(kept, [Outcome::Kept(place("f", 2))]);
}

#[test]
fn owners_names_and_rooms_are_apart() {
    let disk = Place::new();
    let mut store = disk.open("e").store;
    let all = [
        ("ada", "p/a"),
        ("ada", "q/a"),
        ("ada", "p/b"),
        ("bob", "p/a"),
        ("", "p/a"),
    ];
    for (index, (owner, to)) in all.iter().enumerate() {
        let begin = Action::Begin(place("e", index as u64));
        perform(&mut store, &[(owner, to, begin)], at(0));
    }
    let begin = Action::Begin(place("e", 99));
    let again: Vec<_> = all.iter().map(|(owner, to)| (*owner, *to, begin)).collect();
    let expected: Vec<_> = (0..5)
        .map(|offset| Outcome::Kept(place("e", offset)))
        .collect();
    assert_eq!(perform(&mut store, &again, at(0)), expected);
}

#[test]
fn many_acknowledgements_of_one_transaction_are_one_write() {
    let disk = Place::new();
    let mut store = disk.open("e").store;
    perform(
        &mut store,
        &[("ada", "p/a", Action::Begin(place("e", 0)))],
        at(0),
    );
    let total = |store: &Store| -> i64 {
        let sql = "SELECT total_changes()";
        store
            .connection
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    };
    let ack = |offset| ("ada", "p/a", Action::Acknowledge(place("e", offset)));
    let acks: Vec<_> = (1..=50).map(ack).collect();
    let began = total(&store);
    let kept = perform(&mut store, &acks, at(1));
    assert_eq!(kept.last(), Some(&Outcome::Kept(place("e", 50))));
    assert_eq!(total(&store) - began, 1);
    // Whoever only comes back, or acknowledges again, writes nothing.
    let began = total(&store);
    let come = ("ada", "p/a", Action::Begin(place("e", 60)));
    perform(&mut store, &[ack(50), come], at(2));
    assert_eq!(total(&store), began);
}

#[test]
fn an_owner_has_so_many_and_may_forget_some() {
    let disk = Place::new();
    let mut store = disk.open("e").store;
    let begin = Action::Begin(place("e", 0));
    let asked = ["p/a", "p/b", "p/c", "p/d"].map(|to| ("ada", to, begin));
    let outcomes = perform(&mut store, &asked, at(0));
    assert_eq!(outcomes[3], Outcome::TooMany);
    assert!(
        outcomes[..3]
            .iter()
            .all(|it| matches!(it, Outcome::Kept(_)))
    );
    let late = ("ada", "p/d", Action::Acknowledge(place("e", 1)));
    assert_eq!(perform(&mut store, &[late], at(0)), [Outcome::TooMany]);
    assert!(matches!(
        perform(&mut store, &[("bob", "p/d", begin)], at(0))[..],
        [Outcome::Kept(_)]
    ));
    let asked = [
        ("ada", "p/b", Action::Forget),
        late,
        ("ada", "none/a", Action::Forget),
    ];
    let expected = [
        Outcome::Forgotten,
        Outcome::Kept(place("e", 1)),
        Outcome::Forgotten,
    ];
    assert_eq!(perform(&mut store, &asked, at(0)), expected);
    // What was acknowledged and forgotten in one transaction is gone, too.
    let asked = [
        ("ada", "p/a", Action::Acknowledge(place("e", 9))),
        ("ada", "p/a", Action::Forget),
    ];
    perform(&mut store, &asked, at(0));
    let begin = ("ada", "p/a", Action::Begin(place("e", 2)));
    assert_eq!(
        perform(&mut store, &[begin], at(0)),
        [Outcome::Kept(place("e", 2))]
    );
}

#[test]
fn what_nobody_uses_is_swept_after_its_time() {
    let disk = Place::new();
    let mut store = disk.open("e").store;
    let begin = Action::Begin(place("e", 0));
    perform(
        &mut store,
        &[("ada", "p/a", begin), ("ada", "q/a", begin)],
        at(0),
    );
    let age = SUBSCRIPTION_AGE.as_secs();
    let day = 24 * 60 * 60;
    // One of them is used meanwhile.
    perform(
        &mut store,
        &[("ada", "q/a", Action::Begin(place("e", 7)))],
        at(2 * day),
    );
    let mut check = |seconds: u64, expected: u64| {
        let swept = store.sweep(|_| None, at(seconds)).unwrap();
        assert_eq!(swept.subscriptions, expected, "after {seconds} s");
    };
    check(age - 1, 0);
    check(age, 1);
    check(age + day, 0);
    check(age + 2 * day, 1);
    check(age + 2 * day, 0);
}

#[test]
fn a_file_of_the_first_version_is_taken_over_as_it_is() {
    let disk = Place::new();
    let connection = rusqlite::Connection::open(disk.path().join(FILE)).unwrap();
    connection.execute_batch(STEPS[0]).unwrap();
    connection
        .execute_batch(&format!(
            "INSERT INTO meta VALUES ('epoch', 'e'), ('closed', 'yes'), ('boot', 'first');
             INSERT INTO rooms VALUES (1, 'a', 'e', 7, 8, 0, 0);
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = 1;"
        ))
        .unwrap();
    drop(connection);
    let opened = disk.open("f");
    assert_eq!((opened.kept.epoch, opened.began_anew), (epoch("e"), false));
    assert_eq!(opened.kept.rooms, [(room("a"), place("e", 7))]);
    let mut store = opened.store;
    let begin = ("ada", "p/a", Action::Begin(place("e", 7)));
    assert_eq!(
        perform(&mut store, &[begin], at(0)),
        [Outcome::Kept(place("e", 7))]
    );
    drop(store);
    // It is migrated once.
    let mut store = disk.open("f").store;
    let begin = ("ada", "p/a", Action::Begin(place("e", 9)));
    assert_eq!(
        perform(&mut store, &[begin], at(0)),
        [Outcome::Kept(place("e", 7))]
    );
}
