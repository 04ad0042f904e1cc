//! Messages there and back, the bound on what they expand to, and what is no message.

#![allow(clippy::unwrap_used)]

use super::{DeflateContext, Deflater, InflateContext, Inflater, KEPT_BYTES};
use crate::base::rng::Rng;
use crate::testkit::deflate::ClientDeflate;
use crate::wire::websocket::extension::WindowBits;
use crate::wire::websocket::fault::WebSocketFault;

const MIB: usize = 1 << 20;

fn windows() -> impl Iterator<Item = WindowBits> {
    (9..=15).filter_map(WindowBits::new)
}

/// Words of a small vocabulary in random order, which compress with any window.
fn text(rng: &mut Rng, bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "{\"type\":",
        "\"room\":",
        "\"offset\":",
        "kinglet",
        "project:42",
        "übung",
        "true",
        "null",
        "12345",
        "},",
        "\"data\":",
        " ",
    ];
    let mut text = Vec::new();
    while text.len() < bytes {
        let word = WORDS[rng.below(WORDS.len() as u64) as usize];
        text.extend_from_slice(word.as_bytes());
    }
    text.truncate(bytes);
    text
}

fn random(rng: &mut Rng, bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    rng.fill(&mut random);
    random
}

/// Text, noise, and text with noise in it, of many sizes.
fn messages(seed: u64) -> Vec<Vec<u8>> {
    let mut rng = Rng::from_seed(seed);
    let mut messages = Vec::new();
    for bytes in [1, 2, 100, 255, 256, 257, 511, 512, 513, 4096, 36_000] {
        messages.push(text(&mut rng, bytes));
        messages.push(random(&mut rng, bytes));
        let half = text(&mut rng, bytes / 2 + 1);
        messages.push([&half[..], &random(&mut rng, bytes / 2), &half].concat());
        messages.push(vec![b'a'; bytes]);
    }
    messages
}

fn peer(window: WindowBits, keeps: &str) -> ClientDeflate {
    let bits = window.get();
    let answer = format!("permessage-deflate{keeps}; server_max_window_bits={bits}");
    ClientDeflate::of_answer(&answer, bits).unwrap()
}

const ALONE: &str = "; server_no_context_takeover; client_no_context_takeover";

#[test]
fn a_peer_with_no_more_than_the_window_reads_what_we_compress() {
    for window in windows() {
        let mut deflater = Deflater::default();
        let mut peer = peer(window, ALONE);
        for message in messages(u64::from(window.get())) {
            if let Some(sent) = deflater.deflate(&message, window) {
                assert!(sent.len() < message.len());
                assert_eq!(peer.expand(sent), message, "{window:?}");
            }
        }
    }
}

#[test]
fn a_peer_with_the_same_context_reads_what_refers_to_earlier_messages() {
    for window in windows() {
        let (mut deflater, mut context) = (Deflater::default(), DeflateContext::default());
        let mut peer = peer(window, "");
        let mut last = Vec::new();
        for message in messages(u64::from(window.get())) {
            let sent = deflater
                .deflate_next(&message, window, &mut context)
                .unwrap();
            assert_eq!(peer.expand(sent), message, "{window:?}");
            last = message;
        }
        last.truncate(200);
        let first = deflater
            .deflate_next(&last, window, &mut context)
            .unwrap()
            .len();
        let again = deflater
            .deflate_next(&last, window, &mut context)
            .unwrap()
            .len();
        assert!(
            again <= first && again < 20,
            "{again} bytes for what was just sent"
        );
    }
}

#[test]
fn what_clients_compress_is_read_with_and_without_context() {
    for window in windows() {
        let (mut inflater, mut context) = (Inflater::default(), InflateContext::default());
        let (mut alone, mut with_context) = (peer(window, ALONE), peer(window, ""));
        for level in [1, 6, 9, 0] {
            alone.level = level;
            for message in messages(u64::from(window.get())) {
                let sent = alone.compress(&message);
                assert_eq!(inflater.inflate(&sent, MIB), Ok(&message[..]));
                let sent = with_context.compress(&message);
                let read = inflater.inflate_next(&sent, MIB, &mut context);
                assert_eq!(read, Ok(&message[..]));
            }
        }
    }
}

#[test]
fn without_contexts_no_message_depends_on_another() {
    let mut rng = Rng::from_seed(7);
    let message = text(&mut rng, 2000);
    let mut deflater = Deflater::default();
    let first = deflater
        .deflate(&message, WindowBits::MAX)
        .unwrap()
        .to_vec();
    for other in messages(1) {
        deflater.deflate(&other, WindowBits::MAX);
    }
    assert_eq!(
        deflater.deflate(&message, WindowBits::MAX),
        Some(&first[..])
    );
    let mut inflater = Inflater::default();
    // A message on a context cannot be read without it.
    let mut context = DeflateContext::default();
    deflater.deflate_next(&message, WindowBits::MAX, &mut context);
    let second = deflater.deflate_next(&message, WindowBits::MAX, &mut context);
    let second = second.unwrap().to_vec();
    inflater.inflate(&first, MIB).unwrap();
    let fault = Err(WebSocketFault::InvalidDeflate);
    assert_eq!(inflater.inflate(&second, MIB), fault);
}

