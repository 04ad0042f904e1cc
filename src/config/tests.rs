//! What is said of faults: tables of texts and the exact lines an operator reads.

#![allow(clippy::unwrap_used)]

use super::agent_keys::AGENT_KEYS;
use super::key::{Key, Kind};
use super::keys::keys;
use super::namespace_keys::NAMESPACE_KEYS;
use super::{Faults, Flags, Sources, load, no_files};

/// The faults of these sources; none if they load.
fn faults_of(toml: &str, environment: &[(&str, &str)]) -> Faults {
    let environment: Vec<(String, String)> = environment
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let sources = Sources {
        file: Some(("kinglet.toml", toml)),
        environment: &environment,
        flags: &Flags::default(),
        files: no_files,
    };
    load(&sources).err().unwrap_or_default()
}

/// Checks that the faults of `toml` are exactly these lines.
fn check(toml: &str, faults: &[&str]) {
    check_with(toml, &[], faults);
}

fn check_with(toml: &str, environment: &[(&str, &str)], faults: &[&str]) {
    let found = faults_of(toml, environment).to_string();
    assert_eq!(found, faults.join("\n"), "{toml} {environment:?}");
}

/// Checks that `value` is refused for `key` with `problem`.
fn check_value(key: &str, value: &str, problem: &str) {
    let (section, short) = key.rsplit_once('.').unwrap();
    let fault = format!("{key} (kinglet.toml): {problem}");
    check(&format!("[{section}]\n{short} = {value}\n"), &[&fault]);
}

#[test]
fn what_guards_memory_cannot_be_lifted() {
    for key in ["head_bytes", "message_bytes"] {
        let max = if key == "head_bytes" { 1 } else { 16 };
        let problem = format!("1 is not from 1 KiB to {max} MiB");
        check_value(&format!("limits.{key}"), "1", &problem);
    }
    let guard = "must be above 0: it guards memory, so it cannot be lifted";
    check_value("limits.head_bytes", "\"0KiB\"", guard);
    check_value("limits.outbox_bytes", "0", guard);
    let none = format!("{guard}; none would fit no message");
    check_value("limits.outbox_messages", "0", &none);
    let stalled = "must be above 0: without it one stalled reader would hold memory for ever";
    for zero in ["0", "\"0\"", "\"0s\""] {
        check_value("limits.write_timeout", zero, stalled);
    }
}

/// A key refuses 0 exactly if its row says why, so that the reference knows and an operator is
/// told.
fn check_zero<T: Default + 'static>(keys: impl IntoIterator<Item = &'static Key<T>>) {
    for key in keys {
        let is_number = match key.kind {
            Kind::Count(..)
            | Kind::Limit(_)
            | Kind::Size(..)
            | Kind::SizeLimit(..)
            | Kind::Time(_)
            | Kind::TimeWithin(..)
            | Kind::TimeLimit(_)
            | Kind::Pause(_) => true,
            Kind::Listen(_)
            | Kind::List(..)
            | Kind::Flag(_)
            | Kind::Choice(_)
            | Kind::Address(_)
            | Kind::Path(_)
            | Kind::Secret(_)
            | Kind::Tables(_) => false,
        };
        let refused = key.apply(&mut T::default(), &toml::Value::Integer(0)).err();
        let told = key
            .never_zero
            .map(|why| vec![format!("must be above 0: {why}")]);
        if is_number {
            assert_eq!(refused, told, "{}", key.name);
        } else {
            assert_eq!(told, None, "{}", key.name);
        }
        if matches!(key.kind, Kind::Time(_)) {
            assert!(told.is_some(), "{} is a duration above 0", key.name);
        }
    }
}

#[test]
fn whatever_refuses_zero_says_why() {
    check_zero(keys());
    check_zero(NAMESPACE_KEYS);
    check_zero(AGENT_KEYS);
}

