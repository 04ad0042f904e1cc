//! A JSON array as it was spelt: what events and acknowledgements carry.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A whole JSON array. Invariant: the text is one, without whitespace around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    json: Cow<'a, str>,
}

impl<'a> Array<'a> {
    /// Takes `json` if it is one array and nothing else. Its depth is not looked at.
    #[must_use]
    pub fn parse(json: &'a str) -> Option<Self> {
        let json = trim(json);
        nth(json, usize::MAX).ok()?;
        Some(Self {
            json: Cow::Borrowed(json),
        })
    }

    /// The array, brackets included.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What stands between the brackets.
    #[must_use]
    pub fn inside(&self) -> &str {
        inside(&self.json)
    }

    /// The element at `index`, from 0, as it was spelt.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let found = nth(&self.json, index).ok().flatten();
        found.map(RawValue::get)
    }

    /// The same on its own.
    #[must_use]
    pub fn into_owned(self) -> Array<'static> {
        Array {
            json: Cow::Owned(self.json.into_owned()),
        }
    }
}

/// What an event carries: its name, and arguments. Invariant: the array's first element is a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPayload<'a> {
    name: Cow<'a, str>,
    array: Array<'a>,
}

impl<'a> EventPayload<'a> {
    /// Takes an array whose first element is a string, or a number, which names an event by its
    /// digits as it does in JavaScript.
    #[must_use]
    pub fn parse(json: &'a str) -> Option<Self> {
        let array = trim(json);
        let first = nth(array, 0).ok()??.get();
        let name = match first.bytes().next()? {
            b'"' => string(first)?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(first),
            _ => return None,
        };
        let json = Cow::Borrowed(array);
        Some(Self {
            name,
            array: Array { json },
        })
    }

    /// The event's name; may be empty or hold any character.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments as they were spelt, separated by commas; empty if there are none.
    #[must_use]
    pub fn arguments(&self) -> &str {
        let inside = trim(self.array.inside());
        let name = self.array.get(0).map_or(0, str::len);
        let behind = trim(inside.get(name..).unwrap_or_default());
        trim(behind.strip_prefix(',').unwrap_or_default())
    }

    /// The argument at `index`, from 0, as it was spelt.
    #[must_use]
    pub fn argument(&self, index: usize) -> Option<&str> {
        self.array.get(index.checked_add(1)?)
    }

    /// The whole array.
    #[must_use]
    pub fn json(&self) -> &str {
        self.array.json()
    }

    /// The same on its own.
    #[must_use]
    pub fn into_owned(self) -> EventPayload<'static> {
        EventPayload {
            name: Cow::Owned(self.name.into_owned()),
            array: self.array.into_owned(),
        }
    }
}

/// The value of a JSON string, copied only if it has escapes.
pub(super) fn string(json: &str) -> Option<Cow<'_, str>> {
    match serde_json::from_str::<&str>(json) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}

/// Without the whitespace of JSON (RFC 8259 section 2) around it.
fn trim(json: &str) -> &str {
    json.trim_matches([' ', '\t', '\n', '\r'])
}

fn inside(json: &str) -> &str {
    let inside = json
        .strip_prefix('[')
        .and_then(|json| json.strip_suffix(']'));
    inside.unwrap_or_default()
}

/// The element at `index` of an array that is checked to its end; an error if it is none.
fn nth(json: &str, index: usize) -> Result<Option<&RawValue>, serde_json::Error> {
    struct Nth<'a>(usize, PhantomData<&'a RawValue>);

    impl<'de: 'a, 'a> Visitor<'de> for Nth<'a> {
        type Value = Option<&'a RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            // Raw values are skipped without recursion, whatever nests in them.
            for _ in 0..self.0 {
                if elements.next_element::<&RawValue>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = elements.next_element::<&RawValue>()?;
            while elements.next_element::<&RawValue>()?.is_some() {}
            Ok(found)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_seq(Nth(index, PhantomData))?;
    reader.end()?;
    Ok(found)
}

/// Whether `json` is one object and nothing else.
pub(super) fn is_object(json: &str) -> bool {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
            while members.next_key::<IgnoredAny>()?.is_some() {
                let _: &RawValue = members.next_value()?;
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(json);
    let is_map = reader.deserialize_map(Members);
    is_map.and_then(|()| reader.end()).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check_event(json: &str, expected: Option<(&str, &str)>) {
        let found = EventPayload::parse(json);
        let parts = found
            .as_ref()
            .map(|event| (event.name(), event.arguments()));
        assert_eq!(parts, expected, "{json}");
        let owned = found.clone().map(EventPayload::into_owned);
        assert_eq!(owned, found);
    }

    #[test]
    fn an_event_is_a_name_and_arguments_as_they_were_spelt() {
        check_event(r#"["a"]"#, Some(("a", "")));
        check_event(
            r#"["message",1,"2",{"3":[true]}]"#,
            Some(("message", r#"1,"2",{"3":[true]}"#)),
        );
        check_event(" [ \"a\" , 1.50 ,\n 2 ] ", Some(("a", "1.50 ,\n 2")));
        check_event(r#"["a\"\u20ac",null]"#, Some(("a\"€", "null")));
        check_event(r#"["",[]]"#, Some(("", "[]")));
        check_event("[7,8]", Some(("7", "8")));
        check_event("[-1.5e3]", Some(("-1.5e3", "")));
    }

    #[test]
    fn anything_else_is_no_event() {
        for json in [
            "",
            "{}",
            "[]",
            "null",
            "1",
            "\"a\"",
            "[null]",
            "[true,1]",
            "[{}]",
            "[[\"a\"]]",
            "[\"a\"",
            "[\"a\",]",
            "[\"a\"]]",
            "[\"a\"] 1",
            "[\"a\" 1]",
            "abc[\"a\"]",
            "[\"\\x\"]",
            "[\"\\ud800\"]",
            "[1.]",
            "[\u{a0}1]",
        ] {
            check_event(json, None);
        }
    }

    #[test]
    fn arguments_are_found_by_their_place() {
        let event = EventPayload::parse(r#"["a", {"b":1} ,[2],"c"]"#).unwrap();
        assert_eq!(event.argument(0), Some(r#"{"b":1}"#));
        assert_eq!(event.argument(1), Some("[2]"));
        assert_eq!(event.argument(2), Some("\"c\""));
        assert_eq!(event.argument(3), None);
        assert_eq!(event.argument(usize::MAX), None);
        assert_eq!(event.json(), r#"["a", {"b":1} ,[2],"c"]"#);
    }

    #[test]
    fn an_array_may_be_empty_and_as_deep_as_it_likes() {
        let check = |json: &str, inside: Option<&str>| {
            let found = Array::parse(json);
            assert_eq!(found.as_ref().map(Array::inside), inside, "{json:.20}");
        };
        check("[]", Some(""));
        check(" [1, 2]\n", Some("1, 2"));
        for json in ["", "[", "{}", "[1", "[]x", "null"] {
            check(json, None);
        }
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert!(Array::parse(&deep).is_some());
        assert_eq!(Array::parse("[1,2]").unwrap().get(1), Some("2"));
    }

    #[test]
    fn objects_are_told_from_everything_else() {
        for json in ["{}", " {\"a\":[1]} ", "{\"a\":1,\"a\":{\"b\":{}}}"] {
            assert!(is_object(json), "{json}");
        }
        for json in [
            "", "[]", "null", "{", "{}}", "{\"a\"}", "{1:2}", "\"{}\"", "{} {}",
        ] {
            assert!(!is_object(json), "{json}");
        }
    }
}
