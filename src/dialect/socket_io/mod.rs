//! The Socket.IO dialect: publications as events, with names and shapes that its clients know.
//!
//! A namespace is plain (`[event, data]`) or enveloped, as P3's is ([`namespace`]); `encode` writes
//! what clients are told. May not touch: sessions, Engine.IO's transports, which namespaces there
//! are.

pub mod encode;
pub mod namespace;
