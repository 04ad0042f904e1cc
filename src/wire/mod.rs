//! L1: bytes to values and back, with no state beyond the buffer at hand.
//!
//! May not touch: sockets, clocks, configuration types of other layers, sessions.

pub mod engine_io;
pub mod http;
pub mod json;
pub mod socket_io;
pub mod websocket;
