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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_forge_lines_or_command_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(on_one_line(text), expected);
        check("as it stands, \u{e9}", "as it stands, \u{e9}");
        check("a\n\u{1b}[2J\u{e9}", "a\\n\\u{1b}[2J\u{e9}");
        check("\r\t\0\u{9b}", "\\r\\t\\u{0}\\u{9b}");
    }
}
