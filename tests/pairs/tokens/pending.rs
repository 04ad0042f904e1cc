//! Sessions that came without a token: they may show one in time, and nothing else.

use kinglet::metrics::names::Counter;
use kinglet::testkit::tokens::{Token, after};
use kinglet::testkit::world::{ClientId, Message, World};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

use super::{auth, enter, token, world, world_of};
use crate::{SECOND, TICK, ask, pick, publish, said, types};

/// A session that has shown nothing.
fn pending(world: &mut World, target: &str, protocols: &[&str]) -> ClientId {
    let (id, answer) = world.ask_to_upgrade(target, protocols, &[]);
    assert_eq!(answer.status, 101, "{}", answer.body);
    assert_eq!(world.client(id).take_json(), [Value::Null; 0]);
    id
}

/// The code and the reason of the close.
fn closed(world: &mut World, id: ClientId) -> (u16, String) {
    let inbox = &world.client(id).inbox;
    inbox
        .iter()
        .find_map(|message| match message {
            Message::Close(code, reason) => Some((*code, reason.clone())),
            _ => None,
        })
        .unwrap_or_else(|| panic!("not closed: {inbox:?}"))
}

#[test]
fn a_first_token_makes_a_session_its_users() {
    for shards in [1, 2] {
        let mut world = world_of(shards, "");
        let target = "/ws?room=project:1&board_id=b";
        let id = pending(&mut world, target, &["kinglet.v1"]);
        let other = pending(&mut world, "/ws", &[]);
        let ada = token(&world, "ada");
        let mut command = auth(&ada);
        command["id"] = json!(7);
        let heard = ask(&mut world, id, command);
        assert_eq!(types(&heard), ["authenticated", "connected"]);
        let reply = pick(&heard[0], &["id", "user", "expires"]);
        assert_eq!(
            reply,
            [json!(7), json!("ada"), json!("2026-01-01T00:01:00.000Z")]
        );
        assert_eq!(heard[1]["user"], "ada");
        let rooms = heard[1]["rooms"].as_array().unwrap();
        let rooms: Vec<&Value> = rooms.iter().map(|room| &room["room"]).collect();
        assert_eq!(rooms, ["project:1", "board:b", "user:ada"]);
        // Without kinglet.v1 there is no hello; the rooms are joined all the same.
        let bob = token(&world, "bob");
        let heard = ask(&mut world, other, auth(&bob));
        assert_eq!(types(&heard), ["authenticated"]);
        let root = token(&world, "root").role("admin");
        let root = enter(&mut world, "/ws", &root);
        for room in ["project:1", "board:b", "user:ada", "global", "user:bob"] {
            ask(&mut world, root, publish(room, room));
        }
        let heard = world.client(id).take_json();
        assert_eq!(said(&heard), ["project:1", "board:b", "user:ada"]);
        let heard = world.client(other).take_json();
        assert_eq!(said(&heard), ["global", "user:bob"]);
        world.advance(30 * SECOND);
        assert_eq!(world.client(id).close_code(), None);
        assert_eq!(world.total(Counter::TokensMissing), 0);
    }
}

#[test]
fn it_is_in_no_room_until_then() {
    let mut world = world("");
    let id = pending(&mut world, "/ws?room=project:1", &["kinglet.v1"]);
    assert_eq!(world.services.rooms.count(), 0);
    let root = token(&world, "root").role("admin");
    let root = enter(&mut world, "/ws", &root);
    ask(&mut world, root, publish("project:1", 1));
    ask(&mut world, root, publish("global", 1));
    assert_eq!(world.client(id).take_json(), [Value::Null; 0]);
    let ada = token(&world, "ada");
    let heard = ask(&mut world, id, auth(&ada));
    assert_eq!(heard[1]["rooms"][0]["offset"], 1, "{heard:?}");
}

