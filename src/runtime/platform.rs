//! The machine in the log, once the server listens.

use crate::host::platform::Platform;

/// Says what kind of machine this is: each matter is one line, and what somebody will be surprised
/// by a warning.
pub(super) fn tell(platform: &Platform) {
    for line in platform.lines() {
        log::info!("{line}");
    }
    for concern in platform.concerns() {
        log::warn!(
            "platform_concern about=\"{}\" meaning=\"{}\"",
            concern.about,
            concern.message
        );
    }
}
