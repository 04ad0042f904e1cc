//! What breaks RFC 7692, what is merely unusual, and what a hostile message costs.

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, Message, World};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::json;

use crate::compression::{ALONE, connect, received, world};

const ECHO: &str = "[debug]\necho = true\n";

/// `Hello` as section 7.2.3.1 of RFC 7692 has it.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn echo(world: &mut World) -> ClientId {
    let (id, answer) = connect(world, "/ws/echo", &["permessage-deflate"], 15);
    assert_eq!(answer, ALONE);
    id
}

/// Sends what `send` does and expects to be closed with `code`, in pieces of several sizes.
fn check(name: &str, code: u16, counter: Counter, send: impl Fn(&mut World, ClientId)) {
    for takeover in [false, true] {
        for piece_max in [None, Some(1), Some(7)] {
            let mut world = world(&format!("{ECHO}[compression]\ntakeover = {takeover}\n"));
            let (id, _) = connect(&mut world, "/ws/echo", &["permessage-deflate"], 15);
            world.client(id).link.conditions.piece_max = piece_max;
            send(&mut world, id);
            world.settle();
            assert_eq!(
                world.client(id).close_code(),
                Some(code),
                "{name} {takeover}"
            );
            assert_eq!(world.total(counter), 1, "{name}");
            assert_eq!(world.connections(), 0, "{name}");
        }
    }
}

#[test]
fn rsv1_in_the_wrong_place_closes_with_1002() {
    let check = |name: &str, frames: &[(Opcode, bool, &[u8])]| {
        check(name, 1002, Counter::ProtocolFaults, |world, id| {
            for (opcode, rsv1, payload) in frames {
                world
                    .client(id)
                    .fragments(*opcode, *rsv1, payload, usize::MAX);
            }
        });
    };
    check("a ping", &[(Opcode::Ping, true, b"")]);
    check("a pong", &[(Opcode::Pong, true, b"")]);
    check("a close", &[(Opcode::Close, true, &[3, 232])]);
    check("nothing to continue", &[(Opcode::Continuation, true, b"")]);
}

#[test]
fn rsv1_on_a_continuation_closes_with_1002() {
    // Text without FIN, then a continuation with RSV1, both masked with zeros.
    let begun = [0x41, 0x81, 0, 0, 0, 0, 0xf2];
    let continued = [0xc0, 0x81, 0, 0, 0, 0, 0x48];
    check("compressed", 1002, Counter::ProtocolFaults, |world, id| {
        world.client(id).send(&begun);
        world.client(id).send(&continued);
    });
    let plain = [0x01, 0x81, 0, 0, 0, 0, b'a'];
    check("plain", 1002, Counter::ProtocolFaults, |world, id| {
        world.client(id).send(&plain);
        world.client(id).send(&continued);
    });
    for bit in [0x20, 0x10] {
        check(
            "RSV2 or RSV3",
            1002,
            Counter::ProtocolFaults,
            |world, id| {
                world.client(id).send(&[0xc1 | bit, 0x81, 0, 0, 0, 0, 0]);
            },
        );
    }
}

#[test]
fn rsv1_without_agreement_closes_with_1002() {
    for (config, offers) in [
        (ECHO, &[][..]),
        (ECHO, &["permessage-deflate; server_max_window_bits=8"][..]),
        (
            "[debug]\necho = true\n[compression]\nenabled = false\n",
            &["permessage-deflate"][..],
        ),
    ] {
        let mut world = world(config);
        let (id, answer) = connect(&mut world, "/ws/echo", offers, 15);
        assert_eq!(answer, "", "declined: {offers:?}");
        world.client(id).fragments(Opcode::Text, true, &HELLO, 100);
        world.settle();
        assert_eq!(world.client(id).close_code(), Some(1002));
    }
}

#[test]
fn what_cannot_be_inflated_closes_with_1007() {
    for (name, payload) in [
        ("a reserved type of block", &[0x07][..]),
        ("a reference to nothing", &[0x03, 0x02, 0x00]),
        ("noise", &[0xff; 40]),
        ("cut inside a block", &[0xf2, 0x48, 0xcd]),
        (
            "cut inside stored bytes",
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65],
        ),
    ] {
        for most in [usize::MAX, 1] {
            check(name, 1007, Counter::ProtocolFaults, |world, id| {
                world
                    .client(id)
                    .fragments(Opcode::Binary, true, payload, most);
                // With contexts a cut message may only show here.
                world
                    .client(id)
                    .fragments(Opcode::Binary, true, &[0x07], most);
            });
        }
    }
}

