//! The server under measurement and the generator: the real release binary, pinned to a core each.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use kinglet::os::process_usage;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_kinglet");

/// The server's core; the generator has the other one.
const SERVER_CORE: &str = "0";
const GENERATOR_CORE: &str = "1";

/// A running kinglet; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it keeps its files in.
    _folder: TempDir,
}

/// The binary on a core; taskset becomes it, so its process is ours.
fn pinned(core: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, BINARY]);
    command
}

impl Server {
    /// Starts the binary on a free port with limits that do not get in the way of a load
    /// generator on one address.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut child = pinned(SERVER_CORE)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("KINGLET_SERVER__DATA_DIR", folder.path())
            .env("KINGLET_DEBUG__ECHO", "true")
            .env("KINGLET_LIMITS__CONNECTIONS", "0")
            .env("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0")
            .env("KINGLET_LOG__LEVEL", "error")
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset (util-linux) and the binary are there");
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut first)
            .expect("the server says where it listens");
        let address = first.trim().rsplit('/').next();
        let address = address.and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {first:?}"));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// The generator against this server, to be started.
    pub fn bench(&self, scenario: &str, arguments: &str) -> Command {
        let mut command = pinned(GENERATOR_CORE);
        command
            .args(["bench", scenario, "--url"])
            .arg(format!("http://{}", self.address))
            .args(["--pid", &self.child.id().to_string()])
            .args(arguments.split(' '));
        command
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// The exit code, if it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .expect("a child")
            .and_then(|status| status.code())
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let usage = process_usage::read(self.child.id());
        usage.expect("it runs").resident_bytes
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
