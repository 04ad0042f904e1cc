//! The head of a request, parsed once and strictly.
//!
//! May not touch: bodies, connections. Invariant: a [`Head`] that exists has one meaning: one host,
//! one framing, one target; whatever leaves a choice to the reader was refused.

use std::fmt;

use crate::wire::http::fault::HttpFault;
use crate::wire::http::fields::{BodyFraming, Fields, Span, Version, diagnose};
use crate::wire::http::scan::{HeadLimits, HeadScanner};
use crate::wire::http::target::{Target, is_authority};

/// Request methods that mean something here. Case matters (RFC 9110 section 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// Any other token, for a 405 or 501. CONNECT is refused before it gets here.
    Other,
}

impl Method {
    /// The method as it is written; `OTHER` for those without a name here.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
        }
    }

    fn parse(token: &str) -> Result<Self, HttpFault> {
        Ok(match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "CONNECT" => return Err(HttpFault::Connect),
            _ => Self::Other,
        })
    }
}

/// A request's head: owned, two allocations, nothing in it is ambiguous.
pub struct Head {
    fields: Fields,
    path: Span,
    query: Span,
    /// That of an absolute target; empty for the other forms.
    authority: Span,
    method: Method,
    version: Version,
    framing: BodyFraming,
}

impl Head {
    /// Parses one whole head, as [`HeadScanner::scan`] measured it.
    ///
    /// # Errors
    /// Whatever RFC 9112 lets a server refuse is refused; see [`HttpFault`].
    pub fn parse(bytes: &[u8], limits: &HeadLimits) -> Result<Self, HttpFault> {
        let mut scanner = HeadScanner::default();
        if scanner.scan(bytes, limits)? != Some(bytes.len()) {
            return Err(HttpFault::HeadIncomplete);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| HttpFault::NotUtf8)?;
        let mut headers = vec![httparse::EMPTY_HEADER; scanner.headers()];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(bytes).map_err(|error| {
            diagnose(error, text, limits.headers, first_line_fault(error, text))
        })?;
        let (Some(token), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(HttpFault::HeadIncomplete);
        };
        if parsed != httparse::Status::Complete(bytes.len()) {
            return Err(HttpFault::HeadIncomplete);
        }
        let method = Method::parse(token)?;
        let version = match minor {
            0 => Version::Http10,
            _ => Version::Http11,
        };
        let target = Target::parse(target, method)?;
        let fields = Fields::new(text, request.headers)?;
        check_host(&fields, version)?;
        let authority = target.authority.unwrap_or_default();
        let framing = fields.framing(version)?;
        let is_known = |value: &str| value.eq_ignore_ascii_case("100-continue");
        if !fields.values("expect").all(is_known) {
            return Err(HttpFault::Expectation);
        }
        Ok(Self {
            path: Span::of(text, target.path.as_bytes()),
            query: Span::of(text, target.query.as_bytes()),
            authority: match authority {
                "" => Span::default(),
                authority => Span::of(text, authority.as_bytes()),
            },
            method,
            version,
            framing,
            fields,
        })
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The path, still percent-encoded: it begins with `/`, or is `*` for OPTIONS.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.fields.slice(self.path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the target's first `?`, still percent-encoded; empty without one.
    #[must_use]
    pub fn query(&self) -> &str {
        self.fields.slice(self.query)
    }

    /// The authority that the request is for, `host` or `host:port` as sent: that of an absolute
    /// target, else the Host header (RFC 9112 section 3.2.2). Empty for HTTP/1.0 without Host.
    #[must_use]
    pub fn host(&self) -> &str {
        match self.fields.slice(self.authority) {
            "" => self.header("host").unwrap_or_default(),
            authority => authority,
        }
    }

    /// The value of the first header named `name` in any case, without white space around it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.first(name)
    }

    /// The values of all headers named `name` in any case, in the order sent.
    pub fn header_values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.fields.values(name)
    }

    /// Whether `token` is in the comma-separated lists of all headers named `name`, in any case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.fields.has_token(name, token)
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// How the body ends.
    #[must_use]
    pub const fn body_framing(&self) -> BodyFraming {
        self.framing
    }

    /// Whether the client wants the connection kept after the answer (RFC 9112 section 9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let wanted = match self.version {
            Version::Http11 => true,
            Version::Http10 => self.has_token("connection", "keep-alive"),
        };
        wanted && !self.has_token("connection", "close")
    }

    /// Whether the client waits for `100 Continue` before it sends its body. In HTTP/1.0 the
    /// header is ignored (RFC 9110 section 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        let has_body = match self.framing {
            BodyFraming::None => false,
            BodyFraming::Length(length) => length > 0,
            BodyFraming::Chunked => true,
        };
        has_body && self.version == Version::Http11 && self.header("expect").is_some()
    }
}

/// Method and path only: headers and queries carry tokens, which must not reach a log.
impl fmt::Debug for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// Refuses all but one valid Host header; HTTP/1.0 may come without it, or with an empty one.
fn check_host(fields: &Fields, version: Version) -> Result<(), HttpFault> {
    let mut hosts = fields.values("host");
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(HttpFault::HostRepeated);
    }
    match (first, version) {
        (None | Some(""), Version::Http10) => Ok(()),
        (None, Version::Http11) => Err(HttpFault::HostMissing),
        (Some(host), Version::Http10 | Version::Http11) if is_authority(host) => Ok(()),
        (Some(_), Version::Http10 | Version::Http11) => Err(HttpFault::HostInvalid),
    }
}

/// What is wrong with a first line that `httparse` refused: its version alone, or all of it.
fn first_line_fault(error: httparse::Error, text: &str) -> HttpFault {
    let mut lines = text.trim_start_matches("\r\n").split("\r\n");
    let version = lines.next().and_then(|line| line.split(' ').nth(2));
    match version {
        Some(word) if error == httparse::Error::Version && word.starts_with("HTTP/") => {
            HttpFault::Version
        }
        _ => HttpFault::RequestLine,
    }
}
