//! Where a server is: `http://HOST[:PORT][/PREFIX]` or `https://…`, spelt `ws` and `wss` as well.
//!
//! May not touch: the network. Invariant: a [`Url`] holds nothing that could break a request line
//! or a header.

use std::fmt;

/// The server that the client commands talk to unless told otherwise.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What may not stand in a URL of ours, beside control characters and what is not ASCII. `@` would
/// begin a host after credentials, which are no way to sign in here.
const FORBIDDEN: &[char] = &[' ', '"', '<', '>', '\\', '@', '?', '#'];

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// A name or an address, IPv6 without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The server speaks TLS there: `https` or `wss`.
    pub(super) is_tls: bool,
    /// What a proxy puts before our paths: empty, or `/` and more without a `/` at its end.
    prefix: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence on what is wrong with it, for the operator.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("write http://HOST:PORT, such as {DEFAULT_URL}"))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err("the scheme must be http, https, ws or wss".to_owned()),
        };
        let is_forbidden = |letter: char| !letter.is_ascii_graphic() || FORBIDDEN.contains(&letter);
        if rest.contains(is_forbidden) {
            return Err("write only scheme, host, port and path".to_owned());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        let path = path.trim_end_matches('/');
        // A WebSocket client's URL names our endpoint; ours adds it by itself.
        let prefix = path.strip_suffix("/ws").unwrap_or(path);
        Ok(Self {
            host: host.to_owned(),
            port,
            is_tls,
            prefix: prefix.to_owned(),
        })
    }

    /// The value of Host.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The request target of `path` (with its query), which begins with `/`.
    pub(super) fn target(&self, path: &str) -> String {
        debug_assert!(path.starts_with('/'));
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// Host and port, the latter if it is there.
fn split_authority(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed
                .split_once(']')
                .filter(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok())
                .ok_or("what stands in brackets must be an IPv6 address")?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() || host.contains(['[', ']']) {
        return Err("the host is missing or malformed".to_owned());
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => return Ok((host, None)),
        None => return Err("behind ] a port is expected".to_owned()),
        Some(digits) => digits.parse().ok().filter(|_| !digits.starts_with('+')),
    };
    match port {
        Some(port) if port > 0 => Ok((host, Some(port))),
        Some(_) | None => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16, &str)>) {
        let found = Url::parse(text).ok();
        let expected = expected.map(|(host, port, prefix)| Url {
            host: host.to_owned(),
            port,
            is_tls: text.starts_with("https:") || text.starts_with("wss:"),
            prefix: prefix.to_owned(),
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn reads_http_and_ws_alike() {
        check(DEFAULT_URL, Some(("127.0.0.1", 8080, "")));
        check("ws://localhost:9000/", Some(("localhost", 9000, "")));
        check("HTTP://pi", Some(("pi", 80, "")));
        check("http://[::1]:8080", Some(("::1", 8080, "")));
        check("http://[::1]", Some(("::1", 80, "")));
        check("ws://a:1/ws", Some(("a", 1, "")));
        check("ws://a:1/live/ws/", Some(("a", 1, "/live")));
        check("http://a:1/live//", Some(("a", 1, "/live")));
        check("https://a", Some(("a", 443, "")));
        check("wss://[::1]/ws", Some(("::1", 443, "")));
        check("https://a:80", Some(("a", 80, "")));
    }

    #[test]
    fn refuses_what_is_no_server_of_ours() {
        for text in [
            "",
            "localhost:8080",
            "127.0.0.1",
            "ftp://a",
            "httpss://a",
            "http://",
            "http://:80",
            "http:///ws",
            "http://a:",
            "http://a:0",
            "http://a:+1",
            "http://a:65536",
            "http://a:b",
            "http://::1",
            "http://[::1",
            "http://[a]:1",
            "http://[::1]x",
            "http://a]:1",
            "http://me@a",
            "http://a/?x",
            "http://a/#x",
            "http://a\r\nX: y",
            "http://ä",
            "http://a b",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn spells_host_and_targets() {
        let check = |text: &str, authority: &str, target: &str, shown: &str| {
            let url = Url::parse(text).ok();
            let spelt = url.map(|url| (url.authority(), url.target("/ws?a=b"), url.to_string()));
            let expected = [authority, target, shown].map(str::to_owned);
            assert_eq!(spelt.map(<[String; 3]>::from), Some(expected));
        };
        check(
            "ws://[::1]:8080/ws",
            "[::1]:8080",
            "/ws?a=b",
            "http://[::1]:8080",
        );
        check(
            "http://pi/live",
            "pi:80",
            "/live/ws?a=b",
            "http://pi:80/live",
        );
        check("wss://pi", "pi:443", "/ws?a=b", "https://pi:443");
    }
}
