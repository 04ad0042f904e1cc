//! One client of a simulation: what it was promised, and whether what it hears keeps the promise.
//!
//! Invariants checked here: one hello and it comes first, but for the answer to a first token; one
//! reply per command, in their order, each allowed or refused as the token says that was accepted
//! last; members hear each room in the order of its offsets, without a gap that its policy does not
//! allow, and nobody else hears it; no live publication comes twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::base::clock::{Mono, Wall};
use crate::testkit::operations::{Aspect, Visit};
use crate::testkit::simulation::expected::{Asked, Awaited, Verb, Wish};
use crate::testkit::simulation::ledger::{Ledger, Place, number, offset, text};
use crate::testkit::simulation::policies::Policies;
use crate::testkit::simulation::rights::{Deed, Standing, Token};
use crate::testkit::world::ClientId;

/// A client with a WebSocket.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) client: ClientId,
    /// How it came.
    pub(super) visit: Visit,
    pub(super) came: Mono,
    /// Its user, as far as there are any.
    pub(super) user: String,
    /// Whose its idempotency keys are.
    pub(super) owner: String,
    /// As of the last reply that it has heard.
    pub(super) standing: Standing,
    /// The token it shows in its first message, until it has.
    pub(super) first_token: Option<Token>,
    /// Its session's id, once it was told.
    pub(super) session: Option<String>,
    /// The rooms it is a member of, as far as it knows.
    pub(super) rooms: BTreeMap<String, Stay>,
    /// All rooms it has ever been in.
    pub(super) visited: BTreeSet<String>,
    /// Where it stopped to hear the rooms it has left.
    pub(super) left: BTreeMap<String, (String, u64)>,
    /// Publications that it must not hear: published with `except`.
    left_out: BTreeSet<u64>,
    /// Their offsets by room. Those of a stream that is no more excuse too much.
    skips: BTreeMap<String, BTreeSet<u64>>,
    /// Replies it waits for.
    pub(super) awaited: VecDeque<Awaited>,
    /// What operators wished, in their order, until it was told.
    pub(super) wishes: Vec<Wish>,
    /// Rooms that an operator has put it in.
    placed: BTreeSet<String>,
    /// Rooms that its newer token does not open: it must be told next that it has left them.
    lost: BTreeSet<String>,
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
    /// How it was closed, and when it heard.
    pub(super) closed: Option<(u16, String, Wall)>,
    heard: BTreeSet<u64>,
}

/// A membership.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    epoch: String,
    /// The next offset it must hear.
    next: u64,
}

/// What the server promises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// What was ever tight.
    pub(super) tight: &'a BTreeSet<Aspect>,
    pub(super) policies: &'a Policies,
    pub(super) now: Wall,
}

impl Rules<'_> {
    /// Whether its limits on rooms can be met.
    pub(super) fn limits_rooms(self) -> bool {
        self.tight.contains(&Aspect::Rooms)
    }
}

impl Person {
    pub(super) fn new(client: ClientId, visit: Visit, user: String, came: Mono) -> Self {
        Self {
            client,
            visit,
            came,
            owner: user.clone(),
            user,
            standing: Standing::Open,
            first_token: None,
            session: None,
            rooms: BTreeMap::new(),
            visited: BTreeSet::new(),
            left: BTreeMap::new(),
            left_out: BTreeSet::new(),
            skips: BTreeMap::new(),
            awaited: VecDeque::new(),
            wishes: Vec::new(),
            placed: BTreeSet::new(),
            lost: BTreeSet::new(),
            unsent: Vec::new(),
            was_halted: false,
            errors: 0,
            is_gone: false,
            is_slow: false,
            is_rude: false,
            closed: None,
            heard: BTreeSet::new(),
        }
    }

    /// Whether it may do `deed` in `room` by the token that was accepted last.
    pub(super) fn may(&self, deed: Deed, room: &str) -> bool {
        self.standing.may(deed, room, &self.user)
    }

    /// Whether it may publish into all of `rooms`.
    pub(super) fn may_publish(&self, rooms: &[&str]) -> bool {
        rooms.iter().all(|room| {
            let is_member = self.rooms.contains_key(*room);
            self.may(Deed::Publish { is_member }, room)
        })
    }

    /// Takes one message in.
    pub(super) fn hear(&mut self, message: &Value, ledger: &mut Ledger, rules: Rules<'_>) {
        let kind = text(message, "type");
        let is_unasked = message.get("id").is_none();
        if kind == "unsubscribed" && is_unasked {
            return self.taken_out(text(message, "room"));
        }
        assert!(
            self.lost.is_empty(),
            "{:?} are told first: {message}",
            self.lost
        );
        if kind == "connected" {
            return self.connected(message);
        }
        if self.session.is_none() && kind == "error" && is_unasked {
            return self.turned_away(message, rules);
        }
        let is_answer = self.session.is_some() || ["authenticated", "error"].contains(&kind);
        assert!(is_answer, "the hello comes first: {message}");
        if kind == "said" {
            return self.publication(message, ledger, rules);
        }
        if kind == "subscribed" && is_unasked {
            let room = text(message, "room");
            self.take_wish(&Verb::Subscribed(room.to_owned()));
            self.placed.insert(room.to_owned());
            if !self.rooms.contains_key(room) {
                self.joined(room, message);
            }
            return;
        }
        let asked = self.take_awaited(message);
        self.errors = if kind == "error" { self.errors + 1 } else { 0 };
        let Some(asked) = asked else {
            assert_eq!(kind, "error", "garbage asks for nothing else");
            return;
        };
        if kind == "error" {
            self.refused(&asked, message, ledger, rules);
        } else {
            self.reply(&asked, message, ledger);
        }
    }

