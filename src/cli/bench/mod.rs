//! `bench`: a load generator against any WebSocket server.
//!
//! ```text
//! arguments ─▶ prepare ─▶ connect | idle | echo | fanout | publish | recover | storm | run ─▶ report
//!              (target,    └─ rounds, publisher ─ swarm ─ client (socket) ─ peer (bytes)
//!               probe)     └─ meter, latency, stamp, outlet
//! ```
//!
//! May not touch: anything of the server's own. Invariants: every run ends by itself, whatever the
//! server does; processor time is measured over the time after the warm-up only; a server that does
//! not work is one clear line.

mod arguments;
mod client;
mod connect;
mod dialect;
mod echo;
mod fanout;
mod idle;
mod latency;
mod lines;
mod meter;
mod outlet;
mod peer;
mod publish;
mod publisher;
mod reason;
mod recover;
mod report;
mod rounds;
mod runs;
mod stamp;
mod storm;
mod swarm;
mod target;

use std::io;
use std::time::{Duration, Instant};

use crate::base::rng::Rng;
use crate::cli::bench::arguments::{Asked, CommonArguments, Scenario};
use crate::cli::bench::client::Secure;
use crate::cli::bench::meter::{Meter, Spent};
use crate::cli::bench::reason::Reason;
use crate::cli::bench::report::Report;
use crate::cli::bench::swarm::{Dial, Swarm};
use crate::cli::bench::target::{Requests, Route};
use crate::cli::following;
use crate::cli::server::Token;
use crate::cli::tls::Trust;
use crate::cli::transport::TransportFault;
use crate::cli::{Exit, Failure, output};
use crate::os::descriptor_limit;

pub(super) use crate::cli::bench::arguments::BenchArguments;

/// Descriptors for everything but the connections: the poll, standard streams, a publisher, /proc.
const SPARE_DESCRIPTORS: u64 = 16;

/// A generator that is busier than this percentage of a core measures itself.
const BUSY_PERCENT: f64 = 90.0;

/// How long one turn may wait while a run looks at the clock.
const TURN: Duration = Duration::from_millis(20);

/// Runs one scenario and prints what it found.
pub(super) fn run(asked: BenchArguments) -> Result<Exit, Failure> {
    let mut scenario = match asked.asked {
        Asked::Measure(scenario) => scenario,
        Asked::Lines(asked) => return lines::run(&asked),
    };
    let is_kinglets = scenario.is_kinglets();
    let watches_runs = matches!(*scenario, Scenario::Run(_));
    let common = scenario.common_mut();
    if common.socketio && is_kinglets {
        let reason = "--socketio: its rooms are measured by connect, idle, echo and fanout only";
        return Err(Failure::Misuse(reason.to_owned()));
    }
    let token = common.token.take();
    if let Some(value) = Token::authorization(token.clone())? {
        common.headers.push(("Authorization".to_owned(), value));
    }
    if watches_runs {
        // Others are told of runs in the words of an older system.
        let offer = ("Sec-WebSocket-Protocol", following::SUBPROTOCOL);
        common
            .headers
            .push((offer.0.to_owned(), offer.1.to_owned()));
    }
    let (common, outcome) = match &*scenario {
        Scenario::Connect(asked) => (&asked.common, connect::run(asked)?),
        Scenario::Idle(asked) => (&asked.common, idle::run(asked)?),
        Scenario::Echo(asked) => (&asked.common, echo::run(asked)?),
        Scenario::Fanout(asked) => (&asked.common, fanout::run(asked)?),
        Scenario::Publish(asked) => (&asked.common, publish::run(asked)?),
        Scenario::Recover(asked) => (&asked.common, recover::run(asked)?),
        Scenario::Storm(asked) => (&asked.common, storm::run(asked)?),
        Scenario::Run(asked) => (&asked.common, runs::run(asked, token)?),
    };
    let report = &outcome.report;
    output::line(&if common.json {
        report.to_json()
    } else {
        report.to_text()
    })?;
    if let Some(fault) = outcome.fault {
        return Err(Failure::Failed(fault));
    }
    let busy = 100.0 * outcome.spent.own.as_secs_f64() / outcome.spent.wall.as_secs_f64();
    if busy > BUSY_PERCENT {
        output::warning("the generator was busy all the time: the server may be faster than this");
    }
    if common.pid.is_some() && outcome.spent.server.is_none() {
        output::warning("the server's process ended while it was measured");
    }
    Ok(Exit::Done)
}

