//! `runtime::reactor` without a poll: the same turn in the same order over links.
//!
//! Readiness is told as epoll tells it edge-triggered: once for news, never again for what was
//! left unread, so that a wake that is lost in the server is lost here, too.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash};
use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::Arc;

use crate::app::admission::Admitted;
use crate::base::clock::Now;
use crate::base::ids::{PeerId, ShardId};
use crate::base::limits;
use crate::base::rng::Rng;
use crate::bus::mailbox::Mailbox;
use crate::shard::moves::{Moving, Parcel};
use crate::shard::{AfterWrite, Shard};
use crate::testkit::link::Link;
use crate::testkit::world::client::Client;
use crate::testkit::world::jobs::Jobs;

/// A shard with its ends of the links.
#[derive(Debug)]
pub(super) struct Reactor {
    pub(super) shard: Shard,
    mailbox: Arc<Mailbox>,
    endpoints: BTreeMap<PeerId, Endpoint>,
    /// Connections that wait to be accepted, or adopted.
    backlog: Vec<Arrival>,
    /// Connections that go to other reactors.
    pub(super) leaving: Vec<(ShardId, Arrival)>,
    read: Vec<PeerId>,
    write: Vec<PeerId>,
    is_busy: bool,
}

/// A connection on its way in.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A client that connects, with how it was let in, or the fixed answer with which it is refused.
    Accepted {
        client: usize,
        address: IpAddr,
        admitted: Result<Admitted, Vec<u8>>,
    },
    /// A connection that another reactor served until now.
    Moved { parcel: Parcel, endpoint: Endpoint },
}

#[derive(Debug)]
pub(super) struct Endpoint {
    client: usize,
    readable: bool,
    writable: bool,
    queued: bool,
    /// Bytes of the link that have been told of.
    told: u64,
    end_told: bool,
}

/// What a turn works with beside its own shard.
pub(super) struct Around<'a> {
    pub(super) clients: &'a mut [Client],
    pub(super) jobs: &'a mut Jobs,
    pub(super) rng: &'a mut Rng,
    /// Sockets become ready in any order.
    pub(super) is_unordered: bool,
    /// A digest of everything written, in order.
    pub(super) trace: &'a mut DefaultHasher,
    pub(super) now: Now,
}

