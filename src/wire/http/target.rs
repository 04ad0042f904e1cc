//! The target of a request line and the authority inside it.
//!
//! May not touch: headers. Invariant: parts are as sent, still percent-encoded; they are decoded
//! once, by whoever knows what they name.

use crate::wire::http::fault::HttpFault;
use crate::wire::http::head::Method;

/// The parts of a request target.
pub(super) struct Target<'a> {
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

impl<'a> Target<'a> {
    /// Origin form, absolute form, or `*` with OPTIONS (RFC 9112 section 3.2).
    pub(super) fn parse(target: &'a str, method: Method) -> Result<Self, HttpFault> {
        if !target.is_ascii() || target.contains('#') {
            return Err(HttpFault::Target);
        }
        let is_asterisk = target == "*" && method == Method::Options;
        let (authority, rest) = if is_asterisk || target.starts_with('/') {
            (None, target)
        } else {
            let after = after_scheme(target).ok_or(HttpFault::Target)?;
            let end = after.find(['/', '?']).unwrap_or(after.len());
            let (authority, rest) = after.split_at(end);
            if !is_authority(authority) {
                return Err(HttpFault::HostInvalid);
            }
            (Some(authority), rest)
        };
        let end = rest.find('?').unwrap_or(rest.len());
        let (path, query) = rest.split_at(end);
        Ok(Self {
            authority,
            path,
            query: query.strip_prefix('?').unwrap_or(query),
        })
    }
}

/// What follows `http://` or `https://`, whose case does not matter (RFC 3986 section 3.1).
fn after_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether `text` is `host`, `host:port` or `[address]:port` (RFC 3986 section 3.2). Users are
/// refused (RFC 9110 section 4.2.4), and so are commas, which look like a list of hosts.
pub(super) fn is_authority(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, rest) = bracketed.unwrap_or_else(|| {
        let end = text.find(':').unwrap_or(text.len());
        text.split_at(end)
    });
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~%!$&'()*+;=".contains(&byte)
            || (bracketed.is_some() && byte == b':')
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => rest.is_empty(),
    };
    !host.is_empty() && host.bytes().all(allowed) && port
}
