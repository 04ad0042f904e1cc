//! What the Claude CLI writes with `--output-format stream-json`: one JSON object per line.
//!
//! A line is passed on as it was spelt, whatever it says; only what a run needs is read from it. The
//! shapes are those of Claude Code 2.1. May not touch: processes, projects. Invariants: every line
//! gives a [`ClaudeLine`] or is plain text, never an error; a member of another type than expected
//! is as good as missing; the last of two members of one name counts.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::domain::agent::is_session_id;
use crate::wire::json::raw;

/// How deep the JSON of a line may nest; what is deeper is plain text.
pub const DEPTH_MAX: usize = 128;

/// A line that is a JSON object.
#[derive(Clone, Debug)]
pub struct ClaudeLine<'a> {
    /// What it is, by its `type`.
    pub kind: LineKind,
    /// The session it belongs to; the last one that a run names is the one to resume.
    pub session_id: Option<String>,
    /// How the run ended, of a line of [`LineKind::Result`].
    pub result: Option<ResultLine<'a>>,
    /// What the CLI asks of us.
    pub request: Option<Request<'a>>,
    /// What went wrong, of a line of [`LineKind::Error`].
    pub error: Option<String>,
}

impl ClaudeLine<'_> {
    /// Whether the line is a part of a message that comes whole later.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.kind == LineKind::Partial
    }
}

/// The types of lines that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// `system`: how the session starts, hooks, retries.
    System,
    /// `assistant`: a message of the model.
    Assistant,
    /// `user`: what tools returned.
    User,
    /// `result`: the end of a turn.
    Result,
    /// `error`: the run has failed.
    Error,
    /// `stream_event`, `message_start` and its like: a part of a message.
    Partial,
    /// `control_request`: the CLI asks something.
    ControlRequest,
    /// `control_response`: the CLI answers what we asked.
    ControlResponse,
    /// `control_cancel_request`: the CLI needs no answer any more.
    ControlCancel,
    /// Any other type, or none.
    Other,
}

/// What a `result` line says; the exit code still decides over success.
#[derive(Clone, Debug)]
pub struct ResultLine<'a> {
    /// `total_cost_usd`.
    pub cost_usd: Option<f64>,
    /// `num_turns`.
    pub turns: Option<u64>,
    /// `usage` as it was spelt.
    pub usage: Option<&'a RawValue>,
    /// `is_error`; false if it is missing.
    pub is_error: bool,
    /// `subtype`: `success`, `error_max_turns`, `error_during_execution`.
    pub subtype: Option<String>,
}

/// What the CLI asks, or asks no more.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Whether it may use a tool (`can_use_tool`).
    Permission {
        /// The id that the answer names.
        request_id: String,
        /// The tool's name.
        tool: String,
        /// What the tool is to be given, as it was spelt.
        input: &'a RawValue,
    },
    /// The request of this id is void.
    Withdrawn {
        /// The id of the earlier request.
        request_id: String,
    },
    /// Something that we do not know; the CLI waits for an answer all the same.
    Unknown {
        /// The id that the answer names.
        request_id: String,
    },
}

/// Reads one line; `None` if it is not a JSON object of bounded depth, and so plain text.
#[must_use]
pub fn read(line: &str) -> Option<ClaudeLine<'_>> {
    let members = object(line)?;
    let text = |name: &str| string(&members, name);
    let kind = match text("type").as_deref() {
        Some("system") => LineKind::System,
        Some("assistant") => LineKind::Assistant,
        Some("user") => LineKind::User,
        Some("result") => LineKind::Result,
        Some("error") => LineKind::Error,
        Some(
            "stream_event"
            | "message_start"
            | "content_block_start"
            | "content_block_delta"
            | "content_block_stop"
            | "message_delta"
            | "message_stop",
        ) => LineKind::Partial,
        Some("control_request") => LineKind::ControlRequest,
        Some("control_response") => LineKind::ControlResponse,
        Some("control_cancel_request") => LineKind::ControlCancel,
        Some(_) | None => LineKind::Other,
    };
    let of_session = match kind {
        LineKind::System | LineKind::Assistant | LineKind::User | LineKind::Result => true,
        LineKind::Error
        | LineKind::Partial
        | LineKind::ControlRequest
        | LineKind::ControlResponse
        | LineKind::ControlCancel
        | LineKind::Other => false,
    };
    let session_id = text("session_id").filter(|id| of_session && is_session_id(id));
    let request_id = || text("request_id").filter(|id| !id.is_empty());
    Some(ClaudeLine {
        kind,
        session_id,
        result: (kind == LineKind::Result).then(|| result(&members)),
        request: match kind {
            LineKind::ControlRequest => request_id().map(|id| control_request(id, &members)),
            LineKind::ControlCancel => {
                request_id().map(|request_id| Request::Withdrawn { request_id })
            }
            LineKind::System
            | LineKind::Assistant
            | LineKind::User
            | LineKind::Result
            | LineKind::Error
            | LineKind::Partial
            | LineKind::ControlResponse
            | LineKind::Other => None,
        },
        error: (kind == LineKind::Error).then(|| error_text(&members)),
    })
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The members of an object that nests at most [`DEPTH_MAX`] deep.
fn object(text: &str) -> Option<Members<'_>> {
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    let members = serde_json::from_str(text).ok()?;
    raw::compact(text, DEPTH_MAX).ok()?;
    Some(members)
}

fn value<'a, T: serde::Deserialize<'a>>(members: &Members<'a>, name: &str) -> Option<T> {
    let value: &'a RawValue = members.get(name)?;
    serde_json::from_str(value.get()).ok()
}

fn string(members: &Members<'_>, name: &str) -> Option<String> {
    value(members, name)
}

fn result<'a>(members: &Members<'a>) -> ResultLine<'a> {
    ResultLine {
        cost_usd: value(members, "total_cost_usd"),
        turns: value(members, "num_turns"),
        usage: members.get("usage").copied(),
        is_error: value(members, "is_error").unwrap_or(false),
        subtype: string(members, "subtype"),
    }
}

fn control_request<'a>(request_id: String, members: &Members<'a>) -> Request<'a> {
    let request = members.get("request").and_then(|request| {
        let request: &'a RawValue = request;
        object(request.get())
    });
    let permission = request.and_then(|request| {
        let subtype = string(&request, "subtype")?;
        let tool = string(&request, "tool_name")?;
        let input = request.get("input").copied()?;
        (subtype == "can_use_tool").then_some((tool, input))
    });
    match permission {
        Some((tool, input)) => Request::Permission {
            request_id,
            tool,
            input,
        },
        None => Request::Unknown { request_id },
    }
}

/// The text of `message`, else of `error`, either a string or an object with a `message`.
fn error_text(members: &Members<'_>) -> String {
    let of = |name: &str| {
        let within = || string(&value(members, name)?, "message");
        string(members, name).or_else(within)
    };
    let text = of("message").or_else(|| of("error"));
    text.unwrap_or_else(|| "the agent reported an error without saying which".to_owned())
}

#[cfg(test)]
#[path = "stream_json_tests.rs"]
mod tests;
