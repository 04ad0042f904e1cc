//! GET /api/v1/server: what the server knows of itself, by the names of the first of the replaced
//! systems, whose clients count threads as goroutines.

use serde_json::{Value, json};

use crate::app::http::Call;
use crate::app::projects;
use crate::app::services::{Context, Services};
use crate::base::clock::Now;
use crate::config::CLAUDE;
use crate::domain::access::Identity;
use crate::domain::fault::Fault;
use crate::domain::project::ProjectState;
use crate::metrics::names::Counter;
use crate::os::process_usage::processors;
use crate::wire::http::response::{Response, Status};

/// The whole tree. Waits for the locks of rooms: for workers only.
///
/// # Errors
/// None.
pub fn tree(call: &Call<'_>) -> Result<Response, Fault> {
    let context = call.context;
    let (services, now) = (context.services, context.now);
    let counts = services.projects.counts();
    let (sessions, sessions_total) = (services.sessions(), services.total(Counter::SessionsOpened));
    let messages =
        services.total(Counter::MessagesReceived) + services.total(Counter::MessagesSent);
    let active = counts.running + counts.stalled;
    let tree = json!({
        "server": {
            "uptime_seconds": services.uptime(now).as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
            "platform": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        },
        "counters": {
            "total_executions": services.total(Counter::RunsStarted),
            "total_messages": messages,
            "total_connections": sessions_total,
            "total_errors": errors(services),
        },
        "gauges": {
            "active_connections": sessions,
            "active_executions": active,
            "active_projects": counts.executing,
        },
        "resources": resources(context),
        "performance": performance(services, now),
        "websocket": {
            "active_connections": sessions,
            "total_connections": sessions_total,
        },
        "projects": {
            "total": counts.idle + counts.executing + counts.error,
            // None may be registered without a bound, as 0 says in the configuration.
            "limit": context.live.config.projects.max.unwrap_or(0),
        },
        "executor": executor(active, &call.http.identity, context),
        "platform": services.platform,
    });
    Ok(Response::json(Status::OK, &tree))
}

/// What went wrong, whoever's fault it was.
fn errors(services: &Services) -> u64 {
    [
        Counter::CommandErrors,
        Counter::HttpFaults,
        Counter::ProtocolFaults,
        Counter::RunsFailed,
        Counter::RunsTimedOut,
        Counter::StoreFailures,
        Counter::HandlerPanics,
    ]
    .into_iter()
    .map(|counter| services.total(counter))
    .sum()
}

fn resources(context: Context<'_>) -> Value {
    const MIB: u64 = 1024 * 1024;
    let (usage, percent) = context.services.own_usage(context.now.mono);
    let limits = &context.live.config.limits;
    let threads_limit = limits.threads.unwrap_or(0);
    json!({
        "memory_mb": usage.usage.resident_bytes / MIB,
        "memory_limit_mb": limits.memory_mb.unwrap_or(0),
        "goroutines": usage.threads,
        "goroutine_limit": threads_limit,
        "threads": usage.threads,
        "thread_limit": threads_limit,
        "open_files": usage.open_descriptors,
        "cpu_percent": rounded(percent),
        "cpu_count": processors(),
    })
}

fn performance(services: &Services, now: Now) -> Value {
    let runs = services.statistics.runs();
    json!({
        "execution_min_ms": runs.min.as_millis(),
        "execution_p50_ms": runs.p50.as_millis(),
        "execution_p90_ms": runs.p90.as_millis(),
        "execution_p99_ms": runs.p99.as_millis(),
        "execution_max_ms": runs.max.as_millis(),
        "execution_avg_ms": runs.average.as_millis(),
        "message_throughput_ps": rounded(services.messages_per_second(now.mono)),
    })
}

fn executor(active: u64, identity: &Identity, context: Context<'_>) -> Value {
    let config = &context.live.config;
    // Where projects are closed to whoever asks, so are their ids.
    let is_open = projects::is_open_to(identity, config).is_ok();
    let listed = context.services.projects.list();
    let executing = listed
        .iter()
        .filter(|project| is_open && project.state == ProjectState::Executing)
        .map(|project| project.id.to_string());
    let claude = config.agents.options(CLAUDE);
    let timeout = claude.and_then(|agent| agent.timeout).unwrap_or_default();
    json!({
        "active_processes": active,
        "max_concurrent_executions": config.limits.runs.unwrap_or(0),
        "default_timeout": humantime::format_duration(timeout).to_string(),
        "active_projects": executing.collect::<Vec<_>>(),
    })
}

/// To hundredths, which is all that these numbers are worth.
pub(in crate::app) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::testkit::world::{Options, World};

    fn ask(world: &mut World) -> Value {
        let client = world.open();
        world.client(client).request("GET", "/api/v1/server", "");
        world.settle();
        let answer = world.client(client).answers.pop_front().unwrap();
        assert_eq!(answer.status, 200);
        serde_json::from_str(&answer.body).unwrap()
    }

    #[test]
    fn the_tree_has_every_name_that_clients_know() {
        let mut world = World::new(Options::default());
        let tree = ask(&mut world);
        let expected = [
            ("server", "uptime_seconds version platform arch"),
            (
                "counters",
                "total_executions total_messages total_connections total_errors",
            ),
            (
                "gauges",
                "active_connections active_executions active_projects",
            ),
            (
                "resources",
                "memory_mb memory_limit_mb goroutines goroutine_limit cpu_percent cpu_count threads",
            ),
            (
                "performance",
                "execution_p50_ms execution_p90_ms execution_p99_ms message_throughput_ps",
            ),
            ("websocket", "active_connections total_connections"),
            ("projects", "total limit"),
            (
                "executor",
                "active_processes max_concurrent_executions default_timeout active_projects",
            ),
            ("platform", "os arch limits"),
        ];
        for (part, names) in expected {
            for name in names.split(' ') {
                let value = &tree[part][name];
                assert!(!value.is_null(), "{part}.{name} is missing in {tree}");
            }
        }
        assert!(tree["resources"]["cpu_count"].as_u64() >= Some(1));
        assert_eq!(tree["executor"]["active_projects"], json!([]));
    }

    #[test]
    fn messages_per_second_are_those_of_the_last_minute() {
        let mut world = World::new(Options::default());
        let client = world.connect("/ws");
        for _ in 0..60 {
            world.client(client).command(json!({"type": "ping"}));
        }
        world.settle();
        let tree = ask(&mut world);
        let found = tree["performance"]["message_throughput_ps"]
            .as_f64()
            .unwrap();
        // Each was received and answered; the server's greeting is one more.
        assert!((found - 2.0).abs() < 0.1, "{found}");
        assert!(tree["counters"]["total_messages"].as_u64() >= Some(120));
        world.advance(Duration::from_secs(61));
        let tree = ask(&mut world);
        let found = tree["performance"]["message_throughput_ps"]
            .as_f64()
            .unwrap();
        assert!(found < 0.2, "{found}");
    }
}
