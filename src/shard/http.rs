//! Drives the HTTP conversation of a connection: admit, answer here or by a worker, or upgrade.

use std::net::IpAddr;
use std::time::Duration;

use crate::app::credentials;
use crate::app::http::admit::{Beginning, Destination, Way, admit};
use crate::app::http::routes::{self, Access};
use crate::app::http::{call, fault_response, http_expected_response, protocol_fault_response};
use crate::app::user_rates::over_rate;
use crate::app::{self, opening};
use crate::base::clock::Now;
use crate::base::ids::{PeerId, ShardId};
use crate::base::limits;
use crate::bus::job::{HttpCall, Job, Work};
use crate::bus::order::Outcome;
use crate::dialect::native::decode::Place;
use crate::domain::access::Identity;
use crate::domain::client_address;
use crate::domain::fault::{Code, Fault};
use crate::metrics::names::Counter;
use crate::protocol::http_exchange::Step;
use crate::protocol::timers::Timer;
use crate::shard::dispatch::{self, Flow};
use crate::shard::engine::Happened;
use crate::shard::peer::{Admitted, Conversation, HttpPeer, Pause, Peer, Stage};
use crate::shard::{Hub, engine, event_stream, moves, websocket};
use crate::wire::http::fault::HttpFault;
use crate::wire::http::head::Head;
use crate::wire::http::response::{Response, Status, continue_100, date};
use crate::wire::http::scan::HeadLimits;

/// Works on input of an HTTP connection; see [`crate::shard::dispatch`].
pub(super) fn receive(
    peer: &mut Peer,
    id: PeerId,
    input: &[u8],
    hub: &mut Hub,
    now: Now,
) -> (usize, Flow) {
    match &peer.conversation {
        Conversation::Http(http)
            if input.first() == Some(&TLS_HANDSHAKE)
                && http.is_handshake
                && http.exchange.awaits_head() =>
        {
            note_tls(peer.address, hub);
            answer_last(peer, http_expected_response(), hub, now);
            (input.len(), Flow::Continue)
        }
        _ => exchange(peer, id, input, hub, now),
    }
}

fn exchange(peer: &mut Peer, id: PeerId, input: &[u8], hub: &mut Hub, now: Now) -> (usize, Flow) {
    let Conversation::Http(http) = &mut peer.conversation else {
        return (0, Flow::Wait);
    };
    if !peer.outbox.takes(0, &hub.outbox_limits) {
        // A client that does not read its answers gets no new ones until it does.
        hub.counters.increment(Counter::OutboxPauses);
        peer.pause = Some(Pause::Outbox);
        return (0, Flow::Wait);
    }
    let config = &hub.live.config.limits;
    let head_limits = HeadLimits {
        bytes: config.head_bytes,
        headers: config.headers,
    };
    if !input.is_empty() && http.exchange.awaits_head() {
        peer.timers.clear(Timer::KeepAlive);
        if !peer.timers.is_set(Timer::Handshake) {
            peer.timers
                .set(Timer::Handshake, config.handshake_timeout, now.mono);
        }
    }
    let (taken, mut step) = http.exchange.receive(input, &head_limits);
    if matches!(step, Step::Head) {
        hub.counters.increment(Counter::HttpRequests);
        match decide(peer, id, hub, now) {
            Some(next) => step = next,
            None => return (taken, Flow::Continue),
        }
    }
    (taken, follow(peer, id, step, hub, now))
}

/// Goes on with a request whose head was read in another shard: nothing was decided on it there.
pub(super) fn go_on(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) {
    if let Some(step) = decide(peer, id, hub, now) {
        follow(peer, id, step, hub, now);
    }
}

/// Takes the verdict on the head that waits for it: what to do next if the request is read on;
/// nothing if it is answered, or its body may be here already.
fn decide(peer: &mut Peer, id: PeerId, hub: &mut Hub, now: Now) -> Option<Step> {
    let Conversation::Http(http) = &mut peer.conversation else {
        return None;
    };
    let forwarded = note_client(http, &mut peer.address, hub);
    match verdict(http, peer.address, peer.tls.is_some(), hub, now) {
        Verdict::Admitted => {
            let step = http.exchange.admit(hub.live.config.limits.message_bytes);
            return (!matches!(step, Step::More)).then_some(step);
        }
        Verdict::Session(beginning) => begin(peer, id, beginning, forwarded, hub, now),
        Verdict::Elsewhere(shard) => moves::send_on(peer, id, shard, hub, now),
        Verdict::Refused(response) => {
            note_refusal(peer, &response);
            answer(peer, *response, hub, now);
        }
    }
    None
}

