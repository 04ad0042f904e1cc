//! msgpack as Node's emitters write it (<https://github.com/msgpack/msgpack/blob/master/spec.md>),
//! with the extensions of the writer they use, notepack: points in time, and in its version 2
//! `undefined` and buffers.
//!
//! Invariants: a value takes a byte at least, so a declared length allocates nothing; what nests
//! deeper than may be published is refused before it is read.

use crate::backplane::emitter::document::{Document, Item, Node};
use crate::backplane::emitter::fault::EmitterFault;
use crate::base::clock::Wall;
use crate::base::limits;

/// How deep a message nests: what is published stands in the list of a packet in the message.
const DEPTH: usize = limits::JSON_DEPTH + 3;

/// The extension that the specification defines: a point in time.
const TIMESTAMP: u8 = 0xff;

/// Reads a message.
///
/// # Errors
/// [`EmitterFault`].
pub(super) fn read(message: &[u8]) -> Result<Document<'_>, EmitterFault> {
    let mut reader = Reader {
        input: message,
        at: 0,
        document: Document::default(),
    };
    let root = reader.value(DEPTH)?;
    match reader.at == message.len() {
        true => Ok(reader.document.rooted(root)),
        false => Err(EmitterFault::Trailing { at: reader.at }),
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    document: Document<'a>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Item<'a>, EmitterFault> {
        self.document.count()?;
        let at = self.at;
        let [first] = self.array()?;
        let item = match first {
            0x00..=0x7f => Item::Integer(i128::from(first)),
            0xe0..=0xff => Item::Integer(i128::from(first.cast_signed())),
            0x80..=0x8f => return self.map(u32::from(first & 0x0f), depth),
            0x90..=0x9f => return self.list(u32::from(first & 0x0f), depth),
            0xa0..=0xbf => self.text(u32::from(first & 0x1f))?,
            0xc0 => Item::Null,
            0xc2 => Item::Bool(false),
            0xc3 => Item::Bool(true),
            0xc4 => self.length_1().and_then(|length| self.bytes(length))?,
            0xc5 => self.length_2().and_then(|length| self.bytes(length))?,
            0xc6 => self.length_4().and_then(|length| self.bytes(length))?,
            0xca => Item::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Item::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Item::Integer(i128::from(self.length_1()?)),
            0xcd => Item::Integer(i128::from(self.length_2()?)),
            0xce => Item::Integer(i128::from(self.length_4()?)),
            0xcf => Item::Integer(i128::from(u64::from_be_bytes(self.array()?))),
            0xd0 => Item::Integer(i128::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Item::Integer(i128::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Item::Integer(i128::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Item::Integer(i128::from(i64::from_be_bytes(self.array()?))),
            0xd9 => self.length_1().and_then(|length| self.text(length))?,
            0xda => self.length_2().and_then(|length| self.text(length))?,
            0xdb => self.length_4().and_then(|length| self.text(length))?,
            0xdc => return self.length_2().and_then(|length| self.list(length, depth)),
            0xdd => return self.length_4().and_then(|length| self.list(length, depth)),
            0xde => return self.length_2().and_then(|length| self.map(length, depth)),
            0xdf => return self.length_4().and_then(|length| self.map(length, depth)),
            0xc7 => {
                let length = self.length_1()?;
                self.extension(at, first, length)?
            }
            0xc8 => {
                let length = self.length_2()?;
                self.extension(at, first, length)?
            }
            0xc9 => {
                let length = self.length_4()?;
                self.extension(at, first, length)?
            }
            0xd4..=0xd8 => self.extension(at, first, 1 << (first - 0xd4))?,
            0xc1 => return Err(EmitterFault::Kind { at, first }),
        };
        Ok(item)
    }

    fn list(&mut self, length: u32, depth: usize) -> Result<Item<'a>, EmitterFault> {
        let depth = depth.checked_sub(1).ok_or(EmitterFault::TooDeep)?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.value(depth)?);
        }
        Ok(self.document.add(Node::List(items)))
    }

    fn map(&mut self, length: u32, depth: usize) -> Result<Item<'a>, EmitterFault> {
        let depth = depth.checked_sub(1).ok_or(EmitterFault::TooDeep)?;
        let mut entries = Vec::new();
        for _ in 0..length {
            entries.push((self.value(depth)?, self.value(depth)?));
        }
        Ok(self.document.add(Node::Map(entries)))
    }

    /// A value of `length` bytes after the byte that says of which kind.
    fn extension(&mut self, at: usize, first: u8, length: u32) -> Result<Item<'a>, EmitterFault> {
        let [kind] = self.array()?;
        let bytes = self.take(length)?;
        let time = match (kind, bytes) {
            (0, [_]) => return Ok(Item::Null),
            (0, _) if matches!(first, 0xc7..=0xc9) => return Ok(Item::Bytes(bytes)),
            (0, _) => milliseconds(bytes),
            (TIMESTAMP, _) => timestamp(bytes),
            _ => None,
        };
        // Whoever wrote a time before 1970 meant no event.
        let time = time.and_then(|millis| u64::try_from(millis).ok());
        let time = time.filter(|millis| *millis <= MILLIS_MAX);
        time.map(|millis| Item::Time(Wall::from_millis(millis)))
            .ok_or(EmitterFault::Kind { at, first })
    }

    fn text(&mut self, length: u32) -> Result<Item<'a>, EmitterFault> {
        let at = self.at;
        let text = simdutf8::basic::from_utf8(self.take(length)?);
        text.map(Item::Text)
            .map_err(|_| EmitterFault::NotText { at })
    }

    fn bytes(&mut self, length: u32) -> Result<Item<'a>, EmitterFault> {
        self.take(length).map(Item::Bytes)
    }

    fn length_1(&mut self) -> Result<u32, EmitterFault> {
        self.array().map(|[byte]| u32::from(byte))
    }

    fn length_2(&mut self) -> Result<u32, EmitterFault> {
        self.array()
            .map(|bytes| u32::from(u16::from_be_bytes(bytes)))
    }

    fn length_4(&mut self) -> Result<u32, EmitterFault> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EmitterFault> {
        let end = EmitterFault::Truncated {
            at: self.input.len(),
        };
        let rest = self.input.get(self.at..).unwrap_or_default();
        let bytes = rest.first_chunk::<N>().ok_or(end)?;
        self.at += N;
        Ok(*bytes)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], EmitterFault> {
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        let range = end.and_then(|end| Some((end, self.input.get(self.at..end)?)));
        let (end, taken) = range.ok_or(EmitterFault::Truncated {
            at: self.input.len(),
        })?;
        self.at = end;
        Ok(taken)
    }
}

/// 9999-12-31T23:59:59.999Z, the last point that RFC 3339 can spell.
const MILLIS_MAX: u64 = 253_402_300_799_999;

/// Milliseconds since 1970 of the specification's extension, in its three lengths.
fn timestamp(bytes: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match *bytes {
        [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
        [_, _, _, _, _, _, _, _] => {
            let whole = u64::from_be_bytes(bytes.try_into().ok()?);
            let seconds = i64::try_from(whole & ((1 << 34) - 1)).ok()?;
            (seconds, u32::try_from(whole >> 34).ok()?)
        }
        [a, b, c, d, ref seconds @ ..] => (
            i64::from_be_bytes(seconds.try_into().ok()?),
            u32::from_be_bytes([a, b, c, d]),
        ),
        _ => return None,
    };
    seconds
        .checked_mul(1000)?
        .checked_add(i64::from(nanos / 1_000_000))
}

/// Milliseconds since 1970 as notepack 2 writes them.
fn milliseconds(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}
