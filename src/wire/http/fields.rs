//! The header lines of one message, owned and compact, and what they say about its body.
//!
//! Shared by requests and answers. May not touch: limits other than those its caller checked.
//! Invariant: every span lies within the text it was made from and on character boundaries, so a
//! lookup never allocates and never fails.

use crate::wire::http::fault::HttpFault;

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, connections close unless agreed otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// Nothing is declared: a request then has no body, an answer ends with its connection.
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
}

/// A range of a [`Fields`]' text. Offsets of 32 bits: a head of 4 GiB is refused when it is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The place of `part`, which must be a subslice of `text`; empty if it is not.
    pub(super) fn of(text: &str, part: &[u8]) -> Self {
        let offset = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        let found = offset.and_then(|start| {
            let end = start.checked_add(part.len())?;
            text.get(start..end)?;
            Some(Self {
                start: u32::try_from(start).ok()?,
                end: u32::try_from(end).ok()?,
            })
        });
        debug_assert!(found.is_some(), "a span is made from a part of its text");
        found.unwrap_or_default()
    }
}

/// One header line.
#[derive(Clone, Copy)]
struct Line {
    name: Span,
    value: Span,
}

/// The text of a head and where its header lines are.
pub(super) struct Fields {
    text: Box<str>,
    lines: Box<[Line]>,
}

impl Fields {
    /// Copies `text` and notes where `headers`, which were parsed from it, stand.
    pub(super) fn new(text: &str, headers: &[httparse::Header<'_>]) -> Result<Self, HttpFault> {
        const BYTES_MAX: usize = u32::MAX as usize;
        if text.len() > BYTES_MAX {
            return Err(HttpFault::HeadTooLarge { limit: BYTES_MAX });
        }
        let lines = headers.iter().map(|header| Line {
            name: Span::of(text, header.name.as_bytes()),
            value: Span::of(text, header.value),
        });
        Ok(Self {
            text: text.into(),
            lines: lines.collect(),
        })
    }

    /// The text at `span`.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// The value of the first line named `name`, whatever its case.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The values of all lines named `name`, whatever its case, in the order sent.
    pub(super) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.lines
            .iter()
            .filter(move |line| self.slice(line.name).eq_ignore_ascii_case(name))
            .map(|line| self.slice(line.value))
    }

    /// The elements of the comma-separated lists in all lines named `name`, without empty ones.
    pub(super) fn elements(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(|element| element.trim_matches([' ', '\t']))
            .filter(|element| !element.is_empty())
    }

    /// Whether `token` is an element of the lists named `name`, whatever its case.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.elements(name)
            .any(|element| element.eq_ignore_ascii_case(token))
    }

    /// How the body ends; refuses whatever two parsers could read differently.
    pub(super) fn framing(&self, version: Version) -> Result<BodyFraming, HttpFault> {
        let mut lengths = self.values("content-length");
        let mut encodings = self.values("transfer-encoding");
        match (lengths.next(), encodings.next()) {
            (None, None) => Ok(BodyFraming::None),
            (Some(_), Some(_)) => Err(HttpFault::LengthAndEncoding),
            (Some(value), None) => {
                // RFC 9112 section 6.3 allows repeats of one number; no honest client sends them.
                if lengths.next().is_some() || value.contains(',') {
                    return Err(HttpFault::LengthRepeated);
                }
                content_length(value).map(BodyFraming::Length)
            }
            (None, Some(value)) => {
                if version == Version::Http10 {
                    return Err(HttpFault::EncodingInHttp10);
                }
                let mut codings = self.elements("transfer-encoding");
                if codings.any(|coding| !coding.eq_ignore_ascii_case("chunked")) {
                    return Err(HttpFault::EncodingUnknown);
                }
                if encodings.next().is_some() || !value.eq_ignore_ascii_case("chunked") {
                    return Err(HttpFault::EncodingInvalid);
                }
                Ok(BodyFraming::Chunked)
            }
        }
    }
}

/// The number of a Content-Length: `1*DIGIT` and nothing else, where `str::parse` takes a `+`.
fn content_length(value: &str) -> Result<u64, HttpFault> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HttpFault::LengthInvalid);
    }
    value.parse().map_err(|_| HttpFault::LengthInvalid)
}

/// Why `httparse` refused the header lines of `text`, more precisely than it says itself.
/// `first_line` is the fault of everything before them.
pub(super) fn diagnose(
    error: httparse::Error,
    text: &str,
    headers: usize,
    first_line: HttpFault,
) -> HttpFault {
    match error {
        httparse::Error::Token | httparse::Error::Version | httparse::Error::Status => first_line,
        httparse::Error::NewLine => HttpFault::LineEnd,
        httparse::Error::HeaderValue => HttpFault::HeaderValue,
        httparse::Error::TooManyHeaders => HttpFault::TooManyHeaders { limit: headers },
        // The lines before the refused one are well-formed, so the first that any rule matches
        // is the one.
        httparse::Error::HeaderName => text
            .trim_start_matches("\r\n")
            .split("\r\n")
            .skip(1)
            .find_map(|line| {
                let name = line.split_once(':').map_or(line, |(name, _)| name);
                if line.starts_with([' ', '\t']) {
                    Some(HttpFault::FoldedHeader)
                } else if line.starts_with(':') {
                    Some(HttpFault::EmptyHeaderName)
                } else if name.len() < line.len() && name.ends_with([' ', '\t']) {
                    Some(HttpFault::SpaceBeforeColon)
                } else {
                    None
                }
            })
            .unwrap_or(HttpFault::HeaderName),
    }
}
