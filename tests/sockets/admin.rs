//! What those who look after the server do with its sessions and users.

use kinglet::testkit::client::Answer;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens::Token;
use serde_json::{Value, json};

use crate::tokens::{ROOT_KEY, ask_as, secured, session};
use crate::{request, start};

const CONNECTIONS: &str = "/api/v1/connections";

fn ask(server: &Server, method: &str, target: &str, body: &str) -> Answer {
    ask_as(ROOT_KEY, server, method, target, body)
}

/// The page of connections that `query` asks for.
fn listed(server: &Server, query: &str) -> (Vec<Value>, bool) {
    let page = ask(server, "GET", &format!("{CONNECTIONS}{query}"), "").json();
    let connections = page["connections"].as_array().unwrap().clone();
    (connections, page["more"].as_bool().unwrap())
}

/// The id of the one session of `user`.
fn id_of(server: &Server, user: &str) -> String {
    let (found, _) = listed(server, &format!("?user={user}"));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["id"].as_str().unwrap().to_owned()
}

fn users(server: &Server, user: &str, what: &str, body: &Value) -> Answer {
    let target = format!("/api/v1/users/{user}/{what}");
    ask(server, "POST", &target, &body.to_string())
}

#[test]
fn connections_are_listed_by_id_and_paged() {
    let server = secured(&[]);
    let sockets: Vec<Socket> = ["ada", "ada", "bob", "42", "42", "42", "eve"]
        .iter()
        .map(|user| session(&server, "/ws?room=project:1", &Token::of(user)))
        .collect();
    let pending = Socket::open(server.address(), "/ws?room=project:1");
    let (all, more) = listed(&server, "");
    assert_eq!((all.len(), more), (8, false));
    let ids: Vec<&str> = all
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let (page, more) = listed(&server, &format!("?limit=3{after}"));
        assert!(page.len() == 3 || !more);
        after = format!("&after={}", page.last().unwrap()["id"].as_str().unwrap());
        paged.extend(page);
        if !more {
            break;
        }
    }
    assert_eq!(paged, all);
    assert_eq!(listed(&server, "?limit=8"), (all.clone(), false));
    for (user, count) in [
        ("ada", 2),
        ("bob", 1),
        ("42", 3),
        ("nobody", 0),
        ("ad", 0),
        ("ADA", 0),
    ] {
        let (found, _) = listed(&server, &format!("?user={user}"));
        assert_eq!(found.len(), count, "{user}");
        assert!(found.iter().all(|entry| entry["user"] == user));
    }
    let (page, more) = listed(&server, "?user=42&limit=2");
    assert_eq!((page.len(), more), (2, true));
    let bob = &listed(&server, "?user=bob").0[0];
    let mut names: Vec<&String> = bob.as_object().unwrap().keys().collect();
    names.sort();
    let expected = [
        "address",
        "connected_at",
        "dialect",
        "expires",
        "id",
        "rooms",
        "user",
    ];
    assert_eq!(names, expected);
    assert_eq!(bob["rooms"], json!(["project:1", "user:bob"]));
    assert_eq!(
        (&bob["address"], &bob["dialect"]),
        (&json!("127.0.0.1"), &json!("native"))
    );
    // Who has shown no token is nobody, and nowhere.
    let nobody = all
        .iter()
        .find(|entry| entry.get("user").is_none())
        .unwrap();
    assert_eq!(
        (nobody.get("expires"), &nobody["rooms"]),
        (None, &json!([]))
    );
    for query in ["?limit=0", "?limit=301", "?limit=x", "?after=x", "?after="] {
        let answer = ask(&server, "GET", &format!("{CONNECTIONS}{query}"), "");
        assert_eq!(
            (answer.status(), answer.code()),
            (400, "VALIDATION_FAILED".into()),
            "{query}"
        );
    }
    drop((sockets, pending));
    until("nobody is listed", || listed(&server, "").0.is_empty());
}

