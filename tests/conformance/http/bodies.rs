//! Bodies: Content-Length, Transfer-Encoding and both, chunks, 100-continue, limits.

use crate::http::{Answer, Body, Row, Table, Then, answer, error};

/// A publication of 26 bytes.
const EVENT: &str = r#"{"room":"a","event":"note"}"#;

const POST: &str = "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n";

pub fn tables() -> Vec<Table> {
    vec![
        Table {
            title: "Content-Length and Transfer-Encoding",
            rows: framing(),
        },
        Table {
            title: "Chunks",
            rows: chunks(),
        },
        Table {
            title: "What a body is",
            rows: content(),
        },
        Table {
            title: "Expect",
            rows: expectations(),
        },
    ]
}

fn published() -> Answer {
    answer(200, Body::Has("\"offset\":1"))
}

/// A POST with these header lines and this body.
fn post(lines: &str, body: &str) -> String {
    format!("{POST}{lines}\r\n{body}")
}

/// The event in one chunk, with something behind its size and behind the last chunk.
fn chunked(extension: &str, trailer: &str) -> String {
    let size = EVENT.len();
    let body = format!("{size:x}{extension}\r\n{EVENT}\r\n0\r\n{trailer}\r\n");
    post("Transfer-Encoding: chunked\r\n", &body)
}

fn taken(sent: &'static str, request: String) -> Row {
    Row::new(sent, request, vec![published()], Then::Stays)
}

