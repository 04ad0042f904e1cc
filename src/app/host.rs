//! What the machine was last found to be: for whoever asks, and for the rooms that are told.
//!
//! ```text
//!   rooms ──first member──▶ call ─┐            ┌─ put ──▶ latest, fresh
//!   worker ──asks────────▶ fresh ─┴▶ sampler ──┴─ tell ─▶ rooms
//! ```
//!
//! May not touch: clocks, /proc. Invariant: nobody holds the lock while it measures or publishes,
//! so a shard that calls does not wait.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::app::publish::{options, publish_now};
use crate::app::services::Context;
use crate::base::clock::Mono;
use crate::base::locks::lock;
use crate::domain::command::{Payload, Publish};
use crate::domain::fault::{Code, Fault};
use crate::domain::room::RoomName;
use crate::host::json;
use crate::host::plan::Topic;
use crate::host::sample::Sample;
use crate::metrics::names::Counter;

/// How long whoever asks waits for a sample.
const PATIENCE: Duration = Duration::from_secs(1);

/// The machine's last sample, and the bell of whoever takes them.
#[derive(Debug, Default)]
pub struct Host {
    desk: Mutex<Desk>,
    /// Somebody calls the sampler.
    called: Condvar,
    /// There is a new sample.
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    latest: Option<Arc<Sample>>,
    /// Somebody takes samples.
    is_staffed: bool,
    is_asked: bool,
    is_called: bool,
    is_over: bool,
}

/// Why the sampler was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// To look who wants to know: its time has come, or somebody called.
    Look {
        /// Somebody waits for a sample.
        is_asked: bool,
    },
    /// To end.
    Over,
}

impl Host {
    /// The last sample; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Sample>> {
        lock(&self.desk).latest.clone()
    }

    /// A sample that was taken within `age` before `now`, or since; if none can be had in a second,
    /// the last one. Waits: for workers only.
    #[must_use]
    pub fn fresh(&self, age: Duration, now: Mono) -> Option<Arc<Sample>> {
        let is_stale = |desk: &Desk| {
            let latest = desk.latest.as_ref();
            latest.is_none_or(|sample| now.since(sample.at.mono) > age)
        };
        let mut desk = lock(&self.desk);
        if is_stale(&desk) && desk.is_staffed {
            desk.is_asked = true;
            self.called.notify_one();
            let waits = |desk: &mut Desk| is_stale(desk) && !desk.is_over;
            let waited = self.answered.wait_timeout_while(desk, PATIENCE, waits);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.latest.clone()
    }

    /// Has the sampler look at once who wants to know, and how often.
    pub fn call(&self) {
        lock(&self.desk).is_called = true;
        self.called.notify_one();
    }

    /// Has the sampler end; nobody waits for it any more.
    pub fn finish(&self) {
        lock(&self.desk).is_over = true;
        self.called.notify_all();
        self.answered.notify_all();
    }

    /// For the sampler: it takes samples from now on, so that it is worth while to wait for one.
    pub fn staff(&self) {
        lock(&self.desk).is_staffed = true;
    }

    /// For the sampler: waits until it is called, at most `timeout`.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Call {
        let mut desk = lock(&self.desk);
        let rests = |desk: &mut Desk| !desk.is_called && !desk.is_asked && !desk.is_over;
        let waited = self.called.wait_timeout_while(desk, timeout, rests);
        desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        if desk.is_over {
            return Call::Over;
        }
        desk.is_called = false;
        Call::Look {
            is_asked: std::mem::take(&mut desk.is_asked),
        }
    }

    /// For the sampler: this is the last sample now.
    pub fn put(&self, sample: Arc<Sample>) {
        lock(&self.desk).latest = Some(sample);
        self.answered.notify_all();
    }
}

/// Tells a topic's room of a sample. What cannot enter is dropped and counted: the next follows. A
/// room that is durable by configuration gets none, because every sample would go to the disk.
pub fn tell(topic: Topic, sample: &Sample, context: Context<'_>) {
    if let Err(fault) = publish(topic, sample, context) {
        context.counters.increment(Counter::HostPublicationsDropped);
        log::debug!(
            "host_untold room={} fault=\"{}\"",
            topic.room(),
            fault.message
        );
    }
}

