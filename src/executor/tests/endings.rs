//! How runs end.

use std::time::Duration;

use serde_json::json;

use super::world::{StoreMode, World, claude};
use crate::bus::execution::{CancelAnswer, RunAnswer, RunOrder, RunTarget};
use crate::config::AgentKind;
use crate::domain::fault::Code;
use crate::domain::launch::Launch;
use crate::domain::project::ProjectState;
use crate::domain::run::{OutputStream, RunState};
use crate::executor::effects::{Exit, StartFault};
use crate::metrics::names::Counter;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_run_is_kept_then_answered_then_spawned_and_its_end_comes_last() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    world.trace.clear();
    let asked = world.start(project);
    let run = world.started_run(asked);
    assert_eq!(world.trace, ["run.started", "answer", "spawn"]);
    assert_eq!(world.projects[&project].state, ProjectState::Executing);
    let process = world.process(run);
    let mark = ("KINGLET_RUN".to_owned(), run.to_string());
    assert_eq!(process.environment.last(), Some(&mark));
    world.executor.started(run, world.now);
    world.perform();
    assert!(world.process(run).input_closed, "nobody may talk to it");
    world.print(run, "one\ntw");
    world.print(run, "o\nlast");
    world.finish(run, Exit::Code(0));
    assert_eq!(world.lines(run), ["one", "two", "last"]);
    assert_eq!(world.names().last(), Some(&"run.exited"));
    assert_eq!(world.last()["run"]["state"], "exited");
    assert_eq!(world.last()["project"]["state"], "IDLE");
    assert_eq!(world.last().get("error"), None);
    assert!(world.processes[&run].killed, "what may be left is ended");
    assert!(world.processes[&run].forgotten);
    assert!(world.executor.is_idle());
    assert_eq!(world.executor.next_deadline(), None);
}

#[test]
fn the_end_waits_for_exit_pipes_and_tree_in_whatever_order_they_come() {
    let steps: [fn(&mut World, crate::domain::run::RunId); 3] = [
        |world, run| world.end_output(run),
        |world, run| world.exit(run, Exit::Code(0)),
        |world, run| world.gone(run),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut world = World::new();
        let project = world.project("/srv/a");
        let run = world.active(project, |_| {});
        world.print(run, "said\n");
        for step in order {
            assert_ne!(world.names().last(), Some(&"run.exited"), "{order:?}");
            steps[step](&mut world, run);
            if step == 1 {
                continue;
            }
            // A keeper that is gone may leave the exit untold.
            if order[2] == 1 && step == order[1] {
                break;
            }
        }
        assert_eq!(world.names().last(), Some(&"run.exited"), "{order:?}");
        assert!(world.executor.is_idle());
    }
}

#[test]
fn pipes_that_somebody_holds_are_read_for_a_while_then_what_holds_them_is_killed() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    world.exit(run, Exit::Code(0));
    world.pass(2 * SECOND - Duration::from_millis(1));
    assert!(!world.process(run).killed);
    world.print(run, "late\n");
    world.pass(Duration::from_millis(1));
    assert!(world.process(run).killed);
    world.gone(run);
    world.print(run, "still in the pipe\n");
    world.pass(5 * SECOND - Duration::from_millis(1));
    assert!(!world.process(run).output_closed);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.lines(run), ["late", "still in the pipe"]);
    assert_eq!(world.last()["run"]["truncated"], true);
    assert_eq!(world.last()["run"]["state"], "exited");
    assert_eq!(world.count(Counter::RunOutputsCut), 1);
}

#[test]
fn an_agent_that_closes_its_output_and_lives_keeps_its_run() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |launch| launch.timeout = Some(60 * SECOND));
    world.end_output(run);
    world.pass(59 * SECOND);
    assert_eq!(world.names(), ["run.started"]);
    assert!(!world.process(run).terminated);
    world.pass(SECOND);
    assert!(world.process(run).terminated);
    world.exit(run, Exit::Signal(15));
    world.gone(run);
    assert_eq!(world.last()["run"]["state"], "timeout");
    assert_eq!(world.last()["error"]["code"], "EXECUTION_TIMEOUT");
    assert_eq!(world.last()["project"]["state"], "ERROR");
}

#[test]
fn who_ignores_term_is_killed() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    let asked = world.cancel(run, CancelAnswer::AtOnce);
    assert!(matches!(world.answer(asked), Ok(RunAnswer::Cancelled(_))));
    assert!(world.process(run).terminated);
    world.pass(5 * SECOND - Duration::from_millis(1));
    assert!(!world.process(run).killed);
    world.pass(Duration::from_millis(1));
    assert!(world.process(run).killed);
    world.exit(run, Exit::Signal(9));
    world.end_output(run);
    world.gone(run);
    assert_eq!(world.last()["run"]["state"], "cancelled");
    assert_eq!(world.last()["run"]["signal"], 9);
    assert_eq!(
        world.last().get("error"),
        None,
        "to be cancelled is no failure"
    );
    assert_eq!(world.last()["project"]["state"], "IDLE");
}

