//! L3: what other programs tell by way of Redis.
//!
//! [`emitter`] reads what back ends emit there, whatever they are written in. Invariant: only
//! whoever opens a connection touches a socket here; what arrives is judged by pure functions,
//! however hostile it is.

pub mod emitter;
