//! Changes that wait, and who is told of in a roster.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::{Change, Changes, Due, Outcome, Party, Roster};
use crate::base::clock::Mono;
use crate::base::ids::SessionId;
use crate::base::limits;
use crate::base::rng::Rng;
use crate::bus::room::Room;
use crate::config::NamespaceOptions;
use crate::domain::access::Identity;
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;

fn party(number: usize) -> Party {
    Party::Session(SessionId(number as u128))
}

/// Changes of so many parties, which wait.
fn waiting(parties: usize) -> Changes {
    let name = RoomName::parse("a").unwrap();
    let epoch = Epoch::random(&mut Rng::from_seed(1));
    let room = Arc::new(Room::new(
        name,
        Arc::new(NamespaceOptions::default()),
        epoch,
        1,
    ));
    let mut changes = Changes::default();
    for number in 0..parties {
        changes.add(Change {
            room: Arc::clone(&room),
            party: Some(party(number)),
        });
    }
    assert_eq!(changes.next_due(), (parties > 0).then_some(Mono::ZERO));
    changes.begin_waiting(NOW);
    changes
}

const NOW: Mono = Mono::from_nanos(5_000_000_000);

fn taken(changes: &mut Changes, now: Mono) -> Vec<(Option<Party>, bool)> {
    let due = std::iter::from_fn(|| changes.take_due(now));
    due.map(|Due { change, is_early }| (change.party, is_early))
        .collect()
}

#[test]
fn a_change_waits_for_a_second_and_no_longer() {
    let mut changes = waiting(2);
    let due = NOW + limits::CHANGE_LASTS;
    assert_eq!(changes.next_due(), Some(due));
    assert_eq!(
        taken(&mut changes, Mono::from_nanos(due.as_nanos() - 1)),
        []
    );
    let Due { change, .. } = changes.take_due(due).unwrap();
    changes.put_back(change, due);
    assert_eq!(taken(&mut changes, due), [(Some(party(1)), false)]);
    assert_eq!(changes.next_due(), Some(due + limits::CHANGE_LASTS));
    assert_eq!(
        taken(&mut changes, due + limits::CHANGE_LASTS),
        [(Some(party(0)), false)]
    );
    assert_eq!(changes.next_due(), None);
}

#[test]
fn of_too_many_changes_the_oldest_do_not_wait() {
    let mut changes = waiting(limits::CHANGES + 2);
    assert_eq!(
        taken(&mut changes, NOW),
        [(Some(party(0)), true), (Some(party(1)), true)]
    );
    assert_eq!(changes.unsettled(), limits::CHANGES);
}

/// What a roster says of somebody after these comings (`+`), goings (`-`), and beginnings (`(`) and
/// ends (`)`) of readings; `.` settles what was told.
fn check(events: &str, expected: &str) {
    let mut roster = Roster::default();
    let (mut entries, mut last) = (0, String::new());
    for event in events.chars() {
        match event {
            '+' => entries += u32::from(roster.came(party(1), &Identity::Anonymous)),
            '-' => entries += u32::from(roster.went(&party(1))),
            '(' => roster.begin_reading(),
            ')' => roster.end_reading(),
            _ => {
                last = match roster.settle(&party(1)) {
                    Outcome::Over => "over".to_owned(),
                    Outcome::Again => "again".to_owned(),
                    Outcome::Tell { event, is_here, .. } => {
                        assert!(!roster.told(&party(1), is_here));
                        event.to_owned()
                    }
                };
                entries = 0;
            }
        }
        assert!(entries <= 1, "{events}: two entries for one flux");
    }
    assert_eq!(last, expected, "{events}");
}

#[test]
fn a_party_is_told_of_when_it_is_not_as_it_was_or_somebody_has_read() {
    for (events, expected) in [
        ("+.", "presence.joined"),
        ("+.+.", "over"),
        ("+.+-.", "over"),
        ("+.-.", "presence.left"),
        ("+-.", "again"),
        ("+-..", "over"),
        ("+.-+.", "again"),
        ("+.-+..", "over"),
        ("+.-()+..", "presence.joined"),
        ("+()-..", "presence.left"),
        ("+.(+).", "over"),
        ("+.(+-).", "presence.joined"),
        ("+.(+)(-).", "over"),
        ("+.((+)-).", "presence.joined"),
        ("+.-.", "presence.left"),
        ("+.-..", "over"),
    ] {
        check(events, expected);
    }
}

#[test]
fn who_is_gone_and_told_of_is_forgotten() {
    let mut roster = Roster::default();
    assert!(roster.came(party(1), &Identity::Anonymous));
    assert!(!roster.went(&party(1)));
    assert_eq!(roster.census(), (0, 1));
    assert!(matches!(roster.settle(&party(1)), Outcome::Again));
    assert!(matches!(roster.settle(&party(1)), Outcome::Over));
    assert_eq!((roster.census(), roster.parties.len()), ((0, 0), 0));
}
