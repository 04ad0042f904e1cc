//! Who is in a room, for whoever asks; and who came and went, for those who are in it.

use crate::app::commands::too_busy;
use crate::app::durable;
use crate::app::publish::{options, publish_now};
use crate::app::services::Context;
use crate::bus::mail::{Mail, ask_all};
use crate::bus::order::Waiter;
use crate::bus::presence::{Changes, Due};
use crate::bus::rooms::Settled;
use crate::config::PublishPolicy;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::command::Publish;
use crate::domain::fault::{Code, Fault};
use crate::domain::presence::Presence;
use crate::domain::room::RoomName;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// Says who is in a room, on a socket and over HTTP: nobody, if there is no such room. Waits for
/// the shards: for workers only.
///
/// # Errors
/// PERMISSION_DENIED without the right to know, and where nobody may; VALIDATION_FAILED for an
/// unknown namespace; SERVER_BUSY when a shard does not answer in time.
pub fn read(
    room: &RoomName,
    caller: Caller,
    identity: &Identity,
    context: Context<'_>,
) -> Result<Presence, Fault> {
    let policy = PublishPolicy::Grant;
    access::check(identity, caller, Action::Presence, room, policy)?;
    let projects = &context.services.projects;
    projects.check_room(room, identity, &context.live.config)?;
    if !options(room, context.services, context.live, context.counters)?.presence {
        let namespace = room.as_str().split(':').next().unwrap_or_default();
        return Err(Fault::new(
            Code::PermissionDenied,
            format!(
                "nobody may ask who is in the room \"{room}\": rooms.{namespace}.presence is \
                 false, by itself or in rooms.default"
            ),
        ));
    }
    let Some(reading) = context.services.rooms.read_presence(room) else {
        return Ok(Presence::of(room.clone(), None, Vec::new()));
    };
    let present = ask_all(&context.services.mailboxes, |reply| {
        let room = room.clone();
        Mail::ListPresent { room, reply }
    });
    let present = present.ok_or_else(too_busy)?.into_iter().flatten();
    Ok(Presence::of(
        room.clone(),
        Some(reading.position),
        present.collect(),
    ))
}

/// Tells rooms of those of their `changes` that have lasted, at most a turn's worth.
pub fn tell(changes: &mut Changes, most: usize, context: Context<'_>) {
    let (rooms, now) = (&context.services.rooms, context.now.mono);
    for _ in 0..most {
        let Some(Due { change, is_early }) = changes.take_due(now) else {
            return;
        };
        if is_early {
            context.counters.increment(Counter::PresenceHurried);
        }
        let waits = match rooms.settle(&change) {
            Settled::Over => false,
            Settled::Again => true,
            Settled::Tell { publish, is_here } => match publish_own(publish, context) {
                Err(Code::ServerBusy | Code::StoreBusy) => true,
                Err(_) => {
                    note_told(false, context.counters);
                    rooms.told(&change, is_here)
                }
                Ok(()) => rooms.told(&change, is_here),
            },
        };
        if waits {
            changes.put_back(change, now);
        }
    }
}

/// Publishes what the server says by itself: at once, or by way of the store if a room is durable,
/// which then counts what came of it.
fn publish_own(publish: Publish, context: Context<'_>) -> Result<(), Code> {
    let is_durable = publish.rooms.iter().any(|room| {
        let options = options(room, context.services, context.live, context.counters);
        options.is_ok_and(|options| options.durable)
    });
    let outcome = if is_durable {
        durable::submit_own(publish, Waiter::Nobody, context)
    } else {
        publish_now(publish, context).map(|_| note_told(true, context.counters))
    };
    outcome.map_err(|fault| fault.code)
}

/// Counts a change that was told, or could not be.
pub(super) fn note_told(is_told: bool, counters: &Counters) {
    counters.increment(match is_told {
        true => Counter::PresenceTold,
        false => Counter::PresenceUntold,
    });
}
