//! What a session may do in which room, with which token.

use kinglet::testkit::tokens::{self, Token};
use serde_json::{Value, json};

use super::{enter, outcome, token, world};
use crate::{ask, publish, reload, said};

fn subscribe(room: &str) -> Value {
    json!({"type": "subscribe", "room": room})
}

fn history(room: &str) -> Value {
    json!({"type": "history", "room": room})
}

const DENIED: &str = "PERMISSION_DENIED";

/// Whether a session with `token` may subscribe, publish and read history in `room`.
fn rights(of: impl Fn(Token) -> Token, room: &str) -> [bool; 3] {
    let mut world = world("");
    let root = token(&world, "root").role("admin");
    let root = enter(&mut world, "/ws", &root);
    assert_eq!(
        outcome(&ask(&mut world, root, publish(room, 1))[..1]),
        "published"
    );
    let shown = of(token(&world, "ada"));
    let id = enter(&mut world, "/ws?room=global", &shown);
    world.client(id).take_json();
    let rights = [publish(room, 1), history(room), subscribe(room)].map(|command| {
        let reply = ask(&mut world, id, command);
        // A publisher in the room hears itself behind the reply.
        match outcome(&reply[..1]) {
            DENIED => {
                assert!(
                    reply[0]["error"].as_str().unwrap().contains(room),
                    "{reply:?}"
                );
                false
            }
            "published" | "history" | "subscribed" => true,
            other => panic!("{other}"),
        }
    });
    // Whatever was denied, the connection stays.
    assert_eq!(
        outcome(&ask(&mut world, id, json!({"type": "ping"}))),
        "pong"
    );
    [rights[2], rights[0], rights[1]]
}

#[test]
fn roles_and_grants_decide_room_by_room() {
    const NONE: [bool; 3] = [false, false, false];
    const READ: [bool; 3] = [true, false, true];
    const ALL: [bool; 3] = [true, true, true];
    let user = |token: Token| token;
    for (room, expected) in [
        ("global", READ),
        ("user:ada", READ),
        ("project:1", READ),
        ("board:1", READ),
        ("agent:1", READ),
        ("metrics", READ),
        ("metrics:cpu", READ),
        // Names that only look alike (incident 26).
        ("project", NONE),
        ("projects:1", NONE),
        ("Project:1", NONE),
        ("xproject:1", NONE),
        ("global:1", NONE),
        ("Global", NONE),
        ("user:ada:1", NONE),
        ("user:ad", NONE),
        ("user:adaa", NONE),
        ("user:bob", NONE),
        ("user:", NONE),
        ("user:ADA", NONE),
        ("user:ada%20", NONE),
        ("users:ada", NONE),
        ("chat:1", NONE),
    ] {
        assert_eq!(rights(user, room), expected, "{room}");
        let readonly = rights(|token| token.role("readonly"), room);
        assert_eq!(readonly, expected, "{room}");
        assert_eq!(rights(|token| token.role("admin"), room), ALL, "{room}");
    }
    let agent = |token: Token| token.role("agent");
    assert_eq!(rights(agent, "project:1"), ALL);
    assert_eq!(rights(agent, "agent:1"), ALL);
    assert_eq!(rights(agent, "board:1"), READ);
    assert_eq!(rights(agent, "chat:1"), NONE);
}

#[test]
fn grants_of_the_token_add_to_those_of_its_role() {
    let check = |pattern: &str, allow: &[&str], room: &str, expected: [bool; 3]| {
        let found = rights(|token| token.room(pattern, allow), room);
        assert_eq!(found, expected, "{pattern} {allow:?} {room}");
    };
    let every = ["subscribe", "publish", "history"];
    check("chat:*", &every, "chat:1", [true; 3]);
    check("chat:*", &["publish"], "chat:1", [false, true, false]);
    check("chat:*", &["history"], "chat:1", [false, false, true]);
    check("chat:4*", &every, "chat:42", [true; 3]);
    check("chat:4", &every, "chat:42", [false; 3]);
    check("chat:*", &every, "chat", [false; 3]);
    check("chat*", &every, "chat", [true; 3]);
    check("*", &every, "anything", [true; 3]);
    check("*", &every, "user:bob", [false; 3]);
    check("user:*", &every, "user:bob", [true; 3]);
    check("inbox:{sub}", &every, "inbox:ada", [true; 3]);
    check("inbox:{sub}", &every, "inbox:{sub}", [false; 3]);
    check("inbox:{sub}", &every, "inbox:adam", [false; 3]);
    check("inbox:{sub}", &every, "inbox:ada:1", [false; 3]);
    check("inbox:{sub}:*", &every, "inbox:ada:1", [true; 3]);
    check("inbox:{sub}:*", &every, "inbox:bob:1", [false; 3]);
    check("dialog#42", &every, "dialog#42#43", [false; 3]);
}

