//! Compares what a server said with what a document says, placeholders included.
//!
//! Invariant: every member that is expected must be there, and no other.

use std::collections::BTreeMap;

use kinglet::testkit::tokens::Token;
use serde_json::Value;

/// What the named placeholders of a transcript stand for, once they have been seen.
#[derive(Debug, Default)]
pub struct Placeholders(BTreeMap<String, Value>);

impl Placeholders {
    /// What is known before anything was said.
    pub fn of(name: &str, value: &str) -> Self {
        Self(BTreeMap::from([(name.to_owned(), value.into())]))
    }

    /// `text` with every placeholder replaced by its value.
    ///
    /// # Errors
    /// When the server has not said one of them yet.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = with_tokens(text);
        for (name, value) in &self.0 {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            filled = filled.replace(&format!("<{name}>"), &value);
        }
        match filled
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
        {
            Some((name, _)) => Err(format!("<{name}> has not been seen yet")),
            None => Ok(filled),
        }
    }

    /// Compares `found` with `expected`.
    ///
    /// # Errors
    /// The first difference, with the path to it.
    pub fn compare(&mut self, expected: &Value, found: &Value) -> Result<(), String> {
        self.compare_at("", expected, found)
    }

    fn compare_at(&mut self, path: &str, expected: &Value, found: &Value) -> Result<(), String> {
        match (expected, found) {
            (Value::String(text), _) if name(text).is_some() => {
                let name = name(text).unwrap_or_default();
                self.placeholder(name, found)
                    .map_err(|fault| format!("{path}: {fault}"))
            }
            (Value::Object(wanted), Value::Object(got)) => {
                let missing = wanted.keys().find(|key| !got.contains_key(*key));
                let extra = got.keys().find(|key| !wanted.contains_key(*key));
                if let Some(key) = missing {
                    return Err(format!("{path}.{key} is missing"));
                }
                if let Some(key) = extra {
                    return Err(format!("{path}.{key} is there and not described"));
                }
                wanted.iter().try_for_each(|(key, value)| {
                    self.compare_at(&format!("{path}.{key}"), value, &got[key])
                })
            }
            (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
                let mut pairs = wanted.iter().zip(got).enumerate();
                pairs.try_for_each(|(index, (wanted, got))| {
                    self.compare_at(&format!("{path}[{index}]"), wanted, got)
                })
            }
            _ if expected == found => Ok(()),
            _ => Err(format!("{path} is {found} and should be {expected}")),
        }
    }

    fn placeholder(&mut self, name: &str, found: &Value) -> Result<(), String> {
        let text = found.as_str();
        let fits = match name {
            "int" => found.is_u64(),
            "number" => found.is_number(),
            "text" => text.is_some_and(|text| !text.is_empty()),
            "object" => found.is_object(),
            "time" => text.is_some_and(is_time),
            _ => {
                let known = self
                    .0
                    .entry(name.to_owned())
                    .or_insert_with(|| found.clone());
                known == found
            }
        };
        if fits {
            Ok(())
        } else {
            Err(format!("<{name}> cannot be {found}"))
        }
    }
}

/// `text` with a token in place of each `<token:USER>`.
fn with_tokens(text: &str) -> String {
    let mut pieces = text.split("<token:");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (user, rest) = piece.split_once('>').unwrap_or((piece, ""));
        filled += &Token::of(user).sign();
        filled += rest;
    }
    filled
}

/// The name of the placeholder that `text` is.
fn name(text: &str) -> Option<&str> {
    text.strip_prefix('<')?.strip_suffix('>')
}

/// Whether `text` is RFC 3339 in UTC with milliseconds.
fn is_time(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00.000Z";
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                _ => byte == wanted,
            })
}
