//! `storm`: everybody loses the server at once, comes back as clients do, and gets what was missed.
//!
//! ```text
//! gather ─▶ "restart it now" ─▶ lost ─▶ away ─backoff─▶ coming ─▶ here, recovered: all? ─▶ report
//!                                         └──── refused ────┘
//! ```
//!
//! Who runs it restarts the server meanwhile. May not touch: the server's process. Invariants:
//! subscribers come back with the delays of `kinglet subscribe`; each offset is heard once; what
//! was acknowledged, or heard by anybody, is lost for whoever has not heard it in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::cli::bench::arguments::StormArguments;
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::outlet::{Outlet, error_in};
use crate::cli::bench::peer::{Event, Outgoing};
use crate::cli::bench::publisher::Publisher;
use crate::cli::bench::reason::Tally;
use crate::cli::bench::report::Report;
use crate::cli::bench::swarm::{Dial, Swarm, Told};
use crate::cli::bench::{Outcome, Prepared, TURN, prepare, tell_connections};
use crate::cli::subscribe::comeback_backoff;
use crate::cli::{Failure, output};
use crate::wire::json::object::Object;

/// How long nobody may have come before those who are missing are given up.
const GATHERING: Duration = Duration::from_secs(10);

/// How long what is late may take when all are back.
const GRACE: Duration = Duration::from_secs(10);

pub(super) fn run(asked: &StormArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let count = asked.connections;
    let path = common.url.kinglet_path("/ws");
    let Prepared {
        mut swarm,
        meter,
        rng,
    } = prepare(common, count + 1, &path)?;
    let room = asked.room.as_str();
    let outlet = Outlet::Api {
        path: common.url.kinglet_path("/api/v1/publish"),
        room: room.to_owned(),
    };
    let publisher = Publisher::open(outlet, &mut swarm);
    let mut storm = Storm::new(asked, path, publisher, rng)?;

    storm.gather(&mut swarm)?;
    output::note(&format!(
        "{count} subscribers are in {room}: restart the server now"
    ));
    let deadline = Instant::now() + common.duration;
    storm.go_on(&mut swarm, deadline, |storm| storm.loss.is_some())?;
    let Some(loss) = storm.loss else {
        let time = humantime::format_duration(common.duration);
        let fault = format!("the server was not restarted within {time}");
        return Err(Failure::Failed(fault));
    };
    let start = meter.read();
    storm.go_on(&mut swarm, loss + common.duration, |storm| {
        storm.here == count
    })?;
    let back = storm.here as u64;
    let spent = start.until(&meter.read());
    storm.is_publishing = false;
    storm.go_on(&mut swarm, Instant::now() + GRACE, |storm| {
        storm.behind() == 0
    })?;

    let title = format!("{}, {count} subscribers, {}/s", common.url, asked.rate);
    let mut report = Report::new("storm", title);
    report.count("subscribers", "subscribers", count as u64);
    report.count("back", "came back", back);
    storm.tell(&mut report, loss);
    report.spent(&spent, "subscriber", 0);
    tell_connections(&mut report, &swarm);
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault: (back == 0).then(|| "nobody came back".to_owned()),
    })
}

/// A subscriber.
#[derive(Clone)]
struct Member {
    connection: Option<usize>,
    is_here: bool,
    /// When it lost the server, until it has recovered.
    lost: Option<Instant>,
    /// When to connect, if it does not.
    due: Instant,
    backoff: Backoff,
    /// The last offset it knows of, once it has been there, and of which epoch.
    last: Option<u64>,
    epoch: Arc<str>,
}

struct Storm {
    path: String,
    room: String,
    members: Vec<Member>,
    /// Whose connection it is, by number.
    owners: Vec<usize>,
    publisher: Publisher,
    is_publishing: bool,
    next: Instant,
    interval: Duration,
    text: String,
    rng: Rng,
    /// That of the stream as it is now.
    epoch: Arc<str>,
    /// The highest offset that anybody heard.
    head: u64,
    /// Members that are subscribed.
    here: usize,
    /// When the first lost the server; when the first and the last recovered.
    loss: Option<Instant>,
    back: Option<(Instant, Instant)>,
    since_loss: Latencies,
    since_dial: Latencies,
    recovered: u64,
    unrecovered: u64,
    lost: u64,
    twice: u64,
    refused: Tally,
}

/// The reply to a subscribe, as much as matters.
#[derive(Deserialize)]
struct Subscribed<'a> {
    room: &'a str,
    epoch: &'a str,
    offset: u64,
    #[serde(default)]
    recovered: bool,
    #[serde(default)]
    publications: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    offset: u64,
}