fn publish(topic: Topic, sample: &Sample, context: Context<'_>) -> Result<(), Fault> {
    let Some(room) = room(topic) else {
        return Ok(());
    };
    let options = options(&room, context.services, context.live, context.counters)?;
    if options.durable {
        let message = "samples are not written to disk: rooms.metrics.durable must be false";
        return Err(Fault::new(Code::ValidationFailed, message));
    }
    let publish = Publish {
        rooms: vec![room],
        event: topic.event().into(),
        payload: spell(topic, sample, context.live.config.host.top_processes),
        source: None,
        key: None,
        except: Vec::new(),
    };
    publish_now(publish, context).map(drop)
}

/// The room that is told of a topic.
#[must_use]
pub fn room(topic: Topic) -> Option<RoomName> {
    RoomName::parse(topic.room()).ok()
}

/// What is told of a topic, its metrics with at most so many processes.
#[must_use]
pub fn spell(topic: Topic, sample: &Sample, processes: usize) -> Payload {
    let mut out = Vec::with_capacity(4096);
    match topic {
        Topic::Metrics => json::system_metrics(sample, processes, &mut out).end(),
        Topic::SystemInfo => json::system_info(sample, &mut out),
        Topic::Processes => json::processes(sample, &mut out),
        Topic::NetworkInterfaces => json::network_interfaces(sample, &mut out),
    }
    // What is written is UTF-8.
    Payload::Json(String::from_utf8(out).unwrap_or_default().into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;
    use crate::base::clock::Now;
    use crate::testkit::world::{Options, World};

    const AGE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(seconds)
    }

    fn sample(seconds: u64) -> Arc<Sample> {
        let now = Now {
            mono: at(seconds),
            ..Now::default()
        };
        Arc::new(Sample {
            at: now,
            ..Sample::default()
        })
    }

    fn second(sample: Option<Arc<Sample>>) -> Option<u64> {
        sample.map(|sample| sample.at.mono.as_millis() / 1000)
    }

    #[test]
    fn a_room_gets_what_can_enter_and_the_rest_is_counted() {
        let check = |config: &str, told: u64, dropped: u64| {
            let world = World::new(Options {
                config,
                ..Options::default()
            });
            let services = &world.services;
            let (live, counters) = (services.live(), services.counters_of_workers());
            let context = services.context(&live, &counters, world.now());
            for topic in Topic::ALL {
                tell(topic, &sample(1), context);
                let found = services.rooms.summary(&room(topic).unwrap());
                let offset = found.map_or(0, |found| found.position.offset);
                assert_eq!(offset, told, "{topic:?} {config}");
            }
            let name = Counter::HostPublicationsDropped;
            assert_eq!(world.total(name), 4 * dropped, "{config}");
        };
        check("", 1, 0);
        check(
            "[limits]\nrooms = 1\n[rooms.metrics]\ndurable = true\n",
            0,
            1,
        );
    }

    #[test]
    fn nobody_waits_for_what_nobody_takes() {
        let host = Host::default();
        assert_eq!(second(host.fresh(AGE, at(9))), None);
        host.put(sample(1));
        assert_eq!(second(host.fresh(AGE, at(9))), Some(1));
    }

    #[test]
    fn who_asks_gets_what_is_young_enough_or_has_one_taken() {
        let host = Host::default();
        host.staff();
        host.put(sample(4));
        assert_eq!(second(host.fresh(AGE, at(9))), Some(4));
        thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                let call = host.wait(Duration::MAX);
                host.put(sample(10));
                call
            });
            assert_eq!(second(host.fresh(AGE, at(10))), Some(10));
            assert_eq!(sampler.join().unwrap(), Call::Look { is_asked: true });
        });
        let idle = host.wait(Duration::ZERO);
        assert_eq!(idle, Call::Look { is_asked: false }, "it was answered");
    }

    #[test]
    fn a_call_that_comes_while_it_measures_is_not_lost() {
        let host = Host::default();
        host.call();
        assert_eq!(host.wait(Duration::MAX), Call::Look { is_asked: false });
    }

    #[test]
    fn the_end_wakes_all_who_wait() {
        let host = Host::default();
        host.staff();
        thread::scope(|scope| {
            let sampler = scope.spawn(|| host.wait(Duration::MAX));
            let worker = scope.spawn(|| host.fresh(AGE, at(9)));
            host.finish();
            assert_eq!(sampler.join().unwrap(), Call::Over);
            assert_eq!(second(worker.join().unwrap()), None);
        });
        assert_eq!(host.wait(Duration::ZERO), Call::Over);
    }
}
