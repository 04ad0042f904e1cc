//! Signals as bytes in a pipe, so that a reactor reads them like any other input.
//!
//! ```text
//! kernel -> handler -> write(one byte: the signal's number) -> pipe -> drain() -> Signal
//! ```
//!
//! The handler does only what signal-safety(7) allows: one `write` on a pipe that never blocks,
//! with errno kept. Invariant: the pipe's write end lives as long as the process, so the handler
//! never writes to a descriptor that was closed and given to somebody else.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// What the operator asks for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TERM, INT or QUIT: drain and end; a second one cuts.
    Terminate,
    /// HUP: read the configuration again.
    Reload,
    /// USR1: open the log file again, after it was moved away.
    ReopenLogs,
    /// USR2: write every counter to the log.
    DumpMetrics,
}

impl Signal {
    fn from_number(number: libc::c_int) -> Option<Self> {
        match number {
            libc::SIGTERM | libc::SIGINT | libc::SIGQUIT => Some(Self::Terminate),
            libc::SIGHUP => Some(Self::Reload),
            libc::SIGUSR1 => Some(Self::ReopenLogs),
            libc::SIGUSR2 => Some(Self::DumpMetrics),
            _ => None,
        }
    }
}

const CAUGHT: [libc::c_int; 6] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// The pipe's write end while the handlers stand, or one of the two below.
static WRITE_END: AtomicI32 = AtomicI32::new(NOT_INSTALLED);
const NOT_INSTALLED: RawFd = -1;
const INSTALLING: RawFd = -2;

/// The end of the pipe that signals are read from; made by [`install`].
#[derive(Debug)]
pub struct SignalPipe {
    reader: PipeReader,
}

/// Catches TERM, INT, QUIT, HUP, USR1 and USR2 from now on. Once per process.
///
/// # Errors
/// `AlreadyExists` the second time; otherwise what the operating system answered.
pub fn install() -> io::Result<SignalPipe> {
    install_for(&CAUGHT)
}

/// For a process that only minds its children: catches CHLD, so that the pipe is readable when one
/// has ended, and those of [`install`], so that they do nothing. Caught ones are as they were in
/// whatever program is started, which ignored ones would not be.
///
/// # Errors
/// As [`install`].
pub fn install_for_children() -> io::Result<SignalPipe> {
    let [terminate, interrupt, quit, reload, reopen, dump] = CAUGHT;
    let child = libc::SIGCHLD;
    install_for(&[child, terminate, interrupt, quit, reload, reopen, dump])
}

fn install_for(numbers: &[libc::c_int]) -> io::Result<SignalPipe> {
    WRITE_END
        .compare_exchange(
            NOT_INSTALLED,
            INSTALLING,
            Ordering::Relaxed,
            Ordering::Relaxed,
        )
        .map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
    let pipe = install_once(numbers);
    if pipe.is_err() {
        WRITE_END.store(NOT_INSTALLED, Ordering::Relaxed);
    }
    pipe
}

fn install_once(numbers: &[libc::c_int]) -> io::Result<SignalPipe> {
    // The standard library sets CLOEXEC on both ends.
    let (reader, writer) = io::pipe()?;
    set_nonblocking(reader.as_raw_fd())?;
    set_nonblocking(writer.as_raw_fd())?;
    WRITE_END.store(writer.into_raw_fd(), Ordering::Release);
    for number in numbers {
        catch(*number)?;
    }
    Ok(SignalPipe { reader })
}

fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: fcntl with F_GETFL and F_SETFL touches no memory of ours.
    let done = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) >= 0
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn catch(number: libc::c_int) -> io::Result<()> {
    let handler: extern "C" fn(libc::c_int) = write_number;
    // SAFETY: sigaction is a plain C struct for which all zeroes is a valid value (no flags, empty
    // mask); the handler has the signature that SA_SIGINFO's absence asks for and is signal-safe.
    let answer = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        // Without it, every blocking call of every thread would have to expect EINTR.
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(number, &raw const action, std::ptr::null_mut())
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The handler. It may interrupt any code, so it takes no lock, allocates nothing, cannot panic and
/// leaves errno as it was. A full pipe loses the signal: 64 KiB of unread ones say enough.
extern "C" fn write_number(number: libc::c_int) {
    // Signal numbers are below 65 on every system, so the low byte is the number.
    let byte = number.to_le_bytes()[0];
    // SAFETY: errno's address is valid in every thread; the byte lives across the write, and the
    // descriptor is the pipe's, which is never closed.
    unsafe {
        let errno = errno_address();
        let kept = *errno;
        libc::write(
            WRITE_END.load(Ordering::Acquire),
            (&raw const byte).cast(),
            1,
        );
        *errno = kept;
    }
}

#[cfg(not(target_os = "macos"))]
fn errno_address() -> *mut libc::c_int {
    // SAFETY: no preconditions; the address is the calling thread's own.
    unsafe { libc::__errno_location() }
}

#[cfg(target_os = "macos")]
fn errno_address() -> *mut libc::c_int {
    // SAFETY: no preconditions; the address is the calling thread's own.
    unsafe { libc::__error() }
}

impl SignalPipe {
    /// The descriptor to watch for readability, owned by this value.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Waits until a signal was caught; false if the operating system cannot wait for one.
    #[must_use]
    pub fn wait(&self) -> bool {
        let mut watched = libc::pollfd {
            fd: self.fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        loop {
            // SAFETY: `watched` is one valid pollfd for the whole call.
            let ready = unsafe { libc::poll(&raw mut watched, 1, -1) };
            if ready >= 0 {
                return true;
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return false;
            }
        }
    }

    /// Takes every signal caught since the last call, in order and without merging equal ones: two
    /// TERM are not one. Never blocks; call it whenever the descriptor is readable.
    #[must_use]
    pub fn drain(&self) -> Vec<Signal> {
        let mut signals = Vec::new();
        let mut bytes = [0u8; 64];
        loop {
            match (&self.reader).read(&mut bytes) {
                Ok(count) if count > 0 => {
                    let numbers = bytes.iter().take(count).copied();
                    signals.extend(numbers.filter_map(|byte| Signal::from_number(byte.into())));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Empty. The write end is never closed, so nothing else is expected here.
                Ok(_) | Err(_) => return signals,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn raise(number: libc::c_int) {
        // SAFETY: every number raised here has a handler by then.
        assert_eq!(unsafe { libc::raise(number) }, 0);
    }

    // One test, because handlers and pipe belong to the whole process.
    #[test]
    fn signals_arrive_in_order_and_the_handler_keeps_errno() {
        let pipe = install().unwrap();
        let again = install().unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(pipe.drain(), []);

        for number in CAUGHT {
            raise(number);
        }
        assert!(pipe.wait());
        assert_eq!(
            pipe.drain(),
            [
                Signal::Terminate,
                Signal::Terminate,
                Signal::Terminate,
                Signal::Reload,
                Signal::ReopenLogs,
                Signal::DumpMetrics,
            ]
        );
        assert_eq!(pipe.drain(), []);

        // More than any pipe holds: the writes that fail with EAGAIN must not show in errno.
        const MORE_THAN_A_PIPE: usize = 100_000;
        // SAFETY: errno's address is valid.
        unsafe { *errno_address() = libc::EXDEV };
        for _ in 0..MORE_THAN_A_PIPE {
            write_number(libc::SIGHUP);
        }
        assert_eq!(
            io::Error::last_os_error().raw_os_error(),
            Some(libc::EXDEV),
            "errno is kept"
        );
        let kept = pipe.drain();
        assert!(!kept.is_empty() && kept.len() < MORE_THAN_A_PIPE);
        assert!(kept.iter().all(|signal| *signal == Signal::Reload));
    }
}
