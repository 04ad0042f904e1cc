//! The keys of how a server is operated: its log, what it tells of itself and of its machine.
//!
//! Invariants: those of `keys.rs`.

use std::time::Duration;

use log::LevelFilter;

use super::emitters;
use super::key::{Key, Kind};
use super::keys::{choice, key, later, never_zero};
use super::settings::Config;

/// How the server is operated, section by section.
pub(super) static OF_OPERATION: &[Key<Config>] = &[
    key(
        "backplane.kind",
        Kind::Choice(&[choice("memory", |_| ()), later("redis")]),
        "memory",
        "What joins several servers. `memory`: nothing, this process is alone.",
    ),
    never_zero(
        "without time between them there would be nothing but samples",
        key(
            "host.interval",
            Kind::TimeWithin(INTERVAL_MIN, INTERVAL_MAX, |c, v| c.host.interval = v),
            "5s",
            "Time between samples of the machine while somebody watches; otherwise there is one a \
             minute. WS_METRICS_INTERVAL, in whole milliseconds, is taken where this is not \
             written.",
        ),
    ),
    key(
        "host.top_processes",
        Kind::Count(0, 100, |c, v| c.host.top_processes = v),
        "10",
        "Processes in a sample, those that use most; 0 leaves them out, which saves most of a \
         sample's cost.",
    ),
    key(
        "host.command_lines",
        Kind::Flag(|c, v| c.host.command_lines = v),
        "false",
        "Whether processes are shown with their arguments, which may hold secrets.",
    ),
    key(
        "metrics.statsd",
        Kind::Address(|c, v| c.metrics.statsd = v),
        "",
        "An address and UDP port of StatsD that counters and gauges are sent to.",
    ),
    never_zero(
        "without time between them there would be nothing but statistics",
        key(
            "metrics.publish_interval",
            Kind::Time(|c, v| c.metrics.publish_interval = v),
            "10s",
            "Time between statistics of the server, in their room and to StatsD.",
        ),
    ),
    key(
        "metrics.require_auth",
        Kind::Flag(|c, v| c.metrics.require_auth = v),
        "false",
        "Whether `/metrics` needs an admin's token or key in token mode.",
    ),
    key(
        "log.level",
        Kind::Choice(&[
            choice("error", |c: &mut Config| c.log.level = LevelFilter::Error),
            choice("warn", |c| c.log.level = LevelFilter::Warn),
            choice("info", |c| c.log.level = LevelFilter::Info),
            choice("debug", |c| c.log.level = LevelFilter::Debug),
            choice("trace", |c| c.log.level = LevelFilter::Trace),
        ]),
        "info",
        "The least important messages that are logged.",
    ),
    key(
        "log.file",
        Kind::Path(|c, v| c.log.file = Some(v)),
        "",
        "A file to append the log to, instead of standard error.",
    ),
    key(
        "webhooks.github_secret",
        Kind::Secret(|c, v| c.webhooks.github_secret = Some(v)),
        "",
        "The secret that GitHub's webhooks are signed with, of 16 bytes or more: with it \
         `/api/v1/webhooks/github` takes deliveries.",
    ),
    key(
        "webhooks.github_secret_file",
        Kind::Path(|c, v| c.webhooks.github_secret_file = Some(v)),
        "",
        "In place of it: a file that holds it. SIGHUP reads it again.",
    ),
    key(
        "emitters.redis_url",
        Kind::Secret(|c, v| c.emitters.redis_url = Some(v)),
        "",
        "The Redis that back ends emit to: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, or `rediss://` \
         for TLS. Without it nothing is listened to.",
    ),
    key(
        "emitters.channels",
        Kind::List(emitters::channel, |c, v| c.emitters.channels = v),
        "[\"socketio\", \"socket.io\"]",
        "Where they emit: python-socketio's `channel`, and the `key` of Node's emitters.",
    ),
    key(
        "debug.echo",
        Kind::Flag(|c, v| c.debug_echo = v),
        "false",
        "Whether `/ws/echo` sends every message back, for conformance suites and proxies.",
    ),
];

/// A sample takes some milliseconds of work.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
