//! `Config`: what the configuration means, as plain data with the defaults of the product.
//!
//! `[backplane]` has no field because this version knows one `kind`, "memory".
//!
//! Invariants: a limit that can be lifted is an `Option`, `None` being what is written as 0; every
//! plain number or duration is above 0, unless its line says otherwise. What guards memory (heads,
//! messages, outboxes, history) and what frees it (timeouts of stuck peers) cannot be lifted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::agents::{self, Agents, Projects};
use super::auth::{Auth, AuthMode};
use super::emitters::Emitters;
use super::families::ROOMS;
use super::fault::{Faults, Warning};
use super::key::Key;
use super::keys::keys;
use super::namespace_keys::NAMESPACE_KEYS;
use super::namespaces::{BASE, NamespaceOptions, Namespaces, SlowConsumer};
use super::operation::{Host, Metrics};
use super::raw::{Raw, Written};
use super::socketio::{self, SocketIo};
use super::tls::Tls;
use super::webhooks::Webhooks;
use super::{Sources, agent_tables, credentials, emitters, tls, webhooks};
use crate::base::network::Network;

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[auth]`
    pub auth: Auth,
    /// `[limits]`
    pub limits: Limits,
    /// `[heartbeat]`
    pub heartbeat: Heartbeat,
    /// `[compression]`
    pub compression: Compression,
    /// `[rooms.<namespace>]`, and `strict_rooms` of `[server]`.
    pub rooms: Namespaces,
    /// `[store]`
    pub store: Store,
    /// `[projects]`
    pub projects: Projects,
    /// `[agents.<agent>]`
    pub agents: Agents,
    /// `[protocol] reply_names`
    pub reply_names: ReplyNames,
    /// `[socketio]`
    pub socketio: SocketIo,
    /// `[host]`
    pub host: Host,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// `[emitters]`
    pub emitters: Emitters,
    /// `[log]`
    pub log: Log,
    /// `[debug] echo`: whether `/ws/echo` exists.
    pub debug_echo: bool,
    /// `--insecure`: the open mode serves other machines too.
    pub insecure: bool,
    /// `--insecure-runs`: they may administer the server, too.
    pub insecure_runs: bool,
}

/// Where the server listens and whom it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses to listen on, at least one; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Where the server keeps its own files.
    pub data_dir: PathBuf,
    /// `[server] tls`
    pub tls: Tls,
    /// Event loops, 1 to 64; `None` lets the number of cores decide.
    pub reactors: Option<usize>,
    /// Threads for jobs that can block, 1 to 64.
    pub workers: usize,
    /// Origins of other sites that are served, `scheme://host[:port]` as browsers spell them:
    /// lower case, without the scheme's own port.
    pub allowed_origins: Vec<String>,
    /// Hosts answered to beside loopback and the listen address: lower case, without port.
    pub allowed_hosts: Vec<String>,
    /// Proxies whose word about the client is taken.
    pub trusted_proxies: Vec<Network>,
    /// Whether a room must be in a built-in or configured namespace.
    pub strict_rooms: bool,
    /// How long a drain may take before what is left is cut.
    pub shutdown_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080)],
            data_dir: PathBuf::from("./kinglet-data"),
            tls: Tls::default(),
            reactors: None,
            workers: 2,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            trusted_proxies: ["127.0.0.0/8", "::1"]
                .into_iter()
                .filter_map(Network::parse)
                .collect(),
            strict_rooms: false,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

