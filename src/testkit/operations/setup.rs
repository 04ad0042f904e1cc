//! The server that operations happen to, and what a reload makes of it.
//!
//! Invariants: every setting here makes a configuration that is accepted, but for the one of
//! [`Change::Nonsense`]; the rooms of a namespace other than `shift` keep their policy.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use crate::testkit::choices::Choices;
use crate::testkit::link::Conditions;

/// The rooms that operations are about, those with policies for slow members more often.
pub const ROOMS: [&str; 14] = [
    "a",
    "b",
    MEMBERS_ONLY,
    "project:2",
    "user:u1",
    "drop:1",
    "latest:1",
    "paced:1",
    "lag:1",
    "lag:2",
    SHIFTING,
    "a",
    "lag:1",
    SHIFTING,
];

/// The room whose namespace has `publish = "members"`.
pub const MEMBERS_ONLY: &str = "members:m";

/// The room whose policy for slow members reloads change.
pub const SHIFTING: &str = "shift:1";

/// What requests of backends show in token mode.
pub const API_KEY: &str = "a-key-of-a-backend-0123456789";

/// What a reload can tighten and loosen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// How much waits for one session.
    Outbox,
    /// How much rooms retain.
    History,
    /// How often and how large messages may be.
    Messages,
    /// How many rooms there may be, of one session and in all.
    Rooms,
    /// How soon silence counts as death.
    Heartbeat,
    /// How long a handshake and a write may take.
    Timeouts,
}

/// All of them.
const ASPECTS: [Aspect; 6] = [
    Aspect::Outbox,
    Aspect::History,
    Aspect::Messages,
    Aspect::Rooms,
    Aspect::Heartbeat,
    Aspect::Timeouts,
];

/// The policies that the namespace `shift` may have.
const POLICIES: [&str; 4] = ["close", "drop_oldest", "latest", "lag"];

/// Connections of one client address, while they are limited.
pub const PER_CLIENT: usize = 3;

/// A configuration, by what the operations care for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether clients must show tokens.
    pub asks_for_tokens: bool,
    /// What is tight at the moment.
    pub tight: BTreeSet<Aspect>,
    /// The policy of the namespace `shift`.
    pub shift: &'static str,
    /// The least time between two publications of a room of the namespace `paced`.
    pub interval_ms: u32,
    /// Whether one client address may have [`PER_CLIENT`] connections only.
    pub limits_clients: bool,
}

/// What a reload changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An aspect becomes tight, or wide if it is.
    Turn(Aspect),
    /// The policy of the namespace `shift`.
    Shift(&'static str),
    /// The interval of the namespace `paced`.
    Interval(u32),
    /// Whether connections are limited by address.
    Clients(bool),
    /// Something that cannot be: nothing may change.
    Nonsense,
}

