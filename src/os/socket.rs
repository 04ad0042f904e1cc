//! What sockets need beyond the standard library: what a socket is that somebody else made, the
//! backlog of a listener, what the errors of accept(2) and connect(2) mean, and bounds on what the kernel queues for a slow reader and on how
//! long it waits for a dead one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Sets how many connections may wait to be accepted, by calling listen(2) again on a socket that
/// already listens. The kernel clamps `backlog` (net.core.somaxconn, kern.ipc.somaxconn).
///
/// # Errors
/// What the operating system answered, for instance for a descriptor that is no socket.
pub fn set_backlog(listener: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: listen touches no memory of ours, and the borrow keeps the descriptor open.
    if unsafe { libc::listen(listener.as_raw_fd(), backlog) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What a descriptor is that somebody passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream socket that accepts connections.
    Listener,
    /// A stream socket that does not.
    Stream,
    /// A socket of another type, such as one for datagrams.
    OtherSocket,
    /// A file, a pipe, a terminal.
    NoSocket,
}

/// What `descriptor` is; by SO_TYPE and SO_ACCEPTCONN (socket(7)).
///
/// # Errors
/// What getsockopt(2) answered, if that was not about what it is.
pub fn kind(descriptor: BorrowedFd<'_>) -> io::Result<Kind> {
    match socket_option(descriptor, libc::SO_TYPE) {
        Ok(libc::SOCK_STREAM) => {}
        Ok(_) => return Ok(Kind::OtherSocket),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => return Ok(Kind::NoSocket),
        Err(error) => return Err(error),
    }
    match socket_option(descriptor, libc::SO_ACCEPTCONN)? {
        0 => Ok(Kind::Stream),
        _ => Ok(Kind::Listener),
    }
}

fn socket_option(descriptor: BorrowedFd<'_>, option: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the pointers are to a live integer and to its length; the borrow keeps the descriptor
    // open.
    let done = unsafe {
        libc::getsockopt(
            descriptor.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if done == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Linux's and macOS's name for the same option (tcp(7); netinet/tcp.h), which the libc crate has
/// for Linux only.
#[cfg(target_os = "linux")]
const NOTSENT_LOWAT: libc::c_int = libc::TCP_NOTSENT_LOWAT;
/// The value in Darwin's netinet/tcp.h.
#[cfg(not(target_os = "linux"))]
const NOTSENT_LOWAT: libc::c_int = 0x201;

/// Lets a socket take at most about `bytes` that its peer's window has no room for yet. Without
/// it the kernel queues up to net.ipv4.tcp_wmem (4 MiB) for each peer that does not read, where
/// no policy of ours sees it. What is on its way is not limited, so a fast peer loses nothing.
///
/// # Errors
/// What the operating system answered; the socket works without the bound.
pub fn bound_unsent(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set_tcp_option(socket, NOTSENT_LOWAT, bytes)
}

/// Linux counts milliseconds (tcp(7)).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: (libc::c_int, u64) = (libc::TCP_USER_TIMEOUT, 1);
/// TCP_RXT_CONNDROPTIME of Darwin's netinet/tcp.h counts seconds.
#[cfg(not(target_os = "linux"))]
const UNACKNOWLEDGED: (libc::c_int, u64) = (0x80, 1000);

/// Lets the kernel give a connection up whose peer has acknowledged nothing of what was sent for
/// this long. Without it a peer that vanished is waited for up to a quarter of an hour, by those
/// who send it little and hear nothing from it.
///
/// # Errors
/// What the operating system answered; the socket works without the bound.
pub fn bound_unacknowledged(socket: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    let (option, unit) = UNACKNOWLEDGED;
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let value = u32::try_from(millis.div_ceil(unit)).unwrap_or(u32::MAX);
    set_tcp_option(socket, option, value)
}

fn set_tcp_option(socket: BorrowedFd<'_>, option: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the pointer and length describe `value`, which outlives the call; the borrow keeps
    // the descriptor open.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether connect(2) on a socket that does not block has only begun: the connection is made, or
/// not, in the background.
#[must_use]
pub fn is_connecting(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// Whether accepting failed because process or machine have no descriptor or buffer left. The
/// connection still waits in the backlog: trying at once would spin, so accepting has to rest.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// Whether accepting failed for this one connection only: it went away before it was accepted, or
/// the network under it did (accept(2) passes on what was pending on the new socket). The next
/// connection may be accepted at once.
#[must_use]
pub fn is_connection_gone(error: &io::Error) -> bool {
    let Some(code) = error.raw_os_error() else {
        return false;
    };
    #[cfg(target_os = "linux")]
    if code == libc::ENONET {
        return true;
    }
    matches!(
        code,
        libc::ECONNABORTED
            | libc::ECONNRESET
            | libc::EPROTO
            | libc::EINTR
            | libc::EPERM
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ETIMEDOUT
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_socket_takes_little_for_a_peer_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut writer, _) = listener.accept().unwrap();
        bound_unsent(writer.as_fd(), 16 * 1024).unwrap();
        writer.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while let Ok(count) = std::io::Write::write(&mut writer, &[0; 4096]) {
            taken += count;
        }
        // The reader's window holds some hundred KiB; without the bound it would be megabytes.
        assert!(taken < 1024 * 1024, "{taken}");
        drop(reader);
    }

    #[test]
    fn a_socket_takes_a_bound_on_what_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        bound_unacknowledged(socket.as_fd(), Duration::from_secs(30)).unwrap();
        let (_reader, pipe) = io::pipe().unwrap();
        assert!(bound_unacknowledged(pipe.as_fd(), Duration::from_secs(30)).is_err());
    }

    #[test]
    fn a_listener_is_told_from_all_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (pipe, _writer) = io::pipe().unwrap();
        let check = |descriptor: BorrowedFd<'_>, expected: Kind| {
            assert_eq!(kind(descriptor).unwrap(), expected);
        };
        check(listener.as_fd(), Kind::Listener);
        check(stream.as_fd(), Kind::Stream);
        check(datagrams.as_fd(), Kind::OtherSocket);
        check(pipe.as_fd(), Kind::NoSocket);
    }

    #[test]
    fn a_listener_still_accepts_after_its_backlog_is_set() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_backlog(listener.as_fd(), 16).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, address) = listener.accept().unwrap();
        assert_eq!(address, peer.local_addr().unwrap());
    }

    #[test]
    fn a_pipe_has_no_backlog() {
        let (reader, _writer) = io::pipe().unwrap();
        let error = set_backlog(reader.as_fd(), 16).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }

    #[test]
    fn a_connect_that_goes_on_is_no_failure() {
        let check = |code, expected| {
            assert_eq!(is_connecting(&io::Error::from_raw_os_error(code)), expected);
        };
        check(libc::EINPROGRESS, true);
        check(libc::ECONNREFUSED, false);
        check(libc::EALREADY, false);
    }

    #[test]
    fn errors_of_accept_are_told_apart() {
        fn check(code: libc::c_int, out_of_descriptors: bool, connection_gone: bool) {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(is_out_of_descriptors(&error), out_of_descriptors, "{error}");
            assert_eq!(is_connection_gone(&error), connection_gone, "{error}");
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            check(code, true, false);
        }
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::EINTR, libc::EPERM] {
            check(code, false, true);
        }
        // The listener itself is broken, or there is nothing to accept.
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK, libc::EAGAIN] {
            check(code, false, false);
        }
    }
}
