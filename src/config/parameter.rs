//! What a client may set of an agent's command: typed, bounded, and checked before it is used.
//!
//! Invariant: a value that [`Parameter::check`] takes holds no zero byte and no other control
//! character than tab, and line breaks only if it is declared to have several lines.

/// One parameter of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// What its value can be.
    pub kind: ParameterKind,
    /// Whether a run without it is refused. An argument whose parameter has no value is left out.
    pub required: bool,
    /// The value if none is given; one that `kind` takes.
    pub default: Option<String>,
}

/// What the value of a parameter can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text.
    Text {
        /// Bytes it may have, 1 to 64 KiB.
        bytes_max: usize,
        /// Whether it may have line breaks.
        multi_line: bool,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest, not below `min`.
        max: i64,
    },
    /// One of these words, at least one.
    Choice(Vec<String>),
    /// The path of a file or directory, which lies under the roots of the projects; relative ones
    /// are in the project.
    Path,
}

/// Bytes of a path: Linux's PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;

impl Parameter {
    /// Checks a value as it will stand in the command line.
    ///
    /// # Errors
    /// What it must be, as it stands after the parameter's name.
    pub fn check(&self, value: &str) -> Result<(), String> {
        self.kind.check(value)
    }
}

impl ParameterKind {
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        match self {
            Self::Text {
                bytes_max,
                multi_line,
            } => check_text(value, *bytes_max, *multi_line),
            Self::Integer { min, max } => {
                let number = value.parse::<i64>().ok();
                // Leading zeros and plus signs mean different things to different programs.
                match number.filter(|number| number.to_string() == value) {
                    Some(number) if (*min..=*max).contains(&number) => Ok(()),
                    Some(_) | None => Err(format!("must be a whole number from {min} to {max}")),
                }
            }
            Self::Choice(words) => match words.iter().any(|word| word == value) {
                true => Ok(()),
                false => Err(format!("must be one of {}", words.join(", "))),
            },
            Self::Path => check_path(value),
        }
    }
}

/// Checks that `text` has at most `bytes_max` bytes and no control characters.
pub(super) fn check_text(text: &str, bytes_max: usize, multi_line: bool) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!(
            "must have at most {bytes_max} bytes, not {}",
            text.len()
        ));
    }
    let is_break =
        |letter: char| matches!(letter, '\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{85}');
    if !multi_line && text.contains(is_break) {
        return Err("must be one line".to_owned());
    }
    let wrong = |letter: char| letter.is_control() && letter != '\t' && !is_break(letter);
    match text.contains(wrong) {
        true => Err("must have no control characters".to_owned()),
        false => Ok(()),
    }
}

/// Checks what of a path can be seen without looking at the disk.
fn check_path(path: &str) -> Result<(), String> {
    check_text(path, PATH_BYTES_MAX, false)?;
    let leaves = path.split('/').any(|component| component == "..");
    if path.is_empty() || path.starts_with('~') || leaves {
        return Err("must be a path without ~ and ..".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &ParameterKind, good: &[&str], bad: &[&str]) {
        for value in good {
            assert_eq!(kind.check(value), Ok(()), "{value:?}");
        }
        for value in bad {
            assert!(kind.check(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn texts_have_bounds_and_no_control_characters() {
        let mut kind = ParameterKind::Text {
            bytes_max: 8,
            multi_line: false,
        };
        let bad = [
            "123456789",
            "ééééé",
            "a\0",
            "\u{1b}[0m",
            "\u{7f}",
            "\u{9b}m",
        ];
        check(&kind, &["", "12345678", "$(x) `y`", "a\tb", "-é✓"], &bad);
        let lines = ["a\nb", "a\r\nb", "a\u{2028}b"];
        check(&kind, &[], &lines);
        kind = ParameterKind::Text {
            bytes_max: 8,
            multi_line: true,
        };
        check(&kind, &lines, &bad);
    }

    #[test]
    fn numbers_have_one_spelling() {
        let kind = ParameterKind::Integer { min: -5, max: 10 };
        let bad = [
            "",
            "-6",
            "11",
            "+1",
            "01",
            "1.0",
            "1e0",
            " 1",
            "٣",
            "-0",
            "99999999999999999999",
        ];
        check(&kind, &["-5", "0", "10"], &bad);
    }

    #[test]
    fn choices_and_paths_are_what_they_say() {
        let words = ParameterKind::Choice(vec!["a".to_owned(), "b c".to_owned()]);
        check(&words, &["a", "b c"], &["", "A", "b", "a "]);
        let good = ["a", "a/b", "/a", "./a", "...", "a..b"];
        let bad = ["", "..", "a/../b", "/..", "~", "~root/x", "a\nb", "a\0"];
        check(&ParameterKind::Path, &good, &bad);
        check(&ParameterKind::Path, &[], &[&"x".repeat(4097)]);
    }
}
