//! The server under measurement: the real release binary, pinned to a core of its own, and what
//! the kernel says it used.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A running kinglet; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts the binary on a free port with limits that do not get in the way of a load
    /// generator on one address, plus `settings` as environment variables.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let binary = env!("CARGO_BIN_EXE_kinglet");
        let mut command = Command::new("taskset");
        command
            .args([
                "-c",
                SERVER_CORE,
                binary,
                "serve",
                "--listen",
                "127.0.0.1:0",
            ])
            .env("KINGLET_LIMITS__CONNECTIONS", "0")
            .env("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0")
            .env("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0")
            .env("KINGLET_LOG__LEVEL", "warn")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("taskset and the binary are there");
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut first)
            .expect("the server says where it listens");
        let address = first
            .trim()
            .rsplit('/')
            .next()
            .and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {first:?}"));
        Self { child, address }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .is_ok_and(|s| s.success())
        );
    }

    /// The exit code, if it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .expect("a child")
            .and_then(|status| status.code())
    }

    /// CPU time used so far by all threads, in nanoseconds.
    pub fn cpu_nanos(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        tasks
            .filter_map(|task| {
                let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum()
    }

    /// User and system CPU time so far, in hundredths of a second.
    pub fn cpu_split(&self) -> (u64, u64) {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or("").split(' ').collect();
        let field = |index: usize| fields.get(index).and_then(|f| f.parse().ok()).unwrap_or(0);
        (field(11), field(12))
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(path).expect("it runs");
        let line = text
            .lines()
            .find(|line| line.starts_with("Rss:"))
            .unwrap_or("");
        let kilobytes = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's core; the generator has the other one.
const SERVER_CORE: &str = "0";

/// The generator's core.
pub const GENERATOR_CORE: &str = "1";

/// CPU time of this process so far, in nanoseconds.
pub fn own_cpu_nanos() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
