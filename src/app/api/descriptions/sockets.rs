//! What is said on sockets, as AsyncAPI 3.0.

use serde_json::{Map, Value, json};

use super::{info, operation_id, reference, words};
use crate::app::http::routes::Kind;
use crate::app::http::routes::table::ROUTES;
use crate::app::opening::Endpoint;
use crate::dialect::native::decode::COMMANDS;
use crate::domain::catalogue::CATALOGUE;

/// The whole document.
pub(super) fn document() -> Value {
    let messages = messages();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for route in ROUTES {
        let Kind::Upgrade(endpoint) = route.kind else {
            continue;
        };
        let id = operation_id(route);
        let mut spoken = Map::new();
        for (action, prefix) in said_on(endpoint) {
            let names = messages.keys().filter(|name| name.starts_with(prefix));
            let mut of_action = Vec::new();
            for name in names {
                let place = format!("#/components/messages/{name}");
                spoken.insert(name.clone(), json!({ "$ref": place }));
                let place = format!("#/channels/{id}/messages/{name}");
                of_action.push(json!({ "$ref": place }));
            }
            let channel = json!({ "$ref": format!("#/channels/{id}") });
            operations.insert(
                format!("{action}_{id}"),
                json!({ "action": action, "channel": channel, "messages": of_action }),
            );
        }
        let about = words(route)["about"].as_str().unwrap_or(route.path);
        channels.insert(
            id,
            json!({ "address": route.path, "description": about, "messages": spoken }),
        );
    }
    let mut schemas = Map::new();
    for row in &CATALOGUE {
        schemas.insert(row.name.to_owned(), row.schema().clone());
    }
    schemas.insert("Publication".to_owned(), publication());
    json!({
        "asyncapi": "3.0.0",
        "info": info("What clients and kinglet say to each other on sockets."),
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

/// What the server receives and sends there, by how the messages' names begin.
const fn said_on(endpoint: Endpoint) -> [(&'static str, &'static str); 2] {
    match endpoint {
        Endpoint::Native => [("receive", "command."), ("send", "event")],
        Endpoint::Device => [("receive", "device_command."), ("send", "device.")],
        Endpoint::Echo => [("receive", "text"), ("send", "text")],
    }
}

/// Every message by its name.
fn messages() -> Map<String, Value> {
    let mut messages = Map::new();
    for row in &CATALOGUE {
        let typed = json!({
            "type": "object",
            "properties": { "type": { "const": row.name }, "data": reference(row.name) },
        });
        let payload = json!({ "allOf": [reference("Publication"), typed] });
        let message = json!({ "name": row.name, "summary": row.about, "payload": payload });
        messages.insert(format!("event.{}", row.name), message);
    }
    let other = json!({
        "summary": "Any other event that was published.",
        "payload": reference("Publication"),
    });
    messages.insert("event".to_owned(), other);
    let commands = COMMANDS.iter().map(|command| command.name);
    for name in commands.filter(|name| !name.starts_with("testkit.")) {
        messages.insert(format!("command.{name}"), typed(name));
    }
    for name in ["subscribe", "unsubscribe", "ping"] {
        messages.insert(format!("device_command.{name}"), typed(name));
    }
    for name in ["connected", "metrics", "error"] {
        messages.insert(format!("device.{name}"), typed(name));
    }
    let text = json!({ "payload": { "type": "string" } });
    messages.insert("text".to_owned(), text);
    messages
}

/// A message of which no more is said than its type.
fn typed(name: &str) -> Value {
    let payload = json!({
        "type": "object",
        "required": ["type"],
        "properties": { "type": { "const": name } },
    });
    json!({ "name": name, "payload": payload })
}

/// A publication as the native dialect spells it.
fn publication() -> Value {
    json!({
        "type": "object",
        "required": ["type", "room", "offset", "timestamp", "data"],
        "properties": {
            "type": { "type": "string" },
            "room": { "type": "string" },
            "offset": { "type": "integer", "minimum": 0 },
            "timestamp": { "type": "string", "format": "date-time" },
            "data": {},
            "source": { "type": "string" },
            "uid": { "type": "string" },
            "project_id": { "type": "string" },
            "also": { "type": "array", "items": { "type": "object" } },
        },
    })
}
