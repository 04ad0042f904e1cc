//! Which web pages may reach us (Origin) and under which names (Host).
//!
//! Browsers open WebSockets and send simple requests to any server, this machine's included, on
//! behalf of any page: the Origin tells which page. A name of the attacker's that resolves to
//! 127.0.0.1 makes the page look like ours: the Host tells. Invariant: hosts are compared whole,
//! never by prefix or suffix; what cannot be parsed matches nothing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::config::AuthMode;

/// The longest host name (RFC 1035 section 2.3.4, as text).
const HOST_NAME_BYTES: usize = 253;

/// Characters of an origin or a host in a message: all of those that people use.
const SHOWN_CHARS: usize = 100;

/// Why an Origin is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginVerdict {
    /// There is none: not a browser, or not across origins.
    Absent,
    /// It is the host that was asked.
    SameOrigin,
    /// It is one of the allowed ones, and gets CORS headers.
    Listed,
}

/// What is known of the scheme in the URL by which this server was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was https: TLS ends here.
    Https,
    /// http or https: TLS may end in front of us.
    Either,
}

/// Why an Origin is refused; 403 on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginFault {
    /// It is not one origin: `null`, a list, or no origin at all.
    #[error(
        "the Origin is not one scheme, host and port, so server.allowed_origins cannot hold it"
    )]
    Malformed,
    /// It is a page without TLS, whose name is ours: whoever is between it and its reader writes
    /// it.
    #[error(
        "the Origin {origin} is a page without TLS, and this server speaks https; open the page \
         by https, or add it to server.allowed_origins if it may come"
    )]
    NotSecure {
        /// The origin as it was sent; the beginning of a long one.
        origin: Box<str>,
    },
    /// It is neither ours nor listed.
    #[error(
        "the Origin {origin} is not this server's, which was asked for as \"{host}\"; add it to \
         server.allowed_origins if it may come, or have a proxy in front pass on the Host that it \
         was asked for (see docs/proxy.md)"
    )]
    NotAllowed {
        /// The origin as it was sent; the beginning of a long one.
        origin: Box<str>,
        /// The host that it was compared with, likewise.
        host: Box<str>,
    },
}

/// Checks the Origin of a request, on any method and path.
///
/// `host` is the request's own: its Host, or X-Forwarded-Host from a trusted proxy. It counts as
/// the same origin if host and port are equal; a port that is not given is that of the origin's
/// scheme, because TLS may end in front of us. Where it ends here (`asked`), only a page of https
/// is of the same origin. `allowed` holds origins (`https://app.example`),
/// compared by scheme, host and port, or `*` for all of them, which never includes `null`. Several
/// Origin fields are to be passed joined by commas, and are refused.
///
/// # Errors
/// An [`OriginFault`]; the answer is 403.
pub fn check_origin(
    origin: Option<&str>,
    host: &str,
    asked: Asked,
    allowed: &[String],
) -> Result<OriginVerdict, OriginFault> {
    let Some(text) = origin else {
        return Ok(OriginVerdict::Absent);
    };
    let origin = Origin::parse(text).ok_or(OriginFault::Malformed)?;
    let is_secure = asked == Asked::Either || origin.scheme.eq_ignore_ascii_case("https");
    if is_secure && origin.is_of(host) {
        return Ok(OriginVerdict::SameOrigin);
    }
    let is_listed = |entry: &String| entry == "*" || Origin::parse(entry) == Some(origin);
    if allowed.iter().any(is_listed) {
        return Ok(OriginVerdict::Listed);
    }
    if !is_secure && origin.has_host_of(host) {
        return Err(OriginFault::NotSecure {
            origin: beginning(text),
        });
    }
    Err(OriginFault::NotAllowed {
        origin: beginning(text),
        host: beginning(host),
    })
}

/// As much of what a client wrote as a message shows.
fn beginning(text: &str) -> Box<str> {
    text.chars().take(SHOWN_CHARS).collect::<String>().into()
}

/// Whether `host` (a Host field) names this server: `localhost`, a loopback address, an address
/// that we listen on, each with any port, or one of `allowed_hosts`.
///
/// A server that listens on a wildcard address listens on every address of its machine, which it
/// does not know; then any address will do. Names are what DNS rebinding needs, addresses are not.
///
/// An entry of `allowed_hosts` without a port allows any port. A malformed `host` is false. In
/// token mode any `host` is true unless there are `allowed_hosts`: a page under another name has no
/// token of ours to send.
#[must_use]
pub fn check_host(
    host: &str,
    mode: AuthMode,
    listen: &[SocketAddr],
    allowed_hosts: &[String],
) -> bool {
    if mode == AuthMode::Token && allowed_hosts.is_empty() {
        return true;
    }
    let Some(asked) = Authority::parse(host) else {
        return false;
    };
    let is_own = match asked.host {
        Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Address(ip) => {
            let listens = |at: &SocketAddr| at.ip() == ip || at.ip().is_unspecified();
            ip.is_loopback() || listen.iter().any(listens)
        }
    };
    is_own
        || allowed_hosts.iter().any(|entry| {
            Authority::parse(entry).is_some_and(|entry| {
                entry.host == asked.host && (entry.port.is_none() || entry.port == asked.port)
            })
        })
}

/// A web origin (RFC 6454 section 6.2).
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a str,
    host: Host<'a>,
    /// The port given or implied; schemes other than the web's imply none.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts_well || !scheme.bytes().all(is_scheme_byte) {
            return None;
        }
        let Authority { host, port } = Authority::parse(rest)?;
        let port = port.or(default_port(scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether it has the name or address of `host`, whatever the port.
    fn has_host_of(&self, host: &str) -> bool {
        Authority::parse(host).is_some_and(|own| own.host == self.host)
    }

    /// Whether a page of this origin asks the host that it came from.
    fn is_of(&self, host: &str) -> bool {
        // Only pages of the web come from servers like this one.
        let Some(implied) = default_port(self.scheme) else {
            return false;
        };
        Authority::parse(host).is_some_and(|own| {
            own.host == self.host && Some(own.port.unwrap_or(implied)) == self.port
        })
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host == other.host
            && self.port == other.port
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else {
        None
    }
}

/// Host and port (RFC 3986 section 3.2, without user information).
#[derive(Clone, Copy, Debug)]
struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let host = Host::Address(address.parse::<Ipv6Addr>().ok()?.into());
            let port = match rest {
                "" => None,
                _ => Some(parse_port(rest.strip_prefix(':')?)?),
            };
            return Some(Self { host, port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (text, None),
        };
        let host = Host::parse(host)?;
        Some(Self { host, port })
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // The integer parser would take a plus sign.
    let is_digits = text.bytes().all(|b| b.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> Host<'a> {
    /// A name or an IPv4 address of four decimal numbers; any shorter or otherwise numeric spelling
    /// of an address is only a name.
    fn parse(text: &'a str) -> Option<Self> {
        if let Ok(IpAddr::V4(address)) = text.parse() {
            return Some(Self::Address(address.into()));
        }
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let fits = (1..=HOST_NAME_BYTES).contains(&text.len());
        (fits && text.bytes().all(is_name_byte)).then_some(Self::Name(text))
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::Address(a), Self::Address(b)) => a == b,
            (Self::Name(_), Self::Address(_)) | (Self::Address(_), Self::Name(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests;
