//! Who may connect, counted exactly over all shards.
//!
//! A direct client is counted when it is accepted. Behind a trusted proxy the client is known only
//! when its request has come; then it counts for its WebSockets, because what a proxy does with
//! its own connections is no client's doing. Invariant: what [`Services::accept`] or
//! [`Services::accept_forwarded`] counted is given back once, by [`Services::release`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::http::error_response;
use crate::app::services::{Context, Services};
use crate::base::limits;
use crate::base::locks::lock;
use crate::base::network::client_key;
use crate::domain::client_address;
use crate::domain::fault::Code;
use crate::domain::monitor::Excess;
use crate::domain::rate_limit::{Rate, RateTable};
use crate::metrics::names::Counter;
use crate::wire::http::response::{Encoding, Response, Status};

/// What is known of clients by their addresses.
#[derive(Debug)]
pub(super) struct Admission {
    clients: Mutex<Clients>,
    requests: Mutex<RateTable<IpAddr>>,
    handshakes: AtomicUsize,
}

#[derive(Debug)]
struct Clients {
    /// Counted connections that are open; nobody is here with none.
    open: HashMap<IpAddr, usize>,
    opened: RateTable<IpAddr>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            clients: Mutex::new(Clients {
                open: HashMap::new(),
                opened: RateTable::new(limits::RATE_ADDRESSES),
            }),
            requests: Mutex::new(RateTable::new(limits::RATE_ADDRESSES)),
            handshakes: AtomicUsize::new(0),
        }
    }
}

/// How a connection was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// It counts for its address.
    pub is_counted: bool,
    /// It is a trusted proxy's: its requests say whose they are.
    pub is_proxy: bool,
    /// It is on a place kept for health checks and administration, because the server is full or
    /// over a limit on its resources.
    pub is_reserved: bool,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server has as many connections as it may have.
    Full,
    /// The client has as many as it may have.
    Client,
    /// The client connects too often.
    Rate(Duration),
    /// The server has too little of something.
    Resource(Excess),
}

impl Refusal {
    /// What the one who is refused is told.
    #[must_use]
    pub fn response(self) -> Response {
        let (status, code, message, seconds) = match self {
            Self::Full => (
                Status::SERVICE_UNAVAILABLE,
                Code::ConnectionLimit,
                "the server has as many connections as limits.connections allows; try again later",
                5,
            ),
            Self::Client => (
                Status::TOO_MANY_REQUESTS,
                Code::ConnectionLimit,
                "this address has as many connections as limits.connections_per_ip allows; close \
                 one first, or, if it is a proxy's, add it to server.trusted_proxies",
                5,
            ),
            Self::Rate(wait) => (
                Status::TOO_MANY_REQUESTS,
                Code::ConnectionLimit,
                "this address connects more often than limits.new_connections_per_minute allows; \
                 if it is a proxy's, add it to server.trusted_proxies",
                wait.as_secs() + 1,
            ),
            Self::Resource(excess) => return over_limit(excess),
        };
        error_response(status, code, message).header("Retry-After", seconds.to_string())
    }

    /// The same as bytes, for a connection of which nothing was read.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let form = Encoding {
            head_only: false,
            keep_alive: false,
            http10: false,
            date: "",
        };
        self.response().encode(&form, &mut bytes);
        bytes
    }

    const fn counter(self) -> Counter {
        match self {
            Self::Full => Counter::ConnectionsRefusedLimit,
            Self::Client => Counter::ConnectionsRefusedClient,
            Self::Rate(_) => Counter::ConnectionsRefusedRate,
            Self::Resource(_) => Counter::ConnectionsRefusedResource,
        }
    }
}

/// The answer to whoever would take more of a resource that is short.
fn over_limit(excess: Excess) -> Response {
    let (status, code) = (Status::SERVICE_UNAVAILABLE, Code::ResourceLimit);
    let details = Some(excess_details(excess));
    let seconds = limits::MONITOR_RECHECK.as_secs();
    Response::error(status, code.as_str(), &excess.message(), details)
        .header("Retry-After", seconds.to_string())
}

/// What programs are told of a resource that is short.
fn excess_details(excess: Excess) -> Value {
    json!({
        "resource": excess.resource.word(),
        "limit": excess.limit,
        "current": excess.current,
    })
}

