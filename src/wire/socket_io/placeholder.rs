//! Where the attachments of a packet belong in its JSON.
//!
//! Each attachment is stood for by `{"_placeholder":true,"num":N}` somewhere in the array. Checked
//! before the attachments are awaited, so that whoever puts them in place can rely on it. Putting
//! them in place is linear in the text and does not recurse.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
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

/// The attachment that a value stands for; `None` if it is no placeholder, or of none of these.
#[must_use]
pub fn attachment<'a>(json: &str, attachments: &'a [Bytes]) -> Option<&'a Bytes> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Placeholder {
        #[serde(rename = "_placeholder")]
        is_one: bool,
        num: usize,
    }
    // A derived Deserialize would take an array for a struct, too.
    if !json.starts_with('{') {
        return None;
    }
    let found: Placeholder = serde_json::from_str(json).ok()?;
    attachments.get(found.num).filter(|_| found.is_one)
}

/// The same JSON with what `spell` writes in place of each placeholder of one of `attachments`;
/// everything else stays as it is spelt.
///
/// Valid JSON stays valid if `spell` writes a value; any other text gives some result, never a
/// panic.
#[must_use]
pub fn fill<'a>(
    json: &'a str,
    attachments: &[Bytes],
    spell: impl Fn(&[u8], &mut Vec<u8>),
) -> Cow<'a, str> {
    if attachments.is_empty() {
        return Cow::Borrowed(json);
    }
    let (mut filled, mut written, mut value) = (String::new(), 0, Vec::new());
    for span in innermost_objects(json) {
        let found = json.get(span.clone()).unwrap_or_default();
        let Some(bytes) = attachment(found, attachments) else {
            continue;
        };
        value.clear();
        spell(bytes, &mut value);
        filled.push_str(json.get(written..span.start).unwrap_or_default());
        filled.push_str(&String::from_utf8_lossy(&value));
        written = span.end;
    }
    match written {
        0 => Cow::Borrowed(json),
        _ => {
            filled.push_str(json.get(written..).unwrap_or_default());
            Cow::Owned(filled)
        }
    }
}

/// Where the objects of a JSON text stand that have no objects in them.
fn innermost_objects(json: &str) -> impl Iterator<Item = Range<usize>> {
    let (mut at, mut opened) = (0, None);
    std::iter::from_fn(move || {
        loop {
            let rest = json.as_bytes().get(at..)?;
            let found = memchr::memchr3(b'"', b'{', b'}', rest)?;
            let place = at + found;
            at = place + 1;
            match rest.get(found) {
                Some(b'{') => opened = Some(place),
                Some(b'}') => {
                    if let Some(start) = opened.take() {
                        return Some(start..at);
                    }
                }
                _ => at += string_bytes(json.as_bytes().get(at..)?),
            }
        }
    })
}

/// Bytes of a string behind its first quote, up to its last and with it.
fn string_bytes(behind: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = behind
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        match behind.get(at + found) {
            Some(b'\\') => at += found + 2,
            _ => return at + found + 1,
        }
    }
    behind.len()
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

    /// What `json` becomes with `<0>` and `<1>` for two attachments.
    fn filled(json: &str) -> Cow<'_, str> {
        let attachments = [Bytes::from_static(b"0"), Bytes::from_static(b"1")];
        let spell = |bytes: &[u8], out: &mut Vec<u8>| {
            out.push(b'<');
            out.extend_from_slice(bytes);
            out.push(b'>');
        };
        fill(json, &attachments, spell)
    }

    #[test]
    fn attachments_take_the_places_of_their_placeholders() {
        let check = |json: &str, expected: &str| {
            assert_eq!(filled(json), expected, "{json}");
            let is_copy = matches!(filled(json), Cow::Owned(_));
            assert_eq!(is_copy, json != expected, "{json}");
        };
        let (zero, one) = (
            r#"{"_placeholder":true,"num":0}"#,
            r#"{ "num" : 1 , "_placeholder" : true }"#,
        );
        check(zero, "<0>");
        check(
            &format!(r#"{{"a":[1.0,{one}, {{"b":{zero}}}],"c":{{}}}}"#),
            r#"{"a":[1.0,<1>, {"b":<0>}],"c":{}}"#,
        );
        // In a string it is text, and what is spelt otherwise is no placeholder.
        let quoted = serde_json::to_string(&format!("\\\"{zero}")).unwrap_or_default();
        check(&format!("[{quoted},{zero}]"), &format!("[{quoted},<0>]"));
        for number in [
            "-1",
            "2",
            "1e9",
            "1.0",
            "\"0\"",
            "null",
            "18446744073709551616",
        ] {
            let json = format!(r#"[{{"_placeholder":true,"num":{number}}}]"#);
            check(&json, &json);
        }
        for json in [
            "",
            "null",
            "\"{",
            "{}}{",
            "\"\\",
            r#"[{"_placeholder":false,"num":0}]"#,
            r#"[{"_placeholder":true,"num":0,"x":1}]"#,
            r#"[{"_placeholder":true,"num":0,"num":0}]"#,
            r#"[[true,0]]"#,
            r#"{"__proto__":{"num":0}}"#,
        ] {
            check(json, json);
        }
        assert_eq!(fill(zero, &[], |_, _| ()), zero);
    }

    #[test]
    fn filling_does_not_recurse() {
        let deep = "[{\"a\":".repeat(100_000) + &"}]".repeat(100_000);
        assert_eq!(filled(&deep), deep);
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
