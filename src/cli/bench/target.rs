//! What is measured: a URL with its path, the address behind it, and where we connect from.
//!
//! May not touch: TLS itself; it is a server's to speak, and costs the generator as much. Invariant: a path holds
//! nothing that could break a request line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use crate::cli::Failure;
use crate::cli::bench::dialect::Dialect;
use crate::cli::url::Url;
use crate::wire::http::client::encode_request;
use crate::wire::websocket::handshake::client_request;

/// A WebSocket server of any make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Target {
    url: Url,
    /// Path and query, if the URL has more of them than `/`.
    path: Option<String>,
}

impl Target {
    /// Reads a URL: its path and query are taken as they are.
    ///
    /// # Errors
    /// A sentence on what is wrong with it, for the operator.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let start = text.find("://").map_or(0, |at| at + 3);
        let scheme = text.get(..start).unwrap_or_default().to_ascii_lowercase();
        let rest = text.get(start..).unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains(|letter: char| !letter.is_ascii_graphic() || letter == '#') {
            return Err("the path must be percent-encoded and without #".to_owned());
        }
        let base = path.split('?').next().unwrap_or_default();
        Ok(Self {
            url: Url::parse(&format!("{scheme}{authority}{base}"))?,
            path: match path {
                "" | "/" => None,
                _ if path.starts_with('?') => Some(format!("/{path}")),
                _ => Some(path.to_owned()),
            },
        })
    }

    /// Where a kinglet is, for commands beside the measuring.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The path that was given, or where kinglet has `ours`.
    pub(super) fn path_or(&self, ours: &str) -> String {
        match &self.path {
            Some(path) => path.clone(),
            None => self.url.target(ours),
        }
    }

    /// Where a kinglet at this URL has `path`.
    pub(super) fn kinglet_path(&self, path: &str) -> String {
        self.url.target(path)
    }

    /// The host to shake hands with, if the server speaks TLS.
    pub(super) fn tls_host(&self) -> Option<&str> {
        self.url.is_tls.then_some(self.url.host.as_str())
    }

    /// Finds the addresses behind the host.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let found = (self.url.host.as_str(), self.url.port).to_socket_addrs();
        let addresses: Vec<SocketAddr> = found
            .map_err(|error| Failure::Failed(format!("cannot find the host of {self}: {error}")))?
            .collect();
        if addresses.is_empty() {
            return Err(Failure::Failed(format!(
                "the host of {self} has no address"
            )));
        }
        Ok(addresses)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.url.is_tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}", self.url.authority())
    }
}

/// The requests of one run, with the headers that were asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requests<'a> {
    pub(super) target: &'a Target,
    pub(super) headers: &'a [(String, String)],
    /// How messages are wrapped on the WebSockets.
    pub(super) dialect: Dialect,
}

impl Requests<'_> {
    /// A WebSocket handshake.
    pub(super) fn upgrade(&self, path: &str, key: &str) -> Vec<u8> {
        let authority = self.target.url.authority();
        client_request(&authority, path, key, &[], &self.extra(&[]))
    }

    /// A POST of JSON.
    pub(super) fn post(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let ours = [
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
        ];
        let authority = self.target.url.authority();
        encode_request("POST", path, &authority, &self.extra(&ours), body)
    }

    /// A GET of JSON.
    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        let ours = [("Accept", "application/json")];
        let authority = self.target.url.authority();
        encode_request("GET", path, &authority, &self.extra(&ours), b"")
    }

    fn extra<'a>(&'a self, ours: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let asked = self.headers.iter();
        let asked = asked.map(|(name, value)| (name.as_str(), value.as_str()));
        ours.iter().copied().chain(asked).collect()
    }
}

/// Where connections lead to and come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) address: SocketAddr,
    /// How many of 127.0.0.1, 127.0.0.2 and so on take turns; 1 leaves the choice to the system.
    pub(super) sources: u8,
}

impl Route {
    /// The address that connection number `index` comes from, if it matters.
    pub(super) fn source(&self, index: u64) -> Option<SocketAddr> {
        if self.sources <= 1 {
            return None;
        }
        let last = 1 + u8::try_from(index % u64::from(self.sources)).unwrap_or(0);
        Some((Ipv4Addr::new(127, 0, 0, last), 0).into())
    }

    /// Whether the loopback addresses of IPv4 can reach the server.
    pub(super) fn is_loopback_v4(&self) -> bool {
        matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_as_they_are_and_adds_kinglets_where_there_is_none() {
        let check = |text: &str, path: &str, api: &str| {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.path_or("/ws/echo"), path, "{text}");
            assert_eq!(target.kinglet_path("/api"), api, "{text}");
        };
        check("ws://a:1", "/ws/echo", "/api");
        check("http://a:1/", "/ws/echo", "/api");
        check("ws://a:1/ws", "/ws", "/api");
        check("ws://a:1/live/ws?x=1/2", "/live/ws?x=1/2", "/live/api");
        check("ws://a:1?x", "/?x", "/api");
    }

    #[test]
    fn refuses_what_it_cannot_measure() {
        let check = |text: &str, word: &str| {
            let fault = Target::parse(text).unwrap_err();
            assert!(fault.contains(word), "{text}: {fault}");
        };
        check("a:1/ws", "http://HOST:PORT");
        check("ws://a/ws#b", "without #");
        check("ws://a/é", "percent-encoded");
        check("ws://a/w s", "percent-encoded");
        check("ws:///ws", "host");
    }

    #[test]
    fn sources_take_turns() {
        let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let route = Route {
            address,
            sources: 3,
        };
        let sources: Vec<String> = (0..4)
            .filter_map(|index| Some(route.source(index)?.ip().to_string()))
            .collect();
        assert_eq!(
            sources,
            ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"]
        );
        assert_eq!(
            Route {
                address,
                sources: 1
            }
            .source(5),
            None
        );
        assert!(route.is_loopback_v4());
    }

    #[test]
    fn every_request_has_the_headers_that_were_asked_for() {
        let target = Target::parse("ws://a:1").unwrap();
        let headers = [("Authorization".to_owned(), "Bearer t".to_owned())];
        let requests = Requests {
            target: &target,
            headers: &headers,
            dialect: Dialect::Plain,
        };
        for request in [requests.upgrade("/ws", "key"), requests.post("/p", b"{}")] {
            let request = String::from_utf8(request).unwrap();
            assert!(request.contains("\r\nHost: a:1\r\n"), "{request}");
            assert!(
                request.contains("\r\nAuthorization: Bearer t\r\n"),
                "{request}"
            );
        }
    }
}
