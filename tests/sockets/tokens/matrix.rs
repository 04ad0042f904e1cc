//! Every route against every kind of caller.

use std::collections::BTreeSet;
use std::time::Duration;

use kinglet::app::http::routes::table::ROUTES;
use kinglet::app::http::routes::{Kind, Route};
use kinglet::base::clock::{Clock, Wall};
use kinglet::testkit::client::Connection;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens::{Token, after};
use kinglet::wire::http::client::encode_request;
use serde_json::json;

use super::{AGENT_KEY, CHAT_KEY, ROOT_KEY, ask_as, secured, session};
use crate::request;

/// Who is let in where; written down here once more, so that the table of routes cannot change
/// without this one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    /// Anybody, whatever they show.
    Anybody,
    /// Anybody, but who shows a credential shows a good one.
    Scrapers,
    /// Whoever shows a good credential; what is inside is filtered or refused piece by piece.
    Known,
    /// Whoever has a grant in the room `chat:1`.
    Granted,
    /// Whoever may subscribe to the room `metrics`: every user, and keys by their grants.
    Watchers,
    /// Admins.
    Admins,
    /// Users with a token, and who may show one later.
    Users,
    /// Users with a token.
    UsersNow,
    /// Whoever can sign the body with a secret, which the server has none of here.
    Signers,
}

const RIGHTS: &[(&str, For)] = &[
    ("GET /ws", For::Users),
    ("GET /ws/echo", For::UsersNow),
    ("GET /ws/metrics", For::UsersNow),
    ("POST /api/v1/publish", For::Granted),
    ("POST /api/v1/batch", For::Known),
    ("GET /api/v1/rooms", For::Known),
    ("GET /api/v1/rooms/{room}", For::Granted),
    ("GET /api/v1/rooms/{room}/history", For::Granted),
    ("GET /api/v1/rooms/{room}/presence", For::Granted),
    ("DELETE /api/v1/rooms/{room}/history", For::Admins),
    ("GET /api/v1/rooms/{room}/events", For::Granted),
    ("GET /api/v1/events", For::Granted),
    ("POST /api/v1/events", For::Granted),
    ("POST /api/v1/webhooks/github", For::Signers),
    ("GET /api/v1/webhooks/github/health", For::Anybody),
    ("GET /api/docs", For::Anybody),
    ("GET /openapi.json", For::Anybody),
    ("GET /asyncapi.json", For::Anybody),
    // What is granted is looked at project by project, once its id is one.
    ("GET /api/v1/projects", For::Known),
    ("POST /api/v1/projects", For::Known),
    ("GET /api/v1/projects/{id}", For::Known),
    ("DELETE /api/v1/projects/{id}", For::Known),
    ("GET /api/v1/projects/{id}/runs", For::Known),
    ("POST /api/v1/projects/{id}/runs", For::Known),
    ("GET /api/v1/runs/{id}", For::Known),
    ("DELETE /api/v1/runs/{id}", For::Known),
    ("POST /api/v1/runs/{id}/input", For::Known),
    ("POST /api/v1/runs/{id}/permissions/{request}", For::Known),
    ("GET /api/v1/errors", For::Admins),
    ("GET /api/v1/connections", For::Admins),
    ("DELETE /api/v1/connections/{id}", For::Admins),
    ("POST /api/v1/users/{user}/disconnect", For::Admins),
    ("POST /api/v1/users/{user}/subscribe", For::Admins),
    ("POST /api/v1/users/{user}/unsubscribe", For::Admins),
    ("POST /api/v1/tokens/check", For::Known),
    ("GET /api/v1/metrics", For::Watchers),
    ("GET /api/v1/server", For::Admins),
    ("GET /metrics", For::Scrapers),
    ("GET /api/v1/ws/stats", For::Admins),
    ("GET /api/v1/websocket/stats", For::Admins),
    ("GET /health", For::Anybody),
    ("GET /health/live", For::Anybody),
    ("GET /health/ready", For::Anybody),
    ("GET /", For::Anybody),
    ("GET /dashboard/{file}", For::Anybody),
];

