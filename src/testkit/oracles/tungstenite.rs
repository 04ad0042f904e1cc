//! How tungstenite reads a WebSocket stream, and where we differ from it on purpose.
//!
//! 1. It takes lengths in any encoding; we want the shortest. Once every length is written in its
//!    shortest form, both read the same, and it reads that as it read the original.
//! 2. It bounds a message by bytes; we also bound its frames. Without that bound both read the
//!    same, and the bound only cuts a reading short, at a message of too many frames.
//! 3. It looks at a header when the frame's payload is there; we look as soon as the header is, and
//!    at text as its bytes come. It finds the fault when the frame is completed, with whatever
//!    bytes, and nothing before.
//! 4. Of several faults in one frame it names a length over the limit first, and a missing mask
//!    before reserved bits; we name what RFC 6455 forbids first.
//! 5. It turns a close code that may not be sent into 1002; we fail with 1002. It finds text that
//!    is not UTF-8 beside such a code first.
//! 6. It does not know the close code 1014, which IANA registered later, and turns it into 1002.
//! 7. After a Close both are silent, so nothing behind it is compared.

use std::io::{self, Cursor, Read, Write};
use std::iter;

use tungstenite::Message;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use crate::testkit::oracles::reading::{End, Reading, Received, read};
use crate::wire::websocket::assembler::AssemblerLimits;
use crate::wire::websocket::fault::WebSocketFault as Fault;

/// Expects that tungstenite reads `stream` as our assembler does, but for the differences above.
pub(super) fn assert_agrees(stream: &[u8], limits: &AssemblerLimits) {
    let (shortest, long_at) = shorten(stream);
    if let Some(header_end) = long_at {
        let (ours, accepted) = read_to_fault(stream, limits);
        assert!(
            accepted < header_end,
            "difference 1: a long length is refused"
        );
        if ours.end == End::Fault(Fault::LengthNotMinimal) {
            assert_eq!(
                accepted + 1,
                header_end,
                "difference 1: as soon as it is seen"
            );
        }
        let original = read_theirs(stream, After::Nothing, limits);
        let rewritten = read_theirs(&shortest, After::Nothing, limits);
        assert_eq!(original, rewritten, "difference 1: they take any encoding");
    }
    let unbounded = AssemblerLimits {
        fragments: u32::MAX,
        ..*limits
    };
    let (ours, accepted) = read_to_fault(&shortest, &unbounded);
    assert_fragments_bounded(&shortest[..accepted], &ours, limits, &shortest);
    assert_same(&shortest, &ours, accepted, limits);
}

/// Reads `stream` with our assembler, and says how many bytes are right: all, or those up to the
/// end of the Close, or those before the byte that shows the fault.
fn read_to_fault(stream: &[u8], limits: &AssemblerLimits) -> (Reading, usize) {
    let read_first = |bytes: usize| read(&stream[..bytes], iter::once(bytes), limits);
    let (reading, accepted) = read_first(stream.len());
    if !matches!(reading.end, End::Fault(_)) {
        return (reading, accepted);
    }
    // A longer beginning shows no less, so the byte is found by halving.
    let (mut right, mut wrong) = (0, stream.len());
    while wrong - right > 1 {
        let middle = right.midpoint(wrong);
        match read_first(middle).0.end {
            End::Fault(_) => wrong = middle,
            End::Waits | End::Closed => right = middle,
        }
    }
    (reading, right)
}

/// Differences 3 to 7: `ours` is our reading of `stream`, of which `accepted` bytes are right.
fn assert_same(stream: &[u8], ours: &Reading, accepted: usize, limits: &AssemblerLimits) {
    let before = read_theirs(&stream[..accepted], After::Nothing, limits);
    let known: Vec<Received> = ours.received.iter().map(as_theirs).collect();
    assert_eq!(before.received, known, "the same messages");
    let fault = match ours.end {
        End::Waits | End::Closed => {
            assert_eq!(before.end, ours.end);
            return;
        }
        End::Fault(fault) => fault,
    };
    assert_eq!(before.end, End::Waits, "no fault before ours");
    let theirs = read_theirs(&stream[..=accepted], After::Filler, limits);
    if (fault, theirs.end) == (Fault::CloseCodeForbidden, End::Closed) {
        let (last, rest) = theirs.received.split_last().unzip();
        assert_eq!(last, Some(&protocol_violation()), "difference 5");
        assert_eq!(rest, Some(&known[..]), "difference 5");
        return;
    }
    assert_eq!(theirs.received, known, "no message after our fault");
    let End::Fault(their_fault) = theirs.end else {
        panic!("we found {fault:?}, they found nothing: {theirs:?}");
    };
    let explained = match (fault, their_fault) {
        (ours, theirs) if ours == theirs => true,
        (Fault::ReservedBit, Fault::Unmasked) => true,
        (Fault::CloseCodeForbidden, Fault::InvalidUtf8) => true,
        (_, Fault::MessageTooBig) => frames(stream).any(|frame| {
            frame.payload == accepted + 1 && frame.length > limits.message_bytes as u64
        }),
        _ => false,
    };
    assert!(explained, "we found {fault:?}, they found {their_fault:?}");
}

