//! The options of rooms, by namespace.
//!
//! A room asks once, when it is made, and keeps the `Arc`. Invariant: the built-in namespaces are
//! always there, and without `strict_rooms` every name finds options.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits;

/// The namespaces that exist without being configured.
pub(super) const BUILT_IN: [&str; 7] = [
    "agent", "board", "global", "metrics", "project", "system", "user",
];

/// The table whose options are the base of all namespaces.
pub(super) const BASE: &str = "default";

/// Who may publish to a namespace's rooms from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishPolicy {
    /// Whoever has a grant; in the open mode that is anyone.
    Grant,
    /// The room's members.
    Members,
    /// Nobody: only the server and the HTTP API publish.
    Server,
}

/// What happens to a session whose outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowConsumer {
    /// It is closed with 4000 and comes back to recover.
    Close,
    /// The oldest publications of such rooms that wait for it make room for newer ones.
    DropOldest,
    /// It gets the newest publication of the room when it has read on.
    Latest,
    /// It is sent what it missed from the room's history as it reads on.
    Lag,
}

/// The options of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceOptions {
    /// Publications kept for recovery; 0 keeps none.
    pub history_count: usize,
    /// Bytes of publications kept for recovery, above 0.
    pub history_bytes: usize,
    /// How long a publication is kept for recovery, above 0.
    pub history_age: Duration,
    /// Whether publications are on disk before they are acknowledged.
    pub durable: bool,
    /// Who may publish from a session.
    pub publish: PublishPolicy,
    /// Whether it can be asked, and is told the room `system`, who is in a room.
    pub presence: bool,
    /// Whether a room is told which users join and leave it; only with `presence`.
    pub join_leave: bool,
    /// What happens to a session that reads too slowly.
    pub slow_consumer: SlowConsumer,
    /// With [`SlowConsumer::Latest`], the least time between two publications of a room; zero for
    /// none.
    pub min_interval: Duration,
}

impl Default for NamespaceOptions {
    fn default() -> Self {
        Self {
            history_count: 100,
            history_bytes: 1024 * 1024,
            history_age: Duration::from_secs(5 * 60),
            durable: false,
            publish: PublishPolicy::Grant,
            presence: true,
            join_leave: false,
            slow_consumer: SlowConsumer::Close,
            min_interval: Duration::ZERO,
        }
    }
}

impl NamespaceOptions {
    /// The options `namespace` starts from, before its own table is applied.
    pub(super) fn starting_from(base: &Self, namespace: &str) -> Self {
        let mut options = base.clone();
        if namespace == "metrics" {
            // A sample replaces the one before it, and only the host can take one.
            options.history_count = 1;
            options.durable = false;
            options.publish = PublishPolicy::Server;
            options.slow_consumer = SlowConsumer::Latest;
        }
        if namespace == "system" {
            // What happens there is told to those who listen, and costs nothing while nobody does.
            options.history_count = 0;
            options.durable = false;
            options.publish = PublishPolicy::Server;
            options.slow_consumer = SlowConsumer::Close;
        }
        options
    }
}

/// The options of all namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces {
    named: BTreeMap<String, Arc<NamespaceOptions>>,
    /// Of every other namespace; `None` with `strict_rooms`.
    others: Option<Arc<NamespaceOptions>>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self::new(&NamespaceOptions::default(), BTreeMap::new(), false)
    }
}

impl Namespaces {
    /// The configured namespaces and the built-in ones that are not configured.
    pub(super) fn new(
        base: &NamespaceOptions,
        configured: BTreeMap<String, NamespaceOptions>,
        strict: bool,
    ) -> Self {
        let mut named: BTreeMap<String, Arc<NamespaceOptions>> = BUILT_IN
            .iter()
            .map(|name| {
                let options = NamespaceOptions::starting_from(base, name);
                ((*name).to_owned(), Arc::new(options))
            })
            .collect();
        named.extend(
            configured
                .into_iter()
                .map(|(name, options)| (name, Arc::new(options))),
        );
        Self {
            named,
            others: (!strict).then(|| Arc::new(base.clone())),
        }
    }

