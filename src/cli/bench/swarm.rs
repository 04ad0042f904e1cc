//! Many connections on one thread.
//!
//! ```text
//! open ─▶ turn: wait, read each that can be read, tell the scenario, write its answers ─▶ …
//!                                                                 └─ ended: counted by reason
//! ```
//!
//! May not touch: what a scenario measures. Invariants: a connection that does not open or close in
//! time is given up, so everything ends whatever the server does; a place is used again only after
//! its turn, so no stale event finds a new connection.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::base::rng::Rng;
use crate::cli::Failure;
use crate::cli::bench::client::{Client, End, Readiness, Secure, Served};
use crate::cli::bench::peer::{Event, Outgoing, Peer};
use crate::cli::bench::reason::{Reason, Tally};
use crate::cli::bench::target::{Requests, Route};
use crate::wire::websocket::handshake::client_key;

/// Connections that are being opened at once, as many as the shortest backlogs of servers hold.
const OPENING_MAX: usize = 512;

/// How long connecting and upgrading may take together.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may take to close after us.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often timeouts are looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Events taken in one turn.
const EVENTS_MAX: usize = 1024;

/// Bytes read at once, for all connections in the same buffer.
const SCRATCH_BYTES: usize = 256 * 1024;

/// What a new connection is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dial<'a> {
    /// A WebSocket at this path.
    WebSocket(&'a str),
    /// Requests.
    Http,
}

/// What became of the connections so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Accepted by the server.
    pub(super) opened: u64,
    /// Closed by us and by the server.
    pub(super) closed: u64,
    /// Never opened.
    pub(super) failed: Tally,
    /// WebSockets that were opened, and ended before we wanted it.
    pub(super) ended: Tally,
}

/// The connections.
pub(super) struct Swarm<'a> {
    requests: Requests<'a>,
    route: Route,
    secure: Option<Secure>,
    poll: Poll,
    events: Events,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Those with more to read than one turn allows.
    unread: Vec<usize>,
    scratch: Vec<u8>,
    rng: Rng,
    dialled: u64,
    opening: usize,
    checked: Instant,
    pub(super) counts: Counts,
}

/// One event, told to a scenario.
pub(super) struct Told<'a> {
    /// The connection's number; ended ones give theirs to new ones.
    pub(super) index: usize,
    pub(super) event: Event<'a>,
    /// When connecting began.
    pub(super) dialled: Instant,
    /// When it was read.
    pub(super) now: Instant,
}

impl<'a> Swarm<'a> {
    pub(super) fn new(
        requests: Requests<'a>,
        route: Route,
        secure: Option<Secure>,
        rng: Rng,
    ) -> Result<Self, Failure> {
        Ok(Self {
            requests,
            route,
            secure,
            poll: Poll::new().map_err(|error| poll_fault(&error))?,
            events: Events::with_capacity(EVENTS_MAX),
            clients: Vec::new(),
            free: Vec::new(),
            unread: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            rng,
            dialled: 0,
            opening: 0,
            checked: Instant::now(),
            counts: Counts::default(),
        })
    }

    /// Connections that are there, being opened or closed among them.
    pub(super) fn live(&self) -> usize {
        self.clients.len() - self.free.len()
    }

