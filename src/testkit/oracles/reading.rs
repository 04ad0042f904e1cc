//! What a WebSocket stream was read as, in a form that two readers can be compared by.

use crate::protocol::websocket::{Step, WebSocket};
use crate::wire::websocket::assembler::{Assembler, AssemblerLimits, Event, MessageKind};
use crate::wire::websocket::close;
use crate::wire::websocket::fault::WebSocketFault;
use crate::wire::websocket::frame::Role;

/// An event that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Compressed(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// More input is awaited.
    Waits,
    /// Behind a Close, after which nothing is read.
    Closed,
    /// The peer was at fault.
    Fault(WebSocketFault),
}

/// What a stream was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) received: Vec<Received>,
    pub(super) end: End,
}

impl From<Event<'_>> for Received {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Event::Compressed(kind, bytes) => Self::Compressed(kind, bytes.to_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Event::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code, close.reason.to_owned())))
            }
        }
    }
}

impl Received {
    /// What an open conversation says about this event.
    fn step(&self) -> Step<'_> {
        match self {
            Self::Text(text) => Step::Text(text),
            Self::Binary(bytes) => Step::Binary(bytes),
            Self::Compressed(kind, bytes) => Step::Compressed(*kind, bytes),
            Self::Ping(payload) => Step::Ping(payload),
            Self::Pong(_) => Step::Heard,
            Self::Close(None) => Step::Closing(close::NORMAL),
            Self::Close(Some((code, _))) => Step::Closing(*code),
        }
    }
}

/// Reads `stream` with our assembler, in pieces that end at `ends`. Also says how many bytes were
/// taken: all, or those up to the end of the Close, or those before the piece with the fault.
pub(super) fn read(
    stream: &[u8],
    ends: impl Iterator<Item = usize>,
    limits: &AssemblerLimits,
) -> (Reading, usize) {
    let mut bytes = stream.to_vec();
    let mut assembler = Assembler::new(Role::Server);
    let mut received = Vec::new();
    let mut start = 0;
    for end in ends {
        let piece = &mut bytes[start..end];
        let mut taken = 0;
        loop {
            let event = match assembler.next(&mut piece[taken..], limits) {
                Ok((count, event)) => {
                    taken += count;
                    event.map(Received::from)
                }
                Err(fault) => {
                    let end = End::Fault(fault);
                    return (Reading { received, end }, start);
                }
            };
            let Some(event) = event else {
                assert_eq!(taken, piece.len(), "without an event everything is taken");
                break;
            };
            assert_bounded(&event, limits);
            let closes = matches!(event, Received::Close(_));
            received.push(event);
            if closes {
                let end = End::Closed;
                return (Reading { received, end }, start + taken);
            }
        }
        start = end;
    }
    let end = End::Waits;
    (Reading { received, end }, start)
}

/// Expects that the conversation around the assembler, fed in pieces that end at `ends`, asks for
/// exactly the steps that follow from `expected`.
pub(super) fn assert_steps(
    stream: &[u8],
    ends: impl Iterator<Item = usize>,
    limits: &AssemblerLimits,
    expected: &Reading,
) {
    let mut bytes = stream.to_vec();
    let mut conversation = WebSocket::server();
    let mut events = expected.received.iter();
    let mut start = 0;
    for end in ends {
        loop {
            let (taken, step) = conversation.next(&mut bytes[start..end], limits);
            start += taken;
            match step {
                Step::More => break,
                Step::Fault(fault) => {
                    assert_eq!(End::Fault(fault), expected.end);
                    assert_eq!(events.next(), None);
                    return;
                }
                step => {
                    assert_eq!(Some(&step), events.next().map(Received::step).as_ref());
                    if matches!(step, Step::Closing(_)) {
                        assert!(!conversation.is_open());
                        return;
                    }
                }
            }
        }
        assert_eq!(start, end, "without a step everything is taken");
    }
    assert_eq!((expected.end, events.next()), (End::Waits, None));
}

fn assert_bounded(event: &Received, limits: &AssemblerLimits) {
    let (bytes, bound) = match event {
        Received::Text(text) => (text.len(), limits.message_bytes),
        Received::Binary(bytes) | Received::Compressed(_, bytes) => {
            (bytes.len(), limits.message_bytes)
        }
        Received::Ping(bytes) | Received::Pong(bytes) => (bytes.len(), 125),
        Received::Close(None) => (0, 0),
        Received::Close(Some((_, reason))) => (reason.len(), close::REASON_BYTES_MAX),
    };
    assert!(bytes <= bound, "{bytes} bytes are over {bound}");
}
