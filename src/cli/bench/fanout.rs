//! `fanout`: one publishes, many get it.
//!
//! Every publication carries its number and the moment it was sent (see `stamp`), so latency,
//! losses and order come from what arrives. Invariant: a delivery counts once, and only in order.

use std::time::{Duration, Instant};

use form_urlencoded::Serializer;

use crate::cli::Failure;
use crate::cli::bench::arguments::FanoutArguments;
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::outlet::Outlet;
use crate::cli::bench::peer::Event;
use crate::cli::bench::publisher::Publisher;
use crate::cli::bench::report::Report;
use crate::cli::bench::stamp::Stamps;
use crate::cli::bench::swarm::{Swarm, Told};
use crate::cli::bench::{Outcome, Prepared, TURN, prepare, tell_connections, wait_until};

/// How long after the last delivery what has not come is lost.
const GRACE: Duration = Duration::from_secs(2);

/// The room that every client of kinglet's Socket.IO is in.
const GLOBAL: &str = "global";

/// How long all of what is late may take.
const GRACE_MAX: Duration = Duration::from_secs(10);

pub(super) fn run(asked: &FanoutArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let (path, outlet) = paths(asked);
    let Prepared {
        mut swarm,
        meter,
        mut rng,
    } = prepare(common, asked.connections, &path)?;

    swarm.open_all(&path, asked.connections, |_, _| {})?;
    let subscribers = swarm.counts.opened;
    let run = u32::try_from(rng.below(1 << 32)).unwrap_or(0);
    let mut fanout = Fanout {
        publisher: Publisher::open(outlet, &mut swarm),
        arrivals: Arrivals::new(Stamps::new(run, Instant::now()))?,
        schedule: match asked.in_flight {
            Some(count) => Schedule::InFlight { count, subscribers },
            None => Schedule::Rate(asked.rate),
        },
        size: asked.size,
        began: Instant::now(),
    };
    while swarm.is_opening() {
        fanout.turn(&mut swarm, TURN)?;
    }
    fanout.began = Instant::now();
    fanout.go_on(&mut swarm, fanout.began + common.warmup)?;
    fanout.arrivals.forget()?;
    let (sent, start) = (fanout.publisher.sent(), meter.read());
    fanout.go_on(&mut swarm, start.at + common.duration)?;
    let end = meter.read();
    let spent = start.until(&end);
    let published = fanout.publisher.sent() - sent;
    let delivered = fanout.arrivals.delivered;
    // What became due in the last turns could not be sent any more.
    let due = fanout.due(end.at.checked_sub(2 * TURN).unwrap_or(end.at));
    let late = due.saturating_sub(fanout.publisher.sent());
    fanout.wait_for_late_ones(&mut swarm, subscribers)?;
    // The late ones count here: who left them out would praise a server for being slow.
    let latency = fanout.arrivals.latencies.summary();

    let mut report = Report::new("fanout", title(asked, &path));
    report.count("subscribers", "subscribers", subscribers);
    report.count("publications", "publications", published);
    report.per_second(
        "publications_per_second",
        "published",
        published,
        spent.wall,
    );
    report.count("deliveries", "deliveries", delivered);
    report.per_second("deliveries_per_second", "delivered", delivered, spent.wall);
    report.latency("latency_us", "latency", latency);
    report.spent(&spent, "delivery", delivered);
    if asked.in_flight.is_none() {
        report.count("late_publications", "not published in time", late);
    }
    fanout.tell_faults(&mut report, subscribers);
    tell_connections(&mut report, &swarm);
    let nothing = fanout.arrivals.delivered_ever == 0;
    let fault = nothing.then(|| "nothing was delivered".to_owned());
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault,
    })
}

/// Where subscribers connect and where publications go.
fn paths(asked: &FanoutArguments) -> (String, Outlet) {
    let target = &asked.common.url;
    if let Some(post) = &asked.post {
        let path = post.clone();
        return (target.path_or("/ws"), Outlet::Post { path });
    }
    if asked.plain || asked.common.socketio {
        let path = asked.common.path_or("/ws");
        let outlet = match asked.global {
            true => Outlet::Api {
                path: target.kinglet_path("/api/v1/publish"),
                room: GLOBAL.to_owned(),
            },
            false => Outlet::Hub { path: path.clone() },
        };
        return (path, outlet);
    }
    let room = asked.room.as_str();
    let query = Serializer::new(String::new())
        .append_pair("room", room)
        .finish();
    let path = target.kinglet_path(&format!("/ws?{query}"));
    let room = room.to_owned();
    let outlet = if asked.socket {
        let path = target.kinglet_path("/ws");
        Outlet::Socket { path, room }
    } else {
        let path = target.kinglet_path("/api/v1/publish");
        Outlet::Api { path, room }
    };
    (path, outlet)
}

fn title(asked: &FanoutArguments, path: &str) -> String {
    let pace = match asked.in_flight {
        Some(count) => format!("{count} in flight"),
        None => format!("{}/s", asked.rate),
    };
    let (target, count, size) = (&asked.common.url, asked.connections, asked.size);
    format!("{target}{path}, {size} B to {count} subscribers, {pace}")
}

/// When to publish.
#[derive(Clone, Copy, Debug)]
enum Schedule {
    /// So many a second.
    Rate(u32),
    /// Whenever fewer than `count` have not reached all.
    InFlight { count: usize, subscribers: u64 },
}

struct Fanout {
    publisher: Publisher,
    arrivals: Arrivals,
    schedule: Schedule,
    size: usize,
    /// When publishing began.
    began: Instant,
}

