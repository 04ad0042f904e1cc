//! What a query and a path segment say once their percent-encoding is taken off.
//!
//! May not touch: routes, or what a name may contain. Invariant: each text is decoded exactly once
//! (`%2541` is `%41`, not `A`).

use std::borrow::Cow;

/// The pairs of a query, `+` and `%XX` decoded, in the order sent; a name without `=` has an empty
/// value. Bytes that are not UTF-8 become U+FFFD, as the URL standard says for forms.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

/// The pairs of a query as [`pairs`] gives them, but a value is `None` where a `%` is not followed
/// by two hexadecimal digits or the result is not UTF-8: for values that name something, which must
/// not quietly become another name.
pub fn strict_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Option<String>)> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = pairs(name)
            .next()
            .map_or(Cow::Borrowed(""), |(name, _)| name);
        (name, decode_segment(&value.replace('+', " ")))
    })
}

/// A path segment, percent-decoded once; `+` stays. None when a `%` is not followed by two
/// hexadecimal digits or the result is not UTF-8. The result may hold any character, `/` and NUL
/// too: whoever uses it as a name checks it.
#[must_use]
pub fn decode_segment(segment: &str) -> Option<String> {
    let escapes = segment.split('%').skip(1);
    for escape in escapes {
        let digits = escape.as_bytes().get(..2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
    }
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn decodes_segments_once_or_refuses_them() {
        let check = |segment: &str, expected: Option<&str>| {
            assert_eq!(decode_segment(segment).as_deref(), expected, "{segment}");
        };
        check("", Some(""));
        check("room", Some("room"));
        check("project%3A7", Some("project:7"));
        check("a+b", Some("a+b"));
        check("%2541", Some("%41"));
        check("%c3%A4", Some("ä"));
        check("%2f%00", Some("/\0"));
        check("100%", None);
        check("%4", None);
        check("%4g", None);
        check("%%41", None);
        check("%+1", None);
        check("%ä", None);
        check("%c3", None);
        check("%ff", None);
    }

    #[test]
    fn splits_queries_into_decoded_pairs() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            let found: Vec<_> = pairs(query).collect();
            let found: Vec<_> = found.iter().map(|(k, v)| (&**k, &**v)).collect();
            assert_eq!(found, expected, "{query}");
        };
        check("", &[]);
        check("room=a&room=b", &[("room", "a"), ("room", "b")]);
        check("x", &[("x", "")]);
        check("a=1+2%2B&&b==", &[("a", "1 2+"), ("b", "=")]);
        check("t=%zz%ff", &[("t", "%zz\u{fffd}")]);
    }

    #[test]
    fn strict_pairs_say_which_values_are_malformed() {
        let check = |query: &str, expected: &[(&str, Option<&str>)]| {
            let found: Vec<_> = strict_pairs(query).collect();
            let found: Vec<_> = found.iter().map(|(k, v)| (&**k, v.as_deref())).collect();
            assert_eq!(found, expected, "{query}");
        };
        check("", &[]);
        check("&&x", &[("x", Some(""))]);
        check(
            "a=1+2%2B&r%6Fom==&=",
            &[("a", Some("1 2+")), ("room", Some("=")), ("", Some(""))],
        );
        check(
            "a=%zz&b=%ff&c=%4&d=1",
            &[("a", None), ("b", None), ("c", None), ("d", Some("1"))],
        );
    }
}
