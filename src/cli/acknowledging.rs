//! What `subscribe --durable` tells the server of one room: how far was printed, at once, but not
//! again before some time has passed.
//!
//! May not touch: sockets and clocks. Invariant: one acknowledgement is on its way at a time, so what
//! was printed meanwhile is acknowledged together.

use std::time::Duration;

use crate::base::clock::Mono;
use crate::domain::durable::DurableName;
use crate::domain::room::RoomName;
use crate::wire::json::object::Object;

/// Between two acknowledgements of a room: 128 rooms, as many as a session has, send fewer than 50
/// messages a second.
const INTERVAL: Duration = Duration::from_secs(3);

/// How far a room was acknowledged.
#[derive(Debug)]
pub(super) struct Acknowledging {
    pub(super) name: DurableName,
    /// What the server knows; `None` if nothing of this stream.
    known: Option<u64>,
    is_asking: bool,
    /// When the server was told last.
    told: Option<Mono>,
}

impl Acknowledging {
    /// Nothing was acknowledged yet under this name.
    pub(super) const fn new(name: DurableName) -> Self {
        Self {
            name,
            known: None,
            is_asking: false,
            told: None,
        }
    }

    /// The server knows this of the room's stream.
    pub(super) const fn begin(&mut self, known: Option<u64>) {
        self.known = known;
        self.is_asking = false;
    }

    /// The server has written down what it was told.
    pub(super) const fn answered(&mut self, offset: u64) {
        self.begin(Some(offset));
    }

    /// How long to wait before `printed` is to be told; `None` if it need not be now.
    pub(super) fn wait(&self, printed: u64, now: Mono) -> Option<Duration> {
        let is_new = self.known.is_none_or(|known| known < printed);
        let rested = self.told.map_or(INTERVAL, |told| now.since(told));
        (is_new && !self.is_asking).then(|| INTERVAL.saturating_sub(rested))
    }

    /// The command that tells the server what was printed.
    pub(super) fn tell(&mut self, room: &RoomName, printed: u64, now: Mono) -> String {
        self.is_asking = true;
        self.told = Some(now);
        let mut out = Vec::with_capacity(96);
        Object::begin(&mut out)
            .string("type", "ack")
            .string("room", room.as_str())
            .string("durable", self.name.as_str())
            .number("offset", printed)
            .end();
        // Everything put in was text.
        String::from_utf8(out).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_told_once_and_not_too_often() {
        let at = |seconds| Mono::ZERO + Duration::from_secs(seconds);
        let room = RoomName::parse("a").unwrap();
        let mut one = Acknowledging::new(DurableName::parse("n").unwrap());
        assert_eq!(one.wait(0, at(9)), Some(Duration::ZERO), "another stream");
        one.begin(Some(4));
        assert_eq!(one.wait(4, at(9)), None);
        assert_eq!(one.wait(5, at(9)), Some(Duration::ZERO));
        let told = one.tell(&room, 5, at(9));
        assert_eq!(
            told,
            r#"{"type":"ack","room":"a","durable":"n","offset":5}"#
        );
        assert_eq!(one.wait(8, at(10)), None, "one is on its way");
        one.answered(5);
        assert_eq!(one.wait(5, at(10)), None);
        assert_eq!(one.wait(8, at(10)), Some(Duration::from_secs(2)));
        assert_eq!(one.wait(8, at(12)), Some(Duration::ZERO));
    }
}
