//! Projects and runs over HTTP, with a test in the executor's place.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::api::tests::Api;
use crate::app::{durable, runs};
use crate::bus::execution::{
    CancelAnswer, Mark, Notice, Record, RunAnswer, RunForm, RunOrder, RunTarget, Ticket,
};
use crate::bus::job::Answer;
use crate::bus::order::{Commission, Outcome, Step};
use crate::domain::access::Identity;
use crate::domain::command::{Payload, Publish};
use crate::domain::project::Project;
use crate::domain::run::{Run, RunState};
use crate::domain::run_command::{Direction, MessageQuery, RunCommand, RunInput};
use crate::domain::run_reply::{RunReply, Speaker};
use crate::testkit::records::{project, run};
use crate::testkit::world::{Options, World};

struct Place {
    api: Api,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[projects]\nroots = [{:?}]\n[agents.echo]\ncommand = [\"/bin/sh\", \"-c\", \"true\"]\n\
             {more}",
            folder.path()
        );
        let world = World::new(Options {
            config: &config,
            has_runs: true,
            ..Options::default()
        });
        let api = Api(world);
        Self { api, folder }
    }

    fn outcome(&self, method: &str, target: &str, body: &Value) -> Outcome<(u16, Value)> {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let outcome = self
            .api
            .outcome(method, target, "", &body, Identity::Anonymous);
        outcome.map(|response| {
            let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
            (response.status.code(), body)
        })
    }

    fn ask(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        self.outcome(method, target, body).done().unwrap()
    }

    /// What the executor is asked.
    fn order(&self, method: &str, target: &str, body: &Value) -> RunOrder {
        match self.outcome(method, target, body) {
            Outcome::Request(order, RunForm::Http) => order,
            other => panic!("{method} {target}: {other:?}"),
        }
    }

    /// Has this written as the executor has.
    fn keep(&mut self, steps: Vec<Step>) {
        let world = &mut self.api.0;
        {
            let (services, live) = (&world.services, world.services.live());
            let counters = services.counters_of_workers();
            let context = services.context(&live, &counters, world.now());
            durable::submit_for_executor(steps, Ticket(7), context).unwrap();
        }
        world.settle();
        let Some(Notice::Settled(settled)) = world.requests.try_take() else {
            panic!("the executor is told");
        };
        assert_eq!((settled.ticket, settled.outcome), (Ticket(7), Ok(())));
    }

    fn answered(&self, answer: RunAnswer) -> (u16, Value) {
        let world = &self.api.0;
        let (services, live) = (&world.services, world.services.live());
        let counters = services.counters_of_workers();
        let context = services.context(&live, &counters, world.now());
        let Answer::Http(response) = runs::answer(RunForm::Http, Ok(answer), context) else {
            panic!("it was asked over HTTP");
        };
        let body = serde_json::from_slice(&response.body).unwrap();
        (response.status.code(), body)
    }

    fn known(&mut self) -> Project {
        let mut known = project(1);
        let path = self.folder.path().canonicalize().unwrap();
        known.path = path.to_str().unwrap().into();
        self.keep(vec![Step::Record(Record::Project(Box::new(known.clone())))]);
        known
    }
}

fn publish(project: &Project, event: &str, data: &Value) -> Step {
    let publish = Publish {
        rooms: vec![project.id.room().unwrap()],
        event: event.into(),
        payload: Payload::Json(data.to_string().into()),
        source: None,
        key: None,
        except: Vec::new(),
    };
    Step::Publish(Box::new(Commission { publish, key: None }))
}

fn keep(run: &Run, mark: Mark) -> Step {
    Step::Record(Record::Run(Box::new(run.clone()), mark))
}