#[test]
fn what_does_not_become_smaller_is_not_compressed() {
    let mut deflater = Deflater::default();
    let mut rng = Rng::from_seed(3);
    for bytes in [0, 1, 16, 1000, 100_000] {
        assert_eq!(
            deflater.deflate(&random(&mut rng, bytes), WindowBits::MAX),
            None
        );
    }
}

#[test]
fn reads_the_examples_of_the_rfc() {
    let hello = Ok(&b"Hello"[..]);
    let check = |sent: &[u8], expected: Result<&[u8], WebSocketFault>| {
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(sent, MIB), expected, "{sent:x?}");
        let mut context = InflateContext::default();
        assert_eq!(
            inflater.inflate_next(sent, MIB, &mut context),
            expected,
            "{sent:x?}"
        );
    };
    // Section 7.2.3.1: one block. 7.2.3.3: one that is not compressed. 7.2.3.4: one with BFINAL.
    // 7.2.3.5: two blocks. 7.2.3.6: an empty message.
    check(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], hello);
    check(
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        hello,
    );
    check(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], hello);
    check(
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
        hello,
    );
    check(&[0x00], Ok(b""));
    // Section 7.2.3.2: the second message refers to the first.
    let (mut inflater, mut context) = (Inflater::default(), InflateContext::default());
    for sent in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
    ] {
        assert_eq!(inflater.inflate_next(sent, MIB, &mut context), hello);
    }
}

#[test]
fn what_no_compressor_makes_is_invalid() {
    let mut rng = Rng::from_seed(5);
    let message = text(&mut rng, 300);
    let whole = Deflater::default()
        .deflate(&message, WindowBits::MAX)
        .unwrap()
        .to_vec();
    let mut inflater = Inflater::default();
    for end in 0..whole.len() {
        let read = inflater.inflate(&whole[..end], MIB);
        assert_ne!(read, Ok(&message[..]), "cut at {end}");
        // The end of a block is the end of a message, too, so not every cut can be seen.
        let is_seen = read == Err(WebSocketFault::InvalidDeflate);
        assert!(
            is_seen || end < 2 || end == whole.len() - 1,
            "cut at {end}: {read:?}"
        );
    }
    for bytes in [
        // A reserved type of block; lengths that do not match; a reference to nothing; no block.
        &[0x07][..],
        &[0x00, 0x05, 0x00, 0x05, 0x00],
        &[0x03, 0x02],
        &[0xff; 20],
        &[],
    ] {
        let read = inflater.inflate(bytes, MIB);
        assert_eq!(read, Err(WebSocketFault::InvalidDeflate), "{bytes:x?}");
    }
    assert_eq!(
        inflater.inflate(&whole, MIB),
        Ok(&message[..]),
        "as good as before"
    );
}

/// A message that expands to `bytes` zeros.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut peer = peer(WindowBits::MAX, ALONE);
    peer.level = 9;
    peer.compress(&vec![0; bytes])
}

#[test]
fn inflating_stops_at_the_limit_whatever_comes_after() {
    let mut inflater = Inflater::default();
    for limit in [0, 1, 1000, 1024, 5000, MIB] {
        let exact = bomb(limit.max(1));
        if limit > 0 {
            assert_eq!(inflater.inflate(&exact, limit).map(<[u8]>::len), Ok(limit));
        }
        for more in [1, 2, 300, 10 * MIB] {
            let over = bomb(limit + more);
            let fault = Err(WebSocketFault::InflatedTooBig);
            assert_eq!(inflater.inflate(&over, limit), fault, "{limit} {more}");
            let mut context = InflateContext::default();
            assert_eq!(inflater.inflate_next(&over, limit, &mut context), fault);
            assert!(inflater.output.capacity() <= (limit + 1).max(KEPT_BYTES));
        }
    }
}

#[test]
fn no_more_than_a_small_buffer_is_kept() {
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    let large = random(&mut Rng::from_seed(1), MIB / 2);
    let sent = peer(WindowBits::MAX, ALONE).compress(&large);
    inflater.inflate(&sent, MIB).unwrap();
    deflater.deflate(&large, WindowBits::MAX);
    inflater.inflate(&[0x00], MIB).unwrap();
    deflater.deflate(b"small", WindowBits::MAX);
    assert!(inflater.output.capacity() <= KEPT_BYTES);
    assert!(deflater.output.capacity() <= KEPT_BYTES);
}
