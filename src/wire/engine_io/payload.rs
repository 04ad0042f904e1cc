//! The packets that share a body of the polling transport, with a separator between them.
//!
//! Read one by one, so that a body of a hundred packets is no list of a hundred. Invariants: size
//! and count are checked before the first is handed out; only base64 allocates, and no more than
//! three bytes for four that have arrived.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::wire::engine_io::fault::PacketFault;
use crate::wire::engine_io::packet::Packet;

/// What stands between two packets: the ASCII record separator, which JSON has to escape.
pub const SEPARATOR: u8 = 0x1e;

/// What base64 begins with.
const BASE64: u8 = b'b';

/// Bytes are written with padding and read with or without.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How much one body may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLimits {
    /// Bytes of the body.
    pub bytes: usize,
    /// Packets in it.
    pub packets: usize,
}

/// The packets of a body, in their order; ends with the first that is none.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: Option<&'a str>,
}

/// Looks a body over and returns its packets.
///
/// # Errors
/// [`PacketFault::TooLong`], [`PacketFault::TooMany`] and [`PacketFault::NotUtf8`].
pub fn packets<'a>(body: &'a [u8], limits: &PayloadLimits) -> Result<Packets<'a>, PacketFault> {
    if body.len() > limits.bytes {
        return Err(PacketFault::TooLong {
            limit: limits.bytes,
        });
    }
    let separators = memchr::memchr_iter(SEPARATOR, body).take(limits.packets);
    if separators.count() >= limits.packets {
        return Err(PacketFault::TooMany {
            limit: limits.packets,
        });
    }
    let text = simdutf8::basic::from_utf8(body).map_err(|_| PacketFault::NotUtf8)?;
    Ok(Packets { rest: Some(text) })
}

impl<'a> Packets<'a> {
    /// What was not read yet, to be given to [`packets`] later; `None` at the end.
    #[must_use]
    pub fn rest(&self) -> Option<&'a str> {
        self.rest
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PacketFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let (piece, rest) = match text.split_once(char::from(SEPARATOR)) {
            Some((piece, rest)) => (piece, Some(rest)),
            None => (text, None),
        };
        let packet = parse(piece);
        // Behind a fault nothing is handed out: the session is over.
        self.rest = rest.filter(|_| packet.is_ok());
        Some(packet)
    }
}

fn parse(piece: &str) -> Result<Packet<'_>, PacketFault> {
    match piece.as_bytes().split_first() {
        Some((&BASE64, digits)) => {
            let bytes = ENGINE.decode(digits);
            let bytes = bytes.map_err(|_| PacketFault::NotBase64)?;
            Ok(Packet::Binary(Cow::Owned(bytes)))
        }
        Some(_) | None => Packet::parse(piece),
    }
}

/// Appends a packet to a body, behind those that are in it.
pub fn push(packet: &Packet<'_>, body: &mut Vec<u8>) {
    match packet {
        Packet::Binary(bytes) => push_binary(bytes, body),
        Packet::Open(_)
        | Packet::Close
        | Packet::Ping(_)
        | Packet::Pong(_)
        | Packet::Message(_)
        | Packet::Upgrade
        | Packet::Noop => {
            separate(body);
            packet.write_frame(body);
        }
    }
}

/// Appends a packet whose text, type included, is there already, because others get it, too.
pub fn push_text(text: &[u8], body: &mut Vec<u8>) {
    separate(body);
    body.extend_from_slice(text);
}

/// Appends a message of bytes.
pub fn push_binary(bytes: &[u8], body: &mut Vec<u8>) {
    separate(body);
    body.push(BASE64);
    let start = body.len();
    let length = base64::encoded_len(bytes.len(), true).unwrap_or(0);
    body.resize(start + length, b'=');
    let written = body
        .get_mut(start..)
        .map(|room| ENGINE.encode_slice(bytes, room));
    debug_assert_eq!(written, Some(Ok(length)), "there is room for the digits");
}

