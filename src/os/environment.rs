//! Variables that were meant for this process alone.
//!
//! Invariant: the environment is changed only while there is a single thread, since the C library
//! hands out pointers into it (setenv(3)).

use std::env;
use std::ffi::OsString;

use crate::os::process::is_single_threaded;

/// The variable `name`, which nobody finds in the environment any more. In a process with several
/// threads it stays there.
#[must_use]
pub fn take(name: &str) -> Option<OsString> {
    let value = env::var_os(name)?;
    if is_single_threaded() {
        // SAFETY: there is no other thread that could be reading the environment.
        unsafe { env::remove_var(name) };
    }
    Some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    const NAME: &str = "KINGLET_TEST_ALONE";

    #[test]
    fn with_several_threads_a_variable_is_read_and_stays() {
        assert_eq!(take("PATH"), env::var_os("PATH"));
        assert_eq!(take("KINGLET_NOT_SET_BY_ANYBODY"), None);
    }

    /// This test again, in a process that has no thread but that of the test.
    #[test]
    fn alone_it_is_gone_once_it_is_taken() {
        if env::var_os(NAME).is_some() {
            assert_eq!(take(NAME), Some("value".into()));
            assert_eq!(env::var_os(NAME).is_none(), is_single_threaded());
            return;
        }
        let own = "os::environment::tests::alone_it_is_gone_once_it_is_taken";
        let ended = Command::new(env::current_exe().unwrap())
            .args(["--exact", own, "--test-threads=1"])
            .env(NAME, "value")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
}
