//! Where publications go: kinglet's HTTP API or a WebSocket of it, the HTTP of another hub, or a
//! plain one as one of its clients; and what the answers say.
//!
//! May not touch: connections. Invariant: an answer is found without reading the rest of it.

use memchr::memmem;

use crate::cli::bench::peer::{Event, Outgoing};
use crate::cli::bench::reason::Reason;
use crate::cli::bench::swarm::Dial;
use crate::cli::bench::target::Requests;
use crate::domain::fault::Code;
use crate::wire::json::object::Object;

/// Where publications go.
#[derive(Debug)]
pub(super) enum Outlet {
    /// POSTs to `path`, into `room`.
    Api { path: String, room: String },
    /// `publish` commands on a WebSocket at `path`, into `room`.
    Socket { path: String, room: String },
    /// POSTs to `path` of nothing but the text.
    Post { path: String },
    /// Text messages on a WebSocket at `path`.
    Hub { path: String },
}

impl Outlet {
    /// Whether each publication has an answer.
    pub(super) fn is_answered(&self) -> bool {
        match self {
            Self::Api { .. } | Self::Socket { .. } | Self::Post { .. } => true,
            Self::Hub { .. } => false,
        }
    }

    /// What a connection that publishes is for.
    pub(super) fn dial(&self) -> Dial<'_> {
        match self {
            Self::Api { .. } | Self::Post { .. } => Dial::Http,
            Self::Socket { path, .. } | Self::Hub { path } => Dial::WebSocket(path),
        }
    }

    /// Publishes `text`, which needs no escapes in JSON.
    pub(super) fn write(&self, text: &str, requests: Requests<'_>, outgoing: &mut Outgoing<'_>) {
        match self {
            Self::Api { path, room } => {
                outgoing.request(&requests.post(path, &publication(None, room, text)));
            }
            Self::Socket { room, .. } => {
                outgoing.message(&publication(Some("publish"), room, text));
            }
            Self::Post { path } => outgoing.request(&requests.post(path, text.as_bytes())),
            Self::Hub { .. } => outgoing.message(text.as_bytes()),
        }
    }

    /// What `event` says of the oldest publication without an answer: its offset, 0 if it has none,
    /// or why it was refused. `None` if it says nothing: a hub may send us our own, too.
    pub(super) fn answer(&self, event: Event<'_>) -> Option<Result<u64, Reason>> {
        match (self, event) {
            (_, Event::Answered(200..=299, body)) => Some(Ok(offset_in(body))),
            (_, Event::Answered(status, body)) => {
                Some(Err(refusal_in(body).unwrap_or(Reason::Status(status))))
            }
            (Self::Socket { .. }, Event::Message(message)) => {
                let has = |part: &[u8]| memmem::find(message, part).is_some();
                if has(br#""type":"published""#) {
                    return Some(Ok(offset_in(message)));
                }
                error_in(message).map(Err)
            }
            (_, Event::Message(_) | Event::Opened) => None,
        }
    }
}

/// Why the server refused what `message` answers, if it did.
pub(super) fn error_in(message: &[u8]) -> Option<Reason> {
    memmem::find(message, br#""type":"error""#)
        .map(|_| refusal_in(message).unwrap_or(Reason::Error))
}

/// The code in an error of kinglet's, if it is one.
pub(super) fn refusal_in(body: &[u8]) -> Option<Reason> {
    let name = after(body, br#""code":""#)?;
    let name = name.split(|byte| *byte == b'"').next()?;
    let known = Code::ALL.iter().map(|code| code.as_str());
    let mut known = known.filter(|code| code.as_bytes() == name);
    known.next().map(Reason::Refused)
}

/// The first offset in `body`, or 0.
pub(super) fn offset_in(body: &[u8]) -> u64 {
    let digits = after(body, br#""offset":"#).unwrap_or_default();
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    })
}

/// What follows `name` in `body`.
fn after<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    body.get(memmem::find(body, name)? + name.len()..)
}

/// What kinglet's `POST /api/v1/publish` takes, or with a type its sockets.
fn publication(kind: Option<&str>, room: &str, text: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len() + 64);
    Object::begin(&mut body)
        .string_if("type", kind)
        .string("room", room)
        .string("event", "bench")
        .string("data", text)
        .end();
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_what_kinglet_takes() {
        let expected = r#"{"room":"a\"b","event":"bench","data":"kb."}"#;
        assert_eq!(publication(None, "a\"b", "kb."), expected.as_bytes());
        let expected = r#"{"type":"publish","room":"a\"b","event":"bench","data":"kb."}"#;
        assert_eq!(
            publication(Some("publish"), "a\"b", "kb."),
            expected.as_bytes()
        );
    }

    #[test]
    fn an_answer_is_told_from_what_else_comes() {
        let (path, room) = ("/ws".to_owned(), "a".to_owned());
        let socket = Outlet::Socket { path, room };
        let hub = Outlet::Hub {
            path: "/".to_owned(),
        };
        let api = Outlet::Post {
            path: "/".to_owned(),
        };
        let check = |outlet: &Outlet, event, expected| {
            assert_eq!(outlet.answer(event), expected, "{event:?}");
        };
        let message = |text: &'static str| Event::Message(text.as_bytes());
        let published = message(r#"{"type":"published","room":"a","offset":17}"#);
        check(&socket, published, Some(Ok(17)));
        check(&hub, published, None);
        let error = message(r#"{"type":"error","error":"no","data":{"code":"STORE_BUSY"}}"#);
        check(&socket, error, Some(Err(Reason::Refused("STORE_BUSY"))));
        let error = message(r#"{"type":"error","error":"no","data":{"code":"NEW"}}"#);
        check(&socket, error, Some(Err(Reason::Error)));
        check(
            &socket,
            message(r#"{"type":"bench","room":"a","offset":1}"#),
            None,
        );
        check(&socket, Event::Opened, None);
        check(&api, Event::Answered(204, b""), Some(Ok(0)));
        let body = br#"{"id":"x","results":[{"room":"a","offset":9,"epoch":"e"}]}"#;
        check(&api, Event::Answered(200, body), Some(Ok(9)));
        check(
            &api,
            Event::Answered(502, b"no"),
            Some(Err(Reason::Status(502))),
        );
        let body = br#"{"error":{"code":"RATE_LIMITED","message":"slower"}}"#;
        check(
            &api,
            Event::Answered(429, body),
            Some(Err(Reason::Refused("RATE_LIMITED"))),
        );
    }
}
