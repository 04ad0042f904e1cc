//! What a step needs before it can be written: its rooms and where they stand.

use std::collections::HashSet;
use std::slice;
use std::sync::Arc;

use crate::app::commands::no_room;
use crate::app::durable::not_durable;
use crate::app::projects::no_project;
use crate::app::publish::room_fault;
use crate::app::services::Context;
use crate::base::clock::Wall;
use crate::bus::execution::Record;
use crate::bus::order::{Errand, Keep, Keeping, Step, Waiter};
use crate::bus::room::Room;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;
use crate::domain::stream::Retention;
use crate::store::commit::{Entry, Key, Target, Work};
use crate::store::subscriptions::{self, Action};

/// What a step needs before it can be written.
#[derive(Debug)]
pub(super) enum Reserved {
    /// A publication with some durable room.
    Publish {
        /// All its rooms.
        rooms: Vec<Arc<Room>>,
        /// The durable ones: where they stand, and what is kept of them.
        bases: Vec<(RoomName, Position, Retention)>,
        uid: u128,
        /// The key's owner and the key.
        key: Option<(String, String)>,
    },
    /// A stream that begins anew.
    Clear {
        room: Arc<Room>,
        base: (RoomName, Position, Retention),
        epoch: Epoch,
    },
    /// A project or a run.
    Record {
        /// The project's room.
        base: (RoomName, Position, Retention),
        /// The epoch of rooms made from now on, if the project is deleted.
        fresh: Epoch,
    },
    /// A durable subscription.
    Keep(Action),
    /// Nothing: the store has no part in it.
    Nothing,
    /// It cannot be done.
    Refused(Fault),
}

/// What the steps of an errand need. `gone` are the rooms of projects that are deleted before it, in
/// the same transaction: nothing enters them any more.
pub(super) fn reserve_all(
    errand: &Errand,
    gone: &mut HashSet<RoomName>,
    context: Context<'_>,
) -> Vec<Reserved> {
    for step in &errand.steps {
        if let Step::Record(Record::Project(project)) = step
            && let Some(room) = project.id.room()
        {
            context.services.rooms.register(&room);
        }
    }
    let is_gone = |step: &Step| match step {
        Step::Publish(commission) => commission
            .publish
            .rooms
            .iter()
            .any(|room| gone.contains(room)),
        Step::Clear(room) => gone.contains(room),
        Step::Keep(keep) => gone.contains(&keep.room),
        Step::Record(_) | Step::Refused(_) | Step::Answered(_) => false,
    };
    let steps = errand.steps.iter();
    let mut reserved: Vec<_> = steps
        .map(|step| match is_gone(step) {
            true => Reserved::Refused(no_project()),
            false => reserve(step, context),
        })
        .collect();
    for step in &errand.steps {
        if let Step::Record(Record::ProjectDeleted(id)) = step {
            gone.extend(id.room());
        }
    }
    let refusal = reserved.iter().find_map(|reserved| match reserved {
        Reserved::Refused(fault) => Some(fault.clone()),
        _ => None,
    });
    if let (Waiter::Executor(_), Some(fault)) = (&errand.waiter, refusal) {
        reserved.fill_with(|| Reserved::Refused(fault.clone()));
    }
    reserved
}

