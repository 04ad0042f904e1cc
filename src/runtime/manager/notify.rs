//! Telling the manager how we are: lines in datagrams to the socket that it named (sd_notify(3)).
//!
//! Invariant: nothing here waits. A manager that cannot be told is a warning, once; the server does
//! not depend on it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::one_line::on_one_line;
use crate::os::monotonic;

/// Whom to tell; may be nobody. Clones tell the same manager.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Manager>>);

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Whether it was said that it cannot be told.
    has_complained: AtomicBool,
}

impl Notifier {
    /// Tells whoever reads the socket `name`: a path, or behind `@` a name without a file (unix(7)).
    ///
    /// # Errors
    /// When the name is another one, or the operating system gives no socket.
    pub(super) fn to(name: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Manager {
            socket,
            address: address(name.as_bytes())?,
            has_complained: AtomicBool::new(false),
        }))))
    }

    /// Everything that was asked for at start is there, or works again after a reload.
    pub(crate) fn ready(&self, status: &str) {
        let pid = std::process::id();
        self.send(&format!("READY=1\nMAINPID={pid}\n{}", status_line(status)));
    }

    /// The configuration is read again; [`Notifier::ready`] follows, however that goes.
    pub(crate) fn reloading(&self) {
        // By this time the manager tells our answer from an older one.
        let now = monotonic::microseconds();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}\n"));
    }

    /// We are about to end.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\n{}", status_line(status)));
    }

    /// We are not stuck.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    fn send(&self, lines: &str) {
        let Some(manager) = &self.0 else { return };
        let sent = manager
            .socket
            .send_to_addr(lines.as_bytes(), &manager.address);
        if let Err(error) = sent
            && !manager.has_complained.swap(true, Ordering::Relaxed)
        {
            log::warn!("notify_failed error=\"{error}\" meaning=\"the manager is not told\"");
        }
    }
}

fn status_line(status: &str) -> String {
    format!("STATUS={}\n", on_one_line(status))
}

fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name.split_first() {
        Some((b'/', _)) => SocketAddr::from_pathname(OsStr::from_bytes(name)),
        #[cfg(target_os = "linux")]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        Some(_) | None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it must begin with / or @",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut bytes = [0; 512];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn tells_a_path_in_the_managers_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        notifier.ready("serving\nWATCHDOG=trigger");
        let pid = std::process::id();
        assert_eq!(
            heard(&manager),
            format!("READY=1\nMAINPID={pid}\nSTATUS=serving\\nWATCHDOG=trigger\n")
        );
        notifier.reloading();
        let text = heard(&manager);
        let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.trim_end().parse::<u64>().unwrap() <= monotonic::microseconds());
        notifier.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
        notifier.clone().stopping("3 connections");
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=3 connections\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn tells_a_name_without_a_file() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("kinglet-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();
        notifier.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn a_manager_that_is_not_there_is_no_fault() {
        let long = format!("/{}", "x".repeat(200));
        for name in ["", "relative", "vsock:2:1234", &long] {
            assert!(Notifier::to(OsStr::new(name)).is_err(), "{name}");
        }
        let notifier = Notifier::to(OsStr::new("/nonexistent/notify")).unwrap();
        notifier.alive();
        notifier.alive();
        Notifier::default().ready("nobody hears");
    }
}
