//! L3: what other programs tell by way of Redis.
//!
//! [`link`] is a connection to it that listens; [`emitter`] reads what back ends emit there, whatever
//! they are written in. Invariant: only [`link`] touches a socket here, by the `redis` crate; what
//! arrives is judged by pure functions, however hostile it is.

pub mod emitter;
pub mod link;
