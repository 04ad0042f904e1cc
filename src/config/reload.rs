//! What of a new configuration a running server can take, and what it cannot.
//!
//! Invariants: the result is the new configuration but for the rows of [`AT_START`], which stay as
//! they are, and with another mode those of [`WITH_MODE`]; each changed key is named once, as
//! applied or as waiting for a restart. What is written and what comes of it are both faultless.

use super::key::{Key, Kind};
use super::keys::keys;
use super::raw::Raw;
use super::settings::{Config, require_for_mode};
use super::tls::{self, TlsFiles};
use super::{Faults, Sources, Warning, load_raw, webhooks};

/// A new configuration as far as a running server can take it.
#[derive(Debug)]
pub struct Reload {
    /// What to go by from now on.
    pub config: Config,
    /// What it will be after a restart.
    pub written: Config,
    /// What the operator should know all the same.
    pub warnings: Vec<Warning>,
    /// Keys whose new values are in `config`.
    pub applied: Vec<String>,
    /// Keys whose new values wait for a restart.
    pub needs_restart: Vec<&'static str>,
}

/// A key whose value can stay as it was when the server started.
pub(super) struct AtStart {
    pub(super) key: &'static str,
    is_same: fn(&Config, &Config) -> bool,
    keep: fn(&mut Config, &Config),
}

/// Every key that is looked at when the server starts, and not again.
static AT_START: [AtStart; 11] = [
    AtStart {
        key: "server.listen",
        is_same: |old, new| old.server.listen == new.server.listen,
        keep: |new, old| new.server.listen.clone_from(&old.server.listen),
    },
    AtStart {
        key: "server.data_dir",
        is_same: |old, new| old.server.data_dir == new.server.data_dir,
        keep: |new, old| new.server.data_dir.clone_from(&old.server.data_dir),
    },
    AtStart {
        key: "server.reactors",
        is_same: |old, new| old.server.reactors == new.server.reactors,
        keep: |new, old| new.server.reactors = old.server.reactors,
    },
    AtStart {
        key: "server.workers",
        is_same: |old, new| old.server.workers == new.server.workers,
        keep: |new, old| new.server.workers = old.server.workers,
    },
    // Sessions of the one mode mean nothing in the other.
    AtStart {
        key: "auth.mode",
        is_same: |old, new| old.auth.mode == new.auth.mode,
        keep: |new, old| new.auth.mode = old.auth.mode,
    },
    AtStart {
        key: "limits.idempotency_keys",
        is_same: |old, new| old.limits.idempotency_keys == new.limits.idempotency_keys,
        keep: |new, old| new.limits.idempotency_keys = old.limits.idempotency_keys,
    },
    AtStart {
        key: "store.durability",
        is_same: |old, new| old.store.durability == new.store.durability,
        keep: |new, old| new.store.durability = old.store.durability,
    },
    AtStart {
        key: "store.queue",
        is_same: |old, new| old.store.queue == new.store.queue,
        keep: |new, old| new.store.queue = old.store.queue,
    },
    AtStart {
        key: "emitters.redis_url",
        is_same: |old, new| old.emitters.redis_url == new.emitters.redis_url,
        keep: |new, old| new.emitters.redis_url.clone_from(&old.emitters.redis_url),
    },
    AtStart {
        key: "emitters.channels",
        is_same: |old, new| old.emitters.channels == new.emitters.channels,
        keep: |new, old| new.emitters.channels.clone_from(&old.emitters.channels),
    },
    AtStart {
        key: "log.file",
        is_same: |old, new| old.log.file == new.log.file,
        keep: |new, old| new.log.file.clone_from(&old.log.file),
    },
];

/// What is written for one mode and would be wrong in the other: keys say who may enter only where
/// somebody asks, and any origin may be served only then. They wait with a changed `auth.mode`.
pub(super) static WITH_MODE: [AtStart; 6] = [
    AtStart {
        key: "auth.keys",
        is_same: |old, new| old.auth.keys == new.auth.keys,
        keep: |new, old| new.auth.keys.clone_from(&old.auth.keys),
    },
    AtStart {
        key: "auth.api_keys",
        is_same: |old, new| old.auth.api_keys == new.auth.api_keys,
        keep: |new, old| new.auth.api_keys.clone_from(&old.auth.api_keys),
    },
    AtStart {
        key: "auth.roles",
        is_same: |old, new| old.auth.roles == new.auth.roles,
        keep: |new, old| new.auth.roles.clone_from(&old.auth.roles),
    },
    AtStart {
        key: "auth.allow_query_token",
        is_same: |old, new| old.auth.allow_query_token == new.auth.allow_query_token,
        keep: |new, old| new.auth.allow_query_token = old.auth.allow_query_token,
    },
    AtStart {
        key: "server.allowed_origins",
        is_same: |old, new| old.server.allowed_origins == new.server.allowed_origins,
        keep: |new, old| {
            let origins = &old.server.allowed_origins;
            new.server.allowed_origins.clone_from(origins);
        },
    },
    AtStart {
        key: "server.allowed_hosts",
        is_same: |old, new| old.server.allowed_hosts == new.server.allowed_hosts,
        keep: |new, old| {
            let hosts = &old.server.allowed_hosts;
            new.server.allowed_hosts.clone_from(hosts);
        },
    },
];

