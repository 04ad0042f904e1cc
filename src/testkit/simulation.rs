//! Everything at once: operations happen to a [`World`], and a model beside it says what must follow.
//!
//! ```text
//!   Operation ──▶ World ──▶ what clients are told ──▶ Person, Ledger: was it promised so?
//! ```
//!
//! The same operations come from a fuzzer's bytes and from the bytes of a seed; see [`play`]. What
//! must hold: every member that stays hears every publication of its rooms once and in the order of
//! their offsets; whoever tells of a publication tells the same; commands are answered in order; the
//! server ends nobody without a reason; a drained shard holds nothing. The shards' own invariants
//! are checked by the world, after every turn.

#![allow(clippy::expect_used, clippy::panic)]

mod finish;
mod ledger;
mod person;
mod speech;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::base::clock::Mono;
use crate::testkit::choices::Choices;
use crate::testkit::operations::{Farewell, Operation, Request, Setup, Who};
use crate::testkit::simulation::ledger::Ledger;
use crate::testkit::simulation::person::{Person, Rules};
use crate::testkit::world::{Answer, ClientId, Options, World};
use crate::wire::websocket::frame::{Opcode, masked_frame};

/// Operations of one play; enough for anything to meet anything, few enough to read.
const OPERATIONS_MAX: usize = 400;

/// Clients that are there at a time.
const PEOPLE_MAX: usize = 16;

/// Any mask will do.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// Plays the setup and the operations that `input` chooses, to the end. The same input returns the
/// same digest of everything that was written.
///
/// # Panics
/// If something does not hold that must; says after which operations, and that `replay` shows it
/// again.
pub fn play(input: &[u8], replay: &str) -> u64 {
    let mut choices = Choices::new(input);
    let setup = Setup::choose(&mut choices);
    let mut played = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut simulation = Simulation::new(setup);
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
    world: World,
    people: Vec<Person>,
    callers: Vec<Caller>,
    ledger: Ledger,
    last_id: u64,
    keyed: Option<Keyed>,
    /// Publications that were sent more than once.
    repeated: BTreeSet<u64>,
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
    for_members: bool,
    at: Mono,
}

impl Simulation {
    /// A server with three people in its rooms.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut world = World::new(Options {
            config: setup.config,
            shards: setup.shards,
            mailbox: setup.mailbox,
            seed: setup.seed,
        });
        world.conditions = setup.conditions;
        world.jobs.delay_turns_max = setup.job_turns_max;
        world.jobs.refused_percent = setup.jobs_refused_percent;
        let mut simulation = Self {
            setup,
            world,
            people: Vec::new(),
            callers: Vec::new(),
            ledger: Ledger::default(),
            last_id: 0,
            keyed: None,
            repeated: BTreeSet::new(),
            is_draining: false,
        };
        for room in ["a", "a", "b"] {
            simulation.come(room);
        }
        simulation
    }

    /// Lets one operation happen, and checks what everybody is told.
    ///
    /// # Panics
    /// If it is not what must be.
    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Come { room } => self.come(room),
            Operation::Say {
                who,
                command,
                framing,
            } => {
                if let Some(index) = self.present(who) {
                    self.say(index, command, framing);
                }
            }
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

    fn come(&mut self, room: &str) {
        let world = &mut self.world;
        let here = self.people.iter().filter(|person| person.stays(world));
        if here.count() >= PEOPLE_MAX {
            return;
        }
        let client = self.world.open();
        let target = format!("/ws?room={room}");
        self.world.client(client).upgrade(&target, "kinglet.v1");
        self.people.push(Person::new(client));
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
        let live = self.world.services.live();
        let rules = Rules {
            limits_rooms: self.setup.is_tight,
            namespaces: &live.config.rooms,
        };
        for person in &mut self.people {
            let client = self.world.client(person.client);
            let answers: Vec<Answer> = client.answers.drain(..).collect();
            for answer in answers.iter().filter(|_| person.session.is_none()) {
                let is_refusal = match answer.status {
                    101 => false,
                    429 => self.setup.is_tight,
                    408 => !self.setup.is_easy(),
                    503 => self.is_draining,
                    400 => person.is_gone,
                    _ => panic!("{answer:?}"),
                };
                person.is_gone |= is_refusal;
                assert!(is_refusal || answer.status == 101, "{answer:?}");
            }
            for message in self.world.client(person.client).take_json() {
                person.hear(&message, &mut self.ledger, rules);
            }
        }
        for caller in &mut self.callers {
            let client = self.world.client(caller.client);
            if let Some(answer) = client.answers.pop_front()
                && let Some(request) = caller.request.take()
            {
                speech::answered(&request, caller.number, &answer, &mut self.ledger);
            }
        }
    }
}