#[test]
fn a_project_is_made_read_and_deleted() {
    let mut place = Place::new();
    assert_eq!(
        place.ask("GET", "/api/v1/projects", &Value::Null),
        (200, json!({"projects": []}))
    );
    let path = place.folder.path().to_str().unwrap().to_owned();
    let body = json!({"path": path, "name": "mine", "other": 1});
    let RunOrder::CreateProject {
        name, projects_max, ..
    } = place.order("POST", "/api/v1/projects", &body)
    else {
        panic!("a project is made");
    };
    assert_eq!((name.as_deref(), projects_max), (Some("mine"), Some(100)));
    let known = place.known();
    let (status, told) = place.answered(RunAnswer::Created(known.clone()));
    assert_eq!((status, &told["id"]), (201, &json!(known.id.to_string())));
    let at = format!("/api/v1/projects/{}", known.id);
    let (status, one) = place.ask("GET", &at, &Value::Null);
    assert_eq!((status, &one), (200, &told));
    assert_eq!(one["subscribers"], 0);
    let (_, all) = place.ask("GET", "/api/v1/projects", &Value::Null);
    assert_eq!(all, json!({"projects": [one]}));
    assert!(matches!(
        place.order("DELETE", &at, &Value::Null),
        RunOrder::DeleteProject(id) if id == known.id
    ));
    let room = known.id.room().unwrap();
    let rooms = &place.api.0.services.rooms;
    assert!(rooms.existing(&room).unwrap().is_durable());
    place.keep(vec![
        publish(&known, "project_deleted", &json!({})),
        Step::Record(Record::ProjectDeleted(known.id)),
    ]);
    assert_eq!(place.ask("GET", &at, &Value::Null).0, 404);
    let rooms = &place.api.0.services.rooms;
    assert!(rooms.existing(&room).is_none(), "nobody was in it");
    let (status, told) = place.answered(RunAnswer::Deleted(known.id));
    assert_eq!((status, &told["status"]), (200, &json!("deleted")));
}

#[test]
fn what_is_asked_wrongly_is_told_what_is_wrong() {
    let mut place = Place::new();
    let known = place.known();
    let check = |method: &str, target: &str, body: Value, status: u16, code: &str| {
        let (found, told) = place.ask(method, target, &body);
        let told = &told["error"]["code"];
        assert_eq!(
            (found, told),
            (status, &json!(code)),
            "{method} {target} {body}"
        );
    };
    let invalid = "VALIDATION_FAILED";
    let projects = "/api/v1/projects";
    check("POST", projects, Value::Null, 400, invalid);
    check("POST", projects, json!({}), 400, invalid);
    check("POST", projects, json!({"path": "a"}), 400, "INVALID_PATH");
    check("POST", projects, json!({"path": "/"}), 400, "INVALID_PATH");
    let path = known.path.as_ref();
    check(
        "POST",
        projects,
        json!({"path": path, "name": "a\nb"}),
        400,
        invalid,
    );
    check("GET", "/api/v1/projects/x", Value::Null, 400, invalid);
    let none = project(2).id;
    check(
        "GET",
        &format!("{projects}/{none}"),
        Value::Null,
        404,
        "PROJECT_NOT_FOUND",
    );
    check(
        "DELETE",
        &format!("{projects}/{none}"),
        Value::Null,
        404,
        "PROJECT_NOT_FOUND",
    );
    let runs = format!("{projects}/{}/runs", known.id);
    check("GET", &format!("{runs}?after=x"), Value::Null, 400, invalid);
    check(
        "GET",
        &format!("{runs}?after={none}"),
        Value::Null,
        400,
        invalid,
    );
    check(
        "GET",
        &format!("{runs}?limit=301"),
        Value::Null,
        400,
        invalid,
    );
    let start = |body: Value, code: &str, status| check("POST", &runs, body, status, code);
    start(json!({"agent": "ehco", "prompt": "x"}), invalid, 400);
    start(json!({"agent": "echo", "options": []}), invalid, 400);
    start(
        json!({"agent": "echo", "options": {"model": "x"}}),
        invalid,
        400,
    );
    start(json!({"agent": "echo", "params": {"x": 1}}), invalid, 400);
    start(json!({"agent": "echo", "key": ""}), invalid, 400);
    let one = format!("/api/v1/runs/{}", run(1, 1).id);
    check("GET", "/api/v1/runs/x", Value::Null, 400, invalid);
    check("GET", &one, Value::Null, 404, "NOT_FOUND");
    check("DELETE", &one, Value::Null, 404, "NOT_FOUND");
    let input = format!("{one}/input");
    check("POST", &input, json!({"text": "x"}), 404, "NOT_FOUND");
    check("POST", &input, json!({}), 400, invalid);
    check(
        "POST",
        &input,
        json!({"text": "x", "interrupt": true}),
        400,
        invalid,
    );
    let decide = format!("{one}/permissions/r");
    check("POST", &decide, json!({}), 400, invalid);
    check("POST", &decide, json!({"allow": true}), 404, "NOT_FOUND");
}

