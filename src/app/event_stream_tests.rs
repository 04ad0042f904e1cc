//! What a stream is asked for with, and what is said to who asks for none.

use super::*;
use crate::testkit::world::{Options, World};
use crate::wire::http::scan::HeadLimits;

fn opened(target: &str, field: &str, room: Option<&str>) -> Result<EventStream, String> {
    let world = World::new(Options {
        config: "[limits]\nrooms_per_session = 2\n",
        ..Options::default()
    });
    let limits = HeadLimits {
        bytes: 16 * 1024,
        headers: 20,
    };
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n");
    let head = Head::parse(request.as_bytes(), &limits).unwrap();
    let live = world.services.live();
    open(&head, room, false, &live, world.now().wall)
        .map_err(|refusal| String::from_utf8(refusal.body.to_vec()).unwrap())
}

/// The rooms of a stream with the positions that it asks for.
fn asked(target: &str, field: &str) -> Result<Vec<String>, String> {
    let stream = opened(target, field, None)?;
    let spell = |(room, since): &(RoomName, Option<Since>)| match since {
        None => room.as_str().to_owned(),
        Some(Since {
            epoch: None,
            offset,
        }) => format!("{room} {offset}"),
        Some(Since {
            epoch: Some(epoch),
            offset,
        }) => format!("{room} {epoch}:{offset}"),
    };
    Ok(stream.rooms.iter().map(spell).collect())
}

#[test]
fn each_room_has_its_position_in_the_order_asked_for() {
    let check = |target: &str, field: &str, expected: &[&str]| {
        let found = asked(target, field).unwrap();
        assert_eq!(found, expected, "{target} {field}");
    };
    check("/e?room=a", "", &["a"]);
    check("/e?room=a&room=b&room=a", "", &["a", "b"]);
    check("/e?room=a&last_event_id=0", "", &["a 0"]);
    check("/e?room=a&last_event_id=", "", &["a"]);
    check("/e?room=a&last_event_id=E:7", "", &["a E:7"]);
    check("/e?room=a", "Last-Event-ID: 7\r\n", &["a 7"]);
    check("/e?room=a", "Last-Event-ID: \r\n", &["a"]);
    let both = "/e?room=b&room=a&last_event_id=E:7%2C5";
    check(both, "", &["b E:7", "a 5"]);
    // What the browser has heard since counts, not what the page began with.
    check(both, "Last-Event-ID: F:1,F:2\r\n", &["b F:1", "a F:2"]);
    check("/e?room=b&room=a&last_event_id=0", "", &["b 0", "a 0"]);
}

#[test]
fn a_position_that_is_none_is_refused_with_what_would_be_right() {
    let check = |target: &str, field: &str, expected: &str| {
        let found = asked(target, field).unwrap_err();
        assert!(found.contains(expected), "{target} {field}: {found}");
    };
    for wrong in ["x", ":", "E:", "a b:1", "E:1,E:2", "-1", "9007199254740992"] {
        let field = format!("Last-Event-ID: {wrong}\r\n");
        check("/e?room=a", &field, "which is EPOCH:OFFSET or OFFSET; or 0");
    }
    let both = "/e?room=a&room=b";
    for wrong in ["7", "E:1", "E:1,", "E:1,2,3"] {
        let field = format!("Last-Event-ID: {wrong}\r\n");
        check(both, &field, "which is 2 of EPOCH:OFFSET or OFFSET");
    }
    let twice = "Last-Event-ID: 1\r\nLast-Event-ID: 1\r\n";
    check("/e?room=a", twice, "there twice");
}

#[test]
fn a_stream_has_rooms_and_no_body() {
    let check = |target: &str, field: &str, room: Option<&str>, expected: &str| {
        let found = opened(target, field, room).map(|_| ()).unwrap_err();
        assert!(found.contains(expected), "{target}: {found}");
    };
    check("/e", "", None, "?room=a&room=b");
    check("/e?room=", "", None, "?room=a&room=b");
    check("/e?room=a&room=b&room=c", "", None, "rooms_per_session");
    check("/e?room=%ff", "", None, "percent-encoded");
    check("/e", "", Some("a b"), "VALIDATION_FAILED");
    check("/e", "Content-Length: 1\r\n", Some("a"), "without a body");
    check("/e?named=2", "", Some("a"), "named must be 1 or 0");
    let named = |target| opened(target, "", Some("a")).unwrap().is_named;
    assert!(named("/e?named=1") && !named("/e?named=0") && !named("/e"));
}
