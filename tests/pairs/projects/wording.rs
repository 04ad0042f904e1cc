//! One stream, two spellings, and what that costs.

use kinglet::domain::project::Project;
use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, World};
use serde_json::{Value, json};

use super::{connect_v1, exited, register, room, state, tell};
use crate::{NO_RATE, ask, connect_slow, read_on, types, world};

/// What a whole run says, and a session that is reset.
fn run(world: &mut World, project: &Project) {
    for (event, payload) in [
        (
            "run.started",
            json!({"run": {}, "project": state("EXECUTING")}),
        ),
        (
            "run.output",
            json!({"run": "r", "stream": "stdout", "json": {"type": "assistant"}}),
        ),
        ("run.stalled", json!({"run": "r", "silent_ms": 1})),
        ("run.exited", exited("cancelled")),
        (
            "session_reset",
            json!({"project": state("IDLE"), "reason": "session_reset"}),
        ),
        ("run.output", json!("of another shape")),
    ] {
        tell(world, project, event, &payload);
    }
}

const IN_P1: [&str; 8] = [
    "project_state",
    "agent_message",
    "run.stalled",
    "project_state",
    "process_killed",
    "project_state",
    "session_reset",
    "run.output",
];

const NEUTRAL: [&str; 6] = [
    "run.started",
    "run.output",
    "run.stalled",
    "run.exited",
    "session_reset",
    "run.output",
];

#[test]
fn plain_sessions_hear_p1s_words_and_all_others_kinglets() {
    let mut world = world(NO_RATE);
    let project = register(&world, 1);
    let target = format!("/ws?room={}", room(&project));
    let plain = [world.connect(&target), world.connect(&target)];
    let v1 = connect_v1(&mut world, &target);
    let before = world.total(Counter::MessagesSent);
    run(&mut world, &project);
    let sent = world.total(Counter::MessagesSent) - before;
    assert_eq!(sent, 8 + 8 + 6, "each message counts");
    let heard = plain.map(|id| world.client(id).take_json());
    assert_eq!(heard[0], heard[1]);
    assert_eq!(types(&heard[0]), IN_P1);
    for message in &heard[0] {
        assert_eq!(message["room"], room(&project));
        assert_eq!(message["project_id"], project.id.to_string());
        assert!(message["timestamp"].is_string() && !message["data"].is_null());
    }
    let offsets: Vec<&Value> = heard[0].iter().map(|message| &message["offset"]).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 4, 5, 5, 6]);
    assert_eq!(heard[0][0]["data"], state("EXECUTING"));
    assert_eq!(heard[0][1]["data"], json!({"type": "assistant"}));
    assert_eq!(heard[0][4]["data"]["reason"], "process_killed");
    let neutral = world.client(v1).take_json();
    assert_eq!(types(&neutral), NEUTRAL);
    assert_eq!(neutral[3]["data"], exited("cancelled"));
}

#[test]
fn the_past_is_told_in_kinglets_words_alone() {
    let mut world = world(NO_RATE);
    let project = register(&world, 1);
    let plain = world.connect("/ws");
    run(&mut world, &project);
    let name = room(&project);
    let history = ask(
        &mut world,
        plain,
        json!({"type": "history", "room": name, "id": 1}),
    );
    let told = |message: &Value| {
        let entries = message["publications"].as_array().unwrap();
        types(entries).join(" ")
    };
    assert_eq!(told(&history[0]), NEUTRAL.join(" "));
    let command = json!({"type": "subscribe", "room": name, "since": 0});
    let subscribed = ask(&mut world, plain, command);
    assert_eq!(types(&subscribed), ["subscribed"]);
    assert_eq!(told(&subscribed[0]), NEUTRAL.join(" "));
    tell(&mut world, &project, "run.exited", &exited("exited"));
    assert_eq!(
        types(&world.client(plain).take_json()),
        ["project_state"],
        "what is live is in P1's words"
    );
}