#[test]
fn a_session_is_disconnected_as_the_operator_says() {
    let server = secured(&[]);
    let check = |body: &str, code: u16, reason: &str| {
        let mut ada = session(&server, "/ws", &Token::of("ada"));
        let mut bob = session(&server, "/ws", &Token::of("bob"));
        let target = format!("{CONNECTIONS}/{}", id_of(&server, "ada"));
        let answer = ask(&server, "DELETE", &target, body);
        assert_eq!((answer.status(), answer.body()), (204, &b""[..]), "{body}");
        assert_eq!(ada.closed(), (code, reason.to_owned()), "{body}");
        bob.hears_nothing();
        // It is gone at once, whether its client has answered or not.
        assert_eq!(ask(&server, "DELETE", &target, "").status(), 404);
    };
    let usual = "disconnected by an operator";
    check("", 4501, usual);
    check("{}", 4501, usual);
    check(r#"{"code":4000}"#, 4000, usual);
    check(r#"{"reason":"bye"}"#, 4501, "bye");
    check(r#"{"code":1012,"reason":""}"#, 1012, "");
    check(r#"{"code":3000}"#, 3000, usual);
    check(r#"{"code":4999}"#, 4999, usual);
    let longest = format!("{}é", "x".repeat(121));
    check(&json!({"reason": longest}).to_string(), 4501, &longest);
    assert_eq!(server.counter("kinglet_sessions_disconnected_total"), 8);
}

#[test]
fn what_is_no_disconnection_disconnects_nobody() {
    let server = secured(&[]);
    let mut ada = session(&server, "/ws", &Token::of("ada"));
    let id = id_of(&server, "ada");
    let refused = |target: &str, body: &str, status: u16| {
        let answer = ask(&server, "DELETE", &format!("{CONNECTIONS}/{target}"), body);
        assert_eq!(answer.status(), status, "{target} {body} {answer:?}");
    };
    let long = json!({"reason": "x".repeat(124)}).to_string();
    refused(&id, &long, 400);
    // Bytes count, not characters.
    refused(&id, &json!({"reason": "é".repeat(62)}).to_string(), 400);
    for code in [0, 999, 1001, 1005, 1006, 1015, 2999, 5000, 65536] {
        refused(&id, &json!({"code": code}).to_string(), 400);
    }
    refused(&id, r#"{"code":"4501"}"#, 400);
    refused(&id, r#"{"cod":4501}"#, 400);
    refused(&id, "[]", 400);
    refused(&id, "{", 400);
    refused(&"0".repeat(32), "", 404);
    refused(&"0".repeat(31), "", 400);
    refused(&"0".repeat(33), "", 400);
    refused(&"G".repeat(32), "", 400);
    refused(&"A".repeat(32), "", 400);
    refused("%2e%2e", "", 400);
    refused("ada", "", 400);
    ada.hears_nothing();
    assert_eq!(server.counter("kinglet_sessions_disconnected_total"), 0);
}

#[test]
fn all_sessions_of_a_user_are_disconnected_and_no_others() {
    let server = secured(&[]);
    let mut of_ada: Vec<Socket> = (0..5)
        .map(|_| session(&server, "/ws", &Token::of("ada")))
        .collect();
    let mut others: Vec<Socket> = ["bob", "ad", "adaa"]
        .iter()
        .map(|user| session(&server, "/ws", &Token::of(user)))
        .collect();
    let body = json!({"code": 4400, "reason": "log in again"});
    let answer = users(&server, "ada", "disconnect", &body).json();
    assert_eq!(answer, json!({"user": "ada", "sessions": 5}));
    for socket in &mut of_ada {
        assert_eq!(socket.closed(), (4400, "log in again".to_owned()));
    }
    others.iter_mut().for_each(Socket::hears_nothing);
    let again = users(&server, "ada", "disconnect", &json!({})).json();
    assert_eq!(again, json!({"user": "ada", "sessions": 0}));
    assert_eq!(
        users(&server, "nobody", "disconnect", &json!({})).json()["sessions"],
        0
    );
    for user in ["a%20b", "a*", "%22", &"x".repeat(251)] {
        assert_eq!(
            users(&server, user, "disconnect", &json!({})).status(),
            400,
            "{user}"
        );
    }
    assert_eq!(
        users(&server, "ada", "disconnect", &json!({"code": 1006})).status(),
        400
    );
    // What an id may hold, a path has to escape.
    let mut odd = session(&server, "/ws", &Token::of("auth0|4/2?"));
    let answer = users(&server, "auth0%7C4%2F2%3F", "disconnect", &json!({})).json();
    assert_eq!(answer, json!({"user": "auth0|4/2?", "sessions": 1}));
    assert_eq!(odd.closed().0, 4501);
}

#[test]
fn an_operator_puts_users_into_rooms_and_takes_them_out() {
    let server = secured(&[("KINGLET_DEBUG__ECHO", "true")]);
    let ada = Token::of("ada");
    let mut sockets: Vec<Socket> = (0..3).map(|_| session(&server, "/ws", &ada)).collect();
    let mut echo = session(&server, "/ws/echo", &ada);
    let mut bob = session(&server, "/ws", &Token::of("bob"));
    let room = json!({"room": "secret:1"});
    let publish = json!({"room": "secret:1", "event": "said"}).to_string();
    let publish = || ask(&server, "POST", "/api/v1/publish", &publish).status();

    let answer = users(&server, "ada", "subscribe", &room).json();
    assert_eq!(answer, json!({"user": "ada", "sessions": 3, "refused": 1}));
    for socket in &mut sockets {
        let told = socket.message();
        assert_eq!(
            (&told["type"], &told["room"]),
            (&json!("subscribed"), &json!("secret:1"))
        );
        assert!(told["epoch"].is_string() && told["offset"] == 0, "{told}");
    }
    assert_eq!(publish(), 200);
    for socket in &mut sockets {
        assert_eq!(socket.message()["type"], "said");
    }
    // A newer token of the same rights leaves what an operator gave.
    let refresh = json!({"type": "auth", "token": Token::of("ada").sign()});
    assert_eq!(sockets[0].ask(&refresh)["type"], "authenticated");
    sockets[0].hears_nothing();
    // Being there opens no history, and no way back in.
    let history = json!({"type": "history", "room": "secret:1"});
    assert_eq!(
        sockets[0].ask(&history)["data"]["code"],
        "PERMISSION_DENIED"
    );
    let leave = json!({"type": "unsubscribe", "room": "secret:1"});
    assert_eq!(sockets[0].ask(&leave)["type"], "unsubscribed");
    let join = json!({"type": "subscribe", "room": "secret:1"});
    assert_eq!(sockets[0].ask(&join)["data"]["code"], "PERMISSION_DENIED");

    let answer = users(&server, "ada", "unsubscribe", &room).json();
    assert_eq!(answer, json!({"user": "ada", "sessions": 2}));
    for socket in &mut sockets[1..] {
        assert_eq!(socket.message()["type"], "unsubscribed");
    }
    assert_eq!(publish(), 200);
    sockets.iter_mut().for_each(Socket::hears_nothing);
    echo.hears_nothing();
    bob.hears_nothing();
    // Also out of rooms that they joined themselves, their own among them.
    let own = users(&server, "bob", "unsubscribe", &json!({"room": "user:bob"})).json();
    assert_eq!(own["sessions"], 1);
    assert_eq!(bob.message()["room"], "user:bob");
    let nobody = users(&server, "nobody", "subscribe", &room).json();
    assert_eq!(nobody["sessions"], 0);
    for body in [
        json!({}),
        json!({"room": "no room"}),
        json!({"room": 1}),
        json!([]),
    ] {
        assert_eq!(
            users(&server, "ada", "subscribe", &body).status(),
            400,
            "{body}"
        );
        assert_eq!(
            users(&server, "ada", "unsubscribe", &body).status(),
            400,
            "{body}"
        );
    }
}

#[test]
fn in_open_mode_the_machine_administers_and_other_machines_do_not() {
    let routes = |server: &Server| {
        let id = "0".repeat(32);
        [
            ("GET", CONNECTIONS.to_owned(), ""),
            ("DELETE", format!("{CONNECTIONS}/{id}"), ""),
            ("POST", "/api/v1/users/ada/disconnect".to_owned(), ""),
            (
                "POST",
                "/api/v1/users/ada/subscribe".to_owned(),
                r#"{"room":"a"}"#,
            ),
            (
                "POST",
                "/api/v1/users/ada/unsubscribe".to_owned(),
                r#"{"room":"a"}"#,
            ),
            ("GET", "/api/v1/rooms".to_owned(), ""),
            ("GET", "/api/v1/ws/stats".to_owned(), ""),
        ]
        .map(|(method, target, body)| request(server, method, &target, &[], body).status())
    };
    let binary = env!("CARGO_BIN_EXE_kinglet");
    let open = [200, 404, 200, 200, 200, 200, 200];
    assert_eq!(routes(&start(&[])), open);
    let listen = [("KINGLET_SERVER__LISTEN", "127.0.0.1:0")];
    let insecure = Server::start_with(binary, &["--insecure"], &listen);
    assert_eq!(routes(&insecure), [403, 403, 403, 403, 403, 200, 200]);
    let answer = request(&insecure, "GET", CONNECTIONS, &[], "");
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("--insecure-runs") && message.contains("token"),
        "{message}"
    );
    let runs = Server::start_with(binary, &["--insecure", "--insecure-runs"], &listen);
    assert_eq!(routes(&runs), open);
}