    fn connected(&mut self, message: &Value) {
        assert_eq!(self.session, None, "one hello");
        assert_ne!(self.standing, Standing::Pending, "who is it? {message}");
        self.session = Some(text(message, "session").to_owned());
        let user = message["user"].as_str();
        let known = self.standing.expires().map(|_| self.user.as_str());
        assert_eq!(user, known);
        for joined in message["rooms"].as_array().expect("rooms are a list") {
            let room = text(joined, "room");
            assert!(self.may(Deed::Subscribe, room), "{room} is closed to it");
            self.joined(room, joined);
        }
    }

    /// Its first token is good, and does not let it in.
    fn turned_away(&mut self, message: &Value, rules: Rules<'_>) {
        let mut rooms = self.visit.rooms.iter();
        let is_allowed = match text(&message["data"], "code") {
            "PERMISSION_DENIED" => {
                self.standing != Standing::Pending
                    && rooms.any(|room| !self.may(Deed::Subscribe, room))
            }
            "RESOURCE_LIMIT" => rules.limits_rooms(),
            _ => false,
        };
        assert!(is_allowed, "{message} {self:?}");
    }

    fn taken_out(&mut self, room: &str) {
        if !self.lost.remove(room) {
            assert!(self.lost.is_empty(), "{:?} are told first", self.lost);
            self.take_wish(&Verb::Unsubscribed(room.to_owned()));
        }
        assert!(self.leave(room), "it was not in {room}");
    }

    /// Takes note that an operator's wish came true, and that those before it cannot any more.
    fn take_wish(&mut self, verb: &Verb) {
        let place = self.wishes.iter().position(|wish| wish.verb == *verb);
        let place = place.unwrap_or_else(|| panic!("nobody wished {verb:?}"));
        let passed: Vec<Wish> = self.wishes.drain(..=place).take(place).collect();
        let is_missed = |wish: &Wish| wish.is_certain && wish.verb.is_told();
        assert!(!passed.iter().any(is_missed), "{passed:?} before {verb:?}");
    }

