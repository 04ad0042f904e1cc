//! Accepting: within its budgets, with an answer for those it refuses, and a shard for the others.
//!
//! Only one reactor accepts, so that what it decides on is counted before it decides on the next.
//! Accepting rests while too many handshakes are in progress (the kernel's backlog waits) and for
//! a moment after the process ran out of descriptors. A connection over a limit gets a fixed answer
//! before anything is read from it or allocated for it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::app::admission::Admitted;
use crate::app::services::{Context, Services};
use crate::base::clock::Mono;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::os::socket::{
    bound_unacknowledged, bound_unsent, is_connection_gone, is_out_of_descriptors,
};
use crate::protocol::tls::acceptor::REFUSAL;
use crate::runtime::logging::Repeated;
use crate::runtime::reactor::arrival::Arrival;
use crate::runtime::reactor::deal::Dealer;

/// The listeners of a reactor.
#[derive(Debug)]
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    first_number: u32,
    /// Accepting rests until then.
    rests_until: Option<Mono>,
    /// Accepting waits for handshakes in progress to be done.
    is_paused: bool,
    dealer: Dealer,
    /// Refused connections that may be told so at a time; above it they are just closed.
    refusals_max: usize,
    log: Repeated,
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    is_ready: bool,
}

/// A connection that was accepted, on its way to a shard.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) address: IpAddr,
    /// How it was let in, or the fixed answer with which it is refused.
    pub(super) admitted: Result<Admitted, Vec<u8>>,
}

impl Acceptor {
    /// Registers `listeners` under the shell's tokens from `first_number` on; what they accept is
    /// given to `dealer`. At most `refusals_max` refused ones are told so at a time.
    ///
    /// # Errors
    /// When the poll does not take one.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        first_number: u32,
        dealer: Dealer,
        refusals_max: usize,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut registered = Vec::with_capacity(listeners.len());
        for (number, mut socket) in (first_number..).zip(listeners) {
            let token = Token(PeerId::shell_token(number));
            registry.register(&mut socket, token, Interest::READABLE)?;
            registered.push(Listener {
                socket,
                is_ready: true,
            });
        }
        Ok(Self {
            listeners: registered,
            first_number,
            rests_until: None,
            is_paused: false,
            dealer,
            refusals_max,
            log: Repeated::default(),
        })
    }

    /// Notes that the listener of this number has connections waiting.
    pub(super) fn note_ready(&mut self, number: u32) {
        let index = number.wrapping_sub(self.first_number) as usize;
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.is_ready = true;
        }
    }

    /// Whether connections wait that the next turn can take.
    pub(super) fn has_more(&self, services: &Services) -> bool {
        self.rests_until.is_none()
            && services.handshakes() < limits::HANDSHAKES_IN_PROGRESS
            && self.listeners.iter().any(|listener| listener.is_ready)
    }

    /// When accepting goes on after a rest.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.rests_until
    }

    /// Stops listening.
    pub(super) fn close(&mut self, registry: &Registry) {
        for mut listener in self.listeners.drain(..) {
            // Dropping the socket closes it; kqueue wants it said.
            let _ = registry.deregister(&mut listener.socket);
        }
        self.rests_until = None;
    }

    /// Accepts a turn's worth of connections. Those for this reactor's own shard, and those that
    /// are refused, go to `own`; the others are on their way when this returns.
    pub(super) fn accept(&mut self, refusals: usize, context: Context<'_>, own: &mut Vec<Arrival>) {
        let now = context.now.mono;
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        self.rests_until = None;
        let mut refusals_left = self.refusals_max.saturating_sub(refusals);
        for listener in &mut self.listeners {
            if !listener.is_ready {
                continue;
            }
            for _ in 0..limits::ACCEPTS_PER_TURN {
                if context.services.handshakes() >= limits::HANDSHAKES_IN_PROGRESS {
                    if !std::mem::replace(&mut self.is_paused, true) {
                        context.counters.increment(Counter::AcceptPauses);
                    }
                    self.rests_until = Some(now + limits::HANDSHAKES_RECHECK);
                    return;
                }
                self.is_paused = false;
                match listener.socket.accept() {
                    Ok((socket, address)) => {
                        let accepted = arrive(socket, address.ip().to_canonical(), context);
                        if accepted.admitted.is_ok() {
                            self.dealer.deal(accepted, own);
                        } else if refusals_left > 0 {
                            refusals_left -= 1;
                            own.push(Arrival::Accepted(accepted));
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.is_ready = false;
                        break;
                    }
                    Err(error) if is_connection_gone(&error) => {}
                    Err(error) => {
                        rest(&error, &mut self.log, context.counters, now);
                        self.rests_until = Some(now + limits::ACCEPT_BACKOFF);
                        return;
                    }
                }
            }
        }
    }
}

/// What becomes of one connection.
fn arrive(socket: TcpStream, address: IpAddr, context: Context<'_>) -> Accepted {
    // Small messages must leave at once; we gather what belongs together ourselves.
    let _ = socket.set_nodelay(true);
    let _ = bound_unsent(socket.as_fd(), limits::UNSENT_BYTES);
    // Our own write timeout comes first, for it says why.
    let patience = context.live.config.limits.write_timeout * 2;
    let patience = patience.max(limits::UNACKNOWLEDGED_TIMEOUT);
    let _ = bound_unacknowledged(socket.as_fd(), patience);
    let admitted = context.services.accept(address, context);
    Accepted {
        socket,
        address,
        admitted: admitted.map_err(|refusal| match context.live.tls {
            Some(_) => REFUSAL.to_vec(),
            None => refusal.bytes(),
        }),
    }
}

/// Says why accepting rests.
fn rest(error: &io::Error, log: &mut Repeated, counters: &Counters, now: Mono) {
    if !is_out_of_descriptors(error) {
        log::error!("accept_failed error=\"{error}\"");
        return;
    }
    counters.increment(Counter::AcceptBackoffs);
    if let Some(suppressed) = log.allow(now) {
        log::warn!(
            "accept_rests error=\"{error}\" suppressed={suppressed} \
             hint=\"raise the descriptor limit or lower limits.connections\""
        );
    }
}
