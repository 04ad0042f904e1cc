//! The thread that listens to what back ends emit by way of Redis.
//!
//! It connects by itself and again, however long that takes; the server starts and serves without.
//! One message is dealt with at a time: while the shards or the store have no room it waits, and
//! what comes meanwhile waits in Redis, which cuts a listener that is too far behind
//! (`client-output-buffer-limit pubsub`). Invariant: it never holds up the end of the server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::app::emitters::{self, LinkState};
use crate::app::services::Services;
use crate::backplane::link::{Heard, Link, LinkFault, Target};
use crate::base::backoff::Backoff;
use crate::base::clock::{Clock, Mono};
use crate::base::rng::Rng;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// How long the thread listens before it looks whether it is to end.
const TICK: Duration = Duration::from_millis(200);

/// After how much silence Redis has to show that it is there: a machine that is gone says nothing.
const SILENCE: Duration = Duration::from_secs(15);

/// The first ceiling of the pauses between two attempts, and the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a message waits for room in the mailboxes and the store's queue, and between two looks.
const ROOM_WAIT: Duration = Duration::from_secs(2);
const ROOM_LOOK: Duration = Duration::from_millis(5);

/// How long the server's end waits for the thread, which may be finding out an address.
const GOODBYE: Duration = Duration::from_secs(1);

/// How often the log says that messages were refused.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The thread, if a Redis is configured.
#[derive(Debug, Default)]
pub(super) struct EmitterThread(Option<Running>);

#[derive(Debug)]
struct Running {
    stop: Sender<()>,
    /// Disconnected when the thread is over.
    over: Receiver<()>,
    thread: JoinHandle<()>,
}

impl EmitterThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(services: &Arc<Services>, rng: Rng, clock: Clock) -> io::Result<Self> {
        let live = services.live();
        let Some(url) = live.config.emitters.url() else {
            return Ok(Self::default());
        };
        services.emitters.set(LinkState::Down);
        let target = match Target::parse(url) {
            Ok(target) => target,
            Err(fault) => {
                log::error!("emitters_url_refused fault=\"{fault}\"");
                return Ok(Self::default());
            }
        };
        let (stop, stopped) = bounded(0);
        let (is_over, over) = bounded::<()>(0);
        let hearer = Hearer {
            target,
            channels: live.config.emitters.channels.clone(),
            counters: services.counters_of_workers(),
            services: Arc::clone(services),
            stopped,
            clock,
            rng,
            refusals: Refusals::default(),
        };
        let thread = thread::Builder::new()
            .name("emitters".to_owned())
            .spawn(move || {
                hearer.work();
                drop(is_over);
            })?;
        Ok(Self(Some(Running { stop, over, thread })))
    }

    /// Ends, as a rule at once: what is in Redis stays there.
    pub(super) fn finish(self) {
        let Some(Running { stop, over, thread }) = self.0 else {
            return;
        };
        drop(stop);
        match over.recv_timeout(GOODBYE) {
            // Nobody ends a resolver; the thread has nothing that must be put in order.
            Err(RecvTimeoutError::Timeout) => log::debug!("emitters_left_behind"),
            // One that panicked has nothing left to say.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => drop(thread.join()),
        }
    }
}

/// Why the thread does not listen any more.
enum Ended {
    /// The server ends.
    Stopped,
    /// The connection is gone.
    Lost(LinkFault),
}

struct Hearer {
    target: Target,
    channels: Vec<String>,
    services: Arc<Services>,
    counters: Arc<Counters>,
    stopped: Receiver<()>,
    clock: Clock,
    rng: Rng,
    refusals: Refusals,
}

