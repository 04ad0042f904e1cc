//! A connection's socket and what is remembered of its readiness.
//!
//! Edge-triggered readiness is told once, so it is remembered here until the kernel says
//! otherwise: a read that fills less than the buffer has emptied the socket, a write that is not
//! taken whole has filled it (epoll(7), section "Edge-triggered"); neither needs another call to
//! find out.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits;
use crate::shard::{AfterWrite, Shard};

/// The sockets of a shard's peers, by slot.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    slots: Vec<Option<Endpoint>>,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Endpoint {
    socket: TcpStream,
    generation: u32,
    /// The socket may have something to read.
    pub(super) readable: bool,
    /// The peer has sent all it will; read until the end shows.
    pub(super) read_closed: bool,
    /// The socket may take something.
    pub(super) writable: bool,
    /// It stands in the list of those to read.
    pub(super) queued: bool,
    /// It stands in the list of those to write.
    pub(super) write_queued: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer sends nothing more.
    End,
    /// The connection is broken.
    Broken,
}

/// What a write led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// All is written, or the socket takes no more now.
    Done,
    /// The socket may take more; this turn's share is used up.
    More,
    /// The connection is broken.
    Broken,
}

impl Endpoints {
    /// The endpoint of `id`, unless it is closed.
    pub(super) fn find(&mut self, id: PeerId) -> Option<&mut Endpoint> {
        let endpoint = self.slots.get_mut(id.slot as usize)?.as_mut()?;
        (endpoint.generation == id.generation).then_some(endpoint)
    }

    /// Registers the socket of a peer that is new here. Whatever is ready by now is told of.
    ///
    /// # Errors
    /// When the poll does not take it; the socket is closed then.
    pub(super) fn open(
        &mut self,
        id: PeerId,
        mut endpoint: Endpoint,
        registry: &Registry,
    ) -> io::Result<&mut Endpoint> {
        registry.register(
            &mut endpoint.socket,
            Token(id.to_token()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        endpoint.generation = id.generation;
        let slot = id.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let place = self.slots.get_mut(slot).map(|place| place.insert(endpoint));
        place.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    /// Takes the socket of a peer out that goes to another reactor; no poll knows it then. `None` if
    /// it cannot be had.
    pub(super) fn take(&mut self, id: PeerId, registry: &Registry) -> Option<Endpoint> {
        self.find(id)?;
        let mut endpoint = self.slots.get_mut(id.slot as usize)?.take()?;
        registry.deregister(&mut endpoint.socket).ok()?;
        // The lists are this reactor's.
        endpoint.queued = false;
        endpoint.write_queued = false;
        Some(endpoint)
    }

    /// Closes the socket of a peer that has ended.
    pub(super) fn close(&mut self, id: PeerId, registry: &Registry) {
        // Closing the descriptor deregisters it, too; kqueue wants it said.
        let _ = self.take(id, registry);
    }
}

impl Endpoint {
    /// The endpoint of a connection that was just accepted; no poll knows it.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            generation: 0,
            readable: false,
            read_closed: false,
            // A new socket takes bytes; if not, the first write tells.
            writable: true,
            queued: false,
            write_queued: false,
        }
    }

    /// Reads once into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        match self.socket.read(buffer) {
            Ok(0) => {
                self.readable = false;
                Read::End
            }
            Ok(count) => {
                self.readable = count == buffer.len() || self.read_closed;
                Read::Bytes(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Read::Nothing
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Read::Bytes(0),
            Err(_) => Read::Broken,
        }
    }

    /// Writes what the peer has to send, up to its share of a turn. One writev takes so many pieces
    /// only; a peer that gets many small messages would fall behind by no fault of its own.
    pub(super) fn write(&mut self, id: PeerId, shard: &mut Shard, now: Now) -> Wrote {
        let mut written = 0;
        loop {
            let (wrote, taken) = self.write_once(id, shard, now);
            written += taken;
            if wrote != Wrote::More || taken == 0 || written >= limits::WRITE_BYTES_PER_TURN {
                return wrote;
            }
        }
    }

    fn write_once(&mut self, id: PeerId, shard: &mut Shard, now: Now) -> (Wrote, usize) {
        let mut taken = 0;
        let mut is_whole = true;
        if self.writable {
            let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES];
            let (count, total) = shard.gather(id, &mut slices);
            let written = match slices.get(..count) {
                Some([only]) => self.socket.write(only),
                Some([]) | None => Ok(0),
                Some(several) => self.socket.write_vectored(several),
            };
            match written {
                Ok(count) => {
                    taken = count;
                    is_whole = count == total;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_whole = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (Wrote::Broken, 0),
            }
            self.writable = is_whole;
        }
        let wrote = match shard.wrote(id, taken, now) {
            AfterWrite::More if self.writable && is_whole => Wrote::More,
            AfterWrite::More | AfterWrite::Done => Wrote::Done,
            AfterWrite::ShutdownWrite => match self.socket.shutdown(Shutdown::Write) {
                Ok(()) => Wrote::Done,
                Err(_) => Wrote::Broken,
            },
        };
        (wrote, taken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream as Client};
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    const THERE: PeerId = PeerId {
        slot: 3,
        generation: 8,
    };

    /// Waits until `poll` tells that the socket of `id` can be read.
    fn becomes_readable(poll: &mut Poll, id: PeerId) -> bool {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(10)))
            .unwrap();
        let token = Token(id.to_token());
        events
            .iter()
            .any(|event| event.token() == token && event.is_readable())
    }

    #[test]
    fn a_socket_that_changes_the_poll_loses_nothing_that_is_unread() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (mut one, mut other) = (Poll::new().unwrap(), Poll::new().unwrap());
        let (mut here, mut there) = (Endpoints::default(), Endpoints::default());
        let id = PeerId {
            slot: 0,
            generation: 0,
        };
        let endpoint = Endpoint::new(TcpStream::from_std(socket));
        here.open(id, endpoint, one.registry()).unwrap();
        client.write_all(b"one").unwrap();
        assert!(becomes_readable(&mut one, id));

        let endpoint = here.take(id, one.registry()).unwrap();
        assert!(here.find(id).is_none() && here.take(id, one.registry()).is_none());
        client.write_all(b"two").unwrap();
        there.open(THERE, endpoint, other.registry()).unwrap();
        assert!(becomes_readable(&mut other, THERE), "it is told anew");
        let mut buffer = [0; 6];
        let mut read = 0;
        while read < buffer.len() {
            let endpoint = there.find(THERE).unwrap();
            match endpoint.read(&mut buffer[read..]) {
                Read::Bytes(count) => read += count,
                Read::Nothing => assert!(becomes_readable(&mut other, THERE)),
                Read::End | Read::Broken => break,
            }
        }
        assert_eq!(&buffer, b"onetwo");
        drop(client);
        assert!(becomes_readable(&mut other, THERE));
        assert_eq!(there.find(THERE).unwrap().read(&mut buffer), Read::End);
    }
}
