//! `idle`: open connections and let them rest.
//!
//! Invariant: memory is compared between moments at which nothing happens.

use std::time::{Duration, Instant};

use crate::cli::Failure;
use crate::cli::bench::arguments::IdleArguments;
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::peer::Event;
use crate::cli::bench::report::Report;
use crate::cli::bench::swarm::Swarm;
use crate::cli::bench::{Outcome, Prepared, prepare, tell_connections, wait_until};

/// Connections opened before memory is read for the first time: they pay for what all share.
const FIRST: usize = 10;

pub(super) fn run(asked: &IdleArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let path = common.path_or("/ws");
    let count = asked.connections;
    let Prepared {
        mut swarm, meter, ..
    } = prepare(common, count, &path)?;

    swarm.open_all(&path, FIRST.min(count / FIRST), |_, _| {})?;
    rest(&mut swarm, common.warmup)?;
    let (first, start) = (swarm.counts.opened, meter.read());
    let mut latencies = Latencies::new()?;
    let remaining = count.saturating_sub(usize::try_from(first).unwrap_or(count));
    swarm.open_all(&path, remaining, |_, told| {
        if told.event == Event::Opened {
            latencies.record(told.now.saturating_duration_since(told.dialled));
        }
    })?;
    let opening = start.until(&meter.read());
    rest(&mut swarm, common.warmup)?;
    let quiet = meter.read();
    rest(&mut swarm, common.duration)?;
    let spent = quiet.until(&meter.read());
    let opened = swarm.counts.opened - first;
    let all = swarm.counts.opened;
    let still = swarm.live() as u64;

    let mut report = Report::new("idle", format!("{}{path}, {count} connections", common.url));
    report.count("opened", "opened", all);
    report.time("opening_seconds", "time to open", opening.wall);
    report.per_second("opened_per_second", "rate", opened, opening.wall);
    report.latency("latency_us", "latency", latencies.summary());
    if let Some((server, opened)) = opening.server.zip(nonzero(opened)) {
        let each = (server.user + server.system) / opened;
        report.micros("server_cpu_us_per_open", "server CPU to open one", each);
    }
    if let Some(((before, after), opened)) = start.server.zip(quiet.server).zip(nonzero(opened)) {
        let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
        report.bytes(
            "server_resident_before_bytes",
            "server memory before",
            before.resident_bytes,
        );
        report.bytes(
            "bytes_per_connection",
            "memory per connection",
            grown / u64::from(opened),
        );
    }
    report.count("still_open", "open at the end", still);
    report.spent(&spent, "connection", 0);
    tell_connections(&mut report, &swarm);
    let fault = (all == 0).then(|| "no connection was opened".to_owned());
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault,
    })
}

fn nonzero(count: u64) -> Option<u32> {
    u32::try_from(count).ok().filter(|count| *count > 0)
}

/// Only answers pings, for `time` or until nobody is left.
fn rest(swarm: &mut Swarm<'_>, time: Duration) -> Result<(), Failure> {
    let until = Instant::now() + time;
    let was_empty = swarm.live() == 0;
    loop {
        let now = Instant::now();
        if now >= until || (swarm.live() == 0 && !was_empty) {
            return Ok(());
        }
        swarm.turn(wait_until(until, now), |_, _| {})?;
    }
}
