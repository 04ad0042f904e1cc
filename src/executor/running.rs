//! One run that is active: its pipes, and what its agent prints.
//!
//! ```text
//! Admitted ── spawn ──▸ Running ── leader exits ──▸ Draining ── 2 s or EOF ──▸ Reaping ── gone ──▸ Gone ── EOF ──▸ Over
//! ```
//!
//! How it ends is in `ending`, what is said to the agent in `input` and `permissions`. May not touch:
//! other runs, the queue. Invariant: what the agent printed is in the backlog, in what was not split
//! yet, or with the store; a pipe is not read while the backlog is full.

use std::ffi::OsString;
use std::time::Duration;

use crate::base::clock::{Mono, Now};
use crate::base::limits::JSON_DEPTH;
use crate::bus::execution::RunAsker;
use crate::config::AgentKind;
use crate::domain::agent::stream_json::{self, ClaudeLine, ResultLine};
use crate::domain::idempotency::{Fingerprint, Scope};
use crate::domain::launch::Launch;
use crate::domain::line_splitter::{LINE_BYTES_MAX, Line, LineSplitter};
use crate::domain::project::Project;
use crate::domain::run::{OutputStream, Run, RunResult, RunState};
use crate::executor::backlog::{Backlog, Event, EventKind};
use crate::executor::effects::{Effect, Effects};
use crate::executor::ending::End;
use crate::executor::events;
use crate::executor::input::Input;
use crate::executor::permissions::Permissions;
use crate::metrics::names::Counter;
use crate::wire::json::raw;

/// The variable that marks every process of a run, so that one that was left behind is known.
const RUN_VARIABLE: &str = "KINGLET_RUN";

/// Bytes of what an agent says it used; more is left out, because each change of a run repeats it.
const USAGE_BYTES: usize = 16 * 1024;

/// A run that is active, from its admission to its last event.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) run: Run,
    pub(super) phase: Phase,
    /// Who waits for its start, unless it was queued and answered before.
    pub(super) starter: Option<Starter>,
    pub(super) launch: Box<Launch>,
    stdout: Pipe,
    stderr: Pipe,
    pub(super) backlog: Backlog,
    pub(super) permissions: Permissions,
    pub(super) input: Input,
    pub(super) end: End,
    pub(super) deadlines: Deadlines,
}

/// Who waits for a start, and the key of the start.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) asker: RunAsker,
    pub(super) key: Option<(Scope, Fingerprint)>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has its place, and the store is asked.
    Admitted,
    /// Its leader is being started, or lives.
    Running,
    /// Its leader has exited; the pipes have a moment to be read out.
    Draining,
    /// Whatever was left was to be killed.
    Reaping,
    /// Nothing of it lives; a pipe is still open, or read.
    Gone,
    /// Nothing is left but what the store has not taken.
    Over,
}

/// What is to happen to a run at which time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// It has taken too long.
    pub(super) timeout: Option<Mono>,
    /// It has been silent for too long.
    pub(super) stall: Option<Mono>,
    /// What is left is killed.
    pub(super) kill: Option<Mono>,
    /// Pipes that are open are closed.
    pub(super) close: Option<Mono>,
}

/// What a step of a run happens in.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// As the store has it.
    pub(super) project: &'a Project,
    pub(super) out: &'a mut Effects,
    pub(super) now: Now,
}

