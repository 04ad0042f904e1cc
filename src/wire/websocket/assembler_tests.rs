//! The assembler against whole, split and hostile input.
//!
//! Every table is fed whole, byte by byte and in every two parts, and must give the same events and
//! the same fault each time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Assembler, AssemblerLimits, Body, Event};
use crate::base::rng::Rng;
use crate::wire::websocket::{
    close::close_payload,
    fault::WebSocketFault as Fault,
    frame::{Opcode, Role, frame, masked_frame, unmask, write_header},
};

const LIMITS: AssemblerLimits = AssemblerLimits {
    message_bytes: 1024,
    fragments: 8,
};
const UNLIMITED: AssemblerLimits = AssemblerLimits {
    message_bytes: usize::MAX,
    fragments: u32::MAX,
};
const KEY: [u8; 4] = [0xa1, 0x5b, 0x0c, 0xff];

/// An event that owns what it says.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Event::Compressed(..) => panic!("compression was not agreed on"),
            Event::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Event::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code, close.reason.to_owned())))
            }
        }
    }
}

/// Feeds one part until there is no event.
fn feed(
    assembler: &mut Assembler,
    part: &[u8],
    limits: &AssemblerLimits,
    events: &mut Vec<Owned>,
) -> Result<(), Fault> {
    let mut part = part.to_vec();
    let mut taken = 0;
    loop {
        let (count, event) = assembler.next(&mut part[taken..], limits)?;
        taken += count;
        let Some(event) = event else {
            assert_eq!(taken, part.len(), "without an event everything is taken");
            return Ok(());
        };
        events.push(event.into());
    }
}

fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Option<Fault>) {
    let mut assembler = Assembler::new(Role::Server);
    let mut events = Vec::new();
    for part in parts {
        if let Err(fault) = feed(&mut assembler, part, &LIMITS, &mut events) {
            return (events, Some(fault));
        }
    }
    (events, None)
}

/// Reads `bytes` whole and in every split and expects the same of each.
fn check(bytes: &[u8], events: &[Owned], fault: Option<Fault>) {
    let expected = (events.to_vec(), fault);
    assert_eq!(read([bytes]), expected, "whole {bytes:x?}");
    assert_eq!(read(bytes.chunks(1)), expected, "byte by byte {bytes:x?}");
    for split in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(split);
        assert_eq!(read([head, tail]), expected, "split at {split} {bytes:x?}");
    }
}

fn masked(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(fin, opcode, payload.len() as u64, Some(KEY), &mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    unmask(&mut bytes[start..], KEY, 0);
    bytes
}

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

#[test]
fn whole_frames_become_events() {
    use Opcode::{Binary, Close, Ping, Pong, Text};
    let check = |opcode, payload: &[u8], event: Owned| {
        check(&masked(true, opcode, payload), &[event], None);
    };
    check(Text, b"", text(""));
    check(Text, "aé€🦀".as_bytes(), text("aé€🦀"));
    for length in [0, 1, 125, 126, 127, 1024] {
        check(Binary, &vec![7; length], Owned::Binary(vec![7; length]));
    }
    check(Ping, b"", Owned::Ping(vec![]));
    check(Ping, &[9; 125], Owned::Ping(vec![9; 125]));
    check(Pong, b"x", Owned::Pong(b"x".to_vec()));
    check(Close, b"", Owned::Close(None));
    check(
        Close,
        &[0x03, 0xe8],
        Owned::Close(Some((1000, String::new()))),
    );
    let closing = Owned::Close(Some((4503, "gÿ".to_owned())));
    check(Close, &close_payload(4503, "gÿ"), closing);
}

#[test]
fn sixteen_bit_lengths_end_at_65536() {
    for length in [65_535, 65_536, 70_000] {
        let bytes = masked_frame(Opcode::Binary, &vec![3; length], KEY);
        for cut in [0, 1, 2, 3, 7, 8, 13, 14, 15, 40_000, bytes.len()] {
            let mut assembler = Assembler::new(Role::Server);
            let mut events = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                feed(&mut assembler, part, &UNLIMITED, &mut events).unwrap();
            }
            assert_eq!(events, [Owned::Binary(vec![3; length])]);
            assert!(assembler.partial.is_none());
        }
    }
}