/// Does what a piece of input led to.
fn follow(peer: &mut Peer, id: PeerId, step: Step, hub: &mut Hub, now: Now) -> Flow {
    match step {
        Step::More | Step::Head => return Flow::Wait,
        Step::Continue => peer
            .outbox
            .push_own(|out| out.extend_from_slice(continue_100())),
        Step::Request(head, body) => request(peer, id, *head, body, hub, now),
        Step::Fault(found) => fault(peer, found, hub, now),
    }
    Flow::Continue
}

/// What a TLS connection begins with (RFC 8446 section 5.1), and no request.
const TLS_HANDSHAKE: u8 = 0x16;

/// Somebody was told https where it is http: one line for the operator, further ones for debugging.
fn note_tls(address: IpAddr, hub: &Hub) {
    let level = match hub.counters.read(Counter::TlsOnPlainPort) {
        0 => log::Level::Warn,
        _ => log::Level::Debug,
    };
    hub.counters.increment(Counter::TlsOnPlainPort);
    log::log!(
        level,
        "tls_on_plain_port address={address} hint=\"this port speaks http; set server.tls, or \
         write http:// there\""
    );
}

enum Verdict {
    Admitted,
    Session(Beginning),
    /// It is for another shard to decide.
    Elsewhere(ShardId),
    Refused(Box<Response>),
}

/// Whether a request came for a client that only the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwarded {
    /// The connection's own address is the client's, and was dealt with when it was accepted.
    No,
    /// `address` is the client's.
    Yes,
}

/// Finds out whose request it is: a trusted proxy's connection carries those of many clients.
fn note_client(http: &HttpPeer, address: &mut IpAddr, hub: &Hub) -> Forwarded {
    let (Some(proxy), Some(head)) = (http.proxy, http.exchange.head()) else {
        return Forwarded::No;
    };
    let trusted = &hub.live.config.server.trusted_proxies;
    let fields = head.header_values("x-forwarded-for");
    let client = client_address::client(proxy, fields, trusted);
    *address = client.unwrap_or(proxy);
    match client {
        // Whoever is on this machine and no proxy's client is exempt from the limits per client.
        None if proxy.is_loopback() => Forwarded::No,
        None | Some(_) => Forwarded::Yes,
    }
}

/// Decides on a head before any of its body is taken.
fn verdict(
    http: &mut HttpPeer,
    address: IpAddr,
    is_secure: bool,
    hub: &mut Hub,
    now: Now,
) -> Verdict {
    let Some(head) = http.exchange.head() else {
        debug_assert!(false, "a verdict needs a head");
        return Verdict::Admitted;
    };
    let way = Way {
        is_proxied: http.proxy.is_some(),
        is_secure,
    };
    let (cors_origin, destination) = admit(head, way, &hub.live, &hub.services);
    http.cors_origin = cors_origin;
    let refused = |response| Verdict::Refused(Box::new(response));
    match destination {
        Err(response) => Verdict::Refused(response),
        Ok(destination) if http.is_reserved && !destination.is_essential() => {
            // The last places are for those who look after a full server.
            hub.counters.increment(Counter::ReservedRefused);
            refused(hub.services.refuses_others().response())
        }
        Ok(Destination::Session(beginning)) => {
            if let Some(session) = beginning.session() {
                let here = Verdict::Session(beginning);
                return hub.elsewhere(session).map_or(here, Verdict::Elsewhere);
            }
            let accepted = hub.services.accept_session(hub.context(now));
            accepted.map_or_else(
                |refusal| refused(refusal.response()),
                |()| Verdict::Session(beginning),
            )
        }
        Ok(Destination::Api { route, parameters }) => {
            // Whoever looks after a full server is not held up by the rate of its address.
            let payer = (!http.is_reserved).then_some(address);
            match who_asks(head, route, payer, hub, now) {
                Ok(identity) => {
                    http.admitted = Some(Admitted {
                        route,
                        parameters,
                        identity,
                    });
                    Verdict::Admitted
                }
                Err(response) => refused(response),
            }
        }
    }
}

