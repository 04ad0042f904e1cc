//! Streams of WebSocket frames made from arbitrary bytes, so that a fuzzer gets past the headers.
//!
//! Invariant: every input makes a stream, of at most [`STREAM_BYTES_MAX`] and one frame.

use crate::testkit::choices::Choices;
use crate::testkit::oracles::reading::Received;
use crate::wire::websocket::frame::{Opcode, masked_frame, unmask, write_header};

/// Where a stream stops to grow: one message of each limit and some more.
const STREAM_BYTES_MAX: usize = 160 * 1024;

/// A masking key with a zero in it.
fn key(choices: &mut Choices<'_>) -> [u8; 4] {
    let byte = choices.byte();
    [byte, byte ^ 0x55, 0, !byte]
}

/// How a length is written.
#[derive(Clone, Copy)]
enum LengthForm {
    Shortest,
    Bits16,
    Bits64,
}

/// Frames as `input` chooses them: most are well-formed and in a place where they may stand, some
/// are not. Each takes a byte that says what it is, one for its length, one for its masking key,
/// and its payload.
pub(super) fn chosen_frames(input: &[u8]) -> Vec<u8> {
    let mut choices = Choices::new(input);
    let mut stream = Vec::new();
    let mut inside_message = false;
    while let Some(choice) = choices.next_byte() {
        if stream.len() > STREAM_BYTES_MAX {
            break;
        }
        let fin = choice & 0x08 == 0;
        let form = match choice >> 5 {
            6 => LengthForm::Bits16,
            7 => LengthForm::Bits64,
            _ => LengthForm::Shortest,
        };
        let length = usize::from(choices.byte());
        let key = key(&mut choices);
        let kind = choice & 0x07;
        let payload: Vec<u8> = match kind {
            5 => {
                let code = 1000 + 16 * u16::from(choices.byte()) + u16::from(choices.byte() % 16);
                let reason = choices.take(length.saturating_sub(2));
                let whole = [&code.to_be_bytes(), reason].concat();
                whole.into_iter().take(length).collect()
            }
            // Rarely on both sides of where lengths take 64 bits: such streams are slow to try.
            6 if length == 255 => vec![b'a'; 65_535 + usize::from(key[0] % 2)],
            6 => vec![b'a'; 4 * length],
            _ if choice & 0x10 == 0 => choices.take(length).iter().map(|b| b & 0x7f).collect(),
            _ => choices.take(length).to_vec(),
        };
        let opcode = match kind {
            0..=2 | 6 if inside_message => 0,
            0 | 1 | 6 => 1,
            2 => 2,
            3 => 9,
            4 => 10,
            5 => 8,
            // Whatever the input says, bits and all.
            _ => {
                stream.push(choices.byte());
                stream.push(choices.byte());
                stream.extend_from_slice(&payload);
                continue;
            }
        };
        let is_data = opcode < 8;
        if is_data {
            inside_message = !fin;
        }
        let first = opcode | if fin || !is_data { 0x80 } else { 0 };
        push_frame(&mut stream, first, form, &payload, key);
    }
    stream
}