/// How much of everything there may be; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections: Option<usize>,
    /// Open connections of one client address, an IPv6 client being its /64.
    pub connections_per_ip: Option<usize>,
    /// New connections a minute of one client address.
    pub new_connections_per_minute: Option<usize>,
    /// Time from accept to the end of the first request.
    pub handshake_timeout: Duration,
    /// Bytes of a request's head, 1 KiB to 1 MiB.
    pub head_bytes: usize,
    /// Header fields of a request, 1 to 1,000.
    pub headers: usize,
    /// Bytes of a message or request body, 1 KiB to 16 MiB.
    pub message_bytes: usize,
    /// Frames of one message.
    pub fragments: Option<usize>,
    /// Rooms that exist at a time.
    pub rooms: Option<usize>,
    /// Rooms one session is in.
    pub rooms_per_session: Option<usize>,
    /// Messages a second one session may send over time.
    pub messages_per_second: Option<usize>,
    /// Messages one session may send at once.
    pub message_burst: usize,
    /// HTTP API requests a second of one client address.
    pub api_requests_per_second: Option<usize>,
    /// Commands and HTTP API requests a second of one user over time.
    pub user_requests_per_second: Option<usize>,
    /// Of these, how many at once.
    pub user_request_burst: usize,
    /// Messages that wait for one session.
    pub outbox_messages: usize,
    /// Bytes that wait for one session.
    pub outbox_bytes: usize,
    /// How long a peer may take no byte while some wait for it.
    pub write_timeout: Duration,
    /// Publications that one recovery brings back.
    pub recovery_max: Option<usize>,
    /// Idempotency keys remembered; the oldest make room.
    pub idempotency_keys: usize,
    /// Positions of durable subscriptions that are kept for one user.
    pub durable_subscriptions: Option<usize>,
    /// Runs executed at a time.
    pub runs: Option<usize>,
    /// MiB of resident memory.
    pub memory_mb: Option<usize>,
    /// Threads of the server.
    pub threads: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Some(10_000),
            connections_per_ip: Some(10),
            new_connections_per_minute: Some(60),
            handshake_timeout: Duration::from_secs(10),
            head_bytes: 16 * KIB,
            headers: 100,
            message_bytes: MIB,
            fragments: Some(4096),
            rooms: Some(100_000),
            rooms_per_session: Some(128),
            messages_per_second: Some(50),
            message_burst: 100,
            api_requests_per_second: Some(1000),
            user_requests_per_second: Some(1000),
            user_request_burst: 2000,
            outbox_messages: 256,
            outbox_bytes: MIB,
            write_timeout: Duration::from_secs(10),
            recovery_max: Some(300),
            idempotency_keys: 100_000,
            durable_subscriptions: Some(1000),
            runs: Some(10),
            memory_mb: Some(2048),
            threads: Some(1000),
        }
    }
}

/// How a dead or idle peer is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Time between pings to a silent peer.
    pub ping_interval: Duration,
    /// Time a peer has to answer one.
    pub pong_timeout: Duration,
    /// When a session that is in no room and sends nothing is closed; `None` is never.
    pub idle_timeout: Option<Duration>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(20),
            idle_timeout: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// Whether and how messages are compressed (RFC 7692).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Whether it is agreed on with clients that offer it.
    pub enabled: bool,
    /// Messages of fewer bytes are sent as they are, 1 to 16 MiB.
    pub min_bytes: usize,
    /// Whether messages may refer to earlier ones, which costs memory for each connection.
    pub takeover: bool,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: KIB,
            takeover: false,
        }
    }
}

/// How durable rooms are kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// What an acknowledged publication survives.
    pub durability: Durability,
    /// Publications that may wait for the disk, 1 to a million.
    pub queue: usize,
}

/// What an acknowledged publication of a durable room survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it comes.
    Process,
    /// The end of the machine's power as well.
    Power,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            queue: 4096,
        }
    }
}

/// How replies to the commands of projects are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyNames {
    /// As the command: `project_join`.
    #[default]
    Echo,
    /// As what has happened: `project_joined`.
    Past,
}

/// What is logged, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged; never `Off`.
    pub level: log::LevelFilter,
    /// The file to append to; `None` is standard error.
    pub file: Option<PathBuf>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: log::LevelFilter::Info,
            file: None,
        }
    }
}

/// Makes the configuration of what was written, starting from the defaults.
pub(super) fn meaning(
    raw: &Raw,
    sources: &Sources<'_>,
    faults: &mut Faults,
    warnings: &mut Vec<Warning>,
) -> Config {
    let mut config = Config {
        insecure: sources.flags.insecure,
        insecure_runs: sources.flags.insecure_runs,
        ..Config::default()
    };
    for key in keys() {
        if let Some(written) = raw.values.get(key.name) {
            apply(key, key.name, written, &mut config, faults);
        }
    }
    tls::fill(&mut config.server, raw, sources.files, faults, warnings);
    credentials::fill(&mut config.auth, raw, sources.files, faults, warnings);
    webhooks::fill(&mut config.webhooks, raw, sources.files, faults, warnings);
    socketio::require(&config.socketio, raw, faults);
    emitters::require(&config.emitters, raw, faults);
    config.projects.home = agents::home(sources.environment);
    config.agents = agent_tables::agents(raw, faults);
    config.rooms = namespaces(raw, config.server.strict_rooms, faults);
    require_for_mode(&config, raw, faults);
    config
}

/// Refuses what the mode makes dangerous, whether it was written or is in force from before.
pub(super) fn require_for_mode(config: &Config, raw: &Raw, faults: &mut Faults) {
    match config.auth.mode {
        AuthMode::Open => {
            require_loopback(config, raw, faults);
            require_named_origins(config, raw, faults);
        }
        AuthMode::Token => {}
    }
}

