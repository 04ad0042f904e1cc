//! What waits, what comes out, and what is dropped.

use std::io::IoSlice;

use super::piece::{PIECE_BYTES, Piece};
use super::{Keep, Outbox, OutboxLimits};
use crate::dialect::frame::Frame;

const LIMITS: OutboxLimits = OutboxLimits {
    messages: 3,
    bytes: 100,
};

fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let (count, total) = outbox.gather(&mut slices, step);
        let bytes: Vec<u8> = slices
            .iter()
            .take(count)
            .flat_map(|slice| slice.iter().copied())
            .collect();
        assert_eq!(bytes.len(), total);
        assert!(total > 0 && total <= step);
        all.extend_from_slice(&bytes);
        outbox.wrote(total);
    }
    all
}

#[test]
fn bytes_come_out_in_order_whatever_the_socket_takes() {
    for step in 1..40 {
        let mut outbox = Outbox::default();
        outbox.push_own(|out| out.extend_from_slice(b"one"));
        outbox.push_own(|out| out.extend_from_slice(b"two"));
        outbox.push_shared(Frame::text(b"shared"), Keep::Always);
        outbox.push_own(|out| out.extend_from_slice(b"three"));
        assert_eq!(outbox.messages(), 4);
        assert_eq!(outbox.bytes(), 3 + 3 + 8 + 5);
        assert_eq!(drain(&mut outbox, step), b"onetwo\x81\x06sharedthree");
        assert_eq!((outbox.messages(), outbox.bytes()), (0, 0));
        assert!(outbox.is_empty(), "an empty outbox owns nothing");
    }
}

#[test]
fn a_mark_goes_with_its_frame_and_is_one_message_with_it() {
    let lines = |text: &str| Frame::lines(text.as_bytes().to_vec());
    for step in 1..20 {
        let mut outbox = Outbox::default();
        outbox.push_own(|out| out.extend_from_slice(b"head "));
        outbox.push_marked((*b"1:").into(), lines("one "), Keep::UntilFull);
        outbox.push_marked((*b"2:").into(), lines("two "), Keep::Always);
        outbox.push_shared(lines("three"), Keep::Always);
        assert_eq!((outbox.messages(), outbox.bytes()), (4, 22));
        assert_eq!(drain(&mut outbox, step), b"head 1:one 2:two three");
    }
    let limits = OutboxLimits {
        messages: 2,
        bytes: 100,
    };
    let mut outbox = Outbox::default();
    outbox.push_marked((*b"1:").into(), lines("one "), Keep::UntilFull);
    outbox.push_marked((*b"2:").into(), lines("two "), Keep::UntilFull);
    assert_eq!(outbox.make_room(6, &limits, &limits), Some(1));
    outbox.push_marked((*b"3:").into(), lines("three"), Keep::UntilFull);
    // Once its mark has begun to be written, a frame is no longer dropped.
    outbox.wrote(1);
    assert_eq!(outbox.make_room(6, &limits, &limits), Some(1));
    assert_eq!(drain(&mut outbox, 100), b":two ");
}

#[test]
fn an_empty_outbox_takes_any_message_and_a_full_one_none() {
    let mut outbox = Outbox::default();
    assert!(outbox.fits(1000, &LIMITS));
    outbox.push_own(|out| out.extend_from_slice(&[0; 1000]));
    assert!(!outbox.fits(1, &LIMITS));
    outbox.wrote(950);
    assert!(outbox.fits(50, &LIMITS));
    assert!(!outbox.fits(51, &LIMITS));
    outbox.push_shared(Frame::text(b""), Keep::Always);
    outbox.push_shared(Frame::text(b""), Keep::Always);
    assert!(!outbox.fits(0, &LIMITS));
}

#[test]
fn clearing_keeps_the_message_that_has_begun() {
    let mut outbox = Outbox::default();
    outbox.push_shared(Frame::text(b"first"), Keep::Always);
    outbox.push_shared(Frame::text(b"second"), Keep::Always);
    outbox.wrote(2);
    assert_eq!(outbox.clear_unstarted(), 1);
    assert_eq!((outbox.messages(), outbox.bytes()), (1, 5));
    outbox.push_own(|out| out.extend_from_slice(b"end"));
    assert_eq!(drain(&mut outbox, 100), b"firstend");
    outbox.push_shared(Frame::text(b"third"), Keep::Always);
    assert_eq!(outbox.clear_unstarted(), 1);
    assert!(outbox.is_empty());
}

