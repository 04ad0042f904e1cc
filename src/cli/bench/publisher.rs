//! Who publishes to the subscribers: over kinglet's HTTP API or a WebSocket of it, over the HTTP of
//! another hub, or as one client of a plain one.
//!
//! Requests and commands are sent without waiting for the answers before them (RFC 9112 section 9.3.2), so that
//! publications go out when they are due. Invariant: only so many are unanswered.

use memchr::memmem;

use crate::cli::bench::peer::Event;
use crate::cli::bench::reason::{Reason, Tally};
use crate::cli::bench::swarm::{Dial, Swarm};
use crate::wire::json::object::Object;

/// Requests without an answer: as many as a server may be behind before we wait for it.
const UNANSWERED_MAX: u64 = 64;

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
    fn is_answered(&self) -> bool {
        match self {
            Self::Api { .. } | Self::Socket { .. } | Self::Post { .. } => true,
            Self::Hub { .. } => false,
        }
    }

    /// Whether `message` is an answer, and a yes; `None` if it is something else.
    fn answer_in(&self, message: &[u8]) -> Option<bool> {
        let has = |part: &[u8]| memmem::find(message, part).is_some();
        match self {
            Self::Socket { .. } if has(br#""type":"published""#) => Some(true),
            Self::Socket { .. } if has(br#""type":"error""#) => Some(false),
            // A hub may send us our own, too.
            Self::Socket { .. } | Self::Api { .. } | Self::Post { .. } | Self::Hub { .. } => None,
        }
    }
}

/// A connection that publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    outlet: Outlet,
    /// Its connection; None if it could not be begun.
    index: Option<usize>,
    sent: u64,
    answered: u64,
    /// Answers other than yes.
    pub(super) refused: Tally,
}

impl Publisher {
    /// Begins to connect.
    pub(super) fn open(outlet: Outlet, swarm: &mut Swarm<'_>) -> Self {
        let mut publisher = Self {
            outlet,
            index: None,
            sent: 0,
            answered: 0,
            refused: Tally::default(),
        };
        publisher.reopen(swarm);
        publisher
    }

    /// Connects again if the connection has ended: servers end one after a refusal.
    pub(super) fn reopen(&mut self, swarm: &mut Swarm<'_>) {
        if self.is_live(swarm) {
            return;
        }
        self.give_up_unanswered(swarm);
        self.index = swarm.open(match &self.outlet {
            Outlet::Api { .. } | Outlet::Post { .. } => Dial::Http,
            Outlet::Socket { path, .. } | Outlet::Hub { path } => Dial::WebSocket(path),
        });
    }

    /// Counts what was not answered on a connection that has ended as refused.
    pub(super) fn give_up_unanswered(&mut self, swarm: &Swarm<'_>) {
        if self.outlet.is_answered() && !self.is_live(swarm) {
            while self.answered < self.sent {
                self.receive_refusal(Reason::Ended);
            }
        }
    }

    /// Whether `index` is its connection.
    pub(super) fn is(&self, index: usize) -> bool {
        self.index == Some(index)
    }

    /// Whether it is connected or about to be.
    pub(super) fn is_live(&self, swarm: &Swarm<'_>) -> bool {
        self.index.is_some_and(|index| swarm.is_live(index))
    }

    /// Publications sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Publications sent and not refused so far.
    pub(super) fn accepted(&self) -> u64 {
        self.sent - self.refused.total()
    }

    /// Sends further publications until there are `due` of them, or too many without an answer.
    /// `text` makes the one with a number, from 1, which needs no escapes in JSON.
    pub(super) fn publish(
        &mut self,
        due: u64,
        swarm: &mut Swarm<'_>,
        text: impl Fn(u64) -> String,
    ) {
        let due = if self.outlet.is_answered() {
            due.min(self.answered + UNANSWERED_MAX)
        } else {
            due
        };
        let Some(index) = self.index else { return };
        if self.sent >= due {
            return;
        }
        let requests = swarm.requests();
        swarm.send(index, |outgoing| {
            for number in self.sent + 1..=due {
                let text = text(number);
                match &self.outlet {
                    Outlet::Api { path, room } => {
                        outgoing.request(&requests.post(path, &body(room, &text)));
                    }
                    Outlet::Socket { room, .. } => outgoing.message(&command(room, &text)),
                    Outlet::Post { path } => {
                        outgoing.request(&requests.post(path, text.as_bytes()));
                    }
                    Outlet::Hub { .. } => outgoing.message(text.as_bytes()),
                }
            }
            self.sent = due;
        });
    }

    /// Takes what came on its connection.
    pub(super) fn receive(&mut self, event: Event<'_>) {
        match event {
            Event::Answered(200..=299) => self.answered += 1,
            Event::Answered(status) => self.receive_refusal(Reason::Status(status)),
            Event::Message(message) => match self.outlet.answer_in(message) {
                Some(true) => self.answered += 1,
                Some(false) => self.receive_refusal(Reason::Error),
                None => {}
            },
            Event::Opened => {}
        }
    }

    fn receive_refusal(&mut self, reason: Reason) {
        self.answered += 1;
        self.refused.add(reason);
    }
}

/// What kinglet's `POST /api/v1/publish` takes.
fn body(room: &str, text: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len() + 64);
    Object::begin(&mut body)
        .string("room", room)
        .string("event", "bench")
        .string("data", text)
        .end();
    body
}

/// The same as a command on a socket.
fn command(room: &str, text: &str) -> Vec<u8> {
    let mut command = Vec::with_capacity(text.len() + 64);
    Object::begin(&mut command)
        .string("type", "publish")
        .string("room", room)
        .string("event", "bench")
        .string("data", text)
        .end();
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_kinglet_takes() {
        let expected = r#"{"room":"a\"b","event":"bench","data":"kb."}"#;
        assert_eq!(body("a\"b", "kb."), expected.as_bytes());
        let expected = r#"{"type":"publish","room":"a\"b","event":"bench","data":"kb."}"#;
        assert_eq!(command("a\"b", "kb."), expected.as_bytes());
    }
    #[test]
    fn an_answer_on_a_socket_is_told_from_what_else_comes() {
        let (path, room) = ("/ws".to_owned(), "a".to_owned());
        let socket = Outlet::Socket { path, room };
        let check = |message: &str, expected| {
            assert_eq!(socket.answer_in(message.as_bytes()), expected, "{message}");
        };
        check(r#"{"type":"published","room":"a","offset":1}"#, Some(true));
        check(r#"{"type":"error","error":"no"}"#, Some(false));
        check(r#"{"type":"bench","room":"global","offset":1}"#, None);
        let hub = Outlet::Hub {
            path: "/".to_owned(),
        };
        assert_eq!(hub.answer_in(br#"{"type":"published"}"#), None);
    }
}
