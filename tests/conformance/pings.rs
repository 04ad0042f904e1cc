//! Section 2: pings and pongs (RFC 6455 sections 5.5.2 and 5.5.3).

use crate::case::{Answer, Case, PING, PONG, Section, Step, frame};
use crate::player::play;

pub fn section() -> Section {
    let bytes = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let longest = [0xfe; 125];
    let ping = |payload: &[u8]| frame(PING, payload);
    let pong = |payload: &[u8]| Answer::Pong(payload.into());
    let ten = || (0..10).map(|number| format!("payload-{number}").into_bytes());
    let pings = || {
        ten()
            .map(|payload| frame(PING, payload))
            .collect::<Vec<Step>>()
    };
    let pongs = || {
        ten()
            .map(|payload| Answer::Pong(payload.into()))
            .collect::<Vec<Answer>>()
    };
    let cases = vec![
        Case::passes("2.1", "an empty ping", vec![ping(b"")], vec![pong(b"")]),
        Case::passes(
            "2.2",
            "a ping with text",
            vec![ping(b"Hello, world!")],
            vec![pong(b"Hello, world!")],
        ),
        Case::passes(
            "2.3",
            "a ping with bytes that are no text",
            vec![ping(&bytes)],
            vec![pong(&bytes)],
        ),
        Case::passes(
            "2.4",
            "a ping of 125 bytes",
            vec![ping(&longest)],
            vec![pong(&longest)],
        ),
        Case::closes(
            "2.5",
            "a ping of 126 bytes",
            vec![ping(&[0xfe; 126])],
            vec![],
            1002,
        ),
        Case::passes(
            "2.6",
            "a ping of 125 bytes, byte by byte",
            vec![ping(&longest)],
            vec![pong(&longest)],
        ),
        Case::passes(
            "2.7",
            "an empty pong, unasked",
            vec![frame(PONG, b"")],
            vec![],
        ),
        Case::passes(
            "2.8",
            "a pong with text, unasked",
            vec![frame(PONG, b"unsolicited")],
            vec![],
        ),
        Case::passes(
            "2.9",
            "a pong, unasked, then a ping",
            vec![frame(PONG, b"unsolicited"), ping(b"ping")],
            vec![pong(b"ping")],
        ),
        Case::passes("2.10", "ten pings", pings(), pongs()),
        Case::passes("2.11", "ten pings, byte by byte", pings(), pongs()),
    ];
    Section {
        number: "2",
        title: "Pings and pongs",
        note: "",
        cases,
    }
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    play(&section(), "2.");
}