fn separate(body: &mut Vec<u8>) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const LIMITS: PayloadLimits = PayloadLimits {
        bytes: 100,
        packets: 4,
    };

    fn read(body: &[u8]) -> Result<Vec<Packet<'_>>, PacketFault> {
        packets(body, &LIMITS)?.collect()
    }

    fn check(body: &str, expected: Result<&[Packet<'_>], PacketFault>) {
        let found = read(body.as_bytes());
        assert_eq!(
            found.as_deref().map_err(|fault| *fault),
            expected,
            "{body:?}"
        );
    }

    fn binary(bytes: &[u8]) -> Packet<'_> {
        Packet::binary(bytes)
    }

    #[test]
    fn packets_are_told_apart_by_the_separator() {
        check("4hello", Ok(&[Packet::Message("hello")]));
        check(
            "4test1\u{1e}4test2\u{1e}4test3",
            Ok(&[
                Packet::Message("test1"),
                Packet::Message("test2"),
                Packet::Message("test3"),
            ]),
        );
        check(
            "4hello\u{1e}bAQIDBA==",
            Ok(&[Packet::Message("hello"), binary(&[1, 2, 3, 4])]),
        );
        check(
            "2\u{1e}4€\u{1e}1",
            Ok(&[Packet::Ping(""), Packet::Message("€"), Packet::Close]),
        );
    }

    #[test]
    fn base64_may_lack_its_padding_and_stand_for_nothing() {
        check("bAQIDBA", Ok(&[binary(&[1, 2, 3, 4])]));
        check("b", Ok(&[binary(&[])]));
        check("b+/8=", Ok(&[binary(&[0xfb, 0xff])]));
        for wrong in ["b-_8=", "bA", "bAQ ID", "bAQID\n", "b=", "bé"] {
            check(wrong, Err(PacketFault::NotBase64));
        }
    }

    #[test]
    fn what_is_no_packet_is_a_fault_and_ends_the_body() {
        check("", Err(PacketFault::Empty));
        check("abc", Err(PacketFault::UnknownType));
        check("4a\u{1e}", Err(PacketFault::Empty));
        check("\u{1e}4a", Err(PacketFault::Empty));
        check("4a\u{1e}\u{1e}4b", Err(PacketFault::Empty));
        assert_eq!(read(b"4\xff"), Err(PacketFault::NotUtf8));
        let mut found = packets("4a\u{1e}x\u{1e}4b".as_bytes(), &LIMITS).unwrap();
        assert_eq!(found.next(), Some(Ok(Packet::Message("a"))));
        assert_eq!(found.rest(), Some("x\u{1e}4b"));
        assert_eq!(found.next(), Some(Err(PacketFault::UnknownType)));
        assert_eq!((found.rest(), found.next()), (None, None));
    }

    #[test]
    fn a_body_over_a_limit_is_refused_before_its_first_packet() {
        let fits = "4".repeat(100);
        assert!(read(fits.as_bytes()).is_ok());
        let long = "4".repeat(101);
        check(&long, Err(PacketFault::TooLong { limit: 100 }));
        let four = ["4"; 4].join("\u{1e}");
        assert_eq!(read(four.as_bytes()).unwrap().len(), 4);
        let five = ["4"; 5].join("\u{1e}");
        check(&five, Err(PacketFault::TooMany { limit: 4 }));
        check(
            &"\u{1e}".repeat(100),
            Err(PacketFault::TooMany { limit: 4 }),
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let limits = PayloadLimits {
            bytes: 100_000,
            packets: 64,
        };
        for seed in 0..256 {
            let mut rng = Rng::from_seed(seed);
            let mut bytes = vec![0; usize::try_from(rng.below(300)).unwrap()];
            rng.fill(&mut bytes);
            let sent: Vec<Packet<'_>> = (0..=rng.below(8))
                .map(|_| match rng.below(7) {
                    0 => Packet::Ping("probe"),
                    1 => Packet::Close,
                    2 => Packet::Upgrade,
                    3 => Packet::Noop,
                    4 => Packet::Message("a \u{1f} € \"\\u001e\""),
                    5 => Packet::Open("{}"),
                    _ => binary(&bytes),
                })
                .collect();
            let mut body = Vec::new();
            for packet in &sent {
                push(packet, &mut body);
            }
            let found: Result<Vec<_>, _> = packets(&body, &limits).unwrap().collect();
            assert_eq!(found.unwrap(), sent, "seed {seed}");
        }
    }

    #[test]
    fn no_body_makes_it_panic_and_what_it_takes_it_writes_the_same() {
        let limits = PayloadLimits {
            bytes: 64,
            packets: 8,
        };
        const PIECES: [&[u8]; 12] = [
            b"4", b"2probe", b"b", b"AQID", b"==", b"\x1e", b"\x1e", b"1", b"5", b"\xff", b"a",
            b"0",
        ];
        for seed in 0..2000 {
            let mut rng = Rng::from_seed(seed);
            let body: Vec<u8> = (0..rng.below(12))
                .flat_map(|_| PIECES[usize::try_from(rng.below(12)).unwrap()])
                .copied()
                .collect();
            let Ok(found) = packets(&body, &limits) else {
                continue;
            };
            let taken: Vec<Packet<'_>> = found.map_while(Result::ok).collect();
            let mut written = Vec::new();
            for packet in &taken {
                push(packet, &mut written);
            }
            let again: Vec<_> = packets(&written, &limits)
                .unwrap()
                .map_while(Result::ok)
                .collect();
            assert_eq!(again, taken, "seed {seed}");
        }
    }
}
