//! What `head.rs` accepts and refuses, as tables; apart from it because they are longer than it.
//!
//! Every input is read whole, byte by byte and at every split in two, with one verdict.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::base::rng::Rng;
use crate::wire::http::fault::HttpFault;
use crate::wire::http::head::Head;
use crate::wire::http::scan::{HeadLimits, HeadScanner};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 16 * 1024,
    headers: 100,
};

/// What a server would make of `input`, its bytes arriving in pieces that end at `cuts`.
fn read(input: &[u8], cuts: impl Iterator<Item = usize>) -> Result<Option<Head>, HttpFault> {
    let mut scanner = HeadScanner::default();
    for cut in cuts.chain([input.len()]) {
        if let Some(end) = scanner.scan(&input[..cut], &LIMITS)? {
            return Head::parse(&input[..end], &LIMITS).map(Some);
        }
    }
    Ok(None)
}

/// All that a head says, as one line.
fn spell(head: &Head) -> String {
    format!(
        "{} {} ?{} @{} {:?} {:?} keep={} continue={}",
        head.method().as_str(),
        head.path(),
        head.query(),
        head.host(),
        head.version(),
        head.body_framing(),
        head.keep_alive(),
        head.expects_continue(),
    )
}

/// The verdict on `input`, which must be the same for all splits in two and byte by byte.
fn verdict(input: &[u8]) -> Result<String, HttpFault> {
    let spelt = |head: Result<Option<Head>, HttpFault>| {
        head.map(|head| head.map_or("incomplete".to_owned(), |head| spell(&head)))
    };
    let whole = spelt(read(input, std::iter::empty()));
    assert_eq!(spelt(read(input, 0..input.len())), whole, "byte by byte");
    for cut in 0..input.len().min(2000) {
        assert_eq!(
            spelt(read(input, std::iter::once(cut))),
            whole,
            "cut at {cut}"
        );
    }
    whole
}

fn check(input: &str, expected: Result<&str, HttpFault>) {
    let found = verdict(input.as_bytes());
    assert_eq!(
        found.as_deref().map_err(|fault| *fault),
        expected,
        "{input:?}"
    );
}

