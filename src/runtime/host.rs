//! The sampler's thread: measures the machine when somebody wants to know, and tells the rooms.
//!
//! One thread does all of it, so that a slow measurement never overlaps the next. It sleeps until
//! something is due or somebody calls: the first member of one of its rooms, a worker that waits,
//! a reload.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use crate::app::host::{self, Call};
use crate::app::services::Services;
use crate::base::clock::{Clock, Now};
use crate::bus::rooms::Watch;
use crate::config;
use crate::domain::room::RoomName;
use crate::host::Machine;
use crate::host::plan::{Demand, Plan, Topic};
use crate::host::sample::{Sample, Wanted};
use crate::metrics::counters::Counters;
use crate::metrics::histograms::Histogram;
use crate::metrics::names::Counter;

/// Processes that the room of processes is told of; more only if `host.top_processes` is more.
const PROCESSES: usize = 50;

/// Over which time the first sample is: long enough for some 25 ticks of each core.
const FIRST: Duration = Duration::from_millis(250);

/// The thread.
#[derive(Debug)]
pub(super) struct HostThread(JoinHandle<()>);

impl HostThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(services: &Arc<Services>, clock: Clock) -> io::Result<Self> {
        let caller = Arc::downgrade(services);
        services.rooms.watch(Watch {
            rooms: Topic::ALL.into_iter().filter_map(host::room).collect(),
            // Rooms are part of the services, which would otherwise hold themselves.
            wake: Box::new(move || {
                if let Some(services) = caller.upgrade() {
                    services.host.call();
                }
            }),
        });
        services.host.staff();
        let services = Arc::clone(services);
        let thread = thread::Builder::new()
            .name("host".to_owned())
            .spawn(move || watch(&services, clock))?;
        Ok(Self(thread))
    }

    /// Ends when the measurement that is in progress is over.
    pub(super) fn finish(self, services: &Services) {
        services.host.finish();
        // One that panicked outside a measurement has nothing left to say.
        let _ = self.0.join();
    }
}

fn watch(services: &Services, clock: Clock) {
    let counters = services.counters_of_workers();
    let mut machine = Machine::default();
    let mut plan = Plan::default();
    let mut call = begin(&mut machine, services, &counters, clock);
    while let Call::Look { is_asked } = call {
        let live = services.live();
        let config = &live.config.host;
        let now = clock.now();
        let demand = Demand {
            watched: Topic::ALL.map(|topic| is_watched(topic, services)),
            is_asked,
        };
        let due = plan.due(demand, config.interval, now.mono);
        if due.is_sample {
            let sample = measure(&mut machine, wanted(config), now, &counters);
            let took = clock.now().mono.since(now.mono);
            counters.observe_time(Histogram::HostSampleSeconds, took);
            if let Some(sample) = sample {
                counters.increment(Counter::HostSamples);
                services.host.put(Arc::new(sample));
            }
        }
        let context = services.context(&live, &counters, clock.now());
        if let Some(sample) = services.host.latest() {
            for topic in due.tell {
                host::tell(topic, &sample, context);
            }
        }
        for room in due.forget.into_iter().filter_map(host::room) {
            services.rooms.forget_history(&room, context.now.mono);
        }
        let next = plan.next(demand, config.interval);
        call = services.host.wait(next.since(clock.now().mono));
    }
}

/// Measures once for comparison, and waits until that makes a difference.
fn begin(machine: &mut Machine, services: &Services, counters: &Counters, clock: Clock) -> Call {
    let began = clock.now();
    measure(
        machine,
        wanted(&services.live().config.host),
        began,
        counters,
    );
    loop {
        let now = clock.now().mono;
        let rest = (began.mono + FIRST).since(now);
        let call = services.host.wait(rest);
        if call == Call::Over || rest.is_zero() {
            return call;
        }
    }
}

/// Measures; `None` after a panic, with which what was known is gone.
fn measure(machine: &mut Machine, wanted: Wanted, now: Now, counters: &Counters) -> Option<Sample> {
    let measured = catch_unwind(AssertUnwindSafe(|| machine.sample(wanted, now)));
    measured.ok().or_else(|| {
        counters.increment(Counter::HandlerPanics);
        log::error!("host_panic");
        *machine = Machine::default();
        None
    })
}

fn wanted(config: &config::Host) -> Wanted {
    Wanted {
        processes: match config.top_processes {
            0 => 0,
            wanted => wanted.max(PROCESSES),
        },
        command_lines: config.command_lines,
    }
}

fn is_watched(topic: Topic, services: &Services) -> bool {
    let room: Option<RoomName> = host::room(topic);
    room.is_some_and(|room| services.rooms.is_occupied(&room))
}