#[test]
fn who_waits_for_the_end_of_a_cancelled_run_is_answered_after_it() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    let target = RunTarget::ActiveIn(project);
    let first = world.ask(RunOrder::Cancel(target, CancelAnswer::WhenOver));
    let second = world.ask(RunOrder::Cancel(target, CancelAnswer::WhenOver));
    assert!(world.find_answer(first).is_none());
    world.trace.clear();
    world.finish(run, Exit::Signal(15));
    assert_eq!(world.trace, ["kill", "run.exited", "answer", "answer"]);
    for asked in [first, second] {
        match world.answer(asked) {
            Ok(RunAnswer::Cancelled(run)) => assert_eq!(run.state, RunState::Cancelled),
            other => panic!("{other:?}"),
        }
    }
    let late = world.ask(RunOrder::Cancel(target, CancelAnswer::WhenOver));
    assert_eq!(world.code(late), Code::ProcessNotFound);
    let late = world.cancel(run, CancelAnswer::AtOnce);
    assert_eq!(world.code(late), Code::ProcessNotFound);
}

#[test]
fn a_run_cancelled_before_it_is_kept_is_never_spawned() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    world.store = StoreMode::Waits;
    let asked = world.start(project);
    let target = RunTarget::ActiveIn(project);
    let cancel = world.ask(RunOrder::Cancel(target, CancelAnswer::WhenOver));
    assert!(world.settle(true));
    let run = world.started_run(asked);
    assert!(world.settle(true));
    assert!(world.processes.is_empty());
    assert_eq!(world.names(), ["run.started", "run.exited"]);
    assert_eq!(world.runs[&run].state, RunState::Cancelled);
    assert!(world.answer(cancel).is_ok());
    assert!(world.executor.is_idle());

    let asked = world.start(project);
    let cancel = world.ask(RunOrder::Cancel(target, CancelAnswer::WhenOver));
    assert!(world.settle(false));
    assert_eq!(world.code(asked), Code::StoreBusy);
    assert_eq!(world.code(cancel), Code::ProcessNotFound);
    assert!(world.executor.is_idle());
}

#[test]
fn what_cannot_be_started_has_failed_and_says_why() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let asked = world.start(project);
    let run = world.started_run(asked);
    let fault = StartFault {
        code: Code::ClaudeNotFound,
        text: "there is no such program".into(),
    };
    world.executor.start_failed(run, fault, world.now);
    world.perform();
    let end = world.last().clone();
    assert_eq!(end["run"]["state"], "failed");
    assert_eq!(end["run"]["reason"], "there is no such program");
    assert_eq!(end["error"]["code"], "CLAUDE_NOT_FOUND");
    assert_eq!(end["project"]["state"], "ERROR");
    // An error is no reason not to start again.
    let run = world.active(project, |_| {});
    world.finish(run, Exit::Code(0));
    assert_eq!(world.projects[&project].state, ProjectState::Idle);
}

#[test]
fn an_end_is_repeated_until_the_store_takes_it_and_the_place_is_kept_so_long() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    world.print(run, "a\n");
    world.store = StoreMode::Refuses;
    world.print(run, "b\n");
    world.finish(run, Exit::Code(0));
    world.pass(60 * SECOND);
    assert_eq!(world.lines(run), ["a"]);
    assert!(world.count(Counter::RunErrandsRepeated) > 10);
    let busy = world.start(project);
    assert_eq!(world.code(busy), Code::ProcessActive);
    world.store = StoreMode::Takes;
    world.pass(5 * SECOND);
    assert_eq!(world.lines(run), ["a", "b"]);
    assert_eq!(world.last()["run"]["state"], "exited");
    assert!(world.executor.is_idle());
}

