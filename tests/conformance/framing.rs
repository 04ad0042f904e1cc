//! Section 1: messages at the boundaries of each length encoding.

use crate::case::{Answer, BINARY, Case, Payload, Section, TEXT, count, frame};
use crate::player::play;

const LENGTHS: [usize; 8] = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536];

pub fn section() -> Section {
    let mut cases = Vec::new();
    for (group, kind) in [(1, "text"), (2, "binary")] {
        for (index, length) in LENGTHS.into_iter().enumerate() {
            let (step, answer) = if kind == "text" {
                let payload = Payload::Pattern(b"*", length);
                (frame(TEXT, payload.clone()), Answer::Text(payload))
            } else {
                let payload = Payload::Pattern(b"\xfe", length);
                (frame(BINARY, payload.clone()), Answer::Binary(payload))
            };
            let number = format!("1.{group}.{}", index + 1);
            let chopped = if index == 7 { ", in pieces" } else { "" };
            let sent = format!("{kind} of {}{chopped}", count(length, "byte"));
            cases.push(Case::passes(&number, &sent, vec![step], vec![answer]));
        }
    }
    Section {
        number: "1",
        title: "Framing",
        note: "",
        cases,
    }
}

#[test]
fn text_of_each_length_is_echoed() {
    play(&section(), "1.1.");
}

#[test]
fn bytes_of_each_length_are_echoed() {
    play(&section(), "1.2.");
}
