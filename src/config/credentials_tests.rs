//! The tables of `[auth]` as they are written, and what is said of them.

#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;

use super::{
    Algorithm, AuthMode, Config, Faults, Flags, KeyGrants, NamedFile, RoomGrant, Secret, Sources,
    Warning, load,
};

/// What stands in no message.
const HIDDEN: &str = "do-not-show-me-0123456789abcdefghijklmnop";

/// Files by their names: a secret, one that all can read, one without a line break, none.
fn files(path: &Path) -> io::Result<NamedFile> {
    let content = match path.to_str() {
        Some("secret" | "shared") => format!("{HIDDEN}\n"),
        Some("windows") => format!("{HIDDEN}\r\n"),
        Some("bare") => HIDDEN.to_owned(),
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(NamedFile {
        content: content.into_bytes(),
        is_shared: path == Path::new("shared"),
    })
}

fn load_with(toml: &str, environment: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), Faults> {
    let environment: Vec<(String, String)> = environment
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    load(&Sources {
        file: Some(("kinglet.toml", toml)),
        environment: &environment,
        flags: &Flags::default(),
        files,
    })
}

/// The configuration and the warnings, one a line.
fn loaded(toml: &str, environment: &[(&str, &str)]) -> (Config, String) {
    let (config, warnings) = load_with(toml, environment).unwrap();
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    (config, lines.join("\n"))
}

/// Checks that the faults of `toml` in token mode are exactly these lines.
fn check(toml: &str, faults: &[&str]) {
    let toml = format!("[auth]\nmode = \"token\"\n{toml}");
    let found = load_with(&toml, &[]).err().unwrap_or_default().to_string();
    assert!(!found.contains(HIDDEN), "{found}");
    assert_eq!(found, faults.join("\n"), "{toml}");
}

#[test]
fn reads_keys_api_keys_and_roles() {
    let text = r#"
        [auth]
        mode = "token"
        allow_query_token = true
        [[auth.keys]]
        algorithm = "HS256"
        secret_file = "secret"
        [[auth.keys]]
        algorithm = "EdDSA"
        public_key_file = "shared"
        [[auth.api_keys]]
        name = "all"
        key = "do-not-show-me-0123456789abcdefghijklmnop"
        [[auth.api_keys]]
        name = "agent"
        key_file = "windows"
        grants = { role = "agent" }
        [[auth.api_keys]]
        name = "chat"
        key_file = "bare"
        grants = { rooms = [{ pattern = "chat:*", allow = ["publish", "history"] }] }
        [auth.roles.editor]
        rooms = [{ pattern = "doc:*", allow = "publish" }]
    "#;
    let (config, warnings) = loaded(text, &[]);
    assert_eq!(warnings, "");
    let auth = config.auth;
    assert_eq!((auth.mode, auth.allow_query_token), (AuthMode::Token, true));
    let secret = Secret::new(HIDDEN.as_bytes());
    let keys = auth
        .keys
        .iter()
        .map(|key| (key.algorithm, &key.key, &*key.place));
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [
            (
                Algorithm::Hs256,
                &secret,
                "auth.keys, entry 1 (kinglet.toml)"
            ),
            (
                Algorithm::EdDsa,
                &secret,
                "auth.keys, entry 2 (kinglet.toml)"
            ),
        ]
    );
    let grant = |pattern: &str, allow: &[&str], place: &str| RoomGrant {
        pattern: pattern.to_owned(),
        allow: allow.iter().map(|word| (*word).to_owned()).collect(),
        place: format!("{place}, rooms, entry 1 (kinglet.toml)"),
    };
    let chat = grant(
        "chat:*",
        &["publish", "history"],
        "auth.api_keys, entry 3, grants",
    );
    let keys = auth
        .api_keys
        .iter()
        .map(|key| (&*key.name, &key.key, key.grants.clone()));
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [
            ("all", &secret, None),
            ("agent", &secret, Some(KeyGrants::Role("agent".to_owned()))),
            ("chat", &secret, Some(KeyGrants::Rooms(vec![chat]))),
        ]
    );
    let editor = &auth.roles["editor"];
    assert_eq!(
        editor.rooms,
        [grant("doc:*", &["publish"], "auth.roles.editor")]
    );
}

