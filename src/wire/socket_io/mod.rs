//! Socket.IO 5 without connections: its packets, which are text followed by their attachments.
//!
//! `packet` reads and writes the text, `array` what an event and an acknowledgement carry,
//! `placeholder` where attachments belong in it, `assembler` joins text and attachments, `auth` is
//! what a client shows when it connects, `encode` writes what a server says.
//!
//! May not touch: sockets, clocks, which namespaces there are, what events mean. Invariants: JSON is
//! checked once and handed on as it was spelt, never rebuilt; nothing is allocated by a declared
//! count.

pub mod array;
pub mod assembler;
pub mod auth;
pub mod encode;
pub mod fault;
pub mod packet;
pub mod placeholder;
