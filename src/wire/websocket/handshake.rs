//! The opening handshake, both ends (RFC 6455 sections 4.1 and 4.2).
//!
//! May not touch: the HTTP parser; the caller hands over the header values, without surrounding
//! whitespace. Choosing a subprotocol and checking Host, Origin and tokens are the caller's too.
//! Invariant: the work is linear in the bytes of the request.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::wire::websocket::extension::Agreement;

/// What a server appends to the key before hashing it (section 1.3).
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Subprotocols that a client may offer; ours are two, and a list is compared pairwise.
const SUBPROTOCOLS_MAX: usize = 32;

/// Bytes of a client's nonce (section 4.1, item 7).
const NONCE_BYTES: usize = 16;

/// What of a request the handshake depends on; the lists hold all values of a header, one for each
/// line of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandshakeRequest<'lists, 'a> {
    /// The method is GET.
    pub is_get: bool,
    /// The version is HTTP/1.1.
    pub is_http11: bool,
    /// The request declares a body.
    pub has_body: bool,
    /// Values of Upgrade.
    pub upgrade: &'lists [&'a str],
    /// Values of Connection.
    pub connection: &'lists [&'a str],
    /// Values of Sec-WebSocket-Key.
    pub key: &'lists [&'a str],
    /// Values of Sec-WebSocket-Version.
    pub version: &'lists [&'a str],
    /// Values of Sec-WebSocket-Protocol.
    pub protocol: &'lists [&'a str],
}

/// A handshake that may be answered with 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The value of Sec-WebSocket-Accept.
    pub accept: String,
    /// The subprotocols offered, in the client's order of preference: valid tokens, each once.
    pub offered: Vec<&'a str>,
}

/// Why a request is not upgraded; always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFault {
    /// The handshake is malformed, for this reason.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The request does not ask for WebSocket.
    #[error("this endpoint speaks WebSocket: Upgrade must name websocket")]
    NotUpgrade,
    /// The request was one for WebSocket before somebody on the way took Upgrade out.
    #[error(
        "this handshake has lost its Upgrade on the way: a proxy in front must speak HTTP/1.1 to \
         kinglet and pass Upgrade and Connection on (see docs/proxy.md)"
    )]
    Stripped,
    /// The version asked for is not 13.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
}

impl HandshakeFault {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NotUpgrade | Self::Stripped | Self::Version => 426,
        }
    }

    /// The header fields that the answer must carry (section 4.4, RFC 9110 section 15.5.22). Who
    /// writes Connection adds the option `upgrade` to it if there are any.
    #[must_use]
    pub fn answer_headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::BadRequest(_) => &[],
            Self::NotUpgrade | Self::Stripped | Self::Version => {
                &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
            }
        }
    }
}

/// Checks a client's handshake (section 4.2.1).
///
/// # Errors
/// The first rule that the request breaks.
pub fn check<'a>(head: &HandshakeRequest<'_, 'a>) -> Result<Accepted<'a>, HandshakeFault> {
    let require = |holds: bool, reason| {
        if holds {
            Ok(())
        } else {
            Err(HandshakeFault::BadRequest(reason))
        }
    };
    require(head.is_get, "a WebSocket handshake must be a GET")?;
    // Proxies that know nothing of WebSocket pass the key on and keep Upgrade to themselves.
    if head.upgrade.is_empty() && !head.key.is_empty() {
        return Err(HandshakeFault::Stripped);
    }
    require(
        head.is_http11,
        "a WebSocket handshake must be HTTP/1.1, from a proxy in front, too (see docs/proxy.md)",
    )?;
    require(!head.has_body, "a WebSocket handshake must not have a body")?;
    if !names_token(head.upgrade, "websocket") {
        return Err(HandshakeFault::NotUpgrade);
    }
    let connection_upgrades = names_token(head.connection, "upgrade");
    require(
        connection_upgrades,
        "Connection must name upgrade, and a proxy in front must pass it on (see docs/proxy.md)",
    )?;
    match head.version {
        ["13"] => {}
        [] | [_] => return Err(HandshakeFault::Version),
        [_, _, ..] => require(false, "Sec-WebSocket-Version must come once")?,
    }
    let [key] = head.key else {
        let reason = "Sec-WebSocket-Key must come exactly once";
        return Err(HandshakeFault::BadRequest(reason));
    };
    require(is_key(key), "Sec-WebSocket-Key must be base64 of 16 bytes")?;
    Ok(Accepted {
        offered: parse_subprotocols(head.protocol)?,
        accept: accept_key(key),
    })
}

/// The value of Sec-WebSocket-Accept for a client's key (section 4.2.2, item 5.4).
#[must_use]
pub fn accept_key(key: &str) -> String {
    // SHA-1 is what the RFC prescribes; nothing secret rests on it.
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(ACCEPT_GUID);
    BASE64.encode(hash.finish())
}