impl Fanout {
    /// How many publications there should be by now.
    fn due(&self, now: Instant) -> u64 {
        match self.schedule {
            Schedule::Rate(rate) => {
                let elapsed = now.saturating_duration_since(self.began).as_nanos();
                let whole = elapsed * u128::from(rate) / 1_000_000_000;
                u64::try_from(whole).unwrap_or(u64::MAX)
            }
            Schedule::InFlight { count, subscribers } => {
                self.arrivals.delivered_ever / subscribers.max(1) + count as u64
            }
        }
    }

    /// When the next is due, as far as that is known.
    fn next(&self, now: Instant) -> Instant {
        match self.schedule {
            Schedule::Rate(rate) => {
                let next = (self.publisher.sent() + 1) as f64 / f64::from(rate);
                // Never in the past: what could not be sent now waits for an answer.
                (self.began + Duration::from_secs_f64(next)).max(now + Duration::from_millis(1))
            }
            Schedule::InFlight { .. } => now + TURN,
        }
    }

    /// Publishes and takes what arrives until `until`, or until nobody is left.
    fn go_on(&mut self, swarm: &mut Swarm<'_>, until: Instant) -> Result<(), Failure> {
        loop {
            let now = Instant::now();
            self.publisher.reopen(swarm);
            let is_alone = swarm.live() <= usize::from(self.publisher.is_live(swarm));
            if now >= until || is_alone {
                return Ok(());
            }
            let due = self.due(now);
            let (stamps, size) = (&self.arrivals.stamps, self.size);
            self.publisher.publish(due, swarm, |number| {
                stamps.write(number, size, Instant::now())
            });
            let next = self.next(now).min(until);
            self.turn(swarm, wait_until(next, now))?;
        }
    }

    fn wait_for_late_ones(
        &mut self,
        swarm: &mut Swarm<'_>,
        subscribers: u64,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let mut last = (self.arrivals.delivered_ever, began);
        while self.arrivals.delivered_ever < self.publisher.accepted() * subscribers
            && last.1.elapsed() < GRACE
            && began.elapsed() < GRACE_MAX
            && swarm.live() > 0
        {
            self.turn(swarm, TURN)?;
            self.publisher.note_ended(swarm);
            if self.arrivals.delivered_ever > last.0 {
                last = (self.arrivals.delivered_ever, Instant::now());
            }
        }
        Ok(())
    }

    /// Adds what should not have happened, in the whole run.
    fn tell_faults(&self, report: &mut Report, subscribers: u64) {
        let expected = self.publisher.accepted() * subscribers;
        let lost = expected.saturating_sub(self.arrivals.delivered_ever);
        let out_of_order = self.arrivals.out_of_order;
        report.count("lost", "lost", lost);
        report.count("out_of_order", "out of order or twice", out_of_order);
        report.tally("refused", "refused", &self.publisher.refused);
    }

    fn turn(&mut self, swarm: &mut Swarm<'_>, timeout: Duration) -> Result<(), Failure> {
        let Self {
            publisher,
            arrivals,
            ..
        } = self;
        swarm.turn(timeout, |_, told| {
            if publisher.is(told.index) {
                publisher.receive(told.event);
            } else if let Told {
                index,
                event: Event::Message(bytes),
                now,
                ..
            } = told
            {
                arrivals.take(index, bytes, now);
            }
        })?;
        Ok(())
    }
}

/// What has arrived.
struct Arrivals {
    stamps: Stamps,
    /// The number that each connection got last.
    last: Vec<u64>,
    delivered_ever: u64,
    /// In the measured time.
    delivered: u64,
    latencies: Latencies,
    out_of_order: u64,
}

impl Arrivals {
    fn new(stamps: Stamps) -> Result<Self, Failure> {
        Ok(Self {
            stamps,
            last: Vec::new(),
            delivered_ever: 0,
            delivered: 0,
            latencies: Latencies::new()?,
            out_of_order: 0,
        })
    }

    /// Begins the measured time.
    fn forget(&mut self) -> Result<(), Failure> {
        self.delivered = 0;
        self.latencies = Latencies::new()?;
        Ok(())
    }

    fn take(&mut self, index: usize, message: &[u8], now: Instant) {
        let Some(stamp) = self.stamps.find(message) else {
            return; // A greeting, a heartbeat, another run.
        };
        if self.last.len() <= index {
            self.last.resize(index + 1, 0);
        }
        let Some(last) = self.last.get_mut(index) else {
            return;
        };
        if stamp.sequence <= *last {
            self.out_of_order += 1;
            return;
        }
        *last = stamp.sequence;
        self.delivered_ever += 1;
        self.delivered += 1;
        self.latencies
            .record(now.saturating_duration_since(stamp.sent));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::bench::stamp::STAMP_BYTES;

    #[test]
    fn a_delivery_counts_once_and_only_in_order() {
        let began = Instant::now();
        let mut arrivals = Arrivals::new(Stamps::new(1, began)).unwrap();
        let message = |number| Stamps::new(1, began).write(number, STAMP_BYTES, began);
        for (index, number) in [(0, 1), (0, 2), (2, 1), (0, 2), (0, 4), (0, 3), (2, 2)] {
            arrivals.take(index, message(number).as_bytes(), began);
        }
        arrivals.take(0, b"{\"type\":\"connected\"}", began);
        let other = Stamps::new(2, began).write(9, STAMP_BYTES, began);
        arrivals.take(0, other.as_bytes(), began);
        assert_eq!((arrivals.delivered, arrivals.out_of_order), (5, 2));
        arrivals.forget().unwrap();
        arrivals.take(0, message(5).as_bytes(), began + Duration::from_millis(3));
        assert_eq!((arrivals.delivered, arrivals.delivered_ever), (1, 6));
        let max = arrivals.latencies.summary().unwrap().max;
        assert!(
            max.abs_diff(Duration::from_millis(3)) < Duration::from_micros(4),
            "{max:?}"
        );
    }
}
