//! Messages compressed and expanded (RFC 7692 section 7.2): raw DEFLATE, without its last four bytes.
//!
//! ```text
//!   message ─▶ Deflater ─▶ … 00 00 ff ff ─▶ …       one of each for a whole shard; a connection
//!   message ◀─ Inflater ◀─ … 00 00 ff ff ◀─ …       has a context only if that was agreed on
//! ```
//!
//! May not touch: frames, limits that are not arguments.
//! Invariants: what is inflated never grows beyond its limit, whatever the message promises; without
//! a context nothing of one message is left for the next; nothing is allocated before it is needed.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::wire::websocket::extension::WindowBits;
use crate::wire::websocket::fault::WebSocketFault;

/// What ends a message and is not sent: an empty stored block, to the boundary of a byte.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// An empty last block: only where a block is expected does it end the stream.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Bytes of a buffer that are kept from one message to the next.
const KEPT_BYTES: usize = 64 * 1024;

/// Room that is given to a message at first when it is inflated.
const FIRST_BYTES: usize = 1024;

/// How hard is tried. JSON of 4,072 bytes took 8 µs at level 1 (to 1,168 bytes), 20 µs at 2 (863),
/// 22 µs at 6 (795) and 31 µs at 9 (782); half of the first goes into a fresh table of hashes.
const LEVEL: u32 = 6;

/// Windows that we may compress with.
const WINDOWS: usize = (WindowBits::MAX.get() - WindowBits::MIN.get()) as usize + 1;

/// Compresses messages, each by itself or on a context.
#[derive(Debug, Default)]
pub struct Deflater {
    /// One for each window, made when it is needed first.
    alone: [Option<Compress>; WINDOWS],
    output: Vec<u8>,
}

/// What one connection's messages to come may refer to. Takes memory from the first message on,
/// 316 KiB with the largest window.
#[derive(Debug, Default)]
pub struct DeflateContext(Option<Compress>);

impl Deflater {
    /// Compresses `message` so that it can be read without any other; `None` if that makes it no
    /// smaller, and it is better sent as it is.
    pub fn deflate(&mut self, message: &[u8], window: WindowBits) -> Option<&[u8]> {
        let index = usize::from(window.get() - WindowBits::MIN.get());
        let state = self
            .alone
            .get_mut(index)?
            .get_or_insert_with(|| new_compress(window));
        state.reset();
        run_deflate(state, message, &mut self.output)?;
        Some(&*self.output).filter(|output| output.len() < message.len())
    }

    /// Compresses `message` as the next one of a connection, always with the same `window`. What is
    /// returned must be sent, and before any later message. `None` if it cannot be compressed;
    /// then it is sent as it is.
    pub fn deflate_next(
        &mut self,
        message: &[u8],
        window: WindowBits,
        context: &mut DeflateContext,
    ) -> Option<&[u8]> {
        let state = context.0.get_or_insert_with(|| new_compress(window));
        if run_deflate(state, message, &mut self.output).is_none() {
            // What it has taken in will not be sent, so nothing may refer to it.
            context.0 = None;
            return None;
        }
        Some(&self.output)
    }
}

fn new_compress(window: WindowBits) -> Compress {
    Compress::new_with_window_bits(Compression::new(LEVEL), false, window.get())
}

/// Replaces `output` by the compressed message. `None` if it has no bytes, for which zlib writes
/// nothing, or if zlib fails.
fn run_deflate(state: &mut Compress, message: &[u8], output: &mut Vec<u8>) -> Option<()> {
    empty(output);
    let mut rest = message;
    // Enough for what cannot be compressed, so that once will do.
    output.reserve(message.len() + message.len() / 8 + 64);
    loop {
        let before = state.total_in();
        let status = state.compress_vec(rest, output, FlushCompress::Sync).ok()?;
        rest = behind(rest, state.total_in() - before);
        if status != Status::Ok || output.len() < output.capacity() {
            break;
        }
        output.reserve(output.len());
    }
    let is_whole = rest.is_empty() && output.ends_with(&TAIL);
    output.truncate(output.len().saturating_sub(TAIL.len()));
    is_whole.then_some(())
}

