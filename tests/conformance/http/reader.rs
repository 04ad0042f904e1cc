//! Reads answers as RFC 9112 has them, and holds them to what every answer owes.

use crate::http::{Answer, Body};

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter();
        let named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// The methods of the requests in a row, as far as their lines show.
pub fn methods(requests: &str) -> Vec<String> {
    let lines = requests
        .split("\r\n")
        .filter(|line| line.contains(" HTTP/1."));
    let methods = lines.filter_map(|line| line.split(' ').next());
    methods.map(str::to_owned).collect()
}

/// Takes one answer from the front of `bytes`.
pub fn read(bytes: &mut &[u8], is_head: bool, what: &str) -> Reply {
    let mut windows = bytes.windows(4);
    let end = windows
        .position(|window| window == b"\r\n\r\n")
        .expect(what);
    let head = std::str::from_utf8(&bytes[..end]).expect(what);
    *bytes = &bytes[head.len() + 4..];
    let mut lines = head.split("\r\n");
    let first = lines.next().expect(what);
    let (version, rest) = first.split_once(' ').expect(what);
    let (status, reason) = rest.split_once(' ').expect(what);
    assert_eq!(version, "HTTP/1.1", "{what}");
    assert!(status.len() == 3 && !reason.is_empty(), "{what}: {first}");
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").expect(what);
        (name.to_owned(), value.to_owned())
    });
    let mut reply = Reply {
        status: status.parse().expect(what),
        headers: headers.collect(),
        body: String::new(),
    };
    assert!(reply.values("transfer-encoding").is_empty(), "{what}");
    let lengths = reply.values("content-length");
    // RFC 9110 section 8.6.
    let has_length = reply.status >= 200 && reply.status != 204;
    assert_eq!(lengths.len(), usize::from(has_length), "{what}: {reply:?}");
    let length: usize = lengths
        .first()
        .map_or(0, |length| length.parse().expect(what));
    if !is_head {
        let (body, behind) = bytes.split_at_checked(length).expect(what);
        reply.body = String::from_utf8(body.to_vec()).expect(what);
        *bytes = behind;
    }
    reply
}

/// Holds a reply to its row, and to what is true of all.
pub fn check(reply: &Reply, expected: &Answer, closes: bool, what: &str) {
    for (name, value) in &expected.headers {
        // Several lines are one list: RFC 9110 section 5.3.
        let found = reply.values(name).join(", ");
        assert_eq!(found, value.unwrap_or_default(), "{what}: {name}");
    }
    match expected.body {
        Body::Empty => assert_eq!(reply.body, "", "{what}"),
        Body::Error(code) => {
            let json: serde_json::Value = serde_json::from_str(&reply.body).expect(what);
            assert_eq!(json["error"]["code"], code, "{what}: {json}");
            assert!(json["error"]["message"].is_string(), "{what}: {json}");
        }
        Body::Has(text) => assert!(reply.body.contains(text), "{what}: {}", reply.body),
    }
    if !reply.body.is_empty() {
        assert_eq!(reply.values("content-type"), ["application/json"], "{what}");
    }
    if reply.status < 200 {
        return;
    }
    assert_eq!(reply.values("date").len(), 1, "{what}");
    let connection = reply.values("connection");
    let says_close = connection.iter().any(|value| value.contains("close"));
    assert_eq!(says_close, closes, "{what}: {connection:?}");
}
