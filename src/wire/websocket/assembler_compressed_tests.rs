//! Compressed messages in the assembler: which frames may say so, and what is handed on.

#![allow(clippy::unwrap_used)]

use super::{Assembler, AssemblerLimits, Event};
use crate::wire::websocket::fault::WebSocketFault as Fault;
use crate::wire::websocket::frame::{Opcode, Role, unmask, write_compressed_header, write_header};

const LIMITS: AssemblerLimits = AssemblerLimits {
    message_bytes: 20,
    fragments: 3,
};
const KEY: [u8; 4] = [0xa1, 0x5b, 0x0c, 0xff];

/// One frame: RSV1, FIN, opcode, payload.
type Frame<'a> = (bool, bool, Opcode, &'a [u8]);

fn stream(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (rsv1, fin, opcode, payload) in frames {
        let write = if *rsv1 {
            write_compressed_header
        } else {
            write_header
        };
        write(*fin, *opcode, payload.len() as u64, Some(KEY), &mut stream);
        let start = stream.len();
        stream.extend_from_slice(payload);
        unmask(&mut stream[start..], KEY, 0);
    }
    stream
}

/// What the frames are read as, in pieces of `size` bytes.
fn read(frames: &[Frame<'_>], size: usize, agreed: bool) -> (Vec<String>, Option<Fault>) {
    let mut assembler = Assembler::new(Role::Server);
    if agreed {
        assembler = assembler.with_compression();
    }
    let mut events = Vec::new();
    for piece in stream(frames).chunks_mut(size) {
        let mut taken = 0;
        loop {
            match assembler.next(&mut piece[taken..], &LIMITS) {
                Ok((_, None)) => break,
                Ok((count, Some(event))) => {
                    taken += count;
                    events.push(match event {
                        Event::Compressed(kind, bytes) => {
                            let text = String::from_utf8_lossy(bytes);
                            format!("{kind:?} {text}")
                        }
                        other => format!("{other:?}"),
                    });
                }
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    assert!(assembler.partial.is_none_or(|partial| partial.is_spent()));
    (events, None)
}

fn check(frames: &[Frame<'_>], events: &[&str], fault: Option<Fault>) {
    for size in [1, 2, 7, 1000] {
        let (found, failed) = read(frames, size, true);
        assert_eq!(found, events, "in pieces of {size}");
        assert_eq!(failed, fault, "in pieces of {size}");
    }
}

use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};

#[test]
fn compressed_messages_are_handed_on_unread() {
    check(
        &[(true, true, Text, b"\xff\xfe")],
        &["Text \u{fffd}\u{fffd}"],
        None,
    );
    check(&[(true, true, Binary, b"")], &["Binary "], None);
    check(&[(false, true, Text, b"plain")], &["Text(\"plain\")"], None);
    let plain_invalid = [(false, true, Text, &b"\xff"[..])];
    check(&plain_invalid, &[], Some(Fault::InvalidUtf8));
}

#[test]
fn fragments_are_joined_with_control_frames_between() {
    check(
        &[
            (true, false, Text, b"ab"),
            (false, true, Ping, b"p"),
            (false, false, Continuation, b""),
            (false, true, Pong, b""),
            (false, true, Continuation, b"cd"),
            (false, true, Text, b"next"),
        ],
        &["Ping([112])", "Pong([])", "Text abcd", "Text(\"next\")"],
        None,
    );
}

#[test]
fn rsv1_anywhere_but_on_a_first_frame_is_a_fault() {
    let fault = Some(Fault::ReservedBit);
    for opcode in [Close, Ping, Pong, Continuation] {
        check(&[(true, true, opcode, b"")], &[], fault);
    }
    let first = (true, false, Text, &b"a"[..]);
    check(&[first, (true, true, Continuation, b"b")], &[], fault);
    check(&[first, (true, true, Ping, b"")], &[], fault);
    check(
        &[(false, false, Text, b"a"), (true, true, Continuation, b"b")],
        &[],
        fault,
    );
    let found = read(&[(true, true, Text, b"a")], 100, false);
    assert_eq!(found, (vec![], fault), "not agreed on");
}

#[test]
fn compressed_bytes_and_fragments_are_within_the_same_limits() {
    let whole = "x".repeat(20);
    let event = format!("Binary {whole}");
    check(&[(true, true, Binary, whole.as_bytes())], &[&event], None);
    let more = Some(Fault::MessageTooBig);
    check(&[(true, true, Binary, &[0; 21])], &[], more);
    check(
        &[
            (true, false, Binary, &[0; 20]),
            (false, true, Continuation, b"1"),
        ],
        &[],
        more,
    );
    let empty = (false, false, Continuation, &b""[..]);
    let many = Some(Fault::TooManyFragments);
    check(&[(true, false, Text, b""), empty, empty, empty], &[], many);
}
