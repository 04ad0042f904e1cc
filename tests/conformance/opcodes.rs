//! Section 4: opcodes that mean nothing (RFC 6455 section 5.2).

use crate::case::{Answer, Case, PING, Section, TEXT, frame};
use crate::player::play;

const HELLO: &[u8] = b"Hello, world!";

pub fn section() -> Section {
    let mut cases = Vec::new();
    for (group, opcodes) in [(1, 3..=7_u8), (2, 11..=15)] {
        for (index, opcode) in (1..).zip(opcodes) {
            let number = format!("4.{group}.{index}");
            let payload = if [1, 3].contains(&index) { &[] } else { HELLO };
            let filled = if payload.is_empty() {
                ""
            } else {
                " with a payload"
            };
            let strange = frame(opcode, payload);
            let (sent, steps, answers) = if index < 3 {
                let sent = format!("a frame with opcode {opcode}{filled}");
                (sent, vec![strange], vec![])
            } else {
                let sent = format!("text, a frame with opcode {opcode}{filled}, a ping");
                let steps = vec![frame(TEXT, HELLO), strange, frame(PING, b"")];
                (sent, steps, vec![Answer::Text(HELLO.into())])
            };
            cases.push(Case::closes(&number, &sent, steps, answers, 1002));
        }
    }
    Section {
        number: "4",
        title: "Opcodes",
        note: "",
        cases,
    }
}

#[test]
fn an_opcode_that_means_nothing_ends_the_connection() {
    play(&section(), "4.");
}
