//! What a reload takes, what it holds back, and that the one never undoes the other.

#![allow(clippy::unwrap_used)]

use super::keys::keys;
use super::reload::WITH_MODE;
use super::{AuthMode, Config, Faults, Flags, Reload, Sources, load, no_files, reload};

const OPEN: &str = "[server]\nallowed_origins = [\"https://old.example\"]\n";
const TOKEN: &str = "[server]\nallowed_origins = [\"*\"]\nallowed_hosts = [\"new.example\"]\n\
                     [auth]\nmode = \"token\"\nallow_query_token = true\n\
                     [[auth.keys]]\nalgorithm = \"HS256\"\n\
                     secret = \"do-not-show-me-0123456789abcdefghijklmnop\"\n\
                     [[auth.api_keys]]\nname = \"all\"\n\
                     key = \"do-not-show-me-0123456789abcdefghijklmnop\"\n\
                     [auth.roles.editor]\n\
                     rooms = [{ pattern = \"chat:*\", allow = [\"publish\"] }]\n";

/// Everything that the two differ in.
const HELD_BACK: [&str; 7] = [
    "auth.mode",
    "auth.keys",
    "auth.api_keys",
    "auth.roles",
    "auth.allow_query_token",
    "server.allowed_origins",
    "server.allowed_hosts",
];

fn sources<'a>(text: &'a str, flags: &'a Flags) -> Sources<'a> {
    Sources {
        file: Some(("kinglet.toml", text)),
        environment: &[],
        flags,
        files: no_files,
    }
}

fn config(text: &str) -> Config {
    load(&sources(text, &Flags::default())).unwrap().0
}

fn reloaded(current: &Config, text: &str) -> Result<Reload, Faults> {
    reload(current, &sources(text, &Flags::default()))
}

#[test]
fn another_mode_waits_with_all_that_is_meant_for_it() {
    for (old, new) in [(OPEN, TOKEN), (TOKEN, OPEN)] {
        let current = config(old);
        let text = format!("{new}[limits]\nrooms = 7\n");
        let Reload {
            config: merged,
            written,
            applied,
            needs_restart,
            ..
        } = reloaded(&current, &text).unwrap();
        assert_eq!(needs_restart, HELD_BACK, "{text}");
        assert_eq!(applied, ["limits.rooms"], "{text}");
        assert_eq!(merged.limits.rooms, Some(7));
        assert_eq!(merged.auth, current.auth);
        assert_eq!(merged.server, current.server);
        assert_eq!(written, config(&text));
        // It is still said the next time, and taken when it is no change any more.
        let again = reloaded(&merged, &text).unwrap();
        assert_eq!(again.needs_restart, HELD_BACK);
        assert_eq!(again.applied, [""; 0]);
        assert_eq!(reloaded(&merged, old).unwrap().needs_restart, [""; 0]);
    }
}

#[test]
fn in_the_same_mode_credentials_and_origins_are_taken() {
    let current = config(TOKEN);
    let text = "[auth]\nmode = \"token\"\n[[auth.keys]]\nalgorithm = \"HS256\"\n\
                secret = \"another-secret-0123456789abcdefghijklmnop\"\n";
    let found = reloaded(&current, text).unwrap();
    assert_eq!(found.needs_restart, [""; 0]);
    assert_eq!(found.config, config(text));
    let mut applied: Vec<&str> = found.applied.iter().map(String::as_str).collect();
    applied.sort_unstable();
    let mut expected: Vec<&str> = HELD_BACK.iter().copied().skip(1).collect();
    expected.sort_unstable();
    assert_eq!(applied, expected);
}

#[test]
fn what_is_in_force_afterwards_is_held_to_the_rules_of_its_mode() {
    // The server of a test that was given what no source could have given it.
    let mut current = config(OPEN);
    current.server.listen = vec!["192.0.2.1:80".parse().unwrap()];
    let faults = reloaded(&current, "").unwrap_err().to_string();
    assert!(faults.contains("192.0.2.1:80 can be reached"), "{faults}");
    assert_eq!(current.auth.mode, AuthMode::Open);
    current.server.allowed_origins = vec!["*".to_owned()];
    let faults = reloaded(&current, TOKEN).unwrap_err().to_string();
    assert!(faults.contains("every web page"), "{faults}");
}

#[test]
fn every_key_of_auth_waits_with_the_mode() {
    let held: Vec<&str> = WITH_MODE.iter().map(|row| row.key).collect();
    assert_eq!(held, HELD_BACK.split_first().unwrap().1);
    let of_auth = keys().map(|key| key.name);
    for key in of_auth.filter(|key| key.starts_with("auth.") && *key != "auth.mode") {
        assert!(held.contains(&key), "{key}");
    }
}
