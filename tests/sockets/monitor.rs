//! What happens when the server has too much in memory: it refuses what is new, serves what is there,
//! gives up what nobody needs, and recovers by itself.

use kinglet::testkit::client::{Connection, get};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use serde_json::{Value, json};

use crate::{request, start};

/// Rooms with one large publication each, within what one session may be in.
const ROOMS: usize = 120;

/// Bytes of each; all of them are more than the server of these tests may have.
const BYTES: usize = 900_000;

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn limited() -> Server {
    start(&[
        ("KINGLET_LIMITS__MEMORY_MB", "100"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
        // Who is busy publishing answers no pings.
        ("KINGLET_HEARTBEAT__PING_INTERVAL", "1h"),
    ])
}

/// Publishes to all rooms on a connection that was there before; the one session that is open does not
/// get it.
fn fill(steady: &mut Connection) {
    let listed = steady
        .request("GET", "/api/v1/connections", &[], b"")
        .json();
    let session = listed["connections"][0]["id"].as_str().unwrap();
    let text = "x".repeat(BYTES);
    for room in 0..ROOMS {
        let room = format!("fill:{room}");
        let body = json!({"room": room, "event": "said", "data": text, "except": session});
        let answer = steady.request("POST", "/api/v1/publish", &[], body.to_string().as_bytes());
        assert_eq!(answer.status(), 200, "{}", answer.code());
    }
}

/// Has the server look at its resources until `is_so`.
fn look_until(server: &Server, what: &str, mut is_so: impl FnMut() -> bool) {
    until(what, || {
        server.signal("USR2");
        is_so()
    });
}

fn limits_check(server: &Server) -> (u16, Value, Value) {
    let answer = get(server.address(), "/health");
    let json = answer.json();
    (
        answer.status(),
        json["status"].clone(),
        json["checks"]["limits"].clone(),
    )
}

#[test]
fn over_the_limit_on_memory_it_refuses_what_is_new_and_recovers_by_itself() {
    let server = limited();
    let mut steady = server.connect();
    let mut session = Socket::open(server.address(), "/ws?room=steady");
    assert_eq!(limits_check(&server).2, "ok");
    let rooms: Vec<String> = (0..ROOMS).map(|room| format!("fill:{room}")).collect();
    for room in &rooms {
        let joined = session.ask(&json!({"type": "subscribe", "room": room}));
        assert_eq!(joined["type"], "subscribed", "{joined}");
    }
    fill(&mut steady);
    look_until(&server, "it is over its limit", || {
        limits_check(&server).2 == "over the limit on memory"
    });

    // A member that is behind reads from these histories, so nothing gives them up.
    let history = steady.request("GET", "/api/v1/rooms/fill:0/history", &[], b"");
    assert_eq!(history.json()["publications"].as_array().unwrap().len(), 1);
    let (status, state, _) = limits_check(&server);
    assert_eq!(status, 200);
    assert!(state == "degraded" || state == "unhealthy", "{state}");
    assert_eq!(get(server.address(), "/health/ready").status(), 503);
    let refused = request(&server, "GET", "/ws", &UPGRADE, "");
    assert_eq!(
        (refused.status(), refused.code()),
        (503, "RESOURCE_LIMIT".to_owned())
    );
    assert_eq!(refused.header("Retry-After"), "5");
    let details = &refused.json()["error"]["details"];
    assert_eq!(
        (&details["resource"], &details["limit"]),
        (&json!("memory"), &json!(100 << 20))
    );
    assert!(
        details["current"].as_u64().unwrap() > 100 << 20,
        "{details}"
    );
    assert_eq!(
        request(&server, "GET", "/api/v1/rooms", &[], "").status(),
        503
    );
    let errors = get(server.address(), "/api/v1/errors?limit=300").json();
    let errors = errors["errors"].as_array().unwrap();
    let is_told = |line: &Value| {
        let message = line["message"].as_str().unwrap();
        line["level"] == "warn" && message.starts_with("resource_over resource=memory ")
    };
    assert_eq!(
        errors.iter().filter(|line| is_told(line)).count(),
        1,
        "{errors:?}"
    );

    // Who was there before is served as ever.
    assert_eq!(session.ask(&json!({"type": "ping"}))["type"], "pong");
    assert_eq!(
        steady
            .request("GET", "/api/v1/rooms/fill:0", &[], b"")
            .status(),
        200
    );
    let upgrade = steady.request("GET", "/ws", &UPGRADE, b"");
    assert_eq!(
        (upgrade.status(), upgrade.code()),
        (503, "RESOURCE_LIMIT".to_owned())
    );

    for room in &rooms {
        let left = session.ask(&json!({"type": "unsubscribe", "room": room}));
        assert_eq!(left["type"], "unsubscribed", "{left}");
    }
    look_until(&server, "it is below its limit", || {
        limits_check(&server).2 != "over the limit on memory"
    });
    let mut newcomer = Socket::open(server.address(), "/ws?room=steady");
    let back = json!({"type": "subscribe", "room": "fill:0", "since": 0});
    let joined = newcomer.ask(&back);
    assert_eq!(
        (&joined["recovered"], &joined["offset"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(get(server.address(), "/health/ready").status(), 200);
    assert!(server.counter("kinglet_history_released_total") >= 1);
    assert!(server.counter("kinglet_caches_released_total") >= 1);
    assert!(server.counter("kinglet_sessions_refused_resource_total") >= 1);
    assert_eq!(session.ask(&json!({"type": "ping"}))["type"], "pong");
}
