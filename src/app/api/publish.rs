//! POST /api/v1/publish and /api/v1/batch, and how whatever is published over HTTP is answered.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::api::{body, events, invalid, parse};
use crate::app::http::Call;
use crate::app::publish::{self, Checked, Receipt};
use crate::base::limits;
use crate::bus::order::{Form, Order, Outcome, Step};
use crate::dialect::native::{encode, members};
use crate::domain::access::Caller;
use crate::domain::command::Publish;
use crate::domain::fault::Fault;
use crate::wire::http::response::{Response, Status};
use crate::wire::json::object::{Object, array};

#[derive(Deserialize)]
struct PublishBody<'a> {
    room: Option<String>,
    rooms: Option<Vec<String>>,
    event: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
    source: Option<String>,
    id: Option<String>,
    #[serde(borrow)]
    except: Option<&'a RawValue>,
}

/// Publishes the event of the body; `Idempotency-Key` or the body's `id` makes repeats harmless.
///
/// # Errors
/// As [`publish::publish`], and VALIDATION_FAILED for a body that is not what it should be.
pub fn publish(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let key = call.http.head.header("idempotency-key");
    carry_out(check(body(&call.http.body)?, key)?, call)
}

/// Publishes what was asked for, and answers with where it went.
///
/// # Errors
/// As [`publish::publish`].
pub(super) fn carry_out(asked: Publish, call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let key = asked.key.clone();
    let checked = permit(asked, call)?;
    let outcome = publish::publish(checked, || Form::Http, call.context)?;
    Ok(match outcome {
        Outcome::Done(receipt) => {
            let mut out = Vec::with_capacity(128);
            published(&receipt, key.as_deref(), &mut out);
            Outcome::Done(Response::raw_json(Status::OK, out.into()))
        }
        Outcome::Order(order) => Outcome::Order(order),
        Outcome::Request(order, form) => Outcome::Request(order, form),
    })
}

fn permit(asked: Publish, call: &Call<'_>) -> Result<Checked, Fault> {
    let (identity, address) = (&call.http.identity, call.http.address);
    publish::check(asked, |_| Caller::Api, identity, address, call.context)
}

/// The answer to a publication with this key.
pub(in crate::app) fn published(receipt: &Receipt, key: Option<&str>, out: &mut Vec<u8>) {
    let uid = encode::spell_uid(receipt.uid);
    Object::begin(out)
        .string("id", key.unwrap_or(&uid))
        .value("results", |out| encode::results(&receipt.placements, out))
        .end();
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    commands: Vec<&'a RawValue>,
}

/// One entry of a batch holds exactly one command, so a further member is no mere addition.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchCommand<'a> {
    #[serde(borrow)]
    publish: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

/// Carries out up to [`limits::BATCH_COMMANDS`] commands in order; each has its own answer or
/// error, and one that fails does not stop the others.
///
/// # Errors
/// VALIDATION_FAILED when the batch itself is not what it should be; nothing was done then.
pub fn batch(call: &Call<'_>) -> Result<Outcome<Response>, Fault> {
    let batch: BatchBody<'_> = body(&call.http.body)?;
    let most = limits::BATCH_COMMANDS;
    if batch.commands.is_empty() || batch.commands.len() > most {
        return Err(invalid(format!("a batch has 1 to {most} commands")));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(batch.commands.len());
    let mut waits = false;
    for command in &batch.commands {
        let step = batch_one(command, waits, call).unwrap_or_else(Step::Refused);
        waits |= matches!(step, Step::Publish(_));
        steps.push(step);
    }
    if waits {
        let form = Form::Batch;
        return Ok(Outcome::Order(Order { steps, form }));
    }
    let told = steps.into_iter().map(|step| match step {
        Step::Answered(json) => json,
        Step::Refused(fault) => {
            let mut out = Vec::new();
            fault_object(&fault, &mut out);
            out
        }
        // Without a publication that waits there are none of these.
        Step::Publish(_) | Step::Clear(_) | Step::Keep(_) | Step::Record(_) => Vec::new(),
    });
    Ok(Outcome::Done(results(&told.collect::<Vec<_>>())))
}

/// The answer to a batch: each command's own answer or error, as JSON.
pub(in crate::app) fn results(told: &[Vec<u8>]) -> Response {
    let mut out = Vec::with_capacity(told.len() * 128);
    Object::begin(&mut out)
        .value("results", |out| {
            array(out, told, |out, json| out.extend_from_slice(json));
        })
        .end();
    Response::raw_json(Status::OK, out.into())
}

/// Carries one command out, or leaves it to the store: what is durable, and, if something before it
/// `waits` for the store, everything, so that it stays behind that.
fn batch_one(command: &RawValue, waits: bool, call: &Call<'_>) -> Result<Step, Fault> {
    let command: BatchCommand<'_> = parse(command.get())?;
    let asked = match (command.publish, command.event) {
        (Some(publish), None) => check(parse(publish.get())?, None)?,
        (None, Some(event)) => events::check(event.get(), None)?,
        (None, None) | (Some(_), Some(_)) => {
            return Err(invalid("a command is {\"publish\":{…}} or {\"event\":{…}}"));
        }
    };
    let key = asked.key.clone();
    let checked = match permit(asked, call)? {
        Checked::Durable(commission) => return Ok(Step::Publish(commission)),
        Checked::Memory(commission) if waits => return Ok(Step::Publish(Box::new(commission))),
        checked => checked,
    };
    match publish::publish(checked, || Form::Batch, call.context)? {
        Outcome::Done(receipt) => {
            let mut out = Vec::with_capacity(128);
            published(&receipt, key.as_deref(), &mut out);
            Ok(Step::Answered(out))
        }
        Outcome::Order(_) | Outcome::Request(..) => {
            Err(invalid("a durable publication has been left to the store"))
        }
    }
}

/// What is told of a command that failed.
pub(in crate::app) fn fault_object(fault: &Fault, out: &mut Vec<u8>) {
    Object::begin(out)
        .value("error", |out| {
            let object = Object::begin(out)
                .string("code", fault.code.as_str())
                .string("message", &fault.message);
            match &fault.details {
                Some(details) => object.raw("details", &details.to_string()).end(),
                None => object.end(),
            }
        })
        .end();
}

fn check(body: PublishBody<'_>, key_header: Option<&str>) -> Result<Publish, Fault> {
    let names = match (body.room, body.rooms) {
        (Some(room), None) => vec![room],
        (None, Some(rooms)) => rooms,
        (None, None) => return Err(invalid("no room named: give room or rooms")),
        (Some(_), Some(_)) => return Err(invalid("give room or rooms, not both")),
    };
    let event = body
        .event
        .ok_or_else(|| invalid("event is missing: name what is published"))?;
    Ok(Publish {
        rooms: members::publish_rooms(&names)?,
        event: members::publish_event(event)?,
        payload: members::payload(body.data, body.data_base64)?,
        source: members::publish_source(body.source)?,
        key: idempotency_key(key_header, body.id)?,
        except: match body.except {
            Some(raw) => members::except(raw)?,
            None => Vec::new(),
        },
    })
}

/// The idempotency key of the header or of the body's `id`.
pub(super) fn idempotency_key(
    header: Option<&str>,
    id: Option<String>,
) -> Result<Option<Box<str>>, Fault> {
    match (header.map(str::to_owned), id) {
        (Some(header), Some(id)) if header != id => {
            Err(invalid("Idempotency-Key and id differ; give one of them"))
        }
        (header, id) => members::publish_key(header.or(id)),
    }
}
