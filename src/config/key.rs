//! One key: how its value is read, where it goes, and how both are described.
//!
//! The rows are in `keys.rs`. Invariant: what [`Key::describe`] says is what [`Key::apply`] takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::auth::Secret;
use super::value;

/// One key of a `T`: the whole configuration, or the options of a namespace.
pub(super) struct Key<T: 'static> {
    /// `section.key`; in a namespace's table the key alone.
    pub(super) name: &'static str,
    /// How the value is read and where it goes.
    pub(super) kind: Kind<T>,
    /// The default as it would be written, without quotes; empty for none.
    pub(super) default: &'static str,
    /// What the key is for, for the reference.
    pub(super) doc: &'static str,
    /// Why 0 is refused, exactly if it is.
    pub(super) never_zero: Option<&'static str>,
}

/// What a value can be, with the place it goes to.
pub(super) enum Kind<T: 'static> {
    /// Addresses to listen on.
    Listen(fn(&mut T, Vec<SocketAddr>)),
    /// A list of what the first function reads.
    List(fn(&str) -> Result<String, String>, fn(&mut T, Vec<String>)),
    /// True or false.
    Flag(fn(&mut T, bool)),
    /// A whole number within bounds.
    Count(usize, usize, fn(&mut T, usize)),
    /// A number up to a billion; 0 lifts the limit.
    Limit(fn(&mut T, Option<usize>)),
    /// Bytes within bounds.
    Size(usize, usize, fn(&mut T, usize)),
    /// Bytes within bounds; 0 lifts the limit.
    SizeLimit(usize, usize, fn(&mut T, Option<usize>)),
    /// A duration, above zero because its row says so.
    Time(fn(&mut T, Duration)),
    /// A duration within bounds.
    TimeWithin(Duration, Duration, fn(&mut T, Duration)),
    /// A duration; 0 is never.
    TimeLimit(fn(&mut T, Option<Duration>)),
    /// A duration; 0 is none.
    Pause(fn(&mut T, Duration)),
    /// One word of several.
    Choice(&'static [Choice<T>]),
    /// An address with a port.
    Address(fn(&mut T, Option<SocketAddr>)),
    /// The path of a file.
    Path(fn(&mut T, PathBuf)),
    /// What nobody may see.
    Secret(fn(&mut T, Secret)),
    /// Tables, said how; `credentials.rs` reads them.
    Tables(&'static str),
}

/// A word that can be chosen.
pub(super) struct Choice<T: 'static> {
    pub(super) word: &'static str,
    /// `None` if what the word chooses is not in this version yet.
    pub(super) set: Option<fn(&mut T)>,
}

/// What is said of keys and words that later versions know.
pub(super) const NOT_YET: &str = "not in this version yet";

/// The bound of counts that need one only to be a number of this world.
pub(super) const BILLION: usize = 1_000_000_000;