#[test]
fn the_verdict_is_the_truth_and_not_the_exit_code_alone() {
    let check = |lines: &str, exit: Option<Exit>, state: &str, reason: &str, code: &str| {
        let mut world = World::new();
        let project = world.project("/srv/a");
        let run = world.active(project, |launch| launch.kind = AgentKind::Claude);
        world.print(run, lines);
        world.end_output(run);
        if let Some(exit) = exit {
            world.exit(run, exit);
        }
        world.gone(run);
        let end = world.last();
        assert_eq!(end["run"]["state"], state, "{lines}");
        let said = end["run"]["reason"].as_str().unwrap_or_default();
        assert_eq!(said, reason, "{lines}");
        assert_eq!(end["error"]["code"].as_str().unwrap_or_default(), code);
        assert_eq!(end["error"]["message"].as_str().unwrap_or_default(), reason);
    };
    let ok = Some(Exit::Code(0));
    check("", ok, "exited", "", "");
    let failed = "EXECUTION_FAILED";
    check(
        "",
        Some(Exit::Code(3)),
        "failed",
        "it ended with exit code 3",
        failed,
    );
    check(
        "",
        Some(Exit::Signal(9)),
        "failed",
        "signal 9 ended it",
        failed,
    );
    check("", None, "failed", "its keeper was lost", failed);
    let good = "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}\n";
    check(good, ok, "exited", "", "");
    let bad = "{\"type\":\"result\",\"subtype\":\"error_max_turns\",\"is_error\":false}\n";
    let reason = "its result is an error: error_max_turns";
    check(bad, ok, "failed", reason, failed);
    check(&format!("{bad}{good}"), ok, "exited", "", "");
    let bad = "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true}\n";
    check(bad, ok, "failed", "its result is an error: success", failed);
    let error = "{\"type\":\"error\",\"message\":\"overloaded\"}\n";
    check(error, ok, "failed", "overloaded", "JSON_PARSING");
}

#[test]
fn silence_is_told_once_and_ends_a_run_only_if_it_shall() {
    let stalls = |launch: &mut Launch| launch.stall_after = Some(10 * SECOND);
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, stalls);
    world.pass(9 * SECOND);
    world.print_on(run, OutputStream::Stderr, "no line yet");
    world.pass(9 * SECOND);
    assert_eq!(world.names(), ["run.started"]);
    world.pass(100 * SECOND);
    assert_eq!(world.names(), ["run.started", "run.stalled"]);
    assert_eq!(world.last()["silent_ms"], 10_000);
    assert_eq!(world.runs[&run].state, RunState::Stalled);
    world.print(run, "awake\n");
    assert_eq!(world.runs[&run].state, RunState::Running);
    world.pass(10 * SECOND);
    assert_eq!(world.count(Counter::RunsStalled), 2);
    world.finish(run, Exit::Code(0));

    let run = world.active(project, |launch| {
        stalls(launch);
        launch.stall_cancels = true;
    });
    world.pass(10 * SECOND);
    assert!(world.process(run).terminated);
    world.print(run, "woken by TERM\n");
    world.pass(20 * SECOND);
    assert_eq!(world.count(Counter::RunsStalled), 3, "it is being ended");
    world.finish(run, Exit::Signal(15));
    assert_eq!(world.last()["run"]["state"], "timeout");
    assert_eq!(world.last()["run"]["reason"], "it printed nothing for 10s");
}

#[test]
fn a_shutdown_ends_what_runs_and_what_waits_as_lost() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    let mut waiting = super::world::order(project);
    waiting.waits = true;
    let waiting = world.ask(RunOrder::Start(waiting));
    let waiting = world.started_run(waiting);
    world.executor.drain(world.now);
    world.perform();
    assert!(world.process(run).terminated);
    let refused = world.start(project);
    assert_eq!(world.code(refused), Code::ServerBusy);
    world.pass(5 * SECOND);
    assert!(world.process(run).killed);
    assert!(!world.executor.is_idle());
    world.finish(run, Exit::Signal(9));
    for run in [run, waiting] {
        assert_eq!(world.runs[&run].state, RunState::Lost);
        let reason = Some("the server was shut down");
        assert_eq!(world.runs[&run].reason.as_deref(), reason);
    }
    assert!(world.executor.is_idle());
}

#[test]
fn after_a_restart_what_was_active_is_lost_and_told_once() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    let mut waiting = super::world::order(project);
    waiting.waits = true;
    let waiting = world.ask(RunOrder::Start(waiting));
    let waiting = world.started_run(waiting);
    let mut after = World::new();
    after.store = StoreMode::Refuses;
    let runs = world.runs.values().cloned().collect();
    let projects = world.projects.values().cloned().collect();
    after.executor.restore(projects, runs, after.now);
    after.perform();
    assert!(after.told.is_empty());
    after.store = StoreMode::Takes;
    after.pass(5 * SECOND);
    assert_eq!(after.names(), ["run.exited", "run.exited"]);
    for run in [run, waiting] {
        assert_eq!(after.runs[&run].state, RunState::Lost);
    }
    assert_eq!(after.last()["error"]["details"], json!({}));
    assert_eq!(after.projects[&project].state, ProjectState::Error);
    assert!(after.executor.is_idle());
    after.active(project, |_| {});
    assert_eq!(after.projects[&project].state, ProjectState::Executing);
}
