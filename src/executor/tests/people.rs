//! What people say to agents, and what agents ask them.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, claude};
use crate::bus::execution::{CancelAnswer, RunAnswer, RunOrder};
use crate::domain::fault::Code;
use crate::domain::run::RunId;
use crate::domain::run_command::{Decision, RunInput};
use crate::executor::effects::Exit;
use crate::metrics::names::Counter;

fn question(id: &str) -> String {
    let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"c": "ls"}});
    let line = json!({"type": "control_request", "request_id": id, "request": request});
    format!("{line}\n")
}

fn decide(world: &mut World, run: RunId, request: &str, allow: bool) -> u32 {
    world.ask(RunOrder::Decide {
        run,
        request: request.into(),
        decision: Decision {
            allow,
            message: None,
            updated_input: None,
            by: Some("eve".into()),
        },
    })
}

fn say(world: &mut World, run: RunId, input: RunInput) -> u32 {
    world.ask(RunOrder::Input { run, input })
}

/// What was written to the agent, line by line.
fn written(world: &World, run: RunId) -> Vec<Value> {
    let text = std::str::from_utf8(&world.processes[&run].input).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_first_answer_wins_and_everybody_is_told() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    world.print(run, &question("q1"));
    assert_eq!(world.names()[1..], ["permission.requested"]);
    assert_eq!(world.last()["tool"], "Bash");
    assert_eq!(world.last()["input"], json!({"c": "ls"}));
    assert_eq!(world.pending[&project].len(), 1);
    let first = decide(&mut world, run, "q1", true);
    assert_eq!(*world.answer(first), Ok(RunAnswer::Told(run)));
    assert_eq!(world.names()[2..], ["permission.resolved"]);
    assert!(
        world
            .trace
            .ends_with(&["answer", "permission.resolved"].map(String::from))
    );
    assert_eq!(world.last()["decision"], "allow");
    assert_eq!(world.last()["by"], "eve");
    assert!(world.pending[&project].is_empty());
    let answer = &written(&world, run)[0]["response"];
    assert_eq!(answer["request_id"], "q1");
    assert_eq!(answer["response"]["updatedInput"], json!({"c": "ls"}));
    let second = decide(&mut world, run, "q1", false);
    assert_eq!(world.code(second), Code::AlreadyResolved);
    let unknown = decide(&mut world, run, "q2", false);
    assert_eq!(world.code(unknown), Code::NotFound);
    assert_eq!(written(&world, run).len(), 1);
}

#[test]
fn a_bad_replacement_leaves_the_question_open() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    world.print(run, &question("q1"));
    for input in ["[]", "{", ""] {
        let asked = world.ask(RunOrder::Decide {
            run,
            request: "q1".into(),
            decision: Decision {
                allow: true,
                message: None,
                updated_input: Some(input.into()),
                by: None,
            },
        });
        assert_eq!(world.code(asked), Code::ValidationFailed);
    }
    let asked = decide(&mut world, run, "q1", false);
    assert!(world.answer(asked).is_ok());
    assert_eq!(world.last()["decision"], "deny");
}

#[test]
fn questions_expire_before_the_run_ends_whatever_ends_it() {
    let check = |end: fn(&mut World, RunId)| {
        let mut world = World::new();
        let project = world.project("/srv/a");
        let run = world.active(project, claude);
        world.print(run, &question("q1"));
        world.print(run, &question("q2"));
        end(&mut world, run);
        assert!(world.pending[&project].is_empty());
        let late = decide(&mut world, run, "q1", true);
        assert_eq!(world.code(late), Code::AlreadyResolved);
        if !world.processes[&run].killed {
            world.exit(run, Exit::Code(0));
        }
        world.end_output(run);
        world.gone(run);
        let names = world.names();
        let expired = names.iter().filter(|name| **name == "permission.expired");
        assert_eq!(expired.count(), 2);
        assert_eq!(names.last(), Some(&"run.exited"));
    };
    check(|world, run| world.exit(run, Exit::Code(0)));
    check(|world, run| {
        world.cancel(run, CancelAnswer::AtOnce);
    });
    check(|world, run| {
        world.executor.input_closed(run, world.now);
        world.perform();
    });
    check(|world, run| world.print(run, "{\"type\":\"result\",\"subtype\":\"success\"}\n"));
}

