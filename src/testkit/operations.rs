//! What may happen to a server, as values: a fuzzer's bytes or a seed's choose them one by one.
//!
//! ```text
//!   bytes ──Choices──▶ Setup, Operation, Operation, … ──▶ testkit::simulation
//! ```
//!
//! A new kind of event is a variant here with its weight in [`Operation::choose`], and an arm in
//! `simulation`. Invariants: any bytes make operations, each takes at least one; none depends on
//! what happened before, so that a list of them can be printed, cut short and replayed.

mod setup;
mod speech;

pub use setup::{
    API_KEY, Aspect, Change, MEMBERS_ONLY, PER_CLIENT, ROOMS, SHIFTING, Settings, Setup,
};
pub use speech::{
    Claims, Command, Flaw, Framing, Manner, Order, Request, Rights, Showing, Since, USERS, Whom,
};

use std::time::Duration;

use crate::testkit::choices::Choices;

/// Whom an operation is about: a number that is reduced to those who are present.
pub type Who = u8;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Somebody connects and asks for a WebSocket.
    Come(Visit),
    /// A client sends a command.
    Say {
        /// Which.
        who: Who,
        /// What it asks for.
        command: Command,
        /// How it frames the message.
        framing: Framing,
    },
    /// A client sends a token.
    Show(Who, Claims),
    /// A backend publishes past all sockets.
    Backend {
        /// The rooms.
        rooms: Vec<&'static str>,
        /// How often.
        times: usize,
        /// Bytes of filling in each.
        filling: u8,
        /// The session that shall not hear it.
        except: Option<Who>,
    },
    /// An operator wants something of sessions.
    Manage(Whom, Order),
    /// The operator changes the configuration.
    Reload(Change),
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
    /// A listener to an event stream, in these rooms if it is new.
    Listen(u8, Vec<&'static str>, Hearing),
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

/// Who connects, from where, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The first rooms.
    pub rooms: Vec<&'static str>,
    /// The number of the user, below [`USERS`].
    pub user: u8,
    /// From where.
    pub entrance: Entrance,
    /// How the token is shown, where one is asked for.
    pub showing: Showing,
    /// The token.
    pub claims: Claims,
}

/// From where somebody connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// This machine, which is exempt from limits.
    Here,
    /// One of [`ADDRESSES`].
    Address(u8),
    /// One of [`ADDRESSES`], by a proxy on this machine.
    Proxy(u8),
}

/// Clients of other machines; the first two are one, which has a /64.
pub const ADDRESSES: [&str; 3] = ["2001:db8:0:1::1", "2001:db8:0:1::2", "192.0.2.1"];

/// What a listener to an event stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It comes, or comes back.
    Come,
    /// Its connection breaks.
    Cut,
    /// It reads so many bytes a turn.
    Slowly(usize),
    /// It reads all it can.
    All,
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
            0..=10 => Self::Come(Visit::choose(choices)),
            11..=104 => Self::Say {
                who: choices.byte(),
                command: Command::choose(choices),
                framing: Framing::choose(choices),
            },
            105..=114 => Self::Show(choices.byte(), Claims::choose(choices)),
            115..=133 => Self::Backend {
                rooms: rooms(choices),
                times: 1 + choices.below(16),
                filling: choices.byte() % 160,
                except: choices.one_in(4).then(|| choices.byte()),
            },
            134..=138 => Self::Manage(Whom::choose(choices), Order::choose(choices)),
            139..=143 => Self::Reload(Change::choose(choices)),
            144..=147 => Self::PingFrame(choices.byte()),
            148..=149 => Self::Garbage(choices.byte(), speech::garbage(choices)),
            150..=160 => Self::Request(Request::choose(choices)),
            161..=172 => Self::ReadSlowly(choices.byte(), choices.one_of(&[0, 20, 60, 200])),
            173..=184 => Self::ReadAll(choices.byte()),
            185..=189 => {
                let how = [Farewell::Cut, Farewell::Finish, Farewell::Close];
                Self::Leave(choices.byte(), choices.one_of(&how))
            }
            190 => Self::HoldJobs(true),
            191..=193 => Self::HoldJobs(false),
            194..=203 => {
                let (come, slowly) = (Hearing::Come, Hearing::Slowly(choices.one_of(&[0, 20, 60])));
                let what = [come, come, Hearing::Cut, slowly, Hearing::All];
                Self::Listen(choices.byte(), rooms(choices), choices.one_of(&what))
            }
            204..=228 => Self::Turn,
            229..=249 => Self::Pass(Duration::from_millis(2 * u64::from(choices.byte()))),
            250..=254 => Self::Wait(Duration::from_millis(100 * u64::from(choices.byte()))),
            255 if choices.one_in(8) => {
                Self::Drain(Duration::from_millis(100 * u64::from(choices.byte())))
            }
            255 => Self::Turn,
        }
    }
}

impl Visit {
    /// Somebody of this machine who is in `rooms` for good.
    #[must_use]
    pub fn resident(rooms: &[&'static str]) -> Self {
        Self {
            rooms: rooms.to_vec(),
            user: 0,
            entrance: Entrance::Here,
            showing: Showing::Subprotocol,
            claims: Claims::GOOD,
        }
    }

    fn choose(choices: &mut Choices<'_>) -> Self {
        Self {
            rooms: rooms(choices),
            user: choices.byte() % USERS,
            entrance: match choices.byte() {
                0..=99 => Entrance::Here,
                100..=179 => Entrance::Address(choices.byte()),
                180..=255 => Entrance::Proxy(choices.byte()),
            },
            showing: Showing::choose(choices),
            claims: Claims::choose(choices),
        }
    }
}

impl Whom {
    fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=127 => Self::Session(choices.byte()),
            128..=255 => Self::User(choices.byte() % USERS),
        }
    }
}

fn room(choices: &mut Choices<'_>) -> &'static str {
    choices.one_of(&ROOMS)
}

/// One room, or two that differ.
fn rooms(choices: &mut Choices<'_>) -> Vec<&'static str> {
    let first = room(choices);
    let second = choices.one_in(3).then(|| room(choices));
    let others = second.filter(|second| *second != first);
    [first].into_iter().chain(others).collect()
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
        assert_eq!(kinds.len(), 18, "{kinds:?}");
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
