//! Messages over polling: bodies of several packets, bytes, what is refused, what runs in parallel.

use kinglet::testkit::client::{Answer, Connection};
use kinglet::testkit::server::until;
use kinglet::wire::http::client::encode_request;

use crate::session::{BAD_REQUEST, POLLING, Session, packets, text};
use crate::{echoing, on_both};

const MAX_PAYLOAD: usize = 1_000_000;

#[test]
fn a_message_is_posted_and_polled() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        session.says("42[\"message\",\"grüße ✓ 😀\"]");
        assert_eq!(session.hear(1), ["42[\"message-back\",\"grüße ✓ 😀\"]"]);
    });
}

#[test]
fn several_packets_come_and_go_in_one_body_in_their_order() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let said: Vec<String> = (0..12)
            .map(|number| format!("42[\"message\",{number}]"))
            .collect();
        session.says(said.join("\x1e"));
        let expected: Vec<String> = (0..12)
            .map(|number| format!("42[\"message-back\",{number}]"))
            .collect();
        let answer = session.poll();
        assert_eq!(packets(&answer), expected);
    });
}

#[test]
fn bytes_travel_in_base64_between_packets_of_text() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let place = "{\"_placeholder\":true,\"num\":0}";
        session.says(format!(
            "42[\"message\",1]\x1e451-[\"message\",{place}]\x1ebAQIDBA==\x1e42[\"message\",2]"
        ));
        let heard = session.hear(4);
        let back = format!("451-[\"message-back\",{place}]");
        let first = "42[\"message-back\",1]";
        let last = "42[\"message-back\",2]";
        assert_eq!(heard, [first, &back, "bAQIDBA==", last]);
    });
}

#[test]
fn a_poll_hangs_until_there_is_something_to_say() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut parked = session.park();
        session.says("42[\"message\",1]");
        assert_eq!(parked.packets(), ["42[\"message-back\",1]"]);
    });
}

/// Bodies that are no payload: the POST is refused and the session is over.
const NO_PAYLOADS: [&str; 6] = [
    "abc",
    "9",
    "",
    "42[\"message\",1]\x1eabc",
    "42[\"message\",1]\x1e\x1e42[\"message\",2]",
    "\x1e",
];

#[test]
fn a_body_that_is_no_payload_ends_the_session() {
    on_both(&[], |server| {
        for body in NO_PAYLOADS {
            let session = Session::connected(server);
            let answer = session.post(body);
            // The reference answers some of them before it looks into them.
            assert!(matches!(answer.status(), 200 | 400), "{body:?}: {answer:?}");
            session.is_over();
        }
    });
    let server = echoing(&[]);
    for body in NO_PAYLOADS {
        let session = Session::connected(&server);
        let answer = session.post(body);
        let found = (answer.status(), text(&answer));
        assert_eq!(found, (400, BAD_REQUEST.to_owned()), "{body:?}");
    }
}

#[test]
fn a_body_up_to_the_limit_is_taken_and_one_more_byte_is_not() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let around = "42[\"message\",\"\"]".len();
        let word = "x".repeat(MAX_PAYLOAD - around);
        session.says(format!("42[\"message\",\"{word}\"]"));
        assert_eq!(
            session.hear(1),
            [format!("42[\"message-back\",\"{word}\"]")]
        );

        let too_big = format!("42[\"message\",\"{word}x\"]");
        let mut connection = Connection::open(server.address());
        let host = connection.host();
        let target = session.target("polling");
        // It may be refused, and the connection gone, before all of it is sent.
        let request = encode_request("POST", &target, &host, &[], too_big.as_bytes());
        let _ = connection.try_send(&request);
        if let Ok(answer) = connection.answer(false) {
            assert!(matches!(answer.status(), 400 | 413), "{answer:?}");
        }
    });
}

#[test]
fn a_second_poll_is_refused_and_ends_the_session() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let (mut one, mut other) = (session.park(), session.park());
        // Which one comes first is for the network to say.
        check_parallel(&one.answer(), &other.answer());
        session.is_over();
    });
}

fn check_parallel(one: &Answer, other: &Answer) {
    let (kept, refused) = match one.status() {
        200 => (one, other),
        _ => (other, one),
    };
    assert_eq!((kept.status(), &*text(kept)), (200, "1"));
    assert_eq!(refused.status(), 400, "{refused:?}");
}

#[test]
fn a_second_post_is_refused_and_ends_the_session() {
    on_both(&[], |server| {
        let session = Session::connected(server);
        let mut first = Connection::open(server.address());
        let body = "42[\"message\",1]";
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            session.target("polling"),
            first.host(),
            body.len()
        );
        first.send(&head);
        first.send(&body[..5]);
        let mut parked = session.park();
        // The first may not have arrived yet: then the second is taken, and another one will not be.
        let refused = (0..1000).map(|_| session.post(body));
        let refused = refused
            .filter(|answer| answer.status() != 200)
            .map(|answer| answer.status())
            .next();
        assert_eq!(refused, Some(400));
        // A poll that came too late for the good-bye is refused.
        let last = parked.answer();
        assert!(matches!(last.status(), 200 | 400), "{last:?}");
        session.is_over();
    });
}

#[test]
fn a_client_that_gives_its_poll_up_ends_the_session() {
    let server = echoing(&[]);
    let session = Session::connected(&server);
    drop(session.park());
    // What is posted before the server has seen it is taken.
    until("the session is over", || session.post("3").status() == 400);
    session.is_over();
}

#[test]
fn pages_of_other_sites_read_nothing() {
    on_both(&[], |server| {
        let origin = [("Origin", "https://evil.example")];
        let mut connection = Connection::open(server.address());
        let answer = connection.request("GET", POLLING, &origin, b"");
        let allowed = answer.header("access-control-allow-origin");
        assert!(
            !["*", "https://evil.example"].contains(&allowed),
            "{allowed}"
        );
    });
}
