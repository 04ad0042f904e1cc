//! Each event of a project in P1's words, and what is left as it is.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{frame, is_translated};
use crate::base::clock::Wall;
use crate::config::SlowConsumer;
use crate::dialect::Dialect;
use crate::dialect::delivery::{Delivery, Wording};
use crate::dialect::publication::{Placement, Publication, RoomSet};
use crate::domain::command::Payload;
use crate::domain::position::Epoch;
use crate::domain::room::RoomName;

const PROJECT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const TIME: &str = "2026-01-01T00:00:00.123Z";

fn publication(event: &str, payload: &str) -> Publication {
    Publication {
        event: event.into(),
        payload: Payload::Json(payload.into()),
        source: None,
        timestamp: Wall::parse_rfc3339(TIME).unwrap(),
        uid: 1,
        has_copies: false,
        placements: [Placement {
            room: RoomName::of("project", PROJECT).unwrap(),
            offset: 7,
            epoch: Epoch::parse("e1").unwrap(),
            slow_consumer: SlowConsumer::Lag,
        }]
        .into(),
        sequence: 1,
        except: Box::default(),
    }
}

/// The messages of an event, as a client reads them; `None` if it stays as it is.
fn told(event: &str, payload: &Value) -> Option<Vec<Value>> {
    let publication = publication(event, &payload.to_string());
    assert!(is_translated(&publication), "{event}");
    let frame = frame(&publication)?;
    let read = |payload: &[u8]| serde_json::from_slice(payload).unwrap();
    let messages: Vec<Value> = frame.payloads().map(|(_, json)| read(json)).collect();
    assert_eq!(messages.len(), frame.messages());
    Some(messages)
}

fn message(kind: &str, data: &Value) -> Value {
    json!({
        "type": kind, "room": format!("project:{PROJECT}"), "offset": 7, "timestamp": TIME,
        "data": data, "project_id": PROJECT,
    })
}

fn check(event: &str, payload: &Value, expected: &[(&str, Value)]) {
    let expected = expected.iter().map(|(kind, data)| {
        let mut message = message(kind, data);
        if *kind == "error" {
            message["error"] = data["message"].clone();
        }
        message
    });
    let expected: Vec<Value> = expected.collect();
    assert_eq!(told(event, payload), Some(expected), "{event} {payload}");
}

fn project(state: &str) -> Value {
    json!({
        "id": PROJECT, "path": "/srv/a", "state": state, "session_id": "s",
        "created_at": TIME, "last_active": TIME,
    })
}

fn exited(state: &str) -> Value {
    let run = json!({"id": "r", "state": state, "started_at": TIME});
    json!({"run": run, "project": project("IDLE")})
}

fn state() -> (&'static str, Value) {
    ("project_state", project("IDLE"))
}

#[test]
fn a_run_that_starts_and_speaks_is_a_state_and_messages_of_the_agent() {
    let started = json!({"run": {"id": "r"}, "project": project("EXECUTING")});
    check(
        "run.started",
        &started,
        &[("project_state", project("EXECUTING"))],
    );
    let line = json!({"type": "assistant", "message": {"role": "assistant"}});
    check(
        "run.output",
        &json!({"run": "r", "stream": "stdout", "json": line}),
        &[("agent_message", line)],
    );
    check(
        "run.output",
        &json!({"run": "r", "stream": "stderr", "line": "oh \"no\""}),
        &[(
            "agent_message",
            json!({"type": "stderr", "content": "oh \"no\""}),
        )],
    );
    check(
        "run.output",
        &json!({"run": "r", "stream": "stdout", "line": "x", "truncated": true}),
        &[(
            "agent_message",
            json!({"type": "stdout", "content": "x", "truncated": true}),
        )],
    );
}

#[test]
fn the_end_of_a_run_is_told_as_p1_told_it() {
    check("run.exited", &exited("exited"), &[state()]);
    let killed = json!({"project_id": PROJECT, "reason": "process_killed", "timestamp": TIME});
    check(
        "run.exited",
        &exited("cancelled"),
        &[state(), ("process_killed", killed)],
    );
    let details = json!({"project_id": PROJECT, "timeout": "30m"});
    let fault = json!({"code": "EXECUTION_TIMEOUT", "message": "it took long", "details": details});
    for ending in ["failed", "timeout"] {
        let mut payload = exited(ending);
        payload["error"] = fault.clone();
        check("run.exited", &payload, &[("error", fault.clone()), state()]);
    }
    let mut lost = exited("lost");
    let fault = |message| json!({"code": "EXECUTION_FAILED", "message": message, "details": {}});
    let plain = fault("the run did not end well");
    check("run.exited", &lost, &[("error", plain), state()]);
    lost["run"]["reason"] = json!("the server ended");
    check(
        "run.exited",
        &lost,
        &[("error", fault("the server ended")), state()],
    );
}

