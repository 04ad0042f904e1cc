//! What the machine says of itself, gathered for the checks.
//!
//! May not touch: what is good and what is not; `checks` knows. Invariant: the only things made are
//! a file and listening sockets, which are gone again at once.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::guarded::{self, Guarded, Reach};
use crate::app::runs::launch;
use crate::backplane::link::Target;
use crate::base::clock::{Clock, Wall};
use crate::cli::Failure;
use crate::cli::arguments::{ServeArguments, ServerArgument};
use crate::cli::configuration::{self, Loaded};
use crate::cli::http_client::exchange;
use crate::cli::serve::reachable;
use crate::cli::server::Server;
use crate::cli::transport::TransportFault;
use crate::cli::url::Url;
use crate::config::{AuthMode, CLAUDE, Config, Limits};
use crate::domain::fault::Fault;
use crate::host::platform::Platform;
use crate::os::{descriptor_limit, disk};
use crate::runtime::{server, tls};

/// Permission to write for everybody.
const OTHERS_WRITE: u32 = 0o002;

/// In a directory with this bit only the owners of its entries can replace them.
const STICKY: u32 = 0o1000;

/// Files of the data directory that are looked at; it has about ten.
const ENTRIES_MAX: usize = 1000;

/// All that the checks go by.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) now: Wall,
    /// The machine as it is, whatever the configuration says.
    pub(super) platform: Platform,
    /// What the configuration says and needs, or the lines of its faults.
    pub(super) machine: Result<Machine, Vec<String>>,
}

/// The machine, as far as the configuration is concerned with it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// What the configuration was made from.
    pub(super) origin: String,
    pub(super) warnings: Vec<String>,
    pub(super) access: Access,
    pub(super) data: DataDirectory,
    pub(super) listen: Vec<(SocketAddr, Listening)>,
    pub(super) connections: Connections,
    pub(super) agents: Vec<Program>,
    pub(super) roots: Vec<(PathBuf, Root)>,
    /// When the certificate that the configuration names expires.
    pub(super) certificate: Option<Wall>,
    /// Where the Redis of emitters is, and why it cannot be reached.
    pub(super) redis: Option<(String, Option<String>)>,
    pub(super) limits: Limits,
    pub(super) secrets: Vec<Guarded>,
    pub(super) files: Vec<Reach>,
}

/// Who can start runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever has a token or key for it.
    Token,
    /// Programs on this machine.
    Machine,
    /// Nobody: other machines may connect, and projects and runs are closed to all.
    Closed,
    /// Whoever reaches the address.
    Network,
}

/// Where the server's own files are.
#[derive(Clone, Debug)]
pub(super) struct DataDirectory {
    pub(super) path: PathBuf,
    /// The directory itself, or the lowest one above it that is there.
    pub(super) existing: PathBuf,
    /// Why nothing can be written there.
    pub(super) problem: Option<String>,
    /// Bytes free, where the system says.
    pub(super) free: Option<u64>,
    /// When something was written there last.
    pub(super) newest: Option<Wall>,
}

/// Whether an address can be listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listening {
    Free,
    /// A kinglet listens there.
    Kinglet,
    /// Something speaks TLS there, as this configuration would.
    Secure,
    /// Another program listens there.
    Taken,
    /// The system does not let us.
    Refused(io::ErrorKind, String),
}

/// How many connections are wanted, and for how many there are descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connections {
    pub(super) wanted: Option<usize>,
    pub(super) descriptors: u64,
    pub(super) possible: usize,
}

/// The program of one agent.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) agent: String,
    /// Whether it is the one that is there without being configured.
    pub(super) is_claude: bool,
    /// Where it is, or why it cannot be run.
    pub(super) path: Result<PathBuf, String>,
    /// What of its path everybody can write to: itself, or a directory above it.
    pub(super) open_to_all: Option<PathBuf>,
}

/// A directory that projects may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Good,
    Missing(String),
    NoDirectory,
    /// Everybody can write to this: itself, or a directory above it.
    OpenToAll(PathBuf),
}

/// Asks the machine everything.
pub(super) fn gather(asked: ServeArguments) -> Facts {
    let now = Clock::start().now().wall;
    let machine = match configuration::load(asked) {
        Ok(loaded) => Ok(machine(&loaded, now)),
        Err(Failure::Misuse(faults) | Failure::Failed(faults)) => {
            Err(faults.lines().map(str::to_owned).collect())
        }
        Err(Failure::OutputClosed) => Err(Vec::new()),
    };
    Facts {
        now,
        // After the limits were raised, as serve does.
        platform: Platform::here(),
        machine,
    }
}