/// As [`check`], for header lines after a good request line and Host.
fn check_lines(lines: &str, expected: Result<&str, HttpFault>) {
    let input = format!("POST /p HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
    let expected = expected.map(|rest| format!("POST /p ? @h Http11 {rest}"));
    check(&input, expected.as_deref().map_err(|fault| *fault));
}

#[test]
fn reads_well_formed_requests() {
    check(
        "GET /a%20b?x=1?y HTTP/1.1\r\nHost: h:80\r\n\r\n",
        Ok("GET /a%20b ?x=1?y @h:80 Http11 None keep=true continue=false"),
    );
    check(
        "\r\n\r\nGET //x HTTP/1.1\r\nhOST:\t[::1]:8080 \r\nX:\r\n\r\nGET /next",
        Ok("GET //x ? @[::1]:8080 Http11 None keep=true continue=false"),
    );
    check(
        "GET HTTP://a.b:1?q HTTP/1.1\r\nHost: c\r\nConnection: x, Close\r\n\r\n",
        Ok("GET / ?q @a.b:1 Http11 None keep=false continue=false"),
    );
    check(
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        Ok("OPTIONS * ? @h Http11 None keep=true continue=false"),
    );
    check(
        "HEAD / HTTP/1.0\r\n\r\n",
        Ok("HEAD / ? @ Http10 None keep=false continue=false"),
    );
    check(
        "BREW / HTTP/1.0\r\nHost:\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\
         Content-Length: 1\r\n\r\n",
        Ok("OTHER / ? @ Http10 Length(1) keep=true continue=false"),
    );
    check("GET / HTTP/1.1\r\nHost: h\r\n", Ok("incomplete"));
    check("", Ok("incomplete"));
}

#[test]
fn refuses_request_lines_that_are_not_exact() {
    let check = |line: &str, fault| check(&format!("{line}\r\nHost: h\r\n\r\n"), Err(fault));
    check("GET  / HTTP/1.1", HttpFault::RequestLine);
    check(" GET / HTTP/1.1", HttpFault::RequestLine);
    check("GET /", HttpFault::RequestLine);
    check("GET /  HTTP/1.1", HttpFault::RequestLine);
    check("GET\t/ HTTP/1.1", HttpFault::RequestLine);
    check("G@T / HTTP/1.1", HttpFault::RequestLine);
    check("GET /\u{7f} HTTP/1.1", HttpFault::RequestLine);
    check("GET / http/1.1", HttpFault::RequestLine);
    check("GET / HTTP/1.1 ", HttpFault::LineEnd);
    check("GET / HTTP/1.1\rX: y", HttpFault::LineEnd);
    check("GET / HTTP/1.10", HttpFault::LineEnd);
    check("GET / HTTP/2.0", HttpFault::Version);
    check("PRI * HTTP/2.0", HttpFault::Version);
    check("GET / HTTP/1", HttpFault::Version);
    check("CONNECT h:443 HTTP/1.1", HttpFault::Connect);
    check("GET * HTTP/1.1", HttpFault::Target);
    check("GET h:80 HTTP/1.1", HttpFault::Target);
    check("GET x/y HTTP/1.1", HttpFault::Target);
    check("GET ftp://h/ HTTP/1.1", HttpFault::Target);
    check("GET /a#b HTTP/1.1", HttpFault::Target);
    check("GET /\u{e4} HTTP/1.1", HttpFault::Target);
    check("GET http:///x HTTP/1.1", HttpFault::HostInvalid);
    check("GET http://me@h/ HTTP/1.1", HttpFault::HostInvalid);
    check(
        "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1",
        HttpFault::LeadingLines,
    );
}

#[test]
fn refuses_header_lines_that_are_not_exact() {
    let check = |lines: &str, fault| check_lines(lines, Err(fault));
    check("X: a\r\n b", HttpFault::FoldedHeader);
    check("X: a\r\n\tY: b", HttpFault::FoldedHeader);
    check("X : a", HttpFault::SpaceBeforeColon);
    check("X\t: a", HttpFault::SpaceBeforeColon);
    check(": a", HttpFault::EmptyHeaderName);
    check("X", HttpFault::HeaderName);
    check("X Y: a", HttpFault::HeaderName);
    check("X\u{e4}: a", HttpFault::HeaderName);
    check("X: a\0b", HttpFault::HeaderValue);
    check("X: a\rb", HttpFault::HeaderValue);
    check("X: a\r\rY: b", HttpFault::HeaderValue);
    check("X: a\u{7f}", HttpFault::HeaderValue);
    check(
        "X: 0123456789012345678901234567890123456789\u{7f}0123456789",
        HttpFault::HeaderValue,
    );
    check("X: a\nY: b", HttpFault::BareLineFeed);
    check("X: a\n\nY: b", HttpFault::BareLineFeed);
    let input = b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\r\n\r\n";
    assert_eq!(verdict(input), Err(HttpFault::NotUtf8));
}

#[test]
fn refuses_hosts_that_are_not_one_authority() {
    let check = |lines: &str, fault| check(&format!("GET / {lines}\r\n\r\n"), Err(fault));
    check("HTTP/1.1", HttpFault::HostMissing);
    check("HTTP/1.1\r\nX: h", HttpFault::HostMissing);
    check("HTTP/1.1\r\nHost: h\r\nhost: h", HttpFault::HostRepeated);
    check("HTTP/1.0\r\nHost: h\r\nHost: i", HttpFault::HostRepeated);
    for host in [
        "", ":80", "a, b", "a b", "a/b", "me@a", "a:b", "a:1:2", "[::1", "[]", "[::1]x", "::1",
        "a\\b", "a?b", "\u{e4}",
    ] {
        check(&format!("HTTP/1.1\r\nHost: {host}"), HttpFault::HostInvalid);
    }
}

#[test]
fn reads_one_framing_or_refuses() {
    check_lines(
        "Content-Length: 0",
        Ok("Length(0) keep=true continue=false"),
    );
    check_lines(
        "Content-Length: 18446744073709551615",
        Ok("Length(18446744073709551615) keep=true continue=false"),
    );
    check_lines(
        "transfer-encoding: CHUNKED",
        Ok("Chunked keep=true continue=false"),
    );
    check_lines(
        "Expect: 100-Continue\r\nContent-Length: 5",
        Ok("Length(5) keep=true continue=true"),
    );
    check_lines("Expect: 100-continue", Ok("None keep=true continue=false"));
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        Err(HttpFault::EncodingInHttp10),
    );
    let check = |lines: &str, fault| check_lines(lines, Err(fault));
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    check(both, HttpFault::LengthAndEncoding);
    let both = "Transfer-Encoding: identity\r\nContent-Length: 5";
    check(both, HttpFault::LengthAndEncoding);
    check(
        "Content-Length: 5\r\nContent-Length: 6",
        HttpFault::LengthRepeated,
    );
    check(
        "Content-Length: 5\r\ncontent-length: 5",
        HttpFault::LengthRepeated,
    );
    check("Content-Length: 5, 5", HttpFault::LengthRepeated);
    for length in [
        "",
        "+5",
        "-5",
        "5 5",
        "0x5",
        "5.0",
        "18446744073709551616",
        "\u{665}",
    ] {
        check(
            &format!("Content-Length: {length}"),
            HttpFault::LengthInvalid,
        );
    }
    check("Content-Length : 5", HttpFault::SpaceBeforeColon);
    for coding in [
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "xchunked",
        "chunked;q=1",
    ] {
        check(
            &format!("Transfer-Encoding: {coding}"),
            HttpFault::EncodingUnknown,
        );
    }
    for coding in ["", ",", "chunked,", "chunked, chunked"] {
        check(
            &format!("Transfer-Encoding: {coding}"),
            HttpFault::EncodingInvalid,
        );
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked";
    check(twice, HttpFault::EncodingInvalid);
    check("Transfer-Encoding: \u{b}chunked", HttpFault::HeaderValue);
    check("Transfer-Encoding\0: chunked", HttpFault::HeaderName);
    check("Expect: 200-ok", HttpFault::Expectation);
}

#[test]
fn finds_headers_and_tokens_over_all_lines() {
    let input = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive,\t Upgrade\r\nX: 1\r\n\
        connection: ,close ,\r\nx:  two words \r\nAuthorization: Bearer secret\r\n\r\n";
    let head = Head::parse(input, &LIMITS).unwrap();
    assert_eq!(head.header("X"), Some("1"));
    assert_eq!(
        head.header_values("x").collect::<Vec<_>>(),
        ["1", "two words"]
    );
    assert_eq!(head.header("y"), None);
    for token in ["upgrade", "KEEP-ALIVE", "close"] {
        assert!(head.has_token("connection", token), "{token}");
    }
    assert!(!head.has_token("connection", ""));
    assert!(!head.has_token("connection", "up"));
    assert!(!format!("{head:?}").contains("secret"));
}

#[test]
fn takes_100_headers_and_refuses_more() {
    for (count, fits) in [
        (0, true),
        (99, true),
        (100, true),
        (101, false),
        (5000, false),
    ] {
        let mut input = b"GET / HTTP/1.0\r\n".to_vec();
        for number in 0..count {
            input.extend_from_slice(format!("x{number}: y\r\n").as_bytes());
        }
        input.extend_from_slice(b"\r\n");
        let found = verdict(&input).map(|_| ());
        let fault = HttpFault::TooManyHeaders { limit: 100 };
        assert_eq!(found, if fits { Ok(()) } else { Err(fault) }, "{count}");
    }
}

#[test]
fn parses_only_exactly_one_head() {
    let check = |input: &[u8], fault| {
        assert_eq!(Head::parse(input, &LIMITS).map(|_| ()), Err(fault));
    };
    check(b"", HttpFault::HeadIncomplete);
    check(b"GET / HTTP/1.0\r\n", HttpFault::HeadIncomplete);
    check(b"GET / HTTP/1.0\r\n\r\nx", HttpFault::HeadIncomplete);
    check(b"\r\n\r\n", HttpFault::HeadIncomplete);
}

#[test]
fn gives_every_split_of_damaged_heads_the_same_verdict() {
    let seeds: [&[u8]; 2] = [
        b"POST http://a:1/x?y HTTP/1.1\r\nHost: b\r\nContent-Length: 12\r\nX: \r\n\r\nabc",
        b"\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let mut rng = Rng::from_seed(7);
    let mut below = |bound: usize| rng.below(bound as u64) as usize;
    for round in 0..2000 {
        let mut input = seeds[round % 2].to_vec();
        for _ in 0..=below(3) {
            let at = below(input.len());
            let byte = b"\r\n\t :,/?*#\0\xff\x7f1HC"[below(16)];
            match below(3) {
                0 => input[at] = byte,
                1 => input.insert(at, byte),
                _ => drop(input.remove(at)),
            }
        }
        let _ = verdict(&input);
    }
}

#[test]
fn stays_small() {
    assert!(size_of::<Head>() <= 80);
    assert!(size_of::<HeadScanner>() <= 32);
}
