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

/// Why an Origin is refused; 403 on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginFault {
    /// It is not one origin: `null`, a list, or no origin at all.
    #[error(
        "the Origin is not one scheme, host and port, so server.allowed_origins cannot hold it"
    )]
    Malformed,
    /// It is neither ours nor listed.
    #[error("the Origin {origin} is not allowed; add it to server.allowed_origins if it should be")]
    NotAllowed {
        /// The origin as it was sent.
        origin: Box<str>,
    },
}

/// Checks the Origin of a request, on any method and path.
///
/// `host` is the request's own: its Host, or X-Forwarded-Host from a trusted proxy. It counts as
/// the same origin if host and port are equal; a port that is not given is that of the origin's
/// scheme, because TLS may end in front of us. `allowed` holds origins (`https://app.example`),
/// compared by scheme, host and port, or `*` for all of them, which never includes `null`. Several
/// Origin fields are to be passed joined by commas, and are refused.
///
/// # Errors
/// An [`OriginFault`]; the answer is 403.
pub fn check_origin(
    origin: Option<&str>,
    host: &str,
    allowed: &[String],
) -> Result<OriginVerdict, OriginFault> {
    let Some(text) = origin else {
        return Ok(OriginVerdict::Absent);
    };
    let origin = Origin::parse(text).ok_or(OriginFault::Malformed)?;
    if origin.is_of(host) {
        return Ok(OriginVerdict::SameOrigin);
    }
    let is_listed = |entry: &String| entry == "*" || Origin::parse(entry) == Some(origin);
    if allowed.iter().any(is_listed) {
        return Ok(OriginVerdict::Listed);
    }
    Err(OriginFault::NotAllowed {
        origin: text.into(),
    })
}

