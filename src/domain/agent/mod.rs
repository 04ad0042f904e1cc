//! Agents: the allow-listed commands that runs execute, and how the Claude CLI is spoken with.
//!
//! May not touch: processes, files, the environment of this process; they are arguments.

pub mod speech;
pub mod stream_json;

/// Whether `id` can be a session of the Claude CLI: 1 to 128 of `A-Z a-z 0-9 _ -`, not first `-`.
///
/// The CLI gives UUIDs; what it writes is not to be trusted more than that.
#[must_use]
pub fn is_session_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=128).contains(&id.len()) && !id.starts_with('-') && id.bytes().all(allowed)
}
