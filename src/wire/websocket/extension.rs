//! permessage-deflate in the handshake: a client's offers read, and one of them answered
//! (RFC 6455 section 9.1, RFC 7692 sections 5 and 7.1).
//!
//! May not touch: compression itself, the HTTP parser; the caller hands over the header values.
//! Invariants: the work is linear in the bytes of the header; an [`Agreement`] promises nothing
//! that the offer did not allow.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::num::NonZeroU8;

use crate::wire::websocket::handshake::is_token_byte;

/// The extension's registered name (RFC 7692 section 11.1).
const NAME: &str = "permessage-deflate";

/// The base-2 logarithm of an LZ77 window that we compress with: 9 to 15.
///
/// RFC 7692 allows 8, too, but zlib has never compressed raw streams with so small a window, and
/// `flate2` panics when asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl WindowBits {
    /// The smallest window there is.
    pub const MIN: Self = Self(9);
    /// The largest, which holds if nobody asks for less.
    pub const MAX: Self = Self(15);

    /// The window of `bits`, if we compress with it.
    #[must_use]
    pub fn new(bits: u8) -> Option<Self> {
        let window = Self(bits);
        (Self::MIN..=Self::MAX).contains(&window).then_some(window)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What was agreed on for one connection, in one byte, so that a connection pays no more for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Agreement(NonZeroU8);

/// Where our window stands in an [`Agreement`]; never zero.
const WINDOW: u8 = 0x0f;
/// We may refer to earlier messages.
const SERVER_KEEPS: u8 = 0x10;
/// The client may refer to earlier messages.
const CLIENT_KEEPS: u8 = 0x20;
/// The client has bounded our window, and is told the bound.
const WINDOW_WAS_ASKED_FOR: u8 = 0x40;

impl Agreement {
    fn new(window: WindowBits, flags: u8) -> Option<Self> {
        NonZeroU8::new(window.get() | flags).map(Self)
    }

    /// The window that we compress with. The client's may have any size.
    #[must_use]
    pub fn window(self) -> WindowBits {
        WindowBits(self.0.get() & WINDOW)
    }

    /// Whether our messages may refer to earlier ones, so that we compress with a context.
    #[must_use]
    pub fn server_keeps_context(self) -> bool {
        self.0.get() & SERVER_KEEPS != 0
    }

    /// Whether the client's messages may refer to earlier ones, so that we need a context.
    #[must_use]
    pub fn client_keeps_context(self) -> bool {
        self.0.get() & CLIENT_KEEPS != 0
    }

    /// The same without contexts, which a server may always choose (RFC 7692 section 7.1.1).
    #[must_use]
    pub fn without_contexts(self) -> Self {
        let bits = self.0.get() & !(SERVER_KEEPS | CLIENT_KEEPS);
        NonZeroU8::new(bits).map_or(self, Self)
    }

    /// The value of Sec-WebSocket-Extensions in the answer.
    #[must_use]
    pub fn answer(self) -> String {
        let mut answer = NAME.to_owned();
        if !self.server_keeps_context() {
            answer.push_str("; server_no_context_takeover");
        }
        if !self.client_keeps_context() {
            answer.push_str("; client_no_context_takeover");
        }
        if self.0.get() & WINDOW_WAS_ASKED_FOR != 0 {
            // Writing to a String does not fail.
            let _ = write!(answer, "; server_max_window_bits={}", self.window().get());
        }
        answer
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agreement({})", self.answer())
    }
}

/// A header that is no list of extensions (RFC 6455 section 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Sec-WebSocket-Extensions must be a list of extensions, each a token with parameters \
     (RFC 6455 section 9.1)"
)]
pub struct MalformedExtensions;

/// Chooses the first offer that we can keep, in the client's order over all lines of
/// Sec-WebSocket-Extensions; `None` declines them all. An offer with a parameter that is unknown,
/// given twice or has a wrong value is passed over (RFC 7692 section 7.1), and so is one for a
/// window of 8 bits. `contexts` says whether messages may refer to earlier ones, unless the offer
/// excludes it.
///
/// # Errors
/// When a line breaks the grammar, whatever stands in the others.
pub fn negotiate<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    contexts: bool,
) -> Result<Option<Agreement>, MalformedExtensions> {
    let mut chosen = None;
    for line in lines {
        let mut scanner = Scanner { rest: line };
        while let Some(offer) = scanner.offer()? {
            chosen = chosen.or_else(|| offer.agreement(contexts));
        }
    }
    Ok(chosen)
}