fn framing() -> Vec<Row> {
    let length = format!("Content-Length: {}\r\n", EVENT.len());
    let refused = |sent, lines: &str, status| Row::refused(sent, post(lines, ""), status);
    let bodiless = |sent, lines: &str| {
        let answers = vec![error(400, "VALIDATION_FAILED")];
        Row::new(sent, post(lines, ""), answers, Then::Stays)
    };
    vec![
        taken("Content-Length", post(&length, EVENT)),
        taken(
            "Content-Length with zeros in front",
            post(&length.replace(": ", ": 000"), EVENT),
        ),
        taken("chunked", chunked("", "")),
        taken(
            "chunked in capitals",
            chunked("", "").replace("chunked", "CHUNKED"),
        ),
        bodiless("neither: the body is empty, and no event", ""),
        bodiless(
            "Content-Length 0, which is no event",
            "Content-Length: 0\r\n",
        ),
        refused(
            "both, length first",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        refused(
            "both, encoding first",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            400,
        ),
        refused(
            "two lengths",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            400,
        ),
        refused(
            "the same length twice",
            "Content-Length: 0\r\nContent-Length: 0\r\n",
            400,
        ),
        refused("a list of lengths", "Content-Length: 0, 0\r\n", 400),
        refused("a length with a sign", "Content-Length: +0\r\n", 400),
        refused("a negative length", "Content-Length: -1\r\n", 400),
        refused("a hexadecimal length", "Content-Length: 0x0\r\n", 400),
        refused("a length with a point", "Content-Length: 0.0\r\n", 400),
        refused("two words for a length", "Content-Length: 0 0\r\n", 400),
        refused("an empty length", "Content-Length:\r\n", 400),
        refused(
            "a length of 2^64",
            "Content-Length: 18446744073709551616\r\n",
            400,
        ),
        refused(
            "a length of 2^64 - 1",
            "Content-Length: 18446744073709551615\r\n",
            413,
        ),
        refused("a length over the limit", "Content-Length: 1025\r\n", 413),
        refused("another coding", "Transfer-Encoding: gzip\r\n", 501),
        refused(
            "another coding before chunked",
            "Transfer-Encoding: gzip, chunked\r\n",
            501,
        ),
        refused("identity", "Transfer-Encoding: identity\r\n", 501),
        refused(
            "chunked twice",
            "Transfer-Encoding: chunked, chunked\r\n",
            400,
        ),
        refused(
            "two lines",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        refused("an empty coding", "Transfer-Encoding:\r\n", 400),
        refused(
            "a coding with a parameter",
            "Transfer-Encoding: chunked;a=b\r\n",
            501,
        ),
        Row::refused(
            "chunked in HTTP/1.0",
            chunked("", "").replace("HTTP/1.1", "HTTP/1.0"),
            400,
        ),
        Row::new(
            "a body behind GET, which is read and not looked at",
            "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nGET ",
            vec![answer(200, Body::Has("\"healthy\""))],
            Then::Stays,
        ),
        Row::new(
            "a body behind a request that is refused, which is not read",
            "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nGET ",
            vec![error(404, "NOT_FOUND")],
            Then::Closes,
        ),
        Row::new(
            "part of a body",
            post(&length, "{\"room\""),
            vec![],
            Then::Waits,
        ),
    ]
}

fn chunks() -> Vec<Row> {
    let refused = |sent, body: &str, status| {
        Row::refused(sent, post("Transfer-Encoding: chunked\r\n", body), status)
    };
    let (first, second) = EVENT.split_at(10);
    let two = format!(
        "a\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\n\r\n",
        second.len()
    );
    let padded = format!("00{:x}\r\n{EVENT}\r\n000\r\n\r\n", EVENT.len());
    let chunked_post = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    vec![
        taken(
            "two chunks, sizes in small and capital letters",
            chunked_post(&two),
        ),
        taken("sizes with zeros in front", chunked_post(&padded)),
        taken("an extension", chunked(";a=b;c=\"d\"", "")),
        taken(
            "trailers, which are not looked at",
            chunked("", "A: b\r\nContent-Length: 9\r\n"),
        ),
        refused("no size", "\r\n", 400),
        refused("a size with a prefix", "0x1\r\na\r\n0\r\n\r\n", 400),
        refused("a negative size", "-1\r\n", 400),
        refused(
            "a size with white space behind it",
            "1 \r\na\r\n0\r\n\r\n",
            400,
        ),
        refused("a size of 17 digits", "10000000000000000\r\n", 400),
        refused("a size of 2^64 - 1", "ffffffffffffffff\r\n", 413),
        refused("a size over the limit", "401\r\n", 413),
        refused(
            "sizes over the limit together",
            &format!("400\r\n{}\r\n1\r\n", "a".repeat(1024)),
            413,
        ),
        refused("a size that ends with LF alone", "1\na\r\n0\r\n\r\n", 400),
        refused("data longer than its size", "1\r\nab\r\n0\r\n\r\n", 400),
        refused("data that ends with LF alone", "1\r\na\n0\r\n\r\n", 400),
        refused("LF in an extension", "1;a\nb\r\na\r\n0\r\n\r\n", 400),
        refused("a NUL in an extension", "1;\0\r\na\r\n0\r\n\r\n", 400),
        refused("LF in a trailer", "0\r\nA: b\n\r\n", 400),
        refused("a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", 400),
        refused(
            "extensions of more than 4 KiB",
            &format!("1;{}\r\n", "a".repeat(4096 + 1)),
            431,
        ),
    ]
}

fn content() -> Vec<Row> {
    let with = |lines: &str| {
        let length = EVENT.len();
        post(&format!("Content-Length: {length}\r\n{lines}"), EVENT)
    };
    let invalid = |sent, body: &str| {
        let request = post(&format!("Content-Length: {}\r\n", body.len()), body);
        Row::new(
            sent,
            request,
            vec![error(400, "VALIDATION_FAILED")],
            Then::Stays,
        )
    };
    let full = format!("{EVENT}{}", " ".repeat(1024 - EVENT.len()));
    vec![
        taken("JSON", with("Content-Type: application/json\r\n")),
        taken(
            "a type that curl gives it",
            with("Content-Type: application/x-www-form-urlencoded\r\n"),
        ),
        taken(
            "no coding, said aloud",
            with("Content-Encoding: identity\r\n"),
        ),
        taken(
            "a body of exactly the limit",
            post("Content-Length: 1024\r\n", &full),
        ),
        Row::new(
            "a coding",
            with("Content-Encoding: gzip\r\n"),
            vec![error(415, "VALIDATION_FAILED").with("Accept-Encoding", "identity")],
            Then::Closes,
        ),
        invalid("no JSON", "nonsense"),
        invalid("a list", "[]"),
        invalid("more behind it", &format!("{EVENT} x")),
        invalid("a byte order mark before it", &format!("\u{feff}{EVENT}")),
    ]
}

fn expectations() -> Vec<Row> {
    let length = EVENT.len();
    let head = |target: &str, expectation: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nExpect: {expectation}\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let publish = "/api/v1/publish";
    let leave = || answer(100, Body::Empty).without("Connection");
    vec![
        Row::new(
            "100-continue, and no body yet",
            head(publish, "100-continue", length),
            vec![leave()],
            Then::Waits,
        ),
        Row::new(
            "100-continue in capitals, and a body",
            head(publish, "100-Continue", length) + EVENT,
            vec![leave(), published()],
            Then::Stays,
        ),
        Row::new(
            "100-continue without a body",
            head(publish, "100-continue", 0),
            vec![error(400, "VALIDATION_FAILED")],
            Then::Stays,
        ),
        Row::new(
            "100-continue for what is not there: no leave is given",
            head("/nothing", "100-continue", length),
            vec![error(404, "NOT_FOUND")],
            Then::Closes,
        ),
        Row::refused(
            "100-continue for a body over the limit: no leave is given",
            head(publish, "100-continue", 1025),
            413,
        ),
        Row::new(
            "100-continue in HTTP/1.0, which does not know it",
            head(publish, "100-continue", length).replace("HTTP/1.1", "HTTP/1.0") + EVENT,
            vec![published()],
            Then::Closes,
        ),
        Row::refused("another expectation", head(publish, "200-ok", length), 417),
    ]
}
