//! What a client may give as the path of a project, before anything is looked up.
//!
//! May not touch: files. Whether the directory exists, and where it really is, is for those who may
//! wait for a disk (`app::runs::paths`).

use std::path::{Component, Path};

use crate::base::limits::{PATH_BYTES, PROJECT_NAME_BYTES};

/// Why a path cannot be a project's, or a name what people call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing is there.
    #[error("the path is empty; name a directory, from / on")]
    Empty,
    /// No file system takes it.
    #[error("the path has {bytes} bytes; at most {PATH_BYTES} are allowed")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// `~` means nothing without a shell.
    #[error("the path begins with ~, which only a shell understands; write it from / on")]
    Tilde,
    /// It depends on where one stands.
    #[error("the path is relative; write it from / on")]
    Relative,
    /// It goes up again.
    #[error("the path has a segment ..; write it without")]
    Parent,
    /// It cannot be shown or cannot be opened.
    #[error("the path has a control character")]
    Control,
}

/// Why something cannot be a project's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a project's name has 1 to {PROJECT_NAME_BYTES} bytes without control characters")]
pub struct ProjectNameFault;

/// Checks a path as it was given.
///
/// # Errors
/// A [`PathFault`] that says what is wrong with it.
pub fn check(path: &str) -> Result<&Path, PathFault> {
    if path.is_empty() {
        return Err(PathFault::Empty);
    }
    if path.len() > PATH_BYTES {
        return Err(PathFault::TooLong { bytes: path.len() });
    }
    if path.chars().any(char::is_control) {
        return Err(PathFault::Control);
    }
    if path.starts_with('~') {
        return Err(PathFault::Tilde);
    }
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(PathFault::Relative);
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(PathFault::Parent);
    }
    Ok(path)
}

/// Checks what people are to call a project.
///
/// # Errors
/// It is empty, too long, or has control characters.
pub fn check_name(name: &str) -> Result<(), ProjectNameFault> {
    let fits = (1..=PROJECT_NAME_BYTES).contains(&name.len());
    match fits && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(ProjectNameFault),
    }
}

/// Whether one of two real paths is the other, or lies in it.
#[must_use]
pub fn is_nested(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_plain() {
        let check = |path: &str, expected: Option<PathFault>| {
            assert_eq!(check(path).err(), expected, "{path:?}");
        };
        for good in [
            "/",
            "/a",
            "/a/./b//c/",
            "/a/..b",
            "/a/b..",
            "/ä ö",
            "/a~",
            "/\u{1F600}",
        ] {
            check(good, None);
        }
        check("", Some(PathFault::Empty));
        check("~", Some(PathFault::Tilde));
        check("~root/a", Some(PathFault::Tilde));
        check("a/b", Some(PathFault::Relative));
        check("./a", Some(PathFault::Relative));
        check("C:\\a", Some(PathFault::Relative));
        for parent in ["/..", "/a/../b", "/a/..", "/../a"] {
            check(parent, Some(PathFault::Parent));
        }
        for control in ["/a\0b", "/a\nb", "/\u{7f}", "/\u{85}"] {
            check(control, Some(PathFault::Control));
        }
        check(&"/a".repeat(2048), None);
        let bytes = 2 * 2048 + 1;
        check(
            &("/a".repeat(2048) + "/"),
            Some(PathFault::TooLong { bytes }),
        );
    }

    #[test]
    fn names_are_short_and_can_be_shown() {
        for good in ["a", "my project ä", &"x".repeat(255)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a\nb", "\u{1b}[1m", &"x".repeat(256)] {
            assert_eq!(check_name(bad), Err(ProjectNameFault), "{bad}");
        }
    }

    #[test]
    fn nesting_is_seen_by_component() {
        let nested = |one: &str, other: &str| is_nested(Path::new(one), Path::new(other));
        assert!(nested("/srv/proj", "/srv/proj"));
        assert!(nested("/srv/proj", "/srv/proj/a"));
        assert!(nested("/srv/proj/a", "/srv"));
        assert!(!nested("/srv/proj", "/srv/proj-evil"));
        assert!(!nested("/srv/a", "/srv/b"));
    }
}
