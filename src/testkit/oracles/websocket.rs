//! The oracle of the WebSocket reader: the assembler, the conversation around it, and tungstenite.

use std::iter;

use crate::testkit::oracles::frames::{chosen_frames, chosen_messages};
use crate::testkit::oracles::piece_ends;
use crate::testkit::oracles::reading::{End, Reading, assert_steps, read};
use crate::testkit::oracles::tungstenite::assert_agrees;
use crate::wire::websocket::assembler::AssemblerLimits;

/// Small enough for short inputs to break.
const TIGHT: AssemblerLimits = AssemblerLimits {
    message_bytes: 1024,
    fragments: 8,
};

/// Large enough for lengths of 64 bits.
const WIDE: AssemblerLimits = AssemblerLimits {
    message_bytes: 70_000,
    fragments: 64,
};

/// For every stream: read whole, byte by byte, or in pieces as long as the input's bytes say, it
/// gives the same messages and the same end; the conversation asks for the steps that follow from
/// them; tungstenite reads the same but for the differences that are listed with the comparison;
/// and messages that our encoder wrote are received as they were.
///
/// The first byte of `input` chooses how the others make a stream (as they are, as choices of
/// frames, as choices of messages and their fragments), its highest bit the limits.
///
/// # Panics
/// If that does not hold.
pub fn websocket_stream(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let limits = if choice & 0x80 == 0 { TIGHT } else { WIDE };
    match choice & 0x7f {
        0 => {
            check(rest, rest, &limits);
        }
        1 => {
            check(&chosen_frames(rest), rest, &limits);
        }
        _ => {
            let (stream, received) = chosen_messages(rest);
            let end = End::Waits;
            let expected = Reading { received, end };
            assert_eq!(check(&stream, rest, &limits), expected, "as encoded");
        }
    }
}

/// Reads `stream` in every way and returns what all agree on.
fn check(stream: &[u8], lengths: &[u8], limits: &AssemblerLimits) -> Reading {
    let single = single_ends(stream.len());
    let pieces = || piece_ends(stream.len(), lengths).into_iter();
    let (whole, accepted) = read(stream, iter::once(stream.len()), limits);
    for (name, (reading, pieces_accepted)) in [
        ("byte by byte", read(stream, single, limits)),
        ("in pieces", read(stream, pieces(), limits)),
    ] {
        assert_eq!(reading, whole, "{name}");
        if !matches!(whole.end, End::Fault(_)) {
            assert_eq!(pieces_accepted, accepted, "{name}");
        }
    }
    assert_steps(stream, iter::once(stream.len()), limits, &whole);
    assert_steps(stream, pieces(), limits, &whole);
    assert_agrees(stream, limits);
    whole
}

/// Every byte of `bytes` by itself; between the ends of long streams
/// only some, for the sake of speed.
fn single_ends(bytes: usize) -> impl Iterator<Item = usize> {
    const FINE: usize = 4096;
    (1..=bytes).filter(move |end| *end <= FINE || bytes - end <= FINE || end % 509 == 0)
}
