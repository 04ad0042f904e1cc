//! Which publication stands where, as pieced together from everything that anybody is told.
//!
//! Invariant: whoever tells of a publication, live, in a reply, in a history or over HTTP, tells the
//! same; what contradicts an earlier telling panics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Publications by the number that each carries in its data.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: u64,
    /// Where each stands: room to offset.
    places: BTreeMap<u64, BTreeMap<String, u64>>,
    /// What stands at an offset of a room's stream.
    taken: BTreeMap<(String, String, u64), u64>,
    /// Those that publishers were told are published.
    accepted: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

/// Where a publication stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) room: &'a str,
    /// The stream, as whoever tells knows it.
    pub(super) epoch: &'a str,
    pub(super) offset: u64,
}

impl Ledger {
    /// A number for one more publication.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Somebody was told that publication `number` stands at `place`.
    pub(super) fn tell(&mut self, number: u64, place: Place<'_>) {
        let Place {
            room,
            epoch,
            offset,
        } = place;
        let known = self.places.entry(number).or_default();
        let before = *known.entry(room.to_owned()).or_insert(offset);
        assert_eq!(
            before, offset,
            "publication {number} stands twice in {room}"
        );
        let key = (room.to_owned(), epoch.to_owned(), offset);
        let there = *self.taken.entry(key).or_insert(number);
        assert_eq!(there, number, "two publications at {place:?}");
    }

    /// A publisher was told the `results` of publication `number`; says where it stands.
    pub(super) fn accept(&mut self, number: u64, results: &Value) -> Vec<(String, u64)> {
        let results = results.as_array().expect("results are a list");
        let places = results.iter().map(|result| {
            let (room, offset) = (text(result, "room"), offset(result));
            self.accept_at(number, room, text(result, "epoch"), offset);
            (room.to_owned(), offset)
        });
        places.collect()
    }

    /// Publication `number` was accepted and stands at `offset` of `room`.
    pub(super) fn accept_at(&mut self, number: u64, room: &str, epoch: &str, offset: u64) {
        self.accepted.insert(number);
        let place = Place {
            room,
            epoch,
            offset,
        };
        self.tell(number, place);
    }

    /// A publisher was told that publication `number` was refused.
    pub(super) fn refuse(&mut self, number: u64) {
        self.refused.insert(number);
    }

    /// Somebody was told the entries of a room's history, in their order.
    pub(super) fn tell_page(&mut self, room: &str, epoch: &str, entries: &Value) -> Vec<u64> {
        let entries = entries.as_array().expect("publications are a list");
        let offsets = entries.iter().map(|entry| {
            let offset = offset(entry);
            let place = Place {
                room,
                epoch,
                offset,
            };
            self.tell(number(entry), place);
            offset
        });
        offsets.collect()
    }

    /// Whether a room's stream began anew from the first offset: two stand at the same one.
    fn has_restarted(&self) -> bool {
        let mut numbers: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        self.taken.iter().any(|((room, _, offset), number)| {
            let before = numbers.insert((room, *offset), *number);
            before.is_some_and(|before| before != *number)
        })
    }

    /// Expects that two publications have the same order in all rooms they share.
    ///
    fn check_order(&self) {
        let several = self.places.values().filter(|places| places.len() > 1);
        let several: Vec<_> = several.collect();
        for (index, first) in several.iter().enumerate() {
            for second in several.iter().skip(index + 1) {
                let shared = first
                    .iter()
                    .filter_map(|(room, offset)| Some(offset.cmp(second.get(room)?)));
                let orders: BTreeSet<_> = shared.collect();
                assert!(orders.len() < 2, "{first:?} and {second:?}");
            }
        }
    }

    /// Expects that nothing is left open, `repeated` being those that were sent more than once.
    pub(super) fn finish(&self, repeated: &BTreeSet<u64>) {
        if !self.has_restarted() {
            self.check_order();
        }
        for number in self.refused.difference(repeated) {
            let places = self.places.get(number);
            assert_eq!(places, None, "{number} was refused and is there");
            assert!(
                !self.accepted.contains(number),
                "{number}: refused, accepted"
            );
        }
    }
}

/// The number in a publication's data.
pub(super) fn number(publication: &Value) -> u64 {
    publication["data"][0].as_u64().expect("a number in data")
}

/// A message's offset.
pub(super) fn offset(message: &Value) -> u64 {
    message["offset"].as_u64().expect("an offset")
}

/// A text member of a message.
pub(super) fn text<'a>(message: &'a Value, member: &str) -> &'a str {
    message[member].as_str().expect("a text")
}
