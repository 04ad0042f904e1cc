//! The keys of each namespace's table, one row each.
//!
//! As in `keys.rs`, from which the rest of the configuration is made.

use super::key::Key;
use super::key::Kind;
use super::keys::{GIB, KIB, choice, key, never_zero};
use super::namespaces::{NamespaceOptions, PublishPolicy, SlowConsumer};

/// The keys of each `[rooms.<namespace>]`.
pub(super) static NAMESPACE_KEYS: &[Key<NamespaceOptions>] = &[
    key(
        "history_count",
        Kind::Count(0, 1_000_000, |o, v| o.history_count = v),
        "100",
        "Publications kept for those who come back; 0 keeps none.",
    ),
    never_zero(
        "it guards memory, so it cannot be lifted; history_count = 0 keeps none",
        key(
            "history_bytes",
            Kind::Size(KIB, GIB, |o, v| o.history_bytes = v),
            "1MiB",
            "Bytes of publications kept.",
        ),
    ),
    never_zero(
        "it guards memory, so it cannot be lifted; history_count = 0 keeps none",
        key(
            "history_age",
            Kind::Time(|o, v| o.history_age = v),
            "5m",
            "How long a publication is kept.",
        ),
    ),
    key(
        "durable",
        Kind::Flag(|o, v| o.durable = v),
        "false",
        "Whether publications are on disk, in `server.data_dir`, before they are acknowledged and \
         delivered, and their history outlives the server: see [durable.md](durable.md). Waits for \
         a restart.",
    ),
    key(
        "publish",
        Kind::Choice(&[
            choice("grant", |o: &mut NamespaceOptions| {
                o.publish = PublishPolicy::Grant;
            }),
            choice("members", |o| o.publish = PublishPolicy::Members),
            choice("server", |o| o.publish = PublishPolicy::Server),
        ]),
        "grant",
        "Which sessions may publish. `grant`: those with a grant, in open mode all; `members`: \
         those in the room; `server`: none, only the HTTP API.",
    ),
    key(
        "presence",
        Kind::Flag(|o, v| o.presence = v),
        "true",
        "Whether those with the right may ask who is in a room, and the room `system` hears when \
         it is occupied and vacated.",
    ),
    key(
        "join_leave",
        Kind::Flag(|o, v| o.join_leave = v),
        "false",
        "Whether a room's members hear, as publications, which users join and leave it (needs \
         `presence`). A change takes effect in a room that nobody is in, or when all have left.",
    ),
    key(
        "slow_consumer",
        Kind::Choice(&[
            choice("close", |o: &mut NamespaceOptions| {
                o.slow_consumer = SlowConsumer::Close;
            }),
            choice("drop_oldest", |o| {
                o.slow_consumer = SlowConsumer::DropOldest;
            }),
            choice("latest", |o| o.slow_consumer = SlowConsumer::Latest),
            choice("lag", |o| o.slow_consumer = SlowConsumer::Lag),
        ]),
        "close",
        "What happens to a session whose outbox is full. `close`: it is closed with 4000 and can \
         come back to recover; `drop_oldest`: the oldest publications that wait make room; \
         `latest`: it gets the room's newest publication when it has read on; `lag`: it gets what \
         it missed from the history when it has read on, and is closed with 4000 only if the \
         history no longer has it (needs a history).",
    ),
    key(
        "min_interval",
        Kind::Pause(|o, v| o.min_interval = v),
        "0",
        "With `slow_consumer = \"latest\"`, the least time between two publications of a room to \
         its members; of those between only the newest is sent.",
    ),
];
