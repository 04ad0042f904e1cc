//! What back ends emit by way of Redis: who may, and what becomes of it.
//!
//! Whoever may write to that Redis is trusted like a back end with an admin's API key: it may
//! publish in every room and manage sessions. May not touch: Redis. Invariant: a message is counted
//! as what came of it, once.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::app::commands::too_busy;
use crate::app::durable;
use crate::app::publish::{Checked, check, publish_once};
use crate::app::services::Context;
use crate::backplane::emitter::publication::publication;
use crate::backplane::emitter::{EmitterFault, Message, Writer, read};
use crate::base::ids::SessionId;
use crate::bus::mail::{Mail, Manage, Who, ask_all};
use crate::bus::order::Waiter;
use crate::domain::access::{ApiKey, Caller, Identity, Role};
use crate::domain::command::Publish;
use crate::domain::fault::Fault;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// How the connection to the Redis of emitters stands.
#[derive(Debug, Default)]
pub struct EmitterLink(AtomicU8);

/// The states of an [`EmitterLink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// None is configured.
    Off,
    /// It does not stand.
    Down,
    /// It stands.
    Up,
}

impl EmitterLink {
    /// Notes how it stands.
    pub fn set(&self, state: LinkState) {
        self.0.store(state as u8, Ordering::Relaxed);
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> LinkState {
        match self.0.load(Ordering::Relaxed) {
            0 => LinkState::Off,
            1 => LinkState::Down,
            _ => LinkState::Up,
        }
    }
}

/// What a message asks for, with what was checked about it.
#[derive(Debug)]
pub enum Asked {
    /// Something is to be published.
    Publish(Publish),
    /// Something is to be done with a session.
    Manage(SessionId, Manage),
    /// Nothing.
    Nothing,
}

/// Reads a message and counts it.
///
/// # Errors
/// What is wrong with it; that has been counted.
pub fn understand(
    writer: Writer,
    channel: &str,
    message: &[u8],
    context: Context<'_>,
) -> Result<Asked, EmitterFault> {
    context.counters.increment(Counter::EmitterMessages);
    let config = &context.live.config;
    let (limit, namespaces) = (config.limits.message_bytes, &config.socketio.namespaces);
    let asked = read(writer, channel, message, limit).and_then(|message| match message {
        Message::Emit(emit) => publication(emit, namespaces.iter()).map(Asked::Publish),
        Message::Manage(session, what) => Ok(Asked::Manage(session, what)),
        Message::Ignored => Ok(Asked::Nothing),
    });
    asked.inspect_err(|_| note(false, context.counters))
}

/// Whether there is room for what is asked: in the shards' mailboxes, and in the store's queue.
#[must_use]
pub fn has_room(context: Context<'_>) -> bool {
    let store = context.services.store.as_ref();
    context.services.rooms.has_room_for_mail() && !store.is_some_and(|store| store.queue.is_full())
}

/// Does what is asked, and counts it: at once, or, where a room is durable, when it is written.
///
/// # Errors
/// As publishing over HTTP; that has been counted.
pub fn carry_out(asked: Asked, context: Context<'_>) -> Result<(), Fault> {
    let done = match asked {
        Asked::Nothing => {
            context.counters.increment(Counter::EmitterIgnored);
            return Ok(());
        }
        Asked::Manage(session, what) => manage(session, &what, context),
        Asked::Publish(asked) => {
            let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            match check(asked, |_| Caller::Api, &trusted(), nobody, context) {
                Ok(Checked::Memory(commission)) => publish_once(commission, context).map(drop),
                Ok(Checked::Durable(commission)) => {
                    let submitted =
                        durable::submit_own(commission.publish, Waiter::Emitter, context);
                    if submitted.is_ok() {
                        // Counted when it is written.
                        return Ok(());
                    }
                    submitted
                }
                // Without a key nothing is one.
                Ok(Checked::Repeat(_)) => Ok(()),
                Err(fault) => Err(fault),
            }
        }
    };
    note(done.is_ok(), context.counters);
    done
}

/// Counts what came of a message.
pub fn note(is_published: bool, counters: &Counters) {
    counters.increment(match is_published {
        true => Counter::EmitterPublished,
        false => Counter::EmitterRefused,
    });
}

/// On whose behalf emitters publish.
fn trusted() -> Identity {
    Identity::Key(Arc::new(ApiKey {
        name: "emitters.redis_url".into(),
        role: Arc::new(Role::admin()),
    }))
}

/// Does something with a session, if it is here, and waits until that is done: what is emitted next
/// may be for the room that it enters.
fn manage(session: SessionId, what: &Manage, context: Context<'_>) -> Result<(), Fault> {
    let asked = ask_all(&context.services.mailboxes, |reply| Mail::Manage {
        who: Who::Session(session),
        what: what.clone(),
        reply,
    });
    asked.map(drop).ok_or_else(too_busy)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testkit::world::{Options, World};

    fn told(world: &World, message: &str) -> Result<(), String> {
        let live = world.services.live();
        let counters = world.services.counters_of_workers();
        let context = world.services.context(&live, &counters, world.now());
        assert!(has_room(context));
        let message = message.as_bytes();
        let asked = understand(Writer::Python, "socketio", message, context);
        let asked = asked.map_err(|fault| fault.to_string())?;
        carry_out(asked, context).map_err(|fault| fault.message)
    }

    fn emit(members: &str) -> String {
        format!(r#"{{"method":"emit","event":"e","data":1,{members}}}"#)
    }

    #[test]
    fn emitters_publish_where_only_the_server_may_and_each_message_is_counted_once() {
        let config = "[server]\nstrict_rooms = true\n[limits]\nmessage_bytes = \"1KiB\"\n";
        let world = World::new(Options {
            config,
            ..Options::default()
        });
        assert_eq!(told(&world, &emit(r#""namespace":"/""#)), Ok(()));
        assert_eq!(told(&world, &emit(r#""room":"metrics""#)), Ok(()));
        assert_eq!(
            told(&world, r#"{"method":"close_room","room":"a"}"#),
            Ok(())
        );
        let check = |message: &str, problem: &str| {
            let fault = told(&world, message).unwrap_err();
            assert!(fault.contains(problem), "{fault}");
        };
        check(&emit(r#""room":"elsewhere:1""#), "elsewhere");
        check(&emit(r#""namespace":"/admin""#), "socketio.namespaces");
        check("{", "not JSON");
        check(&" ".repeat(1025), "limits.message_bytes");
        let counted = [
            (Counter::EmitterMessages, 7),
            (Counter::EmitterPublished, 2),
            (Counter::EmitterIgnored, 1),
            (Counter::EmitterRefused, 4),
            (Counter::Publications, 2),
        ];
        for (counter, expected) in counted {
            assert_eq!(world.total(counter), expected, "{counter:?}");
        }
    }

    #[test]
    fn a_link_stands_as_it_was_noted() {
        let link = EmitterLink::default();
        assert_eq!(link.state(), LinkState::Off);
        for state in [LinkState::Down, LinkState::Up, LinkState::Off] {
            link.set(state);
            assert_eq!(link.state(), state);
        }
    }
}
