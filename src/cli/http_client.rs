//! HTTP exchanges: connect, ask, read the answer; once, or again on the same connection.
//!
//! May not touch: what is asked. Invariant: an answer is bounded whatever the server declares.

use std::time::Duration;

use serde::Deserialize;

use crate::cli::server::Server;
use crate::cli::transport::{READ_BYTES, Stream, TransportFault, connect};
use crate::wire::http::client::{ResponseLimits, ResponseReader, encode_request};
use crate::wire::http::scan::HeadLimits;

/// The largest answer that is read. A page of history holds 300 publications; at the default of
/// 1 MiB a room it is far below this, and only rooms configured to keep more come near.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

const LIMITS: ResponseLimits = ResponseLimits {
    // A proxy between us and the server may add a lot; beyond this it is no answer.
    head: HeadLimits {
        bytes: 64 * 1024,
        headers: 200,
    },
    body: ANSWER_BYTES,
};

/// An answer, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// What Retry-After says; none if it is a date, which kinglet never sends.
    retry_after: Option<Duration>,
}

/// Asks once. `path` begins with `/` and is percent-encoded; `body` is JSON, or empty.
pub(super) fn exchange(
    server: &Server,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Answer, TransportFault> {
    ask(&mut connect(server)?, server, "close", (method, path, body))
}

/// A connection for many questions, one after the other.
pub(super) struct Connection(Stream);

impl Connection {
    pub(super) fn open(server: &Server) -> Result<Self, TransportFault> {
        connect(server).map(Self)
    }

    /// Asks, as [`exchange`] does. After a fault the connection is of no use any more.
    pub(super) fn ask(
        &mut self,
        server: &Server,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, TransportFault> {
        ask(&mut self.0, server, "keep-alive", (method, path, body))
    }
}

fn ask(
    stream: &mut Stream,
    server: &Server,
    connection: &str,
    (method, path, body): (&str, &str, &[u8]),
) -> Result<Answer, TransportFault> {
    let mut headers = vec![
        ("Connection", connection),
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
    ];
    let authorization = server.authorization();
    if let Some(authorization) = &authorization {
        headers.push(("Authorization", authorization));
    }
    let target = server.url.target(path);
    let request = encode_request(method, &target, &server.url.authority(), &headers, body);
    // A server that refuses a large body answers before it has taken all of it.
    let sent = stream.send(&request);
    match (read_answer(stream), sent) {
        (Ok((reader, _)), _) => answer(&reader),
        (Err(TransportFault::TlsExpected), _) => Err(TransportFault::TlsExpected),
        (Err(_), Err(fault)) | (Err(fault), Ok(())) => Err(fault),
    }
}

/// How a server that speaks TLS answers what is none: a record of type alert, version 3.x (RFC 8446
/// section 5.1). No status line begins so.
const TLS_ALERT: [u8; 2] = [21, 3];

/// Reads one answer to its end; the second value is what came after it.
pub(super) fn read_answer(
    stream: &mut Stream,
) -> Result<(ResponseReader, Vec<u8>), TransportFault> {
    let mut reader = ResponseReader::new(false, LIMITS);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.receive(&mut buffer)?;
        let nothing_came = reader.head().is_none();
        if count == 0 {
            return match reader.eof() {
                Ok(()) => Ok((reader, Vec::new())),
                Err(_) if nothing_came => Err(TransportFault::Ended),
                Err(fault) => Err(TransportFault::NotHttp(fault)),
            };
        }
        let arrived = buffer.get(..count).unwrap_or_default();
        if nothing_came && arrived.starts_with(&TLS_ALERT) {
            return Err(TransportFault::TlsExpected);
        }
        let taken = reader.feed(arrived).map_err(TransportFault::NotHttp)?;
        if reader.is_done() {
            return Ok((reader, arrived.get(taken..).unwrap_or_default().to_vec()));
        }
    }
}

/// The whole answer that `reader` has read.
pub(super) fn answer(reader: &ResponseReader) -> Result<Answer, TransportFault> {
    let retry_after = reader.head().and_then(|head| head.header("retry-after"));
    let seconds = retry_after.and_then(|text| text.parse().ok());
    let not_text = |_| TransportFault::NotKinglet("the answer is not text");
    Ok(Answer {
        status: reader.status().unwrap_or_default(),
        body: String::from_utf8(reader.body().to_vec()).map_err(not_text)?,
        retry_after: seconds.map(Duration::from_secs),
    })
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Deserialize)]
struct ErrorFields {
    code: String,
    message: String,
}

impl Answer {
    /// The code of the error that the body describes, if it is one of kinglet's.
    pub(super) fn error_code(&self) -> Option<String> {
        let body: ErrorBody = serde_json::from_str(&self.body).ok()?;
        Some(body.error.code)
    }

    /// The answer as a refusal in the server's own words.
    pub(super) fn refusal(&self) -> TransportFault {
        TransportFault::Refused {
            status: self.status,
            words: match serde_json::from_str::<ErrorBody>(&self.body) {
                Ok(ErrorBody { error }) => format!("{}: {}", error.code, error.message),
                Err(_) => format!(
                    "the server answered {}; is this a kinglet server?",
                    self.status
                ),
            },
            retry_after: self.retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_speaks_the_servers_words() {
        let check = |status, body: &str, expected: &str| {
            let answer = Answer {
                status,
                body: body.to_owned(),
                retry_after: None,
            };
            assert_eq!(answer.refusal().to_string(), expected);
        };
        check(
            404,
            r#"{"error":{"code":"NOT_FOUND","message":"no such room","details":{}}}"#,
            "NOT_FOUND: no such room",
        );
        let foreign = "the server answered 502; is this a kinglet server?";
        check(502, "<html>", foreign);
        check(502, r#"{"error":"no"}"#, foreign);
    }
}
