//! RFC 6455 and HTTP/1.1 case by case, each with the exact answer that is right.
//!
//! The WebSocket cases carry the numbers of the public fuzzing suite, Autobahn|Testsuite, so that
//! either list can be read against the other; [`http`] is the table of requests. Cases are rows
//! ([`case`]), played against the whole server core without sockets ([`player`]): in as few
//! segments as go, frame by frame, and byte by byte. Where the suite knows a strict and a lenient
//! way to pass, the strict one is the row. docs/conformance.md is made from these rows:
//! `UPDATE_DOCS=1 cargo test --test conformance`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod automatic;
mod case;
mod closing;
mod compression;
mod document;
mod fragmentation;
mod framing;
mod http;
mod limits;
mod opcodes;
mod pings;
mod player;
mod reserved_bits;
mod text;
mod utf8;

use case::Section;

/// Every section, in the order of the suite.
fn sections() -> Vec<Section> {
    vec![
        framing::section(),
        pings::section(),
        reserved_bits::section(),
        opcodes::section(),
        fragmentation::section(),
        text::section(),
        closing::section(),
        limits::section(),
        automatic::section(),
    ]
}

#[test]
fn every_case_has_a_number_of_its_own_in_its_section() {
    let mut numbers = std::collections::BTreeSet::new();
    for section in sections() {
        for case in &section.cases {
            let first = case.number.split('.').next();
            assert_eq!(first, Some(section.number), "{}", case.number);
            assert!(numbers.insert(case.number.clone()), "{}", case.number);
        }
    }
}

#[test]
fn no_case_of_the_suite_is_missing() {
    let counts = [
        ("1", 16),
        ("2", 11),
        ("3", 7),
        ("4", 10),
        ("5", 20),
        ("6", 145),
        ("7", 37),
        ("9", 54),
        ("10", 1),
    ];
    let sections = sections();
    for (number, count) in counts {
        let section = sections.iter().find(|section| section.number == number);
        let cases = section.map(|section| section.cases.len());
        assert_eq!(cases, Some(count), "section {number}");
    }
    for (section, count) in [("12.", 5), ("13.", 7)] {
        let numbers = compression::ROWS.iter().map(|row| row.case);
        let numbers = numbers.filter(|case| case.starts_with(section));
        let numbers: std::collections::BTreeSet<&str> = numbers.collect();
        assert_eq!(numbers.len(), count, "section {section}");
    }
}
