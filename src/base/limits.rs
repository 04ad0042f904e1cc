//! Fixed limits: what the config does not set, each with its reason.
//!
//! What an operator may want to change is in `config`; these are the bounds that keep a turn short
//! and a structure small whatever the config says.

use std::time::Duration;

/// Bytes read from one connection per turn, and the size of a reactor's scratch buffer. 64 KiB
/// holds a burst of small messages, and one greedy sender costs the others some 20 µs.
pub const READ_BYTES_PER_TURN: usize = 64 * 1024;

/// Bytes written to one connection per turn (Redis writes 64 KiB per client and event; we write
/// larger because one writev gathers shared frames without a copy).
pub const WRITE_BYTES_PER_TURN: usize = 256 * 1024;

/// Pieces gathered into one writev, of which a peer may get several a turn (IOV_MAX is 1,024 on
/// Linux and macOS; 64 fit on the stack).
pub const WRITE_PIECES: usize = 64;

/// Bytes that the kernel queues for a peer whose window is full, beyond what is on its way.
/// Enough for a turn's worth of small messages, small enough that the outbox's policy, not the
/// kernel's memory, decides about a slow reader.
pub const UNSENT_BYTES: u32 = 64 * 1024;

/// How long the kernel lets a peer acknowledge nothing of what was sent. Whoever is pinged shows
/// within that time whether it is there; this is for those that are only sent to.
pub const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);

/// Events taken from one poll.
pub const EVENTS_PER_TURN: usize = 1024;

/// Pieces of mail taken from the mailbox per turn.
pub const MAIL_PER_TURN: usize = 1024;

/// Connections accepted per turn; the rest wait in the kernel's backlog.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Connections that have not finished their first request; above it accepting waits.
pub const HANDSHAKES_IN_PROGRESS: usize = 4096;

/// Listen backlog: a reconnect storm of a small server waits here instead of being refused. The
/// kernel clamps it to net.core.somaxconn.
pub const LISTEN_BACKLOG: i32 = 4096;

/// How long accepting rests after EMFILE, ENFILE, ENOBUFS or ENOMEM.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(250);

/// Pieces of mail a shard's mailbox holds; when full, workers wait and HTTP publishes answer 503.
pub const MAILBOX_MAIL: usize = 16 * 1024;

/// Jobs that wait for a worker; when full, the session that has one pauses.
pub const WORKER_JOBS: usize = 1024;

/// Length of a deadline tick. Timeouts are seconds long; a tick keeps 10,000 peers in few buckets.
pub const TICK: Duration = Duration::from_millis(64);

/// How long a peer may take to answer our Close frame before it is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection that we have finished with is read and discarded, so that our last bytes
/// are not destroyed by a reset (RFC 9112 section 9.6).
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Input discarded after a refusal at accept before the connection is cut.
pub const REFUSAL_DRAIN_BYTES: usize = 16 * 1024;

