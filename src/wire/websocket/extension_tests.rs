//! Offers and what they are answered with.

#![allow(clippy::unwrap_used)]

use super::{Agreement, MalformedExtensions, WindowBits, negotiate};

const NONE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The answer to the lines of an offer, joined by ` | ` here; empty if it is declined.
fn answer(lines: &str, contexts: bool) -> Result<String, MalformedExtensions> {
    let agreement = negotiate(lines.split(" | "), contexts)?;
    Ok(agreement.map_or_else(String::new, Agreement::answer))
}

fn check(lines: &str, expected: &str) {
    assert_eq!(answer(lines, false).as_deref(), Ok(expected), "{lines}");
}

#[test]
fn without_contexts_the_answer_excludes_them_for_both_sides() {
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=15",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        "permessage-deflate;client_max_window_bits=\"10\"",
        "permessage-deflate;client_max_window_bits=\"1\\0\"",
        " \tpermessage-deflate ;\tclient_max_window_bits = 9\t",
        ", ,permessage-deflate,,",
    ] {
        check(offer, NONE);
    }
}

#[test]
fn the_window_asked_for_is_the_one_answered() {
    for bits in 9..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        check(&offer, &format!("{NONE}; server_max_window_bits={bits}"));
        let agreement = negotiate([offer.as_str()], true).unwrap().unwrap();
        assert_eq!(agreement.window(), WindowBits::new(bits).unwrap());
    }
    let agreement = negotiate(["permessage-deflate"], true).unwrap().unwrap();
    assert_eq!(agreement.window(), WindowBits::MAX);
}

#[test]
fn contexts_are_kept_only_as_far_as_the_offer_allows() {
    let check = |offer: &str, expected: &str| {
        assert_eq!(answer(offer, true).as_deref(), Ok(expected), "{offer}");
        let agreement = negotiate([offer], true).unwrap().unwrap();
        let says = |flag: &str| expected.contains(flag);
        let (server, client) = ("server_no_context_takeover", "client_no_context_takeover");
        assert_eq!(agreement.server_keeps_context(), !says(server));
        assert_eq!(agreement.client_keeps_context(), !says(client));
        assert_eq!(
            agreement.without_contexts().answer().get(..NONE.len()),
            Some(NONE)
        );
    };
    check("permessage-deflate", "permessage-deflate");
    check(
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
    );
    check(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
    );
    check(
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        NONE,
    );
}

#[test]
fn the_first_offer_that_can_be_kept_is_chosen() {
    let ten = &format!("{NONE}; server_max_window_bits=10");
    for offers in [
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=8 | permessage-deflate; server_max_window_bits=10",
        "x-webkit-deflate-frame, permessage-bzip2; a=b;c | permessage-deflate; server_max_window_bits=10",
        " | , | permessage-deflate;unknown | permessage-deflate;server_max_window_bits=\"10\" | permessage-deflate",
    ] {
        check(offers, ten);
    }
}

#[test]
fn offers_that_break_the_rules_are_passed_over() {
    for parameter in [
        "server_max_window_bits=8",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "server_max_window_bits=9.0",
        "server_max_window_bits=-9",
        "server_max_window_bits=256",
        "server_max_window_bits=99999999999999999999",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits=x",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "server_max_window_bits=8; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_size=10",
        "Server_No_Context_Takeover",
        "unknown",
    ] {
        let offer = format!("permessage-deflate; {parameter}");
        check(&offer, "");
        check(&format!("{offer}, permessage-deflate"), NONE);
        check(&format!("{offer} | permessage-deflate"), NONE);
    }
    for offer in ["", " ", ",", "permessage-gzip", "Permessage-Deflate"] {
        check(offer, "");
    }
}

#[test]
fn what_is_no_list_of_extensions_is_malformed_wherever_it_stands() {
    for malformed in [
        ";",
        "=",
        "\"",
        "permessage-deflate;",
        "permessage-deflate; ;client_max_window_bits",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; client_max_window_bits=\"10",
        "permessage-deflate; client_max_window_bits=\"10\\",
        "permessage-deflate; client_max_window_bits=\"1 0\"",
        "permessage-deflate; client_max_window_bits=\"10\" 1",
        "permessage-deflate; a=b=c",
        "permessage-deflate; a=\u{e9}",
        "permessage-deflate; a=\"\u{e9}\"",
        "permessage-deflate/1",
        "a b",
    ] {
        assert!(answer(malformed, false).is_err(), "{malformed}");
        let after = format!("permessage-deflate, {malformed}");
        assert!(answer(&after, false).is_err(), "{after}");
        let line = format!("permessage-deflate | {malformed}");
        assert!(answer(&line, false).is_err(), "{line}");
    }
}

#[test]
fn hostile_headers_are_read_in_one_pass() {
    for hostile in [
        ",",
        ";",
        "\"",
        "a,",
        "a;b,",
        "a;b=\"c\",",
        "a;b;",
        " \t",
        "\\",
        "a=\"\\\\",
    ] {
        let line = hostile.repeat(64 * 1024 / hostile.len());
        let _ = answer(&line, true);
    }
}

#[test]
fn an_agreement_is_one_byte() {
    assert_eq!(size_of::<Option<Agreement>>(), 1);
}
