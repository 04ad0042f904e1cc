//! The real binary as a child process: started on a free port, configured by its environment.
//!
//! May not touch: processes it did not start. Invariant: the child ends with its [`Server`], by its
//! own pid, whatever became of the test.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;

use crate::domain::access::ADMIN;
use crate::testkit::client::{self, Connection};
use crate::testkit::tls::{TlsClientConfig, Version};
use crate::testkit::tokens::Token;
use crate::testkit::world::Disk;

/// How long a start, or an end that was asked for, may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the first line of standard output has before the address.
const ANNOUNCEMENT: &str = " listens on http";

/// The variable that says how many reactors the servers of tests have, so that the same tests can
/// be run with one and with several.
const REACTORS: &str = "KINGLET_TEST_REACTORS";

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    is_secure: bool,
    stderr: Arc<Mutex<String>>,
    /// Where it runs, and keeps what it keeps if it is not told where.
    _disk: Disk,
}

impl Server {
    /// Starts `binary` on a free port of 127.0.0.1 and waits until it listens. `settings` are
    /// environment variables, as `("KINGLET_LIMITS__CONNECTIONS", "5")`; none is inherited.
    ///
    /// # Panics
    /// When the binary does not start; with what it wrote to standard error.
    #[must_use]
    pub fn start(binary: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command.arg("serve");
        Self::spawn(command, &listening(settings))
    }

    /// Starts `binary serve` with these further arguments and nothing in its environment but
    /// `settings`; whoever calls sees to it that it listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_with(binary: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command.arg("serve").args(arguments);
        Self::spawn(command, settings)
    }

    /// The same as [`Server::start`] with at most so many descriptors.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_with_descriptors(
        binary: &str,
        descriptors: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        // The shell's own command, because system calls are confined to `os`.
        let limited = format!("ulimit -n {descriptors} && exec \"$0\" serve");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &limited, binary]);
        Self::spawn(command, &listening(settings))
    }

    fn spawn(mut command: Command, settings: &[(&str, &str)]) -> Self {
        let disk = Disk::default();
        fs::create_dir_all(disk.path()).expect("a folder can be made");
        let mut child = command
            .current_dir(disk.path())
            .env_clear()
            .envs(env::var(REACTORS).map(|count| ("KINGLET_SERVER__REACTORS", count)))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let stderr = collect(child.stderr.take().expect("standard error is piped"));
        let lines = lines(child.stdout.take().expect("standard output is piped"));
        // From here on the child ends with this value.
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            is_secure: false,
            stderr,
            _disk: disk,
        };
        let line = lines.recv_timeout(PATIENCE).unwrap_or_default();
        let url = line.split_once(ANNOUNCEMENT).map_or("", |(_, url)| url);
        let secure = url.strip_prefix("s");
        server.is_secure = secure.is_some();
        let address = secure.unwrap_or(url).strip_prefix("://");
        server.address = address
            .and_then(|address| address.trim_end().parse().ok())
            .unwrap_or_else(|| panic!("does not listen: {line:?}\n{}", server.stderr()));
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection, with TLS if that is what it speaks; its certificate is believed.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn connect(&self) -> Connection {
        match self.is_secure {
            true => Connection::open_tls(
                self.address,
                &TlsClientConfig::new(Version::Tls13, &["http/1.1"]),
            ),
            false => Connection::open(self.address),
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far: its log.
    #[must_use]
    pub fn stderr(&self) -> String {
        lock(&self.stderr).clone()
    }

    /// Sends the signal `name`, as in `TERM`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        // The shell's tool, because system calls are confined to `os`.
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill -s {name}"
        );
    }

    /// Waits for the end and returns the exit code.
    ///
    /// # Panics
    /// When it does not end, or is ended by a signal.
    pub fn wait(&mut self) -> i32 {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().expect("the child can be waited for");
            status.is_some()
        });
        let code = status.and_then(|status| status.code());
        code.unwrap_or_else(|| panic!("ended by a signal: {status:?}\n{}", self.stderr()))
    }

    /// The value of the counter `name`, as in `kinglet_publications_total`; in token mode it is
    /// asked for with an admin's token.
    ///
    /// # Panics
    /// When there is no such counter.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let bearer = Token::of("counter").role(ADMIN).bearer();
        let headers = [("Authorization", bearer.as_str())];
        let mut connection = self.connect();
        let stats = connection.request("GET", "/api/v1/websocket/stats", &headers, b"");
        let stats = stats.json();
        let value = stats.pointer(&format!("/counters/{name}"));
        value
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no counter {name} in {stats}"))
    }
}

/// The settings, before them one that has it listen on a free port of 127.0.0.1.
fn listening<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("KINGLET_SERVER__LISTEN", "127.0.0.1:0")];
    all.extend(settings);
    all
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            client::note(&format!("the server's log:\n{}", self.stderr()));
        }
    }
}

/// Polls `condition` until it holds.
///
/// # Panics
/// When it does not hold in time; `what` says what was waited for.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reads to the end on a thread of its own, so that the child never waits for us.
fn collect(mut from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let piece = piece.get(..count).unwrap_or_default();
            lock(&shared).push_str(&String::from_utf8_lossy(piece));
        }
    });
    text
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Lines after the first are read to keep the pipe empty; nobody may be waiting.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}