#[test]
fn fragments_are_joined_and_controls_come_between() {
    use Opcode::{Binary, Continuation, Ping, Pong, Text};
    let bytes = [
        masked(false, Text, "a€".as_bytes()),
        masked(true, Ping, b"1"),
        masked(false, Continuation, b""),
        masked(true, Pong, b"2"),
        masked(true, Ping, b""),
        masked(true, Continuation, b"b"),
        masked(false, Binary, b"c"),
        masked(true, Continuation, b""),
        masked(true, Text, b"d"),
    ]
    .concat();
    let events = [
        Owned::Ping(b"1".to_vec()),
        Owned::Pong(b"2".to_vec()),
        Owned::Ping(vec![]),
        text("a€b"),
        Owned::Binary(b"c".to_vec()),
        text("d"),
    ];
    check(&bytes, &events, None);
}

#[test]
fn faults_come_after_the_events_before_them() {
    use Opcode::{Binary, Close, Continuation, Text};
    let ok = masked(true, Text, b"ok");
    let check = |bad: &[u8], fault: Fault| {
        check(&[&ok, bad].concat(), &[text("ok")], Some(fault));
    };
    check(&frame(Text, b"x"), Fault::Unmasked);
    check(
        &masked(true, Continuation, b"x"),
        Fault::ContinuationWithoutStart,
    );
    check(
        &masked(false, Continuation, b""),
        Fault::ContinuationWithoutStart,
    );
    let begun = masked(false, Text, b"x");
    for second in [Text, Binary] {
        let bytes = [begun.clone(), masked(true, second, b"y")].concat();
        check(&bytes, Fault::MessageInterrupted);
    }
    check(&masked(false, Opcode::Ping, b""), Fault::ControlFragmented);
    check(
        &masked(true, Opcode::Ping, &[0; 126]),
        Fault::ControlTooLong,
    );
    check(&masked(true, Close, &[3]), Fault::ClosePayloadCut);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        check(
            &masked(true, Close, &code.to_be_bytes()),
            Fault::CloseCodeForbidden,
        );
    }
    check(&masked(true, Close, b"\x03\xe8\xff"), Fault::InvalidUtf8);
    check(&masked(true, Close, b"\x03\xe8\xc3"), Fault::InvalidUtf8);
    for bits in [0x40, 0x20, 0x10] {
        check(&[0x81 | bits, 0x80, 0, 0, 0, 0], Fault::ReservedBit);
    }
    check(&[0x83, 0x80, 0, 0, 0, 0], Fault::ReservedOpcode);
    check(&[0x82, 0xfe, 0, 1, 0, 0, 0, 0], Fault::LengthNotMinimal);
}

#[test]
fn invalid_text_is_refused_wherever_it_is_cut() {
    let bad: [&[u8]; 10] = [
        b"\xff",
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xf0\x80\x80\xaf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"a\xe2\x82",
    ];
    for payload in bad {
        check(
            &masked(true, Opcode::Text, payload),
            &[],
            Some(Fault::InvalidUtf8),
        );
        for split in 0..=payload.len() {
            let (head, tail) = payload.split_at(split);
            let bytes = [
                masked(false, Opcode::Text, head),
                masked(true, Opcode::Continuation, tail),
            ]
            .concat();
            check(&bytes, &[], Some(Fault::InvalidUtf8));
        }
    }
}

#[test]
fn characters_may_be_split_across_fragments_at_each_byte() {
    let whole = "x€🦀é";
    for split in 0..=whole.len() {
        let (head, tail) = whole.as_bytes().split_at(split);
        let bytes = [
            masked(false, Opcode::Text, head),
            masked(true, Opcode::Ping, &[0xff]),
            masked(true, Opcode::Continuation, tail),
        ]
        .concat();
        check(&bytes, &[Owned::Ping(vec![0xff]), text(whole)], None);
    }
}

#[test]
fn invalid_text_fails_before_its_frame_ends() {
    let frame = masked(true, Opcode::Text, b"ab\xed\xa0\x80 and much more");
    let header_bytes = 6;
    let upto = |count: usize| read([&frame[..header_bytes + count]]).1;
    assert_eq!(upto(3), None);
    assert_eq!(upto(4), Some(Fault::InvalidUtf8));
}

