//! The files of the dashboard as files: complete, small, and without what the policy forbids.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{ASSETS, PAGE, has_copy, prefers_html};
use crate::wire::http::head::Head;
use crate::wire::http::scan::HeadLimits;

/// What everything together may weigh.
const BYTES_MAX: usize = 100_000;

fn head(fields: &str) -> Head {
    let limits = HeadLimits {
        bytes: 4096,
        headers: 16,
    };
    let text = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    Head::parse(text.as_bytes(), &limits).unwrap()
}

#[test]
fn serves_every_file_of_the_folder_and_is_small() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/app/dashboard");
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".rs") {
            there.insert(name);
        }
    }
    let all = || ASSETS.iter().chain([&PAGE]);
    let served: BTreeSet<String> = all().map(|asset| asset.name.to_owned()).collect();
    assert_eq!(served, there);
    let bytes: usize = all().map(|asset| asset.body.len()).sum();
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
}

#[test]
fn has_no_markup_in_strings_no_inline_code_and_no_foreign_address() {
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        "https://",
        "style=",
        " onclick",
        "<script>",
        "<style",
    ];
    for asset in ASSETS.iter().chain([&PAGE]) {
        for word in forbidden {
            assert!(!asset.body.contains(word), "{}: {word}", asset.name);
        }
        let namespace = "http://www.w3.org/2000/svg";
        let rest = asset.body.replace(namespace, "");
        assert!(!rest.contains("http://"), "{}", asset.name);
    }
}

#[test]
fn every_import_leads_to_a_file() {
    for asset in ASSETS.iter().filter(|asset| asset.name.ends_with(".js")) {
        for (_, rest) in asset.body.match_indices("from \"./").map(|(at, found)| {
            let rest = asset.body.get(at + found.len()..).unwrap();
            (at, rest)
        }) {
            let name = rest.split('"').next().unwrap();
            let is_there = ASSETS.iter().any(|other| other.name == name);
            assert!(is_there, "{} imports {name}", asset.name);
        }
    }
    for line in PAGE.body.lines() {
        if let Some((_, rest)) = line.split_once("=\"dashboard/") {
            let name = rest.split('"').next().unwrap();
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name}");
        }
    }
}

#[test]
fn browsers_get_the_page_and_everybody_else_json() {
    let check = |accept: &str, expected: bool| {
        let fields = match accept {
            "" => String::new(),
            accept => format!("Accept: {accept}\r\n"),
        };
        assert_eq!(prefers_html(&head(&fields)), expected, "{accept}");
    };
    let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
                    image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
    check(chromium, true);
    check("text/html", true);
    check("Text/HTML;q=1.000", true);
    check("text/html, */*", true);
    check("text/html;q=0.8, application/json;q=0.5", true);
    check("text/html;level=1;q=0.3, */*;q=0.2", true);
    check("", false);
    check("*/*", false);
    check("text/*", false);
    check("application/json", false);
    check("application/json, text/html;q=0.9", false);
    check("text/html;q=0.5, */*", false);
    check("text/html;q=0.5, */*;q=0.1, application/*;q=0.6", false);
    check("text/html;q=0", false);
    check("text/html;q=2", false);
    check("text/html;q=0.1234", false);
    check("text/html;q=0.x", false);
}

#[test]
fn a_copy_is_good_if_its_tag_is_named() {
    let check = |given: &str, expected: bool| {
        let head = head(&format!("If-None-Match: {given}\r\n"));
        assert_eq!(has_copy(&head, "\"a1\""), expected, "{given}");
    };
    check("\"a1\"", true);
    check("W/\"a1\"", true);
    check("\"b\", \"a1\"", true);
    check("*", true);
    check("\"a\"", false);
    check("a1", false);
}