/// A kind of caller, and how far it gets.
struct Caller {
    name: &'static str,
    headers: Vec<(&'static str, String)>,
    rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rank {
    /// Shows nothing.
    Nobody,
    /// Shows what is not accepted.
    Refused,
    /// Is known, without a grant in the room.
    Known,
    /// Has a grant in the room.
    Granted,
    /// May do everything.
    Admin,
}

fn bearer(name: &'static str, credential: &str, rank: Rank) -> Caller {
    Caller {
        name,
        headers: vec![("Authorization", format!("Bearer {credential}"))],
        rank,
    }
}

fn keyed(name: &'static str, key: &str, rank: Rank) -> Caller {
    Caller {
        name,
        headers: vec![("X-API-Key", key.to_owned())],
        rank,
    }
}

fn callers() -> Vec<Caller> {
    let ada = Token::of("ada");
    let now = Clock::start().now().wall;
    let past = Token::new("ada", Wall::from_millis(now.as_millis() - 60_000));
    let in_chat = ["publish", "presence", "history", "subscribe"];
    let mut callers = vec![
        Caller {
            name: "nothing",
            headers: Vec::new(),
            rank: Rank::Nobody,
        },
        bearer("no credential of ours", "nonsense", Rank::Refused),
        bearer("no token", "a.b.c", Rank::Refused),
        bearer("an expired token", &past.sign(), Rank::Refused),
        bearer(
            "a forged token",
            &ada.sign_with(&"x".repeat(40)),
            Rank::Refused,
        ),
        bearer(
            "an unknown role",
            &ada.clone().role("root").sign(),
            Rank::Refused,
        ),
        bearer("half a key", ROOT_KEY.split_at(20).0, Rank::Refused),
        bearer("a user", &ada.sign(), Rank::Known),
        bearer(
            "a reader",
            &ada.clone().role("readonly").sign(),
            Rank::Known,
        ),
        bearer("an agent", &ada.clone().role("agent").sign(), Rank::Known),
        bearer(
            "a talker",
            &ada.clone().room("chat:*", &in_chat).sign(),
            Rank::Granted,
        ),
        bearer("an admin", &ada.role("admin").sign(), Rank::Admin),
        keyed(
            "another key",
            "the-key-of-nobody-at-all-0000001",
            Rank::Refused,
        ),
        keyed(
            "a token as key",
            &Token::of("ada").role("admin").sign(),
            Rank::Refused,
        ),
        bearer("a role's key", AGENT_KEY, Rank::Known),
        bearer("a room's key", CHAT_KEY, Rank::Granted),
        bearer("the root's key", ROOT_KEY, Rank::Admin),
        keyed("a role's key", AGENT_KEY, Rank::Known),
        keyed("a room's key", CHAT_KEY, Rank::Granted),
        keyed("the root's key", ROOT_KEY, Rank::Admin),
    ];
    let mut basic = bearer("a password", "", Rank::Refused);
    basic.headers = vec![("Authorization", "Basic YTpi".to_owned())];
    callers.push(basic);
    let mut twice = bearer("two tokens", ROOT_KEY, Rank::Refused);
    twice.headers.push(twice.headers[0].clone());
    callers.push(twice);
    let mut twice = keyed("two keys", ROOT_KEY, Rank::Refused);
    twice.headers.push(("X-API-Key", CHAT_KEY.to_owned()));
    callers.push(twice);
    // A key beside something else is the one that counts.
    let mut both = keyed("a key and a password", CHAT_KEY, Rank::Granted);
    both.headers
        .push(("Authorization", "Basic YTpi".to_owned()));
    callers.push(both);
    let mut both = keyed("a bad key and a good token", "nonsense", Rank::Refused);
    both.headers
        .push(("Authorization", format!("Bearer {ROOT_KEY}")));
    callers.push(both);
    callers
}

/// What a caller is to be refused with, if it is.
fn refusal(rights: For, caller: &Caller) -> Option<u16> {
    let is_user = |caller: &Caller| {
        let token = caller
            .headers
            .iter()
            .any(|(_, value)| value.matches('.').count() == 2);
        token && caller.rank != Rank::Refused
    };
    let shows = caller
        .headers
        .iter()
        .any(|(name, _)| *name == "Authorization");
    match (rights, caller.rank) {
        (For::Anybody, _) | (For::Scrapers, Rank::Nobody) => None,
        (For::Signers, _) => Some(403),
        (For::Users, _) if !shows => None,
        (For::Users | For::UsersNow, _) => (!is_user(caller)).then_some(401),
        (_, Rank::Nobody | Rank::Refused) => Some(401),
        (For::Watchers, _) => {
            let is_of_chat = |(_, value): &(_, String)| value.contains(CHAT_KEY);
            caller.headers.iter().any(is_of_chat).then_some(403)
        }
        (For::Known | For::Scrapers, _) | (_, Rank::Admin) | (For::Granted, Rank::Granted) => None,
        (For::Granted, Rank::Known) | (For::Admins, Rank::Known | Rank::Granted) => Some(403),
    }
}

fn spelt(route: &Route) -> String {
    format!("{} {}", route.method.as_str(), route.path)
}

/// Asks for a route in a form that is good, whoever asks.
fn ask(server: &Server, route: &Route, method: &str, caller: &Caller) -> (u16, String, String) {
    let headers: Vec<(&str, &str)> = caller
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let target = route
        .path
        .replace("{room}", "chat:1")
        .replace("{id}", &"0".repeat(32))
        .replace("{user}", "nobody");
    if matches!(route.kind, Kind::Upgrade(_)) {
        let connection = Connection::open(server.address());
        return match Socket::handshake(connection, &target, &[], &headers) {
            Ok(_) => (101, String::new(), String::new()),
            Err(refusal) => told(&refusal),
        };
    }
    if matches!(route.kind, Kind::Events) {
        return listen(server, &format!("{target}?room=chat:1"), &headers);
    }
    let body = match route.path {
        "/api/v1/publish" => r#"{"room":"chat:1","event":"said"}"#,
        "/api/v1/events" => {
            r#"{"type":"project.updated","data":{"project_id":"1"},"rooms":["chat:1"]}"#
        }
        "/api/v1/batch" => r#"{"commands":[{"publish":{"room":"chat:1","event":"said"}}]}"#,
        path if path.ends_with("subscribe") => r#"{"room":"chat:1"}"#,
        _ => "",
    };
    told(&request(server, method, &target, &headers, body))
}

/// The same for a stream, whose answer does not end if there is one.
fn listen(server: &Server, target: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut connection = Connection::open(server.address());
    let host = connection.host();
    connection.send(encode_request("GET", target, &host, headers, b""));
    let head = String::from_utf8(connection.take_through(b"\r\n\r\n")).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status == 200 {
        return (200, String::new(), String::new());
    }
    let body = connection.take_through(b"}}");
    let challenge = if head.contains("WWW-Authenticate: Bearer\r\n") {
        "Bearer"
    } else {
        ""
    };
    (
        status,
        challenge.to_owned(),
        String::from_utf8(body).unwrap(),
    )
}

fn told(answer: &kinglet::testkit::client::Answer) -> (u16, String, String) {
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    (
        answer.status(),
        answer.header("www-authenticate").to_owned(),
        body,
    )
}

#[test]
fn every_route_is_for_whom_it_should_be() {
    let listed: BTreeSet<String> = RIGHTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let routes: BTreeSet<String> = ROUTES.iter().map(spelt).collect();
    assert_eq!(listed, routes, "every route belongs into RIGHTS");
    let server = secured(&[("KINGLET_DEBUG__ECHO", "true")]);
    let mut refused = 0;
    for route in ROUTES {
        let name = spelt(route);
        let rights = RIGHTS.iter().find(|(listed, _)| *listed == name).unwrap().1;
        for caller in &callers() {
            let what = format!("{name} by {}", caller.name);
            let (status, challenge, body) = ask(&server, route, route.method.as_str(), caller);
            match refusal(rights, caller) {
                Some(expected) => {
                    refused += 1;
                    assert_eq!(status, expected, "{what}: {body}");
                    let code = if expected == 401 {
                        "UNAUTHORIZED"
                    } else {
                        "PERMISSION_DENIED"
                    };
                    assert!(body.contains(code), "{what}: {body}");
                    assert_eq!(
                        challenge == "Bearer",
                        expected == 401,
                        "{what}: {challenge}"
                    );
                }
                None => assert!(
                    ![401, 403, 500, 503].contains(&status),
                    "{what}: {status} {body}"
                ),
            }
            if route.method.as_str() == "GET" && matches!(route.kind, Kind::Api { .. }) {
                assert_eq!(
                    ask(&server, route, "HEAD", caller).0,
                    status,
                    "HEAD of {what}"
                );
                refused += u64::from(refusal(rights, caller).is_some());
            }
            for (_, credential) in &caller.headers {
                assert!(
                    credential.len() < 20 || !body.contains(credential),
                    "{what}: {body}"
                );
            }
        }
    }
    assert_eq!(server.counter("kinglet_credentials_refused_total"), refused);
}

#[test]
fn no_route_knows_the_callers_in_open_mode() {
    let server = crate::start(&[("KINGLET_DEBUG__ECHO", "true")]);
    for route in ROUTES {
        for caller in &callers() {
            let (status, _, body) = ask(&server, route, route.method.as_str(), caller);
            let is_check = route.path.ends_with("check");
            let name = spelt(route);
            // Deliveries are known by their signature, and without a secret there is none.
            let is_signed = name == "POST /api/v1/webhooks/github";
            let refused = [401, 403, 500].contains(&status);
            assert_eq!(refused, is_signed, "{name} {status} {body}");
            assert!(!is_check || body == r#"{"mode":"open"}"#, "{body}");
        }
    }
}

#[test]
fn another_users_token_reaches_nothing_of_a_user() {
    let server = secured(&[]);
    let mut ada = session(&server, "/ws", &Token::of("ada"));
    let listed = ask_as(ROOT_KEY, &server, "GET", "/api/v1/connections?user=ada", "").json();
    let id = listed["connections"][0]["id"].as_str().unwrap().to_owned();
    let body = r#"{"room":"user:ada","event":"said"}"#;
    assert_eq!(
        ask_as(ROOT_KEY, &server, "POST", "/api/v1/publish", body).status(),
        200
    );
    assert_eq!(ada.message()["type"], "said");
    let every = ["subscribe", "publish", "history", "presence", "run"];
    let bob = Token::of("bob").role("agent").room("*", &every).sign();
    let check = |method: &str, target: &str, body: &str| {
        let target = target.replace("{id}", &id);
        let answer = ask_as(&bob, &server, method, &target, body);
        assert_eq!(answer.status(), 403, "{method} {target}: {answer:?}");
        assert!(!format!("{answer:?}").contains("said"));
        // Nor does the answer tell whether there is such a thing.
        let absent = target.replace("ada", "eve").replace(&id, &"0".repeat(32));
        let other = ask_as(&bob, &server, method, &absent, &body.replace("ada", "eve"));
        let other = format!("{other:?}").replace("eve", "ada");
        assert_eq!(format!("{answer:?}"), other, "{method} {target}");
    };
    check("GET", "/api/v1/rooms/user:ada", "");
    check("GET", "/api/v1/rooms/user:ada/presence", "");
    check("GET", "/api/v1/rooms/user%3Aada", "");
    check("GET", "/api/v1/rooms/user:ada/history", "");
    check("DELETE", "/api/v1/rooms/user:ada/history", "");
    check("POST", "/api/v1/publish", body);
    check("DELETE", "/api/v1/connections/{id}", "");
    check("POST", "/api/v1/users/ada/disconnect", "");
    check(
        "POST",
        "/api/v1/users/ada/subscribe",
        r#"{"room":"project:1"}"#,
    );
    check(
        "POST",
        "/api/v1/users/ada/unsubscribe",
        r#"{"room":"global"}"#,
    );
    check("GET", "/api/v1/connections?user=ada", "");
    let batch = json!({"commands": [{"publish": {"room": "user:ada", "event": "said"}}]});
    let answer = ask_as(&bob, &server, "POST", "/api/v1/batch", &batch.to_string()).json();
    assert_eq!(answer["results"][0]["error"]["code"], "PERMISSION_DENIED");
    let rooms = ask_as(&bob, &server, "GET", "/api/v1/rooms", "").json();
    assert!(!rooms.to_string().contains("ada"), "{rooms}");
    ada.hears_nothing();
}

#[test]
fn the_list_of_rooms_holds_those_that_the_caller_may_see() {
    let server = secured(&[]);
    let rooms = json!([
        "project:1",
        "project:2",
        "chat:1",
        "chat:2",
        "user:ada",
        "user:bob",
        "x"
    ]);
    let body = json!({"rooms": rooms, "event": "said"}).to_string();
    assert_eq!(
        ask_as(ROOT_KEY, &server, "POST", "/api/v1/publish", &body).status(),
        200
    );
    let check = |bearer: &str, query: &str, expected: &[&str], more: bool| {
        let answer = ask_as(bearer, &server, "GET", &format!("/api/v1/rooms{query}"), "").json();
        let rooms = answer["rooms"].as_array().unwrap();
        let names: Vec<&str> = rooms
            .iter()
            .map(|room| room["room"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
        assert_eq!(answer["more"], more, "{query}");
    };
    let ada = Token::of("ada").sign();
    let every = [
        "chat:1",
        "chat:2",
        "project:1",
        "project:2",
        "user:ada",
        "user:bob",
        "x",
    ];
    check(ROOT_KEY, "", &every, false);
    check(&Token::of("me").role("admin").sign(), "", &every, false);
    check(&ada, "", &["project:1", "project:2", "user:ada"], false);
    check(&ada, "?prefix=user:", &["user:ada"], false);
    check(&ada, "?limit=2", &["project:1", "project:2"], true);
    check(&ada, "?limit=2&after=project:2", &["user:ada"], false);
    check(&ada, "?limit=1&prefix=chat:", &[], false);
    check(CHAT_KEY, "", &["chat:1", "chat:2"], false);
    check(AGENT_KEY, "", &["project:1", "project:2"], false);
    let blind = Token::of("ada")
        .room("x", &["subscribe", "publish", "history"])
        .sign();
    check(&blind, "?prefix=x", &[], false);
}

#[test]
fn a_token_can_be_asked_what_it_grants() {
    let server = secured(&[]);
    let now = Clock::start().now().wall;
    let end = Wall::from_millis(after(now, Duration::from_secs(60)).as_millis() / 1000 * 1000);
    let talker = Token::new("ada", end)
        .role("agent")
        .room("chat:{sub}", &["publish"]);
    let check = |bearer: &str, body: &str| ask_as(bearer, &server, "POST", PATH, body);
    const PATH: &str = "/api/v1/tokens/check";
    let told = check(&talker.sign(), "").json();
    assert_eq!(told["mode"], "token");
    assert_eq!(
        (&told["user"], &told["role"]),
        (&json!("ada"), &json!("agent"))
    );
    assert_eq!(told["expires"], end.to_rfc3339());
    let rooms = told["rooms"].as_array().unwrap();
    assert_eq!(rooms.len(), 8);
    assert!(rooms.contains(&json!({"pattern": "chat:{sub}", "allow": ["publish"]})));
    // The token of the body counts before the one that asks, and needs none.
    let body = json!({"token": talker.sign()}).to_string();
    assert_eq!(check(ROOT_KEY, &body).json(), told);
    assert_eq!(request(&server, "POST", PATH, &[], &body).json(), told);
    let admin = check(ROOT_KEY, "").json();
    let everything = json!([{"pattern": "*", "allow":
        ["subscribe", "publish", "history", "presence", "run"]}]);
    assert_eq!(admin["rooms"], everything);
    assert_eq!(
        (&admin["key"], &admin["role"]),
        (&json!("root"), &json!("admin"))
    );
    let bad = json!({"token": talker.sign_with(&"y".repeat(40))}).to_string();
    let refused = check(ROOT_KEY, &bad);
    assert_eq!(
        (refused.status(), refused.code()),
        (401, "UNAUTHORIZED".to_owned())
    );
    // An API key is no token, and is not tried as one.
    let key = json!({"token": ROOT_KEY}).to_string();
    assert_eq!(request(&server, "POST", PATH, &[], &key).status(), 401);
    for wrong in [r#"{"tokn":"x"}"#, r#"{"token":7}"#, "[]", "{"] {
        assert_eq!(check(ROOT_KEY, wrong).status(), 400, "{wrong}");
    }
    assert_eq!(request(&server, "POST", PATH, &[], "").status(), 401);
}