impl Services {
    /// Decides on a new connection from `address`, and counts it. Only the one reactor that
    /// accepts may call this: connections are counted before the next is decided on.
    ///
    /// # Errors
    /// Why it is refused; the refusal is counted.
    pub fn accept(&self, address: IpAddr, context: Context<'_>) -> Result<Admitted, Refusal> {
        let config = &context.live.config;
        let limit = config.limits.connections.unwrap_or(usize::MAX);
        let open = usize::try_from(self.connections()).unwrap_or(usize::MAX);
        let is_loopback = address.is_loopback();
        let excess = self.refuses_connections();
        if let Some(excess) = excess.filter(|_| !is_loopback) {
            let refusal = Refusal::Resource(excess);
            context.counters.increment(refusal.counter());
            return Err(refusal);
        }
        let is_reserved = open >= limit || excess.is_some();
        let reserved = if is_loopback {
            limits::RESERVED_CONNECTIONS
        } else {
            0
        };
        if open >= limit.saturating_add(reserved) {
            context.counters.increment(Refusal::Full.counter());
            return Err(Refusal::Full);
        }
        let is_proxy = client_address::is_trusted(address, &config.server.trusted_proxies);
        let is_counted = !is_proxy && !is_loopback;
        if is_counted {
            self.count(address, context)?;
        }
        context.counters.increment(Counter::ConnectionsAccepted);
        self.admission.handshakes.fetch_add(1, Ordering::Relaxed);
        Ok(Admitted {
            is_counted,
            is_proxy,
            is_reserved,
        })
    }

    /// Why requests are refused that come on a place kept for health checks and administration, and
    /// are for neither.
    #[must_use]
    pub fn refuses_others(&self) -> Refusal {
        self.refuses_connections()
            .map_or(Refusal::Full, Refusal::Resource)
    }

    /// Whether a session may begin now.
    ///
    /// # Errors
    /// Why it may not; the refusal is counted.
    pub fn accept_session(&self, context: Context<'_>) -> Result<(), Refusal> {
        let Some(excess) = self.refuses_connections() else {
            return Ok(());
        };
        context.counters.increment(Counter::SessionsRefusedResource);
        Err(Refusal::Resource(excess))
    }

    /// Decides on a WebSocket of `client`, who comes through a trusted proxy, and counts it.
    ///
    /// # Errors
    /// Why it is refused; the refusal is counted.
    pub fn accept_forwarded(&self, client: IpAddr, context: Context<'_>) -> Result<(), Refusal> {
        self.count(client, context)
    }

    fn count(&self, address: IpAddr, context: Context<'_>) -> Result<(), Refusal> {
        let limits = &context.live.config.limits;
        let key = client_key(address);
        let mut clients = lock(&self.admission.clients);
        let open = clients.open.get(&key).copied().unwrap_or(0);
        let decide = |clients: &mut Clients| {
            if limits.connections_per_ip.is_some_and(|most| open >= most) {
                return Err(Refusal::Client);
            }
            let rate = Rate::per_minute(limits.new_connections_per_minute.unwrap_or(0));
            let taken = clients.opened.take(&key, rate, context.now.mono);
            let forgotten = clients.opened.take_evicted();
            context
                .counters
                .add(Counter::RateAddressesForgotten, forgotten);
            taken.map_err(Refusal::Rate)
        };
        decide(&mut clients)
            .inspect_err(|refusal| context.counters.increment(refusal.counter()))?;
        clients.open.insert(key, open + 1);
        Ok(())
    }

    /// Gives back what was counted for `address`.
    pub fn release(&self, address: IpAddr) {
        let key = client_key(address);
        let mut clients = lock(&self.admission.clients);
        match clients.open.get_mut(&key) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) => drop(clients.open.remove(&key)),
            None => debug_assert!(false, "nobody is released who was not counted"),
        }
    }

    /// Charges an API request to the address it comes from.
    ///
    /// # Errors
    /// How long until the next one is welcome; counted.
    pub fn charge_request(&self, address: IpAddr, context: Context<'_>) -> Result<(), Duration> {
        let Some(per_second) = context.live.config.limits.api_requests_per_second else {
            return Ok(());
        };
        let rate = Rate::per_second(per_second, per_second);
        let mut requests = lock(&self.admission.requests);
        let charged = requests.take(&client_key(address), rate, context.now.mono);
        let forgotten = requests.take_evicted();
        drop(requests);
        context
            .counters
            .add(Counter::RateAddressesForgotten, forgotten);
        if charged.is_err() {
            context.counters.increment(Counter::RateLimitedRequests);
        }
        charged
    }

    /// Connections, on all shards, that have not finished their first request.
    #[must_use]
    pub fn handshakes(&self) -> usize {
        self.admission.handshakes.load(Ordering::Relaxed)
    }

    /// Notes that an accepted connection has finished its first request, or ended before.
    pub fn end_handshake(&self) {
        self.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counted connections that are open, by client.
    #[must_use]
    pub fn counted_clients(&self) -> HashMap<IpAddr, usize> {
        lock(&self.admission.clients).open.clone()
    }
}
