//! The event `server_stats`: what the server tells of itself every now and then, to those in the
//! room `system:server_stats`.
//!
//! Its members are those of both systems that had it planned: what the first one's README shows,
//! and what the second one's code would have sent. Invariant: every number is one, whatever there
//! is or is not.

use serde_json::{Map, Value, json};

use crate::app::api::server::rounded;
use crate::app::publish::{options, publish_now};
use crate::app::services::{Context, Services};
use crate::domain::command::{Payload, Publish};
use crate::domain::project::ProjectState;
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;

/// The room, and the event in it.
pub const EVENT: &str = "server_stats";

/// Tells of the server, if somebody hears it. A room that is durable by configuration gets none:
/// what is old in an instant needs no disk. Waits for locks of rooms: for threads of their own.
pub fn publish(context: Context<'_>) {
    let Ok(room) = RoomName::of("system", EVENT) else {
        return;
    };
    let services = context.services;
    let members = services.rooms.summary(&room).map(|summary| summary.members);
    if members.unwrap_or(0) == 0 {
        return;
    }
    let options = options(&room, services, context.live, context.counters);
    if options.is_ok_and(|options| options.durable) {
        return;
    }
    let publish = Publish {
        rooms: vec![room],
        event: EVENT.into(),
        payload: Payload::Json(payload(context).to_string().into()),
        source: None,
        key: None,
        except: Vec::new(),
    };
    // Whoever misses one for want of room gets the next.
    let _ = publish_now(publish, context);
}

fn payload(context: Context<'_>) -> Value {
    let (services, now) = (context.services, context.now);
    let counts = services.projects.counts();
    let active = counts.running + counts.stalled;
    let total = |counter| services.total(counter);
    let runs = services.statistics.runs();
    let uptime = services.uptime(now).as_secs();
    let failed = total(Counter::RunsFailed) + total(Counter::RunsTimedOut);
    let (usage, percent) = services.own_usage(now.mono);
    let messages = json!({
        "sent": total(Counter::MessagesSent),
        "received": total(Counter::MessagesReceived),
        "rate_per_sec": rounded(services.messages_per_second(now.mono)),
    });
    json!({
        "timestamp": now.wall.to_rfc3339(),
        "connections": services.sessions(),
        "projects": projects(services),
        "executions": {
            "active": active,
            "total": total(Counter::RunsStarted),
            "success": total(Counter::RunsExited),
            "failed": failed,
            "avg_duration_ms": runs.average.as_millis(),
        },
        "messages": messages,
        "uptime": uptime,
        "server": {
            "version": env!("CARGO_PKG_VERSION"),
            "connections": services.sessions(),
            "rooms": services.rooms.count(),
            "memory_bytes": usage.usage.resident_bytes,
            "threads": usage.threads,
            "cpu_percent": rounded(percent),
        },
        "executor": {
            "active_processes": active,
            "queued": counts.queued,
            "max_concurrent_executions": context.live.config.limits.runs.unwrap_or(0),
        },
        "system": { "uptime": uptime },
    })
}

fn projects(services: &Services) -> Value {
    let projects = services.projects.list();
    let mut by_state: Map<String, Value> = Map::new();
    for state in ProjectState::ALL {
        let count = projects.iter().filter(|project| project.state == state);
        by_state.insert(state.word().to_owned(), count.count().into());
    }
    let with_sessions = projects.iter().filter(|one| one.session_id.is_some());
    let rooms = projects.iter().filter_map(|project| project.id.room());
    let members = rooms.filter_map(|room| services.rooms.summary(&room));
    let subscribers: u64 = members.map(|summary| summary.members).sum();
    #[allow(clippy::cast_precision_loss)] // Nobody has 2^53 of them.
    let average = subscribers as f64 / projects.len().max(1) as f64;
    json!({
        "total": projects.len(),
        "total_subscribers": subscribers,
        "with_sessions": with_sessions.count(),
        "by_state": by_state,
        "average_subscribers": rounded(average),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testkit::world::{Options, World};

    fn tell(world: &mut World) {
        let services = std::sync::Arc::clone(&world.services);
        let (live, counters) = (services.live(), services.counters_of_workers());
        publish(services.context(&live, &counters, world.now()));
        world.settle();
    }

    #[test]
    fn those_in_the_room_are_told_and_nobody_else() {
        let mut world = World::new(Options::default());
        let stranger = world.connect("/ws");
        tell(&mut world);
        let published = world.total(Counter::Publications);
        assert_eq!(published, 0, "nobody hears it");
        let listener = world.connect("/ws?room=system:server_stats");
        world.client(listener).take_json();
        world.client(stranger).take_json();
        tell(&mut world);
        assert!(world.client(stranger).take_json().is_empty());
        let heard = world.client(listener).take_json();
        assert_eq!(heard.len(), 1, "{heard:?}");
        let heard = &heard[0];
        assert_eq!(heard["type"], "server_stats");
        let data = &heard["data"];
        assert_eq!(data["connections"], 2);
        assert_eq!(data["projects"]["average_subscribers"], 0.0);
        assert_eq!(data["projects"]["by_state"]["IDLE"], 0);
        assert_eq!(data["executions"]["avg_duration_ms"], 0);
        assert!(data["messages"]["rate_per_sec"].is_number());
        assert!(data["system"]["uptime"].is_number());
    }

    #[test]
    fn a_durable_room_gets_none() {
        let mut world = World::new(Options {
            config: "[rooms.system]\ndurable = true\nhistory_count = 5\n",
            ..Options::default()
        });
        let listener = world.connect("/ws?room=system:server_stats");
        world.client(listener).take_json();
        tell(&mut world);
        assert!(world.client(listener).take_json().is_empty());
    }
}
