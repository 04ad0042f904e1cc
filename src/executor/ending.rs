//! How a run ends, and what is then said of it.
//!
//! The leader exits; its pipes are read for 2 s at most; whatever is left of the tree is killed; the
//! pipes are read to their end, for 5 s at most; what was printed is with the store; then the end is
//! told, once. Invariants: a run that is being ended is ended for its first reason; time in which we
//! did not read is not held against a pipe.

use std::time::Duration;

use serde_json::{Value, json};

use crate::base::clock::Mono;
use crate::bus::execution::RunAsker;
use crate::domain::agent::stream_json::ResultLine;
use crate::domain::fault::{Code, Fault};
use crate::domain::project::{Project, ProjectState};
use crate::domain::run::{Run, RunState};
use crate::executor::backlog::EventKind;
use crate::executor::effects::{Effect, Exit, StartFault};
use crate::executor::events;
use crate::executor::running::{Active, Context, Phase};
use crate::metrics::names::Counter;

/// How long pipes are read after the leader has exited, before what still holds them is killed.
const DRAIN: Duration = Duration::from_secs(2);

/// How long a tree has from TERM to KILL: the keeper's own grace, in case it does not keep it.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// How long pipes are read after everything was killed: whoever holds them has left the tree.
const CLOSE_AFTER: Duration = Duration::from_secs(5);

/// Bytes of a reason that an agent gave.
const REASON_BYTES: usize = 1024;

/// Why a run is ended before it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody wants it.
    Cancelled,
    /// It took too long.
    Timeout,
    /// It was silent for too long.
    Stalled,
    /// The server shuts down.
    Shutdown,
}

/// What is known of a run's end.
#[derive(Debug, Default)]
pub(super) struct End {
    cause: Option<Cause>,
    leader: Option<Exit>,
    failure: Option<StartFault>,
    /// What its error line said.
    error: Option<Box<str>>,
    /// What its last result said, if that is an error.
    bad_result: Option<Box<str>>,
    /// Who is to be answered when it is over.
    pub(super) askers: Vec<RunAsker>,
}

impl End {
    pub(super) fn say_error(&mut self, text: &str) {
        self.error = Some(shortened(text));
    }

    pub(super) fn say_result(&mut self, result: &ResultLine<'_>) {
        let subtype = result.subtype.as_deref().unwrap_or("error");
        let is_bad = result.is_error || subtype.starts_with("error_");
        self.bad_result = is_bad.then(|| shortened(subtype));
    }

    /// Whether it is being ended.
    pub(super) fn has_cause(&self) -> bool {
        self.cause.is_some()
    }
}

impl Active {
    /// Ends the run before it ends by itself.
    pub(super) fn end(&mut self, cause: Cause, context: &mut Context<'_>) {
        let ends_it = match self.phase {
            Phase::Admitted | Phase::Running => true,
            // What its leader did stands, unless somebody does not want it.
            Phase::Draining | Phase::Reaping | Phase::Gone => cause == Cause::Cancelled,
            Phase::Over => return,
        };
        if self.end.has_cause() {
            return;
        }
        self.end.cause = Some(cause).filter(|_| ends_it);
        self.deadlines.timeout = None;
        self.deadlines.stall = None;
        match self.phase {
            Phase::Running => {
                self.close_input(context);
                self.expire_permissions(context);
                context.out.push(Effect::Terminate(self.run.id));
                self.deadlines.kill = Some(context.now.mono + KILL_AFTER);
            }
            Phase::Draining => self.kill(context),
            Phase::Admitted | Phase::Reaping | Phase::Gone | Phase::Over => {}
        }
    }

    /// Nothing was started, and nothing will be.
    pub(super) fn start_failed(&mut self, why: StartFault, context: &mut Context<'_>) {
        self.end.failure = Some(why);
        self.gone(context);
        self.end_pipes(context);
    }

    /// Its leader has exited.
    pub(super) fn leader_exited(&mut self, exit: Exit, context: &mut Context<'_>) {
        self.end.leader.get_or_insert(exit);
        self.deadlines.timeout = None;
        self.deadlines.stall = None;
        self.lose_input(context);
        match self.phase {
            Phase::Running if self.pipes_done() => self.kill(context),
            Phase::Running => {
                self.phase = Phase::Draining;
                self.deadlines.kill = Some(context.now.mono + DRAIN);
            }
            Phase::Admitted | Phase::Draining | Phase::Reaping | Phase::Gone | Phase::Over => {}
        }
    }

    /// Nothing of it lives.
    pub(super) fn gone(&mut self, context: &mut Context<'_>) {
        match self.phase {
            Phase::Gone | Phase::Over => return,
            Phase::Admitted | Phase::Running | Phase::Draining | Phase::Reaping => {}
        }
        self.lose_input(context);
        let close = self.deadlines.close;
        self.deadlines = super::running::Deadlines {
            close: close.or(Some(context.now.mono + CLOSE_AFTER)),
            ..Default::default()
        };
        self.phase = Phase::Gone;
        self.pipes_moved(context);
    }

    /// The agent reads no more.
    pub(super) fn lose_input(&mut self, context: &mut Context<'_>) {
        self.input.lose();
        self.expire_permissions(context);
    }

    /// A pipe may have ended.
    pub(super) fn pipes_moved(&mut self, context: &mut Context<'_>) {
        if !self.pipes_done() {
            return;
        }
        match self.phase {
            Phase::Draining => self.kill(context),
            Phase::Gone => {
                self.phase = Phase::Over;
                self.deadlines.close = None;
                self.run.ended_at.get_or_insert(context.now.wall);
            }
            Phase::Admitted | Phase::Running | Phase::Reaping | Phase::Over => {}
        }
    }

