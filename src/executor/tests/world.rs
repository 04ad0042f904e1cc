//! A shell and a store that do what the executor wants, and hold it to what it promises.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::base::clock::{Mono, Now, Wall};
use crate::base::ids::{PeerId, ShardId};
use crate::base::rng::Rng;
use crate::bus::execution::{
    CancelAnswer, Mark, Record, Request, RunAnswer, RunAsker, RunForm, RunOrder, RunTarget,
    Settlement, StartOrder, Ticket,
};
use crate::config::AgentKind;
use crate::domain::fault::{Code, Fault};
use crate::domain::launch::{Launch, ProcessLimits};
use crate::domain::project::{Project, ProjectId, ProjectState};
use crate::domain::run::{OutputStream, PendingPermission, Run, RunId};
use crate::executor::Executor;
use crate::executor::effects::{Effect, Exit, StoreStep};
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// How the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreMode {
    Takes,
    Refuses,
    /// Errands wait until [`World::settle`].
    Waits,
}

pub(super) struct World {
    pub(super) executor: Executor,
    pub(super) now: Now,
    pub(super) store: StoreMode,
    pub(super) errands: VecDeque<(Ticket, Vec<StoreStep>)>,
    /// Publications in order: the event's name and its payload.
    pub(super) told: Vec<(&'static str, Value)>,
    pub(super) projects: BTreeMap<ProjectId, Project>,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) pending: BTreeMap<ProjectId, Box<[PendingPermission]>>,
    /// Answers in order, by the number of the request.
    pub(super) answers: Vec<(u32, Result<RunAnswer, Fault>)>,
    pub(super) processes: BTreeMap<RunId, Process>,
    /// What happened, in one word each, where order matters.
    pub(super) trace: Vec<String>,
    counters: Arc<Counters>,
    asked: u32,
}

