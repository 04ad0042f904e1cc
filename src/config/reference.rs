//! The reference of the configuration, made from the rows of `keys.rs`.
//!
//! Invariant: the same code gives the same text, so a test can hold docs/configuration.md to it.

use std::fmt::Write;

use super::agent_keys::AGENT_KEYS;
use super::families::{AGENTS, Family, ROOMS};
use super::key::Key;
use super::keys::{keys, variable};
use super::namespace_keys::NAMESPACE_KEYS;
use super::reload::is_at_start;

/// What each section is about, in the reference's order.
const SECTIONS: [(&str, &str); 18] = [
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
        "rooms.<namespace>",
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
    (
        "projects",
        "Where runs happen; a running server takes changes at once, for what comes next.",
    ),
    (
        "agents.<agent>",
        "The commands that runs may execute. `claude` always exists, with `kind = \"claude\"` and \
         `command = \"claude\"`. A running server takes changes at once: runs that have begun go \
         on as they are. An agent is called by 1 to 64 of `A-Z a-z 0-9 _ . -`; in variables it is \
         lower case.",
    ),
    ("protocol", "How messages are spelt where clients differ."),
    (
        "socketio",
        "Where and how Socket.IO is served. A running server takes changes at once, for what comes \
         next.",
    ),
    ("backplane", "How several servers become one."),
    ("host", "How the machine is watched."),
    (
        "metrics",
        "How the server tells of itself, see [metrics.md](metrics.md).",
    ),
    (
        "webhooks",
        "Whose webhooks are taken, see [http-api.md](http-api.md#webhooks). A running server takes \
         another secret at once.",
    ),
    (
        "emitters",
        "Back ends that emit by way of Redis, see [emitters.md](emitters.md).",
    ),
    ("log", "What is logged, and where to."),
    ("debug", "Helpers that do not belong in production."),
];

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
        match section.split_once('.') {
            Some((of, _)) if of == ROOMS.section => add_rows(NAMESPACE_KEYS, &ROOMS, &mut text),
            Some(_) => add_rows(AGENT_KEYS, &AGENTS, &mut text),
            None => {}
        }
        for key in keys() {
            match key.name.split_once('.') {
                Some((of, short)) if of == section => add_row(key, short, key.name, &mut text),
                _ => {}
            }
        }
        text.push('\n');
    }
    text
}

fn add_rows<T>(keys: &[Key<T>], family: &Family, text: &mut String) {
    for key in keys {
        let full = family.full(family.placeholder, key.name);
        add_row(key, key.name, &full, text);
    }
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
    use crate::config::families::FAMILIES;

    #[test]
    fn every_key_is_in_the_reference_once() {
        let text = reference();
        let names = keys().map(|key| key.name.to_owned());
        let in_families = FAMILIES.iter().flat_map(|family| {
            let keys = (family.keys)().into_iter();
            keys.map(|key| family.full(family.placeholder, key))
        });
        for name in names.chain(in_families) {
            let variable = format!("| `{}` |\n", variable(&name));
            assert_eq!(text.matches(&variable).count(), 1, "{name}");
        }
    }
}
