//! The Socket.IO dialect: publications as events, with names and shapes that its clients know.
//!
//! A namespace is plain (`[event, data]`) or enveloped, as P3's is ([`namespace`]); `decode` reads
//! what clients ask for, `encode` writes what they are told, of which a
//! [`ring`] keeps the last. `docs/socketio.md` describes it for
//! those who write clients. May not touch: sessions, Engine.IO's transports, which namespaces there
//! are.

pub mod decode;
pub mod encode;
pub mod namespace;
pub mod ring;