impl<T: 'static> Key<T> {
    /// Reads `value` and puts it where it belongs in `target`.
    ///
    /// # Errors
    /// All that is wrong with the value; `target` is unchanged then.
    pub(super) fn apply(&self, target: &mut T, value: &Value) -> Result<(), Vec<String>> {
        let one = |problem: String| vec![problem];
        if let Some(why) = self.never_zero.filter(|_| value::is_zero(value)) {
            return Err(one(format!("must be above 0: {why}")));
        }
        match &self.kind {
            Kind::Listen(set) => set(target, value::listen(value)?),
            Kind::List(parse, set) => set(target, value::list(value, parse)?),
            Kind::Flag(set) => set(target, value::flag(value).map_err(one)?),
            Kind::Count(min, max, set) => {
                set(target, value::count(value, *min, *max).map_err(one)?);
            }
            Kind::Limit(set) => {
                let number = value::count(value, 0, BILLION).map_err(one)?;
                set(target, (number > 0).then_some(number));
            }
            Kind::Size(min, max, set) => {
                set(target, value::size(value, *min, *max).map_err(one)?);
            }
            Kind::SizeLimit(min, max, set) => match value::is_zero(value) {
                true => set(target, None),
                false => set(target, Some(value::size(value, *min, *max).map_err(one)?)),
            },
            Kind::Time(set) | Kind::Pause(set) => {
                set(target, value::duration(value).map_err(one)?);
            }
            Kind::TimeWithin(min, max, set) => {
                set(target, duration_within(value, *min, *max).map_err(one)?);
            }
            Kind::TimeLimit(set) => {
                let time = value::duration(value).map_err(one)?;
                set(target, (!time.is_zero()).then_some(time));
            }
            Kind::Choice(choices) => choose(choices, target, value).map_err(one)?,
            Kind::Address(set) => {
                let text = value.as_str().unwrap_or_default();
                set(target, Some(value::address(text).map_err(one)?));
            }
            Kind::Path(set) => set(target, value::path(value).map_err(one)?),
            Kind::Secret(set) => match value.as_str() {
                Some(text) if !text.is_empty() => set(target, Secret::new(text.as_bytes())),
                // The value is not quoted: it could be a secret.
                Some(_) | None => return Err(one("must be a string, not empty".to_owned())),
            },
            Kind::Tables(_) => {}
        }
        Ok(())
    }

    /// What the text of an environment variable would be in the file.
    pub(super) fn value_of_text(&self, text: &str) -> Value {
        let string = || Value::String(text.to_owned());
        match &self.kind {
            Kind::Listen(_) | Kind::List(..) => list_from_text(text),
            Kind::Flag(_) => text.parse().map_or_else(|_| string(), Value::Boolean),
            Kind::Count(..) | Kind::Limit(_) | Kind::Size(..) | Kind::SizeLimit(..) => {
                text.parse().map_or_else(|_| string(), Value::Integer)
            }
            Kind::Time(_)
            | Kind::TimeWithin(..)
            | Kind::TimeLimit(_)
            | Kind::Pause(_)
            | Kind::Choice(_)
            | Kind::Address(_)
            | Kind::Path(_)
            | Kind::Secret(_) => string(),
            Kind::Tables(_) => text.parse().unwrap_or_else(|_| string()),
        }
    }

    /// What the value can be, for the reference.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Listen(_) | Kind::List(..) => "string or list".to_owned(),
            Kind::Flag(_) => "true or false".to_owned(),
            Kind::Count(min, max, _) => format!("{min} to {max}"),
            Kind::Limit(_) => "number, 0 is no limit".to_owned(),
            Kind::Size(min, max, _) => {
                let (min, max) = (value::show_size(*min), value::show_size(*max));
                format!("size, {min} to {max}")
            }
            Kind::SizeLimit(min, max, _) => {
                let (min, max) = (value::show_size(*min), value::show_size(*max));
                format!("size, {min} to {max}, 0 is no limit")
            }
            Kind::Time(_) => "duration".to_owned(),
            Kind::TimeWithin(min, max, _) => {
                let (min, max) = (value::show_duration(*min), value::show_duration(*max));
                format!("duration, {min} to {max}")
            }
            Kind::TimeLimit(_) => "duration, 0 is never".to_owned(),
            Kind::Pause(_) => "duration, 0 is none".to_owned(),
            Kind::Choice(choices) => quoted_words(choices),
            Kind::Address(_) => "address with port".to_owned(),
            Kind::Path(_) => "path".to_owned(),
            Kind::Secret(_) => "string".to_owned(),
            Kind::Tables(how) => (*how).to_owned(),
        }
    }

    /// The default as it is written in the file; empty for none.
    pub(super) fn default_literal(&self) -> String {
        match &self.kind {
            Kind::Address(_) | Kind::Path(_) | Kind::Secret(_) if self.default.is_empty() => {
                String::new()
            }
            Kind::List(..) | Kind::Flag(_) | Kind::Count(..) | Kind::Limit(_) | Kind::Tables(_) => {
                self.default.to_owned()
            }
            // Plain bytes are a number.
            Kind::Size(..) if self.default.ends_with(|last: char| last.is_ascii_digit()) => {
                self.default.to_owned()
            }
            Kind::Listen(_)
            | Kind::Address(_)
            | Kind::Path(_)
            | Kind::Size(..)
            | Kind::SizeLimit(..)
            | Kind::Time(_)
            | Kind::TimeWithin(..)
            | Kind::TimeLimit(_)
            | Kind::Pause(_)
            | Kind::Choice(_)
            | Kind::Secret(_) => format!("\"{}\"", self.default),
        }
    }
}

/// A duration from `min` to `max`.
fn duration_within(value: &Value, min: Duration, max: Duration) -> Result<Duration, String> {
    let found = value::duration(value)?;
    if (min..=max).contains(&found) {
        return Ok(found);
    }
    let (min, max) = (value::show_duration(min), value::show_duration(max));
    Err(format!(
        "{} is not from {min} to {max}",
        value::shown(value)
    ))
}

/// The words of this version.
fn quoted_words<T>(choices: &[Choice<T>]) -> String {
    let available = choices.iter().filter(|choice| choice.set.is_some());
    let words: Vec<String> = available
        .map(|choice| format!("\"{}\"", choice.word))
        .collect();
    words.join(", ")
}

fn choose<T>(choices: &[Choice<T>], target: &mut T, value: &Value) -> Result<(), String> {
    let chosen = choices
        .iter()
        .find(|choice| value.as_str() == Some(choice.word));
    let (given, words) = (value::shown(value), quoted_words(choices));
    match chosen.map(|choice| choice.set) {
        Some(Some(set)) => {
            set(target);
            Ok(())
        }
        Some(None) => Err(format!("{given} is {NOT_YET}; write {words}")),
        None => Err(format!("{given} is not one of {words}")),
    }
}

/// A list from the text of a variable: a TOML or JSON array, or a single item.
pub(super) fn list_from_text(text: &str) -> Value {
    if text.is_empty() {
        return Value::Array(Vec::new());
    }
    match text.parse() {
        Ok(Value::Array(items)) => Value::Array(items),
        _ => Value::String(text.to_owned()),
    }
}
