//! /openapi.json, /asyncapi.json and /api/docs: what the server can do, for programs and for people.
//!
//! Paths and who may call them come from the table of routes, events from the catalogue, commands
//! from the native dialect (`descriptions/sockets.rs`); `descriptions/openapi.json` adds what only people know: what a route is
//! for, and the shapes of requests and answers. Invariant: a route without words there is described
//! all the same.

mod sockets;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::app::http::Call;
use crate::app::http::routes::table::ROUTES;
use crate::app::http::routes::{Access, Kind, Route};
use crate::domain::catalogue::CATALOGUE;
use crate::domain::fault::Fault;
use crate::wire::http::response::{Response, Status};

/// What only people know.
static WORDS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("descriptions/openapi.json")).unwrap_or_default()
});

static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| openapi().to_string().into());
static ASYNCAPI: LazyLock<Bytes> = LazyLock::new(|| sockets::document().to_string().into());
static LIST: LazyLock<Bytes> = LazyLock::new(|| list().into());

/// Answers with the description of the HTTP API.
///
/// # Errors
/// None.
pub fn http(_: &Call<'_>) -> Result<Response, Fault> {
    Ok(Response::raw_json(Status::OK, OPENAPI.clone()))
}

/// Answers with the description of what is said on sockets.
///
/// # Errors
/// None.
pub fn sockets(_: &Call<'_>) -> Result<Response, Fault> {
    Ok(Response::raw_json(Status::OK, ASYNCAPI.clone()))
}

/// Answers with a plain list of all paths.
///
/// # Errors
/// None.
pub fn docs(_: &Call<'_>) -> Result<Response, Fault> {
    let mut response = Response::empty(Status::OK);
    response.body = LIST.clone();
    Ok(response.header("Content-Type", "text/plain; charset=utf-8"))
}

fn openapi() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    let mut schemas = WORDS["schemas"].as_object().cloned().unwrap_or_default();
    let mut events = Vec::with_capacity(CATALOGUE.len());
    for row in &CATALOGUE {
        events.push(json!({
            "type": "object",
            "description": row.about,
            "required": ["type", "data"],
            "properties": {
                "type": { "const": row.name },
                "data": reference(row.name),
                "source": { "type": "string", "maxLength": 255 },
                "project_id": { "type": ["string", "integer"] },
                "rooms": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 100,
                    "items": reference("RoomName"),
                },
                "id": { "type": "string", "minLength": 1, "maxLength": 255 },
            },
        }));
        schemas.insert(row.name.to_owned(), row.schema().clone());
    }
    schemas.insert("Event".to_owned(), json!({ "oneOf": events }));
    json!({
        "openapi": "3.1.0",
        "info": info("What backends, scripts and probes ask of kinglet over HTTP."),
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": WORDS["securitySchemes"],
            "responses": WORDS["responses"],
            "schemas": schemas,
        },
    })
}

fn info(about: &str) -> Value {
    json!({
        "title": "kinglet",
        "version": env!("CARGO_PKG_VERSION"),
        "description": about,
        "license": { "name": env!("CARGO_PKG_LICENSE") },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// What is said of a route.
fn words(route: &Route) -> &'static Value {
    &WORDS["operations"][format!("{} {}", route.method.as_str(), route.path)]
}

fn operation(route: &Route) -> Value {
    let words = words(route);
    let about = words["about"].as_str().unwrap_or(route.path);
    let status = words["status"].as_str().unwrap_or("200");
    let mut answer = json!({ "description": about });
    if !matches!(status, "101" | "204") {
        let media = words["media"].as_str().unwrap_or("application/json");
        let schema = match (words["answer"].as_str(), media) {
            (Some(name), _) => reference(name),
            (None, "application/json") => reference("Object"),
            (None, _) => json!({ "type": "string" }),
        };
        answer["content"] = json!({ media: { "schema": schema } });
    }
    let fault = json!({ "$ref": "#/components/responses/Fault" });
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": about,
        "parameters": parameters(route, words),
        "responses": { status: answer, "default": fault },
    });
    if let Some(body) = words["body"].as_str() {
        operation["requestBody"] = json!({
            "required": !matches!(body, "Closing" | "Token"),
            "content": { "application/json": { "schema": reference(body) } },
        });
    }
    if !is_public(route) {
        // In open mode nobody is asked.
        operation["security"] = json!([{ "token": [] }, { "apiKey": [] }, {}]);
    }
    operation
}

