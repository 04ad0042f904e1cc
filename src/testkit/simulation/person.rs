//! One client of a simulation: what it was promised, and whether what it hears keeps the promise.
//!
//! Invariants checked here: one hello and it comes first; one reply per command, in their order;
//! members hear each room in the order of its offsets without a gap, and nobody else hears it; no
//! live publication comes twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::config::{Namespaces, SlowConsumer};
use crate::testkit::simulation::ledger::{Ledger, Place, number, offset, text};
use crate::testkit::world::ClientId;

/// A client with a WebSocket.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) client: ClientId,
    /// Its session's id, once it was told.
    pub(super) session: Option<String>,
    /// The rooms it is a member of, as far as it knows.
    pub(super) rooms: BTreeMap<String, Stay>,
    /// Where it stopped to hear the rooms it has left.
    pub(super) left: BTreeMap<String, (String, u64)>,
    /// Replies it waits for.
    pub(super) awaited: VecDeque<Awaited>,
    /// The half of a frame that it has not sent yet.
    pub(super) unsent: Vec<u8>,
    /// It has stopped within a frame, where it can answer no Ping.
    pub(super) was_halted: bool,
    /// Errors in a row.
    pub(super) errors: u32,
    /// It went by its own will, or was never let in.
    pub(super) is_gone: bool,
    /// It was made to read slowly, so that it may be closed for it.
    pub(super) is_slow: bool,
    /// It sent what is no frame, so that anything may be done to it.
    pub(super) is_rude: bool,
    heard: BTreeSet<u64>,
}

/// A membership.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    epoch: String,
    /// The next offset it must hear.
    next: u64,
    /// Offsets it must not hear: its own, published with `except`.
    skips: BTreeSet<u64>,
}

/// A reply that must come.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) id: u64,
    pub(super) asked: Asked,
}

/// What was asked.
#[derive(Debug)]
pub(super) enum Asked {
    Subscribe {
        room: &'static str,
        /// From where it wants to recover.
        since: Option<u64>,
    },
    Unsubscribe(&'static str),
    Publish {
        number: u64,
        /// It leaves its own session out.
        is_quiet: bool,
        /// It names the room for members.
        for_members: bool,
    },
    History {
        room: &'static str,
        limit: u64,
        reverse: bool,
    },
    Ping,
}

/// What the server promises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// Whether its limits on rooms can be met.
    pub(super) limits_rooms: bool,
    /// The options of rooms.
    pub(super) namespaces: &'a Namespaces,
}

impl Rules<'_> {
    /// Whether a member of `room` that reads slowly may be left out of publications and stay.
    fn may_skip(self, room: &str) -> bool {
        let options = self.namespaces.options_of_room(room);
        options.is_some_and(|options| match options.slow_consumer {
            SlowConsumer::Close | SlowConsumer::Lag => false,
            SlowConsumer::DropOldest | SlowConsumer::Latest => true,
        })
    }
}

impl Person {
    pub(super) fn new(client: ClientId) -> Self {
        Self {
            client,
            session: None,
            rooms: BTreeMap::new(),
            left: BTreeMap::new(),
            awaited: VecDeque::new(),
            unsent: Vec::new(),
            was_halted: false,
            errors: 0,
            is_gone: false,
            is_slow: false,
            is_rude: false,
            heard: BTreeSet::new(),
        }
    }

    /// Takes one message in.
    pub(super) fn hear(&mut self, message: &Value, ledger: &mut Ledger, rules: Rules<'_>) {
        let kind = text(message, "type");
        if kind == "connected" {
            assert_eq!(self.session, None, "one hello");
            self.session = Some(text(message, "session").to_owned());
            for joined in message["rooms"].as_array().expect("rooms are a list") {
                self.joined(text(joined, "room"), joined);
            }
            return;
        }
        assert!(self.session.is_some(), "the hello comes first: {message}");
        if kind == "said" {
            return self.publication(message, ledger, rules);
        }
        let asked = self.take_awaited(message);
        self.errors = if kind == "error" { self.errors + 1 } else { 0 };
        let Some(asked) = asked else {
            assert_eq!(kind, "error", "garbage asks for nothing else");
            return;
        };
        if kind == "error" {
            refusal(&asked, message, ledger, rules);
        } else {
            self.reply(&asked, message, ledger);
        }
    }

    /// What the reply `message` is an answer to; nothing if to garbage.
    fn take_awaited(&mut self, message: &Value) -> Option<Asked> {
        let id = message.get("id").and_then(Value::as_u64);
        if self.is_rude {
            // Its garbage may have made others of its messages unreadable.
            id?;
            while self
                .awaited
                .front()
                .is_some_and(|first| Some(first.id) < id)
            {
                self.awaited.pop_front();
            }
        }
        let first = self.awaited.pop_front().expect("nothing was asked");
        assert_eq!(Some(first.id), id, "replies come in order: {message}");
        Some(first.asked)
    }

