//! What a peer can do wrong in HTTP/1.1, each with its status and a sentence that helps to mend it.
//!
//! May not touch: anything but [`Status`]. Invariant: every fault ends its connection after the
//! answer, because where the next message begins is no longer certain.

use crate::wire::http::response::Status;

/// A message that is refused, or on the client's side an answer that makes no sense.
///
/// The text names what was wrong and what would be right, and never quotes the peer's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// The head does not end within its limit.
    #[error("the head of the message is longer than {limit} bytes")]
    HeadTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The request line does not end within the head's limit (RFC 9112 section 3).
    #[error("the request line is longer than the {limit} bytes of a whole head")]
    RequestLineTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// More header lines than allowed.
    #[error("the message has more than {limit} header lines")]
    TooManyHeaders {
        /// Lines allowed.
        limit: usize,
    },
    /// A line feed without a carriage return before it.
    #[error("a line ends with a bare LF; every line must end with CR LF")]
    BareLineFeed,
    /// A carriage return, or other bytes, where the line should have ended.
    #[error("a line of the head must end with CR LF right after its content")]
    LineEnd,
    /// More empty lines before the request than leniency allows (RFC 9112 section 2.2).
    #[error("too many empty lines before the request line")]
    LeadingLines,
    /// The bytes given as a head are not exactly one head.
    #[error("the head must end with one empty line and nothing may follow it")]
    HeadIncomplete,
    /// The head is not UTF-8.
    #[error("the head must be UTF-8 (ASCII is best)")]
    NotUtf8,
    /// The first line is not a request line.
    #[error("the first line must read METHOD TARGET HTTP/1.1, with one space between them")]
    RequestLine,
    /// A version that is not spoken here.
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    /// CONNECT asks for a proxy.
    #[error("CONNECT is not implemented: this server is not a proxy")]
    Connect,
    /// A target in none of the forms of RFC 9112 section 3.2.
    #[error(
        "the target must be /path, http://host/path, or * with OPTIONS, in ASCII without a \
         fragment; percent-encode everything else"
    )]
    Target,
    /// A header line that begins with white space (RFC 9112 section 5.2).
    #[error("a header line begins with white space; folded headers must be sent on one line")]
    FoldedHeader,
    /// A header line that begins with its colon.
    #[error("a header line has no name before its colon")]
    EmptyHeaderName,
    /// White space between a header's name and its colon (RFC 9112 section 5.1).
    #[error("a header name must be followed by its colon without white space")]
    SpaceBeforeColon,
    /// A byte in a header's name that is not a token character, or no colon at all.
    #[error("a header line must read Name: value, with letters, digits or !#$%&'*+-.^_`|~ as name")]
    HeaderName,
    /// A control character in a header's value.
    #[error("a header value must not contain control characters")]
    HeaderValue,
    /// HTTP/1.1 without Host.
    #[error("the Host header is missing; HTTP/1.1 needs exactly one")]
    HostMissing,
    /// More than one Host line.
    #[error("the Host header is there more than once; send exactly one")]
    HostRepeated,
    /// A Host or authority that is not `host` or `host:port`.
    #[error("the host must read host or host:port")]
    HostInvalid,
    /// Content-Length beside Transfer-Encoding (RFC 9112 section 6.3).
    #[error("Content-Length and Transfer-Encoding exclude each other; send only one of them")]
    LengthAndEncoding,
    /// More than one Content-Length.
    #[error("Content-Length is there more than once; send exactly one number")]
    LengthRepeated,
    /// A Content-Length that is not a decimal number of 64 bits.
    #[error("Content-Length must be a decimal number of bytes without sign or unit")]
    LengthInvalid,
    /// A transfer coding other than chunked.
    #[error("the only Transfer-Encoding understood here is chunked")]
    EncodingUnknown,
    /// Chunked twice, or not spelt plainly.
    #[error("Transfer-Encoding must be exactly: chunked")]
    EncodingInvalid,
    /// Transfer-Encoding in HTTP/1.0, which does not have it.
    #[error("HTTP/1.0 has no Transfer-Encoding; use Content-Length or HTTP/1.1")]
    EncodingInHttp10,
    /// An expectation other than 100-continue.
    #[error("the only expectation understood here is 100-continue")]
    Expectation,
    /// A body over its limit, by declaration or by arrival.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// A chunk size that is no hexadecimal number, or too long a one.
    #[error("a chunk must begin with its size as 1 to 16 hexadecimal digits")]
    ChunkSize,
    /// Chunk data that is not followed by CR LF, or a line of framing that ends in CR alone.
    #[error("a chunk's size and its data must each end with CR LF")]
    ChunkEnd,
    /// A control character or folding in a chunk extension or a trailer.
    #[error("chunk extensions and trailers must be plain text without folding")]
    ChunkText,
    /// Extensions and trailers over their bound.
    #[error("chunk extensions and trailers are longer than {limit} bytes in all")]
    ChunkTextTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// The first line of an answer is not a status line.
    #[error("the server's first line is not HTTP/1.1 with a status; is this an HTTP server?")]
    StatusLine,
    /// Interim answers without end.
    #[error("the server sent only interim (1xx) answers")]
    InterimAnswers,
    /// The connection ended inside an answer.
    #[error("the server closed the connection before its answer was complete")]
    Truncated,
}

