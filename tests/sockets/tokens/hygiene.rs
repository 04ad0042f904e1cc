//! No credential and no secret gets into the log or an answer.

use kinglet::app::http::routes::Kind;
use kinglet::app::http::routes::table::ROUTES;
use kinglet::testkit::client::Connection;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::testkit::tokens::{SECRET, Token};
use serde_json::json;

use super::{AGENT_KEY, CHAT_KEY, ROOT_KEY, ask_as, secured, session};
use crate::request;

/// What must not be found: whole credentials, and of tokens the parts that matter.
fn secrets(tokens: &[String]) -> Vec<String> {
    let keys = [ROOT_KEY, CHAT_KEY, AGENT_KEY, SECRET].map(str::to_owned);
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1));
    let parts = parts.filter(|part| part.len() > 10).map(str::to_owned);
    keys.into_iter().chain(parts).collect()
}

fn holds_none(secrets: &[String], text: &str, what: &str) {
    for secret in secrets {
        assert!(
            !text.contains(secret.as_str()),
            "{what} holds {secret}: {text}"
        );
    }
}

/// Every way in which a credential can reach the server, good and bad; returns what was answered.
fn show_everywhere(server: &Server, token: &str) -> Vec<String> {
    let bearer = format!("Bearer {token}");
    let authorization = [("Authorization", bearer.as_str())];
    let mut heard = Vec::new();
    for (method, target, body) in [
        ("GET", "/api/v1/rooms", String::new()),
        ("GET", "/nowhere", String::new()),
        (
            "POST",
            "/api/v1/publish",
            json!({"room": "no room", "event": token}).to_string(),
        ),
        (
            "POST",
            "/api/v1/tokens/check",
            json!({"token": token}).to_string(),
        ),
        ("GET", "/api/v1/connections/", String::new()),
    ] {
        heard.push(format!(
            "{:?}",
            request(server, method, target, &authorization, &body)
        ));
        let raw = [("Authorization", token), ("X-API-Key", token)];
        heard.push(format!("{:?}", request(server, method, target, &raw, "")));
        heard.push(format!(
            "{:?}",
            request(server, method, target, &raw[1..], "")
        ));
    }
    let offered = format!("bearer.{token}");
    let query = format!("/ws?token={token}");
    for (target, protocols, headers) in [
        ("/ws", &["kinglet.v1"][..], &authorization[..]),
        ("/ws?room=no%20room", &["kinglet.v1"], &authorization),
        ("/ws", &["kinglet.v1", &offered], &[]),
        ("/ws", &[&offered], &[]),
        (&query, &[], &[]),
    ] {
        let connection = Connection::open(server.address());
        match Socket::handshake(connection, target, protocols, headers) {
            Ok(mut socket) => heard.push(format!("{:?}", socket.receive())),
            Err(refusal) => heard.push(format!("{refusal:?}")),
        }
    }
    for message in [
        json!({"type": "auth", "token": token}).to_string(),
        format!("{{\"type\":\"auth\",\"token\":\"{token}\""),
        json!({"type": "auth", "token": [token]}).to_string(),
        json!({"type": token}).to_string(),
    ] {
        let mut socket = Socket::open(server.address(), "/ws");
        socket.text(&message);
        let first = socket.receive();
        // An unknown type is repeated to whoever sent it, as in any version.
        if !message.starts_with(&format!("{{\"type\":\"{token}")) {
            heard.push(format!("{first:?}"));
        }
    }
    // What breaks HTTP itself is logged as a fault.
    let mut broken = Connection::open(server.address());
    broken.send(format!(
        "GET / HTTP/1.1\r\nHost: x\r\nAuthorization : {token}\r\n\r\n"
    ));
    heard.push(format!("{:?}", broken.answer(false)));
    heard
}

#[test]
fn credentials_are_in_no_log_and_no_answer() {
    for level in ["debug", "trace"] {
        let mut server = secured(&[("KINGLET_LOG__LEVEL", level)]);
        let ada = Token::of("ada").room("chat:*", &["publish"]);
        let forged = ada.sign_with("another secret of thirty-two bytes or more");
        let tokens = [ada.sign(), forged, Token::of("me").role("admin").sign()];
        let secrets = secrets(&tokens);
        let shown = tokens.iter().map(String::as_str);
        for credential in shown.chain([ROOT_KEY, CHAT_KEY, AGENT_KEY, "nonsense-but-long-enough"]) {
            for answer in show_everywhere(&server, credential) {
                holds_none(&secrets, &answer, "an answer");
            }
        }
        let mut socket = session(&server, "/ws", &ada);
        socket.json(&json!({"type": "auth", "token": tokens[1]}));
        assert!(matches!(socket.receive(), Received::Text(text) if text.contains("UNAUTHORIZED")));
        server.signal("USR2");
        until("the counters are logged", || {
            server.stderr().contains("kinglet_tokens_refused")
        });
        server.signal("TERM");
        assert_eq!(server.wait(), 0);
        let log = server.stderr();
        assert!(
            log.contains("session_opened") && log.contains("refused"),
            "{log}"
        );
        holds_none(&secrets, &log, "the log");
        assert!(!log.contains("nonsense-but-long-enough"), "{log}");
    }
}

#[test]
fn no_answer_shows_the_configuration() {
    let server = secured(&[]);
    let _ada = session(&server, "/ws", &Token::of("ada"));
    let secrets = secrets(&[]);
    for route in ROUTES
        .iter()
        .filter(|route| matches!(route.kind, Kind::Api { .. }))
    {
        let target = route
            .path
            .replace("{room}", "user:ada")
            .replace("{user}", "ada");
        let answer = ask_as(ROOT_KEY, &server, route.method.as_str(), &target, "");
        holds_none(&secrets, &format!("{answer:?}"), route.path);
    }
}

#[test]
fn a_key_that_may_do_everything_is_told_of_at_the_start() {
    let server = secured(&[]);
    until("it is told", || {
        server.stderr().contains("admin_key name=\"root\"")
    });
    let log = server.stderr();
    assert_eq!(log.matches("admin_key").count(), 1, "{log}");
}
