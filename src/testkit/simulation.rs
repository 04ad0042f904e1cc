//! Everything at once: operations happen to a [`World`], and a model beside it says what must follow.
//!
//! ```text
//!   Operation ──▶ World ──▶ what clients are told ──▶ Person, Ledger: was it promised so?
//! ```
//!
//! The same operations come from a fuzzer's bytes and from the bytes of a seed; see [`play`]. What
//! must hold: every member that stays hears every publication of its rooms once and in the order of
//! their offsets, or as much of it as the room's policy promises; whoever tells of a publication
//! tells the same; commands are answered in order, and as the sender's token says; operators' wishes
//! come true; the server ends nobody without a reason; a drained server holds nothing. The shards'
//! own invariants are checked by the world, after every turn.

#![allow(clippy::expect_used, clippy::panic)]

mod arrival;
mod expected;
mod finish;
mod ledger;
mod listener;
mod operator;
mod person;
mod policies;
mod rights;
mod speech;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::base::clock::Mono;
use crate::metrics::names::Counter;
use crate::metrics::table::COUNTERS;
use crate::testkit::choices::Choices;
use crate::testkit::operations::{
    Aspect, Farewell, Operation, Request, Settings, Setup, Visit, Who,
};
use crate::testkit::simulation::ledger::Ledger;
use crate::testkit::simulation::listener::Listener;
use crate::testkit::simulation::person::{Person, Rules};
use crate::testkit::simulation::policies::Policies;
use crate::testkit::simulation::rights::Desk;
use crate::testkit::world::{ClientId, Message, Options, World};
use crate::wire::websocket::frame::{Opcode, masked_frame};

/// Operations of one play; enough for anything to meet anything, few enough to read.
const OPERATIONS_MAX: usize = 400;

/// Any mask will do.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// What a play came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// A digest of everything that was written; the same input makes the same.
    pub trace: u64,
    /// What the server has counted, in the order of [`COUNTERS`].
    pub counts: Vec<u64>,
}

/// Plays the setup and the operations that `input` chooses, to the end.
///
/// # Panics
/// If something does not hold that must; says after which operations, and that `replay` shows it
/// again.
pub fn play(input: &[u8], replay: &str) -> Played {
    let mut choices = Choices::new(input);
    let setup = Setup::choose(&mut choices);
    let mut played = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut simulation = Simulation::new(setup.clone());
        while !choices.is_over() && played.len() < OPERATIONS_MAX {
            let operation = Operation::choose(&mut choices);
            played.push(operation.clone());
            simulation.apply(operation);
        }
        simulation.finish()
    }));
    outcome.unwrap_or_else(|_| {
        let mut story = format!("{setup:?}\n");
        for (number, operation) in played.iter().enumerate() {
            let _ = writeln!(story, "{number:4} {operation:?}");
        }
        panic!("{story}What follows does not hold, see above. Replay: {replay}");
    })
}

/// A world with its model.
#[derive(Debug)]
pub struct Simulation {
    setup: Setup,
    /// The configuration in force.
    settings: Settings,
    /// What was ever tight.
    tight: BTreeSet<Aspect>,
    /// Connections were limited by address at some time.
    limited_clients: bool,
    world: World,
    desk: Desk,
    people: Vec<Person>,
    callers: Vec<Caller>,
    listeners: Vec<Listener>,
    ledger: Ledger,
    policies: Policies,
    last_id: u64,
    keyed: Option<Keyed>,
    /// Publications that were sent more than once.
    repeated: BTreeSet<u64>,
    /// Rooms whose history somebody wanted to delete.
    cleared: BTreeSet<&'static str>,
    is_draining: bool,
}

/// Somebody who asks by HTTP.
#[derive(Debug)]
struct Caller {
    client: ClientId,
    request: Option<Request>,
    number: u64,
}

/// A publish with an idempotency key.
#[derive(Debug)]
struct Keyed {
    number: u64,
    command: Value,
    rooms: Vec<&'static str>,
    /// Who may repeat it.
    owner: String,
    at: Mono,
}

