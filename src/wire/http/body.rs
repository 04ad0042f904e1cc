//! The body of a message: a declared length or chunks, taken from the input as it arrives.
//!
//! May not touch: heads, decompression. Invariants: the body grows only by bytes that have arrived;
//! it never passes its limit, which is checked before a byte is taken; chunk framing has one
//! reading, so extensions and trailers are skipped within one small budget and every line ends with
//! CR LF.

use crate::wire::http::fault::HttpFault;
use crate::wire::http::fields::BodyFraming;

/// Bytes of chunk extensions and trailers in one body. Nobody sends them honestly; without a bound
/// over the whole body one-byte chunks carry any amount of discarded text (CVE-2023-39326).
const CHUNK_TEXT_BYTES_MAX: u16 = 4096;

/// Hexadecimal digits of a chunk size: as many as 64 bits need, so that no size overflows.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// What one call of [`BodyReader::feed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyProgress {
    /// Bytes of the input that belong to this body; the rest is the next message.
    pub consumed: usize,
    /// Whether the body is complete.
    pub done: bool,
}

/// Reads one body. Owns no buffer: the bytes go to the caller's.
#[derive(Clone, Debug)]
pub struct BodyReader {
    state: State,
    /// Bytes of the body that may still be declared.
    allowance: usize,
    limit: usize,
    /// Bytes of extensions and trailers so far.
    text: u16,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Inside a body of declared length.
    Plain { left: u64 },
    /// Inside the data of a chunk.
    Chunk { left: u64 },
    /// Between the data of chunks.
    Framing(Framing),
    /// Behind the last byte.
    Done,
}

/// What of a chunk's framing the next byte is (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// A digit of the size, or what ends it.
    Size { size: u64, digits: u8 },
    /// A byte of the extensions, or the CR that ends them.
    Extension { size: u64 },
    /// The LF of the size line.
    SizeFeed { size: u64 },
    /// The CR behind the data.
    DataReturn,
    /// The LF behind the data.
    DataFeed,
    /// The first byte of a trailer line, or the CR of the empty line.
    TrailerStart,
    /// A byte of a trailer line, or its CR.
    Trailer,
    /// The LF of a trailer line.
    TrailerFeed,
    /// The LF of the empty line that ends the body.
    EndFeed,
}

const CHUNK_START: State = State::Framing(Framing::Size { size: 0, digits: 0 });

