//! Section 10: a message that its sender cut into frames by itself.

use crate::case::{Answer, Case, Payload, Section, Step, TEXT};
use crate::player::play;

pub fn section() -> Section {
    let payload = Payload::Pattern(b"*", 65_536);
    let steps = vec![Step::Fragments(TEXT, payload.clone(), 1300)];
    let sent = "text of 65,536 bytes in frames of at most 1,300 bytes";
    Section {
        number: "10",
        title: "Automatic fragmentation",
        note: "",
        cases: vec![Case::passes(
            "10.1.1",
            sent,
            steps,
            vec![Answer::Text(payload)],
        )],
    }
}

#[test]
fn a_message_cut_by_its_sender_is_echoed_whole() {
    play(&section(), "10.");
}
