//! A service manager: it listens, starts the binary with its sockets, and hears what it is told.
//!
//! The sockets get their numbers from a shell, since system calls are confined to `os`. May not touch
//! processes it did not start.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kinglet::testkit::server::until;
use tempfile::TempDir;

pub const DEADLINE: Duration = Duration::from_secs(20);

/// Where notifications arrive.
pub struct Manager {
    /// What NOTIFY_SOCKET is.
    pub name: String,
    socket: UnixDatagram,
    _folder: TempDir,
}

impl Manager {
    pub fn with_path() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        Self {
            name: path.display().to_string(),
            socket: UnixDatagram::bind(&path).unwrap(),
            _folder: folder,
        }
    }

    #[cfg(target_os = "linux")]
    pub fn with_abstract_name() -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let folder = tempfile::tempdir().unwrap();
        // A folder's name is nobody else's.
        let name = folder.path().display().to_string();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self {
            name: format!("@{name}"),
            socket: UnixDatagram::bind_addr(&address).unwrap(),
            _folder: folder,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn with_abstract_name() -> Self {
        Self::with_path()
    }

    /// The next notification that begins with `first`; signs of life in between are skipped, any
    /// other one is a fault.
    pub fn hears(&self, first: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut bytes = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {first}");
            self.socket.set_read_timeout(Some(left)).unwrap();
            let count = self.socket.recv(&mut bytes).expect(first);
            let said = String::from_utf8(bytes[..count].to_vec()).unwrap();
            if said.starts_with(first) {
                return said;
            }
            assert_eq!(said, "WATCHDOG=1\n", "instead of {first}");
        }
    }
}

/// What is started, and with which variables.
pub struct Service {
    folder: TempDir,
    settings: HashMap<String, String>,
}

/// The shell that gives the sockets their numbers, by how many there are. Its own number becomes
/// that of the server.
const NUMBERING: [&str; 3] = [
    "",
    "exec 3<&0 </dev/null;",
    "exec 3<&0 4<&1 </dev/null >/dev/null;",
];

impl Service {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            settings: HashMap::new(),
        }
    }

    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts it with `sockets`, and waits until it listens.
    pub fn start(self, sockets: &[&TcpListener]) -> Started {
        let sockets = sockets.iter().map(|socket| {
            let socket = socket.as_fd();
            socket.try_clone_to_owned().unwrap()
        });
        let started = self.begin(sockets.collect());
        started.logs(" listening address=");
        started
    }

    /// Starts it with whatever `passed` is.
    pub fn begin(self, passed: Vec<OwnedFd>) -> Started {
        let count = passed.len();
        let announced = match self.settings.contains_key("LISTEN_FDS") || count == 0 {
            true => String::new(),
            false => format!("export LISTEN_FDS={count};"),
        };
        let own = match self.settings.contains_key("LISTEN_PID") {
            true => "",
            false => "export LISTEN_PID=$$;",
        };
        let script = format!("{}{announced}{own} exec \"$0\" serve", NUMBERING[count]);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_kinglet")])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut passed = passed.into_iter();
        if let Some(first) = passed.next() {
            command.stdin(first);
        }
        if let Some(second) = passed.next() {
            command.stdout(second);
        }
        let mut child = command.spawn().unwrap();
        let lines = lines(child.stderr.take().unwrap());
        Started {
            child,
            lines,
            log: Mutex::default(),
            service: self,
        }
    }
}

/// A running one; ends with this value.
pub struct Started {
    child: Child,
    lines: Receiver<String>,
    log: Mutex<Vec<String>>,
    service: Service,
}

impl Started {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.service.folder.path().join(name), text).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let arguments = ["-s", name, &self.pid().to_string()];
        let sent = Command::new("kill").args(arguments).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for a line that contains `words`.
    pub fn logs(&self, words: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = line.contains(words).then(|| line.clone());
                    self.keep(line);
                    if let Some(line) = found {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {words} in {:?}", self.log());
                }
            }
        }
    }

    /// All lines of standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.try_iter().for_each(|line| self.keep(line));
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    fn keep(&self, line: String) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(line);
    }

    /// Waits for its end: the exit code.
    pub fn ends(&mut self) -> Option<i32> {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// The same to be started again, as the manager does.
    pub fn again(mut self) -> Service {
        Service {
            folder: std::mem::replace(&mut self.service.folder, tempfile::tempdir().unwrap()),
            settings: std::mem::take(&mut self.service.settings),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let from = std::io::BufReader::new(from);
        for line in std::io::BufRead::lines(from).map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
