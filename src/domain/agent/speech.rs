//! What is written to an interactive Claude CLI: one JSON object per line, ended by `\n`.
//!
//! The CLI reads them with `--input-format=stream-json`. It needs no greeting: Claude Code 2.1
//! takes the first user message as it comes. Invariant: what is written is one line, whatever the
//! texts hold.

use serde_json::value::RawValue;

use crate::domain::agent::stream_json::DEPTH_MAX;
use crate::domain::fault::{Code, Fault};
use crate::wire::json::object::{Object, array};
use crate::wire::json::raw;

/// The answer to a request for permission.
#[derive(Clone, Copy, Debug)]
pub enum Permission<'a> {
    /// The tool may be used with this input: the asked one, or another object in its place. The CLI
    /// refuses an allowance without any.
    Allow {
        /// What the tool is given.
        input: &'a RawValue,
    },
    /// It may not.
    Deny {
        /// Why, for the model.
        message: &'a str,
    },
}

/// A message of the user, the prompt first of all.
#[must_use]
pub fn user_message(text: &str) -> Vec<u8> {
    line(|out| {
        Object::begin(out)
            .string("type", "user")
            .value("message", |out| {
                Object::begin(out)
                    .string("role", "user")
                    .value("content", |out| {
                        array(out, [text], |out, text| {
                            Object::begin(out)
                                .string("type", "text")
                                .string("text", text)
                                .end();
                        });
                    })
                    .end();
            })
            .end();
    })
}

/// Asks the CLI to end the turn; it answers, and its `result` follows.
#[must_use]
pub fn interrupt(request_id: &str) -> Vec<u8> {
    line(|out| {
        Object::begin(out)
            .string("type", "control_request")
            .string("request_id", request_id)
            .raw("request", r#"{"subtype":"interrupt"}"#)
            .end();
    })
}

/// Answers the request for permission called `request_id`.
///
/// # Errors
/// VALIDATION_FAILED if the input is no object, or nests deeper than [`DEPTH_MAX`].
pub fn permission(request_id: &str, permission: Permission<'_>) -> Result<Vec<u8>, Fault> {
    let input = match permission {
        Permission::Allow { input } if input.get().starts_with('{') => {
            Some(raw::compact(input.get(), DEPTH_MAX)?)
        }
        Permission::Allow { .. } => {
            let message = "updated_input must be an object, what the tool is to be given";
            return Err(Fault::new(Code::ValidationFailed, message));
        }
        Permission::Deny { .. } => None,
    };
    Ok(response("success", request_id, |object| {
        object.value("response", |out| match permission {
            Permission::Allow { .. } => Object::begin(out)
                .string("behavior", "allow")
                .raw("updatedInput", input.as_deref().unwrap_or("{}"))
                .end(),
            Permission::Deny { message } => Object::begin(out)
                .string("behavior", "deny")
                .string("message", message)
                .end(),
        })
    }))
}

/// Tells the CLI that its request called `request_id` is not understood, so that it does not wait.
#[must_use]
pub fn not_understood(request_id: &str) -> Vec<u8> {
    response("error", request_id, |object| {
        object.string("error", "this request is not supported")
    })
}

fn response(
    subtype: &str,
    request_id: &str,
    rest: impl FnOnce(Object<'_>) -> Object<'_>,
) -> Vec<u8> {
    line(|out| {
        out.extend_from_slice(b"{\"type\":\"control_response\",\"response\":");
        let object = Object::begin(out)
            .string("subtype", subtype)
            .string("request_id", request_id);
        rest(object).end();
        out.push(b'}');
    })
}

fn line(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out.push(b'\n');
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Checks that `line` is one line and says `expected`.
    fn check(line: &[u8], expected: &Value) {
        let text = std::str::from_utf8(line).unwrap();
        let rest = text.strip_suffix('\n').unwrap();
        assert!(!rest.contains(['\n', '\r']), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(rest).unwrap(), *expected);
    }

    #[test]
    fn each_message_is_one_line_in_the_shape_of_the_cli() {
        let text = "fix \"it\"\n{\"type\":\"user\"}\u{2028}\0";
        let content = json!([{"type": "text", "text": text}]);
        let message = json!({"role": "user", "content": content});
        check(
            &user_message(text),
            &json!({"type": "user", "message": message}),
        );
        check(
            &interrupt("r\n1"),
            &json!({"type": "control_request", "request_id": "r\n1",
                "request": {"subtype": "interrupt"}}),
        );
        check(
            &not_understood("r"),
            &json!({"type": "control_response", "response": {"subtype": "error",
                "request_id": "r", "error": "this request is not supported"}}),
        );
    }

    #[test]
    fn a_permission_is_answered_with_the_input_on_one_line() {
        let answer = |response: Value| {
            json!({"type": "control_response", "response": {"subtype": "success",
                "request_id": "r", "response": response}})
        };
        let input: &RawValue = serde_json::from_str("{\n\"command\": \"l\\ns\" }").unwrap();
        check(
            &permission("r", Permission::Allow { input }).unwrap(),
            &answer(json!({"behavior": "allow", "updatedInput": {"command": "l\ns"}})),
        );
        let message = "not\nnow";
        check(
            &permission("r", Permission::Deny { message }).unwrap(),
            &answer(json!({"behavior": "deny", "message": message})),
        );
    }

    #[test]
    fn an_input_that_no_tool_could_take_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128));
        for text in ["[]", "null", "7", "\"{\"", &deep] {
            let input: &RawValue = serde_json::from_str(text).unwrap();
            let fault = permission("r", Permission::Allow { input }).unwrap_err();
            assert_eq!(fault.code, Code::ValidationFailed, "{text:.20}");
        }
    }
}
