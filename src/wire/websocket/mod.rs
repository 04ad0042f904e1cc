//! WebSocket (RFC 6455) without sockets: frames, messages, close codes and the opening handshake.
//!
//! `frame` reads and writes single frames, `assembler` turns received bytes into messages, `close`
//! and `fault` say how a connection ends, `handshake` how it begins. Compressed messages
//! (RFC 7692) are agreed on in `extension` and made and read in `deflate`.
//!
//! May not touch: sockets, clocks, sessions, the HTTP parser. `tungstenite` lends its frame header,
//! opcodes and close codes to this folder and to no other. Invariant: nothing is allocated by a
//! declared length, and a connection between two messages owns no memory here, unless contexts were
//! agreed on.

pub mod assembler;
pub mod close;
pub mod deflate;
pub mod extension;
pub mod fault;
pub mod frame;
pub mod handshake;
mod text;