#[test]
fn variables_hold_tables_as_toml() {
    let environment = [
        ("KINGLET_AUTH__MODE", "token"),
        (
            "KINGLET_AUTH__KEYS",
            r#"[{algorithm = "HS256", secret_file = "secret"}]"#,
        ),
        (
            "KINGLET_AUTH__API_KEYS",
            r#"{name = "a", key_file = "bare"}"#,
        ),
        ("KINGLET_AUTH__ROLES", r#"{editor = {rooms = []}}"#),
    ];
    let auth = loaded("", &environment).0.auth;
    assert_eq!(
        (auth.keys.len(), auth.api_keys.len(), auth.roles.len()),
        (1, 1, 1)
    );
    let fault = load_with("", &[("KINGLET_AUTH__KEYS", HIDDEN)]).unwrap_err();
    let expected = "auth.keys, entry 1 (KINGLET_AUTH__KEYS): must be a table";
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn a_table_that_cannot_be_meant_so_is_refused() {
    let at = |place: &str, problem: &str| format!("auth.{place} (kinglet.toml): {problem}");
    let key = |rest: &str, problem: &str| {
        let place = "keys, entry 1";
        check(&format!("[[auth.keys]]\n{rest}"), &[&at(place, problem)]);
    };
    let algorithms = "algorithm must be one of HS256, HS384, HS512, RS256, ES256, EdDSA";
    key("secret_file = \"secret\"", algorithms);
    key("algorithm = \"none\"\nsecret_file = \"secret\"", algorithms);
    key(
        "algorithm = \"hs256\"\nsecret_file = \"secret\"",
        algorithms,
    );
    let secrets = "HS256 needs secret or secret_file, and nothing else";
    for rest in [
        "",
        "public_key_file = \"secret\"",
        "secret = \"do-not-show-me-0123456789abcdefghijklmnop\"\nsecret_file = \"secret\"",
    ] {
        key(&format!("algorithm = \"HS256\"\n{rest}"), secrets);
    }
    key(
        "algorithm = \"RS256\"\nsecret = \"do-not-show-me-0123456789abcdefghijklmnop\"",
        "RS256 needs public_key_file, and nothing else",
    );
    key(
        "algorithm = \"HS256\"\nsecret = 7",
        "needs secret, a string",
    );
    key(
        "algorithm = \"HS256\"\nsecret_file = \"nowhere\"",
        "cannot read nowhere: entity not found",
    );
    check(
        "[[auth.keys]]\nalgorithm = \"HS256\"\nsecret_file = \"secret\"\nsecret_flie = \"x\"\nz = 1",
        &[
            &at(
                "keys, entry 1, secret_flie",
                "unknown key; did you mean secret_file?",
            ),
            &at(
                "keys, entry 1, z",
                "unknown key; there are algorithm, secret, secret_file, public_key_file",
            ),
        ],
    );
    check(
        "keys = \"HS256\"",
        &[&at("keys, entry 1", "must be a table")],
    );
}

#[test]
fn api_keys_and_roles_say_what_they_grant() {
    let at = |place: &str, problem: &str| format!("auth.{place} (kinglet.toml): {problem}");
    let api = |rest: &str, faults: &[(&str, &str)]| {
        let lines: Vec<String> = faults
            .iter()
            .map(|(place, problem)| at(&format!("api_keys, entry 1{place}"), problem))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        check(&format!("[[auth.api_keys]]\n{rest}"), &lines);
    };
    api(
        "",
        &[("", "needs name, a string"), ("", "needs key or key_file")],
    );
    api(
        "name = \"a\"\nkey = \"b\"\nkey_file = \"bare\"",
        &[("", "needs key or key_file, not both")],
    );
    let with = |grants: &str| format!("name = \"a\"\nkey_file = \"bare\"\ngrants = {grants}");
    let wrong = [("", "grants must be {role = \"…\"} or {rooms = […]}")];
    for grants in [
        "{}",
        "\"admin\"",
        "[]",
        "{role = 1}",
        "{role = \"a\", rooms = []}",
        "{x = 1}",
    ] {
        api(&with(grants), &wrong);
    }
    let room = ", grants, rooms, entry 1";
    api(
        &with("{rooms = [{}]}"),
        &[
            (room, "needs pattern, a string"),
            (room, "needs allow, a list of actions"),
        ],
    );
    api(&with("{rooms = [\"*\"]}"), &[(room, "must be a table")]);
    api(
        &with("{rooms = [{pattern = \"a\", allow = [1], deny = []}]}"),
        &[
            (
                ", grants, rooms, entry 1, deny",
                "unknown key; there are pattern, allow",
            ),
            (room, "allow: 1 is not a string"),
        ],
    );
    let keys = "keys = {algorithm = \"HS256\", secret_file = \"secret\"}\n";
    let roles = |rest: &str, place: &str, problem: &str| {
        check(&format!("{keys}{rest}"), &[&at(place, problem)]);
    };
    let named = "must be a table of roles, such as [auth.roles.editor]";
    roles("roles = []", "roles", named);
    roles(
        "roles.editor = 1",
        "roles.editor",
        "must be a table with rooms",
    );
    let rooms = "needs rooms, a list of {pattern, allow}";
    roles("roles.editor = {}", "roles.editor", rooms);
}

#[test]
fn token_mode_needs_a_credential_to_check() {
    let fault = "auth.mode (kinglet.toml): nobody could connect: write auth.keys or \
                 auth.api_keys, or let kinglet init do it";
    check("", &[fault]);
    check("keys = []\napi_keys = []", &[fault]);
    check("[[auth.api_keys]]\nname = \"a\"\nkey_file = \"bare\"", &[]);
}

#[test]
fn token_mode_serves_other_machines_and_any_origin() {
    let text = "auth.mode = \"token\"\n\
                auth.keys = {algorithm = \"HS256\", secret_file = \"secret\"}\n\
                server.listen = \"0.0.0.0:8080\"\nserver.allowed_origins = \"*\"\n";
    let (config, warnings) = loaded(text, &[]);
    assert_eq!(
        (&*config.server.allowed_origins, &*warnings),
        (&["*".to_owned()][..], "")
    );
    let open = load_with(&text.replace("\"token\"", "\"open\""), &[]).unwrap_err();
    let open = open.to_string();
    assert!(
        open.contains("server.listen (kinglet.toml): 0.0.0.0:8080 can be reached"),
        "{open}"
    );
    assert!(
        open.contains("server.allowed_origins (kinglet.toml): \"*\" would let"),
        "{open}"
    );
    assert_eq!(open.lines().count(), 2);
}

#[test]
fn bare_variables_are_the_key_of_token_mode_and_never_the_mode() {
    let bare = [("JWT_SECRET_KEY", HIDDEN), ("JWT_ALGORITHM", "HS384")];
    let token = "auth.mode = \"token\"\n";
    let (config, warnings) = loaded(token, &bare);
    let key = &config.auth.keys[0];
    assert_eq!((key.algorithm, warnings.as_str()), (Algorithm::Hs384, ""));
    assert_eq!(key.key, Secret::new(HIDDEN.as_bytes()));
    assert_eq!(
        key.place,
        "auth.keys, entry 1 (JWT_SECRET_KEY, JWT_ALGORITHM)"
    );
    assert_eq!(
        loaded(token, &bare[..1]).0.auth.keys[0].algorithm,
        Algorithm::Hs256
    );

    let written = format!("{token}auth.keys = {{algorithm = \"HS256\", secret_file = \"secret\"}}");
    for text in ["", written.as_str()] {
        let (config, warnings) = loaded(text, &bare);
        assert_eq!(config.auth.mode == AuthMode::Token, !text.is_empty());
        assert!(
            config
                .auth
                .keys
                .iter()
                .all(|key| key.algorithm == Algorithm::Hs256)
        );
        let names: Vec<&str> = warnings
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(names, ["JWT_SECRET_KEY", "JWT_ALGORITHM"]);
        assert!(!warnings.contains(HIDDEN));
    }
    let fault = load_with(
        token,
        &[("JWT_SECRET_KEY", HIDDEN), ("JWT_ALGORITHM", "RS256")],
    );
    let fault = fault.unwrap_err().to_string();
    assert!(fault.contains("RS256 needs public_key_file"), "{fault}");
    assert!(!fault.contains(HIDDEN), "{fault}");
}

#[test]
fn an_operator_is_warned_of_what_does_not_protect() {
    let text = "auth.keys = {algorithm = \"HS256\", secret_file = \"secret\"}\n\
                auth.api_keys = {name = \"a\", key_file = \"bare\"}\nauth.roles.a.rooms = []";
    let unused = "not used, because auth.mode is \"open\"";
    let lines = ["auth.keys", "auth.api_keys", "auth.roles"].map(|key| format!("{key}: {unused}"));
    assert_eq!(loaded(text, &[]).1, lines.join("\n"));
    let text = "auth.mode = \"token\"\n\
                auth.keys = {algorithm = \"HS256\", secret_file = \"shared\"}";
    assert_eq!(
        loaded(text, &[]).1,
        "auth.keys, entry 1: other users of this machine can read shared; chmod 600 it"
    );
}
