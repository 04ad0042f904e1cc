//! One frame: its header read and written, its payload masked (RFC 6455 section 5).
//!
//! Reading checks everything that the header alone can tell; what depends on the message around a
//! frame is the assembler's. Invariant: nothing here keeps state or looks beyond one frame.

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::wire::websocket::fault::WebSocketFault;

/// Bytes of the longest header: two, a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// Bytes that the payload of a control frame may have (section 5.5).
pub const CONTROL_BYTES_MAX: u64 = 125;

/// What a frame is; the reserved opcodes are refused by [`parse_header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation,
    /// Text, whole or its first fragment.
    Text,
    /// Bytes, whole or their first fragment.
    Binary,
    /// The beginning or the end of the closing handshake.
    Close,
    /// A question for a pong.
    Ping,
    /// The answer to a ping, or a sign of life.
    Pong,
}

impl Opcode {
    /// Whether this is close, ping or pong, which may come between the fragments of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn from_wire(opcode: OpCode) -> Result<Self, WebSocketFault> {
        match opcode {
            OpCode::Data(Data::Continue) => Ok(Self::Continuation),
            OpCode::Data(Data::Text) => Ok(Self::Text),
            OpCode::Data(Data::Binary) => Ok(Self::Binary),
            OpCode::Control(Control::Close) => Ok(Self::Close),
            OpCode::Control(Control::Ping) => Ok(Self::Ping),
            OpCode::Control(Control::Pong) => Ok(Self::Pong),
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                Err(WebSocketFault::ReservedOpcode)
            }
        }
    }

    fn to_wire(self) -> OpCode {
        match self {
            Self::Continuation => OpCode::Data(Data::Continue),
            Self::Text => OpCode::Data(Data::Text),
            Self::Binary => OpCode::Data(Data::Binary),
            Self::Close => OpCode::Control(Control::Close),
            Self::Ping => OpCode::Control(Control::Ping),
            Self::Pong => OpCode::Control(Control::Pong),
        }
    }
}

/// Which end of the connection we are; it decides who must mask (section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We are the server: every received frame must be masked.
    Server,
    /// We are the client: no received frame may be masked.
    Client,
}

/// What RSV1 means on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rsv1 {
    /// Nothing: it must not be set (section 5.2).
    Reserved,
    /// The message that begins here is compressed (RFC 7692 section 6).
    Compressed,
}

/// A checked frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStart {
    /// Whether this frame ends its message.
    pub fin: bool,
    /// Whether this frame begins a compressed message.
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key; present exactly if the peer is a client.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload that the peer announces, below 2^63. Not to be trusted with memory.
    pub length: u64,
    /// Bytes of the header itself, at most [`HEADER_BYTES_MAX`].
    pub header_bytes: usize,
}

/// Reads the header at the front of `input`; None while it is incomplete (section 5.2). `role` is
/// ours; no extension was agreed on.
///
/// # Errors
/// What the peer did wrong, as far as the header shows: every fault is one of 1002.
pub fn parse_header(input: &[u8], role: Role) -> Result<Option<FrameStart>, WebSocketFault> {
    parse_header_with(input, role, Rsv1::Reserved)
}

/// The same where RSV1 may have a meaning: only on a frame that begins a message.
///
/// # Errors
/// As [`parse_header`].
pub fn parse_header_with(
    input: &[u8],
    role: Role,
    rsv1: Rsv1,
) -> Result<Option<FrameStart>, WebSocketFault> {
    let mut cursor = Cursor::new(input);
    // Reading from memory does not fail, so the only error is that of the opcode.
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| WebSocketFault::ReservedOpcode)?;
    let Some((header, length)) = parsed else {
        return Ok(None);
    };
    let may_compress = match rsv1 {
        Rsv1::Reserved => false,
        Rsv1::Compressed => matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary)),
    };
    if header.rsv1 && !may_compress || header.rsv2 || header.rsv3 {
        return Err(WebSocketFault::ReservedBit);
    }
    let opcode = Opcode::from_wire(header.opcode)?;
    match (role, header.mask) {
        (Role::Server, Some(_)) | (Role::Client, None) => {}
        (Role::Server, None) => return Err(WebSocketFault::Unmasked),
        (Role::Client, Some(_)) => return Err(WebSocketFault::Masked),
    }
    if opcode.is_control() {
        if !header.is_final {
            return Err(WebSocketFault::ControlFragmented);
        }
        if length > CONTROL_BYTES_MAX {
            return Err(WebSocketFault::ControlTooLong);
        }
    }
    if length >> 63 != 0 {
        return Err(WebSocketFault::LengthOverflow);
    }
    // The shortest header for this length and mask is as long as the one we read.
    let header_bytes = header.len(length);
    if u64::try_from(header_bytes) != Ok(cursor.position()) {
        return Err(WebSocketFault::LengthNotMinimal);
    }
    Ok(Some(FrameStart {
        fin: header.is_final,
        compressed: header.rsv1,
        opcode,
        mask: header.mask,
        length,
        header_bytes,
    }))
}

