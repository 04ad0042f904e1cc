//! `[socketio]`: where Socket.IO is served, in which namespaces, and how patient it is.
//!
//! Here are the settings and how their texts are read; the rows are in `socketio_keys.rs`.
//! Invariants: a configuration without faults has at least one namespace, none of its lists has an
//! entry twice, and `recovery_namespaces` are among `namespaces`. A running server takes changes at
//! once: who is in a namespace that is gone stays, nobody new is let in.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use toml::Value;

use super::fault::Faults;
use super::raw::Raw;
use super::value::shown;

/// Bytes of a namespace, as on the wire.
const NAMESPACE_BYTES: usize = 255;

/// Bytes of an event's name in `join_events`.
const EVENT_BYTES: usize = 64;

/// Events that `join_events` cannot rename: the libraries raise the first six by themselves, the
/// others have a meaning of their own here.
const TAKEN_EVENTS: [&str; 11] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
    "subscribe",
    "unsubscribe",
    "ping",
    "publish",
    "debug:rooms",
];

/// How Socket.IO is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketIo {
    /// Paths, each beginning with `/` and not ending with one; with none Socket.IO is off.
    pub paths: Vec<String>,
    /// Namespaces, at least one, each beginning with `/`.
    pub namespaces: Arc<[Arc<str>]>,
    /// How long after a pong the next ping is sent, 10 ms to a day.
    pub ping_interval: Duration,
    /// How long a client may take to answer one, 10 ms to a day.
    pub ping_timeout: Duration,
    /// How long a session may be in no namespace.
    pub connect_timeout: Duration,
    /// How long a WebSocket may take to replace polling.
    pub upgrade_timeout: Duration,
    /// How long the attachments of a packet may take.
    pub attachment_timeout: Duration,
    /// Bytes of a message or a polling body, 1 KiB to 16 MiB.
    pub max_payload: usize,
    /// How long a session that lost its connection can be recovered; `None` is off.
    pub recovery: Option<Duration>,
    /// Namespaces whose sessions can be; empty for all.
    pub recovery_namespaces: Vec<String>,
    /// Sessions without a connection that each reactor keeps, at least 1.
    pub recovery_sessions: usize,
    /// Other names of `subscribe` and `unsubscribe`.
    pub join_events: Vec<JoinEvents>,
    /// Sessions at a time; `None` is no limit.
    pub sessions: Option<usize>,
}

/// Two events by which a front end joins and leaves rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinEvents {
    /// What means `subscribe`.
    pub join: String,
    /// What means `unsubscribe`.
    pub leave: String,
}

impl Default for SocketIo {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            paths: vec!["/socket.io".to_owned(), "/ws/socket.io".to_owned()],
            namespaces: Arc::from(["/", "/ws"].map(Arc::from)),
            ping_interval: seconds(25),
            ping_timeout: seconds(20),
            connect_timeout: seconds(45),
            upgrade_timeout: seconds(10),
            attachment_timeout: seconds(10),
            max_payload: 1_000_000,
            recovery: None,
            recovery_namespaces: Vec::new(),
            recovery_sessions: 1000,
            join_events: Vec::new(),
            sessions: Some(10_000),
        }
    }
}

impl SocketIo {
    /// Whether Socket.IO is served at `path`, which may end with a slash.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        self.paths.iter().any(|served| served == path)
    }

    /// How long a lost session of `namespace` can be recovered; `None` if it cannot.
    #[must_use]
    pub fn recovery_in(&self, namespace: &str) -> Option<Duration> {
        let listed = &self.recovery_namespaces;
        let is_meant = listed.is_empty() || listed.iter().any(|name| name == namespace);
        self.recovery.filter(|_| is_meant)
    }
}

/// A path without its last slash.
pub(super) fn path(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    let is_path = path.starts_with('/') && !path.ends_with('/') && path.bytes().all(is_plain);
    is_path.then(|| path.to_owned()).ok_or_else(|| {
        let text = quoted(text);
        format!("{text} is not a path; write one without a query such as \"/socket.io\"")
    })
}

/// A namespace as clients spell it.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let is_name = text.starts_with('/') && !text.contains([',', '?']);
    if is_name && text.len() <= NAMESPACE_BYTES {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not a namespace; write / or a name that begins with it, of at most \
         {NAMESPACE_BYTES} bytes without comma and question mark: \"/chat\"",
        quoted(text)
    ))
}

/// Two events with a slash between.
pub(super) fn join_events(text: &str) -> Result<String, String> {
    let Some(JoinEvents { join, leave }) = JoinEvents::parse(text) else {
        return Err(format!(
            "{} is not two events; write what joins a room and what leaves it, each of 1 to \
             {EVENT_BYTES} bytes: \"join/leave\"",
            quoted(text)
        ));
    };
    match [join, leave].iter().find(|name| is_taken(name)) {
        Some(name) => Err(format!(
            "{} would rename {name}, which has a meaning already; choose another name",
            quoted(text)
        )),
        None => Ok(text.to_owned()),
    }
}

