//! One argument of an agent's command: text, and places for the values of its parameters.
//!
//! `{name}` is a place, `{{` and `}}` are the braces themselves. Invariant: a value that is put into
//! an argument stays in it, and cannot make it a flag: what begins with a dash is known before any
//! value is there, and what is not, refuses values that would make it so.

use std::collections::BTreeMap;

/// One argument as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pieces: Vec<Piece>,
}

/// A part of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As it stands; never empty.
    Text(String),
    /// The value of the parameter of this name.
    Value(String),
}

/// Why an argument cannot be made of these values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentFault {
    /// The values would make a flag of what is none.
    #[error("the value of {name} must not begin with a dash, because it stands where a flag could")]
    Dash {
        /// The parameter whose value comes first.
        name: String,
    },
}

impl Argument {
    /// Reads an argument.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err(format!(
                "{text:?} holds a zero byte, which ends every argument"
            ));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            let doubled = ["{{", "}}"].into_iter().find(|two| from.starts_with(two));
            if let Some(two) = doubled {
                plain.push_str(two.get(..1).unwrap_or_default());
                rest = from.get(2..).unwrap_or_default();
                continue;
            }
            let place = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let Some((name, after)) = place.filter(|(name, _)| is_parameter_name(name)) else {
                return Err(format!(
                    "{text:?} has a brace that belongs to no {{parameter}}; write {{{{ or }}}} for \
                     the brace itself"
                ));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Value(name.to_owned()));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        let argument = Self { pieces };
        argument.require_closed_flag(text)?;
        Ok(argument)
    }

    /// A flag must be complete, up to its `=`, before a value is put into it.
    fn require_closed_flag(&self, text: &str) -> Result<(), String> {
        match self.pieces.as_slice() {
            [Piece::Text(flag), _, ..] if begins_with_dash(flag) && !flag.contains('=') => {
                Err(format!(
                    "{text:?} would let a value choose the flag; write --flag={{parameter}}, or \
                     two arguments"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The text, if there is no place for a value in it.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The parameters whose values it holds.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(name) => Some(name.as_str()),
        })
    }

    /// The argument with these values; `None` if one of them is missing.
    ///
    /// # Errors
    /// [`ArgumentFault`] if the values would make a flag of it.
    pub fn fill(&self, values: &BTreeMap<&str, String>) -> Result<Option<String>, ArgumentFault> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Value(name) => match values.get(name.as_str()) {
                    Some(value) => text.push_str(value),
                    None => return Ok(None),
                },
            }
        }
        match self.pieces.first() {
            Some(Piece::Value(name)) if begins_with_dash(&text) => {
                Err(ArgumentFault::Dash { name: name.clone() })
            }
            Some(Piece::Value(_) | Piece::Text(_)) | None => Ok(Some(text)),
        }
    }
}

/// Whether `text` begins with what a program, or somebody who converts it to another character set,
/// could take for the `-` of a flag.
#[must_use]
pub fn begins_with_dash(text: &str) -> bool {
    text.starts_with([
        '-', '\u{ad}', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}',
        '\u{2043}', '\u{2212}', '\u{2e3a}', '\u{2e3b}', '\u{fe58}', '\u{fe63}', '\u{ff0d}',
    ])
}

/// Whether `name` can be a parameter's: 1 to 64 of `a-z 0-9 _`, first a letter.
pub(super) fn is_parameter_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn filled(argument: &str, value: &str) -> Result<Option<String>, ArgumentFault> {
        let values = BTreeMap::from([("v", value.to_owned())]);
        Argument::parse(argument).unwrap().fill(&values)
    }

    #[test]
    fn values_stand_where_their_names_stood() {
        let check = |argument: &str, value: &str, expected: &str| {
            let found = filled(argument, value).unwrap();
            assert_eq!(found.as_deref(), Some(expected), "{argument}");
        };
        check("plain", "x", "plain");
        check("", "x", "");
        check("{v}", "x", "x");
        check("--flag={v}", "-x --y\nz", "--flag=-x --y\nz");
        check("a{v}b{v}", "x", "axbx");
        check("{{v}}{{{v}}}", "x", "{v}{x}");
        check("{v}", "{v}", "{v}");
        assert_eq!(filled("{other}", "x"), Ok(None));
    }

    #[test]
    fn what_could_be_a_flag_takes_no_dash() {
        for dash in [
            "-",
            "--all",
            "\u{2010}x",
            "\u{2212}",
            "\u{ff0d}f",
            "\u{ad}d",
        ] {
            let fault = ArgumentFault::Dash {
                name: "v".to_owned(),
            };
            assert_eq!(filled("{v}", dash), Err(fault), "{dash}");
        }
        let values = BTreeMap::from([("a", String::new()), ("b", "-x".to_owned())]);
        let both = Argument::parse("{a}{b}").unwrap();
        assert!(both.fill(&values).is_err(), "an empty value shields none");
        assert!(filled("file-{v}", "-x").is_ok());
    }

    #[test]
    fn an_argument_that_no_value_could_be_put_into_safely_is_refused() {
        for (argument, words) in [
            ("{", "no {parameter}"),
            ("}", "no {parameter}"),
            ("{}", "no {parameter}"),
            ("{A}", "no {parameter}"),
            ("{1a}", "no {parameter}"),
            ("{a b}", "no {parameter}"),
            ("{\"json\":1}", "{{ or }}"),
            ("-{v}", "choose the flag"),
            ("--{v}=1", "choose the flag"),
            ("-o{v}", "--flag={parameter}"),
            ("\u{2013}{v}", "choose the flag"),
            ("a\0", "zero byte"),
        ] {
            let problem = Argument::parse(argument).unwrap_err();
            assert!(problem.contains(words), "{argument}: {problem}");
        }
    }

    #[test]
    fn any_value_stays_inside_its_argument() {
        let letters: Vec<char> = "-=a \n\t{}$`;|&'\"\\%\u{2014}\u{ff0d}é".chars().collect();
        for seed in 0..2000 {
            let mut rng = Rng::from_seed(seed);
            let mut pick = || {
                let bound = u64::try_from(letters.len()).unwrap();
                letters[usize::try_from(rng.below(bound)).unwrap()]
            };
            let value: String = (0..6).map(|_| pick()).collect();
            let flag = filled("--flag={v}", &value).unwrap().unwrap();
            assert_eq!(flag.strip_prefix("--flag="), Some(&*value), "seed {seed}");
            match filled("{v}", &value) {
                Ok(found) => {
                    assert_eq!(found.as_deref(), Some(&*value), "seed {seed}");
                    assert!(!begins_with_dash(&value), "seed {seed}");
                }
                Err(ArgumentFault::Dash { .. }) => {
                    assert!(begins_with_dash(&value), "seed {seed}");
                }
            }
        }
    }
}
