//! docs/conformance.md, made from the rows that the other tests play.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::case::{Answer, Case, Section, Step, Verdict};
use crate::sections;
use crate::{compression, http};

const INTRODUCTION: &str = "\
# Conformance

What kinglet answers to whom, case by case. This page is made from the tables in
`tests/conformance/`, and the tests there play every row of it against the server:
`UPDATE_DOCS=1 cargo test --test conformance` writes it anew.

## WebSocket (RFC 6455)

The cases have the numbers of the public fuzzing suite, Autobahn|Testsuite; its section 8 is empty.
They are played against `/ws/echo`, which sends every message back (`debug.echo = true`). Unless a
row says otherwise each case is played three times: in as few segments as its waits allow, frame by
frame, and byte by byte; the answer is the same each time. A close is followed by the end of the
connection and by nothing else. In cases that go well the client closes with 1000 at the end.

*Strict* is the better of the two ways to pass in the suite; *informational* is what the suite only
notes.
";

#[test]
fn the_page_is_made_from_the_tables() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let page = render();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/conformance.md is not as the tables have it; write it anew with `UPDATE_DOCS=1 \
         cargo test --test conformance`"
    );
}

fn render() -> String {
    let sections = sections();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| Section | Cases | Strict | Informational |\n|---|---|---|---|\n");
    for section in &sections {
        let all = section.cases.len();
        let noted = section
            .cases
            .iter()
            .filter(|case| case.verdict != Verdict::Strict);
        let noted = noted.count();
        let (number, title) = (section.number, section.title);
        writeln!(
            page,
            "| {number} {title} | {all} | {} | {noted} |",
            all - noted
        )
        .unwrap();
    }
    for section in &sections {
        render_section(section, &mut page);
    }
    compression::render(&mut page);
    http::render(&mut page);
    page
}

fn render_section(section: &Section, page: &mut String) {
    writeln!(page, "\n### {} {}\n", section.number, section.title).unwrap();
    if !section.note.is_empty() {
        writeln!(page, "{}\n", section.note).unwrap();
    }
    page.push_str("| Case | Sent | Comes back | Result |\n|---|---|---|---|\n");
    for case in &section.cases {
        let verdict = match case.verdict {
            Verdict::Strict => "strict",
            Verdict::Informational => "informational",
        };
        let answers = describe(&answers(case));
        let (number, sent) = (&case.number, &case.sent);
        writeln!(page, "| {number} | {sent} | {answers} | {verdict} |").unwrap();
    }
}

/// What comes back in all.
fn answers(case: &Case) -> Vec<Answer> {
    let awaited = case.steps.iter().flat_map(|step| match step {
        Step::Wait(answers) => answers.clone(),
        Step::Frame(..) | Step::Fragments(..) | Step::Octets(_) => Vec::new(),
    });
    awaited.chain(case.answers.iter().cloned()).collect()
}

/// Answers in words; those that are alike are told once.
fn describe(answers: &[Answer]) -> String {
    let mut told: Vec<(String, usize)> = Vec::new();
    for answer in answers {
        let words = answer.describe();
        match told.last_mut() {
            Some((last, count)) if *last == words => *count += 1,
            Some(_) | None => told.push((words, 1)),
        }
    }
    let told = told.into_iter().map(|(words, count)| match count {
        1 => words,
        count => format!("{words}, {count} times"),
    });
    told.collect::<Vec<_>>().join("; ")
}