/// On whose behalf a request is, if they may call its route now; `payer` is charged for it.
fn who_asks(
    head: &Head,
    route: usize,
    payer: Option<IpAddr>,
    hub: &Hub,
    now: Now,
) -> Result<Identity, Response> {
    let Some(api) = routes::api(route) else {
        debug_assert!(false, "only a route of the API has a caller");
        return Err(Response::empty(Status::INTERNAL_SERVER_ERROR));
    };
    let payer = payer.filter(|_| api.is_metered);
    if let Some(payer) = payer {
        let charged = hub.services.charge_request(payer, hub.context(now));
        charged.map_err(too_many_requests_here)?;
    }
    if api.access == Access::Public {
        return Ok(Identity::Anonymous);
    }
    let refused = |fault: Fault| {
        hub.counters.increment(Counter::CredentialsRefused);
        fault_response(&fault)
    };
    let identity = credentials::of_request(head, &hub.live, now.wall).map_err(refused)?;
    if payer.is_some() {
        let charged = hub.services.charge_user(&identity, hub.context(now));
        charged.map_err(|wait| too_many_requests(&over_rate(wait), wait))?;
    }
    let checked = api.access.check(&identity, &hub.live.config);
    checked.map_err(refused)?;
    Ok(identity)
}

/// The answer to an address that asks too often.
pub(super) fn too_many_requests_here(wait: Duration) -> Response {
    let message = "too many requests from this address (limits.api_requests_per_second)";
    too_many_requests(&Fault::new(Code::RateLimited, message), wait)
}

fn too_many_requests(fault: &Fault, wait: Duration) -> Response {
    let (code, details) = (fault.code.as_str(), fault.details.clone());
    let seconds = wait.as_secs() + 1;
    Response::error(Status::TOO_MANY_REQUESTS, code, &fault.message, details)
        .header("Retry-After", seconds.to_string())
}

/// A whole request: answered here if its route cannot block, by a worker otherwise.
fn request(peer: &mut Peer, id: PeerId, head: Head, body: Vec<u8>, hub: &mut Hub, now: Now) {
    peer.timers.clear(Timer::Handshake);
    end_handshake(peer, hub);
    if let Some(engine) = peer.http().and_then(|http| http.engine) {
        peer.pause = Some(Pause::Engine);
        hub.engines.note(Happened::Posted(engine, id, body));
        return;
    }
    let admitted = peer.http_mut().and_then(|http| http.admitted.take());
    let Some(Admitted {
        route,
        parameters,
        identity,
    }) = admitted
    else {
        debug_assert!(false, "only admitted requests are read to their end");
        answer(
            peer,
            Response::empty(Status::INTERNAL_SERVER_ERROR),
            hub,
            now,
        );
        return;
    };
    let address = peer.address;
    let http_call = Box::new(HttpCall {
        head,
        body,
        route,
        parameters,
        address,
        identity,
    });
    match routes::api(route).map_or(Place::Shard, |api| api.place) {
        Place::Shard => match call(&http_call, hub.context(now)) {
            Outcome::Done(response) => answer(peer, response, hub, now),
            Outcome::Order(order) => dispatch::order(peer, id, order, hub, now),
            Outcome::Request(order, form) => dispatch::request(peer, id, order, form, hub, now),
        },
        Place::Worker => {
            peer.pause = Some(Pause::Job);
            let work = Work::Http(http_call);
            hub.jobs.push(Job {
                shard: hub.shard,
                peer: id,
                work,
            });
        }
    }
}

/// Answers the current request; the connection goes on if both sides want it to.
pub(super) fn answer(peer: &mut Peer, response: Response, hub: &mut Hub, now: Now) {
    end_handshake(peer, hub);
    let response = with_cors(response, peer);
    let Conversation::Http(http) = &mut peer.conversation else {
        return;
    };
    let stay = !hub.services.is_draining() && !peer.eof && !http.is_reserved;
    let form = http.exchange.answer(stay);
    let today = date(now.wall);
    peer.outbox
        .push_own(|out| response.encode(&form.encoding(&today), out));
    peer.timers.clear(Timer::Handshake);
    if form.keep_alive() {
        peer.timers
            .set(Timer::KeepAlive, limits::KEEP_ALIVE_TIMEOUT, now.mono);
    } else {
        peer.timers.clear(Timer::KeepAlive);
        peer.stage = Stage::FlushingThenLingering;
    }
}

