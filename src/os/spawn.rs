//! Starting a program with descriptors of our choice (posix_spawn(3)).
//!
//! `std::process::Command` passes three descriptors and could pass more from a `pre_exec` only,
//! with which it forks: that copies the page tables of a large server, makes its other threads
//! fault on each page they write, and fails where memory may not be overcommitted.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::os::process::Pid;

/// Starts `program` with these arguments (the first is what it is called), an empty environment and
/// `descriptors` as its 0, 1, 2, ...; the rest is closed where it closes on exec. It leads a process
/// group of its own, blocks no signal and ignores none.
///
/// # Errors
/// What posix_spawn answered, such as `NotFound`.
pub fn spawn(
    program: &Path,
    arguments: &[&CStr],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<Pid> {
    let program = CString::new(program.as_os_str().as_bytes())?;
    // The kernel only reads arguments; C has no word for that here.
    let mut argv: Vec<*mut libc::c_char> = arguments
        .iter()
        .map(|argument| argument.as_ptr().cast_mut())
        .collect();
    argv.push(ptr::null_mut());
    let envp: [*mut libc::c_char; 1] = [ptr::null_mut()];

    let mut actions = FileActions::new()?;
    // A source that is below the last target might be overwritten before it is copied.
    let above = |fd: &BorrowedFd<'_>| duplicate_above(*fd, descriptors.len());
    let sources: Vec<OwnedFd> = descriptors.iter().map(above).collect::<io::Result<_>>()?;
    for (target, source) in (0..).zip(&sources) {
        actions.duplicate(source.as_raw_fd(), target)?;
    }
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: all pointers are to live values; both lists end with a null pointer and their strings
    // with NUL. posix_spawn keeps none of them.
    let answer = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    succeeded(answer)?;
    Pid::new(pid).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn duplicate_above(fd: BorrowedFd<'_>, floor: usize) -> io::Result<OwnedFd> {
    let floor = RawFd::try_from(floor).unwrap_or(RawFd::MAX);
    // SAFETY: F_DUPFD_CLOEXEC touches no memory.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, floor) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// posix_spawn and its helpers return the error instead of setting errno.
fn succeeded(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(answer))
    }
}

/// What happens to descriptors in the child.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        // SAFETY: all zeroes are a valid value for this C struct (a pointer on macOS), which the
        // call then fills. It may be moved afterwards: no system keeps pointers into it.
        let mut actions = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live value.
        succeeded(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions) })?;
        Ok(Self(actions))
    }

    fn duplicate(&mut self, source: RawFd, target: RawFd) -> io::Result<()> {
        // SAFETY: the actions were initialised.
        succeeded(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut self.0, source, target)
        })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the actions were initialised and are not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// How the child differs from us.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        // SAFETY: as for the file actions.
        let mut attributes = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live value.
        succeeded(unsafe { libc::posix_spawnattr_init(&raw mut attributes) })?;
        let mut own = Self(attributes);
        let attributes = &raw mut own.0;
        // SAFETY: the attributes were initialised; a signal set is an integer or an array of them,
        // for which zeroes are valid, and the two live across the calls that read them.
        unsafe {
            let mut every: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut every);
            // These two cannot be set, so they need not be reset.
            libc::sigdelset(&raw mut every, libc::SIGKILL);
            libc::sigdelset(&raw mut every, libc::SIGSTOP);
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            succeeded(libc::posix_spawnattr_setsigdefault(
                attributes,
                &raw const every,
            ))?;
            succeeded(libc::posix_spawnattr_setsigmask(
                attributes,
                &raw const none,
            ))?;
            succeeded(libc::posix_spawnattr_setpgroup(attributes, 0))?;
            succeeded(libc::posix_spawnattr_setflags(attributes, FLAGS))?;
        }
        Ok(own)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the attributes were initialised and are not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

// They fit: the largest is 0x4000.
#[allow(clippy::cast_possible_truncation)]
const FLAGS: libc::c_short = (libc::POSIX_SPAWN_SETSIGDEF
    | libc::POSIX_SPAWN_SETSIGMASK
    | libc::POSIX_SPAWN_SETPGROUP
    | CLOSE_THE_REST) as libc::c_short;

/// macOS makes a pipe and has it close on exec in two steps, between which another thread may spawn.
#[cfg(target_os = "macos")]
const CLOSE_THE_REST: libc::c_int = libc::POSIX_SPAWN_CLOEXEC_DEFAULT;
#[cfg(not(target_os = "macos"))]
const CLOSE_THE_REST: libc::c_int = 0;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write, pipe};
    use std::os::fd::AsFd;

    use super::*;
    use crate::os::process::{Notice, Reaped, signal, wait_for};

    #[test]
    fn gives_descriptors_by_number_and_no_environment() {
        let (reader, writer) = pipe().unwrap();
        let (mut output, tail) = pipe().unwrap();
        let script = c"read line <&3; echo \"$0 $1 $line\" >&1; exec env";
        let descriptors = [reader.as_fd(), tail.as_fd(), tail.as_fd(), reader.as_fd()];
        let arguments = [c"called", c"-c", script, c"zero", c"one"];
        let pid = spawn(Path::new("/bin/sh"), &arguments, &descriptors).unwrap();
        drop((reader, tail));
        (&writer).write_all(b"told\n").unwrap();
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        assert!(matches!(wait_for(pid).unwrap(), Reaped::Ended(ended) if ended.status.success()));
        let (first, rest) = said.split_once('\n').unwrap();
        assert_eq!(first, "zero one told");
        // The shell itself adds where it is.
        assert!(!rest.contains("HOME=") && !rest.contains("PATH="), "{said}");
    }

    #[test]
    fn other_descriptors_stay_here() {
        let (mut reader, writer) = pipe().unwrap();
        let arguments = [c"sleep", c"1000"];
        let pid = spawn(Path::new("/bin/sleep"), &arguments, &[]).unwrap();
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "nobody else holds it");
        signal(pid, Notice::Kill);
        wait_for(pid).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let missing = spawn(Path::new("/nonexistent/program"), &[c"x"], &[]);
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
