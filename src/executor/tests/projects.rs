//! Registering and forgetting.

use super::world::{StoreMode, World, order};
use crate::bus::execution::{RunAnswer, RunOrder};
use crate::domain::fault::Code;
use crate::domain::run::RunState;
use crate::executor::effects::Exit;

#[test]
fn directories_are_compared_by_their_components() {
    let check = |first: &str, second: &str, expected: Option<Code>| {
        let mut world = World::new();
        world.project(first);
        let asked = world.create(second);
        let code = world.answer(asked).as_ref().err().map(|fault| fault.code);
        assert_eq!(code, expected, "{first} {second}");
        let message = world
            .answer(asked)
            .as_ref()
            .err()
            .map(|it| it.message.clone());
        let tells = message.is_some_and(|message| message.contains("/srv"));
        assert!(!tells, "the other's path is nobody's business");
    };
    check("/srv/a", "/srv/b", None);
    check("/srv/a", "/srv/ab", None);
    check("/srv/ab", "/srv/a", None);
    check("/srv/a", "/srv/a", Some(Code::ProjectExists));
    check("/srv/a", "/srv/a/", Some(Code::ProjectExists));
    check("/srv/a", "/srv/a/b", Some(Code::ProjectNesting));
    check("/srv/a/b", "/srv/a", Some(Code::ProjectNesting));
    check("/", "/srv", Some(Code::ProjectNesting));
}

#[test]
fn a_project_that_is_being_registered_counts_already() {
    let mut world = World::new();
    world.store = StoreMode::Waits;
    let first = world.create("/srv/a");
    let second = world.create("/srv/a/b");
    assert_eq!(world.code(second), Code::ProjectNesting);
    let over = world.ask(RunOrder::CreateProject {
        path: "/srv/b".into(),
        name: None,
        projects_max: Some(1),
    });
    let fault = world.answer(over).clone().unwrap_err();
    assert_eq!(fault.code, Code::ResourceLimit);
    let details = serde_json::json!({"resource": "projects", "limit": 1, "current": 1});
    assert_eq!(fault.details, Some(details));
    assert!(world.settle(false));
    assert_eq!(world.code(first), Code::StoreBusy);
    let third = world.create("/srv/a/b");
    assert!(world.settle(true));
    assert!(
        world.answer(third).is_ok(),
        "the first one was not registered"
    );
}

#[test]
fn a_project_with_a_run_is_neither_forgotten_nor_reset() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    for order in [
        RunOrder::DeleteProject(project),
        RunOrder::ResetSession(project),
    ] {
        let asked = world.ask(order);
        assert_eq!(world.code(asked), Code::ProcessActive);
    }
    world.finish(run, Exit::Code(0));
    let asked = world.ask(RunOrder::DeleteProject(project));
    assert!(world.answer(asked).is_ok());
    assert_eq!(world.names().last(), Some(&"project_deleted"));
    assert!(world.projects.is_empty());
    for order in [
        RunOrder::DeleteProject(project),
        RunOrder::ResetSession(project),
        RunOrder::Start(order(project)),
    ] {
        let asked = world.ask(order);
        assert_eq!(world.code(asked), Code::ProjectNotFound);
    }
}

#[test]
fn forgetting_a_project_cancels_what_waits_in_it() {
    let mut world = World::new();
    let (busy, idle) = (world.project("/srv/a"), world.project("/srv/b"));
    let run = world.active(busy, |_| {});
    let mut waiting = order(idle);
    waiting.waits = true;
    waiting.runs_max = Some(1);
    let waiting = world.ask(RunOrder::Start(waiting));
    let waiting = world.started_run(waiting);
    world.store = StoreMode::Waits;
    let asked = world.ask(RunOrder::DeleteProject(idle));
    let behind = world.ask(RunOrder::ResetSession(idle));
    world.finish(run, Exit::Code(0));
    while world.settle(true) {}
    assert!(matches!(world.answer(asked), Ok(RunAnswer::Deleted(_))));
    assert_eq!(world.code(behind), Code::ProjectNotFound);
    assert_eq!(world.runs[&waiting].state, RunState::Cancelled);
    assert!(world.executor.is_idle());
    assert_eq!(world.processes.len(), 1);
}

#[test]
fn a_reset_lets_the_next_run_begin_a_new_session() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, super::world::claude);
    world.print(run, "{\"type\":\"system\",\"session_id\":\"s1\"}\n");
    assert_eq!(world.names().last(), Some(&"project_update"));
    assert_eq!(world.last()["session_id"], "s1");
    world.print(run, "{\"type\":\"assistant\",\"session_id\":\"s1\"}\n");
    assert_eq!(world.names().last(), Some(&"run.output"), "it is not news");
    world.finish(run, Exit::Code(0));
    assert_eq!(world.last()["project"]["session_id"], "s1");
    let run = world.active(project, super::world::claude);
    let argv = ["/bin/agent", "--resume=s1", "-p"];
    assert_eq!(world.process(run).argv, argv);
    world.finish(run, Exit::Code(0));
    let asked = world.ask(RunOrder::ResetSession(project));
    match world.answer(asked) {
        Ok(RunAnswer::Reset(project, old)) => {
            assert_eq!(
                (project.session_id.as_deref(), old.as_deref()),
                (None, Some("s1"))
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.names().last(), Some(&"session_reset"));
    let run = world.active(project, super::world::claude);
    assert_eq!(world.process(run).argv, ["/bin/agent", "-p"]);
}