/// What the shell has of a run.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) argv: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) input: Vec<u8>,
    pub(super) input_closed: bool,
    pub(super) terminated: bool,
    pub(super) killed: bool,
    pub(super) output_closed: bool,
    pub(super) resumed: Vec<OutputStream>,
    pub(super) forgotten: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self::seeded(1)
    }

    pub(super) fn seeded(seed: u64) -> Self {
        let counters = Arc::new(Counters::default());
        let rng = Rng::from_seed(seed);
        Self {
            executor: Executor::new(1000, rng, Arc::clone(&counters)),
            now: Now {
                mono: Mono::from_nanos(1),
                wall: Wall::from_millis(1_000_000),
            },
            store: StoreMode::Takes,
            errands: VecDeque::new(),
            told: Vec::new(),
            projects: BTreeMap::new(),
            runs: BTreeMap::new(),
            pending: BTreeMap::new(),
            answers: Vec::new(),
            processes: BTreeMap::new(),
            trace: Vec::new(),
            counters,
            asked: 0,
        }
    }

    /// Asks, and returns the request's number.
    pub(super) fn ask(&mut self, order: RunOrder) -> u32 {
        self.asked += 1;
        let asker = RunAsker {
            shard: ShardId(0),
            peer: PeerId {
                slot: self.asked,
                generation: 0,
            },
            form: RunForm::Http,
        };
        self.executor.request(Request { order, asker }, self.now);
        self.perform();
        self.asked
    }

    /// The answer to a request, which has one.
    pub(super) fn answer(&self, asked: u32) -> &Result<RunAnswer, Fault> {
        self.find_answer(asked).unwrap()
    }

    pub(super) fn find_answer(&self, asked: u32) -> Option<&Result<RunAnswer, Fault>> {
        let mut answers = self.answers.iter();
        answers.find(|(of, _)| *of == asked).map(|(_, it)| it)
    }

    pub(super) fn code(&self, asked: u32) -> Code {
        self.answer(asked).as_ref().unwrap_err().code
    }

    pub(super) fn create(&mut self, path: &str) -> u32 {
        self.ask(RunOrder::CreateProject {
            path: path.into(),
            name: None,
            projects_max: Some(100),
        })
    }

    pub(super) fn project(&mut self, path: &str) -> ProjectId {
        let asked = self.create(path);
        match self.answer(asked) {
            Ok(RunAnswer::Created(project)) => project.id,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn start(&mut self, project: ProjectId) -> u32 {
        self.ask(RunOrder::Start(order(project)))
    }

    /// A run that is active, of an agent changed as wanted.
    pub(super) fn active(&mut self, project: ProjectId, change: impl FnOnce(&mut Launch)) -> RunId {
        let mut order = order(project);
        change(&mut order.launch);
        let asked = self.ask(RunOrder::Start(order));
        let run = self.started_run(asked);
        self.executor.started(run, self.now);
        self.perform();
        run
    }

    pub(super) fn started_run(&self, asked: u32) -> RunId {
        match self.answer(asked) {
            Ok(RunAnswer::Started(run, _)) => run.id,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn cancel(&mut self, run: RunId, when: CancelAnswer) -> u32 {
        self.ask(RunOrder::Cancel(RunTarget::Run(run), when))
    }

    pub(super) fn print(&mut self, run: RunId, text: &str) {
        self.print_on(run, OutputStream::Stdout, text);
    }

    pub(super) fn print_on(&mut self, run: RunId, stream: OutputStream, text: &str) {
        self.executor.output(run, stream, text.as_bytes(), self.now);
        self.perform();
    }

    pub(super) fn end_output(&mut self, run: RunId) {
        for stream in OutputStream::ALL {
            self.executor.output_ended(run, stream, self.now);
            self.perform();
        }
    }

    pub(super) fn exit(&mut self, run: RunId, exit: Exit) {
        self.executor.leader_exited(run, exit, self.now);
        self.perform();
    }

    pub(super) fn gone(&mut self, run: RunId) {
        self.executor.gone(run, self.now);
        self.perform();
    }

    /// The run ends as most do.
    pub(super) fn finish(&mut self, run: RunId, exit: Exit) {
        self.end_output(run);
        self.exit(run, exit);
        self.gone(run);
    }

    /// Lets so much time pass, and does what is due in it, when it is due.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        let mut turns = 0;
        while let Some(at) = self.executor.next_deadline()
            && at <= end
        {
            turns += 1;
            assert!(turns < 10_000, "it turns without getting on");
            self.set_time(at.max(self.now.mono));
            self.executor.tick(self.now);
            self.perform();
        }
        self.set_time(end);
    }

    fn set_time(&mut self, mono: Mono) {
        let millis = mono.as_millis() - self.now.mono.as_millis();
        self.now.wall = Wall::from_millis(self.now.wall.as_millis() + millis);
        self.now.mono = mono;
    }

    /// Does what the executor wants, until it wants nothing more.
    pub(super) fn perform(&mut self) {
        loop {
            let effects = self.executor.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform_one(effect);
            }
        }
    }

    /// Settles the oldest errand; whether there was one.
    pub(super) fn settle(&mut self, takes: bool) -> bool {
        let Some((ticket, steps)) = self.errands.pop_front() else {
            return false;
        };
        let outcome = match takes {
            true => {
                self.commit(steps);
                Ok(())
            }
            false => Err(Fault::new(Code::StoreBusy, "no")),
        };
        let settlement = Settlement { ticket, outcome };
        self.executor.settled(settlement, self.now);
        self.perform();
        true
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.counters.read(counter)
    }

    /// The names of what was told.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.told.iter().map(|(name, _)| *name).collect()
    }

    /// What was printed, as it was told.
    pub(super) fn lines(&self, run: RunId) -> Vec<String> {
        let id = run.to_string();
        self.told
            .iter()
            .filter(|(name, it)| *name == "run.output" && it["run"] == *id)
            .map(|(_, it)| match it.get("json") {
                Some(json) => json.to_string(),
                None => it["line"].as_str().unwrap().to_owned(),
            })
            .collect()
    }

    /// The last thing told.
    pub(super) fn last(&self) -> &Value {
        &self.told.last().unwrap().1
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn(run, launch) => {
                self.trace.push("spawn".into());
                let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
                let process = Process {
                    argv: launch.argv.iter().map(|it| text(it)).collect(),
                    environment: launch
                        .environment
                        .iter()
                        .map(|(name, value)| (text(name), text(value)))
                        .collect(),
                    ..Process::default()
                };
                let earlier = self.processes.insert(run, process);
                assert!(earlier.is_none(), "spawned twice");
            }
            Effect::Write(run, bytes) => {
                let process = self.process(run);
                assert!(!process.input_closed, "written after it was closed");
                assert!(!bytes.is_empty());
                process.input.extend(bytes);
            }
            Effect::CloseInput(run) => {
                let process = self.process(run);
                assert!(!process.input_closed, "closed twice");
                process.input_closed = true;
            }
            Effect::Terminate(run) => {
                self.trace.push("terminate".into());
                let process = self.process(run);
                assert!(!process.terminated && !process.killed, "ended twice");
                process.terminated = true;
            }
            Effect::Kill(run) => {
                self.trace.push("kill".into());
                let process = self.process(run);
                assert!(!process.killed, "killed twice");
                process.killed = true;
            }
            Effect::CloseOutput(run) => {
                self.trace.push("close".into());
                let process = self.process(run);
                assert!(!process.output_closed, "closed twice");
                process.output_closed = true;
            }
            Effect::Resume(run, stream) => self.process(run).resumed.push(stream),
            Effect::Forget(run) => {
                if self.processes.contains_key(&run) {
                    self.process(run).forgotten = true;
                }
            }
            Effect::Store(ticket, steps) => self.take_errand(ticket, steps),
            Effect::Answer(asker, answer) => {
                self.trace.push("answer".into());
                let asked = asker.peer.slot;
                assert!(self.find_answer(asked).is_none(), "answered twice");
                self.answers.push((asked, answer));
            }
        }
    }

    pub(super) fn process(&mut self, run: RunId) -> &mut Process {
        let process = self.processes.get_mut(&run).unwrap();
        assert!(!process.forgotten, "it was forgotten");
        process
    }

    fn take_errand(&mut self, ticket: Ticket, steps: Vec<StoreStep>) {
        assert!(!steps.is_empty(), "an errand has something to do");
        if let Some(room) = room(&steps) {
            let other = self
                .errands
                .iter()
                .find_map(|(_, steps)| room_is(steps, &room));
            assert!(other.is_none(), "one errand of a project at a time");
        }
        self.errands.push_back((ticket, steps));
        match self.store {
            StoreMode::Takes => self.settle(true),
            StoreMode::Refuses => self.settle(false),
            StoreMode::Waits => true,
        };
    }

    fn commit(&mut self, steps: Vec<StoreStep>) {
        let mut published = None;
        for step in steps {
            match step {
                StoreStep::Publish { event, payload, .. } => {
                    self.trace.push(event.into());
                    let payload: Value = serde_json::from_str(&payload).unwrap();
                    assert!(payload.is_object());
                    published = Some(payload.clone());
                    self.told.push((event, payload));
                }
                StoreStep::Record(Record::Project(project)) => {
                    let executes = project.state == ProjectState::Executing;
                    assert_eq!(executes, project.run.is_some(), "{project:?}");
                    let failed = project.state == ProjectState::Error;
                    assert_eq!(failed, project.error.is_some(), "{project:?}");
                    self.projects.insert(project.id, *project);
                }
                StoreStep::Record(Record::ProjectDeleted(id)) => {
                    self.projects.remove(&id);
                }
                StoreStep::Record(Record::Run(run, mark)) => {
                    match mark {
                        Mark::None => {}
                        Mark::First | Mark::Last => {
                            let told = published.as_ref().unwrap();
                            assert_eq!(told["run"]["id"], run.id.to_string(), "{mark:?}");
                        }
                    }
                    assert_eq!(mark == Mark::Last, run.state.is_over());
                    let earlier = self.runs.insert(run.id, *run);
                    assert!(earlier.is_none_or(|run| !run.state.is_over()));
                }
                StoreStep::Record(Record::Permissions(id, pending)) => {
                    self.pending.insert(id, pending);
                }
            }
        }
    }
}