#[test]
fn a_run_is_started_steered_and_told_of() {
    let mut place = Place::new();
    let known = place.known();
    let runs = format!("/api/v1/projects/{}/runs", known.id);
    let body = json!({"agent": "echo", "prompt": "hi", "key": "k"});
    let RunOrder::Start(order) = place.order("POST", &runs, &body) else {
        panic!("a run is started");
    };
    assert_eq!(
        (order.project, &*order.prompt, order.waits),
        (known.id, "hi", false)
    );
    assert_eq!(order.launch.argv, ["/bin/sh", "-c", "true"]);
    assert_eq!(order.launch.directory.to_str(), Some(&*known.path));
    assert!(order.key.is_some());
    let mut active = run(1, 1);
    active.state = RunState::Running;
    let started = json!({"run": {"prompt": active.prompt}, "project": {}});
    place.keep(vec![
        publish(&known, "run.started", &started),
        keep(&active, Mark::First),
    ]);
    let (status, told) = place.answered(RunAnswer::Started(Box::new(active.clone()), None));
    assert_eq!((status, &told["run"]["state"]), (202, &json!("running")));
    let one = format!("/api/v1/runs/{}", active.id);
    let (_, told) = place.ask("GET", &one, &Value::Null);
    assert_eq!(told["first_offset"], 1);
    let order = place.order("DELETE", &one, &Value::Null);
    assert!(
        matches!(order, RunOrder::Cancel(RunTarget::Run(id), CancelAnswer::AtOnce) if id == active.id)
    );
    for (body, expected) in [
        (json!({"text": "go on"}), RunInput::Text("go on".into())),
        (json!({"interrupt": true}), RunInput::Interrupt),
    ] {
        let order = place.order("POST", &format!("{one}/input"), &body);
        assert!(matches!(order, RunOrder::Input { input, .. } if input == expected));
    }
    let body = json!({"allow": true, "updated_input": {"a": 1}});
    let order = place.order("POST", &format!("{one}/permissions/r%2F1"), &body);
    let RunOrder::Decide {
        request, decision, ..
    } = order
    else {
        panic!("a permission is decided");
    };
    assert_eq!((&*request, decision.allow), ("r/1", true));
    active.state = RunState::Exited;
    let line = json!({"run": active.id.to_string(), "stream": "stdout", "line": "out"});
    place.keep(vec![
        publish(&known, "run.output", &line),
        publish(&known, "run.exited", &json!({})),
        keep(&active, Mark::Last),
        keep(&run(1, 2), Mark::None),
    ]);
    let (_, told) = place.ask("GET", &one, &Value::Null);
    assert_eq!(
        (&told["state"], &told["last_offset"]),
        (&json!("exited"), &json!(3))
    );
    let (_, page) = place.ask("GET", &format!("{runs}?limit=1"), &Value::Null);
    assert_eq!(
        (&page["runs"][0]["position"], &page["more"]),
        (&json!(1), &json!(true))
    );
    let after = run(1, 2).id;
    let (_, page) = place.ask("GET", &format!("{runs}?after={after}"), &Value::Null);
    assert_eq!(
        (&page["runs"][0]["id"], &page["more"]),
        (&told["id"], &json!(false))
    );
}