/// How often an event stream gets a comment if nothing else is sent: proxies give up what is silent
/// for a minute (nginx), and a dead client shows by what it does not acknowledge.
pub const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// How long an HTTP connection may rest between two requests (nginx: 75 s, Node: 5 s).
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Rooms one publish may name (Pusher's bound on channels of one event).
pub const ROOMS_PER_PUBLISH: usize = 100;

/// Rooms one subscribe or unsubscribe may name; each gets a reply of its own.
pub const ROOMS_PER_SUBSCRIBE: usize = 100;

/// Sessions one publish may leave out: every recipient is looked up among them.
pub const EXCEPT_SESSIONS: usize = 100;

/// Bytes of a publication's source, which is repeated to every recipient.
pub const SOURCE_BYTES: usize = 255;

/// Commands one batch may hold.
pub const BATCH_COMMANDS: usize = 100;

/// Bytes of a message from a session that has not shown its token: a token has at most as many.
pub const FIRST_MESSAGE_BYTES: usize = 8 * 1024 + 256;

/// Bytes of a message of a device, of which the clients of P4 send some 50, and of Socket.IO, as in
/// the libraries.
pub const DEVICE_MESSAGE_BYTES: usize = 1_000_000;

/// Channels of a device that are no rooms: twice as many as any version of P4 has.
pub const DEVICE_CHANNELS: usize = 16;

/// Bytes of a channel's name: as many as of a room's.
pub const DEVICE_CHANNEL_BYTES: usize = 255;

/// How long a session may stay after its token has expired, for a newer one to arrive.
pub const TOKEN_GRACE: Duration = Duration::from_secs(25);

/// Depth of arrays and objects in published data (serde_json reads values 127 deep, and ours stand
/// one level inside a message).
pub const JSON_DEPTH: usize = 126;

/// Errors in a row after which a session is closed with 4503.
pub const ERRORS_IN_A_ROW: u8 = 10;

/// Publications or rooms in one page of an answer.
pub const PAGE: usize = 300;

/// Publications of a durable room that are in memory as well: what one recovery may need.
pub const DURABLE_IN_MEMORY: usize = PAGE;

/// Bytes of them.
pub const DURABLE_BYTES_IN_MEMORY: usize = 256 * 1024;

/// Requests that are written to the disk as one transaction.
pub const STORE_BATCH: usize = 512;

/// How long a durable subscription is kept that nobody subscribes to or acknowledges.
pub const SUBSCRIPTION_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How often the server's resources are looked at.
pub const MONITOR_INTERVAL: Duration = Duration::from_secs(30);

/// How often while one is over its limit; whoever is refused comes back after as long.
pub const MONITOR_RECHECK: Duration = Duration::from_secs(5);

/// How long a program may take to say its version.
pub const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the store looks for histories that are too old, when nothing else is to do.
pub const STORE_SWEEP: Duration = Duration::from_secs(1);

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_AGE: Duration = Duration::from_secs(5 * 60);

/// Bytes of an idempotency key (a UUID has 36; RFC drafts suggest no more than 255).
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Sessions listed by /api/v1/ws/stats.
pub const STATS_SESSIONS: usize = 1000;

/// Rooms listed by /api/v1/websocket/stats.
pub const STATS_ROOMS: usize = 1000;

/// Sessions of a room that are listed when somebody asks who is in it; of a larger room only the
/// counts are told.
pub const PRESENCE_MEMBERS: usize = 1000;

/// Bytes of the claim `info` of a token, which is told of each of its sessions.
pub const INFO_BYTES: usize = 1024;

/// How long it must last that somebody came or went, or a room was occupied or vacated, before it
/// is told: a page that is loaded anew is back sooner.
pub const CHANGE_LASTS: Duration = Duration::from_secs(1);

/// Such changes on one shard that wait for that; above it the oldest is told before its time.
pub const CHANGES: usize = 64 * 1024;

/// Such changes told per turn.
pub const CHANGES_PER_TURN: usize = 128;

/// Addresses whose rates are remembered; the oldest are forgotten first.
pub const RATE_ADDRESSES: usize = 10_000;

/// Users and API keys whose rates are remembered; who was silent the longest is forgotten first.
pub const RATE_USERS: usize = 10_000;

/// Connections from loopback, above the limit on connections, for health checks and
/// administration: whoever operates a full server must still reach it.
pub const RESERVED_CONNECTIONS: usize = 8;

/// Descriptors kept for those connections and for files opened meanwhile.
pub const RESERVED_DESCRIPTORS: usize = 16;

/// Refused connections that are still being told so; above it they are just closed.
pub const REFUSALS: usize = 256;

/// How long accepting waits for handshakes in progress on other shards, which wake nobody.
pub const HANDSHAKES_RECHECK: Duration = Duration::from_millis(10);

/// Sessions of one shard that may have compression contexts of their own, which take some 350 KiB
/// each; those after them are served without.
pub const SESSIONS_WITH_CONTEXTS: usize = 1000;

/// How long drained shutdown closes are spread: at least this many sessions a second.
pub const DRAIN_CLOSES_PER_SECOND: u32 = 1000;

/// TLS handshakes that are moved on per turn of a reactor. One costs 0.1 ms (ECDSA) to 1 ms (RSA),
/// so those who are connected wait no longer than that many times for those who connect.
pub const TLS_HANDSHAKES_PER_TURN: usize = 8;

/// Bytes encrypted at a time, when the socket has taken all that was encrypted before: two records,
/// which are what waits for a reader that stops, beside its outbox.
pub const TLS_SEALED_BYTES: usize = 32 * 1024;

/// Bytes received over TLS that cannot be used yet: a record has 18 KiB at most (RFC 5246 section
/// 6.2.3), and a handshake message in parts of records is shorter than the rest.
pub const TLS_UNUSED_BYTES: usize = 32 * 1024;

/// Runs that are kept of a project, with all they said; the oldest goes when another one ends.
pub const RUNS_KEPT: usize = 100;

/// Bytes of publications that are kept of a project.
pub const PROJECT_BYTES: usize = 1 << 30;

/// Messages that a page of what was said in a project has at most.
pub const MESSAGES: usize = 1000;

/// Bytes of a project's path.
pub const PATH_BYTES: usize = 4096;

/// Bytes of what people call a project.
pub const PROJECT_NAME_BYTES: usize = 255;

/// Requests to the executor that may wait.
pub const EXECUTOR_REQUESTS: usize = 1024;
