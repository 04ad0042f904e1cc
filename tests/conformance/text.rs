//! Section 6: text is UTF-8, however it is cut, and what is not fails at its first wrong byte
//! (RFC 6455 sections 5.6 and 8.1).

use crate::case::{Answer, CONTINUATION, Case, Section, Step, TEXT, count, frame, in_parts, part};
use crate::player::play;
use crate::utf8::{Sequences, TABLE};

const GREETING: &str = "Hello-µ@ßöäüàá-UTF-8!!";
const GREEK: &str = "κ\u{1f79}σμε";

pub fn section() -> Section {
    let mut cases = empty_fragments();
    cases.extend(cut_characters());
    cases.extend(fail_fast());
    for table in TABLE {
        cases.extend(sequences(table));
    }
    Section {
        number: "6",
        title: "UTF-8",
        note: "Invalid text is refused at the byte that no continuation could mend, inside a \
               fragment and inside a frame; the client in 6.4 waits for the refusal before it sends \
               on.",
        cases,
    }
}

fn empty_fragments() -> Vec<Case> {
    let text = |text: &str| vec![Answer::Text(text.into())];
    let three = |middle: &[u8]| {
        vec![
            part(TEXT, b""),
            part(CONTINUATION, middle),
            frame(CONTINUATION, b""),
        ]
    };
    let middle = "middle frame payload";
    vec![
        Case::passes("6.1.1", "empty text", vec![frame(TEXT, b"")], text("")),
        Case::passes(
            "6.1.2",
            "text in three empty fragments",
            three(b""),
            text(""),
        ),
        Case::passes(
            "6.1.3",
            "text in three fragments, only the second not empty",
            three(middle.as_bytes()),
            text(middle),
        ),
    ]
}

fn cut_characters() -> Vec<Case> {
    let echo = |text: &str| vec![Answer::Text(text.into())];
    let (first, second) = GREETING.split_at(GREETING.find('ü').unwrap());
    let invalid = [GREEK.as_bytes(), b"\xed\xa0\x80", b"edited"].concat();
    vec![
        Case::passes(
            "6.2.1",
            "text with two-byte characters",
            vec![frame(TEXT, GREETING)],
            echo(GREETING),
        ),
        Case::passes(
            "6.2.2",
            "the same in two fragments, cut between characters",
            vec![part(TEXT, first), frame(CONTINUATION, second)],
            echo(GREETING),
        ),
        Case::passes(
            "6.2.3",
            "the same in fragments of one byte",
            vec![Step::Fragments(TEXT, GREETING.into(), 1)],
            echo(GREETING),
        ),
        Case::passes(
            "6.2.4",
            "text with three-byte characters in fragments of one byte",
            vec![Step::Fragments(TEXT, GREEK.into(), 1)],
            echo(GREEK),
        ),
        Case::closes(
            "6.3.1",
            "text with a surrogate in it",
            vec![frame(TEXT, invalid.clone())],
            vec![],
            1007,
        ),
        Case::closes(
            "6.3.2",
            "the same in fragments of one byte",
            vec![Step::Fragments(TEXT, invalid.into(), 1)],
            vec![],
            1007,
        ),
    ]
}

/// Text with U+110000 in it, which is wrong at its second byte. The client waits before and behind
/// what makes it wrong.
fn fail_fast() -> Vec<Case> {
    let wrong = b"\xf4\x90\x80\x80";
    let at_parts = [GREEK.as_bytes(), wrong, b"edited"];
    let whole = at_parts.concat();
    let (before, rest) = whole.split_at(GREEK.len() + 1);
    let (byte, behind) = rest.split_at(1);
    let at_byte = [before, byte, behind];
    let case = |number: &str, sent: &str, parts: [Step; 3]| {
        let [first, second, third] = parts;
        let refused = vec![Answer::Close(1007)];
        let steps = vec![
            first,
            Step::Wait(vec![]),
            second,
            Step::Wait(refused),
            third,
        ];
        let case = Case::closes(number, sent, steps, vec![], 1007);
        // The Close has been waited for; nothing comes behind it.
        Case {
            answers: vec![],
            ..case
        }
    };
    let framed = |[first, second, third]: [&[u8]; 3]| {
        [
            part(TEXT, first),
            part(CONTINUATION, second),
            frame(CONTINUATION, third),
        ]
    };
    vec![
        case(
            "6.4.1",
            "text in three fragments, the second one invalid; a wait behind each",
            framed(at_parts),
        ),
        case(
            "6.4.2",
            "the same, the second fragment being the one byte that makes it invalid",
            framed(at_byte),
        ),
        case(
            "6.4.3",
            "text in one frame of three segments, the second one invalid; a wait behind each",
            in_parts(TEXT, at_parts),
        ),
        case(
            "6.4.4",
            "the same, the second segment being the one byte that makes it invalid",
            in_parts(TEXT, at_byte),
        ),
    ]
}

/// Each byte string of a table as a message of its own.
fn sequences(table: &Sequences) -> Vec<Case> {
    let listed = (table.list)();
    let cases = (1..).zip(listed).map(|(index, (is_valid, bytes))| {
        let number = format!("6.{}.{index}", table.group);
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = match bytes.len() {
            ..=12 => hex.join(" "),
            more => format!("{} …, {}", hex[..6].join(" "), count(more, "byte")),
        };
        let sent = format!("{}: `{hex}`", table.title);
        let step = vec![frame(TEXT, bytes.clone())];
        if is_valid {
            Case::passes(&number, &sent, step, vec![Answer::Text(bytes.into())])
        } else {
            Case::closes(&number, &sent, step, vec![], 1007)
        }
    });
    cases.collect()
}

#[test]
fn characters_may_be_cut_anywhere() {
    for group in ["6.1.", "6.2.", "6.3."] {
        play(&section(), group);
    }
}

#[test]
fn invalid_text_is_refused_at_its_first_wrong_byte() {
    play(&section(), "6.4.");
}

#[test]
fn every_sequence_is_text_or_refused() {
    for table in TABLE {
        play(&section(), &format!("6.{}.", table.group));
    }
}
