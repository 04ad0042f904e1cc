//! Durable subscriptions of sessions: asked of the store first, then joined, acknowledged, given up.
//!
//! ```text
//! subscribe {durable} ─▶ store: what is kept ─▶ membership::subscribe {since: what is kept}
//! ack ─────────────────▶ store ─▶ reply
//! ```
//!
//! Invariant: a session acknowledges only what it subscribed to under a name, in rooms that it is
//! in, so whoever may not read a room keeps no position there.

use crate::app::commands::fault_reply;
use crate::app::durable::{not_durable, too_many};
use crate::app::publish::options;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::bus::job::{Kept, Wish};
use crate::bus::order::{Form, Keep, Keeping, Order, Sequel, Step, Then};
use crate::config::PublishPolicy;
use crate::dialect::native::decode::Correlation;
use crate::domain::access::{self, Action, Caller};
use crate::domain::command::{Acknowledge, Since};
use crate::domain::durable::{DurableName, owner};
use crate::domain::fault::{Code, Fault};
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::membership::{self, Asked};
use crate::shard::peer::{Peer, Session};
use crate::shard::{Hub, dispatch, websocket};

/// Has the store say what is kept for each of `rooms`, or give it up; [`take`] goes on then.
pub(super) fn ask(
    peer: &mut Peer,
    id: PeerId,
    sequel: Sequel,
    rooms: Vec<Result<RoomName, Fault>>,
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let steps = rooms.into_iter().map(|room| {
        let room = room?;
        let (name, what) = match &sequel.then {
            Then::Subscribe(name, _) => {
                check(session, &room, name, hub)?;
                (name, Keeping::Begin)
            }
            Then::Unsubscribe(name) => (name, Keeping::Forget),
        };
        Ok(Step::Keep(Box::new(Keep {
            owner: owner(&session.identity),
            name: name.clone(),
            room,
            what,
        })))
    });
    let steps = steps.map(|step| step.unwrap_or_else(Step::Refused));
    let order = Order {
        steps: steps.collect(),
        form: Form::Session(Box::new(sequel)),
    };
    dispatch::order(peer, id, order, hub, now);
}

/// Whether the session may have a position kept in the room, before anything is.
fn check(session: &Session, room: &RoomName, name: &DurableName, hub: &Hub) -> Result<(), Fault> {
    let caller = Caller::Session { is_member: false };
    let policy = PublishPolicy::Grant;
    access::check(&session.identity, caller, Action::Subscribe, room, policy)?;
    let projects = &hub.services.projects;
    projects.check_room(room, &session.identity, &hub.live.config)?;
    if !options(room, &hub.services, &hub.live, &hub.counters)?.durable {
        return Err(not_durable(room));
    }
    let most = hub.live.config.limits.durable_subscriptions;
    let mut known = of(session).iter();
    if most.is_some_and(|most| known.len() >= most)
        && !known.any(|it| (&it.0, &it.1) == (room, name))
    {
        hub.counters.increment(Counter::DurableSubscriptionsRefused);
        return Err(too_many(&hub.live));
    }
    Ok(())
}

/// Goes on with a command when the store has answered.
pub(super) fn take(
    peer: &mut Peer,
    id: PeerId,
    sequel: Sequel,
    kept: Vec<Result<Kept, Fault>>,
    hub: &mut Hub,
    now: Now,
) {
    let (name, to) = (sequel.name, &sequel.correlation);
    match sequel.then {
        Then::Subscribe(durable, since) => {
            let wish = |kept: Kept| {
                let position = kept.position;
                let kept_since = position.map(|Position { epoch, offset }| Since {
                    epoch: Some(epoch),
                    offset,
                });
                Wish {
                    room: kept.room,
                    since: since.clone().or(kept_since),
                    durable: position.map(|position| (durable.clone(), position)),
                }
            };
            let rooms = kept.into_iter().map(|kept| kept.map(wish)).collect();
            membership::subscribe(peer, id, Asked { name, to, rooms }, hub, now);
        }
        Then::Unsubscribe(_) => {
            let rooms = kept.into_iter().map(|kept| kept.map(|kept| kept.room));
            let rooms = rooms.collect();
            membership::unsubscribe(peer, id, Asked { name, to, rooms }, hub, now);
        }
    }
}

/// Has the store write down how far a durable subscription got, and answer.
pub(super) fn acknowledge(
    peer: &mut Peer,
    id: PeerId,
    to: Correlation,
    asked: Acknowledge,
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    match named(session, &asked) {
        Ok(name) => {
            let keep = Keep {
                owner: owner(&session.identity),
                name,
                room: asked.room,
                what: Keeping::Acknowledge(asked.offset),
            };
            let order = Order {
                steps: vec![Step::Keep(Box::new(keep))],
                form: Form::Reply(to),
            };
            dispatch::order(peer, id, order, hub, now);
        }
        Err(fault) => {
            let reply = fault_reply(&to, &fault, now.wall);
            websocket::reply(peer, id, &reply, hub, now);
        }
    }
}

/// Which of the session's durable subscriptions is meant.
fn named(session: &Session, asked: &Acknowledge) -> Result<DurableName, Fault> {
    let names = of(session).iter();
    let names = names.filter(|(room, _)| *room == asked.room);
    let mut names = names.map(|(_, name)| name);
    let wrong = |message: &str| Err(Fault::new(Code::ValidationFailed, message));
    match &asked.durable {
        Some(name) if names.any(|known| known == name) => Ok(name.clone()),
        Some(_) => wrong("the session has no durable subscription of this name to the room"),
        None => match (names.next(), names.next()) {
            (Some(name), None) => Ok(name.clone()),
            (Some(_), Some(_)) => wrong(
                "the session has several durable subscriptions to the room: name one, in durable",
            ),
            (None, _) => wrong(
                "the session has no durable subscription to the room: subscribe with durable first",
            ),
        },
    }
}

fn of(session: &Session) -> &[(RoomName, DurableName)] {
    let asides = session.asides.as_ref();
    asides.map_or(&[], |asides| &asides.durable)
}

/// Notes that a session is in a room under a name, if it is.
pub(super) fn note(
    session: &mut Session,
    room: &RoomName,
    durable: Option<&(DurableName, Position)>,
) {
    let Some((name, _)) = durable else {
        return;
    };
    let known = &mut session.asides.get_or_insert_default().durable;
    if !known.iter().any(|it| (&it.0, &it.1) == (room, name)) {
        known.push((room.clone(), name.clone()));
    }
}

/// What was acknowledged of the stream that the room has now.
pub(super) fn acknowledged(
    durable: Option<&(DurableName, Position)>,
    now: &Position,
) -> Option<u64> {
    let (_, kept) = durable?;
    (kept.epoch == now.epoch).then_some(kept.offset)
}
