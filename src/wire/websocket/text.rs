//! A text message that arrives in parts, checked as UTF-8 while it does.
//!
//! Invariant: `text` is what was found valid and is never looked at again; `cut` holds at most
//! three bytes, the beginning of a character whose rest is yet to come.

use crate::wire::websocket::fault::WebSocketFault;

/// The checked text so far, and the character that the last part cut.
#[derive(Debug, Default)]
pub(super) struct TextBuffer {
    text: String,
    cut: [u8; 4],
    cut_bytes: usize,
}

impl TextBuffer {
    /// Appends a part. Fails at the first part that no continuation could make valid.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), WebSocketFault> {
        let part = self.complete_cut(part)?;
        let (whole, cut) = part.split_at(part.len() - cut_bytes(part));
        let text = simdutf8::basic::from_utf8(whole).map_err(|_| WebSocketFault::InvalidUtf8)?;
        self.text.push_str(text);
        self.keep(cut)
    }

    /// Checks that the message does not end inside a character.
    pub(super) fn finish(&self) -> Result<(), WebSocketFault> {
        match self.cut_bytes {
            0 => Ok(()),
            _ => Err(WebSocketFault::InvalidUtf8),
        }
    }

    /// The checked text; the whole message once [`TextBuffer::finish`] agrees.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.cut_bytes
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Completes the cut character from the front of `part` and returns what is left.
    fn complete_cut<'a>(&mut self, part: &'a [u8]) -> Result<&'a [u8], WebSocketFault> {
        let [lead, ..] = self.cut;
        if self.cut_bytes == 0 || part.is_empty() {
            return Ok(part);
        }
        let known = self.cut_bytes;
        let missing = character_bytes(lead).saturating_sub(known);
        let (end, rest) = part.split_at(missing.min(part.len()));
        let mut character = self.cut;
        for (slot, byte) in character.iter_mut().skip(known).zip(end) {
            *slot = *byte;
        }
        let character = character.get(..known + end.len()).unwrap_or_default();
        self.cut_bytes = 0;
        match std::str::from_utf8(character) {
            Ok(text) => self.text.push_str(text),
            Err(_) => self.keep(character)?,
        }
        Ok(rest)
    }

    /// Keeps the beginning of a character for later, if it can still become one.
    fn keep(&mut self, cut: &[u8]) -> Result<(), WebSocketFault> {
        if cut.is_empty() {
            return Ok(());
        }
        match std::str::from_utf8(cut) {
            Err(error) if error.error_len().is_none() => {}
            Ok(_) | Err(_) => return Err(WebSocketFault::InvalidUtf8),
        }
        for (slot, byte) in self.cut.iter_mut().zip(cut) {
            *slot = *byte;
        }
        self.cut_bytes = cut.len();
        Ok(())
    }
}

/// How many bytes at the end of `part` begin a character without ending it: at most three.
fn cut_bytes(part: &[u8]) -> usize {
    for (count, &byte) in (1..=3).zip(part.iter().rev()) {
        let is_continuation = byte & 0xc0 == 0x80;
        if !is_continuation {
            return if character_bytes(byte) > count {
                count
            } else {
                0
            };
        }
    }
    0
}

/// The length of the character that `lead` begins; 1 for what begins none.
fn character_bytes(lead: u8) -> usize {
    match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::TextBuffer;

    /// Feeds `parts`; the text, or the index of the part that was refused (their number if it was
    /// the end).
    fn read(parts: &[&[u8]]) -> Result<String, usize> {
        let mut buffer = TextBuffer::default();
        for (index, part) in parts.iter().enumerate() {
            buffer.push(part).map_err(|_| index)?;
        }
        buffer.finish().map_err(|_| parts.len())?;
        Ok(buffer.as_str().to_owned())
    }

    #[test]
    fn agrees_with_the_standard_library_at_every_split() {
        let ends = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
        let leads = [
            0x00, 0x41, 0x80, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0,
            0xf1, 0xf4, 0xf5, 0xf8, 0xfc, 0xfe, 0xff,
        ];
        for lead in leads {
            for second in ends {
                for third in ends {
                    for fourth in ends {
                        check_splits(&[b'a', lead, second, third, fourth]);
                    }
                }
            }
        }
    }

    fn check_splits(bytes: &[u8]) {
        let expected = std::str::from_utf8(bytes).map(str::to_owned);
        for split in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(split);
            assert_eq!(read(&[head, b"", tail]).ok(), expected.clone().ok());
        }
        // Byte by byte, the fault shows at the first byte that no continuation could mend.
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let first_bad = (0..bytes.len()).find(|&end| {
            std::str::from_utf8(&bytes[..=end]).is_err_and(|error| error.error_len().is_some())
        });
        match (expected, first_bad) {
            (Ok(text), _) => assert_eq!(read(&single).unwrap(), text),
            (Err(_), Some(bad)) => assert_eq!(read(&single), Err(bad), "{bytes:x?}"),
            (Err(_), None) => assert_eq!(read(&single), Err(bytes.len()), "{bytes:x?}"),
        }
    }

    #[test]
    fn keeps_long_text_through_single_bytes() {
        let text = "aé€🦀".repeat(100);
        let parts: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(read(&parts).unwrap(), text);
    }
}
