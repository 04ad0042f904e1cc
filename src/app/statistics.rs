//! What the server knows of itself at a moment: gauges, rates, how long runs took.
//!
//! Gauges are derived from what exists whenever somebody asks; kept are only the durations of the
//! last runs, the window of the last minute, and what is dear to find out, for a second. Waits for
//! locks of rooms: for workers and threads of their own.

use std::sync::Mutex;
use std::time::Duration;

use crate::app::services::{Context, Services};
use crate::base::clock::{Mono, Now};
use crate::base::locks::lock;
use crate::bus::execution::Record;
use crate::bus::rooms::RoomTotals;
use crate::domain::run::{Run, RunState};
use crate::host::sample::Sample;
use crate::metrics::counters::Counters;
use crate::metrics::gauges::{Gauge, Gauges};
use crate::metrics::histograms::Histogram;
use crate::metrics::names::Counter;
use crate::metrics::reading::Reading;
use crate::metrics::runs::{RunDurations, RunSummary};
use crate::metrics::throughput::Throughput;
use crate::os::descriptor_limit;
use crate::os::process_usage::{self, OwnUsage};

/// How long is remembered what is in the rooms, and how busy the processor was: whoever asks more
/// often is told the same again.
const FRESH: Duration = Duration::from_secs(1);

/// What is kept from one look to the next.
#[derive(Debug, Default)]
pub struct Statistics {
    runs: Mutex<RunDurations>,
    messages: Mutex<Throughput>,
    processor: Mutex<Processor>,
    rooms: Mutex<Option<(Mono, RoomTotals)>>,
}

/// Our processor time when somebody last looked.
#[derive(Debug, Default)]
struct Processor {
    at: Mono,
    used: Duration,
    /// Between the last two looks, of one core.
    percent: f64,
}

impl Statistics {
    /// Notes that a run that was not over has ended like this. Those that never began took no time,
    /// and of lost ones nobody knows how long they took.
    pub(super) fn note_end(&self, run: &Run, counters: &Counters) {
        let (Some(started), Some(ended)) = (run.started_at, run.ended_at) else {
            return;
        };
        if run.state == RunState::Lost {
            return;
        }
        let millis = ended.as_millis().saturating_sub(started.as_millis());
        let took = Duration::from_millis(millis);
        counters.observe_time(Histogram::RunDurationSeconds, took);
        lock(&self.runs).note(took);
    }

    /// How long the last runs took.
    #[must_use]
    pub fn runs(&self) -> RunSummary {
        lock(&self.runs).summary()
    }

    fn percent(&self, usage: &OwnUsage, now: Mono) -> f64 {
        let mut processor = lock(&self.processor);
        let passed = now.since(processor.at);
        if passed >= FRESH {
            let used = usage.usage.cpu();
            let spent = used.saturating_sub(processor.used);
            processor.percent = 100.0 * spent.as_secs_f64() / passed.as_secs_f64();
            (processor.at, processor.used) = (now, used);
        }
        processor.percent
    }
}

impl Services {
    /// Everything that is counted, measured and looked at, for those who collect it.
    #[must_use]
    pub fn reading(&self, now: Now) -> Reading {
        Reading::of(self.counters(), self.gauges(now.mono))
    }

    /// Messages received and sent per second, over the last minute. To be asked every second, since
    /// what it knows of a second is what it is told in it.
    pub fn messages_per_second(&self, now: Mono) -> f64 {
        let messages = self.total(Counter::MessagesReceived) + self.total(Counter::MessagesSent);
        lock(&self.statistics.messages).note(messages, now)
    }

    /// What we use of the machine, and the percentage of one core since somebody looked last.
    #[must_use]
    pub fn own_usage(&self, now: Mono) -> (OwnUsage, f64) {
        let usage = process_usage::own();
        let percent = self.statistics.percent(&usage, now);
        (usage, percent)
    }

