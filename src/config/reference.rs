//! The reference of the configuration, made from the rows of `keys.rs`.
//!
//! Invariant: the same code gives the same text, so a test can hold docs/configuration.md to it.

use std::fmt::Write;

use super::key::Key;
use super::keys::{KEYS, variable};
use super::namespace_keys::{NAMESPACE_KEYS, in_namespace};
use super::reload::is_at_start;

/// What each section is about, in the reference's order.
const SECTIONS: [(&str, &str); 10] = [
    ("server", "Where the server listens and whom it answers."),
    ("auth", "Who may do what."),
    (
        "limits",
        "How much of everything there may be; each is counted when it is hit.",
    ),
    ("heartbeat", "How dead and idle peers are noticed."),
    (
        "compression",
        "Whether and how messages are compressed, see [protocol.md](protocol.md#compression).",
    ),
    (
        ROOMS,
        "The options of rooms, by the part of their name before the first `:`, or their whole \
         name if it has none. What a namespace does not set it takes from `[rooms.default]`, \
         which also serves rooms of no known namespace. `global`, `user`, `project`, `board`, \
         `agent`, `metrics` and `system` always exist; `metrics` starts from \
         `history_count = 1`, `publish = \"server\"` and `slow_consumer = \"latest\"`, `system` from \
         `history_count = 0`, `publish = \"server\"` and `slow_consumer = \"close\"`. A namespace \
         is called by 1 to 64 of `A-Z a-z 0-9 _ . -`; in variables it is lower case.",
    ),
    (
        "store",
        "How durable rooms are kept on disk, see [durable.md](durable.md).",
    ),
    ("backplane", "How several servers become one."),
    ("log", "What is logged, and where to."),
    ("debug", "Helpers that do not belong in production."),
];

const ROOMS: &str = "rooms.<namespace>";

/// Every key with its values, default, meaning and variable, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for (section, about) in SECTIONS {
        let heading = format!(
            "### `[{section}]`\n\n{about}\n\n\
             | Key | Value | Default | Meaning | Variable |\n|---|---|---|---|---|\n"
        );
        text.push_str(&heading);
        if section == ROOMS {
            for key in NAMESPACE_KEYS {
                add_row(
                    key,
                    key.name,
                    &in_namespace(key.name, "<namespace>"),
                    &mut text,
                );
            }
        }
        for key in KEYS {
            match key.name.split_once('.') {
                Some((of, short)) if of == section => add_row(key, short, key.name, &mut text),
                _ => {}
            }
        }
        text.push('\n');
    }
    text
}

fn add_row<T>(key: &Key<T>, short: &str, full: &str, text: &mut String) {
    let default = match key.default_literal() {
        none if none.is_empty() => "none".to_owned(),
        literal => format!("`{literal}`"),
    };
    let (value, doc, variable) = (key.describe(), key.doc, variable(full));
    let zero = key.never_zero.map(|why| format!(" Never 0: {why}."));
    let zero = zero.unwrap_or_default();
    let restart = match is_at_start(full) {
        true => " A change waits for a restart.",
        false => "",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "| `{short}` | {value} | {default} | {doc}{zero}{restart} | `{variable}` |"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_reference_once() {
        let text = reference();
        let names = KEYS.iter().map(|key| key.name.to_owned());
        let in_rooms = NAMESPACE_KEYS.iter();
        let in_rooms = in_rooms.map(|key| in_namespace(key.name, "<namespace>"));
        for name in names.chain(in_rooms) {
            let variable = format!("| `{}` |\n", variable(&name));
            assert_eq!(text.matches(&variable).count(), 1, "{name}");
        }
    }
}
