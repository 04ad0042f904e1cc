//! Sockets that the manager listens on for us.
//!
//! Invariant: each that is returned is a TCP socket that listens; one that is not ends the start,
//! because whoever passed it meant us to serve there.

use std::iter;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use super::{ManagerFault, Passed};
use crate::os::{descriptors, launchd, socket};

/// Sockets at most; the server keeps that many descriptors for its own.
const SOCKETS_MAX: usize = 16;

/// The name of our sockets in launchd's property list.
const LAUNCHD_NAME: &std::ffi::CStr = c"Listeners";

/// What systemd says of the sockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    /// LISTEN_PID
    pub(super) pid: Option<String>,
    /// LISTEN_FDS
    pub(super) count: Option<String>,
    /// LISTEN_FDNAMES
    pub(super) names: Option<String>,
}

impl Announced {
    /// How many there are for the process `own`. As sd_listen_fds(3): none without both variables,
    /// and none if they are meant for another process.
    fn count(&self, own: u32) -> Result<usize, ManagerFault> {
        let (Some(pid), Some(count)) = (&self.pid, &self.count) else {
            return Ok(0);
        };
        let Ok(pid) = pid.parse::<u32>() else {
            let problem = format!("LISTEN_PID is {pid:?}; it must be the number of a process");
            return Err(ManagerFault(problem));
        };
        if pid != own {
            return Ok(0);
        }
        match count.parse() {
            Ok(count @ 1..=SOCKETS_MAX) => Ok(count),
            Ok(_) | Err(_) => Err(ManagerFault(format!(
                "LISTEN_FDS is {count:?}; it must be the number of sockets passed, from 1 to \
                 {SOCKETS_MAX}"
            ))),
        }
    }

    /// A name for each; without one it has systemd's word for that.
    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.names.as_deref().unwrap_or_default().split(':');
        names
            .filter(|name| !name.is_empty())
            .chain(iter::repeat("unknown"))
    }
}

/// Takes the sockets that were passed to the process `own`, if any were.
///
/// # Errors
/// When one that was announced is not there, or is no TCP socket that listens.
pub(super) fn take(announced: &Announced, own: u32) -> Result<Vec<Passed>, ManagerFault> {
    let count = announced.count(own)?;
    let sockets = if count > 0 {
        descriptors::take_passed(count)
            .map_err(|error| ManagerFault(format!("LISTEN_FDS is {count}, but {error}")))?
    } else {
        launchd::sockets(LAUNCHD_NAME).map_err(|error| {
            ManagerFault(format!("launchd does not hand its sockets over: {error}"))
        })?
    };
    let named = sockets.into_iter().zip(announced.names());
    named.map(|(socket, name)| passed(socket, name)).collect()
}

fn passed(socket: OwnedFd, name: &str) -> Result<Passed, ManagerFault> {
    let fault = |problem: String| ManagerFault(format!("the socket passed as {name:?} {problem}"));
    let kind = socket::kind(socket.as_fd()).map_err(|error| fault(error.to_string()))?;
    match kind {
        socket::Kind::Listener => {}
        socket::Kind::Stream => {
            let problem = "does not listen; write Accept=no in the socket unit";
            return Err(fault(problem.to_owned()));
        }
        socket::Kind::OtherSocket => {
            let problem = "is no stream; write ListenStream= in the socket unit";
            return Err(fault(problem.to_owned()));
        }
        socket::Kind::NoSocket => return Err(fault("is no socket".to_owned())),
    }
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().map_err(|_| {
        fault("is not TCP; write an address and a port after ListenStream=".to_owned())
    })?;
    // What accepts would otherwise stop the reactor that has nothing to accept.
    listener
        .set_nonblocking(true)
        .map_err(|error| fault(error.to_string()))?;
    Ok(Passed {
        listener,
        address,
        name: name.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_are_counted_as_sd_listen_fds_counts_them() {
        let check = |pid: Option<&str>, count: Option<&str>, expected: Result<usize, &str>| {
            let announced = Announced {
                pid: pid.map(str::to_owned),
                count: count.map(str::to_owned),
                names: None,
            };
            let found = announced.count(7).map_err(|fault| fault.0);
            match expected {
                Ok(count) => assert_eq!(found, Ok(count), "{pid:?} {count:?}"),
                Err(words) => assert!(found.unwrap_err().contains(words), "{words}"),
            }
        };
        check(None, None, Ok(0));
        check(None, Some("1"), Ok(0));
        check(Some("7"), None, Ok(0));
        check(Some("7"), Some("1"), Ok(1));
        check(Some("7"), Some("16"), Ok(16));
        check(Some("8"), Some("1"), Ok(0));
        check(Some("8"), Some("rubbish"), Ok(0));
        check(Some("x"), Some("1"), Err("LISTEN_PID is \"x\""));
        check(Some("-7"), Some("1"), Err("LISTEN_PID is \"-7\""));
        for wrong in ["0", "17", "-1", "", "1 ", "99999999999999999999"] {
            check(Some("7"), Some(wrong), Err("from 1 to 16"));
        }
    }

    #[test]
    fn each_socket_has_a_name() {
        let check = |names: Option<&str>, expected: &[&str]| {
            let announced = Announced {
                names: names.map(str::to_owned),
                ..Announced::default()
            };
            let found: Vec<&str> = announced.names().take(expected.len()).collect();
            assert_eq!(found, expected);
        };
        check(None, &["unknown", "unknown"]);
        check(Some("http"), &["http", "unknown"]);
        check(Some("http:admin"), &["http", "admin", "unknown"]);
    }

    #[test]
    fn only_a_tcp_socket_that_listens_will_do() {
        let check = |socket: OwnedFd, words: &str| {
            let fault = passed(socket, "http").unwrap_err();
            assert!(fault.0.contains(words), "{fault}");
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        check(stream.into(), "Accept=no");
        check(
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            "ListenStream=",
        );
        let folder = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        check(unix.into(), "is not TCP");
        check(std::io::pipe().unwrap().0.into(), "\"http\" is no socket");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let good = passed(listener.into(), "http").unwrap();
        assert_eq!((good.address, good.name.as_str()), (address, "http"));
        let error = good.listener.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}
