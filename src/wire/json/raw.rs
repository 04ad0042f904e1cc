//! Published data stays the text that was sent: checked for depth, put on one line, never rebuilt.
//!
//! `serde_json` reads a `RawValue` with a loop and without its recursion limit, so a megabyte of
//! `[` closed by as many `]` passes it; the depth is checked here. Invariant: nothing here
//! recurses, and the work is linear in the text.

use std::borrow::Cow;

/// Why a JSON text is refused; the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Arrays and objects are nested deeper than allowed.
    #[error("arrays and objects may be nested {limit} deep, not deeper")]
    TooDeep {
        /// The depth that is allowed; a scalar has depth 0, `[]` has depth 1.
        limit: usize,
    },
}

/// The same JSON on one line: without whitespace between its tokens if it had a line break,
/// otherwise as it is and without a copy.
///
/// `raw` must be one valid JSON text, as that of a `RawValue` is. Any other text gives some result,
/// never a panic.
///
/// # Errors
/// [`JsonFault::TooDeep`] if arrays and objects nest deeper than `depth_max`.
pub fn compact(raw: &str, depth_max: usize) -> Result<Cow<'_, str>, JsonFault> {
    // Each level needs two bytes, so a short text need not be walked.
    if raw.len() / 2 > depth_max && depth(raw) > depth_max {
        return Err(JsonFault::TooDeep { limit: depth_max });
    }
    // Strings of valid JSON hold no raw line breaks, so any that is found stands between tokens.
    if memchr::memchr2(b'\n', b'\r', raw.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    Ok(Cow::Owned(without_whitespace(raw)))
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "a Vec takes every byte and str is UTF-8");
}

/// How deep arrays and objects nest.
fn depth(raw: &str) -> usize {
    let (mut now, mut deepest) = (0usize, 0usize);
    let mut place = Place::Between;
    for byte in raw.bytes() {
        if place == Place::Between {
            match byte {
                b'[' | b'{' => now += 1,
                b']' | b'}' => now = now.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(now);
        }
        place = place.after(byte);
    }
    deepest
}

/// A copy without the four whitespace characters of RFC 8259 section 2, but for those in strings.
fn without_whitespace(raw: &str) -> String {
    let mut line = String::with_capacity(raw.len());
    let mut place = Place::Between;
    for character in raw.chars() {
        if place != Place::Between || !matches!(character, ' ' | '\t' | '\n' | '\r') {
            line.push(character);
        }
        // Only ASCII moves the place on; any other character stands inside a string.
        place = place.after(u8::try_from(character).unwrap_or(b'x'));
    }
    line
}

/// Where in a JSON text the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    InString,
    AfterBackslash,
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Between, b'"') | (Self::AfterBackslash, _) => Self::InString,
            (Self::InString, b'"') => Self::Between,
            (Self::InString, b'\\') => Self::AfterBackslash,
            (place @ (Self::Between | Self::InString), _) => place,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn strips_whitespace_only_when_there_is_a_line_break() {
        let check = |raw: &str, expected: &str| {
            let line = compact(raw, 8).unwrap();
            assert_eq!(line, expected, "{raw:?}");
            let is_copy = matches!(line, Cow::Owned(_));
            assert_eq!(is_copy, raw.contains(['\n', '\r']), "{raw:?}");
        };
        check("null", "null");
        check("{ \"a\" : 1 }", "{ \"a\" : 1 }");
        check("{\n\t\"a\" : [ 1 , 2 ]\r\n}", "{\"a\":[1,2]}");
        check(
            "[\n\" a\\\" [ \\\\\" , \"é ✓\" ]",
            "[\" a\\\" [ \\\\\",\"é ✓\"]",
        );
        check("\r7", "7");
    }

    #[test]
    fn refuses_what_nests_deeper_than_the_limit() {
        let check = |raw: &str, depth_max: usize, fits: bool| {
            assert_eq!(
                compact(raw, depth_max).is_ok(),
                fits,
                "{raw:.40} {depth_max}"
            );
        };
        check("1", 0, true);
        check("[]", 0, false);
        check("[[],{}]", 2, true);
        check("[[],{\"a\":[]}]", 2, false);
        check("\"[[[[\\\"[[[[\"", 0, true);
        check("[\"]\",[\"]\",[]]]", 2, false);
        for depth in [127, 128, 129, 500_000] {
            let raw = "[".repeat(depth) + &"]".repeat(depth);
            check(&raw, 128, depth <= 128);
        }
    }

    #[test]
    fn a_raw_value_may_be_as_deep_as_it_likes_before_it_is_checked() {
        let raw = "[".repeat(500_000) + &"]".repeat(500_000);
        let value: &RawValue = serde_json::from_str(&raw).unwrap();
        assert_eq!(
            compact(value.get(), 128),
            Err(JsonFault::TooDeep { limit: 128 })
        );
    }

    #[test]
    fn survives_text_that_is_not_json() {
        for raw in ["", "]]]\n", "\"\\\n", "\n\"é", "}{\r"] {
            assert!(compact(raw, 1).is_ok(), "{raw:?}");
            let _ = compact(raw, 0);
        }
    }

    #[test]
    fn one_line_means_what_the_many_lines_meant() {
        fn random_value(rng: &mut Rng, depth: usize) -> Value {
            match rng.below(if depth == 0 { 4 } else { 6 }) {
                0 => Value::Null,
                1 => json!(rng.next_u64()),
                2 => json!("a \n \" \\ [ { é \u{2028}"),
                3 => json!(" "),
                4 => (0..rng.below(4))
                    .map(|_| random_value(rng, depth - 1))
                    .collect(),
                _ => (0..rng.below(4))
                    .map(|n| (format!("k \"{n}"), random_value(rng, depth - 1)))
                    .collect(),
            }
        }
        fn depth_of(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
                Value::Object(map) => 1 + map.values().map(depth_of).max().unwrap_or(0),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
            }
        }
        for seed in 0..256 {
            let value = random_value(&mut Rng::from_seed(seed), 6);
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let depth = depth_of(&value);
            let line = compact(&pretty, depth).unwrap();
            assert!(!line.contains(['\n', '\r']), "seed {seed}");
            assert_eq!(
                serde_json::from_str::<Value>(&line).unwrap(),
                value,
                "seed {seed}"
            );
            if depth > 0 {
                let fault = JsonFault::TooDeep { limit: depth - 1 };
                assert_eq!(compact(&pretty, depth - 1), Err(fault), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_written_string_reads_back() {
        for text in ["", "plain", "\" \\ \n \0 \u{7f}", "é✓😀"] {
            let mut out = b">".to_vec();
            write_string(text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out[1..]).unwrap(), text);
            assert!(!out.contains(&b'\n'));
        }
    }
}