/// Appends a header for `length` bytes of payload to `out`. Clients give a fresh random `mask` for
/// each frame, servers none.
pub fn write_header(
    fin: bool,
    opcode: Opcode,
    length: u64,
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    append_header(&header(fin, opcode, mask), length, out);
}

/// The same for the first frame of a compressed message.
pub fn write_compressed_header(
    fin: bool,
    opcode: Opcode,
    length: u64,
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    let rsv1 = true;
    let header = FrameHeader {
        rsv1,
        ..header(fin, opcode, mask)
    };
    append_header(&header, length, out);
}

/// A whole unmasked frame, as a server sends it, in a buffer of exactly its size.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    whole(&header(true, opcode, None), payload)
}

/// A whole masked frame, as a client sends it. `key` is fresh and random for each frame.
#[must_use]
pub fn masked_frame(opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = whole(&header(true, opcode, Some(key)), payload);
    let start = bytes.len().saturating_sub(payload.len());
    unmask(bytes.get_mut(start..).unwrap_or_default(), key, 0);
    bytes
}

/// Masks or unmasks `payload` in place (section 5.3). `offset` is the position of its first byte in
/// the frame's payload, for payloads that come in parts.
pub fn unmask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let phase = 8 * (offset % 4) as u32;
    let [a, b, c, d] = u32::from_be_bytes(key).rotate_left(phase).to_be_bytes();
    let key = [a, b, c, d, a, b, c, d];
    let word = u64::from_ne_bytes(key);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(key) {
        *byte ^= mask;
    }
}

fn header(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>) -> FrameHeader {
    FrameHeader {
        is_final: fin,
        opcode: opcode.to_wire(),
        mask,
        ..FrameHeader::default()
    }
}

fn append_header(header: &FrameHeader, length: u64, out: &mut Vec<u8>) {
    let written = header.format(length, out);
    debug_assert!(written.is_ok(), "writing to a Vec does not fail");
}

