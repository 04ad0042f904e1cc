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
    for Channel {
        id,
        address,
        about,
        said,
    } in all_channels()
    {
        let mut spoken = Map::new();
        for (action, prefix) in said {
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
        channels.insert(
            id,
            json!({ "address": address, "description": about, "messages": spoken }),
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

/// Where something is said.
struct Channel {
    id: String,
    address: &'static str,
    about: &'static str,
    said: Said,
}

/// What the server receives and sends somewhere, by how the messages' names begin.
type Said = [(&'static str, &'static str); 2];

/// The WebSockets of the table of routes, and where Socket.IO is by default.
fn all_channels() -> Vec<Channel> {
    let mut channels = Vec::new();
    for route in ROUTES {
        if let Kind::Upgrade(endpoint) = route.kind {
            channels.push(Channel {
                id: operation_id(route),
                address: route.path,
                about: words(route)["about"].as_str().unwrap_or(route.path),
                said: said_on(endpoint),
            });
        }
    }
    let namespaces = [
        (
            "socket_io",
            "Events of Socket.IO 5 in every namespace but /ws: a list of a name and an argument. \
             Commands are acknowledged if the client asks for that.",
            "socket_io_event",
        ),
        (
            "socket_io_ws",
            "Events of Socket.IO 5 in the namespace /ws: a list of a name and an envelope. \
             Commands are acknowledged if the client asks for that.",
            "socket_io_enveloped",
        ),
    ];
    channels.extend(namespaces.map(|(id, about, sent)| Channel {
        id: id.to_owned(),
        address: "/socket.io/",
        about,
        said: [("receive", "socket_io_command."), ("send", sent)],
    }));
    channels
}

/// What is said on a WebSocket.
const fn said_on(endpoint: Endpoint) -> Said {
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
        let (name, data) = (json!({ "const": row.name }), reference(row.name));
        let plain = of_socket_io(&name, &data);
        let enveloped = of_socket_io(&name, &enveloped(&name, &data));
        for (prefix, payload) in [("event", plain), ("enveloped", enveloped)] {
            let message = json!({ "name": row.name, "summary": row.about, "payload": payload });
            messages.insert(format!("socket_io_{prefix}.{}", row.name), message);
        }
    }
    let other = json!({
        "summary": "Any other event that was published.",
        "payload": reference("Publication"),
    });
    messages.insert("event".to_owned(), other);
    let (name, anything) = (json!({ "type": "string" }), json!({}));
    let envelope = enveloped(&name, &anything);
    for (prefix, argument) in [("event", anything), ("enveloped", envelope)] {
        let other = json!({
            "summary": "Any other event that was published.",
            "payload": of_socket_io(&name, &argument),
        });
        messages.insert(format!("socket_io_{prefix}"), other);
    }
    for (name, argument) in [
        ("subscribe", room_of_socket_io()),
        ("unsubscribe", room_of_socket_io()),
        ("ping", json!({})),
        (
            "publish",
            json!({ "type": "object", "required": ["event"] }),
        ),
    ] {
        let payload = of_socket_io(&json!({ "const": name }), &argument);
        let message = json!({ "name": name, "payload": payload });
        messages.insert(format!("socket_io_command.{name}"), message);
    }
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

/// An event of Socket.IO: its name, and one argument.
fn of_socket_io(name: &Value, argument: &Value) -> Value {
    json!({ "type": "array", "items": [name, argument] })
}

/// A publication as clients in the namespace `/ws` hear it.
fn enveloped(kind: &Value, data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["type", "timestamp", "source", "data"],
        "properties": {
            "type": kind,
            "timestamp": { "type": "string", "format": "date-time" },
            "source": { "type": ["string", "null"] },
            "data": data,
        },
    })
}

/// How clients of Socket.IO name a room.
fn room_of_socket_io() -> Value {
    let named = json!({
        "type": "object",
        "required": ["room"],
        "properties": { "room": { "type": "string" } },
    });
    json!({ "oneOf": [{ "type": "string" }, named] })
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
