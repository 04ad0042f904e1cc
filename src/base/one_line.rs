//! Text from elsewhere, fit for a line of a log or of a terminal.

use std::borrow::Cow;

/// The text with its control characters spelt as in Rust (`\n`, `\u{1b}`), so that nobody can
/// forge a line or command a terminal. Allocates only if there is one.
#[must_use]
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    Cow::Owned(line)
}

/// As much of the text as fits into so many bytes, in whole characters.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> &str {
    let ends = (0..=bytes.min(text.len())).rev();
    let mut parts = ends.filter_map(|end| text.get(..end));
    parts.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_whole_characters() {
        let check = |text: &str, bytes: usize, expected: &str| {
            assert_eq!(cut(text, bytes), expected, "{text} {bytes}");
        };
        check("abc", 9, "abc");
        check("abc", 3, "abc");
        check("abc", 2, "ab");
        check("a\u{e9}\u{20ac}", 5, "a\u{e9}");
        check("a\u{e9}\u{20ac}", 2, "a");
        check("\u{20ac}", 2, "");
        check("", 0, "");
    }

    #[test]
    fn a_peer_cannot_forge_lines_or_command_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(on_one_line(text), expected);
        check("as it stands, \u{e9}", "as it stands, \u{e9}");
        check("a\n\u{1b}[2J\u{e9}", "a\\n\\u{1b}[2J\u{e9}");
        check("\r\t\0\u{9b}", "\\r\\t\\u{0}\\u{9b}");
    }
}
