//! The thread that tells of the server what nobody asks for: the event `server_stats`, and lines to
//! StatsD.
//!
//! May not touch: what is told; that is [`server_stats`]'s and [`statsd`]'s. Invariant: it waits for
//! nothing but the time: a socket that takes nothing loses what it was to send.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::app::server_stats;
use crate::app::services::{Context, Services};
use crate::base::clock::{Clock, Mono};
use crate::metrics::names::Counter;
use crate::metrics::statsd::Reporter;

/// How often the window of the last minute is told how many messages there were.
const SECOND: Duration = Duration::from_secs(1);

/// An interval below it would be a thread that does nothing else.
const SHORTEST: Duration = Duration::from_millis(100);

/// The thread.
#[derive(Debug)]
pub(super) struct Publisher {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Publisher {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(services: &Arc<Services>, clock: Clock) -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let services = Arc::clone(services);
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || work(&stopped, &services, clock))?;
        Ok(Self { stop, thread })
    }

    /// Ends at once.
    pub(super) fn finish(self) {
        drop(self.stop);
        // One that panicked has nothing left to say.
        let _ = self.thread.join();
    }
}

fn work(stopped: &Receiver<()>, services: &Services, clock: Clock) {
    let counters = services.counters_of_workers();
    let mut statsd = Statsd::default();
    let mut next = clock.now().mono;
    loop {
        let now = clock.now();
        let live = services.live();
        let context = services.context(&live, &counters, now);
        let done = catch_unwind(AssertUnwindSafe(|| {
            services.messages_per_second(now.mono);
            if now.mono >= next {
                next = now.mono + live.config.metrics.publish_interval.max(SHORTEST);
                server_stats::publish(context);
                statsd.report(live.config.metrics.statsd, context);
            }
        }));
        if done.is_err() {
            counters.increment(Counter::HandlerPanics);
            log::error!("publisher_panic");
        }
        match stopped.recv_timeout(rest(next, clock.now().mono)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// How long there is nothing to do.
fn rest(next: Mono, now: Mono) -> Duration {
    next.since(now).min(SECOND)
}

/// Where lines go, and what was sent last.
#[derive(Default)]
struct Statsd {
    /// Connected to the address beside it; `None` after it could not be made.
    socket: Option<(SocketAddr, Option<UdpSocket>)>,
    reporter: Reporter,
}

impl Statsd {
    /// Sends what has changed to `address`, if there is one.
    fn report(&mut self, address: Option<SocketAddr>, context: Context<'_>) {
        let Some(address) = address else {
            return *self = Self::default();
        };
        if !matches!(&self.socket, Some((known, Some(_))) if *known == address) {
            let was_told = matches!(&self.socket, Some((known, None)) if *known == address);
            let made = open(address).inspect_err(|error| {
                if !was_told {
                    log::warn!("statsd_failed address={address} error=\"{error}\"");
                }
            });
            self.socket = Some((address, made.ok()));
        }
        let socket = self.socket.as_ref().and_then(|(_, made)| made.as_ref());
        let reading = context.services.reading(context.now);
        for packet in self.reporter.packets(&reading) {
            let sent = socket.is_some_and(|socket| socket.send(&packet).is_ok());
            context.counters.increment(match sent {
                true => Counter::StatsdPacketsSent,
                false => Counter::StatsdPacketsFailed,
            });
        }
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