#[test]
fn message_bytes_are_limited_at_the_header() {
    let over = masked(true, Opcode::Binary, &[0; 1025]);
    check(&over[..8], &[], Some(Fault::MessageTooBig));
    let mut bytes = masked(false, Opcode::Text, &[b'a'; 1000]);
    bytes.extend(masked(false, Opcode::Continuation, &[b'a'; 24]));
    assert_eq!(read([&bytes[..]]), (vec![], None));
    bytes.extend(&masked(true, Opcode::Continuation, b"a")[..6]);
    check(&bytes, &[], Some(Fault::MessageTooBig));
}

#[test]
fn tiny_fragments_forever_are_cut() {
    for payload in [&b""[..], b"a"] {
        let mut bytes = masked(false, Opcode::Text, payload);
        for _ in 1..LIMITS.fragments {
            bytes.extend(masked(true, Opcode::Ping, b""));
            bytes.extend(masked(false, Opcode::Continuation, payload));
        }
        let pings = vec![Owned::Ping(vec![]); 7];
        check(&bytes, &pings, None);
        bytes.extend(masked(true, Opcode::Continuation, payload));
        check(&bytes, &pings, Some(Fault::TooManyFragments));
    }
}

#[test]
fn a_ping_flood_between_fragments_costs_no_memory() {
    let mut assembler = Assembler::new(Role::Server);
    let mut events = Vec::new();
    let begun = masked(false, Opcode::Binary, b"abc");
    feed(&mut assembler, &begun, &LIMITS, &mut events).unwrap();
    let ping = masked(true, Opcode::Ping, &[1; 125]);
    for _ in 0..10_000 {
        // Cut, so that the payload has to be kept.
        feed(&mut assembler, &ping[..50], &LIMITS, &mut events).unwrap();
        feed(&mut assembler, &ping[50..], &LIMITS, &mut events).unwrap();
    }
    assert_eq!(events.len(), 10_000);
    let partial = assembler.partial.as_ref().unwrap();
    assert!(partial.control.capacity() <= 250);
    assert!(buffered(&assembler) <= 8);
    let end = masked(true, Opcode::Continuation, b"d");
    feed(&mut assembler, &end, &LIMITS, &mut events).unwrap();
    assert_eq!(events.last(), Some(&Owned::Binary(b"abcd".to_vec())));
    assert!(assembler.partial.is_none());
}

/// The capacity of the message's buffer.
fn buffered(assembler: &Assembler) -> usize {
    let partial = assembler.partial.as_ref().unwrap();
    match &partial.message.as_ref().unwrap().body {
        Body::Text(text) => text.capacity(),
        Body::Binary(bytes) | Body::Compressed(_, bytes) => bytes.capacity(),
    }
}

#[test]
fn a_declared_length_allocates_nothing() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut assembler = Assembler::new(Role::Server);
        let mut header = Vec::new();
        write_header(true, opcode, 1 << 40, Some([0; 4]), &mut header);
        let mut events = Vec::new();
        feed(&mut assembler, &header, &UNLIMITED, &mut events).unwrap();
        assert_eq!(buffered(&assembler), 0);
        feed(&mut assembler, b"abc", &UNLIMITED, &mut events).unwrap();
        assert!(buffered(&assembler) <= 8);
        assert!(events.is_empty());
    }
}

#[test]
fn an_idle_assembler_is_small_and_owns_nothing() {
    assert!(size_of::<Assembler>() <= 16);
    let bytes = [
        masked(true, Opcode::Text, b"one"),
        masked(false, Opcode::Text, b"t"),
        masked(true, Opcode::Ping, b"p"),
        masked(true, Opcode::Continuation, b"wo"),
        masked(true, Opcode::Pong, b"p"),
    ];
    for part_bytes in 1..12 {
        let mut assembler = Assembler::new(Role::Server);
        for message in [&bytes[..1], &bytes[1..4], &bytes[4..]] {
            for part in message.concat().chunks(part_bytes) {
                feed(&mut assembler, part, &LIMITS, &mut Vec::new()).unwrap();
            }
            assert!(assembler.partial.is_none(), "parts of {part_bytes}");
        }
    }
}

