//! The oracles of compressed messages: an inflater of its own, and what was compressed.

use crate::testkit::choices::Choices;
use crate::testkit::inflate::{PlainInflater, Refusal};
use crate::wire::websocket::deflate::{DeflateContext, Deflater, InflateContext, Inflater};
use crate::wire::websocket::extension::WindowBits;

/// Small enough for short inputs to break.
const LIMIT: usize = 3000;

/// Bytes of all messages of a round trip.
const MESSAGES_BYTES_MAX: usize = 40_000;

/// For every input: taken as a compressed message, it is read as [`PlainInflater`] reads it, or
/// refused if that refuses it, and expands to no more than the limit; taken as several messages on a
/// context, each is read like that up to the first that is refused; and taken as choices of what to
/// say, a peer with exactly the window agreed on reads what we compress.
///
/// # Panics
/// If that does not hold.
pub fn deflate(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    match choice % 3 {
        0 => alone(rest),
        1 => on_context(rest),
        _ => round_trip(rest),
    }
}

fn alone(message: &[u8]) {
    let expected = PlainInflater::new(15).expand(message, LIMIT);
    let mut inflater = Inflater::default();
    for _ in 0..2 {
        match (inflater.inflate(message, LIMIT), &expected) {
            (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected),
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("ours {ours:?}, theirs {theirs:?}"),
        }
    }
}

fn on_context(input: &[u8]) {
    let (mut inflater, mut context) = (Inflater::default(), InflateContext::default());
    let mut theirs = PlainInflater::new(15);
    let mut choices = Choices::new(input);
    while !choices.is_over() {
        let length = usize::from(choices.byte());
        let message = choices.take(length);
        let ours = inflater.inflate_next(message, LIMIT, &mut context);
        match (ours, theirs.expand(message, LIMIT)) {
            (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected),
            // That a message ends inside a block may show later.
            (Ok(bytes), Err(Refusal::Cut | Refusal::Invalid)) => {
                assert!(bytes.len() <= LIMIT);
                return;
            }
            (Err(_), Err(_)) => return,
            (ours, theirs) => panic!("ours {ours:?}, theirs {theirs:?}"),
        }
    }
}

fn round_trip(input: &[u8]) {
    let mut choices = Choices::new(input);
    let window = WindowBits::new(9 + choices.byte() % 7).expect("9 to 15");
    let (mut deflater, mut context) = (Deflater::default(), DeflateContext::default());
    let mut keeping = PlainInflater::new(window.get());
    let mut left = MESSAGES_BYTES_MAX;
    while !choices.is_over() && left > 0 {
        let message = chosen_message(&mut choices, left);
        left -= message.len();
        if let Some(sent) = deflater.deflate(&message, window) {
            assert!(sent.len() < message.len());
            let mut peer = PlainInflater::new(window.get());
            assert_eq!(peer.expand(sent, message.len()).as_ref(), Ok(&message));
        }
        match deflater.deflate_next(&message, window, &mut context) {
            Some(sent) => {
                let read = keeping.expand(sent, message.len());
                assert_eq!(read.as_ref(), Ok(&message));
            }
            None => assert!(message.is_empty(), "memory can be compressed"),
        }
    }
}

/// A message of parts that are said once or over and over.
fn chosen_message(choices: &mut Choices<'_>, most: usize) -> Vec<u8> {
    let mut message = Vec::new();
    for _ in 0..=choices.byte() % 8 {
        let (length, times) = (choices.byte(), choices.byte());
        let part = choices.take(usize::from(length)).to_vec();
        for _ in 0..=times {
            message.extend_from_slice(&part);
        }
    }
    message.truncate(most);
    message
}
