//! The commands of a session that need nothing of the session but its name.
//!
//! Subscribe, unsubscribe and auth change the session and are the shard's; all others are answered
//! here, in the shard or by a worker.

use std::net::IpAddr;
use std::sync::Arc;

use crate::app::api::health;
use crate::app::chain;
use crate::app::durable;
use crate::app::presence;
use crate::app::publish::{self, Receipt};
use crate::app::runs;
use crate::app::services::Context;
use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::bus::execution::RunForm;
use crate::bus::job::Reply;
use crate::bus::order::{Form, Outcome};
use crate::config::PublishPolicy;
use crate::dialect::native::decode::Correlation;
use crate::dialect::native::encode::{self, HistoryPage};
use crate::dialect::native::projects;
use crate::dialect::socket_io::encode as socket_io;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::command::{Command, HistoryQuery, Publish};
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::domain::run_reply::RunReply;
use crate::metrics::names::Counter;

/// The session that asks.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Its id.
    pub session: SessionId,
    /// On whose behalf it is.
    pub identity: &'a Identity,
    /// From where it is connected.
    pub address: IpAddr,
    /// Whether it is in a room; `None` away from its shard, where nobody can say.
    pub is_member: Option<&'a dyn Fn(&RoomName) -> bool>,
}

/// Carries a command out and makes its one reply, or says what the store is to do first.
pub fn answer(
    name: &'static str,
    to: &Correlation,
    command: Command,
    asker: &Asker<'_>,
    context: Context<'_>,
) -> Outcome<Reply> {
    let now = context.now;
    let outcome = chain::guard(name, asker.session, || {
        let mut json = Vec::with_capacity(192);
        match command {
            Command::Publish(asked) => {
                let form = || Form::Reply(to.clone());
                match publish(asked, form, asker, context)? {
                    Outcome::Done(receipt) => {
                        encode::published(to, &receipt.placements, now.wall, &mut json);
                    }
                    Outcome::Order(order) => return Ok(Outcome::Order(order)),
                    Outcome::Request(order, form) => return Ok(Outcome::Request(order, form)),
                }
            }
            Command::History(query) => {
                // Reading needs no membership, so where it is unknown it is none.
                let is_member = asker.is_member.is_some_and(|is_in| is_in(&query.room));
                let page = history(
                    &query,
                    Caller::Session { is_member },
                    asker.identity,
                    context,
                )?;
                encode::history(to, &page, now.wall, &mut json);
            }
            Command::Presence(room) => {
                let caller = Caller::Session { is_member: false };
                let present = presence::read(&room, caller, asker.identity, context)?;
                encode::presence(to, &present, now.wall, &mut json);
            }
            Command::Run(command) => {
                let form = RunForm::Reply {
                    to: to.clone(),
                    name,
                };
                let who = runs::Asker {
                    identity: asker.identity,
                    address: asker.address,
                };
                match runs::carry_out(command, form, who, context)? {
                    Outcome::Done(reply) => json = run_reply(to, name, &reply, context),
                    Outcome::Order(order) => return Ok(Outcome::Order(order)),
                    Outcome::Request(order, form) => return Ok(Outcome::Request(order, form)),
                }
            }
            Command::Health => health::check(name, to, context, &mut json),
            Command::Ping => encode::pong(to, now.wall, &mut json),
            Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::Acknowledge(_)
            | Command::Auth { .. }
            | Command::Pong => {
                return Err(not_here());
            }
        }
        Ok(Outcome::Done(json))
    });
    let outcome = match outcome {
        Ok(Outcome::Order(order)) => return Outcome::Order(order),
        Ok(Outcome::Request(order, form)) => return Outcome::Request(order, form),
        Ok(Outcome::Done(json)) => Ok(json),
        Err(fault) => Err(fault),
    };
    Outcome::Done(finish(to, outcome, context))
}

/// Publishes for a session of Socket.IO and makes its acknowledgement, or says what the store is to
/// do first.
pub fn acknowledge_publish(
    asked: Publish,
    asker: &Asker<'_>,
    context: Context<'_>,
) -> Outcome<Reply> {
    let outcome = chain::guard("publish", asker.session, || {
        publish(asked, || Form::Acknowledgement, asker, context)
    });
    let spell = |receipt: Arc<Receipt>| {
        let mut json = Vec::with_capacity(192);
        socket_io::published(&receipt.placements, &mut json);
        acknowledgement(Ok(json), context)
    };
    match outcome {
        Ok(outcome) => outcome.map(spell),
        Err(fault) => Outcome::Done(acknowledgement(Err(fault), context)),
    }
}