#[test]
fn a_question_that_comes_too_late_expires_and_one_withdrawn_too() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    world.print(run, &question("q1"));
    world.print(
        run,
        "{\"type\":\"control_cancel_request\",\"request_id\":\"q1\"}\n",
    );
    assert_eq!(
        world.names()[1..],
        ["permission.requested", "permission.expired"]
    );
    world.exit(run, Exit::Code(0));
    world.print(run, &question("q2"));
    assert_eq!(
        world.names()[3..],
        ["permission.requested", "permission.expired"]
    );
    assert!(written(&world, run).is_empty());
}

#[test]
fn too_many_questions_are_denied_at_once() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    for number in 0..65 {
        world.print(run, &question(&number.to_string()));
    }
    assert_eq!(world.pending[&project].len(), 64);
    assert_eq!(world.count(Counter::PermissionsRefused), 1);
    world.print(run, &question(&"x".repeat(257)));
    assert_eq!(world.count(Counter::PermissionsRefused), 2);
    let denied = &written(&world, run)[0]["response"];
    assert_eq!(denied["request_id"], "64");
    assert_eq!(denied["response"]["behavior"], "deny");
}

#[test]
fn silence_while_somebody_is_asked_is_no_stall() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |launch| {
        claude(launch);
        launch.stall_after = Some(Duration::from_secs(10));
        launch.stall_cancels = true;
    });
    world.print(run, &question("q1"));
    world.pass(Duration::from_secs(100));
    assert_eq!(world.count(Counter::RunsStalled), 0);
    decide(&mut world, run, "q1", true);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.count(Counter::RunsStalled), 1);
}

#[test]
fn agents_are_spoken_to_in_their_language() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    say(&mut world, run, RunInput::Text("go\non".into()));
    let asked = say(&mut world, run, RunInput::Interrupt);
    assert_eq!(*world.answer(asked), Ok(RunAnswer::Told(run)));
    let lines = written(&world, run);
    assert_eq!(lines[0]["message"]["content"][0]["text"], "go\non");
    assert_eq!(lines[1]["request"]["subtype"], "interrupt");
    world.print(
        run,
        "{\"type\":\"control_request\",\"request_id\":\"x\",\"request\":{}}\n",
    );
    assert_eq!(written(&world, run)[2]["response"]["subtype"], "error");
    world.finish(run, Exit::Code(0));
    let run = world.active(project, |launch| launch.interactive = true);
    say(&mut world, run, RunInput::Text("yes".into()));
    assert_eq!(world.process(run).input, b"yes\n");
    let asked = say(&mut world, run, RunInput::Interrupt);
    assert_eq!(world.code(asked), Code::NotInteractive);
}

#[test]
fn who_does_not_listen_is_not_spoken_to() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let text = || RunInput::Text("x".into());
    let run = world.active(project, |_| {});
    let asked = say(&mut world, run, text());
    assert_eq!(world.code(asked), Code::NotInteractive);
    world.finish(run, Exit::Code(0));
    let asked = say(&mut world, run, text());
    assert_eq!(world.code(asked), Code::ProcessNotFound);
    let run = world.active(project, claude);
    world.executor.input_closed(run, world.now);
    let asked = say(&mut world, run, text());
    assert_eq!(world.code(asked), Code::NotInteractive);
}

#[test]
fn what_an_agent_does_not_read_is_bounded() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |launch| launch.interactive = true);
    let half = || RunInput::Text("x".repeat(600 * 1024).into());
    let first = say(&mut world, run, half());
    assert!(world.answer(first).is_ok());
    let second = say(&mut world, run, half());
    assert_eq!(world.code(second), Code::ServerBusy);
    world.executor.input_written(run, 200 * 1024, world.now);
    let third = say(&mut world, run, half());
    assert!(world.answer(third).is_ok());
    assert_eq!(world.count(Counter::RunInputsRefused), 1);
}
