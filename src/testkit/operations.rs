//! What may happen to a server, as values: a fuzzer's bytes or a seed's choose them one by one.
//!
//! ```text
//!   bytes ──Choices──▶ Setup, Operation, Operation, … ──▶ testkit::simulation
//! ```
//!
//! A new kind of event is a variant here with its weight in [`Operation::choose`], and an arm in
//! `simulation`. Invariants: any bytes make operations, each takes at least one; none depends on
//! what happened before, so that a list of them can be printed, cut short and replayed.

use std::time::Duration;

use crate::testkit::choices::Choices;
use crate::testkit::link::Conditions;

/// The rooms that operations are about. Sessions may publish to the last as its members only.
pub const ROOMS: [&str; 5] = ["a", "b", "c:1", "project:2", MEMBERS_ONLY];

/// The room whose namespace has `publish = "members"`.
pub const MEMBERS_ONLY: &str = "members:m";

/// Limits that a reader who keeps up never meets.
const WIDE: &str = "[limits]\nmessages_per_second = 0\noutbox_messages = 32\n\
    outbox_bytes = \"16KiB\"\n[rooms.default]\nhistory_count = 20\n\
    [rooms.members]\npublish = \"members\"\n";

/// Limits that everybody meets.
const TIGHT: &str = "[limits]\nmessages_per_second = 20\nmessage_burst = 10\n\
    outbox_messages = 8\noutbox_bytes = \"4KiB\"\nmessage_bytes = \"1KiB\"\nfragments = 2\n\
    rooms = 4\nrooms_per_session = 2\nhandshake_timeout = \"1s\"\nwrite_timeout = \"1s\"\n\
    [heartbeat]\nping_interval = \"2s\"\npong_timeout = \"1s\"\nidle_timeout = \"5s\"\n\
    [rooms.default]\nhistory_count = 5\nhistory_age = \"10s\"\n\
    [rooms.members]\npublish = \"members\"\n";

/// The server and the network that operations happen to.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The config file's text.
    pub config: &'static str,
    /// Whether the config's limits are tight enough to end peers who do nothing wrong.
    pub is_tight: bool,
    /// How many shards, 1 to 3.
    pub shards: u16,
    /// Pieces of mail that a mailbox holds.
    pub mailbox: usize,
    /// What chance follows in links, ids and jobs.
    pub seed: u64,
    /// How links behave.
    pub conditions: Conditions,
    /// Turns that a job may take.
    pub job_turns_max: u64,
    /// Of a hundred jobs, so many find the queue full.
    pub jobs_refused_percent: u64,
}

impl Setup {
    /// The setup that `choices` begin with.
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        let is_tight = choices.one_in(4);
        let is_fast = choices.one_in(4);
        let slow = Conditions {
            capacity: choices.one_of(&[8000, 900]),
            piece_max: choices.one_of(&[None, Some(300), Some(80)]),
            delay: Duration::from_millis(u64::from(choices.byte() % 5)),
        };
        Self {
            config: if is_tight { TIGHT } else { WIDE },
            is_tight,
            shards: u16::from(choices.byte() % 3) + 1,
            mailbox: choices.one_of(&[200, 20]),
            seed: u64::from(choices.byte()),
            conditions: if is_fast { Conditions::default() } else { slow },
            job_turns_max: u64::from(choices.byte() % 4),
            jobs_refused_percent: u64::from(choices.byte() % 3) * 30,
        }
    }

    /// Whether the server has no reason to end anybody who reads and writes as it should.
    #[must_use]
    pub fn is_easy(&self) -> bool {
        let links = &self.conditions;
        !self.is_tight
            && links.piece_max.is_none()
            && links.delay.is_zero()
            && links.capacity > 8000
    }
}

/// Whom an operation is about: a number that is reduced to those who are present.
pub type Who = u8;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Somebody connects and asks for a WebSocket in `room`.
    Come {
        /// The first room.
        room: &'static str,
    },
    /// A client sends a command.
    Say {
        /// Which.
        who: Who,
        /// What it asks for.
        command: Command,
        /// How it frames the message.
        framing: Framing,
    },
    /// A client sends a WebSocket Ping.
    PingFrame(Who),
    /// A client sends bytes that are no frame of it.
    Garbage(Who, Vec<u8>),
    /// Somebody connects and asks by HTTP.
    Request(Request),
    /// A client reads so many bytes a turn from now on; 0 is none.
    ReadSlowly(Who, usize),
    /// A client reads all it can again.
    ReadAll(Who),
    /// A client goes.
    Leave(Who, Farewell),
    /// From now on workers do nothing, or work again.
    HoldJobs(bool),
    /// Everybody has one turn.
    Turn,
    /// Time passes in which nobody has a turn, then everybody has one.
    Pass(Duration),
    /// Time passes in which everybody does what is due.
    Wait(Duration),
    /// The server begins to shut down.
    Drain(Duration),
}

/// A command on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `subscribe` to these rooms.
    Subscribe(Vec<&'static str>, Since),
    /// `unsubscribe` from these rooms.
    Unsubscribe(Vec<&'static str>),
    /// So many `publish` into these rooms.
    Publish {
        /// The rooms.
        rooms: Vec<&'static str>,
        /// How often.
        times: usize,
        /// Bytes of filling in each.
        filling: u8,
        /// Whether it names an idempotency key, or leaves its own session out.
        manner: Manner,
    },
    /// The last `publish` with an idempotency key once more, whoever sent it.
    PublishAgain,
    /// `history` of this room.
    History {
        /// The room.
        room: &'static str,
        /// The page's size.
        limit: u64,
        /// Newest first.
        reverse: bool,
    },
    /// `ping`.
    Ping,
}

/// What a publish says beside rooms, event and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Plain,
    /// An idempotency key of its own.
    Keyed,
    /// `except` with the publisher's session.
    Quiet,
}

