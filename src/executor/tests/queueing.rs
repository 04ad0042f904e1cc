//! Who starts, who waits, and starts that come again.

use std::time::Duration;

use super::world::{StoreMode, World, order};
use crate::bus::execution::{CancelAnswer, RunAnswer, RunOrder, StartOrder};
use crate::domain::fault::Code;
use crate::domain::idempotency::{Owner, Scope, fingerprint};
use crate::domain::monitor::{Excess, Resource};
use crate::domain::project::ProjectId;
use crate::domain::run::{RunId, RunState};
use crate::executor::effects::Exit;
use crate::executor::queue::{QUEUED_BYTES, QUEUED_PER_PROJECT};

fn waiting(project: ProjectId, runs_max: usize) -> RunOrder {
    let order = StartOrder {
        waits: true,
        runs_max: Some(runs_max),
        ..*order(project)
    };
    RunOrder::Start(Box::new(order))
}

fn place(world: &World, asked: u32) -> (RunId, Option<usize>) {
    match world.answer(asked) {
        Ok(RunAnswer::Started(run, position)) => (run.id, *position),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_refused_while_the_host_is_short_of_something_and_a_repeat_is_not() {
    let mut world = World::new();
    let (a, b) = (world.project("/srv/a"), world.project("/srv/b"));
    let key = (
        Scope::new(Owner::Credential("a".into()), "k").unwrap(),
        fingerprint(&[]),
    );
    let start = |project, excess| {
        let key = Some(key.clone());
        RunOrder::Start(Box::new(StartOrder {
            excess,
            waits: true,
            key,
            ..*order(project)
        }))
    };
    let first = world.ask(start(a, None));
    let (run, _) = place(&world, first);
    let excess = Some(Excess {
        resource: Resource::Disk,
        current: 7,
        limit: 64,
    });
    let again = world.ask(start(a, excess));
    assert_eq!(place(&world, again).0, run);
    let told = world.told.len();
    let refused = world.ask(RunOrder::Start(Box::new(StartOrder {
        excess,
        waits: true,
        ..*order(b)
    })));
    let Err(fault) = world.answer(refused) else {
        panic!("it is refused");
    };
    let details = serde_json::json!({"resource": "disk", "limit": 64, "current": 7});
    assert_eq!(
        (fault.code, &fault.details),
        (Code::ResourceLimit, &Some(details))
    );
    assert_eq!(world.told.len(), told, "nobody else is told");
}

#[test]
fn a_second_run_is_refused_to_whoever_asked_and_nothing_else_changes() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    let before = (world.told.len(), world.projects.clone());
    let asked = world.start(project);
    assert_eq!(world.code(asked), Code::ProcessActive);
    assert_eq!((world.told.len(), world.projects.clone()), before);
    world.store = StoreMode::Refuses;
    world.print(run, "held up\n");
    let asked = world.start(project);
    assert_eq!(
        world.code(asked),
        Code::ProcessActive,
        "at once, whatever the store does"
    );
}

#[test]
fn who_asks_on_hearing_of_the_end_is_not_too_early() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    world.store = StoreMode::Waits;
    world.finish(run, Exit::Code(0));
    let asked = world.start(project);
    assert!(world.find_answer(asked).is_none(), "the end is being kept");
    // It could not be, and is told again: until then there is an active run.
    assert!(world.settle(false));
    assert_eq!(world.code(asked), Code::ProcessActive);
    world.pass(Duration::from_secs(1));
    let asked = world.start(project);
    while world.settle(true) {}
    assert!(world.answer(asked).is_ok());
}

