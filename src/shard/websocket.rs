//! Drives the WebSocket conversation of a connection and the session on it.

use crate::app::commands::{self, Asker};
use crate::app::opening::Opening;
use crate::app::services::Live;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::base::limits::{DEVICE_MESSAGE_BYTES, ERRORS_IN_A_ROW, FIRST_MESSAGE_BYTES};
use crate::bus::job::{Job, Reply, Work};
use crate::bus::order::{Outcome, Sequel, Then};
use crate::config::Limits;
use crate::dialect::Dialect;
use crate::dialect::native::decode::{CommandType, Correlation, Decoded, Place};
use crate::dialect::native::encode;
use crate::domain::access::Identity;
use crate::domain::command::Command;
use crate::domain::position::Position;
use crate::domain::room::RoomName;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::protocol::timers::{Timer, Timers};
use crate::protocol::websocket::{Step, WebSocket};
use crate::shard::dispatch::{self, Flow};
use crate::shard::heard::{Heard, Said, hear};
use crate::shard::membership::Asked;
use crate::shard::outbox::Outbox;
use crate::shard::peer::{Asides, Conversation, Pause, Peer, Session, SocketPeer, Stage};
use crate::shard::rate::{charge_user, pay_owed_token, spend_token};
use crate::shard::{Hub, credentials, device, durable, http, membership, projects, timeouts};
use crate::wire::http::response::Response;
use crate::wire::websocket::assembler::AssemblerLimits;
use crate::wire::websocket::close::{self as code, close_payload};
use crate::wire::websocket::fault::WebSocketFault;
use crate::wire::websocket::frame::{Opcode, write_header};
use crate::wire::websocket::handshake::switching_protocols;

/// Turns an HTTP connection into a session: joins its first rooms, answers 101, says hello.
///
/// # Errors
/// The answer that says why a room cannot be joined; the connection stays HTTP then.
pub(super) fn open(
    peer: &mut Peer,
    id: PeerId,
    opening: Opening,
    hub: &mut Hub,
    now: Now,
) -> Result<(), Box<Response>> {
    let session_id = hub.rng.session_id();
    let mut session = Session::new(session_id, opening.dialect, opening.identity, now.wall);
    let mut rooms = opening.rooms;
    if session.identity == Identity::Pending {
        session.asides = Some(Box::new(Asides {
            waiting: std::mem::take(&mut rooms),
            ..Asides::default()
        }));
    }
    let joined = match membership::join_first(&rooms, &mut session, id, hub, now.mono) {
        Ok(joined) => joined,
        Err(fault) => {
            hub.leave_all(&mut session);
            return Err(Box::new(crate::app::http::fault_response(&fault)));
        }
    };
    http::end_handshake(peer, hub);
    peer.compression = opening.compression.map(|offer| hub.compressing.open(offer));
    let (protocol, extension) = (opening.subprotocol, peer.compression);
    peer.outbox
        .push_own(|out| switching_protocols(&opening.accept, protocol, extension, out));
    let heartbeat = &hub.live.config.heartbeat;
    peer.timers.clear_all();
    let first_ping = timeouts::first_ping(heartbeat.ping_interval, hub.rng.next_u64());
    peer.timers.set(Timer::Ping, first_ping, now.mono);
    peer.timers.set(
        Timer::Idle,
        heartbeat.idle_timeout.unwrap_or_default(),
        now.mono,
    );
    credentials::watch(&session.identity, &mut peer.timers, hub, now);
    hub.counters.increment(Counter::SessionsOpened);
    log::debug!(
        "session_opened session={} dialect={} address={}",
        session.id,
        session.dialect.name(),
        peer.address
    );
    let dialect = session.dialect;
    let is_pending = session.identity == Identity::Pending;
    let socket = match peer.compression {
        Some(_) => WebSocket::server().with_compression(),
        None => WebSocket::server(),
    };
    peer.conversation = Conversation::Socket(SocketPeer { socket, session });
    match dialect {
        Dialect::NativeV1 if !is_pending => hello(peer, id, &joined, hub, now),
        Dialect::Device => device::hello(peer, id, &joined, hub, now),
        Dialect::Native
        | Dialect::NativeV1
        | Dialect::Echo
        | Dialect::Events
        | Dialect::SocketIo
        | Dialect::SocketIoEnveloped => {}
    }
    Ok(())
}

