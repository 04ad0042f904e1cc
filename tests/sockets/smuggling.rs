//! Requests that two parsers could read differently: each is refused, and nothing behind it is
//! served (incidents 12 of the wire list; RFC 9112 section 11.2).

use kinglet::testkit::client::Connection;

use crate::{start, still_serves};

/// A request that would show itself by its answer if it were taken out of another one's body.
const SMUGGLED: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_request_with_two_meanings_is_refused_and_ends_the_connection() {
    let server = start(&[]);
    let publish = "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n";
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let old = "POST / HTTP/1.0\r\nHost: localhost\r\n";
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, u16)] = &[
        ("length and encoding", publish, "Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("encoding and length", publish, "Transfer-Encoding: chunked\r\nContent-Length: 0", 400),
        ("two lengths", publish, "Content-Length: 0\r\nContent-Length: 5", 400),
        ("two equal lengths", publish, "Content-Length: 0\r\nContent-Length: 0", 400),
        ("a list of lengths", publish, "Content-Length: 0, 0", 400),
        ("a signed length", publish, "Content-Length: +0", 400),
        ("a negative length", publish, "Content-Length: -1", 400),
        ("a hexadecimal length", publish, "Content-Length: 0x0", 400),
        ("an empty length", publish, "Content-Length:", 400),
        ("a length over 64 bits", publish, "Content-Length: 100000000000000000000", 400),
        ("two encodings", publish, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("chunked twice", publish, "Transfer-Encoding: chunked, chunked", 400),
        ("another encoding", publish, "Transfer-Encoding: gzip, chunked", 501),
        ("identity", publish, "Transfer-Encoding: identity", 501),
        ("a quoted encoding", publish, "Transfer-Encoding: \"chunked\"", 501),
        ("an encoding with vertical tab", publish, "Transfer-Encoding: \x0bchunked", 400),
        ("a space before the colon", publish, "Content-Length : 0", 400),
        ("a folded line", publish, "X: y\r\n Content-Length: 0", 400),
        ("a folded first line", publish, " X: y", 400),
        ("an empty name", publish, ": y", 400),
        ("no colon", publish, "Content-Length", 400),
        ("a NUL", publish, "X: a\0b", 400),
        ("a bare CR", publish, "X: a\rContent-Length: 5", 400),
        ("a name that is no token", publish, "Content Length: 0", 400),
        ("two hosts", get, "Host: localhost", 400),
        ("a host list", "GET / HTTP/1.1\r\n", "Host: localhost, evil", 400),
        ("an empty host", "GET / HTTP/1.1\r\n", "Host:", 400),
        ("no host", "GET / HTTP/1.1\r\n", "X: y", 400),
        ("a user in the host", "GET / HTTP/1.1\r\n", "Host: a@localhost", 400),
        ("a bare LF", "GET / HTTP/1.1\nHost: localhost\n", "X: y", 400),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: localhost\r\n", "X: y", 400),
        ("a tab", "GET\t/ HTTP/1.1\r\nHost: localhost\r\n", "X: y", 400),
        ("a fragment", "GET /#x HTTP/1.1\r\nHost: localhost\r\n", "X: y", 400),
        ("HTTP/2", "GET / HTTP/2.0\r\nHost: localhost\r\n", "X: y", 505),
        ("HTTP/0.9", "GET /\r\nHost: localhost\r\n", "X: y", 400),
        ("CONNECT", "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n", "X: y", 501),
        ("encoding in 1.0", old, "Transfer-Encoding: chunked", 400),
        ("not HTTP", "SSH-2.0-OpenSSH_9.9\r\n", "x", 400),
        ("TLS", "\x16\x03\x01\x02\x00\x01\r\n", "x", 400),
    ];
    for (name, first, line, status) in table {
        let mut client = Connection::open(server.address());
        client.send(format!("{first}{line}\r\n\r\n{SMUGGLED}"));
        let answer = client.answer(false).unwrap();
        assert_eq!(answer.status(), *status, "{name}: {answer:?}");
        assert_eq!(answer.header("connection"), "close", "{name}");
        assert!(client.ends(), "{name}: something else was answered");
    }
    still_serves(&server);
}

#[test]
fn a_chunked_body_that_is_not_as_it_should_be_is_refused() {
    let server = start(&[]);
    for (name, chunks, status) in [
        ("a size over 64 bits", "10000000000000000\r\n", 400),
        ("a size of all ones", "ffffffffffffffff\r\n", 413),
        ("a negative size", "-1\r\n", 400),
        ("a prefixed size", "0x1\r\na\r\n0\r\n\r\n", 400),
        ("a size with white space", "1 \r\na\r\n0\r\n\r\n", 400),
        ("no size", "\r\n", 400),
        ("a size ended by LF", "1\na\r\n0\r\n\r\n", 400),
        ("data without an end", "1\r\nab\r\n0\r\n\r\n", 400),
        ("data ended by LF", "1\r\na\n0\r\n\r\n", 400),
        ("an extension with LF", "1;a\nb\r\na\r\n0\r\n\r\n", 400),
        ("a trailer with LF", "0\r\nA: b\n\r\n", 400),
    ] {
        let mut client = Connection::open(server.address());
        client.send(format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
             \r\n{chunks}{SMUGGLED}"
        ));
        let answer = client.answer(false).unwrap();
        assert_eq!(answer.status(), status, "{name}: {answer:?}");
        assert!(client.ends(), "{name}: something else was answered");
    }
    let mut client = Connection::open(server.address());
    client.send(format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         1;{}\r\n",
        "x".repeat(64 * 1024)
    ));
    assert_eq!(client.answer(false).unwrap().status(), 431);
}

#[test]
fn the_body_of_a_refused_request_is_not_taken_for_a_request() {
    let server = start(&[]);
    for head in [
        "POST /nothing",
        "DELETE /health",
        "POST /ws",
        "OPTIONS /health",
    ] {
        let mut client = Connection::open(server.address());
        client.send(format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len()
        ));
        let answer = client.answer(false).unwrap();
        assert_eq!(answer.header("connection"), "close", "{head}");
        assert!(client.ends(), "{head}: the body was served");
    }
    // The body of a GET that is served is read and belongs to it.
    let mut client = Connection::open(server.address());
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
         {SMUGGLED}",
        SMUGGLED.len()
    ));
    assert_eq!(client.answer(false).unwrap().json()["socket"], "/ws");
    assert!(client.ends());
}