#[derive(Deserialize)]
struct Live<'a> {
    room: &'a str,
    offset: u64,
}

impl Storm {
    fn new(
        asked: &StormArguments,
        path: String,
        publisher: Publisher,
        rng: Rng,
    ) -> Result<Self, Failure> {
        let now = Instant::now();
        let epoch: Arc<str> = Arc::from("");
        let member = Member {
            connection: None,
            is_here: false,
            lost: None,
            due: now,
            backoff: comeback_backoff(),
            last: None,
            epoch: Arc::clone(&epoch),
        };
        Ok(Self {
            path,
            room: asked.room.to_string(),
            members: vec![member; asked.connections],
            owners: Vec::new(),
            publisher,
            is_publishing: false,
            next: now,
            interval: Duration::from_secs(1) / asked.rate,
            text: "k".repeat(asked.size),
            rng,
            epoch,
            head: 0,
            here: 0,
            loss: None,
            back: None,
            since_loss: Latencies::new()?,
            since_dial: Latencies::new()?,
            recovered: 0,
            unrecovered: 0,
            lost: 0,
            twice: 0,
            refused: Tally::default(),
        })
    }

    /// Has all of them subscribe, some hundred at a time.
    fn gather(&mut self, swarm: &mut Swarm<'_>) -> Result<(), Failure> {
        let count = self.members.len();
        while self.here < count {
            let here = self.here;
            let deadline = Instant::now() + GATHERING;
            self.go_on(swarm, deadline, |storm| storm.here > here)?;
            if self.here <= here {
                let reasons = [&swarm.counts.failed, &swarm.counts.ended, &self.refused];
                let reason = reasons.iter().find_map(|tally| tally.iter().next());
                let reason = reason.map_or_else(String::new, |(reason, _)| format!(": {reason}"));
                let fault = format!("only {here} of {count} could subscribe{reason}");
                return Err(Failure::Failed(fault));
            }
        }
        self.is_publishing = true;
        Ok(())
    }

    /// Takes what comes, publishes, and comes back, until `is_done` or `deadline`.
    fn go_on(
        &mut self,
        swarm: &mut Swarm<'_>,
        deadline: Instant,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        let mut look = Instant::now();
        while !is_done(self) {
            let now = Instant::now();
            if now >= deadline {
                return Ok(());
            }
            if now >= look {
                look = now + TURN;
                self.note_ended(swarm, now);
                self.publish(swarm, now);
                self.come(swarm, now);
            }
            swarm.turn(TURN, |outgoing, told| self.take(&told, outgoing))?;
        }
        Ok(())
    }

    /// Looks whose connection has ended. Until all have been looked at, none may be opened: it
    /// would get the number of another.
    fn note_ended(&mut self, swarm: &Swarm<'_>, now: Instant) {
        for member in &mut self.members {
            let ended = member.connection.take_if(|index| !swarm.is_live(*index));
            if ended.is_none() {
                continue;
            }
            member.due = now + member.backoff.next_delay(&mut self.rng);
            if std::mem::take(&mut member.is_here) {
                self.here -= 1;
                if self.is_publishing {
                    member.lost.get_or_insert(now);
                    self.loss.get_or_insert(now);
                }
            }
        }
    }

    /// Publishes what is due, as long as the server is known to be there.
    fn publish(&mut self, swarm: &mut Swarm<'_>, now: Instant) {
        self.publisher.note_ended(swarm);
        if !self.is_publishing || self.here == 0 || now < self.next {
            return;
        }
        self.next = now + self.interval;
        self.publisher.reopen(swarm);
        let due = self.publisher.sent() + 1;
        self.publisher.publish(due, swarm, |_| self.text.clone());
    }

    /// Connects those whose time has come; at first only as many at once as a server takes.
    fn come(&mut self, swarm: &mut Swarm<'_>, now: Instant) {
        for (number, member) in self.members.iter_mut().enumerate() {
            if member.connection.is_some() || now < member.due {
                continue;
            }
            if self.loss.is_none() && !swarm.may_open() {
                return;
            }
            member.connection = swarm.open(Dial::WebSocket(&self.path));
            let Some(index) = member.connection else {
                member.due = now + member.backoff.next_delay(&mut self.rng);
                continue;
            };
            if self.owners.len() <= index {
                self.owners.resize(index + 1, usize::MAX);
            }
            if let Some(owner) = self.owners.get_mut(index) {
                *owner = number;
            }
        }
    }

