//! What an interactive agent asks permission for, and what people answer.
//!
//! The first answer wins. May not touch: who may answer; that was checked. Invariants: each question
//! that was told is told to be resolved or expired, once, before the run's last event; what waits is
//! bounded, and what is beyond it is denied at once.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::bus::execution::RunAnswer;
use crate::domain::agent::speech::{self, Permission};
use crate::domain::agent::stream_json::Request;
use crate::domain::fault::{Code, Fault};
use crate::domain::run::PendingPermission;
use crate::domain::run_command::Decision;
use crate::executor::backlog::EventKind;
use crate::executor::events;
use crate::executor::running::{Active, Context};
use crate::metrics::names::Counter;

/// Questions of one run that wait for an answer.
const PENDING_MAX: usize = 64;

/// Bytes of them: they are sent to each who joins the room.
const PENDING_BYTES: usize = 1024 * 1024;

/// Bytes of the id of one: the CLI gives UUIDs.
const REQUEST_BYTES: usize = 256;

/// Answered questions that are remembered, so that whoever answers late learns why it is too late.
const RESOLVED_MAX: usize = 256;

/// What the model reads when somebody denied something without saying why.
const DENIED: &str = "The user denied this.";

/// What the model reads when nobody was asked.
const TOO_MANY: &str = "Too many requests for permission wait for an answer.";

#[derive(Debug, Default)]
pub(super) struct Permissions {
    pending: Vec<PendingPermission>,
    /// Newest last.
    resolved: VecDeque<Arc<str>>,
}

impl Permissions {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn has_room(&self, asked: &PendingPermission) -> bool {
        let bytes =
            |asked: &PendingPermission| asked.request.len() + asked.tool.len() + asked.input.len();
        let pending: usize = self.pending.iter().map(bytes).sum();
        let fits = pending + bytes(asked) <= PENDING_BYTES && asked.request.len() <= REQUEST_BYTES;
        self.pending.len() < PENDING_MAX && fits
    }

    fn take(&mut self, request: &str) -> Option<PendingPermission> {
        let mut pending = self.pending.iter();
        let at = pending.position(|asked| *asked.request == *request)?;
        let taken = self.pending.remove(at);
        if self.resolved.len() >= RESOLVED_MAX {
            self.resolved.pop_front();
        }
        self.resolved.push_back(Arc::clone(&taken.request));
        Some(taken)
    }
}

impl Active {
    /// The agent asks something; whether the line is told as what it asks, not as output.
    pub(super) fn asked(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> bool {
        match request {
            Request::Permission {
                request_id,
                tool,
                input,
            } => {
                let asked = PendingPermission {
                    run: self.run.id,
                    request: request_id.as_str().into(),
                    tool: tool.as_str().into(),
                    input: input.get().into(),
                };
                self.ask(&asked, context)
            }
            Request::Withdrawn { request_id } => match self.permissions.take(request_id) {
                Some(asked) => {
                    self.expire(&asked, context);
                    true
                }
                None => false,
            },
            Request::Unknown { request_id } => {
                // One that reads nothing may wait for its answer.
                let _ = self.write(speech::not_understood(request_id), context);
                false
            }
        }
    }

    /// Answers a question.
    ///
    /// # Errors
    /// NOT_FOUND, ALREADY_RESOLVED, VALIDATION_FAILED for an input that is no object, or as
    /// [`Active::write`].
    pub(super) fn decide(
        &mut self,
        request: &str,
        decision: &Decision,
        context: &mut Context<'_>,
    ) -> Result<RunAnswer, Fault> {
        let mut pending = self.permissions.pending.iter();
        let Some(asked) = pending.find(|asked| *asked.request == *request) else {
            let mut resolved = self.permissions.resolved.iter();
            return Err(match resolved.any(|known| **known == *request) {
                true => Fault::new(
                    Code::AlreadyResolved,
                    "this request was answered, or expired",
                ),
                false => Fault::new(Code::NotFound, "the run asks for no such permission"),
            });
        };
        let answer = match decision.allow {
            true => {
                let input = decision.updated_input.as_deref().unwrap_or(&asked.input);
                let input: &RawValue = serde_json::from_str(input).map_err(|_| {
                    let message = "updated_input must be an object, what the tool is to be given";
                    Fault::new(Code::ValidationFailed, message)
                })?;
                speech::permission(request, Permission::Allow { input })?
            }
            false => deny(request, decision.message.as_deref().unwrap_or(DENIED)),
        };
        self.write(answer, context)?;
        if let Some(asked) = self.permissions.take(request) {
            let by = Some((decision.allow, decision.by.as_deref()));
            self.tell_permission(events::PERMISSION_RESOLVED, &asked, by);
            context.out.count(Counter::PermissionsResolved);
        }
        // It was for us to speak.
        self.heard(context.now.mono);
        Ok(RunAnswer::Told(self.run.id))
    }

    /// Nobody can answer any more.
    pub(super) fn expire_permissions(&mut self, context: &mut Context<'_>) {
        while let Some(asked) = self.permissions.pending.first() {
            let request = Arc::clone(&asked.request);
            let answer = deny(&request, DENIED);
            // Whoever does not listen needs no answer.
            let _ = self.write(answer, context);
            if let Some(asked) = self.permissions.take(&request) {
                self.expire(&asked, context);
            }
        }
    }

    fn ask(&mut self, asked: &PendingPermission, context: &mut Context<'_>) -> bool {
        if let Some(earlier) = self.permissions.take(&asked.request) {
            self.expire(&earlier, context);
        }
        if !self.permissions.has_room(asked) {
            context.out.count(Counter::PermissionsRefused);
            let _ = self.write(deny(&asked.request, TOO_MANY), context);
            return false;
        }
        context.out.count(Counter::PermissionsRequested);
        self.permissions.pending.push(asked.clone());
        self.tell_permission(events::PERMISSION_REQUESTED, asked, None);
        // A question that comes when nobody can answer any more, at the end of the output.
        if self.check_listens().is_err() {
            self.expire_permissions(context);
        }
        true
    }

    fn expire(&mut self, asked: &PendingPermission, context: &mut Context<'_>) {
        context.out.count(Counter::PermissionsExpired);
        self.tell_permission(events::PERMISSION_EXPIRED, asked, None);
    }

    fn tell_permission(
        &mut self,
        name: &'static str,
        asked: &PendingPermission,
        decision: Option<(bool, Option<&str>)>,
    ) {
        let pending = self.permissions.pending.clone().into_boxed_slice();
        let payload = events::permission(asked, decision);
        self.tell(name, payload, EventKind::Permissions(pending));
    }
}

fn deny(request: &str, message: &str) -> Vec<u8> {
    // Only what is allowed can be malformed.
    speech::permission(request, Permission::Deny { message }).unwrap_or_default()
}