/// Whether the key called `name` is looked at only when the server starts.
pub(super) fn is_at_start(name: &str) -> bool {
    AT_START.iter().any(|row| row.key == name)
}

/// Reads all sources again, for a server that goes by `current`.
///
/// # Errors
/// Every fault of every source at once; nothing of it is to be used then.
pub fn reload(current: &Config, sources: &Sources<'_>) -> Result<Reload, Faults> {
    let (raw, written, warnings) = load_raw(sources)?;
    let mut config = written.clone();
    let mut needs_restart = Vec::new();
    let mode_changes = current.auth.mode != written.auth.mode;
    let with_mode = WITH_MODE.iter().filter(|_| mode_changes);
    for row in AT_START.iter().chain(with_mode) {
        if !(row.is_same)(current, &written) {
            needs_restart.push(row.key);
            (row.keep)(&mut config, current);
        }
    }
    let tls_changes = current.server.tls.is_on() != written.server.tls.is_on();
    if tls_changes {
        // Everybody would have to come by another URL.
        config.server.tls.clone_from(&current.server.tls);
    }
    // Its rooms' streams are on disk, or are not.
    if config.rooms.keep_durable(&current.rooms) {
        needs_restart.push("rooms.*.durable");
    }
    let mut faults = Faults::default();
    require_for_mode(&config, &raw, &mut faults);
    if !faults.0.is_empty() {
        return Err(faults);
    }
    if tls_changes {
        let keys = keys().filter(|key| tls::KEYS.contains(&key.name));
        let changed = keys.filter(|key| differs(key, &raw, current));
        needs_restart.extend(changed.map(|key| key.name));
    }
    let mut applied: Vec<String> = keys()
        .filter(|key| !needs_restart.contains(&key.name) && differs(key, &raw, current))
        .map(|key| key.name.to_owned())
        .collect();
    let files = |config: &Config| config.server.tls.files.clone();
    let contents = |files: &TlsFiles| {
        (
            files.certificates.content.clone(),
            files.key.content.clone(),
        )
    };
    let (old, new) = (files(current), files(&config));
    let is_renewed = old.as_ref().map(contents) != new.as_ref().map(contents);
    if is_renewed && !applied.iter().any(|key| key == "server.tls.cert") {
        applied.push("server.tls.cert".to_owned());
    }
    let auth = [
        ("auth.keys", current.auth.keys == config.auth.keys),
        (
            "auth.api_keys",
            current.auth.api_keys == config.auth.api_keys,
        ),
        ("auth.roles", current.auth.roles == config.auth.roles),
    ];
    let changed = auth.iter().filter(|(_, is_same)| !is_same);
    applied.extend(changed.map(|(name, _)| (*name).to_owned()));
    let roots = "projects.roots";
    if config.projects.roots != current.projects.roots && !applied.iter().any(|key| key == roots) {
        // Taking it out again is a change, too.
        applied.push(roots.to_owned());
    }
    applied.extend(webhooks::changed(
        &config.webhooks,
        &current.webhooks,
        &applied,
    ));
    let agents = config.agents.differing(&current.agents);
    applied.extend(agents.iter().map(|name| format!("agents.{name}")));
    let namespaces = config.rooms.differing(&current.rooms);
    applied.extend(namespaces.iter().map(|name| format!("rooms.{name}")));
    Ok(Reload {
        config,
        written,
        warnings,
        applied,
        needs_restart,
    })
}

/// Whether the value that `raw` gives to a key is not the one in force.
fn differs(key: &Key<Config>, raw: &Raw, current: &Config) -> bool {
    if matches!(key.kind, Kind::Tables(_)) {
        // These are compared whole.
        return false;
    }
    let value = match raw.values.get(key.name) {
        Some(written) => Some(written.value.clone()),
        None => format!("key = {}", key.default_literal())
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("key")),
    };
    let mut probe = current.clone();
    value.is_some_and(|value| key.apply(&mut probe, &value).is_ok() && probe != *current)
}