    /// What is in the rooms, at most a second ago. It looks at each of them.
    #[must_use]
    pub fn room_totals(&self, now: Mono) -> RoomTotals {
        let mut known = lock(&self.statistics.rooms);
        match *known {
            Some((at, totals)) if now.since(at) < FRESH => totals,
            Some(_) | None => {
                let totals = self.rooms.totals();
                *known = Some((now, totals));
                totals
            }
        }
    }

    fn gauges(&self, now: Mono) -> Gauges {
        let mut gauges = Gauges::default();
        gauges.count(Gauge::BuildInfo, 1);
        gauges.count(Gauge::Connections, self.connections());
        let limit = self.live().config.limits.connections;
        if let Some(limit) = limit {
            gauges.count(Gauge::ConnectionsLimit, limit as u64);
        }
        gauges.count(Gauge::Sessions, self.sessions());
        gauges.count(Gauge::Rooms, self.rooms.count() as u64);
        let rooms = self.room_totals(now);
        gauges.count(Gauge::Members, rooms.members);
        gauges.count(Gauge::HistoryPublications, rooms.publications);
        gauges.count(Gauge::HistoryBytes, rooms.bytes);
        let mail = self.mailboxes.iter().map(|mailbox| mailbox.len());
        gauges.count(Gauge::MailboxMail, mail.max().unwrap_or(0) as u64);
        let counts = self.projects.counts();
        gauges.count(Gauge::ProjectsIdle, counts.idle);
        gauges.count(Gauge::ProjectsExecuting, counts.executing);
        gauges.count(Gauge::ProjectsError, counts.error);
        gauges.count(Gauge::RunsQueued, counts.queued);
        gauges.count(Gauge::RunsRunning, counts.running);
        gauges.count(Gauge::RunsStalled, counts.stalled);
        if let Some(store) = &self.store {
            gauges.count(Gauge::StoreQueue, store.queue.len() as u64);
            gauges.count(Gauge::StoreUp, u64::from(!store.is_failing()));
        }
        gauges.count(Gauge::Draining, u64::from(self.is_draining()));
        note_process(&mut gauges);
        if let Some(sample) = self.host.latest() {
            note_machine(&sample, &mut gauges);
        }
        gauges
    }
}

/// What cannot be found out is left out, as Prometheus wants it.
fn note_process(gauges: &mut Gauges) {
    let OwnUsage {
        usage,
        virtual_bytes,
        threads,
        open_descriptors,
        started,
    } = process_usage::own();
    let known = [
        (Gauge::ProcessResidentMemoryBytes, usage.resident_bytes),
        (Gauge::ProcessVirtualMemoryBytes, virtual_bytes),
        (Gauge::ProcessThreads, threads),
        (Gauge::ProcessOpenFds, open_descriptors),
        (Gauge::ProcessMaxFds, descriptor_limit::soft().unwrap_or(0)),
    ];
    for (gauge, value) in known {
        if value > 0 {
            gauges.count(gauge, value);
        }
    }
    if let Some(started) = started {
        let seconds = Duration::from_millis(started.as_millis()).as_secs_f64();
        gauges.set(Gauge::ProcessCpuSecondsTotal, usage.cpu().as_secs_f64());
        gauges.set(Gauge::ProcessStartTimeSeconds, seconds);
    }
}

fn note_machine(sample: &Sample, gauges: &mut Gauges) {
    gauges.set(Gauge::HostCpuUsageRatio, sample.cpu.usage / 100.0);
    if let Some(celsius) = sample.cpu.temperature {
        gauges.set(Gauge::HostTemperatureCelsius, f64::from(celsius));
    }
    gauges.count(Gauge::HostUndervolted, u64::from(sample.is_undervolted));
    if let Some([one, five, fifteen]) = sample.load {
        gauges.set(Gauge::NodeLoad1, one);
        gauges.set(Gauge::NodeLoad5, five);
        gauges.set(Gauge::NodeLoad15, fifteen);
    }
    let memory = &sample.memory;
    if memory.total > 0 {
        gauges.count(Gauge::NodeMemTotal, memory.total);
        gauges.count(Gauge::NodeMemAvailable, memory.available);
        gauges.count(Gauge::NodeSwapTotal, memory.swap_total);
        let swap_free = memory.swap_total.saturating_sub(memory.swap_used);
        gauges.count(Gauge::NodeSwapFree, swap_free);
    }
    if let Some(storage) = &sample.storage {
        gauges.count(Gauge::HostStorageBytes, storage.total);
        gauges.count(Gauge::HostStorageAvailableBytes, storage.available);
    }
}