impl BodyReader {
    /// A reader for a body of at most `limit` bytes. Nothing is reserved for a declared length.
    ///
    /// # Errors
    /// [`HttpFault::BodyTooLarge`] when the declared length is over the limit already.
    pub fn new(framing: BodyFraming, limit: usize) -> Result<Self, HttpFault> {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Done,
            BodyFraming::Length(left) => State::Plain { left },
            BodyFraming::Chunked => CHUNK_START,
        };
        let mut reader = Self {
            state,
            allowance: limit,
            limit,
            text: 0,
        };
        if let State::Plain { left } = state {
            reader.declare(left)?;
        }
        Ok(reader)
    }

    /// Takes from `input` what belongs to the body and appends its data to `body`. Call again with
    /// what arrives next until `done`; bytes after the body are not consumed.
    ///
    /// # Errors
    /// [`HttpFault::BodyTooLarge`] as soon as the chunks declared pass the limit, and the chunk
    /// faults. The reader is of no use afterwards.
    pub fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<BodyProgress, HttpFault> {
        let mut rest = input;
        loop {
            match self.state {
                State::Done => break,
                State::Plain { left } => {
                    let left = take(left, &mut rest, body);
                    if left > 0 {
                        self.state = State::Plain { left };
                        break;
                    }
                    self.state = State::Done;
                }
                State::Chunk { left } => {
                    let left = take(left, &mut rest, body);
                    if left > 0 {
                        self.state = State::Chunk { left };
                        break;
                    }
                    self.state = State::Framing(Framing::DataReturn);
                }
                State::Framing(framing) => {
                    let Some((byte, after)) = rest.split_first() else {
                        break;
                    };
                    self.state = self.step(framing, *byte)?;
                    rest = after;
                }
            }
        }
        Ok(BodyProgress {
            consumed: input.len() - rest.len(),
            done: matches!(self.state, State::Done),
        })
    }

    /// Whether the body is complete; true from the start for a message without one.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The state behind one byte of framing.
    fn step(&mut self, framing: Framing, byte: u8) -> Result<State, HttpFault> {
        let next = match (framing, byte) {
            (Framing::Size { size, digits }, b'\r') if digits > 0 => Framing::SizeFeed { size },
            (Framing::Size { size, digits }, b';') if digits > 0 => Framing::Extension { size },
            (Framing::Size { size, digits }, _) => {
                let digit = hex_digit(byte).filter(|_| digits < CHUNK_SIZE_DIGITS_MAX);
                Framing::Size {
                    size: size << 4 | digit.ok_or_else(|| misplaced(byte, HttpFault::ChunkSize))?,
                    digits: digits + 1,
                }
            }
            (Framing::Extension { size }, b'\r') => Framing::SizeFeed { size },
            (Framing::Extension { .. }, _) => {
                self.skip_text(byte)?;
                framing
            }
            (Framing::SizeFeed { size: 0 }, b'\n') => Framing::TrailerStart,
            (Framing::SizeFeed { size }, b'\n') => {
                self.declare(size)?;
                return Ok(State::Chunk { left: size });
            }
            (Framing::DataReturn, b'\r') => Framing::DataFeed,
            (Framing::DataFeed, b'\n') => return Ok(CHUNK_START),
            (Framing::TrailerStart, b'\r') => Framing::EndFeed,
            (Framing::TrailerStart, b' ' | b'\t') => return Err(HttpFault::ChunkText),
            (Framing::Trailer, b'\r') => Framing::TrailerFeed,
            (Framing::TrailerStart | Framing::Trailer, _) => {
                self.skip_text(byte)?;
                Framing::Trailer
            }
            (Framing::TrailerFeed, b'\n') => Framing::TrailerStart,
            (Framing::EndFeed, b'\n') => return Ok(State::Done),
            (
                Framing::SizeFeed { .. }
                | Framing::DataReturn
                | Framing::DataFeed
                | Framing::TrailerFeed
                | Framing::EndFeed,
                _,
            ) => return Err(misplaced(byte, HttpFault::ChunkEnd)),
        };
        Ok(State::Framing(next))
    }

    /// Counts one byte of an extension or a trailer.
    fn skip_text(&mut self, byte: u8) -> Result<(), HttpFault> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(misplaced(byte, HttpFault::ChunkText));
        }
        if self.text == CHUNK_TEXT_BYTES_MAX {
            return Err(HttpFault::ChunkTextTooLong {
                limit: usize::from(CHUNK_TEXT_BYTES_MAX),
            });
        }
        self.text += 1;
        Ok(())
    }

    /// Takes `size` bytes that the peer says will come off the allowance.
    fn declare(&mut self, size: u64) -> Result<(), HttpFault> {
        let left = usize::try_from(size)
            .ok()
            .and_then(|size| self.allowance.checked_sub(size));
        self.allowance = left.ok_or(HttpFault::BodyTooLarge { limit: self.limit })?;
        Ok(())
    }
}

/// Moves up to `left` bytes from `rest` to `body`; returns how many are still to come.
fn take(left: u64, rest: &mut &[u8], body: &mut Vec<u8>) -> u64 {
    let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    let (data, after) = rest.split_at(count);
    body.extend_from_slice(data);
    *rest = after;
    left - count as u64
}