#[test]
fn the_host_has_so_many_places() {
    let mut world = World::new();
    let projects = [world.project("/srv/a"), world.project("/srv/b")];
    let start = |project| {
        let mut order = order(project);
        order.runs_max = Some(1);
        RunOrder::Start(order)
    };
    let first = world.ask(start(projects[0]));
    let second = world.ask(start(projects[1]));
    let fault = world.answer(second).clone().unwrap_err();
    assert_eq!(fault.code, Code::ResourceLimit);
    let details = serde_json::json!({"resource": "runs", "limit": 1, "current": 1});
    assert_eq!(fault.details, Some(details));
    let run = world.started_run(first);
    world.finish(run, Exit::Code(0));
    let third = world.ask(start(projects[1]));
    assert!(world.answer(third).is_ok());
}

#[test]
fn runs_wait_in_order_for_their_project_and_for_a_place() {
    let mut world = World::new();
    let (a, b) = (world.project("/srv/a"), world.project("/srv/b"));
    let asked = world.ask(waiting(a, 1));
    let (first, position) = place(&world, asked);
    assert_eq!(position, None);
    let wanted = [(a, 1), (b, 1), (a, 2), (b, 2)];
    let places = wanted.map(|(project, position)| {
        let asked = world.ask(waiting(project, 1));
        let (run, found) = place(&world, asked);
        assert_eq!(found, Some(position));
        assert_eq!(world.names().last(), Some(&"run.queued"));
        assert_eq!(world.last()["position"], position);
        assert_eq!(world.last()["run"]["state"], "queued");
        run
    });
    let refused = StartOrder {
        runs_max: Some(1),
        ..*order(b)
    };
    let refused = world.ask(RunOrder::Start(Box::new(refused)));
    let code = world.code(refused);
    assert_eq!(code, Code::ProcessActive, "others wait there");
    let mut before = first;
    for run in places {
        assert_eq!(
            world.processes.len(),
            1 + places.iter().position(|it| *it == run).unwrap()
        );
        world.finish(before, Exit::Code(0));
        assert_eq!(world.runs[&run].state, RunState::Running);
        before = run;
    }
    world.finish(before, Exit::Code(0));
    assert!(world.executor.is_idle());
}

#[test]
fn a_run_that_waits_can_be_cancelled() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    let active = world.active(a, |_| {});
    let asked = world.ask(waiting(a, 10));
    let (run, _) = place(&world, asked);
    world.store = StoreMode::Refuses;
    let asked = world.cancel(run, CancelAnswer::AtOnce);
    assert_eq!(world.code(asked), Code::StoreBusy);
    assert_eq!(world.runs[&run].state, RunState::Queued);
    world.store = StoreMode::Takes;
    let asked = world.cancel(run, CancelAnswer::WhenOver);
    assert!(matches!(world.answer(asked), Ok(RunAnswer::Cancelled(_))));
    assert_eq!(world.runs[&run].state, RunState::Cancelled);
    assert_eq!(world.last()["project"]["state"], "EXECUTING");
    world.finish(active, Exit::Code(0));
    assert!(world.executor.is_idle());
    assert_eq!(world.processes.len(), 1);
}

#[test]
fn a_run_that_the_store_does_not_keep_does_not_wait() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    let active = world.active(a, |_| {});
    world.store = StoreMode::Refuses;
    let asked = world.ask(waiting(a, 10));
    assert_eq!(world.code(asked), Code::StoreBusy);
    world.store = StoreMode::Takes;
    world.finish(active, Exit::Code(0));
    assert_eq!(world.processes.len(), 1);
    assert!(world.executor.is_idle());
}

#[test]
fn a_run_that_waited_is_started_again_and_again_until_the_store_takes_it() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    let active = world.active(a, |_| {});
    let asked = world.ask(waiting(a, 10));
    let (run, _) = place(&world, asked);
    world.store = StoreMode::Waits;
    world.finish(active, Exit::Code(0));
    assert!(world.settle(true), "the end of the first");
    assert!(world.settle(false), "the start of the second");
    world.store = StoreMode::Takes;
    world.pass(std::time::Duration::from_secs(5));
    assert_eq!(world.runs[&run].state, RunState::Running);
    assert!(world.processes.contains_key(&run));
}