impl Reactor {
    pub(super) fn new(shard: Shard, mailbox: Arc<Mailbox>) -> Self {
        Self {
            shard,
            mailbox,
            endpoints: BTreeMap::new(),
            backlog: Vec::new(),
            leaving: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            is_busy: false,
        }
    }

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        self.backlog.push(arrival);
    }

    /// Makes the next turn happen, as a signal does.
    pub(super) fn wake(&mut self) {
        self.is_busy = true;
    }

    /// Whether anything would end the reactor's sleep now: a lost wake is lost here, too.
    pub(super) fn is_awake(&self, clients: &[Client], now: Now) -> bool {
        let is_drained = self.shard.drain_report().is_some() && self.shard.is_empty();
        if is_drained && self.backlog.is_empty() {
            return false;
        }
        let deadline = self.shard.next_deadline();
        let has_mail = !self.mailbox.prepare_sleep();
        self.mailbox.awake();
        self.is_busy
            || has_mail
            || !self.backlog.is_empty()
            || deadline.is_some_and(|deadline| deadline <= now.mono)
            || self.endpoints.values().any(|endpoint| {
                let client = clients.get(endpoint.client);
                client.is_some_and(|client| endpoint.has_event(&client.link, now))
            })
    }

    /// One turn.
    pub(super) fn turn(&mut self, around: &mut Around<'_>, sweep: impl FnOnce()) {
        self.is_busy = false;
        self.note(around);
        self.read(around);
        self.is_busy |= self.shard.take_mail(around.now);
        self.shard.fire(around.now);
        sweep();
        self.send_jobs(around);
        self.write(around);
        self.close(around.clients);
        self.depart();
        self.accept(around);
        self.resume(around.now);
        self.shard.check_invariants();
    }

    fn note(&mut self, around: &mut Around<'_>) {
        for (id, endpoint) in &mut self.endpoints {
            let Some(client) = around.clients.get(endpoint.client) else {
                continue;
            };
            let link = &client.link;
            if endpoint.is_news(link, around.now) {
                endpoint.told = link.up.arrived_in_all(around.now.mono);
                endpoint.end_told = link.up.is_at_end() || link.is_cut;
                endpoint.readable = true;
                if !endpoint.queued {
                    endpoint.queued = true;
                    self.read.push(*id);
                }
            }
            if endpoint.is_writable_again(link) {
                endpoint.writable = true;
                self.write.push(*id);
            }
        }
        if around.is_unordered {
            shuffle(&mut self.read, around.rng);
            shuffle(&mut self.write, around.rng);
        }
    }

    fn read(&mut self, around: &mut Around<'_>) {
        for id in std::mem::take(&mut self.read) {
            let Some(endpoint) = self.endpoints.get_mut(&id) else {
                continue;
            };
            endpoint.queued = false;
            if !self.shard.wants_input(id) {
                continue;
            }
            let Some(client) = around.clients.get_mut(endpoint.client) else {
                continue;
            };
            let link = &mut client.link;
            if link.is_cut {
                self.shard.broken(id);
                continue;
            }
            let (now, most) = (around.now.mono, limits::READ_BYTES_PER_TURN);
            let mut input = link.up.take(most, &link.conditions, around.rng, now);
            // What a cut piece leaves behind counts as arriving later, with news of its own.
            let left = link.up.arrived(now) as u64;
            endpoint.told = link.up.arrived_in_all(now) - left;
            endpoint.readable = input.len() == most || link.up.has_ended();
            if input.is_empty() {
                endpoint.readable = false;
                if link.up.is_at_end() {
                    self.shard.end_of_input(id);
                }
                continue;
            }
            if endpoint.readable {
                endpoint.queued = true;
                self.is_busy = true;
                self.read.push(id);
            }
            self.shard.receive(id, &mut input, around.now);
            if self.shard.take_answered(id) {
                self.write_one(id, around);
            }
        }
    }

    fn send_jobs(&mut self, around: &mut Around<'_>) {
        while let Some(job) = self.shard.next_job() {
            if let Some(job) = around.jobs.offer(job, around.rng) {
                self.shard.return_job(job);
                self.is_busy = true;
                break;
            }
        }
    }

    fn write(&mut self, around: &mut Around<'_>) {
        let mut ready = std::mem::take(&mut self.write);
        self.shard.take_dirty(&mut ready, around.now);
        for id in ready {
            self.write_one(id, around);
        }
        self.is_busy |= !self.write.is_empty() || self.shard.has_left_over();
    }

    fn write_one(&mut self, id: PeerId, around: &mut Around<'_>) {
        let mut written = 0;
        while let Some(taken) = self.write_once(id, around) {
            written += taken;
            if taken == 0 || written >= limits::WRITE_BYTES_PER_TURN {
                self.write.push(id);
                return;
            }
        }
    }

    /// How many bytes went, if the peer has more and its socket may take it.
    fn write_once(&mut self, id: PeerId, around: &mut Around<'_>) -> Option<usize> {
        let endpoint = self.endpoints.get_mut(&id)?;
        let client = around.clients.get_mut(endpoint.client)?;
        let link = &mut client.link;
        let (mut taken, mut is_whole) = (0, true);
        if endpoint.writable {
            if link.is_cut {
                self.shard.broken(id);
                return None;
            }
            let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES];
            let (count, total) = self.shard.gather(id, &mut slices);
            let mut bytes = Vec::new();
            // No more than the link may take at once, lest all is copied for each small piece.
            let piece = link.conditions.piece_max.unwrap_or(usize::MAX);
            let room = link.down.room(&link.conditions).min(piece);
            for slice in slices.iter().take(count) {
                let left = room.saturating_sub(bytes.len()).min(slice.len());
                bytes.extend_from_slice(slice.get(..left).unwrap_or_default());
            }
            if !bytes.is_empty() {
                let now = around.now.mono;
                taken = link.down.send(&bytes, &link.conditions, around.rng, now);
            }
            is_whole = taken == total;
            endpoint.writable = is_whole;
            (endpoint.client, bytes.get(..taken)).hash(around.trace);
        }
        match self.shard.wrote(id, taken, around.now) {
            AfterWrite::More if endpoint.writable && is_whole => return Some(taken),
            AfterWrite::More | AfterWrite::Done => {}
            AfterWrite::ShutdownWrite => link.down.end(),
        }
        None
    }

    fn close(&mut self, clients: &mut [Client]) {
        let mut ended = Vec::new();
        self.shard.take_ended(&mut ended);
        for id in ended {
            let Some(endpoint) = self.endpoints.remove(&id) else {
                continue;
            };
            let Some(client) = clients.get_mut(endpoint.client) else {
                continue;
            };
            // What was not read turns the close into a reset, which destroys what is on the way.
            if client
                .link
                .up
                .arrived(crate::base::clock::Mono::from_nanos(u64::MAX))
                > 0
            {
                client.link.is_cut = true;
            }
            client.link.down.end();
            client.link.up.end();
        }
    }

    fn depart(&mut self) {
        let mut moving = Vec::new();
        self.shard.take_moving(&mut moving);
        for Moving {
            peer,
            shard,
            parcel,
        } in moving
        {
            if let Some(endpoint) = self.endpoints.remove(&peer) {
                let arrival = Arrival::Moved { parcel, endpoint };
                self.leaving.push((shard, arrival));
            }
        }
    }

    fn accept(&mut self, around: &mut Around<'_>) {
        for arrival in std::mem::take(&mut self.backlog) {
            let (id, mut endpoint) = match arrival {
                Arrival::Accepted {
                    client,
                    address,
                    admitted,
                } => {
                    let id = match admitted {
                        Ok(admitted) => self.shard.open(address, admitted, around.now),
                        Err(answer) => self.shard.refuse(address, &answer, around.now),
                    };
                    (id, Endpoint::new(client))
                }
                Arrival::Moved { parcel, endpoint } => {
                    (self.shard.adopt(parcel, around.now), endpoint)
                }
            };
            let Some(id) = id else { continue };
            if let Some(client) = around.clients.get(endpoint.client) {
                endpoint.register(&client.link, around.now);
            }
            if endpoint.queued {
                self.read.push(id);
            }
            self.endpoints.insert(id, endpoint);
            // Registering a socket that can be written to is an event.
            self.is_busy = true;
        }
    }

    fn resume(&mut self, now: Now) {
        let mut resumed = Vec::new();
        self.shard.take_resumed(&mut resumed, now);
        self.is_busy |= !resumed.is_empty();
        for id in resumed {
            let Some(endpoint) = self.endpoints.get_mut(&id) else {
                continue;
            };
            if endpoint.readable && !endpoint.queued {
                endpoint.queued = true;
                self.read.push(id);
            }
        }
    }
}

impl Endpoint {
    fn new(client: usize) -> Self {
        Self {
            client,
            readable: false,
            writable: true,
            queued: false,
            told: 0,
            end_told: false,
        }
    }

    /// Makes news of all that is ready, as a poll does that has not known the socket.
    fn register(&mut self, link: &Link, now: Now) {
        let unread = link.up.arrived(now.mono) as u64;
        self.told = link.up.arrived_in_all(now.mono) - unread;
        self.end_told = false;
        self.queued = self.readable;
    }

    fn has_event(&self, link: &Link, now: Now) -> bool {
        self.is_news(link, now) || self.is_writable_again(link)
    }

    fn is_news(&self, link: &Link, now: Now) -> bool {
        let ended = link.up.is_at_end() || link.is_cut;
        link.up.arrived_in_all(now.mono) > self.told || ended && !self.end_told
    }

    fn is_writable_again(&self, link: &Link) -> bool {
        !self.writable && (link.down.room(&link.conditions) > 0 || link.is_cut)
    }
}

/// Puts `items` into any order (Fisher and Yates).
fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        let chosen = rng.below(last as u64 + 1);
        items.swap(last, usize::try_from(chosen).unwrap_or(last));
    }
}
