//! Connection state recovery as an attacker sees it: a `pid` is a secret, and no right outlives
//! what it came from.

use kinglet::domain::access::ADMIN;
use kinglet::testkit::client::{Connection, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::testkit::socket_io::{Heard, Recovery, SocketIoClient, event};
use kinglet::testkit::tokens::{self, Token};
use serde_json::{Value, json};

use crate::session::{Session, WEBSOCKET, hear};
use crate::start;

const RECOVERY: [(&str, &str); 2] = [
    ("KINGLET_SOCKETIO__RECOVERY", "2m"),
    ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
];

/// A client on a WebSocket in the main namespace.
struct Client {
    socket: Socket,
    inner: SocketIoClient,
}

impl Client {
    /// Connects as whoever `auth` says, and with what `recovery` says to come back to.
    fn connect(server: &Server, auth: Option<&Value>, recovery: Option<&Recovery>) -> Self {
        let mut client = Self {
            socket: Socket::open(server.address(), WEBSOCKET),
            inner: SocketIoClient::default(),
        };
        let open = hear(&mut client.socket);
        client.inner.text(&open);
        if let Some(recovery) = recovery {
            let known = &mut client.inner.recovery;
            known.insert("/".to_owned(), recovery.clone());
        }
        let asked = client.inner.connect("/", auth);
        client.socket.text(&asked);
        client
    }

    /// What is heard next.
    fn next(&mut self) -> Heard {
        loop {
            if !self.inner.heard.is_empty() {
                return self.inner.heard.remove(0);
            }
            match self.socket.receive() {
                Received::Text(text) => self.inner.text(&text),
                Received::Binary(bytes) => self.inner.binary(&bytes),
                other => panic!("a packet was expected, not {other:?}"),
            }
        }
    }

    /// Waits for the end of its connection; nothing is told before.
    fn ends(&mut self) {
        let end = self.socket.receive();
        let is_end = matches!(end, Received::Close(..) | Received::None(_));
        assert!(is_end, "{end:?}");
    }

    /// The ids that it is let in with.
    fn ids(&mut self) -> (String, String) {
        match self.next() {
            Heard::Connected(_, reply) => {
                let id = |name: &str| reply[name].as_str().unwrap().to_owned();
                (id("sid"), id("pid"))
            }
            other => panic!("it is not let in: {other:?}"),
        }
    }

    /// Subscribes; the message of the acknowledgement's error, if it is one.
    fn subscribe(&mut self, room: &str) -> Option<String> {
        let frame = event("/", "subscribe", &json!([{ "room": room }]), 0, Some(1));
        self.socket.text(&frame);
        loop {
            if let Heard::Ack { array, .. } = self.next() {
                let message = array[0].get("message").and_then(Value::as_str);
                return message.map(str::to_owned);
            }
        }
    }

    /// The data of the next event `said`.
    fn said(&mut self) -> Value {
        loop {
            if let Heard::Event { array, .. } = self.next()
                && array[0] == "said"
            {
                return array[1].clone();
            }
        }
    }

    /// Where it could come back to, once it has been told where it stands.
    fn place(&mut self) -> Recovery {
        loop {
            let place = self.inner.recovery.get("/").cloned().unwrap_or_default();
            if place.pid.is_some() && place.offset.is_some() {
                return place;
            }
            let heard = self.next();
            assert!(!matches!(heard, Heard::Refused(..)), "{heard:?}");
        }
    }
}

fn say(server: &Server, bearer: Option<&str>, room: &str, data: Value) {
    let mut body = json!({"room": room, "event": "said"});
    body["data"] = data;
    let answer = match bearer {
        None => post(server.address(), "/api/v1/publish", &body),
        Some(bearer) => {
            let headers = [("Authorization", bearer)];
            let mut connection = Connection::open(server.address());
            let body = body.to_string();
            connection.request("POST", "/api/v1/publish", &headers, body.as_bytes())
        }
    };
    assert_eq!(answer.status(), 200, "{answer:?}");
}

fn auth(token: &Token) -> Value {
    json!({"token": token.sign()})
}

#[test]
fn without_recovery_no_pid_is_told_and_none_is_taken() {
    let server = start(&[]);
    let stolen = Recovery {
        pid: Some("made-up".to_owned()),
        offset: Some("1".to_owned()),
    };
    let mut client = Client::connect(&server, None, Some(&stolen));
    match client.next() {
        Heard::Connected(_, reply) => assert_eq!(reply.as_object().unwrap().len(), 1, "{reply}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pid_that_was_never_told_is_answered_with_a_fresh_session() {
    let server = start(&RECOVERY);
    for (pid, offset) in [("made-up", "1"), ("", ""), ("__proto__", "constructor")] {
        let stolen = Recovery {
            pid: Some(pid.to_owned()),
            offset: Some(offset.to_owned()),
        };
        let (_, told) = Client::connect(&server, None, Some(&stolen)).ids();
        assert_ne!(told, pid);
        assert!(told.len() >= 22, "{told}");
    }
}

#[test]
fn a_client_comes_back_to_all_its_rooms_and_misses_nothing() {
    let server = start(&RECOVERY);
    let mut client = Client::connect(&server, None, None);
    let ids = client.ids();
    for room in ["a", "b"] {
        assert_eq!(client.subscribe(room), None);
    }
    say(&server, None, "a", json!(1));
    assert_eq!(client.said(), 1);
    let place = client.place();
    drop(client);
    for (room, data) in [("a", 2), ("b", 3), ("a", 4)] {
        say(&server, None, room, json!(data));
    }
    let mut client = Client::connect(&server, None, Some(&place));
    assert_eq!(client.ids(), ids);
    for data in 2..=4 {
        assert_eq!(client.said(), data);
    }
    say(&server, None, "b", json!(5));
    assert_eq!(client.said(), 5);
}

#[test]
fn a_client_comes_back_to_a_place_twice_from_the_same_offset() {
    let server = start(&RECOVERY);
    let mut client = Client::connect(&server, None, None);
    let ids = client.ids();
    assert_eq!(client.subscribe("a"), None);
    let place = client.place();
    drop(client);
    say(&server, None, "a", json!(1));
    // What was sent on a connection that is cut may not have arrived.
    for _ in 0..2 {
        let mut client = Client::connect(&server, None, Some(&place));
        assert_eq!(client.ids(), ids);
        assert_eq!(client.said(), 1);
    }
}

#[test]
fn a_client_that_comes_back_before_its_old_connection_is_gone_has_it_all_on_the_new_one() {
    let server = start(&RECOVERY);
    let mut old = Client::connect(&server, None, None);
    let (id, _) = old.ids();
    assert_eq!(old.subscribe("a"), None);
    let place = old.place();
    say(&server, None, "a", json!(1));
    assert_eq!(old.said(), 1);
    // Over polling there is nowhere for the answer to go until a poll asks for it.
    let session = Session::open(&server);
    let mut inner = SocketIoClient::default();
    inner.recovery.insert("/".to_owned(), place);
    session.says(inner.connect("/", None));
    old.ends();
    // The last of them says where the client stands now.
    let packets = session.hear(3);
    assert!(packets[0].contains(&id), "{packets:?}");
    assert!(packets[1].starts_with("42[\"said\",1,"), "{packets:?}");
}

#[test]
fn an_offset_that_was_never_told_is_answered_with_a_fresh_session() {
    let server = start(&RECOVERY);
    let mut client = Client::connect(&server, None, None);
    let (id, _) = client.ids();
    assert_eq!(client.subscribe("a"), None);
    let mut place = client.place();
    drop(client);
    say(&server, None, "a", json!(1));
    place.offset = Some("never-told".to_owned());
    let mut client = Client::connect(&server, None, Some(&place));
    let (fresh, _) = client.ids();
    assert_ne!(fresh, id);
    // It is in no room: never a part.
    say(&server, None, "a", json!(2));
    assert_eq!(client.subscribe("a"), None);
    say(&server, None, "a", json!(3));
    assert_eq!(client.said(), 3);
}

#[test]
fn another_user_with_a_stolen_pid_gets_a_fresh_session_of_their_own() {
    let server = start(&[&tokens::VARIABLES[..], &RECOVERY].concat());
    let root = Token::of("root").role(ADMIN).bearer();
    let ada = Token::of("ada").room("chat:*", &["subscribe"]);
    let mut client = Client::connect(&server, Some(&auth(&ada)), None);
    let (id, pid) = client.ids();
    assert_eq!(client.subscribe("chat:ada"), None);
    let place = client.place();
    drop(client);
    say(&server, Some(&root), "chat:ada", json!("secret"));

    let thief = Token::of("mallory").room("chat:*", &["subscribe"]);
    let mut client = Client::connect(&server, Some(&auth(&thief)), Some(&place));
    let (fresh, told) = client.ids();
    assert_ne!((&fresh, &told), (&id, &pid));
    assert_eq!(client.subscribe("chat:mallory"), None);
    say(&server, Some(&root), "chat:mallory", json!("own"));
    assert_eq!(client.said(), "own");

    // The owner is not harmed by it.
    let mut client = Client::connect(&server, Some(&auth(&ada)), Some(&place));
    assert_eq!(client.ids(), (id, pid));
    assert_eq!(client.said(), "secret");
}

#[test]
fn a_token_that_is_not_good_any_more_is_refused_whatever_the_pid() {
    let server = start(&[&tokens::VARIABLES[..], &RECOVERY].concat());
    let ada = Token::of("ada");
    let mut client = Client::connect(&server, Some(&auth(&ada)), None);
    client.ids();
    let place = client.place();
    drop(client);
    let forged = json!({"token": ada.sign_with("another secret, which is long enough as well")});
    for shown in [Some(&forged), None] {
        let mut client = Client::connect(&server, shown, Some(&place));
        let heard = client.next();
        assert!(matches!(heard, Heard::Refused(..)), "{heard:?}");
    }
}

#[test]
fn a_right_that_is_gone_is_not_recovered() {
    let server = start(&[&tokens::VARIABLES[..], &RECOVERY].concat());
    let root = Token::of("root").role(ADMIN).bearer();
    let ada = Token::of("ada").room("chat:*", &["subscribe"]);
    let mut client = Client::connect(&server, Some(&auth(&ada)), None);
    client.ids();
    for room in ["chat:1", "project:1"] {
        assert_eq!(client.subscribe(room), None);
    }
    let place = client.place();
    drop(client);
    for room in ["chat:1", "project:1"] {
        say(
            &server,
            Some(&root),
            room,
            json!(format!("missed in {room}")),
        );
    }
    // The same user with less.
    let mut client = Client::connect(&server, Some(&auth(&Token::of("ada"))), Some(&place));
    client.ids();
    say(&server, Some(&root), "chat:1", json!("not for ada"));
    say(&server, Some(&root), "user:ada", json!("last"));
    let mut said = Vec::new();
    while said.last().is_none_or(|data| *data != "last") {
        said.push(client.said());
    }
    assert!(!said.contains(&json!("missed in chat:1")), "{said:?}");
    assert!(!said.contains(&json!("not for ada")), "{said:?}");
}

#[test]
fn a_user_who_was_sent_away_does_not_come_back_by_a_pid() {
    let server = start(&[&tokens::VARIABLES[..], &RECOVERY].concat());
    let root = Token::of("root").role(ADMIN).bearer();
    let mallory = Token::of("mallory");
    let mut client = Client::connect(&server, Some(&auth(&mallory)), None);
    let (id, _) = client.ids();
    let place = client.place();
    let headers = [("Authorization", root.as_str())];
    let mut connection = Connection::open(server.address());
    let target = "/api/v1/users/mallory/disconnect";
    let answer = connection.request("POST", target, &headers, b"");
    assert_eq!(answer.status(), 200, "{answer:?}");
    until("it is sent away", || {
        matches!(client.next(), Heard::Disconnected(_) | Heard::Closed)
    });
    let mut client = Client::connect(&server, Some(&auth(&mallory)), Some(&place));
    match client.next() {
        Heard::Connected(_, reply) => assert_ne!(reply["sid"], id.as_str()),
        Heard::Refused(..) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_place_that_is_too_old_is_answered_with_a_fresh_session() {
    let server = start(&[("KINGLET_SOCKETIO__RECOVERY", "100ms")]);
    let mut client = Client::connect(&server, None, None);
    let (id, _) = client.ids();
    assert_eq!(client.subscribe("old"), None);
    let place = client.place();
    drop(client);
    until("nobody is in the room any more", || {
        let stats = kinglet::testkit::client::get(server.address(), "/api/v1/websocket/stats");
        stats.json()["rooms"].get("old").is_none()
    });
    let (fresh, _) = Client::connect(&server, None, Some(&place)).ids();
    assert_ne!(fresh, id);
}

#[test]
fn who_missed_more_than_is_kept_gets_a_fresh_session_and_never_a_part() {
    let server = start(&RECOVERY);
    let mut client = Client::connect(&server, None, None);
    let (id, _) = client.ids();
    assert_eq!(client.subscribe("a"), None);
    let place = client.place();
    drop(client);
    for number in 0..300 {
        say(&server, None, "a", json!(number));
    }
    let mut client = Client::connect(&server, None, Some(&place));
    let (fresh, _) = client.ids();
    assert_ne!(fresh, id);
    assert_eq!(client.subscribe("a"), None);
    say(&server, None, "a", json!("next"));
    assert_eq!(client.said(), "next");
}