/// From where a subscriber recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It does not.
    Now,
    /// From where it left the room.
    Left,
    /// From the beginning of what is retained.
    Beginning,
}

/// How a message is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One text frame.
    Text,
    /// One binary frame.
    Binary,
    /// Two fragments.
    Fragments,
    /// One text frame, of which the second half waits until the client sends something else.
    Halted,
}

/// A request over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// POST a publication into these rooms.
    Publish(Vec<&'static str>),
    /// GET the history of this room.
    History(&'static str),
    /// DELETE the history of this room.
    Clear(&'static str),
    /// These bytes, whatever they are.
    Garbage(Vec<u8>),
}

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Its connection breaks.
    Cut,
    /// It closes its sending side.
    Finish,
    /// It sends Close.
    Close,
}

impl Operation {
    /// The next operation; the numbers are weights of 256.
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=9 => Self::Come {
                room: room(choices),
            },
            10..=136 => Self::Say {
                who: choices.byte(),
                command: Command::choose(choices),
                framing: match choices.byte() {
                    0..=199 => Framing::Text,
                    200..=219 => Framing::Binary,
                    220..=239 => Framing::Fragments,
                    240..=255 => Framing::Halted,
                },
            },
            137..=142 => Self::PingFrame(choices.byte()),
            143..=145 => Self::Garbage(choices.byte(), garbage(choices)),
            146..=158 => Self::Request(Request::choose(choices)),
            159..=168 => Self::ReadSlowly(choices.byte(), choices.below(256)),
            169..=180 => Self::ReadAll(choices.byte()),
            181..=185 => {
                let how = [Farewell::Cut, Farewell::Finish, Farewell::Close];
                Self::Leave(choices.byte(), choices.one_of(&how))
            }
            186..=187 => Self::HoldJobs(true),
            188..=191 => Self::HoldJobs(false),
            192..=228 => Self::Turn,
            229..=249 => Self::Pass(Duration::from_millis(2 * u64::from(choices.byte()))),
            250..=254 => Self::Wait(Duration::from_millis(100 * u64::from(choices.byte()))),
            255 if choices.one_in(8) => {
                Self::Drain(Duration::from_millis(100 * u64::from(choices.byte())))
            }
            255 => Self::Turn,
        }
    }
}

impl Command {
    fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=39 => {
                let since = [Since::Now, Since::Now, Since::Left, Since::Beginning];
                Self::Subscribe(rooms(choices), choices.one_of(&since))
            }
            40..=64 => Self::Unsubscribe(rooms(choices)),
            65..=214 => Self::Publish {
                rooms: rooms(choices),
                times: 1 + choices.below(5),
                filling: choices.byte() % 160,
                manner: match choices.byte() {
                    0..=199 => Manner::Plain,
                    200..=229 => Manner::Keyed,
                    230..=255 => Manner::Quiet,
                },
            },
            215..=224 => Self::PublishAgain,
            225..=244 => Self::History {
                room: room(choices),
                limit: 1 + u64::from(choices.byte() % 25),
                reverse: choices.one_in(2),
            },
            245..=255 => Self::Ping,
        }
    }
}

impl Request {
    fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=127 => Self::Publish(rooms(choices)),
            128..=191 => Self::History(room(choices)),
            192..=209 => Self::Clear(room(choices)),
            210..=255 => Self::Garbage(garbage(choices)),
        }
    }
}

fn room(choices: &mut Choices<'_>) -> &'static str {
    choices.one_of(&ROOMS)
}

/// One room, or two that differ.
fn rooms(choices: &mut Choices<'_>) -> Vec<&'static str> {
    let first = room(choices);
    let second = choices.one_in(4).then(|| room(choices));
    let others = second.filter(|second| *second != first);
    [first].into_iter().chain(others).collect()
}

/// A few bytes, too few for the message that panics on purpose.
fn garbage(choices: &mut Choices<'_>) -> Vec<u8> {
    let count = choices.below(20);
    choices.take(count).to_vec()
}

#[cfg(test)]
mod tests {
    use super::{Command, Operation, Setup};
    use crate::testkit::choices::{Choices, seeded};

    #[test]
    fn every_first_byte_begins_an_operation() {
        let mut kinds = std::collections::BTreeSet::new();
        for first in 0..=255 {
            for rest in 0..=255 {
                let operation = Operation::choose(&mut Choices::new(&[first, 7, rest, 7, 7]));
                let name = format!("{operation:?}");
                kinds.insert(name.split(['(', ' ']).next().map(str::to_owned));
            }
        }
        assert_eq!(kinds.len(), 13, "{kinds:?}");
    }

    #[test]
    fn a_seed_chooses_commands_of_every_kind() {
        let bytes = seeded(1, 8192);
        let mut choices = Choices::new(&bytes);
        let setup = Setup::choose(&mut choices);
        assert!((1..=3).contains(&setup.shards));
        let mut seen = [false; 6];
        while !choices.is_over() {
            if let Operation::Say { command, .. } = Operation::choose(&mut choices) {
                seen[match command {
                    Command::Subscribe(..) => 0,
                    Command::Unsubscribe(_) => 1,
                    Command::Publish { .. } => 2,
                    Command::PublishAgain => 3,
                    Command::History { .. } => 4,
                    Command::Ping => 5,
                }] = true;
            }
        }
        assert_eq!(seen, [true; 6]);
    }
}
