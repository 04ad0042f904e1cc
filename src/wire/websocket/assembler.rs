//! From received bytes to messages: frames unmasked, fragments joined, text checked, limits held.
//!
//! ```text
//!           whole frame in the input            Event borrowed from the input
//! input ──┬───────────────────────────────────▶ (no allocation, no copy)
//!         └─ anything cut or fragmented ─▶ Partial ─▶ Event borrowed from the buffer
//! ```
//!
//! May not touch: sockets, clocks, who is at the other end. Answering pings and the closing
//! handshake are the caller's. Invariants: between two messages there is no `Partial`; what is
//! buffered has arrived; no byte of a text is checked twice.

use std::ops::Range;

use crate::wire::websocket::{
    close::is_allowed_on_wire,
    fault::WebSocketFault,
    frame::{FrameStart, HEADER_BYTES_MAX, Opcode, Role, Rsv1, parse_header_with, unmask},
    text::TextBuffer,
};

/// What one message may cost. A limit that is off is the largest number of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssemblerLimits {
    /// Bytes of one message, summed over its fragments.
    pub message_bytes: usize,
    /// Frames of one message, empty ones counted; at least 1.
    pub fragments: u32,
}

/// What was received, borrowed until the next call of [`Assembler::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A whole message that is compressed, and so not checked.
    Compressed(MessageKind, &'a [u8]),
    /// A ping, to be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer closes; what it sends after this is to be ignored (section 5.5.1).
    Close(Option<CloseReason<'a>>),
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// What a close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseReason<'a> {
    /// A code that is allowed on the wire.
    pub code: u16,
    /// The reason, at most 123 bytes; may be empty.
    pub reason: &'a str,
}

/// The receiving half of one WebSocket connection.
///
/// Compressed messages (RFC 7692) are handed on as they are, within the same limits; who inflates
/// them checks what comes of it.
#[derive(Debug)]
pub struct Assembler {
    partial: Option<Box<Partial>>,
    expected: Expected,
    failed: bool,
}

/// What a header may look like.
#[derive(Clone, Copy, Debug)]
struct Expected {
    role: Role,
    rsv1: Rsv1,
}

/// A message, a frame or a header of which only a part has arrived.
#[derive(Debug, Default)]
struct Partial {
    header: PartialHeader,
    frame: Option<PartialFrame>,
    message: Option<Message>,
    /// The payload of a control frame that came in parts; kept apart from the message around it.
    control: Vec<u8>,
}

/// The bytes of a header that is not complete.
#[derive(Debug, Default)]
struct PartialHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    filled: usize,
}

/// A frame whose payload is arriving.
#[derive(Debug)]
struct PartialFrame {
    start: FrameStart,
    remaining: u64,
    /// Payload bytes received, modulo 4: the phase of the masking key.
    phase: usize,
}

/// A message of which at least one header has arrived.
#[derive(Debug)]
struct Message {
    body: Body,
    fragments: u32,
    /// Handed out, and to be dropped at the next call.
    complete: bool,
}

#[derive(Debug)]
enum Body {
    Text(TextBuffer),
    Binary(Vec<u8>),
    Compressed(MessageKind, Vec<u8>),
}

/// Where the next event lies.
enum Ready {
    Frame {
        start: FrameStart,
        payload: Range<usize>,
    },
    Control(Opcode),
    Message,
}

impl Assembler {
    /// An assembler for our end of a fresh connection. It owns no memory.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let rsv1 = Rsv1::Reserved;
        Self {
            partial: None,
            expected: Expected { role, rsv1 },
            failed: false,
        }
    }

    /// Takes compressed messages, too, because that was agreed on.
    #[must_use]
    pub fn with_compression(mut self) -> Self {
        self.expected.rsv1 = Rsv1::Compressed;
        self
    }

    /// Takes bytes from the front of `input`, unmasking them in place, and returns how many it took
    /// and the next event.
    ///
    /// Call it again with the rest until there is no event: then all of `input` was taken, nothing
    /// of it has to be kept, and memory of a delivered message has been given back. Events before
    /// a fault are delivered by the calls before it.
    ///
    /// # Errors
    /// What the peer did wrong. The assembler must not be used afterwards.
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &AssemblerLimits,
    ) -> Result<(usize, Option<Event<'a>>), WebSocketFault> {
        let Self {
            partial,
            expected,
            failed,
        } = self;
        debug_assert!(!*failed, "an assembler must not be used after a fault");
        *failed = true;
        let (taken, ready) = advance(partial, *expected, input, limits)?;
        let event = match (ready, partial) {
            (Some(Ready::Frame { start, payload }), _) => {
                let payload = input.get_mut(payload).unwrap_or_default();
                if let Some(key) = start.mask {
                    unmask(payload, key, 0);
                }
                Some(whole_frame(start.opcode, start.compressed, payload)?)
            }
            (Some(Ready::Control(opcode)), Some(partial)) => {
                Some(whole_frame(opcode, false, &partial.control)?)
            }
            (Some(Ready::Message), Some(partial)) => partial.message.as_ref().map(Message::event),
            (Some(Ready::Control(_) | Ready::Message) | None, _) => None,
        };
        *failed = false;
        Ok((taken, event))
    }
}

