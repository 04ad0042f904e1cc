//! L2: one conversation each, as pure state machines: bytes and `now` in, steps out.
//!
//! May not touch: sockets, clocks, rooms, other conversations.

pub mod engine_session;
pub mod http_exchange;
pub mod socket_session;
pub mod timers;
pub mod tls;
pub mod websocket;
