//! Who is in a room, as the whole server tells it, on one reactor and on two.

use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens::Token;
use serde_json::{Value, json};

use crate::tokens::{CHAT_KEY, ask_as, secured, session};

/// A server whose sessions are dealt to so many reactors, and whose rooms `chat:…` tell who comes
/// and goes.
fn on(reactors: &str) -> Server {
    secured(&[
        ("KINGLET_SERVER__REACTORS", reactors),
        ("KINGLET_ROOMS__CHAT__JOIN_LEAVE", "true"),
        ("KINGLET_ROOMS__HIDDEN__PRESENCE", "false"),
    ])
}

/// A session of an admin in a room.
fn enter(server: &Server, user: &str, room: &str) -> Socket {
    let token = Token::of(user).role("admin").info(json!({ "name": user }));
    session(server, &format!("/ws?room={room}"), &token)
}

fn presence(server: &Server, room: &str) -> Value {
    let answer = ask_as(
        CHAT_KEY,
        server,
        "GET",
        &format!("/api/v1/rooms/{room}/presence"),
        "",
    );
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.json()
}

/// The counts.
fn count(server: &Server, room: &str) -> [Value; 2] {
    let told = presence(server, room);
    [told["users"].clone(), told["sessions"].clone()]
}

/// The next event: its type, whom it is about, and with how many sessions.
fn next(socket: &mut Socket) -> [Value; 3] {
    let event = socket.message();
    let data = &event["data"];
    [
        event["type"].clone(),
        data["user"].clone(),
        data["sessions"].clone(),
    ]
}

#[test]
fn a_socket_and_http_tell_the_same_of_all_reactors() {
    for reactors in ["1", "2"] {
        let server = on(reactors);
        let users = ["ada", "bob", "ada", "cyd", "ada"];
        let mut sockets: Vec<Socket> = users
            .iter()
            .map(|user| enter(&server, user, "chat:2"))
            .collect();
        let told = presence(&server, "chat:2");
        assert_eq!(count(&server, "chat:2"), [json!(3), json!(5)]);
        let members = told["members"].as_array().unwrap();
        let mut found: Vec<&str> = members
            .iter()
            .map(|member| {
                assert_eq!(member["info"], json!({"name": member["user"]}));
                assert!(member["since"].as_str().unwrap().ends_with('Z'));
                assert_eq!(member["session"].as_str().unwrap().len(), 32);
                member["user"].as_str().unwrap()
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, ["ada", "ada", "ada", "bob", "cyd"]);
        assert!(told.get("truncated").is_none());
        // As soon as they are told they may come between.
        let command = json!({"type": "presence", "room": "chat:2", "id": 1});
        sockets[0].json(&command);
        let reply = loop {
            let message = sockets[0].message();
            if message["type"] == "presence" {
                break message;
            }
        };
        for member in ["room", "epoch", "users", "sessions", "members"] {
            assert_eq!(reply[member], told[member], "{member}");
        }
        drop(sockets);
        until("nobody is there", || {
            count(&server, "chat:2") == [json!(0), json!(0)]
        });
    }
}

#[test]
fn a_user_on_two_reactors_joins_once_and_leaves_once() {
    let server = on("2");
    let mut watch = enter(&server, "watch", "chat:1");
    assert_eq!(
        next(&mut watch),
        [json!("presence.joined"), json!("watch"), json!(1)]
    );
    let tabs: Vec<Socket> = (0..4).map(|_| enter(&server, "ada", "chat:1")).collect();
    assert_eq!(
        next(&mut watch),
        [json!("presence.joined"), json!("ada"), json!(4)]
    );
    let mut tabs = tabs.into_iter();
    let last = tabs.next();
    drop(tabs);
    until("three tabs are gone", || {
        count(&server, "chat:1") == [json!(2), json!(2)]
    });
    let bob = enter(&server, "bob", "chat:1");
    assert_eq!(
        next(&mut watch),
        [json!("presence.joined"), json!("bob"), json!(1)]
    );
    drop(last);
    assert_eq!(
        next(&mut watch),
        [json!("presence.left"), json!("ada"), json!(0)]
    );
    drop(bob);
    assert_eq!(
        next(&mut watch),
        [json!("presence.left"), json!("bob"), json!(0)]
    );
    assert_eq!(server.counter("kinglet_presence_told_total"), 5);
}

#[test]
fn presence_needs_its_own_right_and_a_room_that_may_be_asked_about() {
    let server = on("1");
    let mut ada = session(
        &server,
        "/ws?room=global",
        &Token::of("ada").room("x", &["subscribe"]),
    );
    let check = |ada: &mut Socket, room: &str, expected: &str| {
        let reply = ada.ask(&json!({"type": "presence", "room": room}));
        let code = reply["data"]["code"].as_str().unwrap_or("told");
        assert_eq!(code, expected, "{reply}");
        let target = format!("/api/v1/rooms/{room}/presence");
        let answer = ask_as(&Token::of("ada").sign(), &server, "GET", &target, "");
        let code = match answer.status() {
            200 => "told".to_owned(),
            _ => answer.code(),
        };
        assert_eq!(code, expected, "{answer:?}");
    };
    for room in ["global", "user:ada", "project:1", "board:7", "metrics"] {
        check(&mut ada, room, "told");
    }
    for room in ["x", "chat:1", "user:bob", "system", "hidden:1"] {
        check(&mut ada, room, "PERMISSION_DENIED");
    }
    let root = Token::of("root").role("admin").sign();
    let answer = ask_as(&root, &server, "GET", "/api/v1/rooms/hidden:1/presence", "");
    assert_eq!(answer.status(), 403);
    let said = answer.json()["error"]["message"].to_string();
    assert!(said.contains("rooms.hidden.presence is false"), "{said}");
}