    /// The options of `namespace`: a room name's part before its first `:`, or a whole name that
    /// has none (the room `metrics` has the options of the namespace `metrics`). `None` only with
    /// `strict_rooms`, for a namespace that is neither built in nor configured.
    #[must_use]
    pub fn options(&self, namespace: &str) -> Option<&Arc<NamespaceOptions>> {
        self.named.get(namespace).or(self.others.as_ref())
    }

    /// The options of the room called `room`; see [`Namespaces::options`].
    #[must_use]
    pub fn options_of_room(&self, room: &str) -> Option<&Arc<NamespaceOptions>> {
        let namespace = room.split_once(':').map_or(room, |(before, _)| before);
        self.options(namespace)
    }

    /// The options of a registered project's room: durable, whatever its namespace says, and kept
    /// by runs ([`limits::RUNS_KEPT`]), not by count or age.
    #[must_use]
    pub fn of_projects(&self) -> NamespaceOptions {
        let named = self.named.get("project").or(self.others.as_ref());
        NamespaceOptions {
            history_count: usize::MAX,
            history_bytes: limits::PROJECT_BYTES,
            history_age: Duration::MAX,
            durable: true,
            slow_consumer: SlowConsumer::Lag,
            ..named.map_or_else(NamespaceOptions::default, |options| (**options).clone())
        }
    }

    /// Whether some namespace's rooms are kept on disk.
    #[must_use]
    pub fn any_durable(&self) -> bool {
        let mut all = self.named.values().chain(&self.others);
        all.any(|options| options.durable)
    }

    /// Goes by what `other` says of which rooms are kept on disk. A namespace that it does not name
    /// is as all others there. True if that changes anything.
    pub(super) fn keep_durable(&mut self, other: &Self) -> bool {
        let base = other.others.as_ref();
        let is_durable = |name: &str| {
            let options = other.named.get(name).or(base);
            options.is_some_and(|options| options.durable)
        };
        let mut changes = false;
        let mut keep = |options: &mut Arc<NamespaceOptions>, durable| {
            if options.durable != durable {
                Arc::make_mut(options).durable = durable;
                changes = true;
            }
        };
        for (name, options) in &mut self.named {
            keep(options, is_durable(name));
        }
        // Rooms of a namespace that is not named any more take what is said of all others, whose
        // own namespace may have been another kind; they keep what they were made as.
        if let (Some(options), Some(base)) = (&mut self.others, base) {
            keep(options, base.durable);
        }
        changes
    }

    /// The namespaces whose options are not those in `other`; `default` stands for all that are
    /// not named.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self
            .named
            .keys()
            .chain(other.named.keys())
            .map(|name| &**name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| self.options(name) != other.options(name));
        if let (Some(ours), Some(others)) = (&self.others, &other.others)
            && ours != others
        {
            names.push(BASE);
        }
        names
    }

    /// The names of the built-in and configured namespaces, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_room_without_a_colon_is_its_own_namespace() {
        let namespaces = Namespaces::default();
        for (room, history_count) in [
            ("metrics", 1),
            ("metrics:cpu", 1),
            ("system", 0),
            ("global", 100),
            ("", 100),
        ] {
            let options = namespaces.options_of_room(room).unwrap();
            assert_eq!(options.history_count, history_count, "{room}");
        }
    }

    #[test]
    fn strict_rooms_know_built_in_and_configured_namespaces_only() {
        let base = NamespaceOptions::default();
        let chat = BTreeMap::from([("chat".to_owned(), base.clone())]);
        let namespaces = Namespaces::new(&base, chat, true);
        for known in ["chat", "chat:1", "global", "project:7"] {
            assert!(namespaces.options_of_room(known).is_some(), "{known}");
        }
        for unknown in ["", "default", "other", "other:chat", "chat2:1"] {
            assert_eq!(namespaces.options_of_room(unknown), None, "{unknown}");
        }
        assert_eq!(namespaces.names().count(), BUILT_IN.len() + 1);
    }
}