impl HttpFault {
    /// The status that answers this fault. Faults of a server's answer, which only a client sees,
    /// map to 502 as a gateway would report them.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::HeadTooLarge { .. }
            | Self::TooManyHeaders { .. }
            | Self::ChunkTextTooLong { .. } => Status::HEADERS_TOO_LARGE,
            Self::RequestLineTooLong { .. } => Status::URI_TOO_LONG,
            Self::BodyTooLarge { .. } => Status::CONTENT_TOO_LARGE,
            Self::Expectation => Status::EXPECTATION_FAILED,
            Self::Connect | Self::EncodingUnknown => Status::NOT_IMPLEMENTED,
            Self::Version => Status::VERSION_NOT_SUPPORTED,
            Self::StatusLine | Self::InterimAnswers | Self::Truncated => Status::BAD_GATEWAY,
            Self::BareLineFeed
            | Self::LineEnd
            | Self::LeadingLines
            | Self::HeadIncomplete
            | Self::NotUtf8
            | Self::RequestLine
            | Self::Target
            | Self::FoldedHeader
            | Self::EmptyHeaderName
            | Self::SpaceBeforeColon
            | Self::HeaderName
            | Self::HeaderValue
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::LengthAndEncoding
            | Self::LengthRepeated
            | Self::LengthInvalid
            | Self::EncodingInvalid
            | Self::EncodingInHttp10
            | Self::ChunkSize
            | Self::ChunkEnd
            | Self::ChunkText => Status::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small_enough_to_return_by_value() {
        assert!(size_of::<HttpFault>() <= 16);
    }

    #[test]
    fn maps_each_kind_of_fault_to_its_status() {
        let check = |fault: HttpFault, code: u16| assert_eq!(fault.status().code(), code);
        check(HttpFault::HeadTooLarge { limit: 1 }, 431);
        check(HttpFault::RequestLineTooLong { limit: 1 }, 414);
        check(HttpFault::TooManyHeaders { limit: 1 }, 431);
        check(HttpFault::BodyTooLarge { limit: 1 }, 413);
        check(HttpFault::Expectation, 417);
        check(HttpFault::Connect, 501);
        check(HttpFault::EncodingUnknown, 501);
        check(HttpFault::Version, 505);
        check(HttpFault::Truncated, 502);
        check(HttpFault::BareLineFeed, 400);
        let message = HttpFault::HeadTooLarge { limit: 16_384 }.to_string();
        assert!(message.contains("16384 bytes"), "{message}");
    }
}
