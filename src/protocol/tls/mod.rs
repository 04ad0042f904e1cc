//! TLS on the listening side: bytes in, plaintext out, and the other way round.
//!
//! ```text
//!   PEM ──Pair──▶ TlsAcceptor ──▶ TlsConnection ──receive──▶ plaintext
//!                                    plaintext ──seal─────▶ unsent ──▶ socket
//! ```
//!
//! May not touch: sockets, files, clocks. The only folder of the server that knows `rustls`, whose
//! unbuffered connection is used: between two records a connection owns no buffer. Randomness is
//! the system's, through ring, because keys must not follow a seed.

pub mod acceptor;
pub mod connection;
pub mod fault;
pub mod pair;
pub mod self_signed;
mod time;
