//! `echo`: messages that come back.
//!
//! Invariant: a message counts as an echo only if it is, byte for byte, the oldest that was sent on
//! its connection and has not come back.

use std::collections::VecDeque;
use std::time::Instant;

use crate::cli::Failure;
use crate::cli::bench::arguments::EchoArguments;
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::peer::{Event, Outgoing};
use crate::cli::bench::report::Report;
use crate::cli::bench::swarm::{Swarm, Told};
use crate::cli::bench::{Outcome, Prepared, prepare, tell_connections, wait_until};

pub(super) fn run(asked: &EchoArguments) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let path = common.path_or("/ws/echo");
    let count = asked.connections;
    let Prepared {
        mut swarm, meter, ..
    } = prepare(common, count, &path)?;

    let mut echoes = Echoes::new(asked.size)?;
    // Greetings that come this early count as nothing.
    swarm.open_all(&path, count, |_, _| {})?;
    let opened = swarm.counts.opened;
    for index in 0..count {
        swarm.send(index, |outgoing| {
            for _ in 0..asked.in_flight {
                echoes.send(index, outgoing, Instant::now());
            }
        });
    }
    go_on(&mut swarm, &mut echoes, Instant::now() + common.warmup)?;
    echoes.done = 0;
    echoes.latencies = Latencies::new()?;
    let start = meter.read();
    go_on(&mut swarm, &mut echoes, start.at + common.duration)?;
    let spent = start.until(&meter.read());

    let in_flight = asked.in_flight;
    let size = asked.size;
    let target = format!(
        "{}{path}, {count} connections, {size} B, {in_flight} in flight each",
        common.url
    );
    let mut report = Report::new("echo", target);
    report.count("opened", "connections", opened);
    report.count("messages", "messages", echoes.done);
    report.per_second("messages_per_second", "rate", echoes.done, spent.wall);
    report.latency("latency_us", "latency", echoes.latencies.summary());
    report.spent(&spent, "message", echoes.done);
    report.count("mismatches", "not what was sent", echoes.mismatches);
    tell_connections(&mut report, &swarm);
    let fault = (echoes.done == 0).then(|| "no message came back as it was sent".to_owned());
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault,
    })
}

/// Answers every echo with the next message until `until`, or until nobody is left.
fn go_on(swarm: &mut Swarm<'_>, echoes: &mut Echoes, until: Instant) -> Result<(), Failure> {
    loop {
        let now = Instant::now();
        if now >= until || swarm.live() == 0 {
            return Ok(());
        }
        swarm.turn(wait_until(until, now), |outgoing, told| {
            if let Told {
                index,
                event: Event::Message(bytes),
                now,
                ..
            } = told
            {
                echoes.receive(index, bytes, outgoing, now);
            }
        })?;
    }
}

/// What is on its way.
struct Echoes {
    message: Message,
    /// By connection.
    waiting: Vec<Waiting>,
    latencies: Latencies,
    done: u64,
    mismatches: u64,
}

/// What is on its way on one connection.
#[derive(Default)]
struct Waiting {
    sent: VecDeque<Instant>,
    /// Number of the oldest in `sent`.
    oldest: u64,
}

/// Letters that number a message, 4 bits each.
const NUMBER_LETTERS: usize = 16;

/// The messages: filler that begins with their number, as far as there is room for it.
struct Message(Vec<u8>);

impl Message {
    fn with_number(&mut self, number: u64) -> &[u8] {
        let mut rest = number;
        for place in self.0.iter_mut().take(NUMBER_LETTERS) {
            *place = b'a' + (rest % 16) as u8;
            rest /= 16;
        }
        &self.0
    }
}

impl Echoes {
    fn new(size: usize) -> Result<Self, Failure> {
        Ok(Self {
            message: Message(vec![b'.'; size]),
            waiting: Vec::new(),
            latencies: Latencies::new()?,
            done: 0,
            mismatches: 0,
        })
    }

    fn send(&mut self, index: usize, outgoing: &mut Outgoing<'_>, now: Instant) {
        if self.waiting.len() <= index {
            self.waiting.resize_with(index + 1, Waiting::default);
        }
        if let Some(waiting) = self.waiting.get_mut(index) {
            let number = waiting.oldest + waiting.sent.len() as u64;
            outgoing.message(self.message.with_number(number));
            waiting.sent.push_back(now);
        }
    }

    fn receive(&mut self, index: usize, bytes: &[u8], outgoing: &mut Outgoing<'_>, now: Instant) {
        let Some(waiting) = self.waiting.get_mut(index) else {
            return;
        };
        let is_echo = bytes == self.message.with_number(waiting.oldest);
        if !is_echo {
            self.mismatches += 1;
        }
        // What has another length is no echo of ours at all: a greeting, an error.
        if bytes.len() == self.message.0.len()
            && let Some(sent) = waiting.sent.pop_front()
        {
            waiting.oldest += 1;
            if is_echo {
                self.done += 1;
                self.latencies.record(now.saturating_duration_since(sent));
            }
            self.send(index, outgoing, now);
        }
    }
}