/// Difference 2: `unbounded` is the reading of `stream` without a bound on frames, and `accepted`
/// the part of it that is right.
fn assert_fragments_bounded(
    accepted: &[u8],
    unbounded: &Reading,
    limits: &AssemblerLimits,
    stream: &[u8],
) {
    let (bounded, _) = read(stream, iter::once(stream.len()), limits);
    if bounded.end == End::Fault(Fault::TooManyFragments) {
        assert!(unbounded.received.starts_with(&bounded.received));
        assert!(most_fragments(stream) > limits.fragments, "difference 2");
    } else {
        assert_eq!(&bounded, unbounded, "difference 2: nothing else changes");
        assert!(most_fragments(accepted) <= limits.fragments, "difference 2");
    }
}

/// What stands behind the stream that tungstenite reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    /// Ones without end: they complete any frame, and a frame of them has a reserved opcode.
    Filler,
}

/// A connection whose peer has sent `rest`, and which swallows what is written.
struct Connection<'a> {
    rest: &'a [u8],
    after: After,
}

impl Read for Connection<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.rest.read(buffer)? {
            0 if self.after == After::Nothing => Err(io::ErrorKind::WouldBlock.into()),
            0 => {
                buffer.fill(0xff);
                Ok(buffer.len())
            }
            count => Ok(count),
        }
    }
}

impl Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads `stream` with tungstenite, its errors named as ours.
fn read_theirs(stream: &[u8], after: After, limits: &AssemblerLimits) -> Reading {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes))
        .accept_unmasked_frames(false);
    let connection = Connection {
        rest: stream,
        after,
    };
    let mut socket = WebSocket::from_raw_socket(connection, Role::Server, Some(config));
    let mut received = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(message) => received.push(as_received(message)),
            Err(error) => break as_end(error),
        }
        if matches!(received.last(), Some(Received::Close(_))) {
            break End::Closed;
        }
    };
    Reading { received, end }
}

fn as_received(message: Message) -> Received {
    match message {
        Message::Text(text) => Received::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Received::Binary(bytes.to_vec()),
        Message::Ping(bytes) => Received::Ping(bytes.to_vec()),
        Message::Pong(bytes) => Received::Pong(bytes.to_vec()),
        Message::Close(close) => Received::Close(
            close.map(|close| (u16::from(close.code), close.reason.as_str().to_owned())),
        ),
        Message::Frame(frame) => panic!("a reader gives no bare frames: {frame:?}"),
    }
}

fn as_end(error: Error) -> End {
    End::Fault(match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => return End::Waits,
        Error::Capacity(_) => Fault::MessageTooBig,
        Error::Utf8(_) => Fault::InvalidUtf8,
        Error::Protocol(ProtocolError::InvalidOpcode(_)) => Fault::ReservedOpcode,
        Error::Protocol(ProtocolError::NonZeroReservedBits) => Fault::ReservedBit,
        Error::Protocol(ProtocolError::UnmaskedFrameFromClient) => Fault::Unmasked,
        Error::Protocol(ProtocolError::FragmentedControlFrame) => Fault::ControlFragmented,
        Error::Protocol(ProtocolError::ControlFrameTooBig) => Fault::ControlTooLong,
        Error::Protocol(ProtocolError::UnexpectedContinueFrame) => Fault::ContinuationWithoutStart,
        Error::Protocol(ProtocolError::ExpectedFragment(_)) => Fault::MessageInterrupted,
        Error::Protocol(ProtocolError::InvalidCloseSequence) => Fault::ClosePayloadCut,
        error => panic!("a reader of memory does not fail with {error:?}"),
    })
}

/// Difference 6.
fn as_theirs(received: &Received) -> Received {
    match received {
        Received::Close(Some((1014, _))) => protocol_violation(),
        other => other.clone(),
    }
}

fn protocol_violation() -> Received {
    Received::Close(Some((1002, "Protocol violation".to_owned())))
}

/// A frame of a stream as its header says it.
struct Frame {
    header: FrameHeader,
    start: usize,
    /// Where its payload begins.
    payload: usize,
    length: u64,
}

/// The frames of `stream` one after the other, the last perhaps incomplete; none behind a reserved
/// opcode.
fn frames(stream: &[u8]) -> impl Iterator<Item = Frame> {
    let mut next = Some(0);
    iter::from_fn(move || {
        let start = next?;
        let mut cursor = Cursor::new(&stream[start..]);
        let (header, length) = FrameHeader::parse(&mut cursor).ok()??;
        let payload = start + cursor.position() as usize;
        next = usize::try_from(length)
            .ok()
            .and_then(|length| payload.checked_add(length))
            .filter(|end| *end <= stream.len());
        Some(Frame {
            header,
            start,
            payload,
            length,
        })
    })
}

/// `stream` with every length in its shortest encoding, and where the first header ends that had
/// another.
fn shorten(stream: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut shortest = Vec::with_capacity(stream.len());
    let mut long_at = None;
    let mut copied = 0;
    for frame in frames(stream) {
        shortest.extend_from_slice(&stream[copied..frame.start]);
        let written = frame.header.format(frame.length, &mut shortest);
        assert!(written.is_ok(), "writing to memory does not fail");
        copied = frame.payload;
        if frame.header.len(frame.length) < frame.payload - frame.start {
            long_at = long_at.or(Some(frame.payload));
        }
    }
    shortest.extend_from_slice(&stream[copied..]);
    (shortest, long_at)
}

/// The frames of the message in `stream` that has most of them.
fn most_fragments(stream: &[u8]) -> u32 {
    let mut most = 0;
    let mut fragments = 0;
    for frame in frames(stream) {
        match frame.header.opcode {
            OpCode::Control(_) => continue,
            OpCode::Data(Data::Continue) => fragments += 1,
            OpCode::Data(_) => fragments = 1,
        }
        most = most.max(fragments);
    }
    most
}