#[test]
fn pings_are_answered_but_do_not_give_it_more_time() {
    let mut world = world("");
    let id = pending(&mut world, "/ws", &[]);
    for _ in 0..9 {
        world.client(id).frame(Opcode::Ping, b"here");
        world.advance(SECOND);
    }
    assert!(
        world
            .client(id)
            .inbox
            .contains(&Message::Pong(b"here".to_vec()))
    );
    assert_eq!(world.client(id).close_code(), None);
    world.advance(SECOND + TICK);
    let expected = (4500, "no token came in time".to_owned());
    assert_eq!(closed(&mut world, id), expected);
    assert_eq!(world.total(Counter::TokensMissing), 1);
    world.advance(3 * SECOND);
    assert_eq!(world.connections(), 0);
}

#[test]
fn the_time_is_that_of_a_handshake() {
    let mut world = world("[limits]\nhandshake_timeout = \"3s\"\n");
    let id = pending(&mut world, "/ws", &[]);
    // Half a message is none.
    world.client(id).send(&[0x81, 0xfe]);
    world.advance(3 * SECOND - TICK);
    assert_eq!(world.client(id).close_code(), None);
    world.advance(2 * TICK);
    assert_eq!(world.client(id).close_code(), Some(4500));
}

#[test]
fn anything_but_a_token_ends_it() {
    let check = |message: &str| {
        let mut world = world("");
        let id = pending(&mut world, "/ws?room=project:1", &[]);
        world.client(id).frame(Opcode::Text, message.as_bytes());
        // What comes behind it is not looked at any more.
        let late = auth(&token(&world, "ada"));
        world.client(id).command(late);
        world.settle();
        let (code, reason) = closed(&mut world, id);
        assert_eq!(
            (code, &*reason),
            (4500, "the first message must be auth"),
            "{message}"
        );
        let heard = world.client(id).take_json();
        assert!(
            heard.iter().all(|reply| reply["type"] == "error"),
            "{heard:?}"
        );
        assert_eq!(world.total(Counter::TokensMissing), 1);
        assert_eq!(world.services.rooms.count(), 0);
    };
    check(r#"{"type":"subscribe","room":"global"}"#);
    check(r#"{"type":"unsubscribe","room":"global"}"#);
    check(r#"{"type":"publish","room":"global","event":"said"}"#);
    check(r#"{"type":"history","room":"global"}"#);
    check(r#"{"type":"ping"}"#);
    check(r#"{"type":"pong"}"#);
    check(r#"{"type":"dance"}"#);
    check(r#"{"type":"auth"}"#);
    check(r#"{"type":"auth","token":42}"#);
    check("[]");
    check("{");
    check("");
}

#[test]
fn an_auth_that_is_none_is_told_why() {
    let mut world = world("");
    let id = pending(&mut world, "/ws", &[]);
    let heard = ask(&mut world, id, json!({"type": "auth", "tokn": "x"}));
    assert_eq!(
        heard[0]["error"],
        "token is missing: give the token to show"
    );
    assert_eq!(closed(&mut world, id).0, 4500);
}

#[test]
fn a_binary_message_may_hold_the_token_too() {
    let mut world = world("");
    let id = pending(&mut world, "/ws", &[]);
    let command = auth(&token(&world, "ada")).to_string();
    world.client(id).frame(Opcode::Binary, command.as_bytes());
    world.settle();
    assert_eq!(types(&world.client(id).take_json()), ["authenticated"]);
    let id = pending(&mut world, "/ws", &[]);
    world.client(id).frame(Opcode::Binary, b"\xff");
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(4500));
}

#[test]
fn a_bad_token_is_told_why_and_ends_it() {
    let check = |token: &str, reason: &str| {
        let mut world = world("");
        let id = pending(&mut world, "/ws", &["kinglet.v1"]);
        let heard = ask(
            &mut world,
            id,
            json!({"type": "auth", "token": token, "id": 1}),
        );
        assert_eq!(pick(&heard[0], &["type", "id"]), [json!("error"), json!(1)]);
        assert_eq!(heard[0]["data"]["code"], "UNAUTHORIZED");
        assert!(
            heard[0]["error"].as_str().unwrap().contains(reason),
            "{heard:?}"
        );
        assert_eq!(heard.len(), 1);
        assert!(token.len() < 10 || !heard[0].to_string().contains(token));
        let expected = (4500, "the token is not accepted".to_owned());
        assert_eq!(closed(&mut world, id), expected);
        assert_eq!(world.total(Counter::TokensRefused), 1);
        assert_eq!(world.total(Counter::TokensMissing), 1);
    };
    let world = world("");
    let good = token(&world, "ada");
    let early = kinglet::base::clock::Wall::from_millis(world.now().wall.as_millis() - 30_000);
    check(&Token::new("ada", early).sign(), "the token expired at");
    check(
        &good.sign_with("another secret of thirty-two bytes or more"),
        "signature",
    );
    check(&good.role("nobody").sign(), "role is not known");
    check("", "not a signed JWT");
    check("a.b.c", "not a signed JWT");
}

/// A message of `bytes` bytes that shows `token`.
fn padded(token: &Token, bytes: usize) -> Vec<u8> {
    let mut message = auth(token).to_string().into_bytes();
    message.resize(bytes, b' ');
    message
}

#[test]
fn the_first_message_is_small_and_later_ones_are_not() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let id = pending(&mut world, "/ws", &[]);
    world
        .client(id)
        .frame(Opcode::Text, &padded(&ada, 9 * 1024));
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1009));
    let id = pending(&mut world, "/ws", &[]);
    world
        .client(id)
        .frame(Opcode::Text, &padded(&ada, 8 * 1024));
    world.settle();
    assert_eq!(types(&world.client(id).take_json()), ["authenticated"]);
    world
        .client(id)
        .frame(Opcode::Text, &padded(&ada, 64 * 1024));
    world.settle();
    assert_eq!(types(&world.client(id).take_json()), ["authenticated"]);
}

#[test]
fn the_largest_token_fits() {
    let mut world = world("");
    let mut ada = token(&world, "ada");
    while ada.sign().len() < 8 * 1024 - 100 {
        ada = ada.room(&"x".repeat(20), &["subscribe"]);
    }
    assert!(ada.sign().len() <= 8 * 1024);
    let id = pending(&mut world, "/ws", &[]);
    assert_eq!(types(&ask(&mut world, id, auth(&ada))), ["authenticated"]);
}

#[test]
fn a_room_that_the_token_does_not_open_is_named_and_ends_it() {
    let mut world = world("");
    let id = pending(
        &mut world,
        "/ws?room=project:1&room=user:bob",
        &["kinglet.v1"],
    );
    let ada = token(&world, "ada");
    let heard = ask(&mut world, id, auth(&ada));
    assert_eq!(types(&heard), ["authenticated", "error"]);
    assert_eq!(heard[1]["data"]["code"], "PERMISSION_DENIED");
    assert!(heard[1]["error"].as_str().unwrap().contains("user:bob"));
    assert_eq!(closed(&mut world, id).0, 4502);
    world.advance(3 * SECOND);
    assert_eq!(world.connections(), 0);
}

#[test]
fn a_room_that_cannot_be_had_now_is_no_matter_of_rights() {
    let mut world = world("[limits]\nrooms = 1\n");
    let id = pending(&mut world, "/ws?room=project:1", &[]);
    let ada = token(&world, "ada");
    let heard = ask(&mut world, id, auth(&ada));
    assert_eq!(heard[1]["data"]["code"], "RESOURCE_LIMIT");
    assert_eq!(closed(&mut world, id).0, 1013);
}

#[test]
fn the_leeway_is_for_clocks_that_differ() {
    let mut world = world("");
    let now = world.now().wall;
    let late = kinglet::base::clock::Wall::from_millis(now.as_millis() - 20_000);
    let id = pending(&mut world, "/ws", &[]);
    let heard = ask(&mut world, id, auth(&Token::new("ada", late)));
    assert_eq!(types(&heard), ["authenticated"]);
    world.advance(5 * SECOND - TICK);
    assert_eq!(world.client(id).close_code(), None);
    world.advance(2 * TICK);
    assert_eq!(world.client(id).close_code(), Some(4001));
    let id = pending(&mut world, "/ws", &[]);
    let far = Token::new("ada", after(now, SECOND * 3600 * 24 * 365 * 100));
    assert_eq!(types(&ask(&mut world, id, auth(&far))), ["authenticated"]);
    world.advance(3600 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
}
