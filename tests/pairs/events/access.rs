//! Who gets a stream, and what is said to others.

use crossbeam_channel::Sender;
use kinglet::bus::mail::{Mail, Manage, SessionPage, Who, ask as ask_shards};
use kinglet::dialect::Dialect;
use kinglet::domain::room::RoomName;
use kinglet::metrics::names::Counter;
use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{Answer, Options, World};
use serde_json::json;

use super::{Stream, said, say};
use crate::{SECOND, TICK, ask, world};

const ROOM: &str = "/api/v1/rooms/a/events";

fn answer(world: &mut World, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let client = world.open();
    world.client(client).request_with(method, target, headers);
    world.settle();
    world.client(client).answers.pop_front().expect("an answer")
}

#[test]
fn what_is_no_stream_is_answered_with_what_would_be() {
    let mut world = world("[limits]\nrooms_per_session = 2\n");
    let mut check = |method: &str, target: &str, status: u16, words: &str| {
        let answer = answer(&mut world, method, target, &[]);
        assert_eq!(answer.status, status, "{method} {target} {}", answer.body);
        assert!(answer.body.contains(words), "{target} {}", answer.body);
    };
    check("POST", ROOM, 405, "GET");
    check("DELETE", "/api/v1/events", 405, "GET");
    check("GET", "/api/v1/events", 400, "?room=a&room=b");
    check(
        "GET",
        "/api/v1/rooms/a%20b/events",
        400,
        "VALIDATION_FAILED",
    );
    check("GET", "/api/v1/rooms//events", 404, "");
    check(
        "GET",
        &format!("{ROOM}?last_event_id=x"),
        400,
        "EPOCH:OFFSET",
    );
    check(
        "GET",
        "/api/v1/events?room=a&room=b&last_event_id=1",
        400,
        "2 of EPOCH:OFFSET",
    );
    check(
        "GET",
        "/api/v1/events?room=a&room=b&room=c",
        429,
        "rooms_per_session",
    );
    let head = world.open();
    world.client(head).keep_raw();
    world.client(head).request("HEAD", ROOM, "");
    world.settle();
    let answer = String::from_utf8(world.client(head).take_raw()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("Allow: GET, OPTIONS\r\n"));
    assert_eq!(world.total(Counter::SessionsOpened), 0);
    assert_eq!(world.services.sessions(), 0);
    assert_eq!(world.services.rooms.count(), 0);
}

#[test]
fn pages_of_listed_origins_get_streams() {
    let mut world = world("[server]\nallowed_origins = [\"https://app.example\"]\n");
    let listed = [("Origin", "https://app.example")];
    let mut stream = Stream::ask(&mut world, ROOM, &listed);
    stream.take(&mut world);
    let head = stream.head();
    assert!(
        head.contains("Access-Control-Allow-Origin: https://app.example\r\n"),
        "{head}"
    );
    assert!(head.contains("Vary: Origin\r\n"), "{head}");
    let foreign = [("Origin", "https://evil.example")];
    assert_eq!(answer(&mut world, "GET", ROOM, &foreign).status, 403);
}

fn token_world(more: &str) -> World {
    World::new(Options {
        config: &format!("{}{more}", tokens::CONFIG),
        ..Options::default()
    })
}

#[test]
fn a_stream_is_for_those_who_may_read_all_of_its_rooms() {
    let mut world = token_world("");
    let token = Token::new("ada", after(world.now().wall, 60 * SECOND));
    let bearer = token.bearer();
    let mut status = |target: &str, shown: &[(&str, &str)]| {
        let client = world.open();
        world.client(client).request_with("GET", target, shown);
        world.settle();
        let refused = world.client(client).answers.pop_front();
        refused.map_or(200, |answer| answer.status)
    };
    let shown = [("Authorization", bearer.as_str())];
    let project = "/api/v1/rooms/project:1/events";
    assert_eq!(status(project, &[]), 401);
    assert_eq!(status(project, &[("Authorization", "Bearer a.b.c")]), 401);
    assert_eq!(status(project, &shown), 200);
    assert_eq!(status("/api/v1/rooms/user:bob/events", &shown), 403);
    assert_eq!(
        status("/api/v1/events?room=project:1&room=user:bob", &shown),
        403
    );
    assert_eq!(
        status("/api/v1/events?room=project:1&room=user:ada", &shown),
        200
    );
    let in_query = format!("{project}?token={}", token.sign());
    assert_eq!(status(&in_query, &[]), 401, "not unless it is allowed");
    assert_eq!(world.total(Counter::SessionsOpened), 2);
}

