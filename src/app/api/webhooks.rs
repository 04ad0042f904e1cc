//! POST /api/v1/webhooks/github: what GitHub tells, put into the rooms of whoever it concerns.
//!
//! The signature is the credential: it is looked at before anything of the body is, and whoever can
//! make one publishes as the server. A delivery's id is its idempotency key. Answers have the shape
//! that GitHub's log of deliveries showed before, with the status that fits, and the error of every
//! other answer beside it.

use std::sync::{Arc, LazyLock};

use serde_json::json;

use crate::app::api::{invalid, parameter, text};
use crate::app::http::Call;
use crate::app::publish;
use crate::bus::order::{Delivery, Form, Outcome};
use crate::config::{AuthMode, Config};
use crate::dialect::native::members;
use crate::domain::access::{ApiKey, Caller, Identity, Role};
use crate::domain::catalogue::Event;
use crate::domain::catalogue::values::Id;
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::{Code, Fault};
use crate::domain::github;
use crate::metrics::names::Counter;
use crate::wire::http::response::{Response, Status};

/// On whose behalf deliveries are published: one name for all of GitHub's addresses.
static GITHUB: LazyLock<Identity> = LazyLock::new(|| {
    Identity::Key(Arc::new(ApiKey {
        name: "webhooks.github_secret".into(),
        role: Arc::new(Role::admin()),
    }))
});

/// Takes a delivery, publishes what it means, and says whether it meant anything.
///
/// # Errors
/// None: what is wrong is told in the answer.
pub fn github(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let header = |name| call.http.head.header(name).map(members::shorten);
    let delivery = Delivery {
        event: header("x-github-event").unwrap_or_default().into(),
        id: header("x-github-delivery").map(Into::into),
    };
    let outcome = take(&delivery, call)
        .map(|outcome| outcome.map(|is_published| answer(&delivery, Ok(is_published))));
    Ok(outcome.unwrap_or_else(|fault| {
        if matches!(fault.code, Code::Unauthorized | Code::PermissionDenied) {
            call.context.counters.increment(Counter::CredentialsRefused);
        }
        Outcome::Done(answer(&delivery, Err(&fault)))
    }))
}

/// Whether what a delivery means was published.
fn take(delivery: &Delivery, call: &Call<'_>) -> Result<Outcome<bool>, Fault> {
    check_signature(call)?;
    if delivery.event.is_empty() {
        return Err(invalid("the header X-GitHub-Event is missing"));
    }
    let body = text(&call.http.body)?;
    if !body.trim_ascii_start().starts_with('{') {
        return Err(invalid(
            "the body must be JSON: choose the content type application/json for the webhook",
        ));
    }
    let project = match parameter(call.http.head.query(), "project_id") {
        Some(id) => Some(Id::parse(&id).ok_or_else(|| {
            invalid("project_id must be printable ASCII without space * , \" \\, 240 at most")
        })?),
        None => None,
    };
    match github::translate(&delivery.event, body, project)? {
        Some(event) => publish_event(event, delivery, call),
        None => Ok(Outcome::Done(false)),
    }
}

fn check_signature(call: &Call<'_>) -> Result<(), Fault> {
    let config = &call.context.live.config;
    if is_closed(config) {
        return Err(Fault::new(
            Code::PermissionDenied,
            "webhooks are closed while anybody who reaches the server is served; use auth.mode = \
             \"token\", or the flag --insecure-runs",
        ));
    }
    let Some(secret) = &config.webhooks.github_secret else {
        return Err(Fault::new(
            Code::PermissionDenied,
            "no deliveries are taken: webhooks.github_secret is not set",
        ));
    };
    let Some(signature) = call.http.head.header("x-hub-signature-256") else {
        return Err(Fault::new(
            Code::Unauthorized,
            "the header X-Hub-Signature-256 is missing: set the webhook's secret",
        ));
    };
    match github::is_signed(secret, &call.http.body, signature) {
        true => Ok(()),
        false => Err(Fault::new(
            Code::Unauthorized,
            "X-Hub-Signature-256 is not that of the body: the webhook's secret is not \
             webhooks.github_secret",
        )),
    }
}

/// Whether the server is open to other machines and was not told to trust them.
fn is_closed(config: &Config) -> bool {
    config.auth.mode == AuthMode::Open && config.insecure && !config.insecure_runs
}

fn publish_event(
    event: Event,
    delivery: &Delivery,
    call: &Call<'_>,
) -> Result<Outcome<bool>, Fault> {
    let key = call.http.head.header("x-github-delivery");
    let asked = Publish {
        rooms: event.rooms,
        event: event.name.into(),
        payload: Payload::Json(event.data),
        source: event.source.map(Into::into),
        key: members::publish_key(key.map(str::to_owned))?,
        except: Vec::new(),
    };
    let (address, context) = (call.http.address, call.context);
    let checked = publish::check(asked, |_| Caller::Api, &GITHUB, address, context)?;
    let form = || Form::Webhook(Box::new(delivery.clone()));
    Ok(publish::publish(checked, form, context)?.map(|_| true))
}

/// What is answered to a delivery that was published, or meant nothing, or was refused.
pub(in crate::app) fn answer(delivery: &Delivery, outcome: Result<bool, &Fault>) -> Response {
    let Delivery { event, id } = delivery;
    let (code, body) = match outcome {
        Ok(is_published) => {
            let mut body = json!({
                "status": "ok",
                "event_type": event,
                "delivery_id": id,
                "handlers_executed": u8::from(is_published),
            });
            if !is_published && &**event != github::PING {
                body["ignored"] = true.into();
            }
            (Status::OK.code(), body)
        }
        Err(fault) => {
            let mut error = json!({ "code": fault.code.as_str(), "message": fault.message });
            if let Some(details) = &fault.details {
                error["details"] = details.clone();
            }
            let body = json!({
                "status": "error",
                "message": fault.message,
                "event_type": event,
                "error": error,
            });
            (fault.code.http_status(), body)
        }
    };
    let response = Response::json(Status::from_code(code), &body);
    match code {
        // RFC 9110 section 11.6.1 wants the scheme named, and this one has no name of its own.
        401 => response.header("WWW-Authenticate", "X-Hub-Signature-256"),
        429 | 503 => response.header("Retry-After", "1"),
        _ => response,
    }
}

/// Says whether deliveries are taken, and which of them mean anything.
///
/// # Errors
/// None.
pub fn github_health(call: &Call<'_>) -> Result<Response, Fault> {
    let config = &call.context.live.config;
    let is_ready = config.webhooks.github_secret.is_some() && !is_closed(config);
    Ok(Response::json(
        Status::OK,
        &json!({
            "status": if is_ready { "healthy" } else { "disabled" },
            "handler": "github",
            "supported_events": github::EVENTS,
            "max_payload_bytes": config.limits.message_bytes,
        }),
    ))
}