/// Takes bytes until an event is ready or `input` is used up.
fn advance(
    slot: &mut Option<Box<Partial>>,
    expected: Expected,
    input: &mut [u8],
    limits: &AssemblerLimits,
) -> Result<(usize, Option<Ready>), WebSocketFault> {
    if slot.as_deref().is_some_and(Partial::is_spent) {
        *slot = None;
    }
    let mut taken = 0;
    loop {
        let rest = input.get_mut(taken..).unwrap_or_default();
        if let Some(partial) = slot
            && let Some(frame) = partial.frame.as_mut()
        {
            let part_bytes = frame.part_bytes(rest.len());
            taken += part_bytes;
            let part = rest.get_mut(..part_bytes).unwrap_or_default();
            frame.unmask(part);
            let ready = partial.append(part)?;
            if ready.is_some() || partial.frame.is_some() {
                return Ok((taken, ready));
            }
            continue;
        }
        let Some((start, header_bytes)) = read_header(slot, expected, rest)? else {
            return Ok((input.len(), None));
        };
        let message = slot.as_ref().and_then(|partial| partial.message.as_ref());
        admit(message, &start, limits)?;
        taken += header_bytes;
        if let Some(payload) = start.whole_payload(taken, input.len()) {
            return Ok((payload.end, Some(Ready::Frame { start, payload })));
        }
        slot.get_or_insert_default().begin(start);
    }
}

/// Reads a header from what was kept and `rest`, and says how many bytes of `rest` belong to it.
/// Keeps all of `rest` if that does not complete the header.
fn read_header(
    slot: &mut Option<Box<Partial>>,
    Expected { role, rsv1 }: Expected,
    rest: &[u8],
) -> Result<Option<(FrameStart, usize)>, WebSocketFault> {
    if rest.is_empty() {
        return Ok(None);
    }
    let kept = slot.as_ref().map_or(0, |partial| partial.header.filled);
    if kept == 0
        && let Some(start) = parse_header_with(rest, role, rsv1)?
    {
        return Ok(Some((start, start.header_bytes)));
    }
    let header = &mut slot.get_or_insert_default().header;
    let free = header.bytes.iter_mut().skip(kept);
    header.filled = kept + free.zip(rest).map(|(slot, byte)| *slot = *byte).count();
    let known = header.bytes.get(..header.filled).unwrap_or_default();
    let Some(start) = parse_header_with(known, role, rsv1)? else {
        return Ok(None);
    };
    header.filled = 0;
    Ok(Some((start, start.header_bytes.saturating_sub(kept))))
}

