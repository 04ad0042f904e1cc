//! os-release(5): lines of `NAME=value`, where the value is quoted as a shell would have it.

/// The value of the first line for `name`, if it says something.
pub(in crate::host) fn value(text: &str, name: &str) -> Option<String> {
    let written = text.lines().find_map(|line| {
        let (key, written) = line.trim().split_once('=')?;
        (key == name).then_some(written)
    })?;
    let value = unquote(written);
    (!value.is_empty()).then_some(value)
}

/// The word that a shell would make of `written`. There are no variables in such a file, so only
/// quotes and backslashes matter; what follows the word, such as a comment, is dropped.
fn unquote(written: &str) -> String {
    let mut value = String::new();
    let mut quote = None;
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => value.extend(characters.next()),
            ('"' | '\'', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            (_, None) if character.is_whitespace() => break,
            // It is shown in the log and in answers, in one line.
            _ if character.is_control() => {}
            _ => value.push(character),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_in_a_shell() {
        let check = |written: &str, expected: Option<&str>| {
            let text = format!("# comment\nOTHER=x\n  NAME={written}\nNAME=second\n");
            assert_eq!(value(&text, "NAME").as_deref(), expected, "{written}");
        };
        check("alpine", Some("alpine"));
        check("\"Debian GNU/Linux\"", Some("Debian GNU/Linux"));
        check("'Arch Linux'", Some("Arch Linux"));
        check("\"a \\\"b\\\" \\$c \\\\\"", Some("a \"b\" $c \\"));
        check("'a\\b'", Some("a\\b"));
        check("one two", Some("one"));
        check("\"open", Some("open"));
        check("\"a\u{7}b\"", Some("ab"));
        check("", None);
        check("\"\"", None);
        check("\\", None);
    }

    #[test]
    fn rubbish_has_no_values() {
        for text in ["", "NAME", "=x", "NAMES=x", "\0\0=", "NAME\n=x"] {
            assert_eq!(value(text, "NAME"), None, "{text:?}");
        }
    }
}
