//! `publish`: many publish, each as soon as what it sent before is acknowledged.
//!
//! Invariant: a latency is the time from sending a publication to its acknowledgement.

use std::time::Instant;

use crate::cli::Failure;
use crate::cli::bench::arguments::{CommonArguments, PublishArguments};
use crate::cli::bench::outlet::Outlet;
use crate::cli::bench::peer::{Event, Outgoing};
use crate::cli::bench::reason::Reason;
use crate::cli::bench::report::Report;
use crate::cli::bench::rounds::{Ask, Rounds};
use crate::cli::bench::swarm::Dial;
use crate::cli::bench::target::Requests;
use crate::cli::bench::{Outcome, Prepared, prepare, tell_connections};

pub(super) fn run(asked: &PublishArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let (connections, in_flight) = (asked.connections, asked.in_flight);
    let path = common.url.kinglet_path("/ws");
    let Prepared {
        mut swarm, meter, ..
    } = prepare(common, connections, &path)?;
    let rooms: Vec<String> = match asked.rooms {
        1 => vec![asked.room.to_string()],
        count => (1..=count).map(|n| format!("{}:{n}", asked.room)).collect(),
    };
    let publications = Publications::new(common, rooms, asked.socket, asked.size);
    let most = asked.publications.unwrap_or(u64::MAX);
    let mut rounds = Rounds::new(publications, connections, in_flight, most)?;
    rounds.go_on(&mut swarm, Instant::now() + common.warmup)?;
    rounds.forget()?;
    let start = meter.read();
    rounds.go_on(&mut swarm, start.at + common.duration)?;
    let spent = start.until(&meter.read());

    let way = if asked.socket { "sockets" } else { "HTTP" };
    let (target, size, rooms) = (&common.url, asked.size, asked.rooms);
    let title = format!(
        "{target}, {size} B over {way} to {rooms} rooms, \
         {connections} connections, {in_flight} in flight each"
    );
    let mut report = Report::new("publish", title);
    report.count("acknowledged", "acknowledged", rounds.done);
    report.per_second("acknowledged_per_second", "rate", rounds.done, spent.wall);
    report.latency("latency_us", "latency", rounds.latencies.summary());
    if let Some(server) = start.server {
        let before = server.resident_bytes;
        report.bytes(
            "server_resident_before_bytes",
            "server memory before",
            before,
        );
    }
    report.spent(&spent, "publication", rounds.done);
    report.tally("refused", "refused", &rounds.refused);
    tell_connections(&mut report, &swarm);
    let nothing = rounds.done == 0;
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault: nothing.then(|| "nothing was acknowledged".to_owned()),
    })
}

/// Publications of one text into rooms that take turns.
pub(super) struct Publications {
    outlets: Vec<Outlet>,
    next: usize,
    text: String,
    /// The highest offset that was acknowledged.
    pub(super) reached: u64,
}

impl Publications {
    /// Publications of `size` bytes into `rooms`, of which there is at least one, on sockets or
    /// over HTTP.
    pub(super) fn new(
        common: &CommonArguments,
        rooms: Vec<String>,
        on_sockets: bool,
        size: usize,
    ) -> Self {
        let outlet = |room| {
            if on_sockets {
                let path = common.url.kinglet_path("/ws");
                Outlet::Socket { path, room }
            } else {
                let path = common.url.kinglet_path("/api/v1/publish");
                Outlet::Api { path, room }
            }
        };
        Self {
            outlets: rooms.into_iter().map(outlet).collect(),
            next: 0,
            text: "k".repeat(size),
            reached: 0,
        }
    }
}

impl Ask for Publications {
    fn dial(&self) -> Dial<'_> {
        self.outlets.first().map_or(Dial::Http, Outlet::dial)
    }

    fn write(&mut self, requests: Requests<'_>, outgoing: &mut Outgoing<'_>) {
        if let Some(outlet) = self.outlets.get(self.next) {
            outlet.write(&self.text, requests, outgoing);
        }
        self.next = (self.next + 1) % self.outlets.len();
    }

    fn answer(&mut self, event: Event<'_>) -> Option<Result<(), Reason>> {
        let answer = self.outlets.first()?.answer(event)?;
        Some(answer.map(|offset| self.reached = self.reached.max(offset)))
    }
}