#[test]
fn what_waits_is_bounded_by_its_bytes_too() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    world.active(a, |_| {});
    let large = || {
        let mut order = *order(a);
        order.waits = true;
        order.prompt = "x".repeat(20 << 20).into();
        RunOrder::Start(Box::new(order))
    };
    for _ in 0..3 {
        let asked = world.ask(large());
        assert!(world.answer(asked).is_ok());
    }
    let asked = world.ask(large());
    assert_eq!(world.code(asked), Code::ResourceLimit);
    let asked = world.ask(waiting(a, 10));
    assert!(world.answer(asked).is_ok());
}

#[test]
fn the_queue_of_a_project_is_bounded() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    world.active(a, |_| {});
    for _ in 0..QUEUED_PER_PROJECT {
        let asked = world.ask(waiting(a, 10));
        assert!(world.answer(asked).is_ok());
    }
    let asked = world.ask(waiting(a, 10));
    assert_eq!(world.code(asked), Code::ResourceLimit);
}

#[test]
fn what_waits_is_bounded_in_bytes_wherever_they_are() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    world.active(a, |_| {});
    let large = || "x".repeat(QUEUED_BYTES / 4);
    let wide = |world: &mut World| {
        let mut order = order(a);
        order.waits = true;
        let object = format!("{{\"a\":\"{}\"}}", large());
        order.options = Some(object.as_str().into());
        order.params = Some(object.into());
        order.launch.argv.push(large().into());
        world.ask(RunOrder::Start(order))
    };
    let asked = wide(&mut world);
    assert!(world.answer(asked).is_ok());
    let asked = wide(&mut world);
    assert_eq!(world.code(asked), Code::ResourceLimit);
}

#[test]
fn a_start_that_comes_again_gets_the_first_run() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    let keyed = |body: &[u8]| {
        let mut order = order(a);
        let scope = Scope::new(Owner::Credential("me".into()), "k").unwrap();
        order.key = Some((scope, fingerprint(&[body])));
        RunOrder::Start(order)
    };
    world.store = StoreMode::Waits;
    let first = world.ask(keyed(b"1"));
    let meanwhile = world.ask(keyed(b"1"));
    let other = world.ask(keyed(b"2"));
    assert_eq!(world.code(other), Code::IdempotencyMismatch);
    world.settle(false);
    assert_eq!(world.code(first), Code::StoreBusy);
    assert_eq!(world.code(meanwhile), Code::StoreBusy);
    let first = world.ask(keyed(b"2"));
    let meanwhile = world.ask(keyed(b"2"));
    world.settle(true);
    let run = world.started_run(first);
    assert_eq!(world.started_run(meanwhile), run);
    let later = world.ask(keyed(b"2"));
    assert_eq!(world.started_run(later), run);
    world.store = StoreMode::Takes;
    world.finish(run, Exit::Code(0));
    let after = world.ask(keyed(b"2"));
    assert_eq!(*world.answer(after), Ok(RunAnswer::Repeated(run)));
    world.pass(std::time::Duration::from_secs(300));
    let anew = world.ask(keyed(b"2"));
    assert_ne!(world.started_run(anew), run);
}

#[test]
fn what_runs_and_what_is_asked_take_turns_at_the_store() {
    let mut world = World::new();
    let a = world.project("/srv/a");
    let run = world.active(a, |_| {});
    world.store = StoreMode::Waits;
    world.print(run, "1\n");
    world.ask(waiting(a, 10));
    world.ask(waiting(a, 10));
    world.trace.clear();
    for line in ["2\n", "3\n", "4\n", "5\n"] {
        world.print(run, line);
        world.settle(true);
    }
    world.trace.retain(|word| word != "answer");
    let turns = ["run.output", "run.queued", "run.output"];
    assert_eq!(world.trace[..3], turns);
    assert!(world.trace[3..].contains(&"run.queued".to_owned()));
}