    /// When something is to be done next, but for what waits in the backlog.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let Self { deadlines, .. } = self;
        [
            deadlines.timeout,
            deadlines.stall,
            deadlines.kill,
            deadlines.close,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        let due = |deadline: Option<Mono>| deadline.is_some_and(|at| at <= now);
        if due(self.deadlines.timeout) {
            self.end(Cause::Timeout, context);
        }
        if due(self.deadlines.stall) {
            self.stalled(context);
        }
        if due(self.deadlines.kill) {
            self.kill(context);
        }
        if due(self.deadlines.close) {
            if self.is_paused() {
                return self.close_later(now);
            }
            self.deadlines.close = None;
            self.run.truncated = true;
            context.out.count(Counter::RunOutputsCut);
            context.out.push(Effect::CloseOutput(self.run.id));
            self.end_pipes(context);
        }
    }

    /// Begins the time anew after which open pipes are closed, if it runs.
    pub(super) fn close_later(&mut self, now: Mono) {
        let close = self.deadlines.close;
        self.deadlines.close = close.map(|_| now + CLOSE_AFTER);
    }

    fn stalled(&mut self, context: &mut Context<'_>) {
        // Who waits for us, or is not heard because of us, is not silent.
        if self.is_paused() || !self.permissions.is_empty() {
            self.heard(context.now.mono);
            return;
        }
        self.deadlines.stall = None;
        context.out.count(Counter::RunsStalled);
        self.run.state = RunState::Stalled;
        let silent = self.launch.stall_after.unwrap_or_default();
        let payload = events::stalled(self.run.id, millis(silent));
        self.tell(events::STALLED, payload, EventKind::Changed);
        if self.launch.stall_cancels {
            self.end(Cause::Stalled, context);
        }
    }

    fn kill(&mut self, context: &mut Context<'_>) {
        self.phase = Phase::Reaping;
        self.deadlines.kill = None;
        self.deadlines.close = Some(context.now.mono + CLOSE_AFTER);
        context.out.push(Effect::Kill(self.run.id));
    }

    /// The run as it ended, its project after it, and what is told to be wrong.
    pub(super) fn verdict(&self, project: &Project) -> (Run, Project, Option<Fault>) {
        let (state, fault) = self.outcome();
        let mut run = self.run.clone();
        run.state = state;
        run.reason = fault.as_ref().map(|fault| fault.message.as_str().into());
        match self.end.leader {
            Some(Exit::Code(code)) => run.exit_code = Some(code),
            Some(Exit::Signal(signal)) => run.signal = Some(signal),
            None => {}
        }
        let mut project = project.clone();
        project.run = None;
        project.last_active = run.ended_at.unwrap_or(project.last_active);
        match state {
            RunState::Exited | RunState::Cancelled => {
                project.state = ProjectState::Idle;
                project.error = None;
            }
            RunState::Failed | RunState::Timeout | RunState::Lost => {
                project.state = ProjectState::Error;
                project.error.clone_from(&run.reason);
            }
            RunState::Queued | RunState::Running | RunState::Stalled => {
                debug_assert!(false, "an outcome is an end");
            }
        }
        // To be cancelled is no error.
        let fault = fault.filter(|_| state != RunState::Cancelled);
        (run, project, fault)
    }

    /// How it ended, and why not well. The exit code alone does not decide: an agent that tells of
    /// an error has failed whatever it returns.
    fn outcome(&self) -> (RunState, Option<Fault>) {
        let fault = |code, message: String| Some(Fault::new(code, message));
        let timeout = |what: &str, span: Option<Duration>| {
            let span = span.unwrap_or_default();
            let message = format!("{what} {span:?}");
            let details = json!({ "limit_ms": millis(span) });
            Some(Fault::new(Code::ExecutionTimeout, message).with_details(details))
        };
        let failed = |message: String, details: Value| {
            let fault = Fault::new(Code::ExecutionFailed, message).with_details(details);
            (RunState::Failed, Some(fault))
        };
        let End { cause, leader, .. } = &self.end;
        match cause {
            Some(Cause::Cancelled) => {
                let reason = "somebody cancelled it".to_owned();
                return (RunState::Cancelled, fault(Code::ExecutionFailed, reason));
            }
            Some(Cause::Timeout) => {
                let fault = timeout("it took longer than", self.launch.timeout);
                return (RunState::Timeout, fault);
            }
            Some(Cause::Stalled) => {
                let fault = timeout("it printed nothing for", self.launch.stall_after);
                return (RunState::Timeout, fault);
            }
            Some(Cause::Shutdown) => {
                let fault = fault(Code::ExecutionFailed, super::SHUT_DOWN.to_owned());
                return (RunState::Lost, fault);
            }
            None => {}
        }
        if let Some(StartFault { code, text }) = &self.end.failure {
            return (RunState::Failed, fault(*code, text.to_string()));
        }
        if let Some(error) = &self.end.error {
            return (
                RunState::Failed,
                fault(Code::JsonParsing, error.to_string()),
            );
        }
        match (leader, &self.end.bad_result) {
            (Some(Exit::Code(0)), None) => (RunState::Exited, None),
            (Some(Exit::Code(code)), None) => failed(
                format!("it ended with exit code {code}"),
                json!({ "exit_code": code }),
            ),
            (Some(Exit::Code(code)), Some(subtype)) => failed(
                format!("its result is an error: {subtype}"),
                json!({ "exit_code": code, "result": subtype }),
            ),
            (Some(Exit::Signal(signal)), _) => failed(
                format!("signal {signal} ended it"),
                json!({ "signal": signal }),
            ),
            (None, _) => failed("its keeper was lost".to_owned(), json!({})),
        }
    }
}

/// The beginning of what an agent said.
fn shortened(text: &str) -> Box<str> {
    let mut end = text.len().min(REASON_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
