//! The messages of python-socketio as JSON, which it has written since 5.14.
//!
//! Since 5.16 `data` is a list of the arguments, since 5.14.3 `binary` says whether there are bytes
//! among them: then `data` is a list of the arguments, with a placeholder for each of the bytes, and
//! of the bytes in base64. Without `binary`, `data` is the one argument.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::backplane::emitter::fault::EmitterFault;
use crate::backplane::emitter::message::Message;
use crate::backplane::emitter::python::Told;
use crate::base::limits;
use crate::dialect::native::members;
use crate::domain::command::Payload;
use crate::wire::json::object::array;
use crate::wire::json::raw::compact;

#[derive(Deserialize)]
struct Written<'a> {
    method: String,
    event: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    binary: Option<bool>,
    namespace: Option<String>,
    room: Option<Names>,
    skip_sid: Option<Names>,
    sid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(Name),
    Several(Vec<Name>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(i64),
}

impl Names {
    fn into_texts(names: Option<Self>) -> Vec<String> {
        let names = match names {
            None => Vec::new(),
            Some(Self::One(name)) => vec![name],
            Some(Self::Several(names)) => names,
        };
        let texts = names.into_iter().map(|name| match name {
            Name::Text(text) => text,
            Name::Number(number) => number.to_string(),
        });
        texts.collect()
    }
}

/// Reads a message.
///
/// # Errors
/// [`EmitterFault`].
pub(super) fn read(message: &[u8], limit: usize) -> Result<Message, EmitterFault> {
    let written: Written<'_> = serde_json::from_slice(message)?;
    let told = Told {
        method: written.method,
        event: written.event,
        namespace: written.namespace,
        rooms: Names::into_texts(written.room),
        skip: Names::into_texts(written.skip_sid),
        sid: written.sid,
    };
    told.with(|| match (written.data, written.binary) {
        (Some(data), Some(true)) => with_bytes(data, limit),
        (Some(data), Some(false)) if data.get().starts_with('[') => arguments(data),
        (data, _) => Ok(members::payload(data, None)?),
    })
}

/// What is published of a list of arguments without bytes, each as it was spelt.
fn arguments(list: &RawValue) -> Result<Payload, EmitterFault> {
    let arguments: Vec<&RawValue> = serde_json::from_str(list.get())?;
    Ok(match arguments.as_slice() {
        [] => Payload::Json("null".into()),
        [one] => members::payload(Some(one), None)?,
        _ => members::payload(Some(list), None)?,
    })
}

/// What is published of a list of arguments and of the bytes that belong in them.
fn with_bytes(data: &RawValue, limit: usize) -> Result<Payload, EmitterFault> {
    const WRONG: EmitterFault = EmitterFault::Shape("its data and the bytes in it do not match");
    let mut data: Vec<Value> = serde_json::from_str(data.get())?;
    let mut attachments = data.split_off(data.len().min(1)).into_iter();
    let mut texts = Vec::new();
    for attachment in attachments.by_ref() {
        match attachment {
            Value::String(text) => texts.push(Some(text)),
            _ => return Err(WRONG),
        }
    }
    let mut arguments = match data.pop() {
        Some(Value::Array(arguments)) => arguments,
        Some(one) => vec![one],
        None => return Err(WRONG),
    };
    if let [Value::Object(members)] = arguments.as_slice()
        && let Some(number) = placeholder(members)
    {
        let text = texts.get_mut(number).and_then(Option::take);
        return Ok(Payload::Bytes(decode(&text.ok_or(WRONG)?)?.into()));
    }
    for argument in &mut arguments {
        put_in(argument, &mut texts)?;
    }
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>, value: &Value| serde_json::to_writer(out, value);
    match arguments.as_slice() {
        [one] => write(&mut out, one)?,
        several => array(&mut out, several, |out, value| {
            // A Vec takes every byte.
            let _ = write(out, value);
        }),
    }
    let text = String::from_utf8(out).unwrap_or_default();
    if text.len() > limit {
        return Err(EmitterFault::TooLarge { limit });
    }
    let line = compact(&text, limits::JSON_DEPTH).map_err(|_| EmitterFault::TooDeep)?;
    Ok(Payload::Json(line.into()))
}

/// Puts bytes in the place of each placeholder, each at most once, so that nothing grows.
fn put_in(value: &mut Value, texts: &mut [Option<String>]) -> Result<(), EmitterFault> {
    match value {
        Value::Array(values) => {
            for value in values {
                put_in(value, texts)?;
            }
        }
        Value::Object(members) => match placeholder(members) {
            Some(number) => {
                let text = texts.get_mut(number).and_then(Option::take);
                let text = text.ok_or(EmitterFault::Shape(
                    "its data has a placeholder without bytes of its own",
                ))?;
                decode(&text)?;
                *members = Map::from_iter([("base64".to_owned(), Value::String(text))]);
            }
            None => {
                for (_, value) in members {
                    put_in(value, texts)?;
                }
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// Which of the bytes an object stands for, if it is a placeholder.
fn placeholder(members: &Map<String, Value>) -> Option<usize> {
    let is_one = members.get("_placeholder") == Some(&Value::Bool(true));
    let number = members.get("num").filter(|_| is_one)?.as_u64()?;
    usize::try_from(number).ok()
}

fn decode(text: &str) -> Result<Vec<u8>, EmitterFault> {
    let bytes = STANDARD.decode(text);
    bytes.map_err(|_| EmitterFault::Shape("its bytes are not base64"))
}
