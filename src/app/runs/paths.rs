//! Where a project's directory really is: looked up by workers, for it may wait for a disk.
//!
//! Links are followed once, to the real path, and that is what is compared with the roots, kept,
//! and looked up again when a run starts: a directory that was replaced by a link since is then
//! refused. What the client is told holds the path that it gave and no other.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::fault::{Code, Fault};
use crate::domain::project_path;

/// The real path of the directory `given`, which lies under one of the `roots` or is one.
///
/// # Errors
/// INVALID_PATH, with what was given in the details.
pub fn resolve(given: &str, roots: &[PathBuf]) -> Result<Box<str>, Fault> {
    let path = project_path::check(given).map_err(|fault| refused(given, fault.to_string()))?;
    let real = real_directory(path).map_err(|why| refused(given, why))?;
    if !is_under(&real, roots) {
        return Err(refused(given, OUTSIDE));
    }
    let spelt = real
        .to_str()
        .filter(|real| project_path::check(real).is_ok());
    spelt.map(Into::into).ok_or_else(|| {
        let message = "the directory's real path cannot be shown: it is not UTF-8, or has control \
            characters";
        refused(given, message)
    })
}

/// Checks that a file or directory is under one of the `roots`, or is one.
///
/// # Errors
/// INVALID_PATH, with what was given in the details.
pub fn check_inside(given: &str, roots: &[PathBuf]) -> Result<(), Fault> {
    let path = project_path::check(given).map_err(|fault| refused(given, fault.to_string()))?;
    let real = fs::canonicalize(path).map_err(|error| refused(given, why(error.kind())))?;
    match is_under(&real, roots) {
        true => Ok(()),
        false => Err(refused(given, OUTSIDE)),
    }
}

/// Checks that a real path still is what it was when it was resolved.
///
/// # Errors
/// INVALID_PATH: it is gone, another one is there in its place, or the roots are others now.
pub fn check_again(path: &str, roots: &[PathBuf]) -> Result<(), Fault> {
    let real = resolve(path, roots)?;
    match OsStr::new(&*real) == OsStr::new(path) {
        true => Ok(()),
        false => Err(refused(
            path,
            "the project's directory was replaced by a link to another place",
        )),
    }
}

const OUTSIDE: &str = "the path is under none of the roots (projects.roots)";

fn is_under(real: &Path, roots: &[PathBuf]) -> bool {
    let mut roots = roots.iter().filter_map(|root| fs::canonicalize(root).ok());
    roots.any(|root| real.starts_with(root))
}

const fn why(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "there is no such file or directory",
        ErrorKind::PermissionDenied => "the path cannot be looked up: permission denied",
        ErrorKind::NotADirectory => "it is not a directory",
        _ => "the path cannot be looked up",
    }
}

fn real_directory(path: &Path) -> Result<PathBuf, &'static str> {
    let real = fs::canonicalize(path).map_err(|error| why(error.kind()))?;
    let found = fs::metadata(&real).map_err(|error| why(error.kind()))?;
    match found.is_dir() {
        true => Ok(real),
        false => Err("it is not a directory"),
    }
}