/// Where the value of `key` comes from.
fn origin<'a>(key: &str, raw: &'a Raw) -> &'a str {
    let written = raw.values.get(key);
    written.map_or("in force since the start", |written| &written.origin)
}

/// Puts what was written under `key` where it belongs in `target`.
pub(super) fn apply<T>(
    key: &Key<T>,
    name: &str,
    written: &Written,
    target: &mut T,
    faults: &mut Faults,
) {
    if let Err(problems) = key.apply(target, &written.value) {
        for problem in problems {
            faults.add(name, &written.origin, problem);
        }
    }
}

fn namespaces(raw: &Raw, strict: bool, faults: &mut Faults) -> Namespaces {
    let mut base = NamespaceOptions::default();
    if let Some(table) = raw.namespaces.get(BASE) {
        apply_namespace(BASE, table, &mut base, faults);
    }
    let mut configured = BTreeMap::new();
    for (name, table) in raw.namespaces.iter().filter(|(name, _)| *name != BASE) {
        let mut options = NamespaceOptions::starting_from(&base, name);
        apply_namespace(name, table, &mut options, faults);
        configured.insert(name.clone(), options);
    }
    Namespaces::new(&base, configured, strict)
}

fn apply_namespace(
    namespace: &str,
    table: &BTreeMap<&'static str, Written>,
    options: &mut NamespaceOptions,
    faults: &mut Faults,
) {
    for key in NAMESPACE_KEYS {
        if let Some(written) = table.get(key.name) {
            let name = ROOMS.full(namespace, key.name);
            apply(key, &name, written, options, faults);
        }
    }
    let mut refuse = |keys: &[&str], problem| {
        // What is inherited is a fault of the table that it is inherited from.
        if let Some((key, written)) = keys.iter().find_map(|key| table.get_key_value(key)) {
            faults.add(&ROOMS.full(namespace, key), &written.origin, problem);
        }
    };
    if options.slow_consumer == SlowConsumer::Lag && options.history_count == 0 {
        refuse(
            &["slow_consumer", "history_count"],
            "\"lag\" sends slow members what they missed from the history, and history_count is \
             0; raise it, or choose another policy",
        );
    }
    if options.join_leave && !options.presence {
        refuse(
            &["join_leave", "presence"],
            "join_leave tells members who is in the room, and presence = false lets nobody know; \
             choose one",
        );
    }
    if options.durable && options.history_count == 0 {
        refuse(
            &["durable", "history_count"],
            "durable rooms keep their history on disk, and history_count is 0; raise it, or leave \
             them in memory",
        );
    }
    let is_paced = !options.min_interval.is_zero() && options.slow_consumer != SlowConsumer::Latest;
    if is_paced && namespace != BASE {
        refuse(
            &["min_interval"],
            "has an effect only with slow_consumer = \"latest\"",
        );
    }
}

/// In the open mode whoever reaches the server may do anything, so it stays on this machine unless
/// the operator insists.
fn require_loopback(config: &Config, raw: &Raw, faults: &mut Faults) {
    if config.insecure {
        return;
    }
    let key = "server.listen";
    for address in &config.server.listen {
        if !address.ip().to_canonical().is_loopback() {
            let problem = format!(
                "{address} can be reached from other machines; that needs auth (auth.mode is \
                 \"open\") or the flag --insecure"
            );
            faults.add(key, origin(key, raw), problem);
        }
    }
}

/// In the open mode nothing but the Origin keeps a web page from acting for its visitor.
fn require_named_origins(config: &Config, raw: &Raw, faults: &mut Faults) {
    let key = "server.allowed_origins";
    let is_any = config
        .server
        .allowed_origins
        .iter()
        .any(|origin| origin == "*");
    if is_any {
        let problem = "\"*\" would let every web page its visitor opens drive this server, as the \
                       open mode asks nobody who they are; list the origins";
        faults.add(key, origin(key, raw), problem);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Flags, load, no_files};

    #[test]
    fn every_documented_default_is_the_real_one() {
        let flags = Flags::default();
        let check = |section: &str, key: &str, literal: &str| {
            let text = format!("[{section}]\n{key} = {literal}\n");
            let sources = Sources {
                file: Some(("kinglet.toml", &text)),
                environment: &[],
                flags: &flags,
                files: no_files,
            };
            assert_eq!(
                load(&sources),
                Ok((Config::default(), Vec::new())),
                "{text}"
            );
        };
        let with_default = keys().filter(|key| !key.default.is_empty());
        for key in with_default {
            let (section, short) = key.name.split_once('.').unwrap();
            check(section, short, &key.default_literal());
        }
        for key in NAMESPACE_KEYS {
            check("rooms.default", key.name, &key.default_literal());
        }
        assert_eq!(Config::default().log.file, None);
    }
}
