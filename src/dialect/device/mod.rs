//! The device dialect of `/ws/metrics`: what the clients of P4 speak.
//!
//! A client knows channels instead of rooms ([`channel`]), gets no replies but to `ping`, and sees
//! a publication as its event, its data and its time. `decode` reads what it says, `encode` writes
//! what it is told. `docs/protocol.md` describes it for those who write clients.

pub mod channel;
pub mod decode;
pub mod encode;
