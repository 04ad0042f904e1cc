//! A session's own project: the one that it joined last.

use kinglet::domain::project::{Project, ProjectState};
use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{ClientId, World};
use serde_json::{Value, json};

use super::{exited, keep, register, room, tell};
use crate::{NO_RATE, SECOND, ask, types, world};

fn join(world: &mut World, id: ClientId, project: &Project) -> Vec<Value> {
    let command =
        json!({"type": "project_join", "id": 7, "data": {"project_id": project.id.to_string()}});
    ask(world, id, command)
}

/// The code of the error that a command is answered with, and the project that it names.
fn refused(world: &mut World, id: ClientId, command: Value) -> (String, Value) {
    let replies = ask(world, id, command);
    assert_eq!(types(&replies), ["error"], "{replies:?}");
    let code = replies[0]["data"]["code"].as_str().unwrap().to_owned();
    (code, replies[0]["project_id"].clone())
}

fn own(project: &Project) -> Value {
    json!(project.id.to_string())
}

/// The project that a command means which names none, as its reply says.
fn joined(world: &mut World, id: ClientId) -> Value {
    meant(world, id, json!({"type": "run.list"}))
}

fn meant(world: &mut World, id: ClientId, command: Value) -> Value {
    ask(world, id, command)[0]["project_id"].clone()
}

#[test]
fn who_joins_a_project_is_told_its_state_first_and_hears_it_from_then_on() {
    let mut world = world(NO_RATE);
    let mut project = register(&world, 1);
    project.state = ProjectState::Error;
    project.session_id = Some("s1".into());
    keep(&world, &project);
    let id = world.connect("/ws");
    let heard = join(&mut world, id, &project);
    assert_eq!(types(&heard), ["project_state", "project_join"]);
    let data = &heard[0]["data"];
    assert_eq!(
        (&data["id"], &data["state"], &data["path"]),
        (&own(&project), &json!("ERROR"), &json!("/srv/1"))
    );
    let expected = json!({"project_id": project.id.to_string(), "state": "ERROR",
        "session_id": "s1"});
    assert_eq!(heard[1]["data"], expected);
    assert_eq!(heard[0]["id"], Value::Null, "the reply comes second");
    assert_eq!(heard[1]["id"], 7);
    for message in &heard {
        assert_eq!(message["project_id"], own(&project));
    }
    tell(&mut world, &project, "run.exited", &exited("exited"));
    assert_eq!(types(&world.client(id).take_json()), ["project_state"]);
    // To join again changes nothing.
    join(&mut world, id, &project);
    tell(&mut world, &project, "run.exited", &exited("exited"));
    assert_eq!(types(&world.client(id).take_json()), ["project_state"]);
}

#[test]
fn a_command_without_a_project_means_the_one_that_was_joined_last() {
    let mut world = world(NO_RATE);
    let (first, second) = (register(&world, 1), register(&world, 2));
    let id = world.connect("/ws");
    assert_eq!(joined(&mut world, id), Value::Null);
    join(&mut world, id, &first);
    assert_eq!(joined(&mut world, id), own(&first));
    join(&mut world, id, &second);
    assert_eq!(joined(&mut world, id), own(&second));
    let other = json!({"type": "run.list", "project_id": own(&first)});
    assert_eq!(meant(&mut world, id, other), own(&first));
    // Both are heard until they are left.
    for project in [&first, &second] {
        tell(&mut world, project, "run.exited", &exited("exited"));
        assert_eq!(types(&world.client(id).take_json()), ["project_state"]);
    }
    let left = ask(&mut world, id, json!({"type": "project_leave", "id": 1}));
    assert_eq!(types(&left), ["project_leave"]);
    assert_eq!(left[0]["data"]["project_id"], own(&second));
    assert_eq!(left[0]["data"]["status"], "left");
    assert_eq!(left[0]["project_id"], own(&second));
    assert_eq!(joined(&mut world, id), Value::Null);
    tell(&mut world, &second, "run.exited", &exited("exited"));
    assert!(world.client(id).take_json().is_empty());
    tell(&mut world, &first, "run.exited", &exited("exited"));
    assert_eq!(types(&world.client(id).take_json()), ["project_state"]);
    let neither = refused(&mut world, id, json!({"type": "project_leave"}));
    assert_eq!(neither, ("VALIDATION_FAILED".to_owned(), Value::Null));
    world.client(id).cut();
    world.settle();
    assert!(world.shards().all(|shard| shard.unsettled() == 0));
    assert!(
        world
            .services
            .rooms
            .summary(&first.id.room().unwrap())
            .is_none_or(|it| it.members == 0)
    );
}

