//! Where a program is, as a shell would find it.
//!
//! Invariant: the answer does not depend on the directory that a run happens in: a project could
//! hold a program of any name.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The absolute path of `program`, a name or an absolute path, that `is_executable`; names are
/// looked for in the absolute directories of `search`.
pub(super) fn find(
    program: &str,
    search: Option<&OsStr>,
    is_executable: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let absolute = Path::new(program).is_absolute();
    if absolute {
        return Some(PathBuf::from(program)).filter(|path| is_executable(path));
    }
    if program.is_empty() || program.contains('/') {
        return None;
    }
    env::split_paths(search?)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|path| is_executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_absolute_directories_only() {
        let there = [
            "/b/claude",
            "/c/claude",
            "/opt/claude",
            "claude",
            "./claude",
        ];
        let check = |program: &str, search: Option<&str>, expected: Option<&str>| {
            let is_executable = |path: &Path| there.iter().any(|known| path == Path::new(known));
            let found = find(program, search.map(OsStr::new), is_executable);
            assert_eq!(found, expected.map(PathBuf::from), "{program} {search:?}");
        };
        check("claude", Some("/a:/b:/c"), Some("/b/claude"));
        check("claude", Some(":.:b:/c"), Some("/c/claude"));
        check("claude", Some("/a"), None);
        check("claude", Some(""), None);
        check("claude", None, None);
        check("/opt/claude", None, Some("/opt/claude"));
        check("/opt/other", Some("/b"), None);
        check("./claude", Some("/b"), None);
        check("b/claude", Some("/"), None);
        check("", Some("/b"), None);
    }
}
