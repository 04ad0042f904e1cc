//! The sockets that connections come in by: our own, or those that a service manager passed on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use mio::net::TcpListener;

use crate::base::limits;
use crate::os::socket;
use crate::runtime::manager::Passed;
use crate::runtime::server::StartFault;

/// Listens on `addresses`, or on what was passed on, and says where that is.
///
/// # Errors
/// When an address cannot be listened on.
pub(super) fn listen(
    addresses: &[SocketAddr],
    passed: Vec<Passed>,
) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), StartFault> {
    if !passed.is_empty() {
        // How many connections may wait there is the manager's to say.
        let own = |socket: Passed| (TcpListener::from_std(socket.listener), socket.address);
        return Ok(passed.into_iter().map(own).unzip());
    }
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut listening = Vec::with_capacity(addresses.len());
    for address in addresses {
        let fault = |error: io::Error| StartFault::Listen {
            address: *address,
            hint: match error.kind() {
                io::ErrorKind::AddrInUse => "; another program listens there: choose with --listen",
                io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
                _ => "",
            },
            error,
        };
        let listener = TcpListener::bind(*address).map_err(fault)?;
        socket::set_backlog(listener.as_fd(), limits::LISTEN_BACKLOG).map_err(fault)?;
        listening.push(listener.local_addr().map_err(fault)?);
        listeners.push(listener);
    }
    Ok((listeners, listening))
}
