//! The machine at start: found out once, and said in the log.

use crate::host::platform::Platform;

/// What kind of machine this is. Each matter is one line, and what somebody will be surprised by a
/// warning.
pub(super) fn find_out() -> Platform {
    let platform = Platform::here();
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
    platform
}
