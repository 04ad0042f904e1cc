//! Connections on their way to a reactor: accepted ones that were dealt to it, and those that come
//! from another reactor because the session is here that a request named.
//!
//! Sockets travel beside the mail, because nothing below the shell knows them. Invariants: nothing
//! is put where nobody will look again; how many are on their way is bounded by the connections
//! that there may be, and accepted ones by the budget for handshakes in progress, which each enters
//! before it is dealt.

use std::sync::{Mutex, MutexGuard};

use crate::base::clock::Now;
use crate::base::locks::lock;
use crate::runtime::reactor::Reactor;
use crate::runtime::reactor::accept::Accepted;
use crate::runtime::reactor::endpoint::Endpoint;
use crate::shard::moves::{Moving, Parcel};

/// A connection that a reactor is to serve.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It is new.
    Accepted(Accepted),
    /// Another reactor served it until now.
    Moved(Moved),
}

/// A connection with its socket, which no poll knows.
#[derive(Debug)]
pub(super) struct Moved {
    parcel: Parcel,
    endpoint: Endpoint,
}

/// Where connections wait for one reactor.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    arrivals: Vec<Arrival>,
    /// How many ever came from other reactors.
    joined: u64,
    is_closed: bool,
}

impl Inbox {
    /// Moves all that have come into `into`.
    pub(super) fn take(&self, into: &mut Vec<Arrival>) {
        into.append(&mut self.lock().arrivals);
    }

    /// Puts a connection here; its reactor is to be nudged.
    ///
    /// # Errors
    /// The connection, if the reactor has ended.
    pub(super) fn push(&self, arrival: Arrival) -> Result<(), Arrival> {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(arrival);
        }
        waiting.joined += u64::from(matches!(arrival, Arrival::Moved(_)));
        waiting.arrivals.push(arrival);
        Ok(())
    }

    /// Says that nobody will look again, unless somebody waits; true if it is closed then.
    pub(super) fn close(&self) -> bool {
        let mut waiting = self.lock();
        waiting.is_closed |= waiting.arrivals.is_empty();
        waiting.is_closed
    }

    /// How many connections ever came from other reactors.
    pub(super) fn joined(&self) -> u64 {
        self.lock().joined
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

#[cfg(test)]
impl Inbox {
    pub(super) fn len(&self) -> usize {
        self.lock().arrivals.len()
    }

    pub(super) fn count_joined(&self, count: u64) {
        self.lock().joined += count;
    }
}

impl Reactor {
    /// Sends the connections away, with their sockets, whose requests belong to other shards.
    pub(super) fn depart(&mut self, now: Now) {
        let mut moving = std::mem::take(&mut self.lists.moving);
        self.shard.take_moving(&mut moving);
        for Moving {
            peer,
            shard,
            parcel,
        } in moving.drain(..)
        {
            let Some(endpoint) = self.endpoints.take(peer, self.poll.registry()) else {
                // Its socket cannot be had any more.
                if let Some(id) = self.shard.adopt(parcel, now) {
                    self.shard.broken(id);
                }
                continue;
            };
            let arrival = Arrival::Moved(Moved { parcel, endpoint });
            let sent = match self.neighbours.get(shard.index()) {
                Some(inbox) => inbox.push(arrival),
                None => Err(arrival),
            };
            match sent {
                Ok(()) => {
                    if let Some(mailbox) = self.services.mailboxes.get(shard.index()) {
                        mailbox.nudge();
                    }
                }
                // The server shuts down and the other reactor has ended; it is told so here.
                Err(arrival) => self.arrive(arrival, now),
            }
        }
        self.lists.moving = moving;
    }

    /// Takes one connection in.
    pub(super) fn arrive(&mut self, arrival: Arrival, now: Now) {
        match arrival {
            Arrival::Accepted(accepted) => self.open(accepted, now),
            Arrival::Moved(moved) => self.adopt(moved, now),
        }
    }

    fn open(&mut self, accepted: Accepted, now: Now) {
        let Accepted {
            socket,
            address,
            admitted,
        } = accepted;
        let id = match admitted {
            Ok(admitted) => self.shard.open(address, admitted, now),
            Err(answer) => self.shard.refuse(address, &answer, now),
        };
        if let Some(id) = id {
            let endpoint = Endpoint::new(socket);
            let opened = self.endpoints.open(id, endpoint, self.poll.registry());
            if opened.is_err() {
                self.shard.broken(id);
            }
        }
    }

    fn adopt(&mut self, moved: Moved, now: Now) {
        let Moved { parcel, endpoint } = moved;
        let Some(id) = self.shard.adopt(parcel, now) else {
            return;
        };
        match self.endpoints.open(id, endpoint, self.poll.registry()) {
            Ok(endpoint) => self.lists.queue_read(id, endpoint),
            Err(_) => self.shard.broken(id),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use mio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_inbox_closes_only_when_nobody_waits_and_gives_back_who_comes_then() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let arrival = || {
            Arrival::Accepted(Accepted {
                socket: TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                admitted: Err(Vec::new()),
            })
        };
        let inbox = Inbox::default();
        inbox.push(arrival()).unwrap();
        assert!(!inbox.close());
        inbox.push(arrival()).unwrap();
        let mut taken = Vec::new();
        inbox.take(&mut taken);
        assert_eq!((taken.len(), inbox.joined()), (2, 0));
        assert!(inbox.close());
        assert!(inbox.push(arrival()).is_err());
        assert!(inbox.close(), "it stays closed");
    }
}