fn whole(header: &FrameHeader, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u64;
    let mut bytes = Vec::with_capacity(header.len(length) + payload.len());
    append_header(header, length, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{
        FrameStart, Opcode, Role, Rsv1, WebSocketFault, frame, masked_frame, parse_header,
        parse_header_with, unmask, write_compressed_header, write_header,
    };
    use crate::base::rng::Rng;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn start(length: u64, header_bytes: usize) -> FrameStart {
        FrameStart {
            fin: true,
            compressed: false,
            opcode: Opcode::Binary,
            mask: Some(KEY),
            length,
            header_bytes,
        }
    }

    #[test]
    fn headers_at_the_boundaries_of_each_length_survive() {
        let check = |length: u64, header_bytes: usize| {
            let mut bytes = Vec::new();
            write_header(true, Opcode::Binary, length, Some(KEY), &mut bytes);
            assert_eq!(bytes.len(), header_bytes);
            for cut in 0..bytes.len() {
                let cut = bytes.get(..cut).unwrap_or_default();
                assert_eq!(parse_header(cut, Role::Server), Ok(None));
            }
            let expected = Ok(Some(start(length, header_bytes)));
            assert_eq!(parse_header(&bytes, Role::Server), expected);
            bytes.push(0);
            assert_eq!(
                parse_header(&bytes, Role::Server),
                expected,
                "one byte more"
            );
        };
        for (length, header_bytes) in [(0, 6), (1, 6), (125, 6), (126, 8), (127, 8)] {
            check(length, header_bytes);
        }
        for (length, header_bytes) in [(65_535, 8), (65_536, 14), (1 << 40, 14)] {
            check(length, header_bytes);
        }
        check((1 << 63) - 1, 14);
    }

    #[test]
    fn refuses_what_the_header_alone_shows() {
        use WebSocketFault as Fault;
        let check = |first: u8, second: u8, length: &[u8], fault: Fault| {
            let mut bytes = vec![first, second];
            bytes.extend_from_slice(length);
            if second & 0x80 != 0 {
                bytes.extend_from_slice(&KEY);
            }
            assert_eq!(parse_header(&bytes, Role::Server), Err(fault), "{bytes:?}");
        };
        for bit in [0x40, 0x20, 0x10, 0x70] {
            check(0x82 | bit, 0x80, &[], Fault::ReservedBit);
            check(0x89 | bit, 0x80, &[], Fault::ReservedBit);
        }
        for opcode in (3..=7).chain(11..=15) {
            check(0x80 | opcode, 0x80, &[], Fault::ReservedOpcode);
            check(opcode, 0x80, &[], Fault::ReservedOpcode);
        }
        for opcode in 8..=10 {
            check(opcode, 0x80, &[], Fault::ControlFragmented);
            check(0x80 | opcode, 0xfe, &[0, 126], Fault::ControlTooLong);
            check(0x80 | opcode, 0xfe, &[0, 125], Fault::LengthNotMinimal);
            check(0x80 | opcode, 0xff, &[0xff; 8], Fault::ControlTooLong);
        }
        check(0x82, 0x00, &[], Fault::Unmasked);
        check(0x82, 0xfe, &[0, 0], Fault::LengthNotMinimal);
        check(0x82, 0xfe, &125u16.to_be_bytes(), Fault::LengthNotMinimal);
        for length in [0u64, 125, 126, 65_535] {
            check(0x82, 0xff, &length.to_be_bytes(), Fault::LengthNotMinimal);
        }
        for length in [1u64 << 63, (1 << 63) + 1, u64::MAX] {
            check(0x82, 0xff, &length.to_be_bytes(), Fault::LengthOverflow);
        }
    }

    #[test]
    fn rsv1_marks_the_first_frame_of_a_message_and_no_other() {
        let check = |first: u8, compressed: Option<bool>| {
            let bytes = [first, 0x80, 1, 2, 3, 4];
            let found = parse_header_with(&bytes, Role::Server, Rsv1::Compressed);
            let expected = compressed.ok_or(WebSocketFault::ReservedBit);
            let found = found.map(|start| start.is_some_and(|start| start.compressed));
            assert_eq!(found, expected, "{first:#x}");
        };
        for opcode in [0x01, 0x02, 0x81, 0x82] {
            check(opcode, Some(false));
            check(opcode | 0x40, Some(true));
            check(opcode | 0x60, None);
            check(opcode | 0x10, None);
        }
        for opcode in [0x00, 0x80, 0x88, 0x89, 0x8a] {
            check(opcode, Some(false));
            check(opcode | 0x40, None);
        }
        let mut bytes = Vec::new();
        write_compressed_header(true, Opcode::Text, 5, None, &mut bytes);
        assert_eq!(bytes, [0xc1, 5]);
    }

    #[test]
    fn only_clients_mask() {
        let masked = masked_frame(Opcode::Text, b"hi", KEY);
        let bare = frame(Opcode::Text, b"hi");
        assert!(matches!(parse_header(&masked, Role::Server), Ok(Some(_))));
        assert!(matches!(parse_header(&bare, Role::Client), Ok(Some(_))));
        let unmasked = Err(WebSocketFault::Unmasked);
        assert_eq!(parse_header(&bare, Role::Server), unmasked);
        assert_eq!(
            parse_header(&masked, Role::Client),
            Err(WebSocketFault::Masked)
        );
    }

    #[test]
    fn frames_are_those_of_the_rfc_and_fill_their_buffer() {
        // Section 5.7.
        assert_eq!(frame(Opcode::Text, b"Hello"), b"\x81\x05Hello");
        let hello = masked_frame(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(hello, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        for length in [0, 125, 126, 65_535, 65_536] {
            let bytes = frame(Opcode::Binary, &vec![7; length]);
            assert_eq!(bytes.len(), bytes.capacity());
        }
    }

    #[test]
    fn unmasking_by_words_equals_unmasking_by_bytes() {
        let mut rng = Rng::from_seed(1);
        let mut original = [0u8; 96];
        rng.fill(&mut original);
        let key = [0x12, 0x9f, 0xc3, 0x48];
        for from in 0..16 {
            for length in 0..64 {
                for offset in [0, 1, 2, 3, 4, 5, usize::MAX - 2, usize::MAX] {
                    let mut fast = original;
                    unmask(&mut fast[from..from + length], key, offset);
                    let mut slow = original;
                    for (i, byte) in slow[from..from + length].iter_mut().enumerate() {
                        *byte ^= key[(offset % 4 + i) % 4];
                    }
                    assert_eq!(fast, slow, "{from} {length} {offset}");
                }
            }
        }
    }
}
