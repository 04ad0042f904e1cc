//! What whoever asked is told, in the form that it asked in.

use std::sync::Arc;

use crate::app::api;
use crate::app::commands;
use crate::app::http;
use crate::app::publish::Receipt;
use crate::app::services::Context;
use crate::bus::job::{Answer, Kept};
use crate::bus::order::Form;
use crate::dialect::native::encode;
use crate::dialect::socket_io::encode as socket_io;
use crate::domain::durable::DurableName;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::wire::http::response::{Response, Status};

/// What is told of a step.
#[derive(Debug)]
pub(super) enum Told {
    /// Where it was published, and the key it was asked with.
    Published(Arc<Receipt>, Option<Box<str>>),
    /// Where the stream begins anew.
    Cleared(RoomName, Position),
    /// What is kept of a durable subscription of this name.
    Kept(DurableName, Kept),
    /// A project or run is kept.
    Recorded,
    /// The JSON text of an answer that was known before.
    Text(Vec<u8>),
}

/// The answer to an order whose steps came to this.
pub(super) fn answer(
    form: Form,
    mut told: Vec<Result<Told, Fault>>,
    context: Context<'_>,
) -> Answer {
    let one = |told: &mut Vec<Result<Told, Fault>>| {
        let lost = || Err(Fault::new(Code::InternalError, "the order had no steps"));
        told.pop().unwrap_or_else(lost)
    };
    match form {
        Form::Reply(to) => {
            let outcome = one(&mut told).map(|told| {
                let (now, mut json) = (context.now.wall, Vec::with_capacity(192));
                match told {
                    Told::Published(receipt, _) => {
                        encode::published(&to, &receipt.placements, now, &mut json);
                    }
                    Told::Kept(name, Kept { room, position }) => {
                        let offset = position.map_or(0, |position| position.offset);
                        encode::acknowledged(&to, &room, &name, offset, now, &mut json);
                    }
                    // These are asked for over HTTP, or by the executor.
                    Told::Cleared(..) | Told::Recorded => {}
                    Told::Text(text) => json = text,
                }
                json
            });
            Answer::Reply(commands::finish(&to, outcome, context))
        }
        Form::Acknowledgement => {
            let outcome = one(&mut told).map(|told| {
                let mut json = Vec::with_capacity(192);
                if let Told::Published(receipt, _) = told {
                    socket_io::published(&receipt.placements, &mut json);
                }
                json
            });
            Answer::Reply(commands::acknowledgement(outcome, context))
        }
        Form::Session(sequel) => {
            let lost = || Fault::new(Code::InternalError, "the step was lost");
            let kept = told.into_iter().map(|told| match told? {
                Told::Kept(_, kept) => Ok(kept),
                Told::Published(..) | Told::Cleared(..) | Told::Recorded | Told::Text(_) => {
                    Err(lost())
                }
            });
            Answer::Kept(sequel, kept.collect())
        }
        Form::Http => Answer::Http(match one(&mut told) {
            Ok(told) => {
                let mut out = Vec::with_capacity(128);
                object(told, &mut out);
                Response::raw_json(Status::OK, out.into())
            }
            Err(fault) => http::fault_response(&fault),
        }),
        Form::Webhook(delivery) => {
            let outcome = one(&mut told).map(|_| true);
            Answer::Http(api::webhooks::answer(&delivery, outcome.as_ref().copied()))
        }
        Form::Batch => {
            let results = told.into_iter().map(|told| {
                let mut out = Vec::with_capacity(128);
                match told {
                    Ok(told) => object(told, &mut out),
                    Err(fault) => api::publish::fault_object(&fault, &mut out),
                }
                out
            });
            Answer::Http(api::publish::results(&results.collect::<Vec<_>>()))
        }
    }
}

/// What is told over HTTP.
fn object(told: Told, out: &mut Vec<u8>) {
    match told {
        Told::Published(receipt, key) => {
            api::publish::published(&receipt, key.as_deref(), out);
        }
        Told::Cleared(room, position) => api::history::cleared(&room, &position, out),
        Told::Text(text) => *out = text,
        // These are asked for by sessions, or by the executor.
        Told::Kept(..) | Told::Recorded => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::world::{Options, World};

    #[test]
    fn a_session_of_socket_io_is_answered_with_the_argument_of_an_acknowledgement() {
        let world = World::new(Options::default());
        let (live, counters) = (world.services.live(), world.services.counters_of_workers());
        let context = world.services.context(&live, &counters, world.now());
        let check = |told, json: &str, code| {
            let answer = answer(Form::Acknowledgement, vec![told], context);
            let Answer::Reply(reply) = answer else {
                unreachable!("{answer:?}");
            };
            assert_eq!(String::from_utf8_lossy(&reply.json), json);
            assert_eq!(reply.error, code);
        };
        let receipt = Receipt {
            uid: 1,
            placements: Box::default(),
        };
        check(
            Ok(Told::Published(Arc::new(receipt), None)),
            r#"{"status":"success","results":[]}"#,
            None,
        );
        let busy = Code::StoreBusy;
        check(
            Err(Fault::new(busy, "the disk is behind")),
            r#"{"status":"error","message":"the disk is behind","code":"STORE_BUSY"}"#,
            Some(busy),
        );
    }
}