impl Hearer {
    fn work(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        // Whether the log has said that there is no connection.
        let mut is_told = false;
        let mut was_up = false;
        loop {
            let ended = Link::open(&self.target)
                .map_err(Ended::Lost)
                .and_then(|mut link| self.listen(&mut link, &mut backoff, &mut was_up));
            let is_lost = self.services.emitters.state() == LinkState::Up;
            self.services.emitters.set(LinkState::Down);
            let fault = match ended {
                Err(Ended::Lost(fault)) => fault,
                Ok(()) | Err(Ended::Stopped) => return,
            };
            if is_lost || !is_told {
                let redis = &self.target;
                log::warn!(
                    "emitters_disconnected redis={redis} fault=\"{fault}\" meaning=\"what back \
                     ends emit now is lost; trying again\""
                );
                is_told = true;
            }
            let pause = backoff.next_delay(&mut self.rng);
            if self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Listens until that has an end.
    fn listen(
        &mut self,
        link: &mut Link,
        backoff: &mut Backoff,
        was_up: &mut bool,
    ) -> Result<(), Ended> {
        let channels = self.channels.clone();
        let mut listener = link.listen(&channels, TICK).map_err(Ended::Lost)?;
        backoff.reset();
        self.services.emitters.set(LinkState::Up);
        if std::mem::replace(was_up, true) {
            self.counters.increment(Counter::EmitterReconnects);
        }
        let redis = &self.target;
        log::info!(
            "emitters_connected redis={redis} channels={}",
            channels.join(",")
        );
        let mut heard_at = self.clock.now().mono;
        loop {
            let heard = listener.hear().map_err(Ended::Lost)?;
            let now = self.clock.now().mono;
            match &heard {
                Some(heard) => {
                    heard_at = now;
                    self.deal_with(heard);
                }
                None if now.since(heard_at) >= SILENCE => {
                    listener.ping().map_err(Ended::Lost)?;
                    heard_at = self.clock.now().mono;
                }
                None => {}
            }
            self.refusals.tell(now);
            if self.is_stopped(Duration::ZERO) {
                return Err(Ended::Stopped);
            }
        }
    }

    fn deal_with(&mut self, heard: &Heard) {
        let done = catch_unwind(AssertUnwindSafe(|| self.publish(heard)));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(why)) => self.refusals.add(why),
            Err(_) => {
                self.counters.increment(Counter::HandlerPanics);
                log::error!("emitters_panic");
            }
        }
    }

    fn publish(&self, heard: &Heard) -> Result<(), String> {
        let services = &self.services;
        let live = services.live();
        let context = services.context(&live, &self.counters, self.clock.now());
        let (writer, channel) = (heard.writer(), heard.channel());
        let asked = emitters::understand(writer, channel, heard.bytes(), context);
        let asked = asked.map_err(|fault| fault.to_string())?;
        let began = context.now.mono;
        while !emitters::has_room(context) && self.clock.now().mono.since(began) < ROOM_WAIT {
            if self.is_stopped(ROOM_LOOK) {
                break;
            }
        }
        let context = services.context(&live, &self.counters, self.clock.now());
        emitters::carry_out(asked, context).map_err(|fault| fault.message)
    }

    /// Whether the thread is to end, waiting for that so long.
    fn is_stopped(&self, wait: Duration) -> bool {
        self.stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
    }
}

/// Refused messages that the log has not told of.
#[derive(Default)]
struct Refusals {
    count: u64,
    /// Why the first of them was.
    why: String,
    told: Option<Mono>,
}

impl Refusals {
    fn add(&mut self, why: String) {
        log::debug!("emitter_refused why=\"{why}\"");
        if self.count == 0 {
            self.why = why;
        }
        self.count += 1;
    }

    /// Tells of them, at most once a minute.
    fn tell(&mut self, now: Mono) {
        let is_due = self.told.is_none_or(|told| now.since(told) >= TOLD_EVERY);
        if self.count > 0 && is_due {
            let (count, why) = (self.count, &self.why);
            log::warn!("emitters_refused messages={count} first=\"{why}\"");
            *self = Self {
                told: Some(now),
                ..Self::default()
            };
        }
    }
}