    fn leave(&mut self, room: &str) -> bool {
        self.placed.remove(room);
        let Some(stay) = self.rooms.remove(room) else {
            return false;
        };
        self.left
            .insert(room.to_owned(), (stay.epoch, stay.next - 1));
        true
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
        };
        self.visited.insert(room.to_owned());
        self.rooms.insert(room.to_owned(), stay);
    }

    fn publication(&mut self, message: &Value, ledger: &mut Ledger, rules: Rules<'_>) {
        let number = number(message);
        assert!(self.heard.insert(number), "{number} came twice");
        let is_left_out = self.left_out.contains(&number);
        assert!(!is_left_out, "it is left out of {message}");
        let none = Vec::new();
        let also = message["also"].as_array().unwrap_or(&none);
        for place in also.iter().chain([message]) {
            let (room, offset) = (text(place, "room"), offset(place));
            let stay = self.rooms.get_mut(room);
            let stay = stay.expect("only members hear a room");
            assert!(offset >= stay.next, "{room}: {offset} after {stay:?}");
            let skips = self.skips.get(room);
            let is_skip = |offset: &u64| skips.is_some_and(|skips| skips.contains(offset));
            let missing = (stay.next..offset).filter(|offset| !is_skip(offset));
            let may_miss = rules.policies.may_miss(room, missing);
            assert!(may_miss, "{room}: {offset} after {stay:?}");
            stay.next = offset + 1;
            let epoch = &stay.epoch;
            let place = Place {
                room,
                epoch,
                offset,
            };
            ledger.tell(number, place);
        }
    }

    fn reply(&mut self, asked: &Asked, message: &Value, ledger: &mut Ledger) {
        let kind = text(message, "type");
        match asked {
            Asked::Subscribe { room, since } => {
                assert_eq!((kind, text(message, "room")), ("subscribed", *room));
                assert!(self.may(Deed::Subscribe, room), "{room} is closed to it");
                self.subscribed(room, *since, message, ledger);
            }
            Asked::Unsubscribe(room) => {
                assert_eq!((kind, text(message, "room")), ("unsubscribed", *room));
                self.leave(room);
            }
            Asked::Publish {
                number,
                is_quiet,
                rooms,
            } => {
                assert_eq!(kind, "published");
                assert!(self.may_publish(rooms), "{rooms:?} are closed to it");
                for (room, offset) in ledger.accept(*number, &message["results"]) {
                    if *is_quiet {
                        self.leave_out(*number, &room, offset);
                    }
                }
            }
            Asked::History {
                room,
                limit,
                reverse,
            } => {
                assert_eq!((kind, text(message, "room")), ("history", *room));
                assert!(self.may(Deed::History, room), "{room} is closed to it");
                let (epoch, entries) = (text(message, "epoch"), &message["publications"]);
                let mut offsets = ledger.tell_page(room, epoch, entries);
                if *reverse {
                    offsets.reverse();
                }
                assert!(offsets.len() as u64 <= *limit, "{message}");
                assert!(is_consecutive(&offsets), "{offsets:?}");
                assert!(offsets.last().is_none_or(|last| *last <= offset(message)));
            }
            Asked::Ping => assert_eq!(kind, "pong"),
            Asked::Auth(token) => {
                assert_eq!(kind, "authenticated");
                self.authenticated(token, message);
            }
        }
    }

    fn authenticated(&mut self, token: &Token, message: &Value) {
        assert!(!token.is_bad, "{message}");
        let expires = message["expires"].as_str();
        if self.standing == Standing::Open {
            assert_eq!(expires, None);
            return;
        }
        assert_eq!(expires, Some(&*token.expires.to_rfc3339()));
        assert_eq!(text(message, "user"), self.user);
        self.standing = Standing::User {
            rights: token.rights,
            expires: token.expires,
        };
        let rooms = self.rooms.keys();
        let lost =
            rooms.filter(|room| !self.placed.contains(*room) && !self.may(Deed::Subscribe, room));
        self.lost = lost.cloned().collect();
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

    /// Expects that what was `asked` may be refused as `message` says.
    fn refused(&mut self, asked: &Asked, message: &Value, ledger: &mut Ledger, rules: Rules<'_>) {
        let code = text(&message["data"], "code");
        let is_allowed = match asked {
            Asked::Subscribe { room, .. } => match code {
                "RESOURCE_LIMIT" => rules.limits_rooms(),
                "PERMISSION_DENIED" => !self.may(Deed::Subscribe, room),
                _ => false,
            },
            Asked::Publish { number, rooms, .. } => {
                ledger.refuse(*number);
                match code {
                    "SERVER_BUSY" => true,
                    "RESOURCE_LIMIT" => rules.limits_rooms(),
                    "PERMISSION_DENIED" => !self.may_publish(rooms),
                    _ => false,
                }
            }
            Asked::History { room, .. } => match code {
                "NOT_FOUND" => true,
                "PERMISSION_DENIED" => !self.may(Deed::History, room),
                _ => false,
            },
            Asked::Auth(token) => match code {
                // Clocks may differ by half a minute.
                "UNAUTHORIZED" => {
                    token.is_bad || token.expires.as_millis() + 30_000 <= rules.now.as_millis()
                }
                "PERMISSION_DENIED" => token.is_bad,
                _ => false,
            },
            Asked::Unsubscribe(_) | Asked::Ping => false,
        };
        assert!(is_allowed, "{asked:?}: {message} {self:?}");
    }

    /// The rooms that it has been in for all that anybody knows: replies may have been lost when it
    /// was closed.
    pub(super) fn visited_perhaps(&self) -> BTreeSet<String> {
        let asked = self
            .awaited
            .iter()
            .filter_map(|awaited| match &awaited.asked {
                Asked::Subscribe { room, .. } => Some((*room).to_owned()),
                _ => None,
            });
        let wished = self.wishes.iter().filter_map(|wish| match &wish.verb {
            Verb::Subscribed(room) => Some(room.clone()),
            Verb::Unsubscribed(_) | Verb::Closed(_) => None,
        });
        let first = self.visit.rooms.iter().map(|room| (*room).to_owned());
        asked
            .chain(wished)
            .chain(first)
            .chain(self.visited.clone())
            .collect()
    }

    /// Notes that it must not hear publication `number`, which stands at `offset` of `room`.
    pub(super) fn leave_out(&mut self, number: u64, room: &str, offset: u64) {
        self.left_out.insert(number);
        let skips = self.skips.entry(room.to_owned()).or_default();
        skips.insert(offset);
    }

    /// The offset that it has heard of `room` last, or was left out of since, where the stream
    /// stands at `end`.
    pub(super) fn heard_up_to(&self, room: &str, end: u64) -> u64 {
        let mut heard = self.rooms[room].next - 1;
        while heard < end && self.is_left_out(room, heard + 1) {
            heard += 1;
        }
        heard
    }

    /// Whether it was left out of the publication at `offset` of `room`.
    pub(super) fn is_left_out(&self, room: &str, offset: u64) -> bool {
        let skips = self.skips.get(room);
        skips.is_some_and(|skips| skips.contains(&offset))
    }
}

fn is_consecutive(offsets: &[u64]) -> bool {
    offsets.windows(2).all(|pair| pair[0] + 1 == pair[1])
}