impl JoinEvents {
    /// Reads `join/leave`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| (1..=EVENT_BYTES).contains(&name.len()) && !name.contains('/');
        let (join, leave) = text.split_once('/')?;
        (is_name(join) && is_name(leave)).then(|| Self {
            join: join.to_owned(),
            leave: leave.to_owned(),
        })
    }
}

fn is_taken(name: &str) -> bool {
    TAKEN_EVENTS.contains(&name)
}

fn quoted(text: &str) -> String {
    shown(&Value::String(text.to_owned()))
}

/// Refuses lists that say nothing, or something twice.
pub(super) fn require(socketio: &SocketIo, raw: &Raw, faults: &mut Faults) {
    let mut refuse = |key: &str, problem: String| {
        let origin = raw.values.get(key).map_or("", |written| &written.origin);
        faults.add(key, origin, problem);
    };
    let namespaces: Vec<&str> = socketio.namespaces.iter().map(|name| &**name).collect();
    if namespaces.is_empty() {
        let problem = "the list is empty, so nobody could be let in; write \"/\", or paths = [] to \
                       serve no Socket.IO";
        refuse("socketio.namespaces", problem.to_owned());
    }
    for twice in twice(&socketio.paths) {
        refuse("socketio.paths", twice);
    }
    for twice in twice(&namespaces) {
        refuse("socketio.namespaces", twice);
    }
    let recovered = &socketio.recovery_namespaces;
    for twice in twice(recovered) {
        refuse("socketio.recovery_namespaces", twice);
    }
    let mut recovered = recovered.iter().map(String::as_str);
    if let Some(unknown) = recovered.find(|name| !namespaces.contains(name)) {
        let (name, known) = (quoted(unknown), namespaces.join(", "));
        let problem = format!("{name} is not one of socketio.namespaces: {known}");
        refuse("socketio.recovery_namespaces", problem);
    }
    let pairs = socketio.join_events.iter();
    let names: Vec<&String> = pairs.flat_map(|pair| [&pair.join, &pair.leave]).collect();
    for twice in twice(&names) {
        refuse("socketio.join_events", twice);
    }
}

