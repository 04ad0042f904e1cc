//! Every key of the configuration, one row each, but those of namespaces and
//! agents (`namespace_keys.rs`, `agent_keys.rs`), of Socket.IO (`socketio_keys.rs`), and of how the
//! server is operated (`operation_keys.rs`).
//!
//! A row says how its value is read, where it goes and what it is for. The loader, the suggestions
//! for misspelt keys and the reference in docs/configuration.md are made from these rows; a test
//! holds each documented default to `Config::default()`.

use std::path::PathBuf;

use super::agents::{self, Busy};
use super::auth::AuthMode;
use super::key::{BILLION, Choice, Key, Kind};
use super::operation_keys::OF_OPERATION;
use super::settings::{Config, Durability, ReplyNames};
use super::socketio_keys::OF_SOCKETIO;
use super::value;
use crate::base::network::Network;

pub(super) const KIB: usize = 1 << 10;
pub(super) const MIB: usize = 1 << 20;
pub(super) const GIB: usize = 1 << 30;

/// A key that may be 0.
pub(super) const fn key<T>(
    name: &'static str,
    kind: Kind<T>,
    default: &'static str,
    doc: &'static str,
) -> Key<T> {
    Key {
        name,
        kind,
        default,
        doc,
        never_zero: None,
    }
}

/// The same key, which refuses 0 and says `why`.
pub(super) const fn never_zero<T>(why: &'static str, mut key: Key<T>) -> Key<T> {
    key.never_zero = Some(why);
    key
}

/// A word that can be chosen now.
pub(super) const fn choice<T>(word: &'static str, set: fn(&mut T)) -> Choice<T> {
    Choice {
        word,
        set: Some(set),
    }
}

pub(super) const fn later<T>(word: &'static str) -> Choice<T> {
    Choice { word, set: None }
}

/// All keys but those of namespaces and agents, section by section.
pub(super) fn keys() -> impl Iterator<Item = &'static Key<Config>> {
    let of_serving = OF_SERVING.iter().chain(OF_SOCKETIO);
    of_serving.chain(OF_OPERATION)
}