impl Settings {
    /// Goes by a change.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::Turn(aspect) => {
                if !self.tight.remove(&aspect) {
                    self.tight.insert(aspect);
                }
            }
            Change::Shift(policy) => self.shift = policy,
            Change::Interval(millis) => self.interval_ms = millis,
            Change::Clients(limits) => self.limits_clients = limits,
            Change::Nonsense => {}
        }
    }

    /// The config file.
    #[must_use]
    pub fn text(&self) -> String {
        let is_tight = |aspect| self.tight.contains(&aspect);
        let mut limits = String::from("[limits]\nnew_connections_per_minute = 0\n");
        let per_client = if self.limits_clients { PER_CLIENT } else { 0 };
        let _ = writeln!(limits, "connections_per_ip = {per_client}");
        limits += match is_tight(Aspect::Outbox) {
            true => "outbox_messages = 8\noutbox_bytes = \"4KiB\"\n",
            false => "outbox_messages = 32\noutbox_bytes = \"16KiB\"\n",
        };
        limits += match is_tight(Aspect::Messages) {
            true => {
                "messages_per_second = 20\nmessage_burst = 10\nmessage_bytes = \"1KiB\"\n\
                 fragments = 2\n"
            }
            false => "messages_per_second = 0\n",
        };
        if is_tight(Aspect::Rooms) {
            limits += "rooms = 7\nrooms_per_session = 3\n";
        }
        if is_tight(Aspect::Timeouts) {
            limits += "handshake_timeout = \"1s\"\nwrite_timeout = \"1s\"\n";
        }
        if is_tight(Aspect::Heartbeat) {
            limits += "[heartbeat]\nping_interval = \"2s\"\npong_timeout = \"1s\"\n\
                       idle_timeout = \"5s\"\n";
        }
        limits += "[compression]\nmin_bytes = 64\ntakeover = true\n";
        limits + &self.rooms() + self.auth()
    }

    fn rooms(&self) -> String {
        let history = match self.tight.contains(&Aspect::History) {
            true => "history_count = 5\nhistory_age = \"10s\"",
            false => "history_count = 60",
        };
        let (shift, interval) = (self.shift, self.interval_ms);
        format!(
            "[rooms.default]\n{history}\n\
             [rooms.members]\npublish = \"members\"\n\
             [rooms.drop]\nslow_consumer = \"drop_oldest\"\n\
             [rooms.latest]\nslow_consumer = \"latest\"\nhistory_count = 0\n\
             [rooms.paced]\nslow_consumer = \"latest\"\nmin_interval = \"{interval}ms\"\n\
             [rooms.lag]\nslow_consumer = \"lag\"\n\
             [rooms.shift]\nslow_consumer = \"{shift}\"\n"
        )
    }

    /// The roles are those of [`Rights`](crate::testkit::operations::Rights).
    fn auth(&self) -> &'static str {
        if !self.asks_for_tokens {
            return "";
        }
        "[auth]\nmode = \"token\"\nallow_query_token = true\n\
         [[auth.keys]]\nalgorithm = \"HS256\"\n\
         secret = \"one that simulations sign their tokens with\"\n\
         [[auth.api_keys]]\nname = \"backend\"\nkey = \"a-key-of-a-backend-0123456789\"\n\
         [auth.roles]\n\
         wide = { rooms = [{ pattern = \"*\", allow = [\"subscribe\", \"publish\", \"history\"] }] }\n\
         narrow = { rooms = [\n\
         { pattern = \"a\", allow = [\"subscribe\", \"publish\", \"history\"] },\n\
         { pattern = \"lag:*\", allow = [\"subscribe\", \"publish\", \"history\"] },\n\
         { pattern = \"members:*\", allow = [\"subscribe\"] },\n\
         { pattern = \"latest:*\", allow = [\"subscribe\"] }] }\n\
         reader = { rooms = [{ pattern = \"*\", allow = [\"subscribe\"] }] }\n"
    }
}

/// The server and the network that operations happen to.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The configuration at the start.
    pub settings: Settings,
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
            shards: u16::from(choices.byte() % 3) + 1,
            mailbox: choices.one_of(&[200, 20]),
            seed: u64::from(choices.byte()),
            conditions: if is_fast { Conditions::default() } else { slow },
            job_turns_max: u64::from(choices.byte() % 4),
            jobs_refused_percent: u64::from(choices.byte() % 3) * 30,
            settings: Settings {
                tight: ASPECTS.into_iter().filter(|_| is_tight).collect(),
                asks_for_tokens: choices.one_in(2),
                limits_clients: choices.one_in(3),
                interval_ms: choices.one_of(&[200, 0, 1000]),
                shift: choices.one_of(&POLICIES),
            },
        }
    }

    /// Whether links have no part in what becomes of somebody.
    #[must_use]
    pub fn has_easy_links(&self) -> bool {
        let links = &self.conditions;
        links.piece_max.is_none() && links.delay.is_zero() && links.capacity > 8000
    }
}

impl Change {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.byte() {
            0..=95 => Self::Turn(choices.one_of(&ASPECTS)),
            96..=191 => Self::Shift(choices.one_of(&POLICIES)),
            192..=215 => Self::Interval(choices.one_of(&[200, 0, 1000])),
            216..=235 => Self::Clients(choices.one_in(2)),
            236..=255 => Self::Nonsense,
        }
    }
}
