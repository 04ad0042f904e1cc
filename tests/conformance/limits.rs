//! Section 9: large messages, finely cut messages, many messages.
//!
//! Played with `limits.message_bytes = "16MiB"` and `limits.fragments = 0`; the defaults, 1 MiB and
//! 4,096 fragments, are a decision of ours and refuse the larger ones with 1009.

use crate::case::{Answer, BINARY, Case, Payload, Pieces, Section, Step, TEXT, count, frame};
use crate::player::{check, play};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const SIZES: [usize; 6] = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const FRAGMENTS: [usize; 9] = [
    64,
    256,
    KIB,
    4 * KIB,
    16 * KIB,
    64 * KIB,
    256 * KIB,
    MIB,
    4 * MIB,
];
const CHOPS: [usize; 6] = [64, 128, 256, 512, 1024, 2048];
const ROUND_TRIPS: [usize; 6] = [0, 16, 64, 256, 1024, 4096];

/// Text or bytes; the groups of the suite come in pairs.
const KINDS: [(&str, u8); 2] = [("text", TEXT), ("binary", BINARY)];

pub fn section() -> Section {
    let mut cases = Vec::new();
    for (group, (kind, opcode)) in (1..).zip(KINDS) {
        for (index, size) in (1..).zip(SIZES) {
            let sent = format!("{kind} of {}", count(size, "byte"));
            let number = format!("9.{group}.{index}");
            let payload = payload(opcode, size);
            let steps = vec![frame(opcode, payload.clone())];
            let case = Case::passes(&number, &sent, steps, vec![echo(opcode, payload)]);
            cases.push(case.cut(Pieces::Whole));
        }
    }
    for (group, (kind, opcode)) in (3..).zip(KINDS) {
        for (index, size) in (1..).zip(FRAGMENTS) {
            let sent = format!("{kind} of 4 MiB in fragments of {}", count(size, "byte"));
            let number = format!("9.{group}.{index}");
            let payload = payload(opcode, 4 * MIB);
            let steps = vec![Step::Fragments(opcode, payload.clone(), size)];
            let case = Case::passes(&number, &sent, steps, vec![echo(opcode, payload)]);
            cases.push(case.cut(Pieces::Whole));
        }
    }
    for (group, (kind, opcode)) in (5..).zip(KINDS) {
        for (index, size) in (1..).zip(CHOPS) {
            let sent = format!("{kind} of 1 MiB in segments of {}", count(size, "byte"));
            let number = format!("9.{group}.{index}");
            let payload = payload(opcode, MIB);
            let steps = vec![frame(opcode, payload.clone())];
            let case = Case::passes(&number, &sent, steps, vec![echo(opcode, payload)]);
            cases.push(case.cut(Pieces::Of(size)));
        }
    }
    for (group, (kind, opcode)) in (7..).zip(KINDS) {
        for (index, size) in (1..).zip(ROUND_TRIPS) {
            cases.push(round_trips(group, index, kind, opcode, size));
        }
    }
    Section {
        number: "9",
        title: "Limits and performance",
        note: "Played with `limits.message_bytes = \"16MiB\"` and `limits.fragments = 0`. With the \
               defaults, 1 MiB and 4,096 fragments, what is larger or cut more finely is closed \
               with 1009, which is what the limits are for.",
        cases,
    }
}

/// A thousand messages, each sent when the one before has come back.
fn round_trips(group: u8, index: u8, kind: &str, opcode: u8, size: usize) -> Case {
    let mut steps = Vec::new();
    for _ in 0..1000 {
        let payload = payload(opcode, size);
        steps.push(frame(opcode, payload.clone()));
        steps.push(Step::Wait(vec![echo(opcode, payload)]));
    }
    let sent = format!(
        "1,000 times {kind} of {}, one after the other",
        count(size, "byte")
    );
    let number = format!("9.{group}.{index}");
    Case::passes(&number, &sent, steps, vec![]).cut(Pieces::RoundTrips)
}

/// What differs at each place, so that a byte in the wrong one shows; text is ASCII.
fn payload(opcode: u8, size: usize) -> Payload {
    let pattern: &[u8] = match opcode {
        BINARY => b"\x00\xff\xfe\xfd\xfc\x7f\x80",
        _ => b"BAsd7&jh23=",
    };
    Payload::Pattern(pattern, size)
}

fn echo(opcode: u8, payload: Payload) -> Answer {
    if opcode == TEXT {
        Answer::Text(payload)
    } else {
        Answer::Binary(payload)
    }
}

#[test]
fn large_text_is_echoed() {
    play(&section(), "9.1.");
}

#[test]
fn large_binary_messages_are_echoed() {
    play(&section(), "9.2.");
}

#[test]
fn text_in_many_fragments_is_echoed() {
    play(&section(), "9.3.");
}

#[test]
fn binary_messages_in_many_fragments_are_echoed() {
    play(&section(), "9.4.");
}

#[test]
fn messages_in_many_segments_are_echoed() {
    play(&section(), "9.5.");
    play(&section(), "9.6.");
}

#[test]
fn a_thousand_messages_come_back_one_after_the_other() {
    play(&section(), "9.7.");
    play(&section(), "9.8.");
}

/// The decision that differs from the suite, held to the byte.
#[test]
fn the_default_limits_are_exact() {
    let config = "[debug]\necho = true\n";
    let passes = |name: &str, step: Step, payload: Payload| {
        let case = Case::passes(name, "", vec![step], vec![Answer::Binary(payload)]);
        check(&case.cut(Pieces::Whole), config);
    };
    let fails = |name: &str, step: Step| {
        let case = Case::closes(name, "", vec![step], vec![], 1009);
        check(&case.cut(Pieces::Whole), config);
    };
    let fragments = |payload: &Payload, size| Step::Fragments(BINARY, payload.clone(), size);
    let whole = payload(BINARY, MIB);
    passes(
        "a message of 1 MiB",
        frame(BINARY, whole.clone()),
        whole.clone(),
    );
    passes("1 MiB in 4,096 fragments", fragments(&whole, 256), whole);
    let larger = payload(BINARY, MIB + 1);
    fails("one byte more", frame(BINARY, larger.clone()));
    fails("one byte more in fragments", fragments(&larger, 64 * KIB));
    fails("one fragment more", fragments(&payload(BINARY, 4097), 1));
}