/// What is said of the entries that are in `list` already.
fn twice<T: Display + PartialEq>(list: &[T]) -> impl Iterator<Item = String> {
    let entries = list.iter().enumerate();
    let repeated = entries.filter(|(index, entry)| list.iter().take(*index).any(|e| e == *entry));
    repeated.map(|(_, entry)| format!("{} is there twice", quoted(&entry.to_string())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags, Sources, load, no_files, reload};

    fn loaded(lines: &str) -> Result<Config, Faults> {
        let text = format!("[socketio]\n{lines}\n");
        let sources = Sources {
            file: Some(("kinglet.toml", &text)),
            environment: &[],
            flags: &Flags::default(),
            files: no_files,
        };
        load(&sources).map(|(config, _)| config)
    }

    fn socketio(lines: &str) -> SocketIo {
        loaded(lines).unwrap().socketio
    }

    #[test]
    fn paths_are_served_with_and_without_their_last_slash() {
        let check = |list: &str, stored: &[&str]| {
            let socketio = socketio(&format!("paths = {list}"));
            assert_eq!(socketio.paths, stored, "{list}");
            for path in stored {
                assert!(socketio.serves(path), "{path}");
                assert!(socketio.serves(&format!("{path}/")), "{path}");
                assert!(!socketio.serves(&format!("{path}//")), "{path}");
                assert!(!socketio.serves(&format!("{path}x")), "{path}");
            }
            assert!(!socketio.serves("/") && !socketio.serves(""), "{list}");
        };
        check("\"/socket.io\"", &["/socket.io"]);
        check("[\"/a/b/\", \"/c\"]", &["/a/b", "/c"]);
        check("[]", &[]);
        assert_eq!(socketio(""), SocketIo::default());
    }

    #[test]
    fn recovery_is_off_or_for_all_namespaces_or_some() {
        let two_minutes = Some(Duration::from_secs(120));
        let check = |lines: &str, main: Option<Duration>, ws: Option<Duration>| {
            let socketio = socketio(lines);
            assert_eq!(socketio.recovery_in("/"), main, "{lines}");
            assert_eq!(socketio.recovery_in("/ws"), ws, "{lines}");
        };
        check("", None, None);
        check("recovery = \"0s\"", None, None);
        check("recovery = \"2m\"", two_minutes, two_minutes);
        check("recovery_namespaces = \"/ws\"", None, None);
        check(
            "recovery = \"2m\"\nrecovery_namespaces = \"/ws\"",
            None,
            two_minutes,
        );
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let found = socketio("namespaces = [\"/\", \"/a b\"]\njoin_events = [\"join/leave\"]");
        assert_eq!(*found.namespaces, [Arc::from("/"), Arc::from("/a b")]);
        let pair = JoinEvents::parse("join/leave").unwrap();
        assert_eq!((&*pair.join, &*pair.leave), ("join", "leave"));
        assert_eq!(found.join_events, [pair]);
        assert_eq!(socketio("sessions = 0").sessions, None);
        assert_eq!(socketio("max_payload = \"2KiB\"").max_payload, 2048);
        let pings = socketio("ping_interval = \"300ms\"\nping_timeout = \"10ms\"");
        assert_eq!(pings.ping_interval, Duration::from_millis(300));
        assert_eq!(pings.ping_timeout, Duration::from_millis(10));
    }

    fn check(key: &str, value: &str, problem: &str) {
        let found = loaded(&format!("{key} = {value}")).unwrap_err().to_string();
        assert_eq!(found, format!("socketio.{key} (kinglet.toml): {problem}"));
    }

    #[test]
    fn a_text_that_is_none_is_told_what_would_be_right() {
        let path = "is not a path; write one without a query such as \"/socket.io\"";
        for wrong in [
            "", "/", "//", "/a//", "a", "a/", "/a?b", "/a#b", "/a b", "/ä",
        ] {
            check(
                "paths",
                &format!("\"{wrong}\""),
                &format!("{wrong:?} {path}"),
            );
        }
        check("paths", "1", "1 is not a string");
        let name = "is not a namespace; write / or a name that begins with it, of at most 255 \
                    bytes without comma and question mark: \"/chat\"";
        for wrong in ["", "chat", "/a,b", "/a?b=c"] {
            let problem = format!("{wrong:?} {name}");
            check("namespaces", &format!("\"{wrong}\""), &problem);
            check("recovery_namespaces", &format!("\"{wrong}\""), &problem);
        }
        let long = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
        let shortened = format!("{:?}", format!("{}...", long(57)));
        check(
            "namespaces",
            &format!("\"{}\"", long(256)),
            &format!("{shortened} {name}"),
        );
        assert!(loaded(&format!("namespaces = \"{}\"", long(255))).is_ok());
        let pair = "is not two events; write what joins a room and what leaves it, each of 1 to 64 \
                    bytes: \"join/leave\"";
        for wrong in ["", "join", "/", "join/", "/leave", "a/b/c"] {
            check(
                "join_events",
                &format!("\"{wrong}\""),
                &format!("{wrong:?} {pair}"),
            );
        }
        let long = |bytes: usize| format!("join_events = \"a/{}\"", "x".repeat(bytes));
        assert!(loaded(&long(64)).is_ok() && loaded(&long(65)).is_err());
        for name in TAKEN_EVENTS {
            let taken =
                format!("would rename {name}, which has a meaning already; choose another name");
            for pair in [format!("{name}/x"), format!("x/{name}")] {
                check(
                    "join_events",
                    &format!("{pair:?}"),
                    &format!("{pair:?} {taken}"),
                );
            }
        }
    }

    #[test]
    fn a_list_that_says_nothing_or_something_twice_is_refused() {
        check(
            "namespaces",
            "[]",
            "the list is empty, so nobody could be let in; write \"/\", or paths = [] to serve no \
             Socket.IO",
        );
        check("paths", "[\"/a\", \"/a/\"]", "\"/a\" is there twice");
        check("namespaces", "[\"/\", \"/\"]", "\"/\" is there twice");
        let again = "recovery_namespaces";
        check(again, "[\"/\", \"/\"]", "\"/\" is there twice");
        check(
            again,
            "\"/a\"",
            "\"/a\" is not one of socketio.namespaces: /, /ws",
        );
        for pairs in ["[\"a/b\", \"b/c\"]", "\"b/b\""] {
            check("join_events", pairs, "\"b\" is there twice");
        }
    }

    #[test]
    fn a_number_out_of_bounds_is_told_them() {
        for key in ["ping_interval", "ping_timeout"] {
            check(key, "\"9ms\"", "\"9ms\" is not from 10ms to 1d");
            check(key, "\"25h\"", "\"25h\" is not from 10ms to 1d");
        }
        check("max_payload", "1023", "1023 is not from 1 KiB to 16 MiB");
        check(
            "recovery_sessions",
            "1000001",
            "1000001 is not from 1 to 1000000",
        );
        check("sessions", "-1", "-1 is not from 0 to 1000000000");
    }

    #[test]
    fn a_running_server_takes_every_key() {
        let text = "[socketio]\npaths = []\nnamespaces = \"/x\"\nping_interval = \"1s\"\n\
                    ping_timeout = \"1s\"\nconnect_timeout = \"1s\"\nupgrade_timeout = \"1s\"\n\
                    attachment_timeout = \"1s\"\nmax_payload = 2000\nrecovery = \"1s\"\n\
                    recovery_namespaces = \"/x\"\nrecovery_sessions = 1\njoin_events = \"a/b\"\n\
                    sessions = 1\n";
        let check = |current: &Config, text: &str| {
            let found = reload(
                current,
                &Sources {
                    file: Some(("kinglet.toml", text)),
                    environment: &[],
                    flags: &Flags::default(),
                    files: no_files,
                },
            )
            .unwrap();
            assert_eq!(found.needs_restart, [""; 0]);
            assert_eq!(found.applied.len(), 13, "{:?}", found.applied);
            found.config
        };
        let changed = check(&Config::default(), text);
        assert_eq!(check(&changed, ""), Config::default());
    }
}
