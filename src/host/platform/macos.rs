//! macOS: sysctl(3) and some files. What is read from files is compiled and tested everywhere.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::{Macos, Place, Platform, System};
use crate::os::{code_signing, sysctl};

/// Readable only with Full Disk Access; it is the list of who has it.
const PROTECTED: &str = "Library/Application Support/com.apple.TCC/TCC.db";

/// Where Homebrew lives: on Apple's processors, and on Intel's.
const HOMEBREW: [&str; 2] = ["opt/homebrew", "usr/local"];

/// What the system and its files say; user and limits are not there.
pub(super) fn read(place: Place<'_>) -> Platform {
    Platform {
        system: System {
            distribution: Some("macOS".to_owned()),
            version: sysctl::text(c"kern.osproductversion"),
            kernel: sysctl::text(c"kern.osrelease"),
            model: sysctl::text(c"hw.model"),
        },
        init: Some("launchd".to_owned()),
        has_shell: place.has_program("sh"),
        has_temporary: place.has_temporary(),
        macos: Some(Macos {
            signing: code_signing::own(),
            full_disk_access: full_disk_access(place),
            terminal: place.variable("TERM_PROGRAM"),
            homebrew: homebrew(place),
        }),
        ..Platform::default()
    }
}

/// There is no call that asks for it; who has it can open what it protects.
fn full_disk_access(place: Place<'_>) -> Option<bool> {
    match File::open(place.path(PROTECTED)) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(false),
        Err(_) => None,
    }
}

fn homebrew(place: Place<'_>) -> Option<PathBuf> {
    let mut places = HOMEBREW.into_iter();
    let found = places.find(|at| place.exists(&format!("{at}/bin/brew")));
    found.map(|at| place.path(at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mac_is_read_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "TERM_PROGRAM").then(|| "iTerm.app".to_owned());
        let place = Place {
            root: folder.path(),
            variable: &variable,
        };
        let bare = read(place);
        assert_eq!(bare.system.distribution.as_deref(), Some("macOS"));
        assert_eq!(bare.init.as_deref(), Some("launchd"));
        let macos = bare.macos.unwrap();
        assert_eq!(macos.full_disk_access, None);
        assert_eq!(macos.homebrew, None);
        assert_eq!(macos.terminal.as_deref(), Some("iTerm.app"));

        fs::create_dir_all(folder.path().join("opt/homebrew/bin")).unwrap();
        fs::write(folder.path().join("opt/homebrew/bin/brew"), "").unwrap();
        let protected = folder.path().join(PROTECTED);
        fs::create_dir_all(protected.parent().unwrap()).unwrap();
        fs::write(protected, "").unwrap();
        let macos = read(place).macos.unwrap();
        assert_eq!(macos.full_disk_access, Some(true));
        assert_eq!(macos.homebrew, Some(folder.path().join("opt/homebrew")));
    }
}
