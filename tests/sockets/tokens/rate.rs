//! The rate of a user and of an API key, on sockets and over HTTP.

use kinglet::testkit::client::Answer;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::tokens::Token;
use serde_json::json;

use super::{CHAT_KEY, ROOT_KEY, ask_as, secured, session};

/// More than can be asked while the first are earned back.
const MANY: usize = 200;

/// The first answer that is a refusal, and how many others came before it.
fn first_refused(server: &Server, bearer: &str) -> (usize, Answer) {
    let ask = || ask_as(bearer, server, "GET", "/api/v1/rooms", "");
    let mut answers = std::iter::repeat_with(ask).take(MANY).enumerate();
    let refused = answers.find(|(_, answer)| answer.status() == 429);
    refused.expect("a refusal")
}

#[test]
fn a_user_over_its_rate_is_refused_wherever_it_asks_and_a_key_by_itself() {
    let server = secured(&[
        ("KINGLET_LIMITS__USER_REQUESTS_PER_SECOND", "1"),
        ("KINGLET_LIMITS__USER_REQUEST_BURST", "5"),
    ]);
    let ada = Token::of("ada").role("admin");
    let mut socket = session(&server, "/ws", &ada);
    let (before, refused) = first_refused(&server, &ada.sign());
    assert!(before >= 5, "{before}");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.code(), "RATE_LIMITED");
    let subscribe = json!({"type": "subscribe", "room": "global"});
    let refused = (0..MANY)
        .map(|_| socket.ask(&subscribe))
        .find(|reply| reply["type"] == "error");
    let data = &refused.expect("a refusal")["data"];
    assert_eq!(data["code"], "RATE_LIMITED");
    let wait = data["details"]["retry_after"].as_f64().unwrap();
    assert!(wait > 0.0 && wait <= 1.0, "{data}");

    // Others are not held up: a key is charged by its name.
    for key in [ROOT_KEY, CHAT_KEY] {
        let (before, _) = first_refused(&server, key);
        assert!(before >= 5, "{before}");
    }
    assert!(server.counter("kinglet_rate_limited_users_total") >= 4);
    assert_eq!(server.counter("kinglet_rate_limited_requests_total"), 0);
    until("the next token", || {
        socket.ask(&subscribe)["type"] == "subscribed"
    });
}