/// Appends the answer that switches protocols to `out`. `subprotocol` is one of those offered,
/// `extension` what was agreed on.
pub fn switching_protocols(
    accept: &str,
    subprotocol: Option<&str>,
    extension: Option<Agreement>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(accept.as_bytes());
    if let Some(subprotocol) = subprotocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(subprotocol.as_bytes());
    }
    if let Some(extension) = extension {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        out.extend_from_slice(extension.answer().as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// The value of Sec-WebSocket-Key for a fresh random nonce.
#[must_use]
pub fn client_key(random: [u8; NONCE_BYTES]) -> String {
    BASE64.encode(random)
}

/// A client's handshake. `target` is path and query, `extra` are further header fields; the caller
/// answers for it that none of the arguments holds a line break.
#[must_use]
pub fn client_request(
    host: &str,
    target: &str,
    key: &str,
    protocols: &[&str],
    extra: &[(&str, &str)],
) -> Vec<u8> {
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    );
    let protocols = protocols.join(", ");
    let offer = (!protocols.is_empty()).then_some(("Sec-WebSocket-Protocol", protocols.as_str()));
    for (name, value) in offer.iter().chain(extra) {
        debug_assert!(!value.contains(['\r', '\n']), "a line break in {name}");
        for piece in [name, ": ", value, "\r\n"] {
            request.push_str(piece);
        }
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// Whether a server's answer accepts the handshake that was sent with `key`; `accept` is its
/// Sec-WebSocket-Accept (section 4.1).
#[must_use]
pub fn check_switching(status: u16, accept: Option<&str>, key: &str) -> bool {
    status == 101 && accept.is_some_and(|accept| accept == accept_key(key))
}

/// Whether one of the comma-separated lists names `token`, in whatever case.
fn names_token(lines: &[&str], token: &str) -> bool {
    let mut elements = lines.iter().flat_map(|line| elements(line));
    elements.any(|element| element.eq_ignore_ascii_case(token))
}

fn is_key(key: &str) -> bool {
    // Room for what 24 characters can decode to; more are refused by the decoder.
    let mut nonce = [0u8; NONCE_BYTES + 2];
    BASE64.decode_slice(key, &mut nonce) == Ok(NONCE_BYTES)
}

/// The subprotocols of all lines. An empty element is refused like anything else that is no token.
fn parse_subprotocols<'a>(lines: &[&'a str]) -> Result<Vec<&'a str>, HandshakeFault> {
    let mut offered = Vec::new();
    for token in lines.iter().flat_map(|line| elements(line)) {
        let reason = if !is_token(token) {
            "Sec-WebSocket-Protocol must be a list of tokens"
        } else if offered.len() == SUBPROTOCOLS_MAX {
            "Sec-WebSocket-Protocol names too many subprotocols"
        } else if offered.contains(&token) {
            "Sec-WebSocket-Protocol names a subprotocol twice"
        } else {
            offered.push(token);
            continue;
        };
        return Err(HandshakeFault::BadRequest(reason));
    }
    Ok(offered)
}

fn elements(line: &str) -> impl Iterator<Item = &str> {
    line.split(',')
        .map(|element| element.trim_matches([' ', '\t']))
}

