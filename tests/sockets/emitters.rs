//! Back ends that emit by way of Redis: the packages that others wrote, a real redis-server, the
//! real binary. Skipped, with a line that says so, where one of them is not installed.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kinglet::testkit::client::{Connection, note};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::{javascript, python, succeeds};
use crate::relay::Relay;
use crate::start;

/// A running redis-server, ended by its id.
struct Redis {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Redis {
    /// One on a port that was free a moment ago; `None` if the program is not installed, which is
    /// said.
    fn start() -> Option<Self> {
        let asked = Command::new("redis-server").arg("--version").output();
        if asked.is_err() {
            note("skipped: redis-server is not installed (apt-get install redis-server)");
            return None;
        }
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let child = Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(["--port", &address.port().to_string()])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let mut redis = Self {
                child,
                address,
                _folder: folder,
            };
            let mut is_there = false;
            until("redis-server listens or ends", || {
                let has_ended = redis.child.try_wait().unwrap().is_some();
                is_there = !has_ended && Connection::try_open(address).is_ok();
                has_ended || is_there
            });
            if is_there {
                return Some(redis);
            }
        }
        panic!("no redis-server came to listen");
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that listens to the Redis at `url` as soon as it is connected.
fn connected(url: &str, settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("KINGLET_EMITTERS__REDIS_URL", url)];
    all.extend(settings);
    let server = start(&all);
    until("the server is connected to Redis", || {
        server.stderr().contains("emitters_connected")
    });
    server
}

/// A client in the rooms that the emitters emit to, and its session.
fn member(server: &Server) -> (Socket, String) {
    let connection = Connection::open(server.address());
    let target = "/ws?room=global&room=back&room=kept:1";
    let mut socket = Socket::handshake(connection, target, &["kinglet.v1"], &[]).unwrap();
    let hello = socket.message();
    let session = hello["session"].as_str().unwrap().to_owned();
    (socket, session)
}

/// The next events that a client hears, so many; not what it is told of its rooms.
fn heard(socket: &mut Socket, count: usize) -> Vec<(String, Value, Value)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let mut message = socket.message();
        let kind = message["type"].as_str().unwrap().to_owned();
        if !matches!(kind.as_str(), "subscribed" | "unsubscribed") {
            heard.push((kind, message["room"].take(), message["data"].take()));
        }
    }
    heard
}

fn expected(events: &[(&str, &str, Value)]) -> Vec<(String, Value, Value)> {
    let events = events.iter();
    let owned = events.map(|(event, room, data)| ((*event).into(), json!(room), data.clone()));
    owned.collect()
}

/// What both versions of python-socketio emit, all of it in order.
fn by_python() -> Vec<(String, Value, Value)> {
    let numbers = json!([1, -2, 300, 70000, 1_099_511_627_776_u64, 1.5, true, null]);
    let bytes = json!({ "base64": "AP8=" });
    expected(&[
        (
            "everybody",
            "global",
            json!({ "n": numbers, "text": "zwei ✓" }),
        ),
        ("nothing", "back", json!(null)),
        ("several", "back", json!(["one", { "two": 2 }])),
        ("list", "back", json!([1, 2])),
        ("bytes", "back", bytes.clone()),
        ("nested", "back", json!({ "inside": [bytes] })),
        ("rooms", "back", json!(1)),
        ("kept", "kept:1", json!(1)),
        (
            "project.updated",
            "back",
            json!({ "project_id": "1", "status": "active" }),
        ),
        ("inside", "entered", json!(1)),
        ("last", "back", json!(1)),
    ])
}

/// The events without those of the durable room, which come when they are written, and those.
fn apart(mut heard: Vec<(String, Value, Value)>) -> [Vec<(String, Value, Value)>; 2] {
    let kept = heard
        .extract_if(.., |(event, ..)| event == "kept")
        .collect();
    [heard, kept]
}

/// Has python-socketio emit, that of `folder` if there is one.
fn python_emits(folder: Option<&Path>) {
    let (Some(redis), Some(_)) = (Redis::start(), python("emitters.py", "")) else {
        return;
    };
    let server = connected(&redis.url(), &[("KINGLET_ROOMS__KEPT__DURABLE", "true")]);
    let (mut socket, session) = member(&server);
    let mut back_end = python("emitters.py", &redis.url()).unwrap();
    back_end.arg(&session).args(folder);
    succeeds(Some(back_end));
    let expected = by_python();
    assert_eq!(apart(heard(&mut socket, expected.len())), apart(expected));
    let count = |what: &str| server.counter(&format!("kinglet_emitter_{what}_total"));
    until("the durable one is counted", || count("published") == 15);
    assert_eq!(
        (count("messages"), count("refused"), count("ignored")),
        (19, 3, 1)
    );
}