#[test]
fn what_was_said_is_paged() {
    let mut place = Place::new();
    let known = place.known();
    let line = json!({"type": "assistant", "message": {}});
    place.keep(vec![
        publish(
            &known,
            "run.started",
            &json!({"run": {"prompt": "hi \"there\""}}),
        ),
        publish(
            &known,
            "run.output",
            &json!({"stream": "stdout", "json": line}),
        ),
        publish(
            &known,
            "run.output",
            &json!({"stream": "stderr", "line": "oh\t"}),
        ),
    ]);
    let services = &place.api.0.services;
    let (live, counters) = (services.live(), services.counters_of_workers());
    let command = RunCommand::Messages(MessageQuery {
        project: Some(known.id),
        since: None,
        limit: 2,
        offset: 1,
        direction: Direction::All,
    });
    let asker = runs::Asker {
        identity: &Identity::Anonymous,
        address: [127, 0, 0, 1].into(),
    };
    let context = services.context(&live, &counters, place.api.0.now());
    let outcome = runs::carry_out(command, RunForm::Http, asker, context).unwrap();
    let Some(RunReply::Messages(page)) = outcome.done() else {
        panic!("a page of messages");
    };
    assert_eq!((page.total, page.offset), (3, 1));
    let said = page.messages.iter();
    let said: Vec<_> = said
        .map(|said| (said.speaker, &*said.kind, &*said.content))
        .collect();
    let line = line.to_string();
    assert_eq!(
        said,
        [
            (Speaker::Agent, "assistant", &*line),
            (Speaker::Agent, "stderr", r#""oh\t""#),
        ]
    );
}

#[test]
fn a_projects_room_is_durable_and_goes_on_after_a_restart() {
    let mut place = Place::with("[rooms.project]\nhistory_count = 1\n");
    let known = place.known();
    for number in 0..3 {
        place.keep(vec![publish(&known, "run.output", &json!(number))]);
    }
    let history = |place: &Place| {
        let target = format!("/api/v1/rooms/project:{}/history", known.id);
        let (_, page) = place.ask("GET", &target, &Value::Null);
        let found = page["publications"].as_array().cloned().unwrap_or_default();
        (found.len(), page["epoch"].clone())
    };
    let (count, epoch) = history(&place);
    assert_eq!(count, 3, "whatever its namespace keeps");
    let disk = place.api.0.disk.clone();
    let Place { api, folder } = place;
    drop(api);
    let world = World::on(
        Options {
            has_runs: true,
            ..Options::default()
        },
        disk,
    );
    let place = Place {
        api: Api(world),
        folder,
    };
    assert_eq!(history(&place), (3, epoch));
    assert!(place.api.0.services.projects.project(known.id).is_some());
}

#[test]
fn nobody_runs_anything_where_anybody_could() {
    let mut place = Place::new();
    let known = place.known();
    let services = Arc::clone(&place.api.0.services);
    let set = |insecure_runs| {
        let mut live = crate::app::services::Live::of(services.live().config.clone()).unwrap();
        live.config.insecure = true;
        live.config.insecure_runs = insecure_runs;
        services.replace(live);
    };
    let id = known.id;
    let room = format!("/api/v1/rooms/project:{id}");
    let all = [
        "/api/v1/projects".to_owned(),
        room.clone(),
        format!("{room}/history"),
    ];
    for (insecure_runs, expected) in [(false, 403), (true, 200)] {
        set(insecure_runs);
        for target in &all {
            let (status, told) = place.ask("GET", target, &Value::Null);
            assert_eq!(status, expected, "{target} {told}");
        }
        let (_, rooms) = place.ask("GET", "/api/v1/rooms", &Value::Null);
        assert_eq!(rooms.to_string().contains("project:"), insecure_runs);
        // Other rooms are open, those of this namespace, too.
        let others = "/api/v1/rooms/project:1/history";
        assert_eq!(place.ask("GET", others, &Value::Null).0, 404);
    }
}
