//! The oracle of Sec-WebSocket-Extensions.

use crate::wire::websocket::extension::{Agreement, negotiate};

/// For every header, its lines separated by LF: lines mean what they mean joined to one list; an
/// answer offers what it answers; and whoever allows contexts agrees to the same but for these.
///
/// # Panics
/// If that does not hold.
pub fn extensions(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.split('\n').collect();
    let agreed = |contexts| negotiate(lines.iter().copied(), contexts);
    let (with, without) = (agreed(true), agreed(false));
    let bare = with.map(|agreement| agreement.map(Agreement::without_contexts));
    assert_eq!(bare, without);
    let joined = lines.join(",");
    assert_eq!(negotiate([joined.as_str()], true), with);
    if let Ok(Some(agreement)) = with {
        let answer = agreement.answer();
        assert_eq!(negotiate([answer.as_str()], true), Ok(Some(agreement)));
    }
}
