//! Who is in a room, for whoever asks; and who came and went, for those who are in it.

use crate::app::commands::too_busy;
use crate::app::publish::{options, publish_now};
use crate::app::services::Context;
use crate::bus::mail::{Mail, ask_all};
use crate::bus::presence::{Changes, Due};
use crate::bus::rooms::Settled;
use crate::config::PublishPolicy;
use crate::domain::access::{self, Action, Caller, Identity};
use crate::domain::fault::{Code, Fault};
use crate::domain::presence::Presence;
use crate::domain::room::RoomName;
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
    if !options(room, context.live, context.counters)?.presence {
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
            Settled::Tell { publish, is_here } => match publish_now(publish, context) {
                Err(fault) if fault.code == Code::ServerBusy => true,
                Err(_) => {
                    context.counters.increment(Counter::PresenceUntold);
                    rooms.told(&change, is_here)
                }
                Ok(_) => {
                    context.counters.increment(Counter::PresenceTold);
                    rooms.told(&change, is_here)
                }
            },
        };
        if waits {
            changes.put_back(change, now);
        }
    }
}