fn room(steps: &[StoreStep]) -> Option<String> {
    steps.iter().find_map(|step| match step {
        StoreStep::Publish { room, .. } => Some(room.as_str().to_owned()),
        StoreStep::Record(_) => None,
    })
}

fn room_is(steps: &[StoreStep], wanted: &str) -> Option<()> {
    (room(steps).as_deref() == Some(wanted)).then_some(())
}

/// A start of an agent of kind lines, with no limits.
pub(super) fn order(project: ProjectId) -> Box<StartOrder> {
    Box::new(StartOrder {
        project,
        agent: "agent".into(),
        prompt: "hi".into(),
        options: None,
        params: None,
        launch: Launch {
            kind: AgentKind::Lines,
            argv: vec!["/bin/agent".into(), "-p".into()],
            resume_at: None,
            directory: PathBuf::from("/srv/a"),
            environment: vec![("A".into(), "1".into())],
            input: b"hi".to_vec(),
            interactive: false,
            limits: ProcessLimits::default(),
            timeout: None,
            stall_after: None,
            stall_cancels: false,
        },
        waits: false,
        runs_max: Some(10),
        excess: None,
        key: None,
    })
}

/// Makes an agent one of kind claude that people talk to.
pub(super) fn claude(launch: &mut Launch) {
    launch.kind = AgentKind::Claude;
    launch.resume_at = Some(1);
    launch.interactive = true;
}