/// Tells the session who it is and where it is.
pub(super) fn hello(
    peer: &mut Peer,
    id: PeerId,
    joined: &[(RoomName, Position)],
    hub: &mut Hub,
    now: Now,
) {
    let interval = hub.live.config.heartbeat.ping_interval;
    let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let Conversation::Socket(SocketPeer { session, .. }) = &peer.conversation else {
        return;
    };
    let user = session.identity.user_id();
    let mut json = Vec::new();
    encode::hello(session.id, user, interval, joined, now.wall, &mut json);
    push_text(peer, id, &json, hub);
}

/// Works on input of a WebSocket; see [`crate::shard::dispatch`].
pub(super) fn receive(
    peer: &mut Peer,
    id: PeerId,
    input: &mut [u8],
    hub: &mut Hub,
    now: Now,
) -> (usize, Flow) {
    if !pay_owed_token(peer, id, hub, now) {
        return (0, Flow::Wait);
    }
    let party = peer.party(id);
    let Conversation::Socket(SocketPeer { socket, session }) = &mut peer.conversation else {
        return (0, Flow::Wait);
    };
    if !peer.outbox.takes(0, &hub.outbox_limits) && socket.is_open() {
        // A peer that does not read its replies gets no new ones until it does.
        hub.counters.increment(Counter::OutboxPauses);
        peer.pause = Some(Pause::Outbox);
        return (0, Flow::Wait);
    }
    if !input.is_empty() {
        peer.timers.clear(Timer::Pong);
    }
    let limits = assembler_limits(session, &hub.live.config.limits);
    let (taken, step) = socket.next(input, &limits);
    let step = match step {
        Step::Compressed(kind, bytes) => {
            hub.inflating.read(party, kind, bytes, limits.message_bytes)
        }
        step => step,
    };
    let heard = match step {
        Step::More => return (taken, Flow::Wait),
        Step::Heard | Step::Compressed(..) => None,
        Step::Ping(payload) => {
            push_frame(&mut peer.outbox, Opcode::Pong, payload);
            None
        }
        Step::Text(text) => {
            note_message(&mut peer.timers, &hub.live, &hub.counters, now);
            let (outbox, compressing) = (&mut peer.outbox, &mut hub.compressing);
            hear(session, &Said::Text(text), outbox, party, compressing)
        }
        Step::Binary(bytes) => {
            note_message(&mut peer.timers, &hub.live, &hub.counters, now);
            let (outbox, compressing) = (&mut peer.outbox, &mut hub.compressing);
            hear(session, &Said::Binary(bytes), outbox, party, compressing)
        }
        Step::Closing(code) => {
            push_close(&mut peer.outbox, code, "");
            hub.leave_all(session);
            peer.stage = Stage::Flushing;
            None
        }
        Step::Closed => {
            peer.stage = Stage::Flushing;
            None
        }
        Step::Fault(fault) => {
            socket.fail();
            note_fault(fault, session, hub);
            push_close(&mut peer.outbox, fault.close_code(), fault.reason());
            hub.leave_all(session);
            peer.stage = Stage::FlushingThenLingering;
            None
        }
    };
    match heard {
        Some(Heard::Native(decoded)) => message(peer, id, decoded, hub, now),
        Some(Heard::Device(message)) => device::message(peer, id, message, hub, now),
        None => {}
    }
    (taken, Flow::Continue)
}

/// What a session may send: little until it has shown a token.
fn assembler_limits(session: &Session, limits: &Limits) -> AssemblerLimits {
    let fragments = limits.fragments.and_then(|most| u32::try_from(most).ok());
    let most = match (&session.identity, session.dialect) {
        (Identity::Pending, _) => FIRST_MESSAGE_BYTES,
        (_, Dialect::Device | Dialect::SocketIo | Dialect::SocketIoEnveloped) => {
            DEVICE_MESSAGE_BYTES
        }
        (Identity::Anonymous | Identity::User(_) | Identity::Key(_), _) => usize::MAX,
    };
    let message_bytes = limits.message_bytes.min(most);
    AssemblerLimits {
        message_bytes,
        fragments: fragments.unwrap_or(u32::MAX),
    }
}