    /// What is sent to begin connections.
    pub(super) fn requests(&self) -> Requests<'a> {
        self.requests
    }

    /// Whether fewer are being opened than a server takes at once.
    pub(super) fn may_open(&self) -> bool {
        self.opening < OPENING_MAX
    }

    /// Whether connections are being opened.
    pub(super) fn is_opening(&self) -> bool {
        self.opening > 0
    }

    /// Whether the connection `index` is there, being opened or closed perhaps.
    pub(super) fn is_live(&self, index: usize) -> bool {
        self.clients.get(index).is_some_and(Option::is_some)
    }

    /// Begins one more connection; its number, unless that failed at once.
    pub(super) fn open(&mut self, dial: Dial<'_>) -> Option<usize> {
        let peer = match dial {
            Dial::WebSocket(path) => {
                let mut nonce = [0; 16];
                self.rng.fill(&mut nonce);
                let key = client_key(nonce);
                let request = self.requests.upgrade(path, &key);
                Peer::websocket(request, key).speaking(self.requests.dialect)
            }
            Dial::Http => Peer::http(),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        let source = self.route.source(self.dialled);
        self.dialled += 1;
        let registry = self.poll.registry();
        let tls = self.secure.as_ref().map(Secure::pipe).transpose();
        let dialled = tls
            .and_then(|tls| Client::dial(self.route.address, source, (peer, tls), registry, index));
        match dialled {
            Ok(client) => {
                if let Some(place) = self.clients.get_mut(index) {
                    *place = Some(client);
                }
                self.opening += 1;
                Some(index)
            }
            Err(error) => {
                self.free.push(index);
                self.counts.failed.add(Reason::Connect(error.kind()));
                None
            }
        }
    }

    /// Opens `count` WebSockets at `path`, some hundred at a time, and returns when each is open or
    /// has failed. Gives up on the rest when none has opened for a while.
    pub(super) fn open_all(
        &mut self,
        path: &str,
        count: usize,
        mut handle: impl FnMut(&mut Outgoing<'_>, Told<'_>),
    ) -> Result<(), Failure> {
        let mut attempts = 0;
        let mut progress = (self.counts.opened, Instant::now());
        loop {
            if self.counts.opened > progress.0 {
                progress = (self.counts.opened, Instant::now());
            }
            let is_stalled = progress.1.elapsed() >= OPEN_TIMEOUT;
            while attempts < count && self.may_open() && !is_stalled {
                self.open(Dial::WebSocket(path));
                attempts += 1;
            }
            if self.opening == 0 {
                return Ok(());
            }
            self.turn(CHECK_INTERVAL, &mut handle)?;
        }
    }

    /// Lets the connection `index` send something, if it is open.
    pub(super) fn send(&mut self, index: usize, act: impl FnOnce(&mut Outgoing<'_>)) {
        let Some(Some(client)) = self.clients.get_mut(index) else {
            return;
        };
        if let Some(end) = client.send(&mut self.rng, act) {
            self.remove(index, end);
        }
    }

    /// Waits for events once, at most `timeout`, and tells `handle` what happened.
    pub(super) fn turn(
        &mut self,
        timeout: Duration,
        mut handle: impl FnMut(&mut Outgoing<'_>, Told<'_>),
    ) -> Result<(), Failure> {
        let timeout = if self.unread.is_empty() {
            timeout
        } else {
            Duration::ZERO
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(poll_fault(&error)),
        }
        let mut ended = Vec::new();
        let mut unread = std::mem::take(&mut self.unread);
        let ready = self.events.iter().map(|event| {
            let readiness = Readiness {
                may_write: event.is_writable(),
                may_read: event.is_readable() || event.is_read_closed(),
                // The end of the connection comes with no event of its own.
                short_read_is_last: !event.is_read_closed(),
            };
            (event.token().0, readiness)
        });
        let again = unread.drain(..).map(|index| (index, Readiness::READ_ON));
        let mut later = Vec::new();
        for (index, readiness) in again.chain(ready) {
            let Some(Some(client)) = self.clients.get_mut(index) else {
                continue;
            };
            let was_open = client.is_opened();
            let dialled = client.since();
            let served = client.serve(
                readiness,
                &mut self.scratch,
                &mut self.rng,
                |outgoing, event, now| {
                    let told = Told {
                        index,
                        event,
                        dialled,
                        now,
                    };
                    handle(outgoing, told);
                },
            );
            if !was_open && client.is_opened() {
                self.counts.opened += u64::from(!client.is_http());
                self.opening -= 1;
            }
            match served {
                Served::Waiting => {}
                Served::Unread => later.push(index),
                Served::Over(end) => ended.push((index, end)),
            }
        }
        self.unread = later;
        for (index, end) in ended {
            self.remove(index, end);
        }
        self.check_timeouts();
        Ok(())
    }

    /// Closes all that are open and waits a little until the server has, too.
    pub(super) fn close_all(&mut self) -> Result<(), Failure> {
        for index in 0..self.clients.len() {
            if matches!(self.clients.get(index), Some(Some(client)) if client.is_http()) {
                self.remove(index, End::Closed);
            } else {
                self.send(index, |outgoing| outgoing.close());
            }
        }
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while self.live() > 0 && Instant::now() < deadline {
            self.turn(CHECK_INTERVAL, |_, _| {})?;
        }
        Ok(())
    }

    fn check_timeouts(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.checked) < CHECK_INTERVAL {
            return;
        }
        self.checked = now;
        for index in 0..self.clients.len() {
            let Some(Some(client)) = self.clients.get(index) else {
                continue;
            };
            if let Some(end) = client.overdue(OPEN_TIMEOUT, CLOSE_TIMEOUT, now) {
                self.remove(index, end);
            }
        }
    }

    fn remove(&mut self, index: usize, end: End) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::take) else {
            return;
        };
        self.free.push(index);
        match (end, client.is_opened()) {
            (End::Closed, _) => self.counts.closed += 1,
            (End::Reason(_), true) if client.is_http() => {}
            (End::Reason(reason), true) => self.counts.ended.add(reason),
            (End::Reason(reason), false) => {
                self.counts.failed.add(reason);
                self.opening -= 1;
            }
        }
        client.hang_up(end);
    }
}

fn poll_fault(error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot wait for connections: {error}"))
}