#[test]
fn a_stream_ends_with_its_token() {
    let config = tokens::CONFIG.replace("[auth]\n", "[auth]\nallow_query_token = true\n");
    let mut world = World::new(Options {
        config: &config,
        ..Options::default()
    });
    let token = Token::new("ada", after(world.now().wall, 60 * SECOND)).sign();
    let target = format!("/api/v1/rooms/project:1/events?token={token}");
    let mut stream = Stream::open(&mut world, &target);
    assert_eq!(stream.take(&mut world).len(), 1);
    world.advance(85 * SECOND - TICK);
    assert!(!stream.has_ended(&mut world));
    world.advance(2 * TICK);
    stream.take(&mut world);
    assert_eq!(stream.ending(), "4001 token expired");
    assert!(stream.has_ended(&mut world));
    assert_eq!(world.total(Counter::TokensExpired), 1);
    world.advance(3 * SECOND);
    assert_eq!(world.connections(), 0);
    assert_eq!(answer(&mut world, "GET", &target, &[]).status, 401);
}

#[test]
fn operators_see_streams_and_end_them() {
    let mut world = world("[limits]\nmessages_per_second = 0\n");
    let talker = world.connect("/ws?room=x");
    let mut stream = Stream::open(&mut world, "/api/v1/events?room=a&room=b");
    stream.take(&mut world);
    let page = SessionPage {
        limit: 9,
        ..SessionPage::default()
    };
    let list = |reply| Mail::ListSessions {
        page: page.clone(),
        reply,
    };
    let sessions = tell(&mut world, list);
    let found = sessions
        .iter()
        .find(|it| it.dialect == Dialect::Events)
        .unwrap();
    let rooms: Vec<&str> = found.rooms.iter().map(RoomName::as_str).collect();
    assert_eq!(rooms, ["a", "b"]);
    let who = Who::Session(found.id);
    let manage = |world: &mut World, what: Manage| {
        tell(world, |reply| Mail::Manage {
            who: who.clone(),
            what: what.clone(),
            reply,
        })
    };
    // Its rooms are those of its address; it can be taken out of them, and is told so.
    let room = |name| RoomName::parse(name).unwrap();
    let subscribed = manage(&mut world, Manage::Subscribe(room("c")));
    assert_eq!((subscribed.done, subscribed.refused), (0, 1));
    assert_eq!(manage(&mut world, Manage::Unsubscribe(room("b"))).done, 1);
    let told = stream.take(&mut world);
    assert_eq!(told[0].json()["type"], "unsubscribed");
    say(&mut world, talker, "b", 1);
    say(&mut world, talker, "a", 2);
    assert_eq!(said(&stream.take(&mut world)), [2]);
    let what = Manage::Disconnect {
        code: 4501,
        reason: "disconnected by an operator".into(),
    };
    assert_eq!(manage(&mut world, what).done, 1);
    stream.take(&mut world);
    assert_eq!(stream.ending(), "4501 disconnected by an operator");
    assert!(stream.has_ended(&mut world));
    assert_eq!(ask(&mut world, talker, json!({"type": "ping"})).len(), 1);
}

/// What the one shard answers to a piece of mail.
fn tell<T>(world: &mut World, mail: impl Fn(Sender<T>) -> Mail) -> T {
    let answers = ask_shards(&world.services.mailboxes, mail).unwrap();
    world.settle();
    answers.try_recv().unwrap()
}
