//! What a peer can do wrong in its frames, and the close code each wrong is answered with.
//!
//! Invariant: [`WebSocketFault::close_code`] is the one place that maps a fault to its code.

use crate::wire::websocket::close;

/// A violation of RFC 6455 or of our limits by the peer. The connection is closed with
/// [`WebSocketFault::close_code`]; nothing more may be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub enum WebSocketFault {
    /// A reserved bit is set that no extension gives a meaning there (section 5.2): RSV1 marks the
    /// first frame of a message as compressed, if that was agreed on (RFC 7692 section 6).
    ReservedBit,
    /// The opcode is one of 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpcode,
    /// A control frame declares more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame has FIN clear (section 5.5).
    ControlFragmented,
    /// The length is not in its shortest encoding (section 5.2).
    LengthNotMinimal,
    /// The most significant bit of a 64-bit length is set (section 5.2).
    LengthOverflow,
    /// A client's frame is not masked (section 5.1).
    Unmasked,
    /// A server's frame is masked (section 5.1).
    Masked,
    /// A continuation frame came without a message to continue (section 5.4).
    ContinuationWithoutStart,
    /// A new message began inside a fragmented one (section 5.4).
    MessageInterrupted,
    /// The message is longer than the limit.
    MessageTooBig,
    /// The message comes in more frames than the limit, empty ones counted.
    TooManyFragments,
    /// A compressed message expands to more than the limit for messages.
    InflatedTooBig,
    /// A compressed message is not what a compressor makes (RFC 7692 section 7.2.2).
    InvalidDeflate,
    /// A text message or a close reason is not UTF-8 (sections 5.6 and 8.1).
    InvalidUtf8,
    /// A close frame carries one byte, half of a code (section 5.5.1).
    ClosePayloadCut,
    /// A close frame carries a code that may not be sent (section 7.4).
    CloseCodeForbidden,
}

impl WebSocketFault {
    /// The code of the close frame that answers this fault.
    ///
    /// Too many fragments is 1009 like too many bytes: both bound the size of one message, and a
    /// peer that wraps less finely gets through. RFC 7692 names no code for what cannot be inflated;
    /// 1007 says that the data does not fit its kind, and the `ws` library of Node.js says it, too.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::ReservedBit
            | Self::ReservedOpcode
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::LengthNotMinimal
            | Self::LengthOverflow
            | Self::Unmasked
            | Self::Masked
            | Self::ContinuationWithoutStart
            | Self::MessageInterrupted
            | Self::ClosePayloadCut
            | Self::CloseCodeForbidden => close::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::InvalidDeflate => close::INVALID_PAYLOAD,
            Self::MessageTooBig | Self::TooManyFragments | Self::InflatedTooBig => {
                close::MESSAGE_TOO_BIG
            }
        }
    }

    /// The reason in that close frame; shorter than 123 bytes.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ReservedBit => "a reserved bit is set",
            Self::ReservedOpcode => "the opcode is reserved",
            Self::ControlTooLong => "a control frame is longer than 125 bytes",
            Self::ControlFragmented => "a control frame is fragmented",
            Self::LengthNotMinimal => "the length is not in its shortest encoding",
            Self::LengthOverflow => "the length has its highest bit set",
            Self::Unmasked => "a frame from a client is not masked",
            Self::Masked => "a frame from a server is masked",
            Self::ContinuationWithoutStart => "a continuation has no message to continue",
            Self::MessageInterrupted => "a message began inside a fragmented one",
            Self::MessageTooBig => "the message is too big",
            Self::TooManyFragments => "the message has too many fragments",
            Self::InflatedTooBig => "the message is too big when it is inflated",
            Self::InvalidDeflate => "the message cannot be inflated",
            Self::InvalidUtf8 => "the text is not UTF-8",
            Self::ClosePayloadCut => "the close code is cut",
            Self::CloseCodeForbidden => "the close code may not be sent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WebSocketFault;
    use crate::wire::websocket::close;

    #[test]
    fn every_fault_has_a_known_code() {
        let faults = [
            (WebSocketFault::ReservedBit, 1002),
            (WebSocketFault::InvalidUtf8, 1007),
            (WebSocketFault::InvalidDeflate, 1007),
            (WebSocketFault::InflatedTooBig, 1009),
            (WebSocketFault::MessageTooBig, 1009),
            (WebSocketFault::TooManyFragments, 1009),
        ];
        for (fault, code) in faults {
            assert_eq!(fault.close_code(), code);
            assert!(close::CLOSE_CODES.iter().any(|(known, _)| *known == code));
            assert!(fault.to_string().len() <= close::REASON_BYTES_MAX);
        }
    }
}
