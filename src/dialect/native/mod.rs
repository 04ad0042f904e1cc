//! The native dialect of `/ws`: one JSON object per message, both ways.
//!
//! `decode` turns a client's message into a checked command by the checks in `members`, `encode`
//! writes replies, errors and publications. `docs/protocol.md` describes it for those who write
//! clients.

pub mod decode;
pub mod encode;
pub mod members;