fn reserve(step: &Step, context: Context<'_>) -> Reserved {
    let rooms = &context.services.rooms;
    match step {
        Step::Publish(commission) => {
            let reserved = match rooms.reserve(&commission.publish.rooms) {
                Ok(reserved) => reserved,
                Err(fault) => {
                    return Reserved::Refused(room_fault(&fault, context.counters));
                }
            };
            let durable = reserved.iter().filter(|room| room.is_durable());
            let bases: Vec<_> = durable.map(base).collect();
            if bases.is_empty() {
                return Reserved::Nothing;
            }
            let key = commission.key.as_ref();
            Reserved::Publish {
                bases,
                rooms: reserved,
                uid: rooms.random_uid(),
                key: key.map(|(scope, _)| (scope.owner(), scope.key().to_owned())),
            }
        }
        Step::Clear(name) => match rooms.existing(name).filter(|room| room.is_durable()) {
            Some(room) => Reserved::Clear {
                base: base(&room),
                room,
                epoch: rooms.random_epoch(),
            },
            None => Reserved::Refused(no_room(name.as_str())),
        },
        Step::Record(record) => {
            let reserved = record.project().room().map(|room| rooms.reserve(&[room]));
            let room = match reserved {
                Some(Ok(reserved)) => reserved.into_iter().next(),
                Some(Err(fault)) => {
                    return Reserved::Refused(room_fault(&fault, context.counters));
                }
                None => None,
            };
            match room {
                Some(room) => Reserved::Record {
                    base: base(&room),
                    fresh: rooms.random_epoch(),
                },
                None => Reserved::Refused(no_project()),
            }
        }
        Step::Keep(keep) => keeping(keep, context).map_or_else(Reserved::Refused, Reserved::Keep),
        Step::Refused(_) | Step::Answered(_) => Reserved::Nothing,
    }
}

/// What is to be done with a durable subscription, now that the room's position is known.
fn keeping(keep: &Keep, context: Context<'_>) -> Result<Action, Fault> {
    match keep.what {
        Keeping::Forget => Ok(Action::Forget),
        Keeping::Begin => position(&keep.room, context).map(Action::Begin),
        Keeping::Acknowledge(offset) => {
            let position = position(&keep.room, context)?;
            if offset > position.offset {
                let message = format!(
                    "offset must be at most {}, where the room is",
                    position.offset
                );
                return Err(Fault::new(Code::ValidationFailed, message));
            }
            Ok(Action::Acknowledge(Position { offset, ..position }))
        }
    }
}

/// Where a durable room stands, which is made if need be.
fn position(room: &RoomName, context: Context<'_>) -> Result<Position, Fault> {
    let reserved = context.services.rooms.reserve(slice::from_ref(room));
    let reserved = reserved.map_err(|fault| room_fault(&fault, context.counters))?;
    let durable = reserved.first().filter(|room| room.is_durable());
    let durable = durable.ok_or_else(|| not_durable(room))?;
    Ok(durable.position())
}

fn base(room: &Arc<Room>) -> (RoomName, Position, Retention) {
    let retention = Retention::of(&room.options());
    (room.name.clone(), room.position(), retention)
}

fn target((room, base, retention): &(RoomName, Position, Retention)) -> Target<'_> {
    Target {
        room,
        base: *base,
        retention: *retention,
    }
}

impl Reserved {
    /// What is to be written; of durable subscriptions an owner has `most`.
    pub(super) fn work<'a>(&'a self, step: &'a Step, most: usize, at: Wall) -> Option<Work<'a>> {
        match (self, step) {
            (
                Self::Publish {
                    bases, uid, key, ..
                },
                Step::Publish(commission),
            ) => {
                let key = key.as_ref().zip(commission.key.as_ref());
                Some(Work::Publish(Entry {
                    publish: &commission.publish,
                    targets: bases.iter().map(target).collect(),
                    uid: *uid,
                    at,
                    key: key.map(|((owner, key), (_, print))| Key { owner, key, print }),
                }))
            }
            (Self::Clear { base, epoch, .. }, _) => Some(Work::Clear {
                target: target(base),
                epoch: *epoch,
            }),
            (Self::Keep(action), Step::Keep(keep)) => Some(Work::Keep(subscriptions::Keep {
                owner: &keep.owner,
                name: keep.name.as_str(),
                room: &keep.room,
                action: *action,
                most,
            })),
            (Self::Record { base, fresh }, Step::Record(record)) => Some(Work::Record {
                record,
                target: target(base),
                fresh: *fresh,
            }),
            _ => None,
        }
    }
}
