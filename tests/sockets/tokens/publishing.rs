//! Who may publish where, and whose an idempotency key is.

use kinglet::testkit::server::Server;
use kinglet::testkit::tokens::Token;
use serde_json::json;

use super::{AGENT_KEY, CHAT_KEY, ROOT_KEY, ask_as, secured, session};
use crate::request;

fn publish(server: &Server, bearer: &str, room: &str) -> u16 {
    let body = json!({"room": room, "event": "said"}).to_string();
    ask_as(bearer, server, "POST", "/api/v1/publish", &body).status()
}

#[test]
fn the_policy_binds_tokens_and_not_keys_and_grants_bind_both() {
    let server = secured(&[
        ("KINGLET_ROOMS__CHAT__PUBLISH", "server"),
        ("KINGLET_ROOMS__PROJECT__PUBLISH", "members"),
    ]);
    let granted = Token::of("ada").room("*", &["publish"]).sign();
    let user = Token::of("ada").sign();
    let agent = Token::of("ada").role("agent").sign();
    let admin = Token::of("ada").role("admin").sign();
    let check = |room: &str, expected: [u16; 7]| {
        let bearers = [
            &granted, &user, &agent, &admin, ROOT_KEY, CHAT_KEY, AGENT_KEY,
        ];
        let found = bearers.map(|bearer| publish(&server, bearer, room));
        assert_eq!(found, expected, "{room}");
    };
    // A grant, a user, an agent, an admin; the keys of the root, of chat and of an agent.
    check("any", [200, 403, 403, 200, 200, 403, 403]);
    check("chat:1", [403, 403, 403, 200, 200, 200, 403]);
    check("metrics", [403, 403, 403, 200, 200, 403, 403]);
    check("project:1", [200, 403, 200, 200, 200, 403, 200]);
    check("user:ada", [403, 403, 403, 200, 200, 403, 403]);
    // On a socket membership is enough where members may publish.
    let mut ada = session(&server, "/ws?room=project:1", &Token::of("ada"));
    let publish = json!({"type": "publish", "room": "project:1", "event": "said"});
    assert_eq!(ada.ask(&publish)["type"], "published");
}

#[test]
fn several_rooms_are_all_granted_or_none_is_published_to() {
    let server = secured(&[]);
    let body = json!({"rooms": ["chat:1", "project:1"], "event": "said"}).to_string();
    let answer = ask_as(CHAT_KEY, &server, "POST", "/api/v1/publish", &body);
    assert_eq!(answer.status(), 403);
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("project:1") && !message.contains("chat:1"),
        "{message}"
    );
    let rooms = ask_as(ROOT_KEY, &server, "GET", "/api/v1/rooms", "").json();
    assert_eq!(rooms["rooms"], json!([]));
}

#[test]
fn a_batch_is_granted_piece_by_piece() {
    let server = secured(&[]);
    let commands = ["chat:1", "project:1", "chat:2"]
        .map(|room| json!({"publish": {"room": room, "event": "said"}}));
    let body = json!({"commands": commands}).to_string();
    let answer = ask_as(CHAT_KEY, &server, "POST", "/api/v1/batch", &body).json();
    assert_eq!(answer["results"][0]["results"][0]["offset"], 1);
    assert_eq!(answer["results"][1]["error"]["code"], "PERMISSION_DENIED");
    assert_eq!(answer["results"][2]["results"][0]["offset"], 1);
}

#[test]
fn an_idempotency_key_is_its_credentials_and_not_its_addresss() {
    let server = secured(&[]);
    let body = json!({"room": "project:1", "event": "said", "data": 1, "id": "k"}).to_string();
    let offset = |bearer: &str| {
        let answer = ask_as(bearer, &server, "POST", "/api/v1/publish", &body).json();
        answer["results"][0]["offset"].as_u64().unwrap()
    };
    let (ada, bob) = (
        Token::of("ada").role("agent"),
        Token::of("bob").role("agent"),
    );
    assert_eq!(offset(&ada.sign()), 1);
    assert_eq!(offset(&bob.sign()), 2);
    assert_eq!(offset(AGENT_KEY), 3);
    assert_eq!(offset(ROOT_KEY), 4);
    // A user whose id is the name of a key is not that key.
    assert_eq!(offset(&Token::of("root").role("agent").sign()), 5);
    // Another token of the same user, the other header of the same key, a socket: a repeat.
    let other = ada.clone().room("chat:*", &["publish"]);
    assert_eq!(offset(&other.sign()), 1);
    let keyed = [("X-API-Key", AGENT_KEY)];
    let answer = request(&server, "POST", "/api/v1/publish", &keyed, &body).json();
    assert_eq!(answer["results"][0]["offset"], 3);
    let mut socket = session(&server, "/ws", &bob);
    let command = json!({"type": "publish", "room": "project:1", "event": "said", "data": 1,
                         "key": "k"});
    assert_eq!(socket.ask(&command)["offset"], 2);
    assert_eq!(server.counter("kinglet_publications_total"), 5);
    assert_eq!(server.counter("kinglet_idempotent_repeats_total"), 3);
}