#[test]
fn clearing_keeps_what_stands_before_the_first_publication() {
    let mut outbox = Outbox::default();
    outbox.push_own(|out| out.extend_from_slice(&[b'a'; PIECE_BYTES]));
    outbox.push_own(|out| out.extend_from_slice(b"101"));
    outbox.push_shared(Frame::text(b"publication"), Keep::Always);
    outbox.push_own(|out| out.extend_from_slice(b"reply"));
    outbox.wrote(10);
    assert_eq!(outbox.clear_unstarted(), 2);
    let left = PIECE_BYTES - 10 + 3;
    assert_eq!((outbox.messages(), outbox.bytes()), (2, left));
    assert!(drain(&mut outbox, left).ends_with(b"a101"));
}

/// Fills an outbox as `pieces` says (`d`: may be dropped, `k`: is kept, `o`: its own; ten bytes
/// each), lets the socket take `taken` bytes, makes room for `bytes` and tells what is left.
fn check_room(pieces: &str, taken: usize, bytes: usize, dropped: Option<usize>, left: &str) {
    let mut outbox = Outbox::default();
    for (number, piece) in pieces.chars().enumerate() {
        // A frame of this payload has a header of two bytes.
        let text = format!("{piece}------{number}");
        match piece {
            'o' => outbox.push_own(|out| out.extend_from_slice(format!("{text}..").as_bytes())),
            'k' => outbox.push_shared(Frame::text(text.as_bytes()), Keep::Always),
            _ => outbox.push_shared(Frame::text(text.as_bytes()), Keep::UntilFull),
        }
    }
    outbox.wrote(taken);
    let case = format!("{pieces} {taken} {bytes}");
    assert_eq!(outbox.make_room(bytes, &FOUR, &FOUR), dropped, "{case}");
    let made = dropped.is_none() || outbox.fits(bytes, &FOUR);
    assert!(made, "{case}");
    let (messages, held) = (outbox.messages(), outbox.bytes());
    let rest = drain(&mut outbox, 1000);
    assert_eq!(rest.len(), held, "{case}");
    let text = String::from_utf8_lossy(&rest);
    let numbers: String = text.chars().filter(char::is_ascii_digit).collect();
    assert_eq!((numbers.as_str(), messages), (left, left.len()), "{case}");
}

const FOUR: OutboxLimits = OutboxLimits {
    messages: 4,
    bytes: 45,
};

#[test]
fn the_oldest_that_may_be_dropped_make_room_and_nothing_else_does() {
    check_room("", 0, 1000, Some(0), "");
    check_room("ddd", 0, 10, Some(0), "012");
    check_room("dddd", 0, 5, Some(1), "123");
    check_room("dddd", 0, 30, Some(3), "3");
    check_room("dddd", 0, 1000, Some(4), "");
    check_room("kdkd", 0, 5, Some(1), "023");
    check_room("kdkd", 0, 25, Some(2), "02");
    check_room("kdkd", 0, 26, None, "0123");
    check_room("odko", 0, 5, Some(1), "023");
    check_room("okko", 0, 5, None, "0123");
}

#[test]
fn what_may_be_dropped_is_in_nobodys_way() {
    let mut outbox = Outbox::default();
    for keep in [
        Keep::UntilFull,
        Keep::UntilFull,
        Keep::Always,
        Keep::UntilFull,
    ] {
        outbox.push_shared(Frame::text(b"12345678"), keep);
    }
    assert!(!outbox.fits(10, &FOUR) && outbox.takes(35, &FOUR));
    assert!(!outbox.takes(36, &FOUR));
    assert_eq!(outbox.space(&FOUR), 35);
    assert!(outbox.is_within(4, &FOUR));
    let share = FOUR.part(2);
    assert_eq!(outbox.make_room(13, &share, &FOUR), None);
    assert_eq!(outbox.make_room(12, &share, &FOUR), Some(1));
    assert_eq!(outbox.messages(), 3);
    outbox.wrote(1);
    assert!(!outbox.is_within(4, &FOUR), "what has begun has to be sent");
}

#[test]
fn what_has_begun_to_be_written_is_not_dropped() {
    check_room("dddd", 3, 5, Some(1), "023");
    check_room("dddd", 3, 1000, None, "0123");
    check_room("dkkk", 3, 5, None, "0123");
    check_room("ddddd", 10, 5, Some(1), "234");
}

#[test]
fn a_waiting_publication_costs_two_words() {
    assert_eq!(size_of::<Piece>(), 2 * size_of::<usize>());
}