/// Counts a message, which also shows that the session is not idle.
fn note_message(timers: &mut Timers, live: &Live, counters: &Counters, now: Now) {
    counters.increment(Counter::MessagesReceived);
    let timeout = live.config.heartbeat.idle_timeout;
    timers.set(Timer::Idle, timeout.unwrap_or_default(), now.mono);
}

/// Counts and logs that a peer broke the protocol.
fn note_fault(fault: WebSocketFault, session: &Session, hub: &Hub) {
    hub.counters.increment(match (fault, fault.close_code()) {
        (WebSocketFault::InflatedTooBig, _) => Counter::InflatedTooLarge,
        (_, code::MESSAGE_TOO_BIG) => Counter::MessagesTooLarge,
        (_, _) => Counter::ProtocolFaults,
    });
    log::debug!("websocket_fault session={} fault={fault:?}", session.id);
}

/// One message of a native session: exactly one reply, or one per room, or a job that makes it.
fn message(peer: &mut Peer, id: PeerId, decoded: Decoded, hub: &mut Hub, now: Now) {
    let Decoded {
        correlation,
        command,
    } = decoded;
    let is_pending = |session: &mut Session| session.identity == Identity::Pending;
    let is_auth = matches!(command, Ok((_, Command::Auth { .. })));
    if peer.open_session().is_some_and(is_pending) && !is_auth {
        if let Err(fault) = command {
            // It may be an auth with a slip in it.
            let answered = commands::fault_reply(&correlation, &fault, now.wall);
            reply(peer, id, &answered, hub, now);
        }
        credentials::refuse(peer, id, "the first message must be auth", hub, now);
        return;
    }
    // What keeps a session going is taken however often its user asks.
    let is_upkeep = |command: &Command| {
        matches!(
            command,
            Command::Auth { .. } | Command::Ping | Command::Pong
        )
    };
    let command = match command {
        Ok((kind, command)) if is_upkeep(&command) => Ok((kind, command)),
        command => charge_user(peer, hub, now).and(command),
    };
    match command {
        Ok((kind, Command::Run(command))) => {
            projects::command(peer, id, kind, correlation, command, hub, now);
        }
        Ok((kind, command)) if kind.place == Place::Worker => {
            offer_job(peer, id, kind.name, correlation, command, hub);
        }
        Ok((
            CommandType { name, .. },
            Command::Subscribe {
                rooms,
                since,
                durable,
            },
        )) => match durable {
            Some(durable) => {
                let sequel = Sequel::new(name, correlation, Then::Subscribe(durable, since));
                durable::ask(peer, id, sequel, rooms, hub, now);
            }
            None => {
                let (to, rooms) = (&correlation, membership::wishes(rooms, since.as_ref()));
                membership::subscribe(peer, id, Asked { name, to, rooms }, hub, now);
            }
        },
        Ok((CommandType { name, .. }, Command::Unsubscribe { rooms, forget })) => match forget {
            Some(durable) => {
                let sequel = Sequel::new(name, correlation, Then::Unsubscribe(durable));
                durable::ask(peer, id, sequel, rooms, hub, now);
            }
            None => {
                let to = &correlation;
                membership::unsubscribe(peer, id, Asked { name, to, rooms }, hub, now);
            }
        },
        Ok((_, Command::Auth { token })) => {
            credentials::authenticate(peer, id, &correlation, &token, hub, now);
        }
        // Whoever answers pings in JSON has been heard by its arrival.
        Ok((_, Command::Pong)) => {}
        Ok((_, Command::Acknowledge(acknowledge))) => {
            durable::acknowledge(peer, id, correlation, acknowledge, hub, now);
        }
        Ok((kind, command)) => {
            answer(peer, id, kind.name, &correlation, command, hub, now);
        }
        Err(fault) => {
            let answered = commands::fault_reply(&correlation, &fault, now.wall);
            reply(peer, id, &answered, hub, now);
        }
    }
    spend_token(peer, hub, now);
}

