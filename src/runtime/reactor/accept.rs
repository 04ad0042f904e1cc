//! Accepting: within its budgets, and with an answer for those it refuses.
//!
//! Accepting rests while too many handshakes are in progress (the kernel's backlog waits) and for
//! a moment after the process ran out of descriptors. A connection over the limit gets a fixed
//! 503 before anything is read from it or allocated for it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::app::http::error_response;
use crate::app::services::Services;
use crate::base::clock::{Mono, Now};
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::domain::fault::Code;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::os::socket::{bound_unsent, is_connection_gone, is_out_of_descriptors};
use crate::runtime::logging::Repeated;
use crate::runtime::reactor::endpoint::Endpoints;
use crate::shard::Shard;
use crate::wire::http::response::{Encoding, Status};

/// The listeners of a reactor.
#[derive(Debug)]
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    first_number: u32,
    /// Accepting rests until then.
    rests_until: Option<Mono>,
    /// Accepting waits for handshakes in progress to be done.
    is_paused: bool,
    /// What a connection over the limit gets.
    refusal: Vec<u8>,
    log: Repeated,
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    is_ready: bool,
}

impl Acceptor {
    /// Registers `listeners` under the shell's tokens from `first_number` on.
    ///
    /// # Errors
    /// When the poll does not take one.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        first_number: u32,
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
        let mut refusal = Vec::new();
        error_response(
            Status::SERVICE_UNAVAILABLE,
            Code::ConnectionLimit,
            "the server has as many connections as limits.connections allows; try again later",
        )
        .header("Retry-After", "5")
        .encode(
            &Encoding {
                head_only: false,
                keep_alive: false,
                http10: false,
                date: "",
            },
            &mut refusal,
        );
        Ok(Self {
            listeners: registered,
            first_number,
            rests_until: None,
            is_paused: false,
            refusal,
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
    pub(super) fn has_more(&self, shard: &Shard) -> bool {
        self.rests_until.is_none()
            && shard.handshakes() < limits::HANDSHAKES_IN_PROGRESS
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

    /// Accepts a turn's worth of connections.
    pub(super) fn accept(
        &mut self,
        shard: &mut Shard,
        endpoints: &mut Endpoints,
        registry: &Registry,
        services: &Services,
        counters: &Counters,
        now: Now,
    ) {
        if self.rests_until.is_some_and(|until| now.mono < until) {
            return;
        }
        self.rests_until = None;
        for listener in &mut self.listeners {
            if !listener.is_ready {
                continue;
            }
            for _ in 0..limits::ACCEPTS_PER_TURN {
                if shard.handshakes() >= limits::HANDSHAKES_IN_PROGRESS {
                    if !std::mem::replace(&mut self.is_paused, true) {
                        counters.increment(Counter::AcceptPauses);
                    }
                    return;
                }
                self.is_paused = false;
                match listener.socket.accept() {
                    Ok((socket, address)) => {
                        let address = address.ip().to_canonical();
                        let limit = services.live().config.limits.connections;
                        let is_full =
                            limit.is_some_and(|limit| services.connections() >= limit as u64);
                        if is_full {
                            counters.increment(Counter::ConnectionsRefusedLimit);
                            refuse(
                                socket,
                                address,
                                &self.refusal,
                                shard,
                                endpoints,
                                registry,
                                now,
                            );
                        } else {
                            open(socket, address, shard, endpoints, registry, now);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.is_ready = false;
                        break;
                    }
                    Err(error) if is_out_of_descriptors(&error) => {
                        counters.increment(Counter::AcceptBackoffs);
                        if let Some(suppressed) = self.log.allow(now.mono) {
                            log::warn!(
                                "accept_rests error=\"{error}\" suppressed={suppressed} \
                                 hint=\"raise the descriptor limit or lower limits.connections\""
                            );
                        }
                        self.rests_until = Some(now.mono + limits::ACCEPT_BACKOFF);
                        return;
                    }
                    Err(error) if is_connection_gone(&error) => {}
                    Err(error) => {
                        log::error!("accept_failed error=\"{error}\"");
                        self.rests_until = Some(now.mono + limits::ACCEPT_BACKOFF);
                        return;
                    }
                }
            }
        }
    }
}

fn open(
    socket: TcpStream,
    address: IpAddr,
    shard: &mut Shard,
    endpoints: &mut Endpoints,
    registry: &Registry,
    now: Now,
) {
    // Small messages must leave at once; we gather what belongs together ourselves.
    let _ = socket.set_nodelay(true);
    let _ = bound_unsent(socket.as_fd(), limits::UNSENT_BYTES);
    if let Some(id) = shard.open(address, now)
        && endpoints.open(id, socket, registry).is_err()
    {
        shard.broken(id);
    }
}

/// Refused connections that are still being told so; above it they are just closed.
const REFUSALS: usize = 256;

fn refuse(
    socket: TcpStream,
    address: IpAddr,
    answer: &[u8],
    shard: &mut Shard,
    endpoints: &mut Endpoints,
    registry: &Registry,
    now: Now,
) {
    if shard.refusals() >= REFUSALS {
        return;
    }
    if let Some(id) = shard.refuse(address, answer, now)
        && endpoints.open(id, socket, registry).is_err()
    {
        shard.broken(id);
    }
}
