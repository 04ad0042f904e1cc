//! Random lives: requests, output, exits, a store that refuses, people, a shutdown. Whatever
//! happens, everything that was begun ends, once, and nothing that was printed is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{StoreMode, World, claude, order};
use crate::base::rng::Rng;
use crate::bus::execution::{CancelAnswer, RunOrder, RunTarget};
use crate::domain::idempotency::{Owner, Scope, fingerprint};
use crate::domain::project::{ProjectId, ProjectState};
use crate::domain::run::{OutputStream, RunId};
use crate::domain::run_command::{Decision, RunInput};
use crate::executor::effects::Exit;

const SEEDS: u64 = 100;
const STEPS: usize = 300;
const RUNS_MAX: usize = 3;

/// The processes of one run.
#[derive(Default)]
struct Tree {
    started: bool,
    leader: Option<Leader>,
    /// Somebody else holds the pipes, who may have left the tree.
    helper: Option<Helper>,
    /// What stands in standard output and was not read.
    pipe: Vec<u8>,
    /// Every line that was printed and is to be told.
    printed: Vec<String>,
    ended: BTreeSet<OutputStream>,
    gone: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Leader {
    Exited,
    Told,
}

#[derive(Clone, Copy, PartialEq)]
enum Helper {
    Child,
    Escaped,
}

struct Life {
    world: World,
    rng: Rng,
    projects: Vec<ProjectId>,
    trees: BTreeMap<RunId, Tree>,
    asked: Vec<u32>,
    lines: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut world = World::seeded(seed);
        let paths = ["/srv/a", "/srv/b", "/srv/c", "/srv/d", "/srv/e"];
        let projects = paths.map(|path| world.project(path)).to_vec();
        world.store = StoreMode::Waits;
        Self {
            world,
            rng: Rng::from_seed(seed ^ 0x5eed),
            projects,
            trees: BTreeMap::new(),
            asked: Vec::new(),
            lines: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn ask(&mut self, order: RunOrder) {
        let asked = self.world.ask(order);
        self.asked.push(asked);
    }

    fn any_run(&mut self) -> Option<RunId> {
        let at = self.below(self.world.runs.len().max(1));
        self.world.runs.keys().nth(at).copied()
    }

    fn live(&self) -> Vec<RunId> {
        let live = |(_, tree): &(&RunId, &Tree)| !tree.gone;
        self.trees
            .iter()
            .filter(live)
            .map(|(run, _)| *run)
            .collect()
    }

    fn step(&mut self) {
        match self.below(20) {
            0 | 1 => self.start(),
            2 => self.cancel(),
            3 => self.change_project(),
            4 => self.talk(),
            5..=8 => {
                let takes = self.chance(80);
                self.world.settle(takes);
            }
            9 => {
                let millis = self.rng.below(3000);
                self.world.pass(Duration::from_millis(millis));
            }
            10..=12 => self.act(),
            _ => self.read(),
        }
        self.meet();
        self.check();
    }

    /// Sees what was spawned since.
    fn meet(&mut self) {
        for run in self.world.processes.keys() {
            self.trees.entry(*run).or_default();
        }
    }

    fn start(&mut self) {
        let at = self.below(self.projects.len());
        let mut order = order(self.projects[at]);
        order.runs_max = Some(RUNS_MAX);
        order.waits = self.chance(70);
        if self.chance(50) {
            claude(&mut order.launch);
        }
        if self.chance(20) {
            order.launch.stall_after = Some(Duration::from_secs(2));
            order.launch.stall_cancels = self.chance(30);
        }
        if self.chance(20) {
            order.launch.timeout = Some(Duration::from_secs(5));
        }
        if self.chance(30) {
            let key = self.below(5).to_string();
            let scope = Scope::new(Owner::Credential("me".into()), &key).unwrap();
            order.key = Some((scope, fingerprint(&[key.as_bytes()])));
        }
        self.ask(RunOrder::Start(order));
    }

    fn cancel(&mut self) {
        let when = match self.chance(50) {
            true => CancelAnswer::AtOnce,
            false => CancelAnswer::WhenOver,
        };
        let target = match self.any_run() {
            Some(run) if self.chance(60) => RunTarget::Run(run),
            Some(_) | None => {
                let at = self.below(self.projects.len());
                RunTarget::ActiveIn(self.projects[at])
            }
        };
        self.ask(RunOrder::Cancel(target, when));
    }

    fn change_project(&mut self) {
        let at = self.below(self.projects.len());
        let project = self.projects[at];
        match self.below(6) {
            0 => self.ask(RunOrder::DeleteProject(project)),
            1 => {
                let path = format!("/srv/new{}", self.below(3));
                self.ask(RunOrder::CreateProject {
                    path: path.into(),
                    name: None,
                    projects_max: Some(8),
                });
                self.projects = self.world.projects.keys().copied().collect();
                if self.projects.is_empty() {
                    self.projects.push(project);
                }
            }
            _ => self.ask(RunOrder::ResetSession(project)),
        }
    }

    fn talk(&mut self) {
        let Some(run) = self.any_run() else {
            return;
        };
        if self.chance(50) {
            let input = RunInput::Text("go on".into());
            return self.ask(RunOrder::Input { run, input });
        }
        let decision = Decision {
            allow: self.chance(50),
            message: None,
            updated_input: None,
            by: None,
        };
        let request = self.rng.below(self.lines + 1).to_string().into();
        self.ask(RunOrder::Decide {
            run,
            request,
            decision,
        });
    }

    /// Some process does something.
    fn act(&mut self) {
        let live = self.live();
        if live.is_empty() {
            return;
        }
        let run = live[self.below(live.len())];
        let what = self.below(12);
        let now = self.world.now;
        let is_started = self.trees[&run].started;
        if !is_started && what < 10 {
            self.trees.get_mut(&run).unwrap().started = true;
            self.world.executor.started(run, now);
            return self.world.perform();
        }
        match what {
            0..=6 => self.print(run),
            7 => {
                let helper = match self.chance(20) {
                    true => Helper::Escaped,
                    false => Helper::Child,
                };
                let tree = self.trees.get_mut(&run).unwrap();
                if tree.leader.is_none() {
                    tree.helper = Some(helper);
                }
            }
            8 => {
                let tree = self.trees.get_mut(&run).unwrap();
                tree.helper = tree.helper.filter(|helper| *helper == Helper::Escaped);
            }
            9 => {
                self.world.executor.input_closed(run, now);
                self.world.perform();
            }
            _ => self.exit(run),
        }
    }

    fn print(&mut self, run: RunId) {
        let burst = match self.chance(5) {
            true => 400,
            false => 1 + self.below(4),
        };
        for _ in 0..burst {
            self.lines += 1;
            let number = self.lines;
            let kind = self.below(10);
            let tree = self.trees.get_mut(&run).unwrap();
            if tree.leader.is_some() && tree.helper.is_none() {
                return;
            }
            let line = match kind {
                0..=2 => format!("{{\"n\":{number},\"type\":\"stream_event\"}}"),
                3 => format!("{{\"session_id\":\"s{number}\",\"type\":\"assistant\"}}"),
                4 if burst == 1 => format!(
                    "{{\"type\":\"control_request\",\"request_id\":\"{number}\",\"request\":\
                     {{\"subtype\":\"can_use_tool\",\"tool_name\":\"T\",\"input\":{{}}}}}}"
                ),
                _ => format!("line {number}"),
            };
            tree.pipe.extend(line.bytes().chain([b'\n']));
            if !line.contains("control_request") {
                tree.printed.push(line);
            }
        }
    }

    fn exit(&mut self, run: RunId) {
        let now = self.world.now;
        let is_told = self.chance(90);
        let tree = self.trees.get_mut(&run).unwrap();
        if tree.leader.is_none() {
            tree.leader = Some(Leader::Exited);
        }
        if tree.leader == Some(Leader::Exited) && is_told {
            tree.leader = Some(Leader::Told);
            self.world.executor.leader_exited(run, Exit::Code(0), now);
            self.world.perform();
        }
    }

    /// The shell reads, and notices what has ended.
    fn read(&mut self) {
        for run in self.trees.keys().copied().collect::<Vec<_>>() {
            if self.world.processes[&run].forgotten {
                continue;
            }
            self.obey(run);
            self.read_run(run);
        }
    }

    /// Processes do what they are told, TERM perhaps.
    fn obey(&mut self, run: RunId) {
        let process = &self.world.processes[&run];
        let (killed, terminated) = (process.killed, process.terminated);
        if killed || terminated && self.chance(30) {
            self.exit(run);
            let tree = self.trees.get_mut(&run).unwrap();
            tree.helper = tree.helper.filter(|helper| *helper == Helper::Escaped);
        }
        let tree = self.trees.get_mut(&run).unwrap();
        let is_child = tree.helper == Some(Helper::Child);
        let ready = tree.leader.is_some() && !is_child && !tree.gone;
        if ready && self.chance(50) {
            self.trees.get_mut(&run).unwrap().gone = true;
            self.world.executor.gone(run, self.world.now);
            self.world.perform();
        }
    }

    fn read_run(&mut self, run: RunId) {
        let closed = self.world.processes[&run].output_closed;
        let size = 1 + self.below(4000);
        let now = self.world.now;
        let tree = self.trees.get_mut(&run).unwrap();
        if closed {
            tree.pipe.clear();
            return;
        }
        let executor = &mut self.world.executor;
        if !tree.pipe.is_empty() {
            if executor.wants_output(run, OutputStream::Stdout) {
                let size = size.min(tree.pipe.len());
                let read: Vec<u8> = tree.pipe.drain(..size).collect();
                executor.output(run, OutputStream::Stdout, &read, now);
            }
            return self.world.perform();
        }
        if tree.leader.is_some() && tree.helper.is_none() {
            for stream in OutputStream::ALL {
                if executor.wants_output(run, stream) && tree.ended.insert(stream) {
                    executor.output_ended(run, stream, now);
                }
            }
        }
        self.world.perform();
    }

    /// What holds at any time.
    fn check(&self) {
        let active = self.world.processes.iter();
        let active = active.filter(|(_, process)| !process.forgotten);
        let projects: Vec<ProjectId> = active
            .map(|(run, _)| self.world.runs[run].project)
            .collect();
        assert!(projects.len() <= RUNS_MAX, "{projects:?}");
        let distinct: BTreeSet<&ProjectId> = projects.iter().collect();
        assert_eq!(distinct.len(), projects.len(), "one run of a project");
        if let Some(at) = self.world.executor.next_deadline() {
            // What is due now waits for the next tick, and nothing is overlooked.
            assert!(at >= self.world.now.mono, "{at:?}");
        }
    }

    /// Lets everything come to its end.
    fn finish(&mut self, drains: bool) {
        if drains {
            self.world.executor.drain(self.world.now);
            self.world.perform();
        }
        for turn in 0..5_000 {
            if self.world.executor.is_idle() {
                return;
            }
            self.world.settle(true);
            self.meet();
            if turn % 10 == 0 {
                for run in self.live() {
                    self.trees.get_mut(&run).unwrap().started = true;
                    if turn > 200 || drains {
                        self.exit(run);
                        let tree = self.trees.get_mut(&run).unwrap();
                        tree.helper = tree.helper.filter(|it| *it == Helper::Escaped);
                    }
                }
                self.world.pass(Duration::from_millis(200));
            }
            self.read();
            self.check();
        }
        panic!("it never ends");
    }

    fn verify(&self) {
        assert_eq!(self.world.executor.next_deadline(), None);
        for asked in &self.asked {
            assert!(self.world.find_answer(*asked).is_some(), "not answered");
        }
        for run in self.world.runs.values() {
            assert!(run.state.is_over(), "{run:?}");
            self.verify_order(run.id);
        }
        for project in self.world.projects.values() {
            assert_ne!(project.state, ProjectState::Executing);
        }
        for pending in self.world.pending.values() {
            assert!(pending.is_empty());
        }
        for (run, tree) in &self.trees {
            assert!(self.world.processes[run].forgotten);
            // Whoever cannot ask is told as any line.
            let mut told = self.world.lines(*run);
            told.retain(|line| !line.contains("control_request"));
            let told = told.join("\n");
            let printed = tree.printed.join("\n");
            match self.world.runs[run].truncated {
                true => assert!(printed.starts_with(&told), "{printed} {told}"),
                false => assert_eq!(told, printed),
            }
        }
    }

    fn verify_order(&self, run: RunId) {
        let id = run.to_string();
        let of_run = |it: &serde_json::Value| it["run"] == *id || it["run"]["id"] == *id;
        let told = self.world.told.iter().filter(|(_, it)| of_run(it));
        let names: Vec<&str> = told.map(|(name, _)| *name).collect();
        let count = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
        assert_eq!(count("run.exited"), 1, "{names:?}");
        assert_eq!(names.last(), Some(&"run.exited"), "{names:?}");
        assert!(count("run.queued") <= 1 && count("run.started") <= 1);
        let queued = count("run.queued");
        let begun = names.get(queued);
        let is_begun = begun.is_some_and(|name| *name == "run.started");
        assert!(is_begun || names.len() == queued + 1, "{names:?}");
        let asked = count("permission.requested");
        let settled = count("permission.resolved") + count("permission.expired");
        assert_eq!(asked, settled, "{names:?}");
    }
}

#[test]
fn whatever_happens_everything_ends_once_and_nothing_is_lost() {
    let only = std::env::var("KINGLET_SEED").ok();
    let seeds = match only.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut life = Life::new(seed);
            for _ in 0..STEPS {
                life.step();
            }
            life.finish(seed % 2 == 0);
            life.verify();
        });
        assert!(
            outcome.is_ok(),
            "seed {seed}: KINGLET_SEED={seed} cargo test --lib executor::tests::model"
        );
    }
}