#[test]
fn a_bad_value_is_told_what_would_be_right() {
    let host = "\"example.org:80\" is a host name; write the address to listen on, such as \
                \"127.0.0.1:80\"";
    let address = "is not an address with a port; write \"127.0.0.1:8080\" or \"[::1]:8080\"";
    let duration = "is not a duration; write a whole number with ms, s, m, h or d: \"90s\"";
    let size = "is not a size; write bytes or a string such as \"16KiB\"";
    let origin = "is not an origin; write scheme://host or scheme://host:port without a path: \
                  \"https://example.org\"";
    for (key, value, problem) in [
        ("server.listen", "\"example.org:80\"", host),
        (
            "server.listen",
            "\"::1:80\"",
            &format!("\"::1:80\" {address}"),
        ),
        ("server.listen", "8080", "8080 is not a string"),
        (
            "server.listen",
            "[]",
            "the list is empty; write an address such as \"127.0.0.1:8080\"",
        ),
        (
            "server.listen",
            "[\"127.0.0.1:1\", \"localhost:1\"]",
            "127.0.0.1:1 is there twice",
        ),
        (
            "server.workers",
            "0",
            "must be above 0: without one, history and statistics would never be answered",
        ),
        ("server.workers", "65", "65 is not from 1 to 64"),
        ("server.workers", "-1", "-1 is not from 1 to 64"),
        (
            "server.workers",
            "\"2\"",
            "\"2\" is not a whole number from 1 to 64",
        ),
        ("server.reactors", "65", "65 is not from 1 to 64"),
        ("server.strict_rooms", "1", "1 is not true or false"),
        (
            "server.shutdown_timeout",
            "30",
            "30 has no unit; write \"30s\" or \"30ms\"",
        ),
        (
            "server.shutdown_timeout",
            "\"30\"",
            "\"30\" has no unit; write \"30s\" or \"30ms\"",
        ),
        (
            "server.shutdown_timeout",
            "\"soon\"",
            &format!("\"soon\" {duration}"),
        ),
        (
            "server.shutdown_timeout",
            "true",
            &format!("true {duration}"),
        ),
        (
            "server.shutdown_timeout",
            "\"9999d\"",
            "\"9999d\" is longer than 365d",
        ),
        (
            "server.allowed_origins",
            "\"null\"",
            &format!("\"null\" {origin}"),
        ),
        (
            "server.allowed_origins",
            "\"http://a/b\"",
            &format!("\"http://a/b\" {origin}"),
        ),
        (
            "server.allowed_origins",
            "[\"*\"]",
            "\"*\" would let every web page its visitor opens drive this server, as the open mode \
             asks nobody who they are; list the origins",
        ),
        (
            "server.allowed_hosts",
            "[\"a:80\"]",
            "\"a:80\" is not a host; write a name or address without scheme and port: \
             \"example.org\"",
        ),
        (
            "auth.mode",
            "\"closed\"",
            "\"closed\" is not one of \"open\", \"token\"",
        ),
        (
            "backplane.kind",
            "\"redis\"",
            "\"redis\" is not in this version yet; write \"memory\"",
        ),
        ("limits.head_bytes", "\"16KB\"", &format!("\"16KB\" {size}")),
        (
            "limits.head_bytes",
            "\"1GiB\"",
            "\"1GiB\" is not from 1 KiB to 1 MiB",
        ),
        ("limits.headers", "1001", "1001 is not from 1 to 1000"),
        (
            "limits.connections",
            "1.5",
            "1.5 is not a whole number from 0 to 1000000000",
        ),
        (
            "limits.connections",
            "[]",
            "a list is not a whole number from 0 to 1000000000",
        ),
        (
            "log.level",
            "\"loud\"",
            "\"loud\" is not one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        ),
        ("log.file", "\"\"", "\"\" is not the path of a file"),
        ("debug.echo", "\"true\"", "\"true\" is not true or false"),
        (
            "rooms.chat.slow_consumer",
            "\"drop\"",
            "\"drop\" is not one of \"close\", \"drop_oldest\", \"latest\", \"lag\"",
        ),
        (
            "rooms.chat.history_bytes",
            "1",
            "1 is not from 1 KiB to 1 GiB",
        ),
        (
            "rooms.default.publish",
            "\"all\"",
            "\"all\" is not one of \"grant\", \"members\", \"server\"",
        ),
    ] {
        check_value(key, value, problem);
    }
}

#[test]
fn policies_without_what_they_need_are_refused_where_they_were_written() {
    let lag = "\"lag\" sends slow members what they missed from the history, and history_count is \
               0; raise it, or choose another policy";
    let paced = "has an effect only with slow_consumer = \"latest\"";
    let told = "join_leave tells members who is in the room, and presence = false lets nobody \
                know; choose one";
    for (toml, faults) in [
        (
            "[rooms.a]\nslow_consumer = \"lag\"\nhistory_count = 0\n",
            vec![format!("rooms.a.slow_consumer (kinglet.toml): {lag}")],
        ),
        (
            "[rooms.default]\nslow_consumer = \"lag\"\n[rooms.a]\nhistory_count = 0\n",
            vec![format!("rooms.a.history_count (kinglet.toml): {lag}")],
        ),
        (
            "[rooms.default]\nslow_consumer = \"lag\"\nhistory_count = 0\n[rooms.a]\n",
            vec![format!("rooms.default.slow_consumer (kinglet.toml): {lag}")],
        ),
        (
            "[rooms.a]\njoin_leave = true\npresence = false\n",
            vec![format!("rooms.a.join_leave (kinglet.toml): {told}")],
        ),
        (
            "[rooms.default]\njoin_leave = true\n[rooms.a]\npresence = false\n",
            vec![format!("rooms.a.presence (kinglet.toml): {told}")],
        ),
        (
            "[rooms.a]\nmin_interval = \"1s\"\n",
            vec![format!("rooms.a.min_interval (kinglet.toml): {paced}")],
        ),
    ] {
        check(toml, &faults.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn an_unknown_key_is_told_its_nearest_name() {
    for (toml, fault) in [
        (
            "server.listn = 1",
            "server.listn (kinglet.toml): unknown key; did you mean server.listen?",
        ),
        (
            "sever.listen = 1",
            "sever.listen (kinglet.toml): unknown key; did you mean server.listen?",
        ),
        (
            "server.rooms = 1",
            "server.rooms (kinglet.toml): unknown key; did you mean limits.rooms?",
        ),
        (
            "listen = 1",
            "listen (kinglet.toml): unknown key; did you mean server.listen?",
        ),
        (
            "rooms.chat.histroy_age = 1",
            "rooms.chat.histroy_age (kinglet.toml): unknown key; did you mean \
             rooms.chat.history_age?",
        ),
        (
            "room.chat.publish = 1",
            "room.chat (kinglet.toml): unknown key; did you mean rooms.chat?",
        ),
        (
            "weather.tomorrow = 1",
            "weather.tomorrow (kinglet.toml): unknown key",
        ),
        ("weather = {}", "weather (kinglet.toml): unknown key"),
        (
            "server = 1",
            "server (kinglet.toml): must be a table, [server]",
        ),
        (
            "rooms = 1",
            "rooms (kinglet.toml): must be a table, [rooms]",
        ),
        (
            "[[server]]",
            "server (kinglet.toml): must be a table, [server]",
        ),
        (
            "rooms.history_count = 1",
            "rooms.history_count (kinglet.toml): must be in a table of its namespace, such as \
             [rooms.default]",
        ),
        (
            "rooms.\"a b\".history_count = 1",
            "rooms.a b (kinglet.toml): a namespace is called by 1 to 64 of A-Z a-z 0-9 _ . -",
        ),
        (
            "\"server.listen\" = 1",
            "server.listen (kinglet.toml): unknown key; did you mean server.listen?",
        ),
        ("\"a\\nb\" = 1", "a\\nb (kinglet.toml): unknown key"),
    ] {
        check(toml, &[fault]);
    }
}

#[test]
fn a_key_of_a_later_version_says_so() {
    check(
        "backplane.url = 1",
        &["backplane.url (kinglet.toml): not in this version yet"],
    );
    let variable = "KINGLET_BACKPLANE__URL";
    check_with(
        "",
        &[(variable, "1")],
        &["backplane.url (KINGLET_BACKPLANE__URL): not in this version yet"],
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    check_with(
        "[server]\nlistn = 1\nworkers = 0\nallowed_hosts = [\"a:1\", \"b\", 3]\n\
         [rooms.chat]\npublish = 1\n[backplane]\nurl = 1\n",
        &[
            ("KINGLET_LIMITS__HEADERS", "many"),
            ("KINGLET_LIMIT__ROOMS", "1"),
        ],
        &[
            "backplane.url (kinglet.toml): not in this version yet",
            "server.listn (kinglet.toml): unknown key; did you mean server.listen?",
            "limit.rooms (KINGLET_LIMIT__ROOMS): unknown key; did you mean KINGLET_LIMITS__ROOMS?",
            "server.workers (kinglet.toml): must be above 0: without one, history and statistics \
             would never be answered",
            "server.allowed_hosts (kinglet.toml): \"a:1\" is not a host; write a name or address \
             without scheme and port: \"example.org\"",
            "server.allowed_hosts (kinglet.toml): 3 is not a string",
            "limits.headers (KINGLET_LIMITS__HEADERS): \"many\" is not a whole number from 1 to \
             1000",
            "rooms.chat.publish (kinglet.toml): 1 is not one of \"grant\", \"members\", \
             \"server\"",
        ],
    );
}

#[test]
fn a_syntax_error_names_its_line_and_hides_no_other_fault() {
    let text = "[server]\nworkers = 1\nworkers = = 2\n";
    let environment = [("KINGLET_X", "1")];
    let faults = faults_of(text, &environment);
    let lines: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{faults}");
    assert!(lines[0].starts_with("kinglet.toml:3: "), "{faults}");
    assert_eq!(lines[1], "x (KINGLET_X): unknown key");
    assert_eq!(faults.to_string().lines().count(), 2);
}

#[test]
fn a_line_break_in_a_variables_name_stays_on_the_faults_line() {
    check_with(
        "",
        &[("KINGLET_A\nB", "1")],
        &["a\\nb (KINGLET_A\\nB): unknown key"],
    );
}

#[test]
fn a_line_break_in_a_suggestion_stays_on_the_faults_line() {
    check(
        "[room.\"a\\nb\"]\nc = 1\n",
        &["room.a\\nb (kinglet.toml): unknown key; did you mean rooms.a\\nb?"],
    );
}

#[test]
fn no_key_is_suggested_in_its_own_place() {
    check(
        "[rooms.chat]\nsomething_else = 1\n",
        &["rooms.chat.something_else (kinglet.toml): unknown key"],
    );
}

#[test]
fn a_variable_that_is_no_key_is_a_fault() {
    for (variable, fault) in [
        ("KINGLET_PORT", "port (KINGLET_PORT): unknown key"),
        (
            "KINGLET_LISTEN",
            "listen (KINGLET_LISTEN): unknown key; did you mean KINGLET_SERVER__LISTEN?",
        ),
        (
            "KINGLET_SERVER__WORKER",
            "server.worker (KINGLET_SERVER__WORKER): unknown key; did you mean \
             KINGLET_SERVER__WORKERS?",
        ),
        ("KINGLET_SERVER", "server (KINGLET_SERVER): unknown key"),
        ("KINGLET_", " (KINGLET_): unknown key"),
    ] {
        check_with("", &[(variable, "1")], &[fault]);
    }
    check_with(
        "",
        &[("KINGLET_SERVER__SHUTDOWN_TIMEOUT", "30")],
        &[
            "server.shutdown_timeout (KINGLET_SERVER__SHUTDOWN_TIMEOUT): \"30\" has no unit; write \
           \"30s\" or \"30ms\"",
        ],
    );
}
