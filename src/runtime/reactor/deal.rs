//! From the reactor that accepts to the one that serves.

use std::sync::Arc;

use crate::bus::mailbox::Mailbox;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::runtime::reactor::accept::Accepted;
use crate::runtime::reactor::arrival::{Arrival, Inbox};

/// One reactor as the dealer sees it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) inbox: Arc<Inbox>,
    mailbox: Arc<Mailbox>,
    /// The shard's, which say how many connections it has closed, and how many went elsewhere.
    counters: Arc<Counters>,
    /// Connections it was ever given.
    dealt: u64,
}

impl Seat {
    /// The place of a reactor that nobody was dealt to yet.
    pub(crate) fn new(mailbox: &Arc<Mailbox>, counters: Arc<Counters>) -> Self {
        Self {
            inbox: Arc::default(),
            mailbox: Arc::clone(mailbox),
            counters,
            dealt: 0,
        }
    }

    /// Connections that it has or will have in a moment.
    fn load(&self) -> u64 {
        let closed = self.counters.read(Counter::ConnectionsClosed);
        let left = self.counters.read(Counter::ConnectionsMoved);
        (self.dealt + self.inbox.joined()).saturating_sub(closed + left)
    }
}

/// Gives each connection to the reactor that has the fewest.
#[derive(Debug)]
pub(crate) struct Dealer {
    /// In the order of the shards; the first is the dealer's own.
    pub(crate) seats: Vec<Seat>,
}

impl Dealer {
    /// Deals one connection: to another reactor, which is woken, or to `own`.
    pub(super) fn deal(&mut self, accepted: Accepted, own: &mut Vec<Arrival>) {
        let arrival = Arrival::Accepted(accepted);
        let loads = self.seats.iter().map(Seat::load).enumerate();
        let chosen = loads
            .min_by_key(|(_, load)| *load)
            .map_or(0, |(index, _)| index);
        let Some(seat) = self.seats.get_mut(chosen) else {
            own.push(arrival);
            return;
        };
        seat.dealt += 1;
        if chosen == 0 {
            own.push(arrival);
            return;
        }
        match seat.inbox.push(arrival) {
            Ok(()) => seat.mailbox.nudge(),
            Err(arrival) => own.push(arrival),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use mio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::app::admission::Admitted;

    fn seat() -> Seat {
        Seat::new(&Arc::new(Mailbox::new(8, Box::new(|| ()))), Arc::default())
    }

    #[test]
    fn each_connection_goes_to_the_reactor_with_the_fewest() {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let accepted = || Accepted {
            socket: TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            admitted: Ok(Admitted {
                is_counted: false,
                is_proxy: false,
                is_reserved: false,
            }),
        };
        let mut dealer = Dealer {
            seats: vec![seat(), seat(), seat()],
        };
        let mut own = Vec::new();
        for _ in 0..6 {
            dealer.deal(accepted(), &mut own);
        }
        let waiting = |dealer: &Dealer| {
            let seats = dealer.seats.iter();
            seats.map(|seat| seat.inbox.len()).collect::<Vec<_>>()
        };
        assert_eq!((own.len(), waiting(&dealer)), (2, vec![0, 2, 2]));
        dealer.seats[2].counters.add(Counter::ConnectionsClosed, 2);
        for _ in 0..2 {
            dealer.deal(accepted(), &mut own);
        }
        assert_eq!((own.len(), waiting(&dealer)), (2, vec![0, 2, 4]));
        // Two of the second's go to the third, which has four then.
        dealer.seats[1].counters.add(Counter::ConnectionsMoved, 2);
        dealer.seats[2].inbox.count_joined(2);
        for _ in 0..2 {
            dealer.deal(accepted(), &mut own);
        }
        assert_eq!((own.len(), waiting(&dealer)), (2, vec![0, 4, 4]));
    }
}