/// One extension with its parameters.
#[derive(Debug, Default)]
struct Offer {
    /// It is for another extension, or must be declined for one of its parameters.
    is_declined: bool,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    /// What server_max_window_bits says.
    server_window: Option<u8>,
    client_max_window_bits: bool,
}

impl Offer {
    /// Takes one parameter in.
    fn add(&mut self, name: &str, value: Option<&str>) {
        let is_right = match (name, value) {
            ("server_no_context_takeover", None) => set(&mut self.server_no_context_takeover),
            ("client_no_context_takeover", None) => set(&mut self.client_no_context_takeover),
            ("server_max_window_bits", Some(value)) => {
                let is_first = self.server_window.is_none();
                self.server_window = window(value);
                is_first && self.server_window.is_some()
            }
            // Whatever the client compresses with is inflated with the largest window.
            ("client_max_window_bits", value) => {
                set(&mut self.client_max_window_bits)
                    && value.is_none_or(|value| window(value).is_some())
            }
            _ => false,
        };
        self.is_declined |= !is_right;
    }

    fn agreement(&self, contexts: bool) -> Option<Agreement> {
        if self.is_declined {
            return None;
        }
        let mut flags = 0;
        if contexts && !self.server_no_context_takeover {
            flags |= SERVER_KEEPS;
        }
        if contexts && !self.client_no_context_takeover {
            flags |= CLIENT_KEEPS;
        }
        match self.server_window {
            None => Agreement::new(WindowBits::MAX, flags),
            Some(bits) => Agreement::new(WindowBits::new(bits)?, flags | WINDOW_WAS_ASKED_FOR),
        }
    }
}

/// Sets a flag; false if it was set.
fn set(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}

/// A window's bits: 8 to 15, in decimal without leading zeros (RFC 7692 section 7.1.2).
fn window(value: &str) -> Option<u8> {
    (8..=15).find(|bits: &u8| bits.to_string() == value)
}

/// Reads one line from its front.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The next extension; `None` at the end of the line. Empty elements are passed over, as in
    /// all lists (RFC 9110 section 5.6.1).
    fn offer(&mut self) -> Result<Option<Offer>, MalformedExtensions> {
        while self.take(',') {}
        if self.rest.is_empty() {
            return Ok(None);
        }
        let is_ours = self.token()? == NAME;
        let mut offer = Offer {
            is_declined: !is_ours,
            ..Offer::default()
        };
        while self.take(';') {
            let name = self.token()?;
            let value = if self.take('=') {
                Some(self.value()?)
            } else {
                None
            };
            offer.add(name, value.as_deref());
        }
        if self.rest.is_empty() || self.take(',') {
            Ok(Some(offer))
        } else {
            Err(MalformedExtensions)
        }
    }

    /// Takes `mark`, and blanks before and after it; only blanks if it is not there.
    fn take(&mut self, mark: char) -> bool {
        let blank = [' ', '\t'];
        self.rest = self.rest.trim_start_matches(blank);
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest.trim_start_matches(blank);
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> Result<&'a str, MalformedExtensions> {
        let end = self.rest.bytes().position(|byte| !is_token_byte(byte));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if token.is_empty() {
            Err(MalformedExtensions)
        } else {
            Ok(token)
        }
    }

    /// A token, or a quoted string that holds one.
    fn value(&mut self) -> Result<Cow<'a, str>, MalformedExtensions> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.token().map(Cow::Borrowed);
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            let character = match character {
                '"' => {
                    self.rest = quoted.get(at + 1..).unwrap_or_default();
                    let is_token = !value.is_empty();
                    return is_token.then_some(value.into()).ok_or(MalformedExtensions);
                }
                '\\' => characters.next().ok_or(MalformedExtensions)?.1,
                other => other,
            };
            if !u8::try_from(character).is_ok_and(is_token_byte) {
                break;
            }
            value.push(character);
        }
        Err(MalformedExtensions)
    }
}

#[cfg(test)]
#[path = "extension_tests.rs"]
mod tests;