fn refused(given: &str, why: impl Into<String>) -> Fault {
    Fault::new(Code::InvalidPath, why).with_details(serde_json::json!({ "path": given }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stderr)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    struct Tree {
        _directory: TempDir,
        base: PathBuf,
    }

    impl Tree {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let base = directory.path().canonicalize().unwrap();
            for made in ["root/proj/in", "root/proj-evil", "outside"] {
                fs::create_dir_all(base.join(made)).unwrap();
            }
            fs::write(base.join("root/file"), "x").unwrap();
            Self {
                _directory: directory,
                base,
            }
        }

        fn path(&self, path: &str) -> String {
            self.base.join(path).to_str().unwrap().to_owned()
        }

        fn roots(&self, roots: &[&str]) -> Vec<PathBuf> {
            roots.iter().map(|root| self.base.join(root)).collect()
        }
    }

    #[test]
    fn a_directory_under_a_root_is_taken_by_its_real_path() {
        let tree = Tree::new();
        symlink(tree.path("root/proj"), tree.path("link")).unwrap();
        symlink(tree.path("outside"), tree.path("root/out")).unwrap();
        symlink(tree.path("root"), tree.path("root-link")).unwrap();
        symlink(tree.path("root/loop"), tree.path("root/loop")).unwrap();
        let check = |given: &str, roots: &[&str], expected: Result<&str, &str>| {
            let given = match given.starts_with('/') {
                true => given.to_owned(),
                false => tree.path(given),
            };
            let found = resolve(&given, &tree.roots(roots));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, *tree.path(expected)),
                (Err(fault), Err(words)) => {
                    assert_eq!(fault.code, Code::InvalidPath);
                    assert!(fault.message.contains(words), "{given}: {fault}");
                    let details = serde_json::json!({ "path": given });
                    assert_eq!(fault.details, Some(details));
                    assert!(!fault.message.contains('/'), "{fault}");
                }
                (found, _) => assert_eq!(found.map(|_| given), Err(Fault::new(Code::NotFound, ""))),
            }
        };
        check("root/proj", &["root"], Ok("root/proj"));
        check("root/proj/", &["outside", "root"], Ok("root/proj"));
        check("root/./proj//in", &["root"], Ok("root/proj/in"));
        check("root", &["root"], Ok("root"));
        check("link", &["root"], Ok("root/proj"));
        check("root/proj", &["root-link"], Ok("root/proj"));
        check("root/out", &["root"], Err("none of the roots"));
        check("root/proj-evil", &["root/proj"], Err("none of the roots"));
        check("outside", &["root", "missing"], Err("none of the roots"));
        check("root/proj", &[], Err("none of the roots"));
        check("root/none", &["root"], Err("no such file or directory"));
        check("root/file", &["root"], Err("not a directory"));
        check("root/file/in", &["root"], Err("not a directory"));
        check("root/loop", &["root"], Err(""));
        check("/../root", &["root"], Err(".."));
    }

    #[test]
    fn a_directory_that_was_replaced_by_a_link_is_refused_when_a_run_starts() {
        let tree = Tree::new();
        let path = resolve(&tree.path("root/proj"), &tree.roots(&["root"])).unwrap();
        check_again(&path, &tree.roots(&["root"])).unwrap();
        fs::remove_dir_all(&*path).unwrap();
        for (target, words) in [
            ("root/proj-evil", "replaced"),
            ("outside", "none of the roots"),
        ] {
            symlink(tree.path(target), &*path).unwrap();
            let fault = check_again(&path, &tree.roots(&["root"])).unwrap_err();
            assert!(fault.message.contains(words), "{fault}");
            fs::remove_file(&*path).unwrap();
        }
        let fault = check_again(&path, &tree.roots(&["root"])).unwrap_err();
        assert!(
            fault.message.contains("no such file or directory"),
            "{fault}"
        );
        fs::create_dir(&*path).unwrap();
        check_again(&path, &tree.roots(&["root"])).unwrap();
        let fault = check_again(&path, &tree.roots(&["outside"])).unwrap_err();
        assert_eq!(fault.code, Code::InvalidPath, "the roots are others now");
    }

    #[test]
    fn a_directory_that_cannot_be_looked_up_or_shown_is_refused() {
        let tree = Tree::new();
        let odd = tree.base.join("root").join(OsStr::from_bytes(b"\xff"));
        // Some file systems take no such name.
        if fs::create_dir(&odd).is_ok() {
            symlink(&odd, tree.path("odd")).unwrap();
            let fault = resolve(&tree.path("odd"), &tree.roots(&["root"])).unwrap_err();
            assert!(fault.message.contains("UTF-8"), "{fault}");
        }
        let set = |mode| {
            fs::set_permissions(
                tree.base.join("root/proj"),
                fs::Permissions::from_mode(mode),
            )
        };
        set(0o000).unwrap();
        let is_privileged = fs::read_dir(tree.base.join("root/proj")).is_ok();
        let outcome = resolve(&tree.path("root/proj/in"), &tree.roots(&["root"]));
        set(0o700).unwrap();
        if is_privileged {
            eprintln!("SKIPPED: whoever runs this may look up anything");
            return;
        }
        assert!(outcome.unwrap_err().message.contains("permission denied"));
    }
}