/// A plain client that agreed on compression as offered, and inflates with that window.
fn compressed(world: &mut World, target: &str, offer: &str) -> ClientId {
    let id = world.open();
    let header = [("Sec-WebSocket-Extensions", offer)];
    world.client(id).upgrade_offering(target, &[], &header);
    world.settle();
    let answer = world.client(id).answers.pop_front().unwrap();
    assert!(answer.extensions.is_some(), "{offer}");
    id
}

#[test]
fn each_message_is_compressed_by_itself_once_for_all_who_agreed_on_the_same() {
    for (takeover, compressed_to_three) in [(false, 2), (true, 6)] {
        let config = format!("[compression]\nmin_bytes = 1\ntakeover = {takeover}\n{NO_RATE}");
        let mut world = world(&config);
        let project = register(&world, 1);
        let target = format!("/ws?room={}", room(&project));
        let plain = world.connect(&target);
        let packed: Vec<ClientId> = (0..3)
            .map(|_| compressed(&mut world, &target, "permessage-deflate"))
            .collect();
        let before = world.total(Counter::MessagesDeflated);
        let long = "again and again ".repeat(50);
        let mut payload = exited("failed");
        payload["error"] = json!({"code": "EXECUTION_FAILED", "message": long, "details": {}});
        tell(&mut world, &project, "run.exited", &payload);
        let deflated = world.total(Counter::MessagesDeflated) - before;
        assert_eq!(deflated, compressed_to_three, "{takeover}");
        let heard = world.client(plain).take_json();
        assert_eq!(types(&heard), ["error", "project_state"]);
        assert_eq!(heard[0]["error"], long);
        for id in packed {
            assert_eq!(world.client(id).take_json(), heard, "{takeover}");
            assert_eq!(world.client(id).inflated, 2);
        }
        // A context that has lost count would show in what follows.
        run(&mut world, &project);
        assert_eq!(types(&world.client(plain).take_json()), IN_P1);
    }
}

#[test]
fn only_what_is_long_is_compressed_of_two_messages() {
    let mut world = world(&format!("[compression]\nmin_bytes = 500\n{NO_RATE}"));
    let project = register(&world, 1);
    let target = format!("/ws?room={}", room(&project));
    let id = compressed(&mut world, &target, "permessage-deflate");
    let mut payload = exited("failed");
    payload["error"] = json!({"code": "c", "message": "x".repeat(600), "details": {}});
    tell(&mut world, &project, "run.exited", &payload);
    let heard = world.client(id).take_json();
    assert_eq!(types(&heard), ["error", "project_state"]);
    assert_eq!(world.client(id).inflated, 1);
}

#[test]
fn a_plain_session_that_lags_catches_up_in_p1s_words() {
    let config = "[limits]\nmessages_per_second = 0\noutbox_messages = 16\n\
        [rooms.project]\nslow_consumer = \"lag\"\nhistory_count = 300\n";
    let mut world = world(config);
    let project = register(&world, 1);
    let name = room(&project);
    let (v1, _) = connect_slow(&mut world, &[&name]);
    let capacity = std::mem::replace(&mut world.conditions.capacity, 1000);
    let plain = world.connect(&format!("/ws?room={name}"));
    world.conditions.capacity = capacity;
    world.client(plain).appetite = Some(0);
    for _ in 0..40 {
        tell(&mut world, &project, "run.exited", &exited("cancelled"));
    }
    assert_eq!(world.total(Counter::FellBehind), 2);
    let heard = read_on(&mut world, plain);
    let expected: Vec<&str> = ["project_state", "process_killed"].repeat(40);
    assert_eq!(types(&heard), expected);
    let places = |offset: u64| [offset, offset];
    let offsets: Vec<u64> = (1..=40).flat_map(places).collect();
    assert_eq!(offsets, heard.iter().map(offset).collect::<Vec<_>>());
    assert_eq!(types(&read_on(&mut world, v1)), ["run.exited"].repeat(40));
}

fn offset(message: &Value) -> u64 {
    message["offset"].as_u64().unwrap()
}