/// How a scenario ended.
struct Outcome {
    report: Report,
    /// What was used in the measured time.
    spent: Spent,
    /// Why the figures are worth nothing, if they are.
    fault: Option<String>,
}

/// Everything that a scenario needs to begin.
struct Prepared<'a> {
    swarm: Swarm<'a>,
    meter: Meter,
    rng: Rng,
}

/// Checks what can be checked before, and connects once to see that the server answers at `path`.
fn prepare<'a>(
    common: &'a CommonArguments,
    connections: usize,
    path: &str,
) -> Result<Prepared<'a>, Failure> {
    let meter = Meter::new(common.pid)?;
    check_descriptors(connections)?;
    let requests = Requests {
        target: &common.url,
        headers: &common.headers,
        dialect: common.dialect(),
    };
    let secure = secure(common)?;
    let mut rng = Rng::from_os().map_err(TransportFault::from)?;
    let mut last = None;
    for address in common.url.resolve()? {
        let route = Route {
            address,
            sources: common.sources,
        };
        if common.sources > 1 && !route.is_loopback_v4() {
            let reason = "--sources is for servers on 127.0.0.1: only there are more addresses";
            return Err(Failure::Misuse(reason.to_owned()));
        }
        let mut swarm = Swarm::new(requests, route, secure.clone(), rng.split())?;
        match probe(&mut swarm, path)? {
            None => {
                return Ok(Prepared { swarm, meter, rng });
            }
            Some(reason) => last = Some(reason),
        }
        if !matches!(last, Some(Reason::Connect(_))) {
            break;
        }
    }
    let reason = last.unwrap_or(Reason::Ended);
    let hint = match reason {
        Reason::Connect(io::ErrorKind::AddrNotAvailable) if common.sources > 1 => {
            "; this machine lacks one of these source addresses"
        }
        Reason::Connect(_) => "; is the server running, and is --url right?",
        Reason::Status(404) if path.ends_with("/ws/echo") => {
            "; kinglet echoes if started with KINGLET_DEBUG__ECHO=true"
        }
        Reason::Status(_) => "; is there a WebSocket at this path?",
        _ => "",
    };
    let target = &common.url;
    Err(Failure::Failed(format!("{target}{path}: {reason}{hint}")))
}

/// What TLS is spoken with, if the URL says so.
fn secure(common: &CommonArguments) -> Result<Option<Secure>, Failure> {
    let Some(host) = common.url.tls_host() else {
        return Ok(None);
    };
    let trust = match &common.ca {
        Some(path) => {
            Trust::file(path).map_err(|fault| Failure::Misuse(format!("--ca: {fault}")))?
        }
        None => Trust::native().map_err(Failure::Failed)?,
    };
    Ok(Some(Secure {
        trust: match common.resume {
            true => trust,
            false => trust.without_resumption(),
        },
        host: host.to_owned(),
    }))
}

fn check_descriptors(connections: usize) -> Result<(), Failure> {
    let limit = descriptor_limit::raise()
        .map_err(|error| Failure::Failed(format!("no descriptor limit: {error}")))?;
    let most = limit.saturating_sub(SPARE_DESCRIPTORS);
    if connections as u64 > most {
        return Err(Failure::Misuse(format!(
            "{connections} connections are more than the {most} that the descriptor limit leaves; \
             raise it (ulimit -n) or ask for fewer"
        )));
    }
    Ok(())
}

/// Opens and closes one connection; why that did not work, if so.
fn probe(swarm: &mut Swarm<'_>, path: &str) -> Result<Option<Reason>, Failure> {
    swarm.open(Dial::WebSocket(path));
    while swarm.live() > 0 && swarm.counts.opened == 0 {
        swarm.turn(TURN, |_, _| {})?;
    }
    swarm.close_all()?;
    let counts = std::mem::take(&mut swarm.counts);
    let reason = counts.failed.iter().next().map(|(reason, _)| reason);
    Ok(reason)
}

/// Adds what became of the connections.
fn tell_connections(report: &mut Report, swarm: &Swarm<'_>) {
    report.tally("failures", "not opened", &swarm.counts.failed);
    report.tally("ended", "ended early", &swarm.counts.ended);
}

/// How long a turn may wait when something is due at `due`.
fn wait_until(due: Instant, now: Instant) -> Duration {
    due.saturating_duration_since(now).min(TURN)
}
