//! Holds docs/events.md to the catalogue; `UPDATE_DOCS=1 cargo test --test catalogue` writes its
//! part of it anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use kinglet::domain::catalogue::CATALOGUE;
use serde_json::Value;

const BEGIN: &str = "<!-- types: begin -->\n";
const END: &str = "<!-- types: end -->\n";

#[test]
fn the_document_lists_every_type_with_its_members() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let right = format!("{before}{BEGIN}{}{END}{after}", types());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, right).unwrap();
    } else {
        assert!(
            document == right,
            "docs/events.md is not what the catalogue says; UPDATE_DOCS=1 cargo test --test \
             catalogue writes it"
        );
    }
}

/// Every type; those of one kind of data together.
fn types() -> String {
    let mut out = String::new();
    let mut seen = Vec::new();
    let mut rows = CATALOGUE.iter().peekable();
    while let Some(row) = rows.next() {
        let mut names = vec![row];
        while let Some(next) = rows.next_if(|next| next.schema() == row.schema()) {
            names.push(next);
        }
        let title: Vec<String> = names.iter().map(|row| format!("`{}`", row.name)).collect();
        write!(out, "\n### {}\n\n", title.join(", ")).unwrap();
        let about: Vec<&str> = names.iter().map(|row| row.about).collect();
        out.push_str(&about.join(" "));
        if let Some(source) = row.source {
            write!(out, " Source: `{source}`.").unwrap();
        }
        out.push_str("\n\n| Member | Value | Default | |\n|---|---|---|---|\n");
        members("", row.schema(), &mut seen, &mut out);
    }
    out.push('\n');
    out
}

/// The members of an object, and those of the objects in it that were not `seen` before.
fn members<'a>(prefix: &str, schema: &'a Value, seen: &mut Vec<&'a Value>, out: &mut String) {
    let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().unwrap();
    let (first, rest): (Vec<_>, Vec<_>) = properties
        .iter()
        .partition(|(name, _)| required.contains(&name.as_str()));
    for (name, property) in first.into_iter().chain(rest) {
        let default = match (property.get("default"), required.contains(&name.as_str())) {
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "**needed**".to_owned(),
            (None, false) => String::new(),
        };
        let about = property["description"].as_str().unwrap_or_default();
        let mut what = what(property);
        let items = object(property).get("items");
        let (nested, sign) = items.map_or((object(property), "."), |items| (object(items), "[]."));
        let members_within = nested.get("properties");
        let is_known = members_within.is_some_and(|within| seen.contains(&within));
        if is_known {
            what.push_str(", as above");
        }
        writeln!(out, "| `{prefix}{name}` | {what} | {default} | {about} |").unwrap();
        if let Some(within) = members_within.filter(|_| !is_known) {
            seen.push(within);
            members(&format!("{prefix}{name}{sign}"), nested, seen, out);
        }
    }
}

/// What stands beside null in the schema of something that may be absent.
fn object(schema: &Value) -> &Value {
    let mut choices = list(schema, "anyOf");
    choices
        .find(|choice| choice["type"] != "null")
        .unwrap_or(schema)
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// What a value may be, in words.
fn what(schema: &Value) -> String {
    let schema = object(schema);
    let words: Vec<String> = list(schema, "oneOf")
        .map(|choice| format!("`{}`", choice["const"].as_str().unwrap()))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        other => panic!("a type is expected: {other} in {schema}"),
    };
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").collect();
    match (
        kinds.as_slice(),
        schema.get("format").and_then(Value::as_str),
    ) {
        (["string", "integer"], _) => "id".to_owned(),
        (["string"], Some("date-time")) => "time".to_owned(),
        (["string"], Some("uri")) => "URL".to_owned(),
        (["string"], _) => "text".to_owned(),
        (["integer"], _) => "whole number from 0".to_owned(),
        (["number"], _) => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            _ => "number".to_owned(),
        },
        (["boolean"], _) => "true or false".to_owned(),
        (["array"], _) => format!("list of {}", what(&schema["items"])),
        (["object"], _) => "object".to_owned(),
        (other, _) => panic!("no words for {other:?}"),
    }
}
