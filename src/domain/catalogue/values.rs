//! What single members of an event may be: ids, numbers within bounds, times, links.
//!
//! A type's check and its JSON Schema stand side by side here, so that neither says what the other
//! does not. Invariant: an [`Id`] is fit for a room's name.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::clock::Wall;
use crate::domain::room::RoomName;

/// The longest id in bytes: the longest room name less the longest namespace, with some to spare.
const ID_BYTES: usize = 240;

/// What is said of ids, and of the texts that are none.
const ID: &str = "an id: 1 to 240 bytes of printable ASCII without space, asterisk, comma, double \
                  quote and backslash, or a whole number";

/// Who or what it is about: a text or a whole number, which counts as its digits.
// Private, because it is fit for the name of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Id(Box<str>);

impl Id {
    /// Takes `text` as it is; `None` if it is no id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= ID_BYTES && RoomName::parse(text).is_ok();
        fits.then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ID)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id::from(number))
            }
        }
        from.deserialize_any(Reader)
    }
}

impl JsonSchema for Id {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minLength": 1,
            "maxLength": ID_BYTES,
            "pattern": r#"^[!#-)+\-.-\[\]-~]+$"#,
            "minimum": 0,
        })
    }
}

/// A number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Within<const MIN: u32, const MAX: u32>(f64);

impl<const MIN: u32, const MAX: u32> Within<MIN, MAX> {
    /// The least of them.
    pub const LEAST: Self = Self(MIN as f64);
    /// The greatest of them.
    pub const GREATEST: Self = Self(MAX as f64);
}

impl<const MIN: u32, const MAX: u32> Serialize for Within<MIN, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Within these bounds a whole number is an exact one.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        match self.0.fract() == 0.0 {
            true => to.serialize_u64(self.0 as u64),
            false => to.serialize_f64(self.0),
        }
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<const MIN: u32, const MAX: u32>;
        impl<const MIN: u32, const MAX: u32> Visitor<'_> for Reader<MIN, MAX> {
            type Value = Within<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from {MIN} to {MAX}")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                let wrong = || E::invalid_value(Unexpected::Float(number), &self);
                let fits = (f64::from(MIN)..=f64::from(MAX)).contains(&number);
                fits.then_some(Within(number)).ok_or_else(wrong)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                let wrong = || E::invalid_value(Unexpected::Unsigned(number), &self);
                let fits = u32::try_from(number)
                    .ok()
                    .filter(|n| (MIN..=MAX).contains(n));
                fits.map(|n| Within(f64::from(n))).ok_or_else(wrong)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                let wrong = || E::invalid_value(Unexpected::Signed(number), &self);
                u64::try_from(number)
                    .map_err(|_| wrong())
                    .and_then(|n| self.visit_u64(n))
            }
        }
        from.deserialize_any(Reader::<MIN, MAX>)
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Within<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("From{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": MIN, "maximum": MAX })
    }
}

/// A whole number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Count(pub u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count(number))
            }
        }
        from.deserialize_any(Reader)
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }
}

/// Reads a text that is `right`.
struct Text<T> {
    parse: fn(&str) -> Option<T>,
    right: &'static str,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.right)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A time as RFC 3339 spells it, from 1970; one without an offset is in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Time(Box<str>);

impl Time {
    /// Takes `text` as it is; `None` if it is no time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_time = |text: &str| Wall::parse_rfc3339(text).is_some();
        // Python spells the time of UTC without saying so.
        let fits = is_time(text) || is_time(&format!("{text}Z"));
        fits.then(|| Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Text {
            parse: Self::parse,
            right: "a time from 1970 such as 2026-01-02T03:04:05Z",
        })
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// An absolute URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link(Box<str>);

impl Link {
    /// Takes `text` as it is; `None` if it is no absolute URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_of_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let has_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(is_of_scheme);
        let is_clean =
            !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control());
        (has_scheme && is_clean).then(|| Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Text {
            parse: Self::parse,
            right: "a URL such as https://github.com/octocat/hello",
        })
    }
}

impl JsonSchema for Link {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Link".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri" })
    }
}
