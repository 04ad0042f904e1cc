//! Joins the text of a packet with the attachments that follow it.
//!
//! A packet without attachments passes through, borrowed. Invariants: between two packets nothing is
//! held; what is held has arrived, is bounded in count and bytes, and has a deadline.

use std::borrow::Cow;

use bytes::Bytes;

use crate::base::clock::Mono;
use crate::wire::socket_io::fault::PacketFault;
use crate::wire::socket_io::packet::Packet;

/// A packet with its attachments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled<'a> {
    /// What was said.
    pub packet: Packet<'a>,
    /// What its placeholders stand for, by their numbers.
    pub attachments: Vec<Bytes>,
}

/// The receiving half of a session. After a fault it is not to be used any more.
#[derive(Debug, Default)]
pub struct Assembler {
    partial: Option<Box<Partial>>,
}

/// A packet of which attachments are missing.
#[derive(Debug)]
struct Partial {
    packet: Packet<'static>,
    attachments: Vec<Bytes>,
    bytes: usize,
    due: Mono,
}

impl Assembler {
    /// Takes a message of text; gives it back as a packet if it is whole. If it has attachments
    /// they have to come until `due`, and be no more than `bytes_max` bytes with it.
    ///
    /// # Errors
    /// [`PacketFault::AttachmentMissing`], [`PacketFault::TooBig`] and those of [`Packet::parse`].
    pub fn text<'a>(
        &mut self,
        text: &'a str,
        bytes_max: usize,
        due: Mono,
    ) -> Result<Option<Assembled<'a>>, PacketFault> {
        if self.partial.is_some() {
            return Err(PacketFault::AttachmentMissing);
        }
        if text.len() > bytes_max {
            return Err(PacketFault::TooBig { limit: bytes_max });
        }
        let packet = Packet::parse(text)?;
        if packet.attachments() == 0 {
            return Ok(Some(Assembled {
                packet,
                attachments: Vec::new(),
            }));
        }
        self.partial = Some(Box::new(Partial {
            packet: packet.into_owned(),
            attachments: Vec::new(),
            bytes: text.len(),
            due,
        }));
        Ok(None)
    }

    /// Takes a message of bytes; gives the packet whose last attachment it is.
    ///
    /// # Errors
    /// [`PacketFault::AttachmentUnexpected`] and [`PacketFault::TooBig`].
    pub fn binary(
        &mut self,
        bytes: Cow<'_, [u8]>,
        bytes_max: usize,
    ) -> Result<Option<Assembled<'static>>, PacketFault> {
        let partial = self.partial.as_mut();
        let partial = partial.ok_or(PacketFault::AttachmentUnexpected)?;
        partial.bytes = partial.bytes.saturating_add(bytes.len());
        if partial.bytes > bytes_max {
            return Err(PacketFault::TooBig { limit: bytes_max });
        }
        partial.attachments.push(Bytes::from(bytes.into_owned()));
        if partial.attachments.len() < partial.packet.attachments() {
            return Ok(None);
        }
        Ok(self.partial.take().map(|partial| Assembled {
            packet: partial.packet,
            attachments: partial.attachments,
        }))
    }

    /// Until when attachments have to come; `None` if none is awaited.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        self.partial.as_ref().map(|partial| partial.due)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::socket_io::packet::Body;

    const BYTES: usize = 100;
    const DUE: Mono = Mono::from_nanos(7);
    const TWO: &str = r#"52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;

    fn text<'a>(
        assembler: &mut Assembler,
        text: &'a str,
    ) -> Result<Option<Assembled<'a>>, PacketFault> {
        assembler.text(text, BYTES, DUE)
    }

    fn binary(
        assembler: &mut Assembler,
        bytes: &[u8],
    ) -> Result<Option<Assembled<'static>>, PacketFault> {
        assembler.binary(Cow::Borrowed(bytes), BYTES)
    }

    #[test]
    fn a_packet_without_attachments_passes_through_without_a_copy() {
        let mut assembler = Assembler::default();
        let found = text(&mut assembler, r#"2["a",1]"#).unwrap().unwrap();
        assert!(found.attachments.is_empty());
        let Body::Event { payload, .. } = found.packet.body else {
            unreachable!("it is an event");
        };
        assert_eq!(payload.arguments(), "1");
        assert_eq!(assembler.due(), None);
    }

    #[test]
    fn a_packet_is_whole_when_its_last_attachment_has_come() {
        let mut assembler = Assembler::default();
        for _ in 0..2 {
            assert_eq!(text(&mut assembler, TWO), Ok(None));
            assert_eq!(assembler.due(), Some(DUE));
            assert_eq!(binary(&mut assembler, &[1, 2, 3]), Ok(None));
            let found = binary(&mut assembler, &[]).unwrap().unwrap();
            let expected = [Bytes::from_static(&[1, 2, 3]), Bytes::new()];
            assert_eq!(found.attachments, expected);
            assert_eq!(found.packet, Packet::parse(TWO).unwrap());
            assert_eq!(assembler.due(), None);
        }
    }

    #[test]
    fn nothing_comes_between_a_packet_and_its_attachments_and_none_without_it() {
        let mut assembler = Assembler::default();
        let unexpected = Err(PacketFault::AttachmentUnexpected);
        assert_eq!(binary(&mut assembler, &[1]), unexpected);
        assert_eq!(text(&mut assembler, TWO), Ok(None));
        let missing = Err(PacketFault::AttachmentMissing);
        assert_eq!(text(&mut assembler, r#"2["a"]"#), missing);
    }

    #[test]
    fn a_packet_and_its_attachments_are_bounded_together() {
        let too_big = PacketFault::TooBig { limit: BYTES };
        let left = BYTES - TWO.len();
        for (first, second, fits) in [(left, 0, true), (0, left, true), (1, left, false)] {
            let mut assembler = Assembler::default();
            text(&mut assembler, TWO).unwrap();
            assert_eq!(binary(&mut assembler, &vec![0; first]), Ok(None));
            let found = binary(&mut assembler, &vec![0; second]);
            assert_eq!(found.is_ok(), fits, "{first} {second}");
        }
        let mut assembler = Assembler::default();
        let long = format!(r#"2["{}"]"#, "a".repeat(BYTES));
        assert_eq!(text(&mut assembler, &long), Err(too_big));
        text(&mut assembler, TWO).unwrap();
        assert_eq!(binary(&mut assembler, &[0; BYTES]), Err(too_big));
    }
}
