//! Sections whose tables carry names that the operator chooses: `[rooms.<namespace>]` and
//! `[agents.<agent>]`.
//!
//! The rows of their keys are in `namespace_keys.rs` and `agent_keys.rs`; here is what is the same
//! for both. Invariant: the two sections differ, so a name of a section leads to one family.

use std::collections::BTreeMap;

use toml::Value;

use super::agent_keys::AGENT_KEYS;
use super::key::Key;
use super::namespace_keys::NAMESPACE_KEYS;
use super::raw::{Raw, Written};

/// What was written in the tables of a family, by table and key; an empty table is there, too.
pub(super) type Tables = BTreeMap<String, BTreeMap<&'static str, Written>>;

/// One such section.
pub(super) struct Family {
    /// The section's name.
    pub(super) section: &'static str,
    /// What stands for a table's name in the reference.
    pub(super) placeholder: &'static str,
    /// What a table is of.
    pub(super) noun: &'static str,
    /// A table that every configuration could have.
    pub(super) example: &'static str,
    /// The names of the keys.
    pub(super) keys: fn() -> Vec<&'static str>,
    /// Reads the text of a variable for the key of this name.
    pub(super) value_of_text: fn(&str, &str) -> Value,
    /// Where the tables are gathered.
    pub(super) tables: fn(&mut Raw) -> &mut Tables,
}

pub(super) static ROOMS: Family = Family {
    section: "rooms",
    placeholder: "<namespace>",
    noun: "namespace",
    example: "default",
    keys: || names(NAMESPACE_KEYS),
    value_of_text: |key, text| value_of_text(NAMESPACE_KEYS, key, text),
    tables: |raw| &mut raw.namespaces,
};

pub(super) static AGENTS: Family = Family {
    section: "agents",
    placeholder: "<agent>",
    noun: "agent",
    example: "claude",
    keys: || names(AGENT_KEYS),
    value_of_text: |key, text| value_of_text(AGENT_KEYS, key, text),
    tables: |raw| &mut raw.agents,
};

/// All of them.
pub(super) static FAMILIES: [&Family; 2] = [&ROOMS, &AGENTS];

impl Family {
    /// The family of `section`.
    pub(super) fn of(section: &str) -> Option<&'static Self> {
        let mut all = FAMILIES.into_iter();
        all.find(|family| family.section == section)
    }

    /// The full name of `key` in the table called `table`.
    pub(super) fn full(&self, table: &str, key: &str) -> String {
        format!("{}.{table}.{key}", self.section)
    }

    /// The family's own name of the key that `path` spells within a table.
    pub(super) fn key(&self, path: &[&str]) -> Option<&'static str> {
        let mut keys = (self.keys)().into_iter();
        keys.find(|key| key.split('.').eq(path.iter().copied()))
    }

    /// The keys of the table within a table that is called `name`, without its name.
    pub(super) fn keys_within(&self, name: &str) -> Vec<&'static str> {
        let keys = (self.keys)().into_iter();
        let within = keys.filter_map(|key| key.strip_prefix(name)?.strip_prefix('.'));
        within.collect()
    }

    /// The path that the lower case rest of a variable's name spells. What stands before the key is
    /// the table, which may hold the separator itself.
    pub(super) fn path_of_variable<'a>(&self, rest: &'a str) -> Option<Vec<&'a str>> {
        let keys = (self.keys)().into_iter();
        let ends = keys.map(|key| format!("__{}", key.replace('.', "__")));
        let known = ends.filter(|end| rest.ends_with(end.as_str()));
        let start = match known.map(|end| end.len()).max() {
            Some(length) => rest.len() - length,
            None => rest.rfind("__")?,
        };
        let (table, key) = rest.split_at_checked(start)?;
        let key = key.strip_prefix("__")?;
        let start = [self.section, table];
        Some(start.into_iter().chain(key.split("__")).collect())
    }
}

fn names<T>(keys: &[Key<T>]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

fn value_of_text<T>(keys: &[Key<T>], name: &str, text: &str) -> Value {
    let key = keys.iter().find(|key| key.name == name);
    key.map_or_else(
        || Value::String(text.to_owned()),
        |key| key.value_of_text(text),
    )
}

/// Whether `name` can be a table's: 1 to 64 of `A-Z a-z 0-9 _ . -`.
pub(super) fn is_table_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_short_and_plain() {
        for good in ["a", "A-b_c.9", &"x".repeat(64)] {
            assert!(is_table_name(good), "{good}");
        }
        for bad in ["", "a:b", "a b", "ä", &"x".repeat(65)] {
            assert!(!is_table_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_variable_names_its_table_before_the_longest_key() {
        let check = |family: &Family, rest: &str, path: &[&str]| {
            assert_eq!(
                family.path_of_variable(rest).as_deref(),
                Some(path),
                "{rest}"
            );
        };
        check(&ROOMS, "chat__publish", &["rooms", "chat", "publish"]);
        check(&ROOMS, "a__b__publish", &["rooms", "a__b", "publish"]);
        check(&ROOMS, "a__b__other", &["rooms", "a__b", "other"]);
        check(&AGENTS, "x__kind", &["agents", "x", "kind"]);
        check(&AGENTS, "x__limits__cpu", &["agents", "x", "limits", "cpu"]);
        assert_eq!(AGENTS.path_of_variable("kind"), None);
    }
}
