//! Projects on sockets: joining and leaving them, which one a command means, and what happens in
//! them in the words of each dialect.

mod joining;
mod wording;

use kinglet::base::clock::Wall;
use kinglet::base::rng::Rng;
use kinglet::domain::command::{Payload, Publish};
use kinglet::domain::project::{Project, ProjectId, ProjectState};
use kinglet::testkit::world::{ClientId, World};
use serde_json::{Value, json};

/// Registers a project, as whoever writes the store does.
fn register(world: &World, seed: u64) -> Project {
    let project = Project {
        id: ProjectId::random(&mut Rng::from_seed(seed)),
        path: format!("/srv/{seed}").into(),
        name: None,
        state: ProjectState::Idle,
        error: None,
        session_id: None,
        created_at: Wall::from_millis(0),
        last_active: Wall::from_millis(0),
        run: None,
    };
    keep(world, &project);
    project
}

/// Changes what is known of a project.
fn keep(world: &World, project: &Project) {
    let projects = vec![project.clone()];
    world.services.projects.restore(projects, Vec::new());
}

fn room(project: &Project) -> String {
    format!("project:{}", project.id)
}

/// Tells the room of a project something, as only the server may.
fn tell(world: &mut World, project: &Project, event: &str, payload: &Value) {
    let publish = Publish {
        rooms: vec![project.id.room().unwrap()],
        event: event.into(),
        payload: Payload::Json(payload.to_string().into()),
        source: None,
        key: None,
        except: Vec::new(),
    };
    world.services.rooms.publish(publish, world.now()).unwrap();
    world.settle();
}

/// A project as publications spell it, in the state of this word.
fn state(word: &str) -> Value {
    json!({"id": "p", "path": "/srv/a", "state": word})
}

/// That a run ended like this.
fn exited(how: &str) -> Value {
    json!({"run": {"id": "r", "state": how, "started_at": "t"}, "project": state("IDLE")})
}

/// A client that speaks `kinglet.v1`, its hello heard.
fn connect_v1(world: &mut World, target: &str) -> ClientId {
    let id = world.open();
    world.client(id).upgrade(target, "kinglet.v1");
    world.settle();
    assert_eq!(world.client(id).take_json()[0]["type"], "connected");
    id
}
