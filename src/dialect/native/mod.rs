//! The native dialect of `/ws`: one JSON object per message, both ways.
//!
//! `decode` turns a client's message into a checked command by the checks in `members`, `encode`
//! writes replies, errors and publications, `projects` those replies that are about projects and
//! runs. What happens in a project is spelt by `translation` for those who know P1's names alone.
//! `docs/protocol.md` describes it for those who write clients.

pub mod decode;
pub mod encode;
pub mod members;
pub mod projects;
pub mod translation;