/// Whom the server serves and how.
static OF_SERVING: &[Key<Config>] = &[
    key(
        "server.listen",
        Kind::Listen(|c, v| c.server.listen = v),
        "127.0.0.1:8080",
        "Addresses to listen on, IPv6 in brackets; `localhost` is 127.0.0.1; port 0 lets the \
         system choose. Without auth only loopback addresses are accepted, unless `--insecure` is \
         given.",
    ),
    key(
        "server.data_dir",
        Kind::Path(|c, v| c.server.data_dir = v),
        "./kinglet-data",
        "The directory of the server's own files; made when it is needed, for its owner alone.",
    ),
    key(
        "server.tls.cert",
        Kind::Path(|c, v| c.server.tls.cert = Some(v)),
        "",
        "The server's certificate as PEM, then those that vouch for it: with it and `tls.key` \
         every address speaks https and wss, see [tls.md](tls.md). SIGHUP reads the files again; \
         turning TLS on or off waits for a restart.",
    ),
    key(
        "server.tls.key",
        Kind::Path(|c, v| c.server.tls.key = Some(v)),
        "",
        "The certificate's private key as PEM, RSA, ECDSA or Ed25519, not encrypted.",
    ),
    key(
        "server.tls.self_signed",
        Kind::Flag(|c, v| c.server.tls.self_signed = v),
        "false",
        "In place of the two files: a certificate that the server makes for this machine's names, \
         its addresses in `listen` and `allowed_hosts`, and keeps in `data_dir`. For development.",
    ),
    never_zero(
        "without one nobody is served",
        key(
            "server.reactors",
            Kind::Count(1, 64, |c, v| c.server.reactors = Some(v)),
            "",
            "Event loops, each a thread with its share of the sessions. By default one on machines \
             of up to 4 cores, half of the cores on larger ones.",
        ),
    ),
    never_zero(
        "without one, history and statistics would never be answered",
        key(
            "server.workers",
            Kind::Count(1, 64, |c, v| c.server.workers = v),
            "2",
            "Threads for jobs that can block.",
        ),
    ),
    key(
        "server.allowed_origins",
        Kind::List(value::origin, |c, v| c.server.allowed_origins = v),
        "[]",
        "Web pages of other sites that may connect, each exactly `scheme://host` or \
         `scheme://host:port`; in token mode also `*` for all. Pages from the server's own host \
         and port always may.",
    ),
    key(
        "server.allowed_hosts",
        Kind::List(value::host, |c, v| c.server.allowed_hosts = v),
        "[]",
        "Names this server is called by, without port, beside loopback and the listen address; a \
         request for another host is answered 421. In token mode any host will do unless some are \
         listed.",
    ),
    key(
        "server.trusted_proxies",
        Kind::List(value::network, |c, v| {
            c.server.trusted_proxies = v.iter().filter_map(|text| Network::parse(text)).collect();
        }),
        "[\"127.0.0.0/8\", \"::1\"]",
        "Addresses or blocks of proxies in front of the server. What they say in X-Forwarded-For \
         and X-Forwarded-Host is believed; nobody else's is read.",
    ),
    key(
        "server.strict_rooms",
        Kind::Flag(|c, v| c.server.strict_rooms = v),
        "false",
        "Whether rooms outside built-in and configured namespaces are refused.",
    ),
    never_zero(
        "without time nobody could be told that the server goes",
        key(
            "server.shutdown_timeout",
            Kind::Time(|c, v| c.server.shutdown_timeout = v),
            "30s",
            "How long a shutdown may take before what is left is cut.",
        ),
    ),
    key(
        "auth.mode",
        Kind::Choice(&[
            choice("open", |c: &mut Config| c.auth.mode = AuthMode::Open),
            choice("token", |c| c.auth.mode = AuthMode::Token),
        ]),
        "open",
        "Who may connect. `open`: whoever reaches the server, and only loopback addresses reach \
         it. `token`: whoever has a token or an API key, see [access.md](access.md).",
    ),
    key(
        "auth.keys",
        Kind::Tables("tables"),
        "[]",
        "Keys that tokens are signed with, each `{algorithm, secret_file}` for HS256, HS384 and \
         HS512 (or `secret` itself), `{algorithm, public_key_file}` for RS256, ES256 and EdDSA.",
    ),
    key(
        "auth.api_keys",
        Kind::Tables("tables"),
        "[]",
        "Keys of backends, each `{name, key_file, grants}` (or `key` itself). `grants` is \
         `{role}` or `{rooms = [{pattern, allow}]}`; a key without it may do everything.",
    ),
    key(
        "auth.roles",
        Kind::Tables("tables by name"),
        "{}",
        "Roles beside admin, user, agent and readonly, or in place of the latter three, each \
         `{rooms = [{pattern, allow}]}`.",
    ),
    key(
        "auth.allow_query_token",
        Kind::Flag(|c, v| c.auth.allow_query_token = v),
        "false",
        "Whether a token may come in the query, `?token=`, where proxies log it.",
    ),
    key(
        "limits.connections",
        Kind::Limit(|c, v| c.limits.connections = v),
        "10000",
        "Open connections.",
    ),
    key(
        "limits.connections_per_ip",
        Kind::Limit(|c, v| c.limits.connections_per_ip = v),
        "10",
        "Open connections of one client address; an IPv6 client is its /64. Loopback is exempt; \
         behind a trusted proxy the client's WebSockets count.",
    ),
    key(
        "limits.new_connections_per_minute",
        Kind::Limit(|c, v| c.limits.new_connections_per_minute = v),
        "60",
        "New connections a minute of one client address, counted as `connections_per_ip`.",
    ),
    never_zero(
        "without it whoever sends nothing would hold a connection for ever",
        key(
            "limits.handshake_timeout",
            Kind::Time(|c, v| c.limits.handshake_timeout = v),
            "10s",
            "Time from accept to the end of the first request.",
        ),
    ),
    never_zero(
        "it guards memory, so it cannot be lifted",
        key(
            "limits.head_bytes",
            Kind::Size(KIB, MIB, |c, v| c.limits.head_bytes = v),
            "16KiB",
            "A request's line and headers.",
        ),
    ),
    never_zero(
        "every request has at least its Host",
        key(
            "limits.headers",
            Kind::Count(1, 1000, |c, v| c.limits.headers = v),
            "100",
            "Header fields of a request.",
        ),
    ),
    never_zero(
        "it guards memory, so it cannot be lifted",
        key(
            "limits.message_bytes",
            Kind::Size(KIB, 16 * MIB, |c, v| c.limits.message_bytes = v),
            "1MiB",
            "A message or request body.",
        ),
    ),
    key(
        "limits.fragments",
        Kind::Limit(|c, v| c.limits.fragments = v),
        "4096",
        "Frames one message may come in.",
    ),
    key(
        "limits.rooms",
        Kind::Limit(|c, v| c.limits.rooms = v),
        "100000",
        "Rooms that exist at a time.",
    ),
    key(
        "limits.rooms_per_session",
        Kind::Limit(|c, v| c.limits.rooms_per_session = v),
        "128",
        "Rooms one session may be in; a user's own comes besides.",
    ),
    key(
        "limits.messages_per_second",
        Kind::Limit(|c, v| c.limits.messages_per_second = v),
        "50",
        "Messages a second one session may send over time; reading pauses above it.",
    ),
    never_zero(
        "without one no message could ever be taken",
        key(
            "limits.message_burst",
            Kind::Count(1, BILLION, |c, v| c.limits.message_burst = v),
            "100",
            "Messages one session may send at once.",
        ),
    ),
    key(
        "limits.api_requests_per_second",
        Kind::Limit(|c, v| c.limits.api_requests_per_second = v),
        "1000",
        "HTTP API requests a second from one client address; above it they are answered 429.",
    ),
    key(
        "limits.user_requests_per_second",
        Kind::Limit(|c, v| c.limits.user_requests_per_second = v),
        "1000",
        "Commands and HTTP API requests a second over time of one user or API key, over all its \
         sessions and addresses; above it they are refused, see [limits.md](limits.md#rates).",
    ),
    never_zero(
        "without one no command could ever be taken",
        key(
            "limits.user_request_burst",
            Kind::Count(1, BILLION, |c, v| c.limits.user_request_burst = v),
            "2000",
            "Of these, how many at once.",
        ),
    ),
    never_zero(
        "it guards memory, so it cannot be lifted; none would fit no message",
        key(
            "limits.outbox_messages",
            Kind::Count(1, BILLION, |c, v| c.limits.outbox_messages = v),
            "256",
            "Messages that may wait for one session before it counts as slow.",
        ),
    ),
    never_zero(
        "it guards memory, so it cannot be lifted",
        key(
            "limits.outbox_bytes",
            Kind::Size(KIB, GIB, |c, v| c.limits.outbox_bytes = v),
            "1MiB",
            "Bytes that may wait for one session before it counts as slow.",
        ),
    ),
    never_zero(
        "without it one stalled reader would hold memory for ever",
        key(
            "limits.write_timeout",
            Kind::Time(|c, v| c.limits.write_timeout = v),
            "10s",
            "How long a peer may take no byte while some wait for it.",
        ),
    ),
    key(
        "limits.recovery_max",
        Kind::Limit(|c, v| c.limits.recovery_max = v),
        "300",
        "Publications that one recovery brings back; who missed more pages through the history.",
    ),
    never_zero(
        "it guards memory, so it cannot be lifted",
        key(
            "limits.idempotency_keys",
            Kind::Count(1, BILLION, |c, v| c.limits.idempotency_keys = v),
            "100000",
            "Idempotency keys remembered; the oldest make room.",
        ),
    ),
    key(
        "limits.durable_subscriptions",
        Kind::Limit(|c, v| c.limits.durable_subscriptions = v),
        "1000",
        "Positions kept for the durable subscriptions of one user, one for each name and room; in \
         open mode, of all together.",
    ),
    key(
        "limits.runs",
        Kind::Limit(|c, v| c.limits.runs = v),
        "10",
        "Runs that are executed at a time.",
    ),
    key(
        "limits.memory_mb",
        Kind::Limit(|c, v| c.limits.memory_mb = v),
        "2048",
        "Resident memory of the server in MiB, looked at every 30 s; a smaller limit of the \
         server's cgroup counts instead. From 80 % of it the log warns; above it new connections \
         and runs are refused until it is below again.",
    ),
    key(
        "limits.threads",
        Kind::Limit(|c, v| c.limits.threads = v),
        "1000",
        "Threads of the server, looked at and enforced in the same way.",
    ),
    never_zero(
        "without pings nobody would notice a dead peer",
        key(
            "heartbeat.ping_interval",
            Kind::Time(|c, v| c.heartbeat.ping_interval = v),
            "25s",
            "Time between pings to a silent peer.",
        ),
    ),
    never_zero(
        "no peer can answer in no time",
        key(
            "heartbeat.pong_timeout",
            Kind::Time(|c, v| c.heartbeat.pong_timeout = v),
            "20s",
            "Time a peer has to answer a ping.",
        ),
    ),
    key(
        "heartbeat.idle_timeout",
        Kind::TimeLimit(|c, v| c.heartbeat.idle_timeout = v),
        "5m",
        "When a session that is in no room and sends nothing is closed.",
    ),
    key(
        "compression.enabled",
        Kind::Flag(|c, v| c.compression.enabled = v),
        "true",
        "Whether messages are compressed for clients that offer it (permessage-deflate), both ways. \
         In token mode only for those who show their token at the upgrade.",
    ),
    never_zero(
        "an empty message cannot be compressed",
        key(
            "compression.min_bytes",
            Kind::Size(1, 16 * MIB, |c, v| c.compression.min_bytes = v),
            "1KiB",
            "Smaller messages are sent as they are; a packet less is saved by none of them.",
        ),
    ),
    key(
        "compression.takeover",
        Kind::Flag(|c, v| c.compression.takeover = v),
        "false",
        "Whether a message may refer to earlier ones of its connection. That saves more bytes, and \
         costs some 350 KiB of memory for each connection and its own compression of every \
         publication, which is shared otherwise; 1,000 connections of each reactor at most.",
    ),
    key(
        "store.durability",
        Kind::Choice(&[
            choice("process", |c: &mut Config| {
                c.store.durability = Durability::Process;
            }),
            choice("power", |c| c.store.durability = Durability::Power),
        ]),
        "process",
        "What an acknowledged publication of a durable room survives. `process`: the end of the \
         server, however it comes; after the machine itself went down, durable streams begin anew. \
         `power`: that as well, at the price of a write to the disk itself for every batch.",
    ),
    never_zero(
        "nothing could ever wait for the disk",
        key(
            "store.queue",
            Kind::Count(1, 1_000_000, |c, v| c.store.queue = v),
            "4096",
            "Requests that may wait for the disk; those beyond are answered 503, STORE_BUSY.",
        ),
    ),
    key(
        "projects.roots",
        Kind::List(agents::directory, |c, v| {
            c.projects.roots = Some(v.into_iter().map(PathBuf::from).collect());
        }),
        "",
        "Directories that projects may be in, or be; absolute. By default the home directory of \
         the server's user in the open mode, none in token mode.",
    ),
    key(
        "projects.max",
        Kind::Limit(|c, v| c.projects.max = v),
        "100",
        "Projects that exist at a time.",
    ),
    key(
        "projects.busy",
        Kind::Choice(&[
            choice("reject", |c: &mut Config| c.projects.busy = Busy::Reject),
            choice("queue", |c| c.projects.busy = Busy::Queue),
        ]),
        "reject",
        "What happens to a run of a project that has one. `reject`: it is refused, \
         PROCESS_ACTIVE; `queue`: it waits for its turn.",
    ),
    key(
        "protocol.reply_names",
        Kind::Choice(&[
            choice("echo", |c: &mut Config| c.reply_names = ReplyNames::Echo),
            choice("past", |c| c.reply_names = ReplyNames::Past),
        ]),
        "echo",
        "How replies to the commands of projects are called. `echo`: as the command, \
         `project_join`; `past`: as what has happened, `project_joined`.",
    ),
];

/// Keys and whole sections that later versions know.
pub(super) const LATER: &[&str] = &["backplane.url"];

/// The environment variable that sets the key called `name`.
pub(super) fn variable(name: &str) -> String {
    format!("KINGLET_{}", name.replace('.', "__").to_ascii_uppercase())
}
