//! A WebSocket conversation: messages in order, pings answered, the close handshake.
//!
//! Wraps the assembler with what a conversation remembers: whether we have said Close, and whether
//! they have. What is to be sent is returned as a [`Step`]; nothing is queued here. Invariants: at
//! most one Close is ever asked to be sent; after it, messages of the peer are read and dropped
//! (RFC 6455 section 5.5.1); an idle conversation owns no buffer.

use crate::wire::websocket::assembler::{Assembler, AssemblerLimits, Event, MessageKind};
use crate::wire::websocket::close;
use crate::wire::websocket::fault::WebSocketFault;
use crate::wire::websocket::frame::Role;

/// Which Close frames have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// None.
    Open,
    /// Ours; theirs is awaited.
    AwaitingClose,
    /// Theirs, and ours is sent or on its way.
    Closed,
}

/// One side of a WebSocket after the handshake; ours is the server's.
#[derive(Debug)]
pub struct WebSocket {
    assembler: Assembler,
    phase: Phase,
}

/// What a piece of input led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// All input was taken and more is needed.
    More,
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A compressed message: inflate it, and go on with what it is; if it cannot be inflated, that
    /// is a fault to be told with [`WebSocket::fail`].
    Compressed(MessageKind, &'a [u8]),
    /// A Ping: send a Pong with this payload.
    Ping(&'a [u8]),
    /// A Pong, or a message after our Close: nothing to do but note that the peer lives.
    Heard,
    /// The peer's Close came first: send a Close with this code, then close the connection.
    Closing(u16),
    /// The peer's answer to our Close came: close the connection.
    Closed,
    /// The peer broke the protocol: send a Close with the fault's code and close the connection.
    Fault(WebSocketFault),
}

impl WebSocket {
    /// The server's side of a conversation whose handshake is done.
    #[must_use]
    pub fn server() -> Self {
        Self {
            assembler: Assembler::new(Role::Server),
            phase: Phase::Open,
        }
    }

    /// Takes compressed messages, too, because that was agreed on.
    #[must_use]
    pub fn with_compression(mut self) -> Self {
        self.assembler = self.assembler.with_compression();
        self
    }

    /// Ends the conversation for a fault in a message that it gave out, as if it had given
    /// [`Step::Fault`] instead.
    pub fn fail(&mut self) {
        self.phase = Phase::Closed;
    }

    /// Whether neither side has said Close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Notes that we are about to send Close; false if that has happened before.
    pub fn begin_close(&mut self) -> bool {
        let first = self.phase == Phase::Open;
        if first {
            self.phase = Phase::AwaitingClose;
        }
        first
    }

    /// Takes bytes from the front of `input`, which is unmasked in place, until something is to be
    /// done; returns how many. Call again with the rest until [`Step::More`]; not after
    /// [`Step::Closing`], [`Step::Closed`] or [`Step::Fault`].
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &AssemblerLimits,
    ) -> (usize, Step<'a>) {
        let open = self.phase == Phase::Open;
        let phase = &mut self.phase;
        match self.assembler.next(input, limits) {
            Err(fault) => {
                let first = *phase == Phase::Open;
                *phase = Phase::Closed;
                (
                    0,
                    if first {
                        Step::Fault(fault)
                    } else {
                        Step::Closed
                    },
                )
            }
            Ok((taken, None)) => (taken, Step::More),
            Ok((taken, Some(event))) => {
                let step = match event {
                    Event::Text(text) if open => Step::Text(text),
                    Event::Binary(bytes) if open => Step::Binary(bytes),
                    Event::Compressed(kind, bytes) if open => Step::Compressed(kind, bytes),
                    Event::Ping(payload) if open => Step::Ping(payload),
                    Event::Text(_)
                    | Event::Binary(_)
                    | Event::Compressed(..)
                    | Event::Ping(_)
                    | Event::Pong(_) => Step::Heard,
                    Event::Close(reason) => {
                        *phase = Phase::Closed;
                        if open {
                            // An empty Close is answered with 1000; otherwise the code is echoed
                            // (RFC 6455 section 5.5.1).
                            Step::Closing(reason.map_or(close::NORMAL, |reason| reason.code))
                        } else {
                            Step::Closed
                        }
                    }
                };
                (taken, step)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::frame::{Opcode, masked_frame, write_compressed_header};

    const LIMITS: AssemblerLimits = AssemblerLimits {
        message_bytes: 100,
        fragments: 10,
    };

    fn sent(frames: &[(Opcode, &[u8])]) -> Vec<u8> {
        let frames = frames
            .iter()
            .map(|(opcode, payload)| masked_frame(*opcode, payload, [1, 2, 3, 4]));
        frames.collect::<Vec<_>>().concat()
    }

    /// The steps that `input` leads to, whole or cut, up to the last one.
    fn steps(socket: &mut WebSocket, input: &[u8], cut: usize) -> Vec<String> {
        let mut steps = Vec::new();
        for piece in input.chunks(cut) {
            let (mut piece, mut at) = (piece.to_vec(), 0);
            loop {
                let rest = piece.get_mut(at..).unwrap_or_default();
                let (taken, step) = socket.next(rest, &LIMITS);
                at += taken;
                if step == Step::More {
                    break;
                }
                steps.push(format!("{step:?}"));
                if matches!(step, Step::Closing(_) | Step::Closed | Step::Fault(_)) {
                    return steps;
                }
            }
        }
        steps
    }

    fn check(closes_first: bool, input: &[u8], expected: &[&str]) {
        for cut in [input.len(), 1, 3] {
            let mut socket = WebSocket::server();
            assert!(socket.is_open());
            if closes_first {
                assert!(socket.begin_close());
                assert!(!socket.begin_close(), "Close is said once");
            }
            assert_eq!(steps(&mut socket, input, cut), expected, "cut {cut}");
        }
    }

    #[test]
    fn messages_pings_and_pongs_come_out_in_order() {
        let input = sent(&[
            (Opcode::Text, b"a"),
            (Opcode::Ping, b"p"),
            (Opcode::Pong, b""),
            (Opcode::Binary, &[7]),
        ]);
        let expected = ["Text(\"a\")", "Ping([112])", "Heard", "Binary([7])"];
        check(false, &input, &expected);
        check(true, &input, &["Heard", "Heard", "Heard", "Heard"]);
    }

    #[test]
    fn compressed_messages_come_out_as_they_are_while_both_sides_are_open() {
        let mut input = Vec::new();
        write_compressed_header(true, Opcode::Text, 1, Some([0; 4]), &mut input);
        input.push(7);
        let mut socket = WebSocket::server().with_compression();
        let found = steps(&mut socket, &input, 100);
        assert_eq!(found, ["Compressed(Text, [7])"]);
        socket.fail();
        assert!(!socket.is_open() && !socket.begin_close());
        let mut socket = WebSocket::server().with_compression();
        socket.begin_close();
        assert_eq!(steps(&mut socket, &input, 100), ["Heard"]);
        check(false, &input, &["Fault(ReservedBit)"]);
    }

    #[test]
    fn a_close_is_answered_with_its_code_and_ours_is_answered_by_theirs() {
        let input = sent(&[(Opcode::Close, &[0x0b, 0xb8]), (Opcode::Text, b"late")]);
        check(false, &input, &["Closing(3000)"]);
        check(true, &input, &["Closed"]);
        check(false, &sent(&[(Opcode::Close, b"")]), &["Closing(1000)"]);
    }

    #[test]
    fn a_fault_closes_with_its_code_unless_close_was_said() {
        let input = sent(&[(Opcode::Text, &[0xff])]);
        check(false, &input, &["Fault(InvalidUtf8)"]);
        check(true, &input, &["Closed"]);
        let mut socket = WebSocket::server();
        steps(&mut socket, &input, 100);
        assert!(!socket.is_open() && !socket.begin_close());
    }
}
