//! Where the attachments of a packet belong in its JSON.
//!
//! Each attachment is stood for by `{"_placeholder":true,"num":N}` somewhere in the array. Checked
//! before the attachments are awaited, so that whoever puts them in place can rely on it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::socket_io::fault::PacketFault;

/// The member that makes an object a placeholder, if it is true.
const MARK: &str = "_placeholder";

/// The member that says which attachment it stands for.
const NUMBER: &str = "num";

/// Checks that every placeholder in `json` stands for one of `attachments` attachments, and no two
/// for the same. `json` is valid.
///
/// # Errors
/// [`PacketFault::Placeholder`], and [`PacketFault::Unreadable`] if it nests deeper than 127 or a
/// string in it has half of a surrogate pair.
pub(super) fn check(json: &str, attachments: usize) -> Result<(), PacketFault> {
    let mut seen = Seen {
        attachments,
        taken: 0,
        is_wrong: false,
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    match Walk(&mut seen).deserialize(&mut reader) {
        Ok(_) => Ok(()),
        Err(_) if seen.is_wrong => Err(PacketFault::Placeholder),
        Err(_) => Err(PacketFault::Unreadable),
    }
}

/// The placeholders met so far.
struct Seen {
    attachments: usize,
    /// Bit n for attachment n.
    taken: u128,
    is_wrong: bool,
}

impl Seen {
    /// Notes a placeholder for attachment `number`; false if it stands for none, or again.
    fn take(&mut self, number: u64) -> bool {
        let index = usize::try_from(number).ok();
        let index = index.filter(|index| *index < self.attachments && *index < 128);
        let Some(index) = index else { return false };
        let is_first = self.taken >> index & 1 == 0;
        self.taken |= 1 << index;
        is_first
    }
}

/// What a value is, as far as it matters to the object that it stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    True,
    Number(u64),
    Other,
}

/// Goes through one value.
struct Walk<'a>(&'a mut Seen);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Kind, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(if value { Kind::True } else { Kind::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Kind, A::Error> {
        while elements.next_element_seed(Walk(self.0))?.is_some() {}
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let (mut mark, mut number, mut count) = (None, None, 0usize);
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            let kind = members.next_value_seed(Walk(self.0))?;
            count += 1;
            match &*name {
                MARK => mark = Some(kind),
                NUMBER => number = Some(kind),
                _ => {}
            }
        }
        if mark == Some(Kind::True) {
            let is_right = match number {
                Some(Kind::Number(number)) if count == 2 => self.0.take(number),
                Some(Kind::Number(_) | Kind::True | Kind::Other) | None => false,
            };
            if !is_right {
                self.0.is_wrong = true;
                return Err(A::Error::custom("a placeholder stands for no attachment"));
            }
        }
        Ok(Kind::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: Result<(), PacketFault> = Err(PacketFault::Placeholder);

    #[test]
    fn each_placeholder_stands_for_one_attachment() {
        let check = |json: &str, attachments: usize, expected| {
            assert_eq!(
                super::check(json, attachments),
                expected,
                "{json:.80} {attachments}"
            );
        };
        let zero = r#"{"_placeholder":true,"num":0}"#;
        let one = r#"{"num":1,"_placeholder":true}"#;
        check("[]", 1, Ok(()));
        check(&format!(r#"["a",{zero}]"#), 1, Ok(()));
        check(&format!(r#"["a",{{"b":[{one}]}},{zero}]"#), 2, Ok(()));
        check(&format!("[{zero}]"), 0, WRONG);
        check(&format!("[{one}]"), 1, WRONG);
        check(&format!("[{zero},{zero}]"), 2, WRONG);
        for number in [
            "-1",
            "1e9",
            "\"0\"",
            "null",
            "0.0",
            "true",
            "[0]",
            "1000000000",
            "{}",
        ] {
            check(
                &format!(r#"[{{"_placeholder":true,"num":{number}}}]"#),
                10,
                WRONG,
            );
        }
        for object in [
            r#"{"_placeholder":true}"#,
            r#"{"_placeholder":true,"num":0,"num":0}"#,
            r#"{"_placeholder":true,"num":0,"x":1}"#,
            r#"{"_placeholder":true,"_placeholder":true,"num":0}"#,
            r#"{"\u005fplaceholder":true,"num":9}"#,
        ] {
            check(&format!("[{object}]"), 1, WRONG);
        }
    }

    #[test]
    fn objects_that_do_not_claim_to_be_one_are_left_alone() {
        for object in [
            r#"{"_placeholder":false,"num":9}"#,
            r#"{"_placeholder":"true","num":"x"}"#,
            r#"{"num":9,"__proto__":{"num":-1}}"#,
            r#"{"a":[1.5,-1,null,"é\n",true,18446744073709551616]}"#,
        ] {
            assert_eq!(check(&format!("[{object}]"), 1), Ok(()), "{object}");
        }
    }

    #[test]
    fn what_nests_too_deep_or_is_no_text_is_refused() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(&deep(126), 1), Ok(()));
        assert_eq!(check(&deep(200), 1), Err(PacketFault::Unreadable));
        assert_eq!(check(&deep(100_000), 1), Err(PacketFault::Unreadable));
        assert_eq!(check(r#"["\ud800"]"#, 1), Err(PacketFault::Unreadable));
    }
}