#[test]
fn an_id_with_a_boundary_in_it_reaches_into_nobodys_rooms() {
    let mut world = world("");
    let every = ["subscribe", "publish", "history"];
    let granted = |user: &str| token(&world, user).room("inbox:{sub}:*", &every);
    let (plain, forged) = (granted("a"), granted("a:b"));
    let owner = enter(&mut world, "/ws", &plain);
    let intruder = enter(&mut world, "/ws", &forged);
    assert_eq!(
        outcome(&ask(&mut world, owner, subscribe("inbox:a:b:1"))),
        "subscribed"
    );
    assert_eq!(
        outcome(&ask(&mut world, intruder, subscribe("inbox:a:b:1"))),
        DENIED
    );
    assert_eq!(
        outcome(&ask(&mut world, intruder, subscribe("user:a"))),
        DENIED
    );
    // Its own room is its own, and not the other's.
    assert_eq!(
        outcome(&ask(&mut world, intruder, subscribe("user:a:b"))),
        "subscribed"
    );
    assert_eq!(
        outcome(&ask(&mut world, owner, subscribe("user:a:b"))),
        DENIED
    );
}

#[test]
fn of_several_rooms_each_is_decided_for_itself_but_a_publish_is_one() {
    let mut world = world("");
    let ada = token(&world, "ada").role("agent");
    let id = enter(&mut world, "/ws", &ada);
    let rooms = json!(["project:1", "chat:1", "user:bob", "board:1"]);
    let command = json!({"type": "subscribe", "rooms": rooms});
    let replies = ask(&mut world, id, command);
    let outcomes: Vec<&str> = replies.chunks(1).map(outcome).collect();
    assert_eq!(outcomes, ["subscribed", DENIED, DENIED, "subscribed"]);
    let rooms = json!(["project:1", "chat:1"]);
    let command = json!({"type": "publish", "rooms": rooms, "event": "said"});
    assert_eq!(outcome(&ask(&mut world, id, command)), DENIED);
    assert_eq!(said(&world.client(id).take_json()), [Value::Null; 0]);
}

#[test]
fn the_policy_of_a_namespace_is_the_other_half() {
    let config = "[rooms.club]\npublish = \"members\"\n[rooms.news]\npublish = \"server\"\n";
    let mut world = world(config);
    let reader = token(&world, "ada")
        .room("club:*", &["subscribe"])
        .room("news:*", &["subscribe", "publish"]);
    let id = enter(&mut world, "/ws", &reader);
    assert_eq!(outcome(&ask(&mut world, id, publish("club:1", 1))), DENIED);
    assert_eq!(
        outcome(&ask(&mut world, id, subscribe("club:1"))),
        "subscribed"
    );
    let heard = ask(&mut world, id, publish("club:1", 1));
    assert_eq!(outcome(&heard[..1]), "published");
    // What the server alone may say, no grant opens to a session.
    assert_eq!(outcome(&ask(&mut world, id, publish("news:1", 1))), DENIED);
    assert_eq!(
        outcome(&ask(&mut world, id, subscribe("news:1"))),
        "subscribed"
    );
    assert_eq!(outcome(&ask(&mut world, id, publish("news:1", 1))), DENIED);
    let root = token(&world, "root").role("admin");
    let root = enter(&mut world, "/ws", &root);
    assert_eq!(
        outcome(&ask(&mut world, root, publish("news:1", 2))[..1]),
        "published"
    );
    assert_eq!(
        outcome(&ask(&mut world, root, publish("club:1", 2))[..1]),
        "published"
    );
}

#[test]
fn ten_denials_in_a_row_are_as_many_errors() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws", &ada);
    for _ in 0..10 {
        ask(&mut world, id, subscribe("chat:1"));
    }
    assert_eq!(world.client(id).close_code(), Some(4503));
}

#[test]
fn who_may_not_read_history_recovers_nothing() {
    let mut world = world("");
    let root = token(&world, "root").role("admin");
    let root = enter(&mut world, "/ws", &root);
    ask(&mut world, root, publish("secret:1", 1));
    let mut recover = |allow: &[&str]| {
        let shown = token(&world, "ada").room("secret:*", allow);
        let id = enter(&mut world, "/ws?room=global", &shown);
        world.client(id).take_json();
        let asked = json!({"type": "subscribe", "room": "secret:1", "since": 0});
        let [reply] = &ask(&mut world, id, asked)[..] else {
            panic!("one reply");
        };
        let entries = reply["publications"].as_array().map(Vec::len);
        (reply["recovered"].clone(), entries)
    };
    assert_eq!(recover(&["subscribe"]), (json!(false), Some(0)));
    assert_eq!(recover(&["subscribe", "history"]), (json!(true), Some(1)));
}

#[test]
fn a_room_whose_namespace_became_unknown_is_closed_to_all() {
    let mut world = world("");
    let root = token(&world, "root").role("admin");
    let root = enter(&mut world, "/ws", &root);
    assert_eq!(
        outcome(&ask(&mut world, root, publish("foo:1", 1))),
        "published"
    );
    let strict = format!("{}[server]\nstrict_rooms = true\n", tokens::CONFIG);
    reload(&mut world, &strict);
    let shown = token(&world, "ada").role("readonly");
    let id = enter(&mut world, "/ws?room=global", &shown);
    world.client(id).take_json();
    for who in [root, id] {
        let refused = ask(&mut world, who, publish("foo:1", 2));
        assert_eq!(outcome(&refused), "VALIDATION_FAILED");
        let refused = ask(&mut world, who, subscribe("foo:1"));
        assert_ne!(outcome(&refused), "subscribed");
    }
}
