//! Section 7: the closing handshake and its codes (RFC 6455 sections 5.5.1, 7.1 and 7.4).

use crate::case::{
    Answer, CLOSE, CONTINUATION, Case, PING, Payload, Pieces, Section, TEXT, close, close_because,
    frame, part,
};
use crate::player::play;

/// Codes that a client may send.
const VALID: [u16; 13] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
];

/// Codes that nobody may send, or nobody has defined.
const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];

/// Codes of which RFC 6455 says nothing; kinglet sends no such and takes none.
const UNDEFINED: [u16; 2] = [5000, 65_535];

pub fn section() -> Section {
    let mut cases = behaviour();
    cases.extend(payloads());
    for (index, code) in (1..).zip(VALID) {
        let (number, sent) = (format!("7.7.{index}"), format!("a close with code {code}"));
        cases.push(Case::closes(
            &number,
            &sent,
            vec![close(code)],
            vec![],
            code,
        ));
    }
    for (group, codes) in [("7.9", &INVALID[..]), ("7.13", &UNDEFINED)] {
        for (index, code) in (1..).zip(codes) {
            let number = format!("{group}.{index}");
            let sent = format!("a close with code {code}");
            let case = Case::closes(&number, &sent, vec![close(*code)], vec![], 1002);
            cases.push(match group {
                "7.13" => case.informational(),
                _ => case,
            });
        }
    }
    Section {
        number: "7",
        title: "Close handling",
        note: "A close is answered with its own code, an empty one with 1000, one that breaks the \
               rules with 1002 or 1007. Nothing behind a close is answered.",
        cases,
    }
}

fn behaviour() -> Vec<Case> {
    let hello = || frame(TEXT, b"Hello World!");
    let echo = || vec![Answer::Text(b"Hello World!".into())];
    let large = Payload::Pattern(b"BAsd7&jh23", 256 * 1024);
    vec![
        Case::passes("7.1.1", "text, then a close", vec![hello()], echo()),
        Case::closes(
            "7.1.2",
            "two closes",
            vec![close(1000), close(1000)],
            vec![],
            1000,
        ),
        Case::closes(
            "7.1.3",
            "a close, then a ping",
            vec![close(1000), frame(PING, b"")],
            vec![],
            1000,
        ),
        Case::closes(
            "7.1.4",
            "a close, then text",
            vec![close(1000), hello()],
            vec![],
            1000,
        ),
        Case::closes(
            "7.1.5",
            "the first fragment of text, a close, the second fragment",
            vec![
                part(TEXT, b"fragment1"),
                close(1000),
                frame(CONTINUATION, b"fragment2"),
            ],
            vec![],
            1000,
        ),
        Case::closes(
            "7.1.6",
            "text of 262,144 bytes, short text, a close, a ping",
            vec![
                frame(TEXT, large.clone()),
                hello(),
                close(1000),
                frame(PING, b""),
            ],
            vec![Answer::Text(large), Answer::Text(b"Hello World!".into())],
            1000,
        )
        .informational()
        .cut(Pieces::Whole),
    ]
}

fn payloads() -> Vec<Case> {
    let not_text = ["κ\u{1f79}σμε".as_bytes(), b"\xed\xa0\x80", b"edited"].concat();
    let case =
        |number: &str, sent: &str, step, code| Case::closes(number, sent, vec![step], vec![], code);
    vec![
        case("7.3.1", "a close without a code", frame(CLOSE, b""), 1000),
        case(
            "7.3.2",
            "a close with half of a code",
            frame(CLOSE, b"a"),
            1002,
        ),
        case("7.3.3", "a close with a code", close(1000), 1000),
        case(
            "7.3.4",
            "a close with a code and a reason",
            close_because(1000, b"Hello World!"),
            1000,
        ),
        case(
            "7.3.5",
            "a close with a reason of 123 bytes",
            close_because(1000, &[b'*'; 123]),
            1000,
        ),
        case(
            "7.3.6",
            "a close with a reason of 124 bytes",
            close_because(1000, &[b'*'; 124]),
            1002,
        ),
        case(
            "7.5.1",
            "a close with a reason that is not UTF-8",
            close_because(1000, &not_text),
            1007,
        ),
    ]
}

#[test]
fn a_close_is_answered_and_ends_the_connection() {
    play(&section(), "7.1.");
}

#[test]
fn what_a_close_says_decides_what_it_is_answered_with() {
    for group in ["7.3.", "7.5.", "7.7.", "7.9.", "7.13."] {
        play(&section(), group);
    }
}
