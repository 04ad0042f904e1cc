//! Section 5: messages in fragments, and what may come between them (RFC 6455 section 5.4).

use crate::case::{Answer, CONTINUATION, Case, PING, PONG, Section, Step, TEXT, frame, part};
use crate::player::play;

/// How the suite chops the three variants of one case; all are played each time.
const CHOPS: [&str; 3] = ["", ", frame by frame", ", byte by byte"];

pub fn section() -> Section {
    let mut cases = vec![
        Case::closes("5.1", "a ping in two fragments", two(PING), vec![], 1002),
        Case::closes("5.2", "a pong in two fragments", two(PONG), vec![], 1002),
    ];
    for (number, chop) in (3..).zip(CHOPS) {
        cases.push(Case::passes(
            &format!("5.{number}"),
            &format!("text in two fragments{chop}"),
            two(TEXT),
            vec![message(&["fragment1", "fragment2"])],
        ));
    }
    for (number, chop) in (6..).zip(CHOPS) {
        let mut steps = two(TEXT);
        steps.insert(1, frame(PING, b"ping"));
        cases.push(Case::passes(
            &format!("5.{number}"),
            &format!("text in two fragments, a ping between them{chop}"),
            steps,
            vec![
                Answer::Pong(b"ping".into()),
                message(&["fragment1", "fragment2"]),
            ],
        ));
    }
    for (first, is_final) in [(9, true), (12, false)] {
        for (number, chop) in (first..).zip(CHOPS) {
            let lonely = lonely(is_final);
            cases.push(Case::closes(
                &format!("5.{number}"),
                &format!(
                    "a continuation {} of nothing, then text{chop}",
                    fin(is_final)
                ),
                vec![lonely, frame(TEXT, b"Hello, world!")],
                vec![],
                1002,
            ));
        }
    }
    cases.extend(confused());
    for (number, chop) in [(19, ""), (20, ", each frame in a segment of its own")] {
        cases.push(patient(number, chop));
    }
    Section {
        number: "5",
        title: "Fragmentation",
        note: "",
        cases,
    }
}

/// Messages that begin or go on where they may not.
fn confused() -> Vec<Case> {
    let mut behind = two(TEXT);
    behind.push(lonely(false));
    behind.push(frame(TEXT, b"fragment4"));
    let mut cases = vec![Case::closes(
        "5.15",
        "text in two fragments, a continuation without FIN of nothing, text",
        behind,
        vec![message(&["fragment1", "fragment2"])],
        1002,
    )];
    for (number, is_final) in [(16, false), (17, true)] {
        let mut steps = Vec::new();
        for _ in 0..2 {
            steps.push(lonely(is_final));
            steps.extend(two(TEXT));
        }
        cases.push(Case::closes(
            &format!("5.{number}"),
            &format!(
                "twice: a continuation {} of nothing, text in two fragments",
                fin(is_final)
            ),
            steps,
            vec![],
            1002,
        ));
    }
    cases.push(Case::closes(
        "5.18",
        "text in two fragments that both say text",
        vec![part(TEXT, b"fragment1"), frame(TEXT, b"fragment2")],
        vec![],
        1002,
    ));
    cases
}

/// Five fragments with pings among them, the first of which is answered while the message is not
/// whole.
fn patient(number: u8, chop: &str) -> Case {
    let pong = |text: &str| Answer::Pong(text.into());
    let steps = vec![
        part(TEXT, b"fragment1"),
        part(CONTINUATION, b"fragment2"),
        frame(PING, b"pongme 1!"),
        Step::Wait(vec![pong("pongme 1!")]),
        part(CONTINUATION, b"fragment3"),
        part(CONTINUATION, b"fragment4"),
        frame(PING, b"pongme 2!"),
        frame(CONTINUATION, b"fragment5"),
    ];
    let whole = message(&[
        "fragment1",
        "fragment2",
        "fragment3",
        "fragment4",
        "fragment5",
    ]);
    Case::passes(
        &format!("5.{number}"),
        &format!("text in five fragments, pings behind the second and the fourth{chop}"),
        steps,
        vec![pong("pongme 2!"), whole],
    )
}

fn two(opcode: u8) -> Vec<Step> {
    vec![
        part(opcode, b"fragment1"),
        frame(CONTINUATION, b"fragment2"),
    ]
}

fn lonely(is_final: bool) -> Step {
    let payload = b"non-continuation payload";
    if is_final {
        frame(CONTINUATION, payload)
    } else {
        part(CONTINUATION, payload)
    }
}

fn fin(is_final: bool) -> &'static str {
    if is_final { "with FIN" } else { "without FIN" }
}

fn message(fragments: &[&str]) -> Answer {
    Answer::Text(fragments.concat().into_bytes().into())
}

#[test]
fn fragments_make_one_message_and_nothing_else_does() {
    play(&section(), "5.");
}