#[test]
fn a_whole_frame_is_handed_out_where_it_lies() {
    let mut input = masked(true, Opcode::Text, b"hello");
    input.extend(masked(true, Opcode::Binary, b"rest"));
    let place = input[6..].as_ptr();
    let mut assembler = Assembler::new(Role::Server);
    let (taken, event) = assembler.next(&mut input, &LIMITS).unwrap();
    assert_eq!((taken, event), (11, Some(Event::Text("hello"))));
    let Some(Event::Text(text)) = event else {
        panic!("not a text");
    };
    assert_eq!(text.as_ptr(), place);
    assert!(assembler.partial.is_none());
}

#[test]
fn a_client_reads_unmasked_frames() {
    let mut assembler = Assembler::new(Role::Client);
    let mut events = Vec::new();
    for byte in frame(Opcode::Text, "né".as_bytes()).chunks(1) {
        feed(&mut assembler, byte, &LIMITS, &mut events).unwrap();
    }
    assert_eq!(events, [text("né")]);
    let bad = masked(true, Opcode::Text, b"");
    let fault = feed(&mut assembler, &bad, &LIMITS, &mut events);
    assert_eq!(fault, Err(Fault::Masked));
}

#[test]
fn random_messages_survive_random_fragments_and_splits() {
    for seed in 0..300 {
        let mut rng = Rng::from_seed(seed);
        let (bytes, expected) = random_conversation(&mut rng);
        let mut assembler = Assembler::new(Role::Server);
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let bound = if rng.below(2) == 0 { 8 } else { 500 };
            let (part, later) = rest.split_at(index(&mut rng, bound).min(rest.len()));
            feed(&mut assembler, part, &UNLIMITED, &mut events).unwrap();
            rest = later;
        }
        assert_eq!(events, expected, "Rng::from_seed({seed})");
        assert!(assembler.partial.is_none(), "Rng::from_seed({seed})");
    }
}

#[test]
fn damaged_input_reads_the_same_however_it_is_cut() {
    for seed in 0..400 {
        let mut rng = Rng::from_seed(seed);
        let (mut bytes, _) = random_conversation(&mut rng);
        bytes.truncate(2000);
        for _ in 0..rng.below(4) {
            let place = index(&mut rng, bytes.len());
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << rng.below(8);
            }
        }
        let whole = read([&bytes[..]]);
        for part_bytes in [1, 2, 3, 7, 64, 1000] {
            let parts = read(bytes.chunks(part_bytes));
            assert_eq!(
                parts, whole,
                "Rng::from_seed({seed}), parts of {part_bytes}"
            );
        }
    }
}

fn index(rng: &mut Rng, bound: usize) -> usize {
    rng.below(bound as u64) as usize
}

fn random_bytes(rng: &mut Rng, bound: usize) -> Vec<u8> {
    let mut bytes = vec![0; index(rng, bound)];
    rng.fill(&mut bytes);
    bytes
}

/// Up to 20 messages, each in one to five frames with controls before some, and what they say.
fn random_conversation(rng: &mut Rng) -> (Vec<u8>, Vec<Owned>) {
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    let mut send = |rng: &mut Rng, fin, opcode, payload: &[u8]| {
        let mut key = [0; 4];
        rng.fill(&mut key);
        write_header(fin, opcode, payload.len() as u64, Some(key), &mut bytes);
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        unmask(&mut bytes[start..], key, 0);
    };
    for _ in 0..rng.below(20) {
        let size = [4, 130, 3000, 70_000][index(rng, 4)];
        let (mut opcode, payload, event) = if rng.below(2) == 0 {
            let length = index(rng, size) / 4;
            let whole: String = (0..length)
                .map(|_| ['a', 'é', '€', '🦀'][index(rng, 4)])
                .collect();
            (Opcode::Text, whole.clone().into_bytes(), Owned::Text(whole))
        } else {
            let payload = random_bytes(rng, size);
            (Opcode::Binary, payload.clone(), Owned::Binary(payload))
        };
        let mut rest = &payload[..];
        for left in (0..=rng.below(5)).rev() {
            while rng.below(3) == 0 {
                let payload = random_bytes(rng, 126);
                send(rng, true, Opcode::Ping, &payload);
                events.push(Owned::Ping(payload));
            }
            let count = if left == 0 {
                rest.len()
            } else {
                index(rng, rest.len() + 1)
            };
            let (part, later) = rest.split_at(count);
            send(rng, left == 0, opcode, part);
            (opcode, rest) = (Opcode::Continuation, later);
        }
        events.push(event);
    }
    (bytes, events)
}