impl Simulation {
    /// A server with a few people in its rooms.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut world = World::new(Options {
            config: &setup.settings.text(),
            shards: setup.shards,
            mailbox: setup.mailbox,
            seed: setup.seed,
            ..Options::default()
        });
        world.conditions = setup.conditions;
        world.is_unordered = true;
        world.jobs.delay_turns_max = setup.job_turns_max;
        world.jobs.refused_percent = setup.jobs_refused_percent;
        let settings = setup.settings.clone();
        let mut simulation = Self {
            tight: settings.tight.clone(),
            limited_clients: settings.limits_clients,
            settings,
            setup,
            desk: Desk::new(&world.services.live().config.auth),
            world,
            people: Vec::new(),
            callers: Vec::new(),
            listeners: Vec::new(),
            ledger: Ledger::default(),
            policies: Policies::default(),
            last_id: 0,
            keyed: None,
            repeated: BTreeSet::new(),
            cleared: BTreeSet::new(),
            is_draining: false,
        };
        simulation.note_policy();
        for rooms in [&["a", "lag:1"][..], &["a", "shift:1"], &["b", "lag:1"]] {
            simulation.come(Visit::resident(rooms));
        }
        simulation
    }

    /// Lets one operation happen, and checks what everybody is told.
    ///
    /// # Panics
    /// If it is not what must be.
    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Come(visit) => self.come(visit),
            Operation::Say {
                who,
                command,
                framing,
            } => {
                if let Some(index) = self.present(who) {
                    self.say(index, command, framing);
                }
            }
            Operation::Show(who, claims) => {
                if let Some(index) = self.present(who) {
                    self.show(index, claims);
                }
            }
            Operation::Backend {
                rooms,
                times,
                filling,
                except,
            } => {
                let except = except.and_then(|who| self.present(who));
                for _ in 0..times {
                    self.backend(&rooms, filling, except);
                }
            }
            Operation::Manage(whom, order) => self.manage(whom, order),
            Operation::Reload(change) => self.reload(change),
            Operation::PingFrame(who) => self.with(who, |person, world| {
                person.send(world, &masked_frame(Opcode::Ping, b"ping", MASK));
            }),
            Operation::Garbage(who, bytes) => self.with(who, |person, world| {
                person.is_rude = true;
                person.send(world, &bytes);
            }),
            Operation::Request(request) => self.request(request),
            Operation::ReadSlowly(who, bytes) => self.with(who, |person, world| {
                person.is_slow = true;
                world.client(person.client).appetite = Some(bytes);
            }),
            Operation::ReadAll(who) => self.with(who, |person, world| {
                world.client(person.client).appetite = None;
            }),
            Operation::Leave(who, how) => self.with(who, |person, world| {
                person.is_gone = true;
                person.send(world, b"");
                match how {
                    Farewell::Cut => world.client(person.client).cut(),
                    Farewell::Finish => world.client(person.client).finish(),
                    Farewell::Close => world.client(person.client).close(1000),
                }
            }),
            Operation::Listen(who, rooms, what) => self.hearing(who, rooms, what),
            Operation::HoldJobs(hold) => self.world.jobs.hold = hold,
            Operation::Turn => drop(self.world.turn()),
            Operation::Pass(time) => {
                self.world.pass(time);
                self.world.turn();
            }
            Operation::Wait(time) => self.world.advance(time),
            Operation::Drain(timeout) => {
                self.is_draining = true;
                self.world.begin_drain(timeout);
            }
        }
        self.listen();
    }

    /// One of those who are present.
    fn present(&mut self, who: Who) -> Option<usize> {
        let world = &mut self.world;
        let here: Vec<usize> = (0..self.people.len())
            .filter(|index| self.people[*index].stays(world))
            .collect();
        let index = usize::from(who).checked_rem(here.len())?;
        here.get(index).copied()
    }

    fn with(&mut self, who: Who, what: impl FnOnce(&mut Person, &mut World)) {
        if let Some(index) = self.present(who) {
            what(&mut self.people[index], &mut self.world);
        }
    }

    /// Takes in what everybody has received.
    fn listen(&mut self) {
        self.note_policy();
        self.hear_answers();
        let rules = Rules {
            tight: &self.tight,
            policies: &self.policies,
            now: self.world.now().wall,
        };
        for person in &mut self.people {
            let client = self.world.client(person.client);
            for message in client.take_json() {
                person.hear(&message, &mut self.ledger, rules);
            }
            let close = client.inbox.iter().find_map(|message| match message {
                Message::Close(code, reason) => Some((*code, reason.clone(), rules.now)),
                Message::Text(_) | Message::Binary(_) | Message::Ping | Message::Pong(_) => None,
            });
            person.closed = person.closed.take().or(close);
        }
        self.hear_streams();
        for caller in &mut self.callers {
            let client = self.world.client(caller.client);
            if let Some(answer) = client.answers.pop_front()
                && let Some(request) = caller.request.take()
            {
                let is_open = self.desk.is_open();
                speech::answered(&request, caller.number, &answer, is_open, &mut self.ledger);
            }
        }
    }

    /// What came of it.
    fn played(&self) -> Played {
        let total = |row: &(Counter, &str, &str)| self.world.total(row.0);
        Played {
            trace: self.world.trace(),
            counts: COUNTERS.iter().map(total).collect(),
        }
    }

    /// Whether everybody speaks TLS.
    fn speaks_tls(&self) -> bool {
        self.world.services.live().tls.is_some()
    }

    /// Whether the server has no reason to end anybody who reads and writes as it should.
    fn is_easy(&self) -> bool {
        self.tight.is_empty() && self.setup.has_easy_links()
    }
}