/// Publishes for a session.
fn publish(
    asked: Publish,
    form: impl FnOnce() -> Form,
    asker: &Asker<'_>,
    context: Context<'_>,
) -> Result<Outcome<Arc<Receipt>>, Fault> {
    let is_member = asker.is_member.ok_or_else(not_here)?;
    let caller_in = |room: &RoomName| Caller::Session {
        is_member: is_member(room),
    };
    let checked = publish::check(asked, caller_in, asker.identity, asker.address, context)?;
    publish::publish(checked, form, context)
}

/// What a command that needs the session's shard gets elsewhere; `decode::COMMANDS` sends none.
fn not_here() -> Fault {
    Fault::new(Code::InternalError, "this command is the shard's")
}

/// The one reply to a command that was carried out with this `outcome`.
#[must_use]
pub fn finish(to: &Correlation, outcome: Result<Vec<u8>, Fault>, context: Context<'_>) -> Reply {
    match outcome {
        Ok(json) => Reply { json, error: None },
        Err(fault) => {
            if fault.code == Code::InternalError {
                context.counters.increment(Counter::HandlerPanics);
            }
            fault_reply(to, &fault, context.now.wall)
        }
    }
}

/// The argument of the acknowledgement of what was carried out with this `outcome`.
#[must_use]
pub fn acknowledgement(outcome: Result<Vec<u8>, Fault>, context: Context<'_>) -> Reply {
    match outcome {
        Ok(json) => Reply { json, error: None },
        Err(fault) => {
            if fault.code == Code::InternalError {
                context.counters.increment(Counter::HandlerPanics);
            }
            refusal(&fault)
        }
    }
}

/// The argument of the acknowledgement of what was not done.
#[must_use]
pub fn refusal(fault: &Fault) -> Reply {
    let mut json = Vec::with_capacity(96);
    socket_io::refused(fault, &mut json);
    Reply {
        json,
        error: Some(fault.code),
    }
}

/// The reply to a command about projects and runs; `name` is its type.
#[must_use]
pub fn run_reply(to: &Correlation, name: &str, reply: &RunReply, context: Context<'_>) -> Vec<u8> {
    let names = context.live.config.reply_names;
    let mut json = Vec::with_capacity(512);
    projects::answered(name, to, reply, names, context.now.wall, &mut json);
    json
}

/// The error reply to a command.
#[must_use]
pub fn fault_reply(to: &Correlation, fault: &Fault, now: Wall) -> Reply {
    let mut json = Vec::with_capacity(192);
    encode::error(to, fault, now, &mut json);
    Reply {
        json,
        error: Some(fault.code),
    }
}

/// Reads a page of a room's retained publications, on a socket and over HTTP.
///
/// # Errors
/// PERMISSION_DENIED; NOT_FOUND when the room does not exist now; STREAM_RESET when its epoch is
/// not the one asked for, with the current one in the details.
pub fn history(
    query: &HistoryQuery,
    caller: Caller,
    identity: &Identity,
    context: Context<'_>,
) -> Result<HistoryPage, Fault> {
    let room = &query.room;
    let policy = PublishPolicy::Grant;
    access::check(identity, caller, Action::History, room, policy)?;
    let projects = &context.services.projects;
    projects.check_room(room, identity, &context.live.config)?;
    let found = context
        .services
        .rooms
        .history(
            room,
            query.since,
            query.limit,
            query.reverse,
            context.now.mono,
        )
        .ok_or_else(|| no_room(room.as_str()))?;
    let position = found.position;
    if query.epoch.is_some_and(|epoch| epoch != position.epoch) {
        return Err(Fault::new(
            Code::StreamReset,
            "the room's stream has begun anew; what you remember of it is void",
        )
        .with_details(serde_json::json!({
            "epoch": position.epoch.as_str(),
            "offset": position.offset,
        })));
    }
    let page = if found.is_whole {
        found.page
    } else {
        let options = publish::options(room, context.services, context.live, context.counters)?;
        let asked = durable::Asked {
            position,
            since: query.since,
            limit: query.limit,
            reverse: query.reverse,
        };
        durable::read(room, &options, asked, context)?
    };
    Ok(HistoryPage {
        room: room.clone(),
        position,
        publications: page.items,
        more: page.more,
    })
}

/// The fault for a room that does not exist now.
#[must_use]
pub fn no_room(name: &str) -> Fault {
    let message = "the room does not exist now: it has neither members nor history";
    Fault::new(Code::NotFound, message).with_details(serde_json::json!({ "room": name }))
}

/// The fault of whoever asks all shards when one of them does not answer in time.
#[must_use]
pub fn too_busy() -> Fault {
    Fault::new(
        Code::ServerBusy,
        "the server is too busy to answer for all of its sessions; try again",
    )
}
