//! Clients that do not read, or send too much: they are paused, told and dropped, and nobody else
//! notices (incident 9 of the wire list).

use std::time::{Duration, Instant};

use kinglet::testkit::client::{Arrival, Connection, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::json;

use crate::{start, still_serves};

/// Bytes of replies that may wait for a client that does not read: its outbox, what was read in
/// one turn, and some more for the other clients of the test.
const OWED_MAX: u64 = 2 << 20;

/// A client at `target` sends `frames` of `sent` bytes over and over and never reads the replies of
/// `reply` bytes: it is paused when its outbox is full, then dropped for the stall, while another
/// client is answered at once all the time.
fn check_paused_and_dropped(
    target: &str,
    (sent, reply): (u64, u64),
    frames: impl Fn(&mut Socket, &mut Vec<u8>),
) {
    let server = start(&[
        ("KINGLET_LIMITS__WRITE_TIMEOUT", "1s"),
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
        ("KINGLET_DEBUG__ECHO", "true"),
    ]);
    let mut good = Socket::open(server.address(), "/ws?room=good");
    let mut greedy = Socket::open(server.address(), target);
    let mut burst = Vec::new();
    for _ in 0..500 {
        frames(&mut greedy, &mut burst);
    }
    assert_eq!(burst.len() as u64, 500 * sent);
    let flood = std::thread::spawn(move || while greedy.connection.try_send(&burst).is_ok() {});
    while !flood.is_finished() {
        let asked = Instant::now();
        assert_eq!(good.ask(&json!({"type": "ping"}))["type"], "pong");
        assert!(asked.elapsed() < Duration::from_secs(1), "the others wait");
    }
    until("it is dropped", || {
        server.counter("kinglet_write_stalls_total") == 1
    });
    let owed = server.counter("kinglet_bytes_received_total") / sent * reply;
    let kept = owed.saturating_sub(server.counter("kinglet_bytes_sent_total"));
    assert!(kept < OWED_MAX, "the server kept {kept} bytes for it");
    assert_eq!(good.ask(&json!({"type": "ping"}))["type"], "pong");
}

#[test]
fn a_client_that_sends_pings_and_never_reads_is_dropped() {
    check_paused_and_dropped("/ws", (131, 127), |socket, out| {
        socket.mask(true, Opcode::Ping, &[b'x'; 125], out);
    });
}

#[test]
fn a_client_that_asks_and_never_reads_is_dropped() {
    check_paused_and_dropped("/ws", (151, 186), |socket, out| {
        let message = format!("{{\"type\":\"ping\",\"id\":\"{}\"}}", "x".repeat(120));
        socket.mask(true, Opcode::Text, message.as_bytes(), out);
    });
}

#[test]
fn a_client_of_the_echo_that_never_reads_is_dropped() {
    check_paused_and_dropped("/ws/echo", (1008, 1004), |socket, out| {
        socket.mask(true, Opcode::Binary, &[b'x'; 1000], out);
    });
}

#[test]
fn a_paused_client_that_reads_again_loses_nothing() {
    let server = start(&[("KINGLET_DEBUG__ECHO", "true")]);
    let mut socket = Socket::open(server.address(), "/ws/echo");
    let mut burst = Vec::new();
    let (count, payload) = (40, vec![b'x'; 1 << 20]);
    for _ in 0..count {
        socket.mask(true, Opcode::Binary, &payload, &mut burst);
    }
    // 40 MiB each way is more than the kernel's buffers hold, so both sides come to a stop.
    let mut sent = 0;
    loop {
        let piece = socket
            .connection
            .send_some(&burst[sent..], Duration::from_millis(300));
        match piece.unwrap() {
            0 => break,
            taken => sent += taken,
        }
    }
    assert!(sent < burst.len(), "was never paused");
    for _ in 0..count {
        // What arrives makes room for what is left to be sent.
        while sent < burst.len() {
            let piece = socket
                .connection
                .send_some(&burst[sent..], Duration::from_millis(1));
            match piece.unwrap() {
                0 => break,
                taken => sent += taken,
            }
        }
        assert!(socket.receive() == Received::Binary(payload.clone()));
    }
}

#[test]
fn over_the_message_rate_reading_pauses_and_loses_nothing() {
    let server = start(&[
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "20"),
        ("KINGLET_LIMITS__MESSAGE_BURST", "5"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws");
    let mut bytes = Vec::new();
    for number in 0..25 {
        let message = json!({"type": "ping", "id": number}).to_string();
        socket.mask(true, Opcode::Text, message.as_bytes(), &mut bytes);
    }
    let began = Instant::now();
    socket.connection.send(bytes);
    for number in 0..25 {
        assert_eq!(socket.message()["id"], number);
    }
    // Five at once and the sixth starts the pause; nineteen more at twenty a second.
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    assert!(server.counter("kinglet_rate_paused_total") >= 10);
    still_serves(&server);
}

#[test]
fn whoever_sends_far_too_much_is_closed_with_4003() {
    let server = start(&[
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "1"),
        ("KINGLET_LIMITS__MESSAGE_BURST", "1"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws");
    let message = json!({"type": "ping"}).to_string();
    let mut bytes = Vec::new();
    for _ in 0..30 {
        socket.mask(true, Opcode::Text, message.as_bytes(), &mut bytes);
    }
    socket.connection.send(bytes);
    let closed = loop {
        match socket.receive() {
            // Between two answers lies a second.
            Received::Text(_) | Received::None(Arrival::Nothing) => {}
            other => break other,
        }
    };
    assert!(matches!(closed, Received::Close(4003, _)), "{closed:?}");
    assert_eq!(server.counter("kinglet_rate_closed_total"), 1);
}

fn publish(server: &Server, client: &mut Connection, data: &str) -> u64 {
    let body = json!({"room": "busy", "event": "tick", "data": data}).to_string();
    let answer = client.request("POST", "/api/v1/publish", &[], body.as_bytes());
    assert_eq!(answer.status(), 200, "{answer:?} {}", server.stderr());
    answer.json()["results"][0]["offset"].as_u64().unwrap()
}

#[test]
fn a_slow_consumer_is_closed_with_4000_and_the_others_see_every_offset() {
    let server = start(&[
        ("KINGLET_LIMITS__OUTBOX_MESSAGES", "8"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
    ]);
    let mut slow = Socket::open(server.address(), "/ws?room=busy");
    let mut quick = Socket::open(server.address(), "/ws?room=busy");
    let mut publisher = Connection::open(server.address());
    let large = "x".repeat(256 * 1024);
    let mut last = 0;
    // What the kernel holds for the slow one has to be filled first.
    while server.counter("kinglet_slow_consumers_closed_total") == 0 {
        last = publish(&server, &mut publisher, &large);
        assert_eq!(quick.message()["offset"], last);
        assert!(last < 400, "the slow one is never closed");
    }
    for _ in 0..5 {
        last = publish(&server, &mut publisher, "small");
        assert_eq!(quick.message()["offset"], last);
    }
    // It got an unbroken beginning, then the reason.
    let mut expected = 1;
    loop {
        match slow.receive() {
            Received::Text(text) => {
                let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(message["offset"], expected);
                expected += 1;
            }
            Received::Close(code, reason) => {
                assert_eq!((code, reason.as_str()), (4000, "slow consumer"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(expected <= last, "it missed nothing");
    assert_eq!(server.counter("kinglet_slow_consumers_closed_total"), 1);
    assert!(server.counter("kinglet_messages_dropped_total") > 0);
}

#[test]
fn one_message_of_any_allowed_size_always_fits() {
    let server = start(&[("KINGLET_LIMITS__OUTBOX_BYTES", "1KiB")]);
    let mut member = Socket::open(server.address(), "/ws?room=a");
    let data = "x".repeat(1 << 19);
    for offset in 1..=3 {
        let body = json!({"room": "a", "event": "x", "data": data});
        assert_eq!(
            post(server.address(), "/api/v1/publish", &body).status(),
            200
        );
        let message = member.message();
        assert_eq!(message["offset"], offset);
        assert_eq!(message["data"].as_str().unwrap().len(), data.len());
    }
}

#[test]
fn commands_that_workers_carry_out_are_charged_too() {
    let server = start(&[
        ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "20"),
        ("KINGLET_LIMITS__MESSAGE_BURST", "1"),
    ]);
    let mut socket = Socket::open(server.address(), "/ws");
    let mut bytes = Vec::new();
    for number in 0..16 {
        let message = json!({"type": "history", "room": "global", "id": number}).to_string();
        socket.mask(true, Opcode::Text, message.as_bytes(), &mut bytes);
    }
    let began = Instant::now();
    socket.connection.send(bytes);
    for number in 0..16 {
        assert_eq!(socket.message()["id"], number);
    }
    assert!(
        began.elapsed() >= Duration::from_millis(650),
        "{:?}",
        began.elapsed()
    );
}