/// Expands messages, each by itself or on a context.
#[derive(Debug, Default)]
pub struct Inflater {
    alone: Option<Decompress>,
    output: Vec<u8>,
}

/// What one connection's messages to come may refer to. Takes memory from the first message on,
/// 36 KiB.
#[derive(Debug, Default)]
pub struct InflateContext(Option<Decompress>);

impl Inflater {
    /// Expands a message that refers to no other, to at most `limit` bytes.
    ///
    /// # Errors
    /// [`WebSocketFault::InflatedTooBig`] as soon as there is a byte more than `limit`;
    /// [`WebSocketFault::InvalidDeflate`] if it is not what a compressor makes of a message.
    pub fn inflate(&mut self, message: &[u8], limit: usize) -> Result<&[u8], WebSocketFault> {
        let state = self.alone.get_or_insert_with(new_decompress);
        state.reset(false);
        let output = &mut self.output;
        empty(output);
        expand_message(state, message, limit, output)?;
        match expand(state, &LAST_BLOCK, limit, output)? {
            Ended::Yes => Ok(output),
            Ended::No => Err(WebSocketFault::InvalidDeflate),
        }
    }

    /// Expands the next message of a connection, to at most `limit` bytes. That it ends inside a
    /// block may show at a later message only.
    ///
    /// # Errors
    /// As [`Inflater::inflate`]; the context must not be used afterwards.
    pub fn inflate_next(
        &mut self,
        message: &[u8],
        limit: usize,
        context: &mut InflateContext,
    ) -> Result<&[u8], WebSocketFault> {
        let state = context.0.get_or_insert_with(new_decompress);
        empty(&mut self.output);
        expand_message(state, message, limit, &mut self.output)?;
        Ok(&self.output)
    }
}

/// The largest window reads what was made with any.
fn new_decompress() -> Decompress {
    Decompress::new_with_window_bits(false, WindowBits::MAX.get())
}

/// Appends what a message expands to, with the tail that was not sent.
fn expand_message(
    state: &mut Decompress,
    message: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
) -> Result<(), WebSocketFault> {
    expand(state, message, limit, output)?;
    let bytes = output.len();
    expand(state, &TAIL, limit, output)?;
    // To a message that ends inside a block the tail is more of its data.
    if output.len() > bytes {
        return Err(WebSocketFault::InvalidDeflate);
    }
    Ok(())
}

/// Whether a stream has ended with the last byte of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

/// Appends what `input` expands to, until `output` is longer than `limit`.
fn expand(
    state: &mut Decompress,
    input: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
) -> Result<Ended, WebSocketFault> {
    let mut rest = input;
    loop {
        if output.len() == output.capacity() {
            let most = limit.saturating_add(1);
            let wanted = (2 * output.len()).max(FIRST_BYTES).min(most);
            output.reserve_exact(wanted - output.len());
        }
        let before = state.total_in();
        let status = state
            .decompress_vec(rest, output, FlushDecompress::None)
            .map_err(|_| WebSocketFault::InvalidDeflate)?;
        let taken = state.total_in() - before;
        rest = behind(rest, taken);
        if output.len() > limit {
            return Err(WebSocketFault::InflatedTooBig);
        }
        match status {
            Status::StreamEnd => {
                // A last block may be followed by another stream (RFC 7692 section 7.2.3.4).
                state.reset(false);
                if rest.is_empty() {
                    return Ok(Ended::Yes);
                }
            }
            Status::Ok | Status::BufError if output.len() < output.capacity() => {
                // With room left, it stops only for want of input.
                return if rest.is_empty() {
                    Ok(Ended::No)
                } else {
                    Err(WebSocketFault::InvalidDeflate)
                };
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// What is left of `input` behind the first `taken` bytes.
fn behind(input: &[u8], taken: u64) -> &[u8] {
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    input.get(taken..).unwrap_or_default()
}

/// Empties a buffer, and gives its memory back if the last message was large.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_BYTES);
}

#[cfg(test)]
#[path = "deflate_tests.rs"]
mod tests;