/// Notes what is on disk now, and if it is the end of a run, how long that took.
pub(super) fn note_record(record: &Record, offset: Option<u64>, context: Context<'_>) {
    let services = context.services;
    if services.projects.apply(record, offset)
        && let Record::Run(run, _) = record
    {
        services.statistics.note_end(run, context.counters);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::clock::Wall;
    use crate::testkit::records::run;
    use crate::testkit::world::{Options, World};

    #[test]
    fn runs_that_began_and_ended_by_themselves_have_a_duration() {
        let statistics = Statistics::default();
        let counters = Counters::default();
        let note = |state: RunState, started: Option<u64>, ended: Option<u64>| {
            let mut run = run(1, 1);
            run.state = state;
            run.started_at = started.map(Wall::from_millis);
            run.ended_at = ended.map(Wall::from_millis);
            statistics.note_end(&run, &counters);
            statistics.runs().count
        };
        assert_eq!(
            note(RunState::Cancelled, None, Some(9)),
            0,
            "it only waited"
        );
        assert_eq!(note(RunState::Lost, Some(1), Some(9)), 0);
        assert_eq!(note(RunState::Exited, Some(1_000), Some(3_500)), 1);
        assert_eq!(note(RunState::Failed, Some(1_000), Some(2_000)), 2);
        assert_eq!(
            note(RunState::Timeout, Some(9_000), Some(2_000)),
            3,
            "the clock was set"
        );
        let runs = statistics.runs();
        let millis = [runs.min, runs.p50, runs.max].map(|took| took.as_millis());
        assert_eq!(millis, [0, 1_000, 2_500]);
    }

    #[test]
    fn the_processor_is_looked_at_once_a_second_at_most() {
        let statistics = Statistics::default();
        let look = |used_ms: u64, at_ms: u64| {
            let mut usage = OwnUsage::default();
            usage.usage.user = Duration::from_millis(used_ms);
            statistics.percent(&usage, Mono::from_nanos(at_ms * 1_000_000))
        };
        let check = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        };
        check(look(500, 500), 0.0);
        check(look(500, 2_000), 25.0);
        check(look(1_500, 2_999), 25.0);
        check(look(3_500, 3_000), 300.0);
        check(look(3_500, 10_000), 0.0);
    }

    #[test]
    fn gauges_are_what_there_is() {
        let mut world = World::new(Options {
            config: "[limits]\nconnections = 7\n",
            ..Options::default()
        });
        let client = world.connect("/ws?room=a");
        world.connect("/ws?room=a&room=b");
        let said = json!({"type": "publish", "room": "a", "event": "said", "data": "0123"});
        world.client(client).command(said);
        world.settle();
        let reading = world.services.reading(world.now());
        let check = |gauge: Gauge, expected: f64| {
            assert_eq!(reading.gauges.value(gauge), Some(expected), "{gauge:?}");
        };
        check(Gauge::Connections, 2.0);
        check(Gauge::ConnectionsLimit, 7.0);
        check(Gauge::Sessions, 2.0);
        check(Gauge::Rooms, 2.0);
        check(Gauge::Members, 3.0);
        check(Gauge::HistoryPublications, 1.0);
        check(Gauge::HistoryBytes, 10.0);
        check(Gauge::MailboxMail, 0.0);
        check(Gauge::ProjectsIdle, 0.0);
        check(Gauge::Draining, 0.0);
        assert_eq!(reading.gauges.value(Gauge::StoreUp), None);
        assert!(reading.gauges.value(Gauge::ProcessThreads).unwrap() >= 1.0);
    }
}