/// The answer as the page may read it that asked.
pub(super) fn with_cors(response: Response, peer: &mut Peer) -> Response {
    let origin = peer.http_mut().and_then(|http| http.cors_origin.take());
    match origin {
        Some(origin) => response
            .header("Access-Control-Allow-Origin", String::from(origin))
            .header("Vary", "Origin"),
        None => response,
    }
}

/// Answers a request that broke the protocol, and closes.
pub(super) fn fault(peer: &mut Peer, found: HttpFault, hub: &mut Hub, now: Now) {
    hub.counters.increment(match found.status() {
        Status::HEADERS_TOO_LARGE | Status::URI_TOO_LONG => Counter::HeadsTooLarge,
        Status::CONTENT_TOO_LARGE => Counter::BodiesTooLarge,
        _ => Counter::HttpFaults,
    });
    log::debug!("http_fault address={} fault={found:?}", peer.address);
    answer_last(peer, protocol_fault_response(found), hub, now);
}

/// Answers and reads no further request.
pub(super) fn answer_last(peer: &mut Peer, response: Response, hub: &mut Hub, now: Now) {
    if let Conversation::Http(http) = &mut peer.conversation {
        http.exchange.finish();
        http.cors_origin = None;
    }
    answer(peer, response, hub, now);
}

/// Turns the connection into one with a session, or answers why not.
fn begin(
    peer: &mut Peer,
    id: PeerId,
    beginning: Beginning,
    forwarded: Forwarded,
    hub: &mut Hub,
    now: Now,
) {
    if forwarded == Forwarded::Yes && beginning.keeps_connection() {
        match hub
            .services
            .accept_forwarded(peer.address, hub.context(now))
        {
            Ok(()) => peer.is_counted = true,
            Err(refusal) => {
                let response = refusal.response();
                note_refusal(peer, &response);
                answer(peer, response, hub, now);
                return;
            }
        }
    }
    let begun = match beginning {
        Beginning::Engine(request) => engine::request(peer, id, request, hub, now),
        Beginning::Upgrade(endpoint) => upgrade(peer, id, endpoint, hub, now),
        Beginning::Events(room) => stream(peer, id, room.as_deref(), hub, now),
    };
    if let Err(refusal) = begun {
        refuse_session(peer, *refusal, hub, now);
    }
}

/// Answers why there is no session. A proxy's connection goes on, and no client's is counted.
pub(super) fn refuse_session(peer: &mut Peer, refusal: Response, hub: &mut Hub, now: Now) {
    hub.counters.increment(Counter::HandshakeFailures);
    if matches!(refusal.status, Status::UNAUTHORIZED | Status::FORBIDDEN) {
        hub.counters.increment(Counter::CredentialsRefused);
    }
    let is_proxied = peer.http().is_some_and(|http| http.proxy.is_some());
    if is_proxied && std::mem::take(&mut peer.is_counted) {
        hub.services.release(peer.address);
    }
    note_refusal(peer, &refusal);
    answer(peer, refusal, hub, now);
}

fn upgrade(
    peer: &mut Peer,
    id: PeerId,
    endpoint: opening::Endpoint,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    let draining = hub.services.is_draining();
    let opening = opening::open(endpoint, head(peer)?, draining, &hub.live, now.wall)?;
    websocket::open(peer, id, opening, hub, now)
}

fn stream(
    peer: &mut Peer,
    id: PeerId,
    room: Option<&str>,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    let draining = hub.services.is_draining();
    let asked = app::event_stream::open(head(peer)?, room, draining, &hub.live, now.wall)?;
    event_stream::open(peer, id, asked, hub, now)
}

/// The head of the request that a session is to begin with.
pub(super) fn head(peer: &Peer) -> Result<&Head, Box<Response>> {
    let head = peer.http().and_then(|http| http.exchange.head());
    head.ok_or_else(|| Box::new(Response::empty(Status::INTERNAL_SERVER_ERROR)))
}

/// Says in the log what a browser keeps to itself: why there is no WebSocket, why no answer.
fn note_refusal(peer: &Peer, response: &Response) {
    log::debug!(
        "http_refused address={} status={} answer={}",
        peer.address,
        response.status.code(),
        String::from_utf8_lossy(&response.body)
    );
}

/// The connection has shown a whole request; it is no handshake in progress any more.
pub(super) fn end_handshake(peer: &mut Peer, hub: &mut Hub) {
    if let Conversation::Http(http) = &mut peer.conversation
        && http.is_handshake
    {
        http.is_handshake = false;
        hub.services.end_handshake();
    }
}
