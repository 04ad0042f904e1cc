//! POST /api/v1/publish and /api/v1/batch.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::api::{body, invalid, parse};
use crate::app::http::Call;
use crate::app::publish;
use crate::base::limits;
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
pub fn publish(call: &Call<'_>) -> Result<Response, Fault> {
    let mut out = Vec::with_capacity(128);
    publish_one(
        body(&call.http.body)?,
        call.http.head.header("idempotency-key"),
        call,
        &mut out,
    )?;
    Ok(Response::raw_json(Status::OK, out.into()))
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
}

/// Carries out up to [`limits::BATCH_COMMANDS`] commands in order; each has its own answer or
/// error, and one that fails does not stop the others.
///
/// # Errors
/// VALIDATION_FAILED when the batch itself is not what it should be; nothing was done then.
pub fn batch(call: &Call<'_>) -> Result<Response, Fault> {
    let batch: BatchBody<'_> = body(&call.http.body)?;
    let most = limits::BATCH_COMMANDS;
    if batch.commands.is_empty() || batch.commands.len() > most {
        return Err(invalid(format!("a batch has 1 to {most} commands")));
    }
    let mut out = Vec::with_capacity(batch.commands.len() * 128);
    Object::begin(&mut out)
        .value("results", |out| {
            array(out, &batch.commands, |out, command| {
                let start = out.len();
                if let Err(fault) = batch_one(command, call, out) {
                    out.truncate(start);
                    fault_object(&fault, out);
                }
            });
        })
        .end();
    Ok(Response::raw_json(Status::OK, out.into()))
}

fn batch_one(command: &RawValue, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let command: BatchCommand<'_> = parse(command.get())?;
    match command.publish {
        Some(publish) => publish_one(parse(publish.get())?, None, call, out),
        None => Err(invalid("a command is {\"publish\":{…}}")),
    }
}

fn fault_object(fault: &Fault, out: &mut Vec<u8>) {
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

fn publish_one(
    body: PublishBody<'_>,
    key_header: Option<&str>,
    call: &Call<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let asked = check(body, key_header)?;
    let key = asked.key.clone();
    let address = call.http.address;
    let receipt = publish::publish(
        asked,
        |_| Caller::Api,
        &call.http.identity,
        address,
        call.context,
    )?;
    let uid = encode::spell_uid(receipt.uid);
    Object::begin(out)
        .string("id", key.as_deref().unwrap_or(&uid))
        .value("results", |out| encode::results(&receipt.placements, out))
        .end();
    Ok(())
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
    let key = match (key_header.map(str::to_owned), body.id) {
        (Some(header), Some(id)) if header != id => {
            return Err(invalid("Idempotency-Key and id differ; give one of them"));
        }
        (header, id) => header.or(id),
    };
    Ok(Publish {
        rooms: members::publish_rooms(&names)?,
        event: members::publish_event(event)?,
        payload: members::payload(body.data, body.data_base64)?,
        source: members::publish_source(body.source)?,
        key: members::publish_key(key)?,
        except: match body.except {
            Some(raw) => members::except(raw)?,
            None => Vec::new(),
        },
    })
}