/// Appends a masked frame that begins with the byte `first`.
fn push_frame(stream: &mut Vec<u8>, first: u8, form: LengthForm, payload: &[u8], key: [u8; 4]) {
    stream.push(first);
    match (form, payload.len()) {
        (LengthForm::Shortest, length @ 0..=125) => stream.push(0x80 | length as u8),
        (LengthForm::Shortest | LengthForm::Bits16, length @ 0..=65_535) => {
            stream.push(0x80 | 126);
            stream.extend_from_slice(&(length as u16).to_be_bytes());
        }
        (LengthForm::Shortest | LengthForm::Bits16 | LengthForm::Bits64, length) => {
            stream.push(0x80 | 127);
            stream.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    stream.extend_from_slice(&key);
    let masked = payload.iter().zip(key.iter().cycle());
    stream.extend(masked.map(|(byte, mask)| byte ^ mask));
}

/// Messages as `input` chooses them, each in one to eight fragments cut anywhere, with pings and
/// pongs between them; and what must be received. Encoded with our own encoder.
pub(super) fn chosen_messages(input: &[u8]) -> (Vec<u8>, Vec<Received>) {
    let mut choices = Choices::new(input);
    let mut stream = Vec::new();
    let mut received = Vec::new();
    while let Some(choice) = choices.next_byte() {
        let is_text = choice & 0x01 == 0;
        let cuts = choice >> 1 & 0x07;
        let length = usize::from(choices.byte());
        let seeds = choices.take(length);
        let (first, payload, message) = if is_text {
            let text: String = seeds.iter().map(|byte| character(*byte)).collect();
            (
                Opcode::Text,
                text.clone().into_bytes(),
                Received::Text(text),
            )
        } else {
            let message = Received::Binary(seeds.to_vec());
            (Opcode::Binary, seeds.to_vec(), message)
        };
        let mut rest = &payload[..];
        for cut in 0..cuts {
            let count = usize::from(choices.byte()) % (rest.len() + 1);
            let (fragment, after) = rest.split_at(count);
            let opcode = if cut == 0 {
                first
            } else {
                Opcode::Continuation
            };
            push_fragment(&mut stream, false, opcode, fragment, key(&mut choices));
            rest = after;
            let payload = choices.take(usize::from(choice >> 4 & 0x03)).to_vec();
            if choice & 0x40 != 0 {
                stream.extend(masked_frame(Opcode::Ping, &payload, key(&mut choices)));
                received.push(Received::Ping(payload));
            } else if choice & 0x80 != 0 {
                stream.extend(masked_frame(Opcode::Pong, &payload, key(&mut choices)));
                received.push(Received::Pong(payload));
            }
        }
        let opcode = if cuts == 0 {
            first
        } else {
            Opcode::Continuation
        };
        push_fragment(&mut stream, true, opcode, rest, key(&mut choices));
        received.push(message);
    }
    (stream, received)
}

/// Characters of one to four bytes.
fn character(seed: u8) -> char {
    char::from_u32(u32::from(seed) << (seed % 13)).unwrap_or('?')
}

fn push_fragment(stream: &mut Vec<u8>, fin: bool, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
    write_header(fin, opcode, payload.len() as u64, Some(key), stream);
    let start = stream.len();
    stream.extend_from_slice(payload);
    unmask(&mut stream[start..], key, 0);
}

#[cfg(test)]
mod tests {
    use super::{LengthForm, character, chosen_frames, push_frame};
    use crate::wire::websocket::frame::{Opcode, masked_frame};

    #[test]
    fn frames_are_those_of_our_encoder() {
        let key = [1, 2, 3, 4];
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let mut stream = Vec::new();
            push_frame(&mut stream, 0x82, LengthForm::Shortest, &payload, key);
            assert_eq!(stream, masked_frame(Opcode::Binary, &payload, key));
        }
    }

    #[test]
    fn characters_have_every_length() {
        let lengths: Vec<usize> = (0..=u8::MAX)
            .map(|seed| character(seed).len_utf8())
            .collect();
        assert!((1..=4).all(|length| lengths.contains(&length)));
    }

    #[test]
    fn a_message_is_continued_until_it_ends() {
        // Text without FIN, a ping, text with FIN: the last becomes a continuation.
        let stream = chosen_frames(&[0x08, 1, 0, b'a', 0x03, 0, 0, 0x00, 1, 0, b'b']);
        let key = [0, 0x55, 0, 0xff];
        let mut expected = Vec::new();
        push_frame(&mut expected, 0x01, LengthForm::Shortest, b"a", key);
        push_frame(&mut expected, 0x89, LengthForm::Shortest, b"", key);
        push_frame(&mut expected, 0x80, LengthForm::Shortest, b"b", key);
        assert_eq!(stream, expected);
    }
}
