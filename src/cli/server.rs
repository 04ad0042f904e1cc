//! The server that a command talks to: where it is, who is asking, whom to trust.
//!
//! May not touch: what is said to it. Invariant: the token is in no message and no debug output.

use std::fmt;

use crate::cli::Failure;
use crate::cli::arguments::ServerArgument;
use crate::cli::tls::Trust;
use crate::cli::url::Url;

/// A server, as `--url`, `--token` and `--ca` describe it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: Url,
    /// Present exactly if the URL asks for TLS.
    pub(super) trust: Option<Trust>,
    authorization: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.url)
    }
}

impl Server {
    /// The server that was asked for; reads certificates if it speaks TLS.
    pub(super) fn new(asked: ServerArgument) -> Result<Self, Failure> {
        let ServerArgument { url, token, ca } = asked;
        let trust = match (url.is_tls, ca) {
            (true, Some(path)) => Some(
                Trust::file(&path).map_err(|fault| Failure::Misuse(format!("--ca: {fault}")))?,
            ),
            (true, None) => Some(Trust::native().map_err(Failure::Failed)?),
            (false, Some(_)) => {
                let reason = "--ca is for https and wss; this URL asks for no TLS";
                return Err(Failure::Misuse(reason.to_owned()));
            }
            (false, None) => None,
        };
        Ok(Self {
            url,
            trust,
            authorization: Token::authorization(token)?,
        })
    }

    /// The value of Authorization, if there is a token.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// What shows who asks. Not checked while arguments are parsed, whose faults repeat the value.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    /// The value of Authorization that shows `token`, if there is one.
    pub(super) fn authorization(token: Option<Self>) -> Result<Option<String>, Failure> {
        // A variable that is set to nothing is how shells unset one.
        let Some(Self(text)) = token.filter(|Self(text)| !text.is_empty()) else {
            return Ok(None);
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "the token has a space, a line break or a letter that no token has; was \
                          it copied whole, and nothing else?";
            return Err(Failure::Misuse(reason.to_owned()));
        }
        Ok(Some(format!("Bearer {text}")))
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn server(url: &str, token: Option<&str>, ca: Option<&str>) -> Result<Server, Failure> {
        Server::new(ServerArgument {
            url: Url::parse(url).unwrap(),
            token: token.map(|token| Token(token.to_owned())),
            ca: ca.map(PathBuf::from),
        })
    }

    #[test]
    fn a_token_goes_into_one_header_and_nowhere_else() {
        let check = |token: Option<&str>, expected: Option<&str>| {
            let server = server("http://a", token, None).unwrap();
            assert_eq!(server.authorization(), expected);
            assert!(!format!("{server:?}").contains("s3cret"));
        };
        check(Some("s3cret"), Some("Bearer s3cret"));
        check(Some(""), None);
        check(None, None);
        for token in ["s3cret ", "s3cret\r\nX: y", "s3\tcret", "s3crét"] {
            let fault = server("http://a", Some(token), None).unwrap_err();
            assert!(!format!("{fault:?}").contains("s3"), "{fault:?}");
        }
    }

    #[test]
    fn an_authority_without_tls_or_without_a_file_is_misuse() {
        let check = |url, ca, words: &str| match server(url, None, Some(ca)) {
            Err(Failure::Misuse(reason)) => assert!(reason.contains(words), "{reason}"),
            other => assert!(other.is_err(), "{other:?}"),
        };
        check("ws://a", "Cargo.toml", "--ca is for https");
        check("wss://a", "none.pem", "cannot read none.pem");
        check("wss://a", "Cargo.toml", "has no certificate");
        assert!(server("http://a", None, None).unwrap().trust.is_none());
    }
}
