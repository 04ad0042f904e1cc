//! What a client shows when it connects to a namespace, as far as a server looks into it.
//!
//! Its object is the application's; three of its members mean something here. One that is no string
//! is the application's, too, and no mistake.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::socket_io::array::string;

/// The members of a CONNECT's object that mean something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// `token`: who the client is.
    pub token: Option<Cow<'a, str>>,
    /// `pid`: whose place it wants back; it was told it when it connected before, and it is secret.
    pub recovery: Option<Cow<'a, str>>,
    /// `offset`: the last it heard there; none if it heard nothing.
    pub offset: Option<Cow<'a, str>>,
}

impl<'a> Auth<'a> {
    /// Reads the object of a CONNECT, or nothing. Of members that are there twice the last counts,
    /// as in JavaScript.
    #[must_use]
    pub fn parse(json: Option<&'a str>) -> Self {
        let mut reader = match json {
            Some(json) => serde_json::Deserializer::from_str(json),
            None => return Self::default(),
        };
        reader.deserialize_map(Members).unwrap_or_default()
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Auth<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Auth<'de>, A::Error> {
        let mut auth = Auth::default();
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            let value: &RawValue = members.next_value()?;
            let member = match &*name {
                "token" => &mut auth.token,
                "pid" => &mut auth.recovery,
                "offset" => &mut auth.offset,
                _ => continue,
            };
            *member = string(value.get());
        }
        Ok(auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_taken_and_everything_else_is_the_applications() {
        let check = |json: Option<&str>, token, recovery, offset| {
            let auth = Auth::parse(json);
            let found = (&auth.token, &auth.recovery, &auth.offset);
            let found = (found.0.as_deref(), found.1.as_deref(), found.2.as_deref());
            assert_eq!(found, (token, recovery, offset), "{json:?}");
        };
        check(None, None, None, None);
        check(Some("{}"), None, None, None);
        check(
            Some(r#"{"token":"a\u0062","pid":"p","offset":"o","x":[1]}"#),
            Some("ab"),
            Some("p"),
            Some("o"),
        );
        check(
            Some(r#"{"token":7,"pid":null,"offset":5}"#),
            None,
            None,
            None,
        );
        check(Some(r#"{"token":"a","token":"b"}"#), Some("b"), None, None);
        check(Some(r#"{"token":"a","token":{}}"#), None, None, None);
        check(
            Some(r#"{"Token":"a","data":{"token":"b"}}"#),
            None,
            None,
            None,
        );
        check(Some(r#"{"\u0074oken":"a"}"#), Some("a"), None, None);
        check(Some("[]"), None, None, None);
    }
}