/// Leaves a command to the workers. What comes behind it is not read until its reply is there.
pub(super) fn offer_job(
    peer: &mut Peer,
    id: PeerId,
    name: &'static str,
    correlation: Correlation,
    command: Command,
    hub: &mut Hub,
) {
    let address = peer.address;
    let Some(session) = peer.open_session() else {
        return;
    };
    let work = Work::Command {
        name,
        correlation,
        command: Box::new(command),
        session: session.id,
        identity: session.identity.clone(),
        address,
    };
    hub.jobs.push(Job {
        shard: hub.shard,
        peer: id,
        work,
    });
    peer.pause = Some(Pause::Job);
}

/// Carries a command out that needs no worker and leaves the session as it is.
fn answer(
    peer: &mut Peer,
    id: PeerId,
    name: &'static str,
    to: &Correlation,
    command: Command,
    hub: &mut Hub,
    now: Now,
) {
    let address = peer.address;
    let Some(session) = peer.open_session() else {
        return;
    };
    let memberships = &session.memberships;
    let is_member = |room: &RoomName| {
        let memberships = memberships.iter().copied();
        hub.rooms.position(room, memberships).is_some()
    };
    let asker = Asker {
        session: session.id,
        identity: &session.identity,
        address,
        is_member: Some(&is_member),
    };
    match commands::answer(name, to, command, &asker, hub.context(now)) {
        Outcome::Done(answered) => reply(peer, id, &answered, hub, now),
        Outcome::Order(order) => dispatch::order(peer, id, order, hub, now),
        Outcome::Request(order, form) => dispatch::request(peer, id, order, form, hub, now),
    }
}

/// Queues a reply and counts mistakes in a row.
pub(super) fn reply(peer: &mut Peer, id: PeerId, reply: &Reply, hub: &mut Hub, now: Now) {
    let Some(session) = peer.open_session() else {
        return;
    };
    session.errors = match reply.error {
        Some(code) if code.is_mistake() => session.errors.saturating_add(1),
        Some(_) => session.errors,
        None => 0,
    };
    let errors = session.errors;
    push_text(peer, id, &reply.json, hub);
    if reply.error.is_some() {
        hub.counters.increment(Counter::CommandErrors);
        if errors >= ERRORS_IN_A_ROW {
            hub.counters.increment(Counter::SessionsClosedForErrors);
            close(
                peer,
                id,
                code::TOO_MANY_ERRORS,
                "too many errors in a row",
                hub,
                now,
            );
        }
    }
    hub.touch(peer, id);
}

/// Begins the close handshake, once; memberships end now.
pub(super) fn close(peer: &mut Peer, id: PeerId, code: u16, reason: &str, hub: &mut Hub, now: Now) {
    if let Conversation::Socket(SocketPeer { socket, session }) = &mut peer.conversation {
        if !socket.begin_close() {
            return;
        }
        hub.leave_all(session);
        log::debug!(
            "session_closing session={} code={code} reason={reason:?}",
            session.id
        );
        push_close(&mut peer.outbox, code, reason);
        peer.timers.clear_all();
        let timeout = hub.live.config.limits.write_timeout;
        peer.timers.set(Timer::Stall, timeout, now.mono);
        // A pause must not keep the peer's answer from being read.
        if peer.pause.take().is_some() {
            hub.resumed.push(id);
        }
    }
}

/// An empty Ping (RFC 6455 section 5.5.2).
pub(super) fn ping_frame(out: &mut Vec<u8>) {
    write_header(true, Opcode::Ping, 0, None, out);
}

pub(super) fn push_close(outbox: &mut Outbox, code: u16, reason: &str) {
    push_frame(outbox, Opcode::Close, &close_payload(code, reason));
}

/// Queues a control frame, which is never compressed (RFC 7692 section 5.1).
pub(super) fn push_frame(outbox: &mut Outbox, opcode: Opcode, payload: &[u8]) {
    outbox.push_own(|out| {
        write_header(true, opcode, payload.len() as u64, None, out);
        out.extend_from_slice(payload);
    });
}

/// Queues a text message, compressed if that was agreed on.
pub(super) fn push_text(peer: &mut Peer, id: PeerId, json: &[u8], hub: &mut Hub) {
    let to = peer.party(id);
    hub.compressing
        .push(&mut peer.outbox, to, Opcode::Text, json);
}
