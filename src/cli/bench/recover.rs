//! `recover`: get what was missed, again and again, by subscribing or as pages of the history.
//!
//! Invariant: an answer counts only if it has exactly the publications that were missed.

use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cli::Failure;
use crate::cli::bench::arguments::RecoverArguments;
use crate::cli::bench::outlet::{error_in, refusal_in};
use crate::cli::bench::peer::{Event, Outgoing};
use crate::cli::bench::publish::Publications;
use crate::cli::bench::reason::Reason;
use crate::cli::bench::report::Report;
use crate::cli::bench::rounds::{Ask, Rounds};
use crate::cli::bench::swarm::{Dial, Swarm};
use crate::cli::bench::target::Requests;
use crate::cli::bench::{Outcome, Prepared, prepare, tell_connections};
use crate::wire::json::object::Object;

/// What kinglet has on one page at most.
const PAGE_MAX: u64 = 300;

/// Publications on their way while the room is prepared, and how long that may take.
const PREPARING: usize = 16;
const PREPARING_MAX: Duration = Duration::from_secs(60);

pub(super) fn run(asked: &RecoverArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let path = common.url.kinglet_path("/ws");
    let Prepared {
        mut swarm, meter, ..
    } = prepare(common, asked.connections + 1, &path)?;
    let missed = missed(asked, path, &mut swarm)?;
    let each = missed.expected;
    let mut rounds = Rounds::new(missed, asked.connections, 1, u64::MAX)?;
    rounds.go_on(&mut swarm, Instant::now() + common.warmup)?;
    rounds.forget()?;
    let start = meter.read();
    rounds.go_on(&mut swarm, start.at + common.duration)?;
    let spent = start.until(&meter.read());

    let way = if asked.pages {
        "pages of"
    } else {
        "recoveries of"
    };
    let (target, size, connections) = (&common.url, asked.size, asked.connections);
    let title = format!("{target}, {way} {each} of {size} B, {connections} connections");
    let mut report = Report::new("recover", title);
    report.count("recoveries", "recoveries", rounds.done);
    report.per_second("recoveries_per_second", "rate", rounds.done, spent.wall);
    report.latency("latency_us", "latency", rounds.latencies.summary());
    report.spent(&spent, "recovery", rounds.done);
    report.tally("refused", "refused", &rounds.refused);
    tell_connections(&mut report, &swarm);
    let nothing = rounds.done == 0;
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault: nothing.then(|| {
            format!(
                "nothing was recovered; does the room keep {} publications?",
                asked.missed
            )
        }),
    })
}

/// Publishes what will be missed.
fn missed(
    asked: &RecoverArguments,
    socket: String,
    swarm: &mut Swarm<'_>,
) -> Result<Missed, Failure> {
    let common = &asked.common;
    let room = asked.room.as_str();
    let publications = Publications::new(common, vec![room.to_owned()], false, asked.size);
    let mut rounds = Rounds::new(publications, 1, PREPARING, asked.missed)?;
    rounds.go_on(swarm, Instant::now() + PREPARING_MAX)?;
    if rounds.done < asked.missed {
        let (done, all) = (rounds.done, asked.missed);
        return Err(Failure::Failed(match rounds.refused.iter().next() {
            Some((reason, _)) => format!("only {done} of {all} could be published: {reason}"),
            None => format!("only {done} of {all} were published in time"),
        }));
    }
    let since = rounds.ask.reached.saturating_sub(asked.missed);
    let way = if asked.pages {
        let room = utf8_percent_encode(room, NON_ALPHANUMERIC);
        let path = format!("/api/v1/rooms/{room}/history?since={since}&limit={PAGE_MAX}");
        Way::Page {
            path: common.url.kinglet_path(&path),
        }
    } else {
        let mut command = Vec::new();
        Object::begin(&mut command)
            .string("type", "subscribe")
            .string("room", room)
            .number("since", since)
            .end();
        Way::Subscribe {
            path: socket,
            command,
        }
    };
    Ok(Missed {
        expected: if asked.pages {
            asked.missed.min(PAGE_MAX)
        } else {
            asked.missed
        },
        way,
        entry: Finder::new(br#"{"offset":"#),
    })
}

/// What is asked for.
struct Missed {
    way: Way,
    /// Publications in each answer.
    expected: u64,
    /// Finds them.
    entry: Finder<'static>,
}

enum Way {
    /// The answer to `command` on a WebSocket at `path`.
    Subscribe { path: String, command: Vec<u8> },
    /// The page at `path`.
    Page { path: String },
}

impl Missed {
    fn check(&self, answer: &[u8]) -> Result<(), Reason> {
        let found = self.entry.find_iter(answer).count() as u64;
        if found == self.expected {
            Ok(())
        } else {
            Err(Reason::Incomplete)
        }
    }
}

impl Ask for Missed {
    fn dial(&self) -> Dial<'_> {
        match &self.way {
            Way::Subscribe { path, .. } => Dial::WebSocket(path),
            Way::Page { .. } => Dial::Http,
        }
    }

    fn write(&mut self, requests: Requests<'_>, outgoing: &mut Outgoing<'_>) {
        match &self.way {
            Way::Subscribe { command, .. } => outgoing.message(command),
            Way::Page { path } => outgoing.request(&requests.get(path)),
        }
    }

    fn answer(&mut self, event: Event<'_>) -> Option<Result<(), Reason>> {
        match event {
            Event::Answered(200, page) => Some(self.check(page)),
            Event::Answered(status, body) => {
                Some(Err(refusal_in(body).unwrap_or(Reason::Status(status))))
            }
            Event::Message(message) if message.starts_with(br#"{"type":"subscribed""#) => {
                Some(self.check(message))
            }
            Event::Message(message) => error_in(message).map(Err),
            Event::Opened => None,
        }
    }
}
