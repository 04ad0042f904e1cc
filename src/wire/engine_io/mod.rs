//! Engine.IO 4 without connections: packets, what a poll carries, and what its requests ask for.
//!
//! `packet` reads and writes single packets, `payload` the several that share a body of the polling
//! transport, `handshake` the first packet of a session; `query` says what a request wants and
//! `fault` how it is refused.
//!
//! May not touch: sockets, clocks, sessions; which packet may come when is a session's business.
//! Invariant: nothing is allocated but what base64 in a body stands for, after its size was checked.

pub mod fault;
pub mod handshake;
pub mod packet;
pub mod payload;
pub mod query;