#[test]
fn a_session_that_is_reset_is_a_state_and_the_word_of_it() {
    let reset = |rest: Value| {
        let mut data = json!({"project_id": PROJECT, "reason": "session_reset", "timestamp": TIME});
        if let (Some(data), Value::Object(rest)) = (data.as_object_mut(), rest) {
            data.extend(rest);
        }
        data
    };
    check(
        "session_reset",
        &reset(json!({"project": project("IDLE")})),
        &[state(), ("session_reset", reset(json!({})))],
    );
}

#[test]
fn what_is_spelt_is_passed_on_byte_by_byte() {
    let payload = r#"{"run":"r","stream":"stdout","json":{"type":"x" , "n":1.50e1,"s":"\u00e9"}}"#;
    let frame = frame(&publication("run.output", payload)).unwrap();
    let text = String::from_utf8(frame.payloads().next().unwrap().1.to_vec()).unwrap();
    assert!(
        text.contains(r#""data":{"type":"x" , "n":1.50e1,"s":"\u00e9"},"#),
        "{text}"
    );
}

#[test]
fn a_payload_of_another_shape_stays_as_it_is() {
    let never_started = json!({"run": {"state": "cancelled"}, "project": project("IDLE")});
    assert_eq!(told("run.exited", &never_started), None);
    for event in ["run.started", "run.output", "run.exited", "session_reset"] {
        for payload in [
            json!(null),
            json!([]),
            json!("x"),
            json!({}),
            json!({"project": 7, "run": "r"}),
            json!({"project": [], "run": {"state": "exited"}}),
            json!({"project": {}, "run": {"state": "flying"}}),
            json!({"project": {}, "run": {"state": "running"}}),
            json!({"project": null, "run": {"state": "exited"}}),
            json!({"stream": "stdout"}),
            json!({"stream": "stdout", "json": 7}),
            json!({"stream": "stdout", "line": {}}),
            json!({"stream": "stdout", "line": "x", "json": {}}),
        ] {
            // All that these need of it is the project.
            let is_told = event == "run.started" || event == "session_reset";
            if is_told && payload["project"] == json!({}) {
                continue;
            }
            assert_eq!(told(event, &payload), None, "{event} {payload}");
        }
        for malformed in ["", "{", "{\"project\":", "\u{0}"] {
            assert!(frame(&publication(event, malformed)).is_none(), "{event}");
        }
        let mut bytes = publication(event, "");
        bytes.payload = Payload::Bytes(vec![1].into());
        assert!(frame(&bytes).is_none());
    }
}

#[test]
fn only_events_of_runs_in_one_room_have_other_names() {
    for event in [
        "run.stalled",
        "run.queued",
        "permission.requested",
        "project_update",
        "project_deleted",
        "presence.joined",
        "said",
    ] {
        assert!(!is_translated(&publication(event, "{}")), "{event}");
    }
    let mut several = publication("run.output", "{}");
    let place = several.placements[0].clone();
    several.placements = [place.clone(), place].into();
    assert!(!is_translated(&several));
    let mut elsewhere = publication("run.started", "{\"project\":{}}");
    elsewhere.placements[0].room = RoomName::parse("chat:1").unwrap();
    assert!(frame(&elsewhere).is_none());
}

#[test]
fn a_delivery_words_an_event_for_p1_once_and_for_nobody_else() {
    let delivery = |event: &str, payload: &str| Delivery::new(publication(event, payload).into());
    let first = RoomSet::FIRST;
    let wordings = |delivery: &Delivery| {
        let dialects = [
            Dialect::Native,
            Dialect::NativeV1,
            Dialect::Echo,
            Dialect::Events,
        ];
        dialects.map(|dialect| delivery.wording(&dialect))
    };
    let (p1, neutral) = (Wording::P1, Wording::Neutral);
    let started = delivery("run.started", r#"{"project":{}}"#);
    assert_eq!(wordings(&started), [p1, neutral, neutral, neutral]);
    let translated = started.frame(p1, first);
    assert!(std::sync::Arc::ptr_eq(
        &translated,
        &started.frame(p1, first)
    ));
    assert!(translated.bytes() != started.frame(neutral, first).bytes());
    assert_eq!(wordings(&delivery("said", "{}")), [neutral; 4]);
    let malformed = delivery("run.started", "{}");
    assert_eq!(malformed.frame(p1, first), malformed.frame(neutral, first));
}
