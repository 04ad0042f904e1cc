//! `connect`: connect, upgrade, close handshake, again and again.
//!
//! Invariant: a latency is the time from connecting to the accepted upgrade.

use std::time::Instant;

use crate::cli::Failure;
use crate::cli::bench::arguments::ConnectArguments;
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::peer::Event;
use crate::cli::bench::report::Report;
use crate::cli::bench::swarm::{Dial, Swarm};
use crate::cli::bench::{Outcome, Prepared, TURN, prepare, tell_connections};

pub(super) fn run(asked: &ConnectArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let path = common.path_or("/ws");
    let Prepared {
        mut swarm, meter, ..
    } = prepare(common, asked.connections, &path)?;

    let warm_until = Instant::now() + common.warmup;
    go_on(
        &mut swarm,
        &path,
        asked.connections,
        warm_until,
        &mut Latencies::new()?,
    )?;
    let (before, start) = (swarm.counts.clone(), meter.read());
    let mut latencies = Latencies::new()?;
    let until = start.at + common.duration;
    go_on(&mut swarm, &path, asked.connections, until, &mut latencies)?;
    let spent = start.until(&meter.read());
    let opened = swarm.counts.opened - before.opened;
    let closed = swarm.counts.closed - before.closed;
    while swarm.live() > 0 {
        swarm.turn(TURN, |outgoing, told| {
            if told.event == Event::Opened {
                outgoing.close();
            }
        })?;
    }

    let target = format!("{}{path}, {} at once", common.url, asked.connections);
    let mut report = Report::new("connect", target);
    report.count("handshakes", "handshakes", opened);
    report.per_second("handshakes_per_second", "rate", opened, spent.wall);
    report.latency("latency_us", "latency", latencies.summary());
    report.spent(&spent, "connection", closed);
    tell_connections(&mut report, &swarm);
    let fault = (opened == 0).then(|| "no connection was opened in this time".to_owned());
    Ok(Outcome {
        report,
        spent,
        fault,
    })
}

/// Keeps `count` connections on their way until `until`.
fn go_on(
    swarm: &mut Swarm<'_>,
    path: &str,
    count: usize,
    until: Instant,
    latencies: &mut Latencies,
) -> Result<(), Failure> {
    while Instant::now() < until {
        while swarm.live() < count {
            if swarm.open(Dial::WebSocket(path)).is_none() {
                break; // Out of ports, say: in the next turn some may be free.
            }
        }
        swarm.turn(TURN, |outgoing, told| {
            if told.event == Event::Opened {
                latencies.record(told.now.saturating_duration_since(told.dialled));
                outgoing.close();
            }
        })?;
    }
    Ok(())
}
