//! Sections 12 and 13: permessage-deflate (RFC 7692), which this version does not offer.
//!
//! The handshake ignores every offer of it, which [`crate::http`] holds; the sections are listed
//! here once their cases can be played.

use crate::case::Section;

pub fn sections() -> Vec<Section> {
    Vec::new()
}