fn is_public(route: &Route) -> bool {
    match &route.kind {
        Kind::Api(api) => api.access == Access::Public,
        Kind::Upgrade(_) | Kind::Events => false,
    }
}

/// The method and the path in one word.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!(
        "{}_{}",
        route.method.as_str().to_ascii_lowercase(),
        words.join("_")
    )
}

fn parameters(route: &Route, words: &Value) -> Vec<Value> {
    let open = route.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string" },
        }))
    });
    let asked = words["query"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
    open.chain(asked).collect()
}

/// Every path, a line each.
fn list() -> String {
    let lines = ROUTES.iter().map(|route| {
        let about = words(route)["about"].as_str().unwrap_or_default();
        let line = format!("{:6} {:46} {about}", route.method.as_str(), route.path);
        format!("{}\n", line.trim_end())
    });
    let more =
        "\nSocket.IO is at /socket.io/ and /ws/socket.io/, unless socketio.paths says otherwise.\n\
                Described for programs: /openapi.json, /asyncapi.json\n"
            .to_owned();
    lines.chain([more]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_words_for_routes_and_shapes_for_words() {
        let schemas = WORDS["schemas"].as_object().unwrap();
        for route in ROUTES {
            let words = words(route);
            for name in [&words["body"], &words["answer"]] {
                let name = name.as_str().filter(|name| *name != "Event");
                assert!(
                    name.is_none_or(|name| schemas.contains_key(name)),
                    "{name:?}"
                );
            }
        }
        let described = |route: &&Route| !words(route)["about"].is_null();
        assert!(ROUTES.iter().filter(described).count() > 30);
    }

    #[test]
    fn every_route_and_every_event_is_described() {
        let document = openapi();
        for route in ROUTES {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][route.path][&method];
            assert!(
                operation["responses"].is_object(),
                "{} {}",
                method,
                route.path
            );
            assert_eq!(
                operation["security"].is_null(),
                is_public(route),
                "{}",
                route.path
            );
        }
        let sockets = sockets::document();
        for row in &CATALOGUE {
            assert_eq!(&document["components"]["schemas"][row.name], row.schema());
            assert_eq!(&sockets["components"]["schemas"][row.name], row.schema());
        }
        for (channel, message) in [
            ("socket_io", "socket_io_event.task.created"),
            ("socket_io", "socket_io_command.subscribe"),
            ("socket_io_ws", "socket_io_enveloped.task.created"),
            ("socket_io_ws", "socket_io_command.publish"),
        ] {
            let said = &sockets["channels"][channel]["messages"][message];
            assert!(said.is_object(), "{channel}: {message}");
        }
        let ids = ROUTES.iter().map(operation_id);
        assert_eq!(ids.collect::<BTreeSet<_>>().len(), ROUTES.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, whole: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(place)) = members.get("$ref") {
                        let target = whole.pointer(place.strip_prefix('#').unwrap());
                        assert!(target.is_some(), "{place}");
                    }
                    members.values().for_each(|value| check(value, whole));
                }
                Value::Array(items) => items.iter().for_each(|value| check(value, whole)),
                _ => {}
            }
        }
        for document in [openapi(), sockets::document()] {
            check(&document, &document);
        }
    }

    #[test]
    fn the_list_has_a_line_for_each_path() {
        let list = list();
        for route in ROUTES {
            assert!(
                list.contains(&format!("{:6} {} ", route.method.as_str(), route.path)),
                "{list}"
            );
        }
    }
}
