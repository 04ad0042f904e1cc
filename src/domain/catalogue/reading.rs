//! Reading JSON so that a fault names the member it is about.
//!
//! What a type requires and what its defaults are is taken from its schema, which is made from the
//! type. Invariant: a fault quotes a bounded part of what was sent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::domain::fault::{Code, Fault};

/// Characters of a problem that are told from its beginning and from its end, where serde says what
/// would be right.
const SHOWN: (usize, usize) = (120, 240);

/// The names of members that are there.
pub(super) type Present = BTreeMap<String, IgnoredAny>;

/// Reads a `T` of `text`; `root` is where that stands, empty for a whole body.
///
/// # Errors
/// VALIDATION_FAILED with the path of what is wrong.
pub fn read<'de, T: Deserialize<'de>>(root: &str, text: &'de str) -> Result<T, Fault> {
    let whole = if root.is_empty() { "the body" } else { root };
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // Where the text breaks off, the last member has no name.
        let place = error.path().to_string();
        let path = match (root, place.trim_end_matches(['?', '.'])) {
            (_, "") => whole.to_owned(),
            ("", place) => place.to_owned(),
            (root, place) => format!("{root}.{place}"),
        };
        let problem = error.inner().to_string();
        // Where it stands in the text is said by the path.
        let problem = problem
            .rsplit_once(" at line ")
            .map_or(problem.as_str(), |(text, _)| text);
        wrong(&path, &shorten(problem))
    })?;
    match reader.end() {
        Ok(()) => Ok(value),
        Err(_) => Err(wrong(whole, "something stands behind its end")),
    }
}

/// The names of the members of `data`, which has all that `schema` requires.
///
/// # Errors
/// VALIDATION_FAILED for what is no object, and for members that are missing.
pub(super) fn require(data: &str, schema: &Value) -> Result<Present, Fault> {
    if !data.trim_ascii_start().starts_with('{') {
        return Err(wrong("data", "a JSON object is expected here"));
    }
    let present: Present = read("data", data)?;
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<&str> = required
        .filter(|name| !present.contains_key(*name))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(present);
    };
    let all: Vec<String> = missing.iter().map(|name| describe(name, schema)).collect();
    Err(wrong(
        &format!("data.{first}"),
        &format!("missing; needed: {}", all.join("; ")),
    ))
}

/// `data` with the defaults of `schema` for members that are not `present`.
pub(super) fn complete(data: &str, present: &Present, schema: &Value) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut whole = data.trim_ascii().to_owned();
    let mut is_empty = present.is_empty();
    for (name, property) in properties.into_iter().flatten() {
        let default = property.get("default").filter(|default| !default.is_null());
        let Some(default) = default.filter(|_| !present.contains_key(name)) else {
            continue;
        };
        whole.pop();
        let comma = if is_empty { "" } else { "," };
        whole.push_str(&format!("{comma}{}:{default}}}", json!(name)));
        is_empty = false;
    }
    whole
}

/// A required member and what it is.
fn describe(name: &str, schema: &Value) -> String {
    let property = schema.get("properties").and_then(|all| all.get(name));
    let about = property.and_then(|property| property.get("description"));
    match about.and_then(Value::as_str) {
        Some(about) => format!("{name} ({})", about.trim_end_matches('.')),
        None => name.to_owned(),
    }
}

fn wrong(path: &str, problem: &str) -> Fault {
    let fault = Fault::new(Code::ValidationFailed, format!("{path}: {problem}"));
    fault.with_details(json!({ "path": path }))
}

fn shorten(text: &str) -> String {
    let length = text.chars().count();
    let (first, last) = SHOWN;
    if length <= first + last {
        return text.to_owned();
    }
    let start: String = text.chars().take(first).collect();
    let end: String = text.chars().skip(length - last).collect();
    format!("{start}…{end}")
}