#[test]
fn python_socketio_emits_to_every_room() {
    python_emits(None);
}

#[test]
fn python_socketio_of_the_time_of_pickles_emits_to_every_room() {
    let Ok(interpreter) = std::env::var("KINGLET_TEST_PYTHON") else {
        return note(
            "skipped: KINGLET_TEST_PYTHON is not set; `make test` installs python-socketio",
        );
    };
    // Beside the interpreter's folder, because there is one of each package in it.
    let folder = Path::new(&interpreter).with_file_name("../pickles");
    assert!(
        folder.join("socketio").is_dir(),
        "{} is missing",
        folder.display()
    );
    python_emits(Some(&folder));
}

/// Has a package of Node emit, which a member hears; gives the server, if all that is needed is
/// installed.
fn node_emits(version: &str, expected: Vec<(String, Value, Value)>) -> Option<Server> {
    let redis = Redis::start()?;
    let folder = javascript().inspect_err(|why| note(&format!("skipped: Node's emitters, {why}")));
    let folder = folder.ok()?;
    let server = connected(&redis.url(), &[("KINGLET_ROOMS__KEPT__DURABLE", "true")]);
    let (mut socket, session) = member(&server);
    let mut back_end = Command::new("node");
    back_end.arg(Path::new(&folder).join("emitters.mjs"));
    back_end.args([&redis.url(), &session, version]);
    succeeds(Some(back_end));
    assert_eq!(apart(heard(&mut socket, expected.len())), apart(expected));
    Some(server)
}

#[test]
fn nodes_emitter_emits_to_every_room() {
    let data = json!({
        "n": [1, -2, 300, 70000, 1_099_511_627_776_u64, 1.5, true, null],
        "text": "zwei ✓",
        "at": "2023-11-14T22:13:20.123Z",
    });
    let bytes = json!({ "base64": "AP8=" });
    let events = expected(&[
        ("everybody", "global", data),
        ("nothing", "back", json!(null)),
        ("several", "back", json!(["one", { "two": 2 }])),
        ("list", "back", json!([1, 2])),
        ("bytes", "back", bytes.clone()),
        ("nested", "back", json!({ "inside": [bytes] })),
        ("rooms", "back", json!(1)),
        ("kept", "kept:1", json!(1)),
        (
            "project.updated",
            "back",
            json!({ "project_id": "1", "status": "active" }),
        ),
        ("last", "back", json!(1)),
    ]);
    let Some(server) = node_emits("new", events) else {
        return;
    };
    let count = |what: &str| server.counter(&format!("kinglet_emitter_{what}_total"));
    until("the durable one is counted", || count("published") == 11);
    assert_eq!((count("messages"), count("refused")), (15, 4));
}

#[test]
fn nodes_emitter_of_old_emits_to_every_room() {
    let data = json!({
        "n": [1, -2, 300, 70000, 1_099_511_627_776_u64, 1.5, true, null],
        "text": "zwei ✓",
        "at": "2023-11-14T22:13:20.123Z",
    });
    let events = expected(&[
        ("everybody", "global", data),
        ("several", "back", json!(["one", null])),
        ("bytes", "back", json!({ "base64": "AP8=" })),
        ("rooms", "back", json!(1)),
        ("last", "back", json!(1)),
    ]);
    node_emits("old", events);
}