/// Whether `host` (a Host field) names this server: `localhost`, a loopback address, an address
/// that we listen on, each with any port, or one of `allowed_hosts`.
///
/// A server that listens on a wildcard address listens on every address of its machine, which it
/// does not know; then any address will do. Names are what DNS rebinding needs, addresses are not.
///
/// An entry of `allowed_hosts` without a port allows any port. A malformed `host` is false. In token
/// mode any `host` is true unless there are `allowed_hosts`: a page under another name has no token
/// of ours to send.
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn not_allowed(origin: &str) -> Result<OriginVerdict, OriginFault> {
        let origin = origin.into();
        Err(OriginFault::NotAllowed { origin })
    }

    #[test]
    fn the_same_origin_is_the_same_host_and_port() {
        let check = |origin: &str, host: &str, is_same: bool| {
            let expected = match is_same {
                true => Ok(OriginVerdict::SameOrigin),
                false => not_allowed(origin),
            };
            assert_eq!(
                check_origin(Some(origin), host, &[]),
                expected,
                "{origin} {host}"
            );
        };
        check("http://a", "a", true);
        check("http://a:80", "a", true);
        check("http://a", "a:80", true);
        check("https://a", "a", true);
        check("https://a", "a:443", true);
        check("https://a:8443", "a:8443", true);
        check("HTTP://LocalHost:8080", "localhost:8080", true);
        check("http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080", true);
        check("http://127.0.0.1:8080", "127.0.0.1:8080", true);
        check("http://a:8080", "a", false);
        check("http://a", "a:443", false);
        check("https://a", "a:80", false);
        check("http://a.", "a", false);
        check("http://a", "a.", false);
        check("http://localhost:8080", "127.0.0.1:8080", false);
        check("http://[::1]", "[::2]", false);
        check("http://sub.a", "a", false);
        check("http://a.evil", "a", false);
        check("http://evil-a", "a", false);
        check("app://a:8080", "a:8080", false);
        // A Host that is none is nobody's origin.
        check("http://a", "", false);
        check("http://a", "a:", false);
        check("http://a", "b@a", false);
        check("http://a", "a, b", false);
    }

    #[test]
    fn listed_origins_are_compared_whole() {
        let allowed = texts(&[
            "https://app.example.com",
            "http://localhost:3000",
            "capacitor://localhost",
            "http://[::1]:5173",
            "not an origin",
            "bare.example.com",
        ]);
        let check = |origin: &str, is_listed: bool| {
            let expected = match is_listed {
                true => Ok(OriginVerdict::Listed),
                false => not_allowed(origin),
            };
            assert_eq!(
                check_origin(Some(origin), "kinglet:8080", &allowed),
                expected,
                "{origin}"
            );
        };
        check("https://app.example.com", true);
        check("https://app.example.com:443", true);
        check("HTTPS://App.Example.Com", true);
        check("http://localhost:3000", true);
        check("capacitor://localhost", true);
        check("http://[0::1]:5173", true);
        check("http://app.example.com", false);
        check("https://app.example.com:8443", false);
        check("https://app.example.com.", false);
        check("https://app.example.com.evil.com", false);
        check("https://evil-app.example.com", false);
        check("https://evil.app.example.com", false);
        check("https://example.com", false);
        check("http://localhost:30000", false);
        check("http://localhost:300", false);
        check("http://localhost", false);
        check("capacitor://localhost:80", false);
        check("https://bare.example.com", false);
        check("https://xn--pp-6kc.example.com", false);
    }

    #[test]
    fn refuses_what_is_not_one_origin_even_if_all_are_allowed() {
        let all = texts(&["*", "null", "https://a"]);
        for origin in [
            "",
            "null",
            "NULL",
            "a",
            "://a",
            "1http://a",
            "http:/a",
            "http://",
            "http://:80",
            "http://a/",
            "http://a/path",
            "http://a?",
            "http://a#",
            "http://a:",
            "http://a:+80",
            "http://a:99999",
            "http://a:80:80",
            "http://a@b",
            "https://a:443@b",
            "https://a:443.evil.com",
            "http://a http://b",
            "http://a, http://b",
            "http://a,http://b",
            "http://a\\b",
            "http://a%2eb",
            "http://a\0",
            "http://\u{430}",
            "http://*",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://[::1%25eth0]",
            "http://[127.0.0.1]",
            "http://[]",
        ] {
            let verdict = check_origin(Some(origin), "a", &all);
            assert_eq!(verdict, Err(OriginFault::Malformed), "{origin:?}");
        }
        let long = format!("http://{}", "a".repeat(HOST_NAME_BYTES + 1));
        assert_eq!(
            check_origin(Some(&long), "a", &all),
            Err(OriginFault::Malformed)
        );
        let other = check_origin(Some("http://other:1"), "a", &all);
        assert_eq!(other, Ok(OriginVerdict::Listed));
    }

    #[test]
    fn no_origin_is_fine() {
        assert_eq!(check_origin(None, "", &[]), Ok(OriginVerdict::Absent));
    }

    #[test]
    fn a_refusal_names_the_key_to_set() {
        let fault = check_origin(Some("http://b"), "a", &[]).unwrap_err();
        assert!(fault.to_string().contains("http://b"), "{fault}");
        assert!(
            fault.to_string().contains("server.allowed_origins"),
            "{fault}"
        );
    }

    #[test]
    fn the_host_is_loopback_the_listen_address_or_listed() {
        let listen = [
            "192.0.2.7:8080".parse().unwrap(),
            "[2001:db8::7]:8080".parse().unwrap(),
        ];
        let allowed = texts(&["pi.local", "king.example:8443", "[2001:db8::9]", "bad host"]);
        let check = |host: &str, is_ours: bool| {
            assert_eq!(
                check_host(host, AuthMode::Open, &listen, &allowed),
                is_ours,
                "{host:?}"
            );
        };
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.255.1.2:65535",
            "[::1]",
            "[::1]:8080",
            "192.0.2.7",
            "192.0.2.7:9",
            "[2001:db8:0::7]:9",
            "pi.local",
            "PI.local:8080",
            "king.example:8443",
            "[2001:db8::9]:1",
        ] {
            check(host, true);
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1.",
            "127.1",
            "127.0.0.01",
            "2130706433",
            "0x7f000001",
            "128.0.0.1",
            "0.0.0.0",
            "192.0.2.70",
            "::1",
            "[::1",
            "[::2]",
            "[::1]8080",
            "[::1]:",
            "localhost:",
            "localhost:99999",
            "localhost:-1",
            "localhost:+1",
            "localhost:8080:8080",
            "localhost,evil.example",
            "localhost evil.example",
            "user@localhost",
            "localhost/",
            "localhost\0",
            "xpi.local",
            "pi.local.",
            "king.example",
            "king.example:443",
            "bad host",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn on_a_wildcard_address_any_address_names_this_server_but_no_name_does() {
        let everywhere = [SocketAddr::from(([0, 0, 0, 0], 8080))];
        assert!(check_host(
            "192.168.1.5:8080",
            AuthMode::Open,
            &everywhere,
            &[]
        ));
        assert!(check_host(
            "[2001:db8::1]:8080",
            AuthMode::Open,
            &everywhere,
            &[]
        ));
        assert!(!check_host(
            "evil.example:8080",
            AuthMode::Open,
            &everywhere,
            &[]
        ));
        assert!(!check_host(
            "192.168.1.5.nip.io",
            AuthMode::Open,
            &everywhere,
            &[]
        ));
    }
    #[test]
    fn token_mode_checks_hosts_only_if_some_are_allowed() {
        let check = |host: &str, allowed: &[&str], expected: bool| {
            let found = check_host(host, AuthMode::Token, &[], &texts(allowed));
            assert_eq!(found, expected, "{host} {allowed:?}");
        };
        check("evil.example", &[], true);
        check("", &[], true);
        check("evil.example", &["pi.local"], false);
        check("pi.local:8080", &["pi.local"], true);
        check("localhost", &["pi.local"], true);
    }
}
