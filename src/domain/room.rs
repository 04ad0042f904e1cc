//! Room names: parsed once, canonical as given, cheap to share.
//!
//! ASCII only, so that no two names look alike and none has two spellings; without the characters
//! that patterns (`*`), lists (`,`) and quoting (`"`, `\`) need. Invariant: a [`RoomName`] holds a
//! valid name, and equality, order and hash are those of its bytes.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest room name in bytes; with it a name fits a length byte and a database index.
pub const ROOM_NAME_BYTES: usize = 255;

/// The namespace of the rooms that projects have.
const PROJECT: &str = "project";

/// A valid room name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Takes `name` as it is: 1 to 255 bytes of printable ASCII without space, `*`, `,`, `"`, `\`.
    ///
    /// # Errors
    /// A [`RoomNameFault`] that says what was wrong and what is right.
    pub fn parse(name: &str) -> Result<Self, RoomNameFault> {
        if name.is_empty() {
            return Err(RoomNameFault::Empty);
        }
        if name.len() > ROOM_NAME_BYTES {
            return Err(RoomNameFault::TooLong { bytes: name.len() });
        }
        match name.char_indices().find(|&(_, c)| !is_allowed(c)) {
            Some((at, character)) => Err(RoomNameFault::Forbidden { character, at }),
            None => Ok(Self(Arc::from(name))),
        }
    }

    /// The room of `id` in `namespace`: `of("project", "abc")` is `project:abc`.
    ///
    /// # Errors
    /// As [`RoomName::parse`]: an id from outside may hold anything.
    pub fn of(namespace: &str, id: &str) -> Result<Self, RoomNameFault> {
        debug_assert!(!namespace.contains(':'), "the first colon ends it");
        Self::parse(&format!("{namespace}:{id}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `:`, or `""` when there is none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("", |(namespace, _)| namespace)
    }

    /// The id of the project whose room this is; `None` for any other room and for `project:`.
    #[must_use]
    pub fn project_id(&self) -> Option<&str> {
        let (namespace, id) = self.0.split_once(':')?;
        (namespace == PROJECT && !id.is_empty()).then_some(id)
    }
}

impl Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no room name; the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameFault {
    /// The name has no bytes.
    #[error("a room name is empty; it needs 1 to 255 bytes")]
    Empty,
    /// The name has too many bytes.
    #[error("a room name has {bytes} bytes; it may have 1 to 255")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The name holds a character that is not allowed.
    // Spelt as a code point: a look-alike or a control character would not be seen otherwise.
    #[error(
        "a room name has the character U+{code:04X} at byte {at}; it may have printable ASCII \
         without space, asterisk, comma, double quote and backslash",
        code = u32::from(*character)
    )]
    Forbidden {
        /// The first such character.
        character: char,
        /// The index of its first byte.
        at: usize,
    },
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '*' | ',' | '"' | '\\')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn parses_exactly_the_allowed_names() {
        let check = |name: &str, expected: Result<(), RoomNameFault>| {
            assert_eq!(RoomName::parse(name).map(|_| ()), expected, "{name:?}");
        };
        let forbidden = |character, at| Err(RoomNameFault::Forbidden { character, at });
        check("a", Ok(()));
        check("user:auth0|42", Ok(()));
        check(":", Ok(()));
        check("dialog#42;43", Ok(()));
        check(&"r".repeat(255), Ok(()));
        check(&"r".repeat(256), Err(RoomNameFault::TooLong { bytes: 256 }));
        check("", Err(RoomNameFault::Empty));
        check("a\0", forbidden('\0', 1));
        check("\u{7f}", forbidden('\u{7f}', 0));
        check("a b", forbidden(' ', 1));
        check("a\n", forbidden('\n', 1));
        check("project:*", forbidden('*', 8));
        check("dialog#42,43", forbidden(',', 9));
        check("a\"", forbidden('"', 1));
        check("a\\", forbidden('\\', 1));
        // A Cyrillic o, a full-width colon, a combining accent, a zero-width joiner.
        check("gl\u{43e}bal", forbidden('\u{43e}', 2));
        check("user\u{ff1a}42", forbidden('\u{ff1a}', 4));
        check("cafe\u{301}", forbidden('\u{301}', 4));
        check("a\u{200d}", forbidden('\u{200d}', 1));
    }

    #[test]
    fn a_fault_shows_what_cannot_be_seen() {
        let fault = RoomName::parse("gl\u{43e}bal").unwrap_err().to_string();
        assert!(fault.contains("U+043E at byte 2"), "{fault}");
        assert!(fault.contains("printable ASCII"), "{fault}");
    }

    #[test]
    fn splits_at_the_first_colon() {
        let check = |name: &str, namespace: &str, project: Option<&str>| {
            let room = RoomName::parse(name).unwrap();
            assert_eq!(
                (room.namespace(), room.project_id()),
                (namespace, project),
                "{name}"
            );
        };
        check("global", "", None);
        check("project", "", None);
        check("project:", "project", None);
        check("project:a", "project", Some("a"));
        check("project:a:b", "project", Some("a:b"));
        check("projects:a", "projects", None);
        check("Project:a", "Project", None);
        check(":project:a", "", None);
        check("a:project:b", "a", None);
    }

    #[test]
    fn builds_the_name_of_an_id() {
        assert_eq!(
            RoomName::of("project", "a:b").unwrap().as_str(),
            "project:a:b"
        );
        assert!(RoomName::of("user", "a b").is_err());
        assert!(RoomName::of("user", &"x".repeat(251)).is_err());
    }

    #[test]
    fn a_name_is_canonical_as_given() {
        let mut rng = Rng::from_seed(26);
        let mut names: Vec<RoomName> = Vec::new();
        let mut texts = HashSet::new();
        for _ in 0..2000 {
            let text: String = (0..=rng.below(3))
                .filter_map(|_| char::from_u32(u32::try_from(rng.below(0x100)).unwrap()))
                .collect();
            if let Ok(name) = RoomName::parse(&text) {
                assert_eq!(name.as_str(), text);
                assert!(text.bytes().all(|b| (0x21..=0x7e).contains(&b)));
                texts.insert(text);
                names.push(name);
            }
        }
        let distinct: HashSet<RoomName> = names.iter().cloned().collect();
        assert_eq!(distinct.len(), texts.len());
        assert!(texts.iter().all(|text| distinct.contains(text.as_str())));
        names.sort();
        assert!(names.is_sorted_by(|a, b| a.as_str().as_bytes() <= b.as_str().as_bytes()));
    }
}