    fn joined(&mut self, room: &str, position: &Value) {
        let stay = Stay {
            epoch: text(position, "epoch").to_owned(),
            next: offset(position) + 1,
            skips: BTreeSet::new(),
        };
        self.rooms.insert(room.to_owned(), stay);
    }

    fn publication(&mut self, message: &Value, ledger: &mut Ledger, rules: Rules<'_>) {
        let number = number(message);
        assert!(self.heard.insert(number), "{number} came twice");
        let none = Vec::new();
        let also = message["also"].as_array().unwrap_or(&none);
        for place in also.iter().chain([message]) {
            let (room, offset) = (text(place, "room"), offset(place));
            let stay = self.rooms.get_mut(room);
            let stay = stay.expect("only members hear a room");
            stay.skip();
            if rules.may_skip(room) {
                assert!(offset >= stay.next, "{room}: {offset} after {stay:?}");
            } else {
                assert_eq!(offset, stay.next, "{room}: {stay:?}");
            }
            stay.next = offset + 1;
            let epoch = &stay.epoch;
            ledger.tell(
                number,
                Place {
                    room,
                    epoch,
                    offset,
                },
            );
        }
    }

    fn reply(&mut self, asked: &Asked, message: &Value, ledger: &mut Ledger) {
        let kind = text(message, "type");
        match *asked {
            Asked::Subscribe { room, since } => {
                assert_eq!((kind, text(message, "room")), ("subscribed", room));
                self.subscribed(room, since, message, ledger);
            }
            Asked::Unsubscribe(room) => {
                assert_eq!((kind, text(message, "room")), ("unsubscribed", room));
                if let Some(stay) = self.rooms.remove(room) {
                    let position = (stay.epoch, stay.next - 1);
                    self.left.insert(room.to_owned(), position);
                }
            }
            Asked::Publish {
                number, is_quiet, ..
            } => {
                assert_eq!(kind, "published");
                for (room, offset) in ledger.accept(number, &message["results"]) {
                    let stay = self.rooms.get_mut(&room).filter(|_| is_quiet);
                    if let Some(stay) = stay.filter(|stay| stay.next <= offset) {
                        stay.skips.insert(offset);
                    }
                }
            }
            Asked::History {
                room,
                limit,
                reverse,
            } => {
                assert_eq!((kind, text(message, "room")), ("history", room));
                let (epoch, entries) = (text(message, "epoch"), &message["publications"]);
                let mut offsets = ledger.tell_page(room, epoch, entries);
                if reverse {
                    offsets.reverse();
                }
                assert!(offsets.len() as u64 <= limit, "{message}");
                assert!(is_consecutive(&offsets), "{offsets:?}");
                assert!(offsets.last().is_none_or(|last| *last <= offset(message)));
            }
            Asked::Ping => assert_eq!(kind, "pong"),
        }
    }

    fn subscribed(&mut self, room: &str, since: Option<u64>, message: &Value, ledger: &mut Ledger) {
        let end = offset(message);
        match since {
            None => assert_eq!(message.get("recovered"), None),
            Some(since) => {
                let (epoch, entries) = (text(message, "epoch"), &message["publications"]);
                let offsets = ledger.tell_page(room, epoch, entries);
                if message["recovered"] == true {
                    let missed: Vec<u64> = (since + 1..=end).collect();
                    assert_eq!(offsets, missed, "since {since}: {message}");
                } else {
                    assert!(offsets.is_empty(), "{message}");
                }
            }
        }
        // To a member that does not recover, the reply changes nothing.
        if since.is_some() || !self.rooms.contains_key(room) {
            self.joined(room, message);
        }
    }

    /// Expects that it has heard all of `room`, whose stream ends at `end`.
    pub(super) fn assert_heard_all(&mut self, room: &str, end: Option<u64>) {
        let stay = self.rooms.get_mut(room).expect("a room it is in");
        stay.skip();
        assert_eq!(Some(stay.next - 1), end, "{room}: {stay:?}");
    }
}

impl Stay {
    fn skip(&mut self) {
        while self.skips.remove(&self.next) {
            self.next += 1;
        }
    }
}

/// Expects that what was `asked` may be refused as `message` says.
fn refusal(asked: &Asked, message: &Value, ledger: &mut Ledger, rules: Rules<'_>) {
    let code = text(&message["data"], "code");
    let is_allowed = match asked {
        Asked::Subscribe { .. } => rules.limits_rooms && code == "RESOURCE_LIMIT",
        Asked::Publish {
            number,
            for_members,
            ..
        } => {
            ledger.refuse(*number);
            code == "SERVER_BUSY"
                || rules.limits_rooms && code == "RESOURCE_LIMIT"
                || *for_members && code == "PERMISSION_DENIED"
        }
        Asked::History { .. } => code == "NOT_FOUND",
        Asked::Unsubscribe(_) | Asked::Ping => false,
    };
    assert!(is_allowed, "{asked:?}: {message}");
}

fn is_consecutive(offsets: &[u64]) -> bool {
    offsets.windows(2).all(|pair| pair[0] + 1 == pair[1])
}