#[derive(Debug)]
struct Pipe {
    splitter: LineSplitter,
    /// What was read when the backlog was full already: at most one read.
    unsplit: Vec<u8>,
    state: PipeState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipeState {
    /// The shell reads it.
    Read,
    /// The shell waits to be told to read on.
    Paused,
    /// It has ended, and something may wait to be split.
    Ended,
    /// Nothing comes any more.
    Done,
}

impl Active {
    pub(super) fn new(run: Run, launch: Box<Launch>, starter: Option<Starter>) -> Self {
        let pipe = || Pipe {
            splitter: LineSplitter::new(LINE_BYTES_MAX),
            unsplit: Vec::new(),
            state: PipeState::Read,
        };
        Self {
            input: Input::new(launch.input.len()),
            run,
            phase: Phase::Admitted,
            starter,
            launch,
            stdout: pipe(),
            stderr: pipe(),
            backlog: Backlog::default(),
            permissions: Permissions::default(),
            end: End::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Starts its process. What is spawned may be large, and is kept only where it goes to.
    pub(super) fn spawn(&mut self, context: &mut Context<'_>) {
        let mut launch = Launch {
            argv: std::mem::take(&mut self.launch.argv),
            environment: std::mem::take(&mut self.launch.environment),
            input: std::mem::take(&mut self.launch.input),
            ..(*self.launch).clone()
        };
        if let (Some(at), Some(session)) = (launch.resume_at, &context.project.session_id) {
            let at = at.min(launch.argv.len());
            launch
                .argv
                .insert(at, OsString::from(format!("--resume={session}")));
        }
        let id = self.run.id;
        launch
            .environment
            .push((RUN_VARIABLE.into(), id.to_string().into()));
        context.out.count(Counter::RunsStarted);
        context.out.push(Effect::Spawn(id, Box::new(launch)));
        self.phase = Phase::Running;
        let now = context.now.mono;
        let after = |span: Option<Duration>| span.map(|span| now + span);
        self.deadlines.timeout = after(self.launch.timeout);
        self.deadlines.stall = after(self.launch.stall_after);
    }

    /// Its process runs; one that nobody may talk to reads its input to the end.
    pub(super) fn started(&mut self, context: &mut Context<'_>) {
        if !self.launch.interactive {
            self.close_input(context);
        }
    }

    /// It printed something.
    pub(super) fn output(&mut self, stream: OutputStream, bytes: &[u8], context: &mut Context<'_>) {
        self.heard(context.now.mono);
        let pipe = self.pipe(stream);
        match pipe.state {
            PipeState::Ended | PipeState::Done => return,
            PipeState::Read | PipeState::Paused => {}
        }
        if pipe.unsplit.is_empty() {
            self.split(stream, bytes, context);
        } else {
            pipe.unsplit.extend_from_slice(bytes);
        }
        self.pause_or_resume(context);
    }

    /// A pipe has ended.
    pub(super) fn output_ended(&mut self, stream: OutputStream, context: &mut Context<'_>) {
        let pipe = self.pipe(stream);
        if pipe.state == PipeState::Done {
            return;
        }
        pipe.state = PipeState::Ended;
        self.go_on(context);
    }

    /// Takes what waits for room in the backlog, now that there may be some.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) {
        for stream in OutputStream::ALL {
            let unsplit = std::mem::take(&mut self.pipe(stream).unsplit);
            if !unsplit.is_empty() {
                self.split(stream, &unsplit, context);
            }
            let pipe = self.pipe(stream);
            if pipe.state == PipeState::Ended && pipe.unsplit.is_empty() {
                pipe.state = PipeState::Done;
                if let Some(line) = pipe.splitter.finish() {
                    self.take_line(stream, &line, context);
                }
            }
        }
        self.pause_or_resume(context);
        self.pipes_moved(context);
    }

    /// Whether the shell may read a pipe now.
    pub(super) fn wants(&self, stream: OutputStream) -> bool {
        let pipe = match stream {
            OutputStream::Stdout => &self.stdout,
            OutputStream::Stderr => &self.stderr,
        };
        pipe.state == PipeState::Read
    }

    /// Whether a pipe is not read because the store has not taken what was printed.
    pub(super) fn is_paused(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .any(|pipe| pipe.state == PipeState::Paused || !pipe.unsplit.is_empty())
    }

    /// Whether nothing comes from either pipe any more.
    pub(super) fn pipes_done(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .all(|pipe| pipe.state == PipeState::Done)
    }

    /// Ends both pipes wherever they are; what was read is taken.
    pub(super) fn end_pipes(&mut self, context: &mut Context<'_>) {
        for stream in OutputStream::ALL {
            let pipe = self.pipe(stream);
            if pipe.state != PipeState::Done {
                pipe.state = PipeState::Ended;
            }
        }
        self.go_on(context);
    }

    /// Adds an event to what is to be told.
    pub(super) fn tell(&mut self, name: &'static str, payload: Box<str>, kind: EventKind) {
        self.backlog.push(Event {
            name,
            payload,
            kind,
        });
    }

    /// The agent is not silent, or it is not its doing.
    pub(super) fn heard(&mut self, now: Mono) {
        if self.phase == Phase::Running && !self.end.has_cause() {
            let after = self.launch.stall_after;
            self.deadlines.stall = after.map(|after| now + after);
        }
    }

    fn pipe(&mut self, stream: OutputStream) -> &mut Pipe {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    fn split(&mut self, stream: OutputStream, bytes: &[u8], context: &mut Context<'_>) {
        let mut rest = bytes;
        while !self.backlog.is_full() && !rest.is_empty() {
            let Some(line) = self.pipe(stream).splitter.next_line(&mut rest) else {
                break;
            };
            self.take_line(stream, &line, context);
        }
        self.pipe(stream).unsplit = rest.to_vec();
    }

    fn pause_or_resume(&mut self, context: &mut Context<'_>) {
        let (id, is_full) = (self.run.id, self.backlog.is_full());
        for stream in OutputStream::ALL {
            let pipe = self.pipe(stream);
            let wants = !is_full && pipe.unsplit.is_empty();
            match pipe.state {
                PipeState::Read if !wants => {
                    pipe.state = PipeState::Paused;
                    context.out.count(Counter::RunOutputsPaused);
                }
                PipeState::Paused if wants => {
                    pipe.state = PipeState::Read;
                    context.out.push(Effect::Resume(id, stream));
                    // It could not be heard meanwhile.
                    self.heard(context.now.mono);
                    self.close_later(context.now.mono);
                }
                PipeState::Read | PipeState::Paused | PipeState::Ended | PipeState::Done => {}
            }
        }
    }

    fn take_line(&mut self, stream: OutputStream, line: &Line<'_>, context: &mut Context<'_>) {
        context.out.count(Counter::RunLines);
        if line.truncated {
            context.out.count(Counter::RunLinesTruncated);
        }
        let kind = match self.run.state {
            RunState::Stalled => {
                self.run.state = RunState::Running;
                EventKind::Changed
            }
            RunState::Queued
            | RunState::Running
            | RunState::Exited
            | RunState::Failed
            | RunState::Cancelled
            | RunState::Timeout
            | RunState::Lost => EventKind::Plain,
        };
        let speaks_json = self.launch.kind == AgentKind::Claude && stream == OutputStream::Stdout;
        // In a publication it stands one level deeper.
        let fits = || raw::compact(&line.text, JSON_DEPTH - 1).is_ok();
        let spoken = speaks_json.then(|| stream_json::read(&line.text));
        match spoken.flatten().filter(|_| fits()) {
            Some(spoken) => self.take_json(line, &spoken, kind, context),
            None => {
                let payload = events::output(self.run.id, stream, line, false);
                self.tell(events::OUTPUT, payload, kind);
            }
        }
    }

    fn take_json(
        &mut self,
        line: &Line<'_>,
        spoken: &ClaudeLine<'_>,
        kind: EventKind,
        context: &mut Context<'_>,
    ) {
        if self.launch.interactive
            && let Some(request) = &spoken.request
            && self.asked(request, context)
        {
            return;
        }
        let kind = match kind {
            EventKind::Plain if spoken.is_partial() => EventKind::Part,
            EventKind::Plain if spoken.result.is_some() => EventKind::Changed,
            EventKind::Plain
            | EventKind::Part
            | EventKind::Changed
            | EventKind::Session(_)
            | EventKind::Permissions(_) => kind,
        };
        let payload = events::output(self.run.id, OutputStream::Stdout, line, true);
        self.tell(events::OUTPUT, payload, kind);
        if let Some(id) = &spoken.session_id {
            self.take_session(id, context);
        }
        if let Some(error) = &spoken.error {
            self.end.say_error(error);
        }
        if let Some(result) = &spoken.result {
            self.run.result = Some(kept(result));
            self.end.say_result(result);
            if self.launch.interactive {
                self.expire_permissions(context);
                self.close_input(context);
            }
        }
    }

    fn take_session(&mut self, id: &str, context: &mut Context<'_>) {
        let known = self.run.session_id.as_deref();
        let known = known.or(context.project.session_id.as_deref());
        let is_new = known != Some(id);
        self.run.session_id = Some(id.into());
        if is_new {
            let payload = events::project_update(context.project, id, context.now.wall);
            let kind = EventKind::Session(id.into());
            self.tell(events::PROJECT_UPDATE, payload, kind);
        }
    }
}

fn kept(result: &ResultLine<'_>) -> RunResult {
    let usage = result.usage.map(|usage| usage.get());
    // What is told of a run stands two levels deeper than in the line.
    let fits =
        |text: &&str| text.len() <= USAGE_BYTES && raw::compact(text, JSON_DEPTH - 4).is_ok();
    RunResult {
        cost_usd: result.cost_usd,
        turns: result.turns,
        usage: usage.filter(fits).map(Into::into),
    }
}