    fn take(&mut self, told: &Told<'_>, outgoing: &mut Outgoing<'_>) {
        if self.publisher.is(told.index) {
            return self.publisher.receive(told.event);
        }
        let Some(&number) = self.owners.get(told.index) else {
            return;
        };
        match told.event {
            Event::Opened => self.subscribe(number, outgoing),
            Event::Message(message) => {
                if let Some(reason) = error_in(message) {
                    self.refused.add(reason);
                    outgoing.close();
                } else if message.starts_with(br#"{"type":"subscribed""#) {
                    self.welcome(number, message, told);
                } else if let Ok(live) = serde_json::from_slice::<Live<'_>>(message)
                    && live.room == self.room
                {
                    self.hear(number, live.offset);
                }
            }
            Event::Answered(..) => {}
        }
    }

    fn subscribe(&self, number: usize, outgoing: &mut Outgoing<'_>) {
        let mut command = Vec::new();
        let mut object = Object::begin(&mut command)
            .string("type", "subscribe")
            .string("room", &self.room);
        if let Some(member) = self.members.get(number)
            && let Some(last) = member.last
        {
            object = object.value("since", |out| {
                let since = Object::begin(out).string("epoch", &member.epoch);
                since.number("offset", last).end();
            });
        }
        object.end();
        outgoing.message(&command);
    }

    /// Takes the reply to a subscribe.
    fn welcome(&mut self, number: usize, message: &[u8], told: &Told<'_>) {
        let reply = serde_json::from_slice::<Subscribed<'_>>(message);
        let Some(reply) = reply.ok().filter(|reply| reply.room == self.room) else {
            return;
        };
        if reply.epoch != &*self.epoch {
            // What was published before is gone, and so are its offsets.
            self.epoch = Arc::from(reply.epoch);
            (self.head, self.publisher.reached) = (0, 0);
        }
        let known = self.members.get(number).and_then(|member| member.last);
        if known.is_some() && reply.recovered {
            self.recovered += reply.publications.len() as u64;
            for entry in &reply.publications {
                self.hear(number, entry.offset);
            }
        } else {
            self.unrecovered += u64::from(known.is_some());
        }
        self.head = self.head.max(reply.offset);
        let Some(member) = self.members.get_mut(number) else {
            return;
        };
        if let Some(last) = member.last.filter(|_| reply.recovered) {
            self.lost += reply.offset.saturating_sub(last);
        }
        member.last = Some(reply.offset);
        member.epoch = Arc::clone(&self.epoch);
        self.here += usize::from(!std::mem::replace(&mut member.is_here, true));
        member.backoff.reset();
        if let Some(lost) = member.lost.take() {
            let first = self.back.map_or(told.now, |(first, _)| first);
            self.back = Some((first, told.now));
            let since = |from| told.now.saturating_duration_since(from);
            self.since_loss.record(since(lost));
            self.since_dial.record(since(told.dialled));
        }
    }

    fn hear(&mut self, number: usize, offset: u64) {
        let member = self.members.get_mut(number);
        let Some(last) = member.and_then(|member| member.last.as_mut()) else {
            return;
        };
        if offset <= *last {
            self.twice += 1;
            return;
        }
        self.lost += offset - *last - 1;
        *last = offset;
        self.head = self.head.max(offset);
    }

    /// What has not been heard that was acknowledged, or heard by others.
    fn behind(&self) -> u64 {
        let head = self.head.max(self.publisher.reached);
        let known = self.members.iter().filter_map(|member| member.last);
        known.map(|last| head.saturating_sub(last)).sum()
    }

    /// Adds what came of it.
    fn tell(&self, report: &mut Report, loss: Instant) {
        if let Some((first, last)) = self.back {
            let all = last.saturating_duration_since(loss);
            report.time("back_seconds", "from the loss to the last", all);
            let all = last.saturating_duration_since(first);
            report.time(
                "back_after_first_seconds",
                "from the first to the last",
                all,
            );
        }
        let latency = self.since_loss.summary();
        report.latency("since_loss_us", "from loss to recovery", latency);
        let latency = self.since_dial.summary();
        report.latency("since_dial_us", "from connecting to recovery", latency);
        let acknowledged = self.publisher.accepted();
        report.count("publications", "publications", acknowledged);
        report.count("recovered", "recovered deliveries", self.recovered);
        report.count("lost", "lost", self.lost + self.behind());
        report.count("out_of_order", "out of order or twice", self.twice);
        report.count(
            "unrecovered",
            "told that something is gone",
            self.unrecovered,
        );
        report.tally("refused", "refused", &self.refused);
    }
}