#[test]
fn leaving_another_project_than_ones_own_keeps_ones_own() {
    let mut world = world(NO_RATE);
    let (first, second) = (register(&world, 1), register(&world, 2));
    let id = world.connect("/ws");
    join(&mut world, id, &first);
    join(&mut world, id, &second);
    let leave = json!({"type": "project_leave", "project_id": own(&first)});
    assert_eq!(
        types(&ask(&mut world, id, leave.clone())),
        ["project_leave"]
    );
    assert_eq!(joined(&mut world, id), own(&second));
    // Not to be a member is no error.
    assert_eq!(types(&ask(&mut world, id, leave)), ["project_leave"]);
}

#[test]
fn who_is_no_longer_in_the_room_has_not_joined_the_project() {
    let mut world = world(NO_RATE);
    let project = register(&world, 1);
    let id = world.connect("/ws");
    join(&mut world, id, &project);
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "room": room(&project)}),
    );
    assert_eq!(joined(&mut world, id), Value::Null);
}

#[test]
fn a_project_that_is_not_there_is_not_joined() {
    let mut world = world(NO_RATE);
    let project = register(&world, 1);
    let id = world.connect("/ws");
    let unknown = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let command = json!({"type": "project_join", "project_id": unknown});
    let found = refused(&mut world, id, command);
    assert_eq!(found, ("PROJECT_NOT_FOUND".to_owned(), json!(unknown)));
    let malformed = json!({"type": "project_join", "data": {"project_id": "p1"}});
    let found = refused(&mut world, id, malformed);
    assert_eq!(found, ("VALIDATION_FAILED".to_owned(), json!("p1")));
    let none = refused(&mut world, id, json!({"type": "project_join"}));
    assert_eq!(none.0, "VALIDATION_FAILED");
    assert_eq!(world.services.rooms.count(), 1, "global");
    join(&mut world, id, &project);
    assert_eq!(world.services.rooms.count(), 2);
}

#[test]
fn a_projects_room_counts_among_those_of_the_session() {
    let mut world = world("[limits]\nrooms_per_session = 2\n");
    let (first, second) = (register(&world, 1), register(&world, 2));
    let id = world.connect("/ws");
    assert_eq!(types(&join(&mut world, id, &first)).len(), 2);
    let command = json!({"type": "project_join", "project_id": own(&second)});
    let found = refused(&mut world, id, command);
    assert_eq!(found, ("RESOURCE_LIMIT".to_owned(), own(&second)));
    assert_eq!(joined(&mut world, id), own(&first));
}

#[test]
fn who_may_not_listen_learns_nothing_of_what_there_is() {
    let config = format!("{}[auth.roles.guest]\nrooms = []\n", tokens::CONFIG);
    let mut world = world(&config);
    let project = register(&world, 1);
    let token = Token::new("ada", after(world.now().wall, 60 * SECOND)).role("guest");
    let id = world.open();
    let bearer = token.bearer();
    let headers = [("Authorization", bearer.as_str())];
    world.client(id).upgrade_offering("/ws", &[], &headers);
    world.settle();
    let unknown = "0f8fad5b-d9cb-469f-a165-70867728950e";
    for id_of in [own(&project), json!(unknown)] {
        let command = json!({"type": "project_join", "project_id": id_of});
        let found = refused(&mut world, id, command);
        assert_eq!(found, ("PERMISSION_DENIED".to_owned(), id_of));
    }
}

#[test]
fn replies_are_named_as_the_configuration_says() {
    let mut world = world("[protocol]\nreply_names = \"past\"\n");
    let project = register(&world, 1);
    let id = world.connect("/ws");
    let heard = join(&mut world, id, &project);
    assert_eq!(types(&heard), ["project_state", "project_joined"]);
    let left = ask(&mut world, id, json!({"type": "project_leave"}));
    assert_eq!(types(&left), ["project_left"]);
    let health = ask(&mut world, id, json!({"type": "health_check"}));
    assert_eq!(types(&health), ["health_status"]);
    assert_eq!(health[0]["data"]["status"], "healthy");
    let accepting = &health[0]["data"]["checks"]["accepting"];
    assert_eq!(*accepting, json!({"status": "healthy"}));
}
