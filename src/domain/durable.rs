//! Durable subscriptions: positions that the server keeps for those who come back.
//!
//! May not touch: where they are kept. Invariant: a [`DurableName`] is 1 to 64 of `A-Z a-z 0-9 _ . -`.

use std::fmt;

use crate::domain::access::Identity;

/// The longest name in bytes.
pub const DURABLE_NAME_BYTES: usize = 64;

/// What a user calls one of its durable subscriptions, such as a device's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DurableName(Box<str>);

impl DurableName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`DurableNameFault`] if it has other characters, none or too many.
    pub fn parse(text: &str) -> Result<Self, DurableNameFault> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let fits = (1..=DURABLE_NAME_BYTES).contains(&text.len());
        if fits && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            Err(DurableNameFault)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DurableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name of a durable subscription; the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a durable subscription has 1 to {DURABLE_NAME_BYTES} of A-Z a-z 0-9 _ . -")]
pub struct DurableNameFault;

/// Whose a durable subscription is, as text in which no two owners are alike. Without tokens nobody
/// is anybody, so that the name alone tells them apart.
#[must_use]
pub fn owner(identity: &Identity) -> Box<str> {
    match identity {
        Identity::Anonymous | Identity::Pending => Box::default(),
        Identity::User(user) => format!("user {}", user.id).into(),
        Identity::Key(key) => format!("key {}", key.name).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_plain_characters() {
        let check = |text: &str, is_valid: bool| {
            let parsed = DurableName::parse(text);
            let found = parsed.as_ref().map(DurableName::as_str);
            let expected = is_valid.then_some(text).ok_or(&DurableNameFault);
            assert_eq!(found, expected, "{text:?}");
        };
        check("a", true);
        check("Ada-s_phone.2", true);
        check(&"n".repeat(64), true);
        for text in ["", "a b", "a:b", "a/b", "é", "a\0", "a\n", &"n".repeat(65)] {
            check(text, false);
        }
    }
}