/// Whether `text` is a token of RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        HandshakeFault, HandshakeRequest, accept_key, check, check_switching, client_key,
        client_request, switching_protocols,
    };

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    const GOOD: HandshakeRequest<'_, '_> = HandshakeRequest {
        is_get: true,
        is_http11: true,
        has_body: false,
        upgrade: &["websocket"],
        connection: &["Upgrade"],
        key: &[KEY],
        version: &["13"],
        protocol: &[],
    };

    #[test]
    fn accepts_the_example_of_the_rfc() {
        let accepted = check(&GOOD).unwrap();
        assert_eq!(accepted.accept, ACCEPT);
        assert!(accepted.offered.is_empty());
        let spelt_otherwise = HandshakeRequest {
            upgrade: &["h2c, , WebSocket"],
            connection: &["keep-alive", "foo,\tUPGRADE "],
            ..GOOD
        };
        assert_eq!(check(&spelt_otherwise), Ok(accepted));
    }

    #[test]
    fn refuses_each_broken_rule_with_its_status() {
        let check = |name: &str, head: HandshakeRequest<'_, '_>, status: u16| {
            let fault = check(&head).unwrap_err();
            assert_eq!(fault.status(), status, "{name}: {fault}");
            assert_eq!(fault.answer_headers().is_empty(), status == 400, "{name}");
        };
        #[rustfmt::skip]
        let table = [
            ("not GET", HandshakeRequest { is_get: false, ..GOOD }, 400),
            ("HTTP/1.0", HandshakeRequest { is_http11: false, ..GOOD }, 400),
            ("body", HandshakeRequest { has_body: true, ..GOOD }, 400),
            ("no upgrade", HandshakeRequest { upgrade: &[], ..GOOD }, 426),
            ("other upgrade", HandshakeRequest { upgrade: &["h2c", "websockets"], ..GOOD }, 426),
            ("no connection", HandshakeRequest { connection: &[], ..GOOD }, 400),
            ("close", HandshakeRequest { connection: &["close", "upgrade-me"], ..GOOD }, 400),
            ("no version", HandshakeRequest { version: &[], ..GOOD }, 426),
            ("version 8", HandshakeRequest { version: &["8"], ..GOOD }, 426),
            ("version list", HandshakeRequest { version: &["13, 8"], ..GOOD }, 426),
            ("version 013", HandshakeRequest { version: &["013"], ..GOOD }, 426),
            ("two versions", HandshakeRequest { version: &["13", "13"], ..GOOD }, 400),
            ("no key", HandshakeRequest { key: &[], ..GOOD }, 400),
            ("two keys", HandshakeRequest { key: &[KEY, KEY], ..GOOD }, 400),
        ];
        for (name, head, status) in table {
            check(name, head, status);
        }
        let long = "A".repeat(16 * 1024);
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZWE=",
            "dGhlIHNhbXBsZSBub25jZWFi",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25-ZQ==",
            " dGhlIHNhbXBsZSBub25jZQ==",
            long.as_str(),
        ] {
            check(
                key,
                HandshakeRequest {
                    key: &[key],
                    ..GOOD
                },
                400,
            );
        }
    }

    #[test]
    fn says_which_of_the_requests_without_upgrade_a_proxy_has_changed() {
        let check = |head: HandshakeRequest<'_, '_>, expected: HandshakeFault| {
            assert_eq!(check(&head), Err(expected));
        };
        let plain = HandshakeRequest {
            upgrade: &[],
            connection: &[],
            key: &[],
            version: &[],
            ..GOOD
        };
        check(plain, HandshakeFault::NotUpgrade);
        let lost = HandshakeRequest {
            upgrade: &[],
            connection: &["close"],
            ..GOOD
        };
        check(lost, HandshakeFault::Stripped);
        let is_http11 = false;
        check(
            HandshakeRequest { is_http11, ..lost },
            HandshakeFault::Stripped,
        );
    }

    fn offered<'a>(lines: &'a [&'a str]) -> Option<Vec<&'a str>> {
        let head = HandshakeRequest {
            protocol: lines,
            ..GOOD
        };
        check(&head).ok().map(|accepted| accepted.offered)
    }

    #[test]
    fn reads_subprotocols_over_several_lines() {
        let lines = ["kinglet.v1,bearer.a.b-c_d", "\tx ,  y"];
        assert_eq!(
            offered(&lines).unwrap(),
            ["kinglet.v1", "bearer.a.b-c_d", "x", "y"]
        );
        let many: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
        assert_eq!(offered(&[&many[..32].join(",")]).unwrap().len(), 32);
        assert_eq!(offered(&[&many.join(",")]), None);
    }

    #[test]
    fn refuses_subprotocols_that_are_no_list_of_tokens() {
        for line in [
            "", " ", ",", "a,", ",a", "a,,b", "a b", "a;b", "\"a\"", "a=b", "é", "a,a",
        ] {
            assert_eq!(offered(&[line]), None, "{line}");
        }
        assert_eq!(offered(&["a", "b, a"]), None, "twice over two lines");
        assert_eq!(
            offered(&["a", "A"]).unwrap().len(),
            2,
            "names differ by case"
        );
        for hostile in [",", "\"", ";", "a,", "a;\"", " ", "\t,", "\"\\"] {
            assert_eq!(offered(&[&hostile.repeat(16 * 1024 / hostile.len())]), None);
        }
    }

    #[test]
    fn answers_with_101_and_the_chosen_subprotocol() {
        let mut answer = Vec::new();
        switching_protocols(ACCEPT, None, None, &mut answer);
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("{head}\r\n"));
        answer.clear();
        switching_protocols(ACCEPT, Some("kinglet.v1"), None, &mut answer);
        let expected = format!("{head}Sec-WebSocket-Protocol: kinglet.v1\r\n\r\n");
        assert_eq!(std::str::from_utf8(&answer).unwrap(), expected);
    }

    #[test]
    fn a_client_asks_and_checks_the_answer() {
        let key = client_key(*b"the sample nonce");
        assert_eq!(key, KEY);
        let extra = [("Authorization", "Bearer t")];
        let request = client_request("localhost:1", "/ws?a=b", &key, &["x", "y"], &extra);
        let expected = "GET /ws?a=b HTTP/1.1\r\nHost: localhost:1\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: x, y\r\n\
                        Authorization: Bearer t\r\n\r\n";
        assert_eq!(std::str::from_utf8(&request).unwrap(), expected);
        assert!(check_switching(101, Some(&accept_key(&key)), &key));
        assert!(!check_switching(200, Some(ACCEPT), &key));
        assert!(!check_switching(101, None, &key));
        assert!(!check_switching(
            101,
            Some("S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            &key
        ));
    }
}