/// The check of Redis in `/health`.
fn health(server: &Server) -> String {
    let health = kinglet::testkit::client::get(server.address(), "/health").json();
    health["checks"]["redis"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Publishes what everybody in the room `back` is to hear, as any client of Redis can.
fn emit(redis: &Redis) {
    publish(
        redis,
        r#"{"method":"emit","event":"last","data":1,"room":"back"}"#,
    );
}

fn publish(redis: &Redis, message: &str) {
    let length = message.len();
    let command = format!("*3\r\n$7\r\nPUBLISH\r\n$8\r\nsocketio\r\n${length}\r\n{message}\r\n");
    let mut connection = Connection::open(redis.address);
    connection.send(command);
    let answer = connection.take_through(b"\r\n");
    assert_eq!(answer, b":1\r\n", "somebody listens");
}

/// A session of Socket.IO in a namespace, on a WebSocket.
fn session(server: &Server, namespace: &str) -> Socket {
    let mut socket = Socket::open(server.address(), "/socket.io/?EIO=4&transport=websocket");
    says(&mut socket, "0{");
    socket.text(&format!("40{namespace}"));
    says(&mut socket, &format!("40{namespace}{{"));
    socket
}

/// Waits for the packet that begins so; gives the rest of it.
fn says(socket: &mut Socket, beginning: &str) -> String {
    loop {
        match socket.receive() {
            Received::Text(text) => {
                if let Some(rest) = text.strip_prefix(beginning) {
                    return rest.to_owned();
                }
            }
            other => panic!("{beginning} was expected, not {other:?}"),
        }
    }
}

#[test]
fn sessions_of_every_namespace_hear_what_is_emitted_in_one() {
    let Some(redis) = Redis::start() else { return };
    let server = connected(&redis.url(), &[]);
    let (mut native, _) = member(&server);
    let mut plain = session(&server, "");
    let mut enveloped = session(&server, "/ws,");
    let data =
        r#"{"type":"said","timestamp":"2026-01-01T00:00:00","source":"cron","data":{"n":1}}"#;
    publish(
        &redis,
        &format!(
            r#"{{"method":"emit","event":"said","data":[{data}],"binary":false,"namespace":"/ws"}}"#
        ),
    );
    let heard = native.message();
    assert_eq!(
        (&heard["source"], &heard["data"]),
        (&json!("cron"), &json!({ "n": 1 }))
    );
    assert_eq!(says(&mut plain, r#"42["said","#), r#"{"n":1}]"#);
    let rest = says(&mut enveloped, r#"42/ws,["said","#);
    let argument: Value = serde_json::from_str(rest.strip_suffix(']').unwrap()).unwrap();
    assert_eq!(argument["type"], "said");
    assert_eq!(
        (&argument["source"], &argument["data"]),
        (&json!("cron"), &json!({ "n": 1 }))
    );
    publish(
        &redis,
        r#"{"method":"emit","event":"bytes","data":[[{"_placeholder":true,"num":0}],"AP8="],
        "binary":true,"namespace":"/"}"#,
    );
    says(&mut plain, r#"451-["bytes",{"_placeholder":true,"num":0}]"#);
    assert_eq!(plain.receive(), Received::Binary(vec![0, 255]));
    assert_eq!(native.message()["data"], json!({ "base64": "AP8=" }));
}

#[test]
fn a_redis_that_dies_is_found_again_and_nobody_notices_but_by_its_silence() {
    let Some(redis) = Redis::start() else { return };
    let relay = Relay::start(redis.address);
    let url = relay.url().replace("http://", "redis://");
    let server = connected(&url, &[]);
    let (mut socket, _) = member(&server);
    emit(&redis);
    assert_eq!(
        heard(&mut socket, 1),
        expected(&[("last", "back", json!(1))])
    );
    assert_eq!(health(&server), "ok");
    drop(redis);
    until("the loss is seen", || health(&server) != "ok");
    assert!(server.stderr().contains("emitters_disconnected"));
    let alive = socket.ask(&json!({ "type": "ping" }));
    assert_eq!(alive["type"], "pong");
    let Some(redis) = Redis::start() else { return };
    relay.lead_to(Some(redis.address));
    until("the server is connected again", || health(&server) == "ok");
    emit(&redis);
    assert_eq!(
        heard(&mut socket, 1),
        expected(&[("last", "back", json!(1))])
    );
    assert_eq!(server.counter("kinglet_emitter_reconnects_total"), 1);
    let told = server.stderr();
    let lines = |what: &str| told.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("emitters_connected"), 2, "{told}");
    assert_eq!(lines("emitters_disconnected"), 1, "{told}");
}

#[test]
fn a_server_starts_and_ends_without_its_redis_and_says_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Somebody who takes connections and never says a word.
    let url = format!("redis://user:geheim@{}", listener.local_addr().unwrap());
    let mut server = start(&[("KINGLET_EMITTERS__REDIS_URL", &url)]);
    assert_eq!(health(&server), "not connected");
    let (mut socket, _) = member(&server);
    assert_eq!(socket.ask(&json!({ "type": "ping" }))["type"], "pong");
    drop(listener);
    until("the failure is told", || {
        server.stderr().contains("emitters_disconnected")
    });
    server.signal("TERM");
    assert_eq!(server.wait(), 0);
    assert!(!server.stderr().contains("geheim"), "{}", server.stderr());
}
