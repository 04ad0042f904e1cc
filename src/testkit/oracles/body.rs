//! The oracle of the body reader: declared lengths and chunks, without a head before them.

use std::iter;

use crate::testkit::choices::Choices;
use crate::testkit::oracles::http::read_chunks;
use crate::testkit::oracles::piece_ends;
use crate::wire::http::body::{BodyProgress, BodyReader};
use crate::wire::http::fault::HttpFault;
use crate::wire::http::fields::BodyFraming;

/// As `BodyReader` has it: bytes of extensions and trailers in one body.
const CHUNK_TEXT_BYTES_MAX: usize = 4096;

/// For every body: read whole, byte by byte, or in pieces as long as the input's bytes say, it
/// gives the same bytes, the same end and the same fault; never more than was declared or than the
/// limit, taking memory only for what has arrived; behind its end nothing is taken. Chunks are what
/// the most lenient reader would take them for, and chunks that were written well are read as
/// written.
///
/// The first byte of `input` chooses the limit, the second the framing and whether the others are
/// the body or choose its chunks.
///
/// # Panics
/// If that does not hold.
pub fn http_body(input: &[u8]) {
    let mut choices = Choices::new(input);
    let limit = choices.one_of(&[0, 1, 100, 4096, 65_536]);
    match choices.byte() % 4 {
        0 => drop(check(
            BodyFraming::Chunked,
            choices.take(input.len()),
            limit,
        )),
        1 => {
            let mut digits = [0; 8];
            digits.fill_with(|| choices.byte());
            // As many small lengths as huge ones.
            let length = u64::from_be_bytes(digits) >> (choices.byte() % 64);
            check_declared(length, choices.take(input.len()), limit);
        }
        2 => check_declared(u64::from(choices.byte()), choices.take(input.len()), limit),
        _ => {
            let (stream, expected) = chosen_chunks(choices, limit);
            assert_eq!(check(BodyFraming::Chunked, &stream, limit), expected);
        }
    }
}

/// The body and how many bytes it took, or why it was refused. A body that did not end has taken
/// all.
type Reading = Result<(Vec<u8>, usize), HttpFault>;

fn check_declared(length: u64, arrived: &[u8], limit: usize) {
    let reading = check(BodyFraming::Length(length), arrived, limit);
    if length > limit as u64 {
        assert_eq!(reading, Err(HttpFault::BodyTooLarge { limit }));
    } else {
        let end = arrived.len().min(length as usize);
        assert_eq!(reading, Ok((arrived[..end].to_vec(), end)));
    }
}

/// Reads a body in every way and returns what all agree on.
fn check(framing: BodyFraming, arrived: &[u8], limit: usize) -> Reading {
    let whole = read(framing, arrived, iter::once(arrived.len()), limit);
    let single = read(framing, arrived, 1..=arrived.len(), limit);
    assert_eq!(single, whole, "byte by byte");
    let pieces = piece_ends(arrived.len(), arrived).into_iter();
    assert_eq!(read(framing, arrived, pieces, limit), whole, "in pieces");
    whole.1
}

/// Reads a body that arrives in pieces that end at `ends`; also tells what of it was kept, even if
/// it was refused then.
fn read(
    framing: BodyFraming,
    arrived: &[u8],
    ends: impl Iterator<Item = usize>,
    limit: usize,
) -> (Vec<u8>, Reading) {
    let mut body = Vec::new();
    let mut reader = match BodyReader::new(framing, limit) {
        Ok(reader) => reader,
        Err(fault) => return (body, Err(fault)),
    };
    let mut taken = 0;
    for end in ends {
        let progress = match reader.feed(&arrived[taken..end], &mut body) {
            Ok(progress) => progress,
            Err(fault) => return (body, Err(fault)),
        };
        taken += progress.consumed;
        assert_eq!(progress.done, reader.is_done());
        assert!(body.len() <= limit, "a body is bounded");
        assert!(
            body.capacity() <= 2 * body.len() + 8,
            "memory is taken for what has arrived"
        );
        if progress.done {
            let behind = reader.feed(&arrived[taken..], &mut body);
            let nothing = BodyProgress {
                consumed: 0,
                done: true,
            };
            assert_eq!(behind, Ok(nothing), "behind the end");
            if let BodyFraming::Chunked = framing {
                assert_eq!(read_chunks(arrived), (body.clone(), taken));
            }
            break;
        }
        assert_eq!(taken, end, "a body takes all it can");
    }
    (body.clone(), Ok((body, taken)))
}

/// Chunks as `choices` have them, all well written, with something behind them; and what must
/// become of them.
fn chosen_chunks(mut choices: Choices<'_>, limit: usize) -> (Vec<u8>, Reading) {
    let (mut stream, mut body, mut text) = (Vec::new(), Vec::new(), 0);
    let mut fault = None;
    loop {
        let choice = choices.byte();
        let size = match choice & 0x07 {
            0..=1 => 0,
            2..=5 => usize::from(choices.byte()),
            _ => 16 * usize::from(choices.byte()),
        };
        let zeros = usize::from(choice >> 3 & 0x07);
        let digits = format!("{}{size:x}", "0".repeat(zeros));
        let is_upper = choice & 0x80 != 0;
        stream.extend(digits.bytes().map(|digit| {
            if is_upper {
                digit.to_ascii_uppercase()
            } else {
                digit
            }
        }));
        if choice & 0x40 != 0 {
            let extension = vec![b'e'; 16 * usize::from(choices.byte())];
            stream.push(b';');
            stream.extend(&extension);
            text += extension.len();
        }
        stream.extend(b"\r\n");
        if text > CHUNK_TEXT_BYTES_MAX {
            let limit = CHUNK_TEXT_BYTES_MAX;
            fault = fault.or(Some(HttpFault::ChunkTextTooLong { limit }));
        }
        if body.len() + size > limit {
            fault = fault.or(Some(HttpFault::BodyTooLarge { limit }));
        }
        if size == 0 || fault.is_some() {
            break;
        }
        let data = vec![choice; size];
        stream.extend(&data);
        stream.extend(b"\r\n");
        body.extend(data);
    }
    for _ in 0..choices.below(4) {
        let trailer = format!("t: {}\r\n", "x".repeat(8 * choices.below(256)));
        text += trailer.len() - 2;
        stream.extend(trailer.bytes());
    }
    if text > CHUNK_TEXT_BYTES_MAX {
        let limit = CHUNK_TEXT_BYTES_MAX;
        fault = fault.or(Some(HttpFault::ChunkTextTooLong { limit }));
    }
    stream.extend(b"\r\n");
    let end = stream.len();
    stream.extend(choices.take(100));
    (stream, fault.map_or(Ok((body, end)), Err))
}