/// The fault of a byte that may not stand here; a line feed has its own name everywhere.
fn misplaced(byte: u8, fault: HttpFault) -> HttpFault {
    match byte {
        b'\n' => HttpFault::BareLineFeed,
        _ => fault,
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const LIMIT: usize = 100;

    /// The data, the bytes consumed and whether that was all, in pieces that end at `cuts`.
    fn read(
        framing: BodyFraming,
        input: &[u8],
        cuts: impl Iterator<Item = usize>,
    ) -> Result<(Vec<u8>, BodyProgress), HttpFault> {
        let mut reader = BodyReader::new(framing, LIMIT)?;
        let mut body = Vec::new();
        let mut total = BodyProgress {
            consumed: 0,
            done: reader.is_done(),
        };
        for cut in cuts.chain([input.len()]) {
            if !total.done {
                let progress = reader.feed(&input[total.consumed..cut], &mut body)?;
                total.consumed += progress.consumed;
                total.done = progress.done;
                assert!(total.done || total.consumed == cut, "takes all it may");
            }
        }
        Ok((body, total))
    }

    fn check(framing: BodyFraming, input: &[u8], expected: Result<(&str, usize, bool), HttpFault>) {
        let expected = expected.map(|(body, consumed, done)| {
            (body.as_bytes().to_vec(), BodyProgress { consumed, done })
        });
        assert_eq!(
            read(framing, input, std::iter::empty()),
            expected,
            "{input:?}"
        );
        assert_eq!(
            read(framing, input, 0..input.len()),
            expected,
            "byte by byte {input:?}"
        );
        for cut in 0..input.len().min(300) {
            assert_eq!(
                read(framing, input, std::iter::once(cut)),
                expected,
                "{cut} {input:?}"
            );
        }
    }

    fn check_chunks(input: &str, expected: Result<(&str, usize, bool), HttpFault>) {
        check(BodyFraming::Chunked, input.as_bytes(), expected);
    }

    #[test]
    fn reads_a_declared_length_and_leaves_the_rest() {
        check(BodyFraming::None, b"next", Ok(("", 0, true)));
        check(BodyFraming::Length(0), b"next", Ok(("", 0, true)));
        check(BodyFraming::Length(3), b"abcnext", Ok(("abc", 3, true)));
        check(BodyFraming::Length(4), b"abc", Ok(("abc", 3, false)));
        let whole = "x".repeat(LIMIT);
        check(
            BodyFraming::Length(100),
            whole.as_bytes(),
            Ok((&whole, LIMIT, true)),
        );
    }

    #[test]
    fn refuses_a_declared_length_over_the_limit_at_once() {
        let fault = Err(HttpFault::BodyTooLarge { limit: LIMIT });
        for length in [101, 1 << 40, 1 << 63, u64::MAX] {
            check(BodyFraming::Length(length), b"", fault);
        }
    }

    #[test]
    fn reserves_nothing_for_what_is_only_declared() {
        let mut body = Vec::new();
        let mut plain = BodyReader::new(BodyFraming::Length(1 << 40), usize::MAX).ok();
        let fed = plain.as_mut().map(|reader| reader.feed(b"abc", &mut body));
        assert!(matches!(
            fed,
            Some(Ok(BodyProgress {
                consumed: 3,
                done: false
            }))
        ));
        let mut chunked = BodyReader::new(BodyFraming::Chunked, usize::MAX).ok();
        let fed = chunked
            .as_mut()
            .map(|reader| reader.feed(b"10000000000\r\nabc", &mut body));
        assert!(matches!(
            fed,
            Some(Ok(BodyProgress {
                consumed: 16,
                done: false
            }))
        ));
        assert_eq!(body, b"abcabc");
        assert!(body.capacity() < 64);
        assert!(size_of::<BodyReader>() <= 56);
    }

    #[test]
    fn reads_chunks_and_discards_extensions_and_trailers() {
        check_chunks("0\r\n\r\nnext", Ok(("", 5, true)));
        check_chunks("3\r\nabc\r\n0\r\n\r\n", Ok(("abc", 13, true)));
        check_chunks(
            "1;a=\"b\";c\r\na\r\n00;z\r\nX: y\r\nZ: \t\r\n\r\n!",
            Ok(("a", 34, true)),
        );
        check_chunks(
            "0000000A\r\n0123\n56789\r\n0\r\n\r\n",
            Ok(("0123\n56789", 27, true)),
        );
        check_chunks("a\r\n012", Ok(("012", 6, false)));
        check_chunks("", Ok(("", 0, false)));
    }

    #[test]
    fn refuses_chunks_that_pass_the_limit_before_their_data() {
        let fault = HttpFault::BodyTooLarge { limit: LIMIT };
        check_chunks("65\r\n", Err(fault));
        let first = format!("63\r\n{}\r\n", "x".repeat(99));
        check_chunks(&format!("{first}2\r\n"), Err(fault));
        check_chunks("ffffffffffffffff\r\n", Err(fault));
        check_chunks("8000000000000000\r\n", Err(fault));
        let whole = format!("{first}1\r\ny\r\n0\r\n\r\n");
        let body = format!("{}y", "x".repeat(99));
        check_chunks(&whole, Ok((&body, whole.len(), true)));
    }

    #[test]
    fn refuses_chunk_framing_that_is_not_exact() {
        for size in [
            "\r",
            "g\r",
            "-1\r",
            "+1\r",
            " 1\r",
            "0x1\r",
            ";a\r",
            "1 \r",
            "1\t;",
            "\0",
            "10000000000000001",
            "00000000000000001",
        ] {
            check_chunks(size, Err(HttpFault::ChunkSize));
        }
        for input in [
            "\n",
            "1\n",
            "1;a\n",
            "1\r\na\n",
            "0\r\n\n",
            "0\r\nX: y\n",
            "0\r\nX: y\r\n\n",
        ] {
            check_chunks(input, Err(HttpFault::BareLineFeed));
        }
        for input in [
            "1\ra",
            "1\r\r",
            "1;a\rb",
            "1\r\nab",
            "1\r\na\rb",
            "0\r\n\rx",
            "0\r\nX\rx",
        ] {
            check_chunks(input, Err(HttpFault::ChunkEnd));
        }
        for input in [
            "1;\0",
            "1;\u{7f}",
            "0\r\n X: y",
            "0\r\n\tX",
            "0\r\nX: \u{1}",
        ] {
            check_chunks(input, Err(HttpFault::ChunkText));
        }
    }

    #[test]
    fn bounds_extensions_and_trailers_over_the_whole_body() {
        let fault = HttpFault::ChunkTextTooLong { limit: 4096 };
        let text = "x".repeat(4096);
        check_chunks(&format!("1;{text}\r\na"), Ok(("a", 4101, false)));
        check_chunks(&format!("1;{text}x"), Err(fault));
        check_chunks(&format!("0\r\n{text}\r\n\r\n"), Ok(("", 4103, true)));
        check_chunks(&format!("0;y\r\n{text}\r\n\r\n"), Err(fault));
        let many = format!("1;{}\r\na\r\n", "y".repeat(50)).repeat(99);
        check_chunks(&many, Err(fault));
    }

    #[test]
    fn gives_every_split_of_damaged_chunks_the_same_verdict() {
        let seed = b"3;a=b\r\nabc\r\n0A\r\n0123456789\r\n00\r\nX: y\r\n\r\nnext";
        let mut rng = Rng::from_seed(7);
        let mut below = |bound: usize| rng.below(bound as u64) as usize;
        for _ in 0..2000 {
            let mut input = seed.to_vec();
            for _ in 0..=below(3) {
                let at = below(input.len());
                input[at] = b"\r\n\t ;:0fF\0\xff\x7f"[below(12)];
            }
            let whole = read(BodyFraming::Chunked, &input, std::iter::empty());
            let bytes = read(BodyFraming::Chunked, &input, 0..input.len());
            assert_eq!(bytes, whole, "byte by byte {input:?}");
            for cut in 0..input.len() {
                let found = read(BodyFraming::Chunked, &input, std::iter::once(cut));
                assert_eq!(found, whole, "{cut} {input:?}");
            }
        }
    }
}