fn machine(loaded: &Loaded, now: Wall) -> Machine {
    let config = &loaded.config;
    let listen = config.server.listen.iter();
    let roots = config.project_roots();
    let pair = config.server.tls.files.as_ref();
    let pair = pair.and_then(|files| tls::read(files, now).ok());
    Machine {
        origin: loaded.origin.clone(),
        warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
        access: access(config),
        data: data_directory(&config.server.data_dir),
        listen: listen.map(|at| (*at, listening(*at))).collect(),
        connections: connections(config),
        agents: launch::programs(config).map(program).collect(),
        roots: roots
            .into_iter()
            .map(|at| (at.clone(), root(&at)))
            .collect(),
        certificate: pair.map(|pair| pair.expires()),
        redis: config.emitters.url().map(redis),
        limits: config.limits.clone(),
        secrets: guarded::secrets(&config.auth),
        files: guarded::reach(loaded.again.path(), &config.server.data_dir),
    }
}

fn access(config: &Config) -> Access {
    match (config.auth.mode, config.insecure, config.insecure_runs) {
        (AuthMode::Token, _, _) => Access::Token,
        (AuthMode::Open, false, _) => Access::Machine,
        (AuthMode::Open, true, false) => Access::Closed,
        (AuthMode::Open, true, true) => Access::Network,
    }
}

fn data_directory(path: &Path) -> DataDirectory {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = whole.ancestors().find(|above| above.exists());
    let existing = existing.unwrap_or(&whole).to_owned();
    let probe = existing.join(format!(".kinglet-doctor-{}", std::process::id()));
    let tried = File::create_new(&probe).and_then(|_| fs::remove_file(&probe));
    DataDirectory {
        path: path.to_owned(),
        problem: tried.err().map(|error| error.to_string()),
        free: disk::free_bytes(&existing).ok(),
        newest: newest(&whole),
        existing,
    }
}

/// When the youngest file of a directory was written.
fn newest(directory: &Path) -> Option<Wall> {
    let entries = fs::read_dir(directory).ok()?.take(ENTRIES_MAX);
    let times = entries.filter_map(|entry| {
        let written = entry.ok()?.metadata().ok()?.modified().ok()?;
        let since = written.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    });
    times.max().map(Wall::from_millis)
}

fn listening(address: SocketAddr) -> Listening {
    match TcpListener::bind(address) {
        Ok(_) => Listening::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => listener(address),
        Err(error) => Listening::Refused(error.kind(), error.to_string()),
    }
}

/// Who listens at `address`.
fn listener(address: SocketAddr) -> Listening {
    let asked = Url::parse(&format!("http://{}", reachable(address))).map(|url| ServerArgument {
        url,
        token: None,
        ca: None,
    });
    let Some(server) = asked.ok().and_then(|asked| Server::new(asked).ok()) else {
        return Listening::Taken;
    };
    match exchange(&server, "GET", "/health", b"") {
        Ok(answer) if is_kinglet(&answer.body) => Listening::Kinglet,
        Err(TransportFault::TlsExpected) => Listening::Secure,
        Ok(_) | Err(_) => Listening::Taken,
    }
}

fn is_kinglet(health: &str) -> bool {
    let health: Option<serde_json::Value> = serde_json::from_str(health).ok();
    health.is_some_and(|health| health.get("service").is_some_and(|name| name == "kinglet"))
}

fn connections(config: &Config) -> Connections {
    // What serve does first; a limit that cannot be asked for is taken for none.
    let descriptors = descriptor_limit::raise().unwrap_or(u64::MAX);
    Connections {
        wanted: config.limits.connections,
        descriptors,
        possible: server::connections_within(config, descriptors),
    }
}

fn program((agent, found): (String, Result<PathBuf, Fault>)) -> Program {
    let path = found.map_err(|fault| fault.message.to_string());
    Program {
        is_claude: agent == CLAUDE,
        open_to_all: path.as_deref().ok().and_then(open_to_all),
        agent,
        path,
    }
}

/// Where a Redis is, and why it does not answer or let us in.
fn redis(url: &str) -> (String, Option<String>) {
    match Target::parse(url) {
        Ok(target) => {
            let problem = target.check().err().map(|fault| fault.to_string());
            (target.to_string(), problem)
        }
        Err(fault) => (String::new(), Some(fault.to_string())),
    }
}

fn root(path: &Path) -> Root {
    match fs::metadata(path) {
        Err(error) => Root::Missing(error.to_string()),
        Ok(found) if !found.is_dir() => Root::NoDirectory,
        // The sticky bit does not help here: a new directory can become a project.
        Ok(found) if found.permissions().mode() & OTHERS_WRITE != 0 => {
            Root::OpenToAll(path.to_owned())
        }
        Ok(_) => open_to_all(path).map_or(Root::Good, Root::OpenToAll),
    }
}

/// What on the way to `path` lets everybody put something else in its place, links followed.
pub(super) fn open_to_all(path: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(path).ok();
    let real = real.as_deref().unwrap_or(path);
    let mut way = path.ancestors().chain(real.ancestors());
    let found = way.find(|place| {
        fs::metadata(place).is_ok_and(|found| {
            let mode = found.permissions().mode();
            let is_kept = found.is_dir() && mode & STICKY != 0;
            mode & OTHERS_WRITE != 0 && !is_kept
        })
    });
    found.map(Path::to_owned)
}
