//! Projects and runs as JSON, the same on sockets, over HTTP and in publications.
//!
//! May not touch: where they are kept, who asks.

use crate::base::clock::Wall;
use crate::domain::project::Project;
use crate::domain::run::{Run, RunResult};
use crate::wire::json::object::Object;

/// Writes a project. `subscribers` are the members of its room, where they are told.
pub fn project(project: &Project, subscribers: Option<usize>, out: &mut Vec<u8>) {
    let object = project_members(project, Object::begin(out));
    match subscribers {
        Some(count) => object.number("subscribers", count as u64).end(),
        None => object.end(),
    }
}

/// Adds the members of a project to an object that has more.
pub fn project_members<'a>(project: &Project, object: Object<'a>) -> Object<'a> {
    let run = project.run.map(|run| run.to_string());
    object
        .string("id", &project.id.to_string())
        .string("path", &project.path)
        .string_if("name", project.name.as_deref())
        .string("state", project.state.word())
        .string_if("session_id", project.session_id.as_deref())
        .string("created_at", &project.created_at.to_rfc3339())
        .string("last_active", &project.last_active.to_rfc3339())
        .string_if("error", project.error.as_deref())
        .string_if("run", run.as_deref())
}

/// Writes a run. `position` is its place among the runs that wait, from 1, while it does.
pub fn run(run: &Run, position: Option<usize>, out: &mut Vec<u8>) {
    let object = Object::begin(out)
        .string("id", &run.id.to_string())
        .string("project", &run.project.to_string())
        .string("agent", &run.agent)
        .string("state", run.state.word());
    let object = match position {
        Some(position) => object.number("position", position as u64),
        None => object,
    };
    let object = object
        .string("prompt", &run.prompt)
        .raw("options", run.options.as_deref().unwrap_or("{}"));
    let object = raw_if(object, "params", run.params.as_deref())
        .string("created_at", &run.created_at.to_rfc3339());
    let object = time_if(object, "started_at", run.started_at);
    let object = time_if(object, "ended_at", run.ended_at);
    let object = signed_if(object, "exit_code", run.exit_code);
    let object = signed_if(object, "signal", run.signal)
        .string_if("reason", run.reason.as_deref())
        .string_if("session_id", run.session_id.as_deref());
    let object = match &run.result {
        Some(found) => object.value("result", |out| result(found, out)),
        None => object,
    };
    let object = number_if(object, "first_offset", run.first_offset);
    let object = number_if(object, "last_offset", run.last_offset);
    match run.truncated {
        true => object.boolean("truncated", true).end(),
        false => object.end(),
    }
}

fn result(result: &RunResult, out: &mut Vec<u8>) {
    let object = Object::begin(out);
    let object = match result.cost_usd.filter(|cost| cost.is_finite()) {
        Some(cost) => object.raw("cost_usd", &cost.to_string()),
        None => object,
    };
    let object = number_if(object, "turns", result.turns);
    raw_if(object, "usage", result.usage.as_deref()).end();
}

fn time_if<'a>(object: Object<'a>, name: &str, time: Option<Wall>) -> Object<'a> {
    let spelt = time.map(Wall::to_rfc3339);
    object.string_if(name, spelt.as_deref())
}

fn number_if<'a>(object: Object<'a>, name: &str, number: Option<u64>) -> Object<'a> {
    match number {
        Some(number) => object.number(name, number),
        None => object,
    }
}

fn signed_if<'a>(object: Object<'a>, name: &str, number: Option<i32>) -> Object<'a> {
    match number {
        Some(number) => object.raw(name, &number.to_string()),
        None => object,
    }
}

fn raw_if<'a>(object: Object<'a>, name: &str, json: Option<&str>) -> Object<'a> {
    match json {
        Some(json) => object.raw(name, json),
        None => object,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::rng::Rng;
    use crate::domain::project::{ProjectId, ProjectState};
    use crate::domain::run::{RunId, RunState};

    fn spelt(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_project_tells_what_there_is_and_nothing_else() {
        let mut rng = Rng::from_seed(1);
        let mut it = Project {
            id: ProjectId::random(&mut rng),
            path: "/srv/a".into(),
            name: None,
            state: ProjectState::Idle,
            error: None,
            session_id: None,
            created_at: Wall::from_millis(0),
            last_active: Wall::from_millis(1),
            run: None,
        };
        let plain = json!({
            "id": it.id.to_string(), "path": "/srv/a", "state": "IDLE",
            "created_at": "1970-01-01T00:00:00.000Z", "last_active": "1970-01-01T00:00:00.001Z",
        });
        assert_eq!(spelt(|out| project(&it, None, out)), plain);
        let run = RunId::random(&mut rng);
        it.name = Some("a".into());
        it.state = ProjectState::Executing;
        it.session_id = Some("s".into());
        it.run = Some(run);
        let full = spelt(|out| project(&it, Some(3), out));
        assert_eq!(full["subscribers"], 3);
        assert_eq!(full["run"], run.to_string());
        assert_eq!(full["session_id"], "s");
    }

    #[test]
    fn a_run_tells_what_there_is_and_nothing_else() {
        let mut rng = Rng::from_seed(1);
        let (id, project) = (RunId::random(&mut rng), ProjectId::random(&mut rng));
        let prompt = "hi \"there\"".into();
        let mut it = Run::asked(id, project, "claude".into(), prompt, Wall::from_millis(0));
        let queued = json!({
            "id": it.id.to_string(), "project": it.project.to_string(), "agent": "claude",
            "state": "queued", "position": 2, "prompt": "hi \"there\"", "options": {},
            "created_at": "1970-01-01T00:00:00.000Z",
        });
        assert_eq!(spelt(|out| run(&it, Some(2), out)), queued);
        it.state = RunState::Failed;
        it.exit_code = Some(-1);
        it.result = Some(RunResult {
            cost_usd: Some(0.25),
            turns: Some(3),
            usage: Some(r#"{"input_tokens":1}"#.into()),
        });
        it.truncated = true;
        let failed = spelt(|out| run(&it, None, out));
        assert_eq!(failed["exit_code"], -1);
        assert_eq!(failed["truncated"], true);
        let result = json!({"cost_usd": 0.25, "turns": 3, "usage": {"input_tokens": 1}});
        assert_eq!(failed["result"], result);
    }
}