/// Checks a frame against the message it would begin or continue, and both against the limits,
/// before a byte of its payload is taken.
fn admit(
    message: Option<&Message>,
    start: &FrameStart,
    limits: &AssemblerLimits,
) -> Result<(), WebSocketFault> {
    let (bytes, fragments) = match (start.opcode, message) {
        (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
        (Opcode::Text | Opcode::Binary, None) => (0, 0),
        (Opcode::Continuation, Some(message)) => (message.body.len(), message.fragments),
        (Opcode::Text | Opcode::Binary, Some(_)) => return Err(WebSocketFault::MessageInterrupted),
        (Opcode::Continuation, None) => return Err(WebSocketFault::ContinuationWithoutStart),
    };
    if start.length > limits.message_bytes.saturating_sub(bytes) as u64 {
        return Err(WebSocketFault::MessageTooBig);
    }
    if fragments >= limits.fragments {
        return Err(WebSocketFault::TooManyFragments);
    }
    Ok(())
}

impl FrameStart {
    /// Where in an input of `input_bytes` the payload that begins at `from` lies, if all of it is
    /// there and it is an event by itself.
    fn whole_payload(&self, from: usize, input_bytes: usize) -> Option<Range<usize>> {
        let stands_alone = match self.opcode {
            Opcode::Text | Opcode::Binary => self.fin,
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
            Opcode::Continuation => false,
        };
        let length = usize::try_from(self.length).ok()?;
        let end = from.checked_add(length)?;
        (stands_alone && end <= input_bytes).then_some(from..end)
    }
}

impl PartialFrame {
    /// How many of `available` bytes belong to this frame.
    fn part_bytes(&self, available: usize) -> usize {
        usize::try_from(self.remaining).map_or(available, |remaining| remaining.min(available))
    }

    /// Unmasks the next part of the payload and counts it as received.
    fn unmask(&mut self, part: &mut [u8]) {
        if let Some(key) = self.start.mask {
            unmask(part, key, self.phase);
        }
        self.phase = (self.phase + part.len() % 4) % 4;
        self.remaining = self.remaining.saturating_sub(part.len() as u64);
    }
}

impl Partial {
    /// Whether nothing here is waited for any more.
    fn is_spent(&self) -> bool {
        let has_message = self
            .message
            .as_ref()
            .is_some_and(|message| !message.complete);
        !has_message && self.frame.is_none() && self.header.filled == 0
    }

    /// Begins to receive the payload of an admitted frame.
    fn begin(&mut self, start: FrameStart) {
        self.frame = Some(PartialFrame {
            start,
            remaining: start.length,
            phase: 0,
        });
        if start.opcode.is_control() {
            self.control.clear();
            return;
        }
        let message = self.message.get_or_insert_with(|| Message {
            body: match start.opcode {
                Opcode::Text if start.compressed => Body::Compressed(MessageKind::Text, Vec::new()),
                Opcode::Text => Body::Text(TextBuffer::default()),
                Opcode::Binary if start.compressed => {
                    Body::Compressed(MessageKind::Binary, Vec::new())
                }
                Opcode::Binary
                | Opcode::Continuation
                | Opcode::Close
                | Opcode::Ping
                | Opcode::Pong => Body::Binary(Vec::new()),
            },
            fragments: 0,
            complete: false,
        });
        message.fragments += 1;
    }

    /// Appends an unmasked part of the frame's payload; ends the frame if it is complete, and the
    /// message if this was its last frame.
    fn append(&mut self, part: &[u8]) -> Result<Option<Ready>, WebSocketFault> {
        let Some(PartialFrame {
            start, remaining, ..
        }) = &self.frame
        else {
            return Ok(None);
        };
        let (opcode, fin, ended) = (start.opcode, start.fin, *remaining == 0);
        if ended {
            self.frame = None;
        }
        if opcode.is_control() {
            self.control.extend_from_slice(part);
            return Ok(ended.then_some(Ready::Control(opcode)));
        }
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        match &mut message.body {
            Body::Text(text) => text.push(part)?,
            Body::Binary(bytes) | Body::Compressed(_, bytes) => bytes.extend_from_slice(part),
        }
        if !(ended && fin) {
            return Ok(None);
        }
        if let Body::Text(text) = &message.body {
            text.finish()?;
        }
        message.complete = true;
        Ok(Some(Ready::Message))
    }
}

impl Message {
    fn event(&self) -> Event<'_> {
        match &self.body {
            Body::Text(text) => Event::Text(text.as_str()),
            Body::Binary(bytes) => Event::Binary(bytes),
            Body::Compressed(kind, bytes) => Event::Compressed(*kind, bytes),
        }
    }
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => bytes.len(),
        }
    }
}

/// The event of a frame that stands alone.
fn whole_frame(
    opcode: Opcode,
    compressed: bool,
    payload: &[u8],
) -> Result<Event<'_>, WebSocketFault> {
    match opcode {
        Opcode::Text if compressed => Ok(Event::Compressed(MessageKind::Text, payload)),
        Opcode::Binary if compressed => Ok(Event::Compressed(MessageKind::Binary, payload)),
        Opcode::Text => simdutf8::basic::from_utf8(payload)
            .map(Event::Text)
            .map_err(|_| WebSocketFault::InvalidUtf8),
        Opcode::Binary => Ok(Event::Binary(payload)),
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        Opcode::Close => parse_close(payload).map(Event::Close),
        Opcode::Continuation => Err(WebSocketFault::ContinuationWithoutStart),
    }
}

fn parse_close(payload: &[u8]) -> Result<Option<CloseReason<'_>>, WebSocketFault> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(WebSocketFault::ClosePayloadCut),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_allowed_on_wire(code) {
        return Err(WebSocketFault::CloseCodeForbidden);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| WebSocketFault::InvalidUtf8)?;
    Ok(Some(CloseReason { code, reason }))
}

#[cfg(test)]
#[path = "assembler_compressed_tests.rs"]
mod compressed_tests;
#[cfg(test)]
#[path = "assembler_tests.rs"]
mod tests;
