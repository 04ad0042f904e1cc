//! Section 3: reserved bits without an extension that gives them a meaning (section 5.2).

use crate::case::{Answer, BINARY, CLOSE, Case, PING, Section, TEXT, frame, reserved};
use crate::player::play;

const HELLO: &[u8] = b"Hello, world!";

pub fn section() -> Section {
    let echo = || vec![Answer::Text(HELLO.into())];
    let behind = |bits: u8| {
        vec![
            frame(TEXT, HELLO),
            reserved(bits, TEXT, HELLO),
            frame(PING, b""),
        ]
    };
    let alone =
        |number: &str, sent: &str, step| Case::closes(number, sent, vec![step], vec![], 1002);
    let cases = vec![
        alone("3.1", "text with RSV 1", reserved(1, TEXT, HELLO)),
        Case::closes(
            "3.2",
            "text, text with RSV 2, a ping",
            behind(2),
            echo(),
            1002,
        ),
        Case::closes(
            "3.3",
            "text, text with RSV 3, a ping, frame by frame",
            behind(3),
            echo(),
            1002,
        ),
        Case::closes(
            "3.4",
            "text, text with RSV 4, a ping, byte by byte",
            behind(4),
            echo(),
            1002,
        ),
        alone("3.5", "binary with RSV 5", reserved(5, BINARY, &[0xff; 8])),
        alone("3.6", "a ping with RSV 6", reserved(6, PING, HELLO)),
        alone(
            "3.7",
            "a close with RSV 7",
            reserved(7, CLOSE, &[0x03, 0xe8]),
        ),
    ];
    Section {
        number: "3",
        title: "Reserved bits",
        note: "What came before the broken frame is answered first; what comes behind it is not.",
        cases,
    }
}

#[test]
fn a_reserved_bit_ends_the_connection() {
    play(&section(), "3.");
}