#[test]
fn text_is_checked_once_it_is_inflated() {
    check("not UTF-8", 1007, Counter::ProtocolFaults, |world, id| {
        world
            .client(id)
            .message(Opcode::Text, b"gr\xfcn", usize::MAX);
    });
    check(
        "cut inside a character",
        1007,
        Counter::ProtocolFaults,
        |world, id| {
            world.client(id).message(Opcode::Text, b"gr\xc3", 2);
        },
    );
    let mut world = world(ECHO);
    let id = echo(&mut world);
    world.client(id).message(Opcode::Text, "grün".as_bytes(), 1);
    assert_eq!(received(&mut world, id), [Message::Text("grün".into())]);
}

#[test]
fn control_frames_come_between_the_fragments_of_a_compressed_message() {
    let mut world = world(ECHO);
    let id = echo(&mut world);
    let client = world.client(id);
    client.send(&[0x41, 0x83, 0, 0, 0, 0, 0xf2, 0x48, 0xcd]);
    client.frame(Opcode::Ping, b"1");
    client.send(&[0x00, 0x80, 0, 0, 0, 0]);
    client.frame(Opcode::Ping, b"2");
    client.send(&[0x80, 0x84, 0, 0, 0, 0, 0xc9, 0xc9, 0x07, 0x00]);
    client.frame(Opcode::Text, b"plain");
    let expected = [
        Message::Pong(b"1".to_vec()),
        Message::Pong(b"2".to_vec()),
        Message::Text("Hello".into()),
        Message::Text("plain".into()),
    ];
    assert_eq!(received(&mut world, id), expected);
}

#[test]
fn commands_may_be_compressed_as_text_and_binary_messages() {
    let mut world = world("");
    let (id, _) = connect(&mut world, "/ws", &["permessage-deflate"], 9);
    let ping = json!({"type": "ping", "id": 1}).to_string();
    for opcode in [Opcode::Text, Opcode::Binary] {
        world.client(id).message(opcode, ping.as_bytes(), 5);
        world.settle();
        assert_eq!(world.client(id).take_json()[0]["type"], "pong");
    }
    assert_eq!(world.total(Counter::MessagesInflated), 2);
    let after = world.total(Counter::InflatedBytesAfter);
    assert_eq!(after, 2 * ping.len() as u64);
}

#[test]
fn messages_after_our_close_are_not_inflated() {
    let mut world = world(ECHO);
    let id = echo(&mut world);
    world.client(id).answers_close = false;
    world.begin_drain(std::time::Duration::from_secs(1));
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1001));
    world.client(id).fragments(Opcode::Text, true, &HELLO, 100);
    world.settle();
    assert_eq!(world.total(Counter::MessagesInflated), 0);
}

/// Some 10 KB that expand to 10 MiB: more DEFLATE cannot promise, as a match of two bits at least
/// stands for 258 bytes at most. What is behind the limit is never looked at, so that more would
/// cost no more.
fn bomb() -> Vec<u8> {
    let mut sender = kinglet::testkit::deflate::ClientDeflate::of_answer(ALONE, 15).unwrap();
    let bomb = sender.compress(&vec![0; 10 << 20]);
    assert!((9_000..12_000).contains(&bomb.len()), "{}", bomb.len());
    bomb
}

#[test]
fn a_bomb_closes_with_1009_in_one_frame_and_over_fragments() {
    let bomb = bomb();
    for most in [usize::MAX, 1000, 10] {
        check("a bomb", 1009, Counter::InflatedTooLarge, |world, id| {
            world
                .client(id)
                .fragments(Opcode::Binary, true, &bomb, most);
        });
    }
    let mut world = world(ECHO);
    let id = echo(&mut world);
    world
        .client(id)
        .fragments(Opcode::Text, true, &bomb, usize::MAX);
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1009));
    let other = echo(&mut world);
    world
        .client(other)
        .fragments(Opcode::Text, true, &HELLO, 100);
    assert_eq!(received(&mut world, other), [Message::Text("Hello".into())]);
}

#[test]
fn the_limit_holds_for_what_is_sent_and_for_what_it_expands_to() {
    let config = format!("{ECHO}[limits]\nmessage_bytes = \"2KiB\"\n");
    let check = |bytes: usize, code: Option<u16>| {
        let mut world = world(&config);
        let id = echo(&mut world);
        world
            .client(id)
            .message(Opcode::Binary, &vec![7; bytes], usize::MAX);
        world.settle();
        assert_eq!(world.client(id).close_code(), code, "{bytes}");
    };
    check(2048, None);
    check(2049, Some(1009));
    let mut world = world(&config);
    let id = echo(&mut world);
    // Empty stored blocks expand to nothing, but there are too many of them.
    let empty = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(410);
    world
        .client(id)
        .fragments(Opcode::Binary, true, &empty, 2000);
    world.settle();
    assert_eq!(world.client(id).close_code(), Some(1009));
    assert_eq!(world.total(Counter::MessagesTooLarge), 1);
}
