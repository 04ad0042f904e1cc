//! `kinglet init` and `kinglet token` as an operator meets them, and the examples of the docs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use kinglet::base::clock::Clock;
use kinglet::config::{Algorithm, Auth, Flags, NamedFile, Secret, Sources, TokenKey, load};
use kinglet::domain::access::{Action, Caller, Identity, check};
use kinglet::domain::room::RoomName;
use kinglet::domain::token::Authority;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");

/// Exit code, standard output and standard error of a command run in `folder`.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinglet"));
    command.args(arguments).current_dir(folder).env_clear();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// The standard output of a command that ends well and complains of nothing.
fn good(folder: &Path, arguments: &[&str]) -> String {
    let (code, out, errors) = run(folder, arguments);
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    out
}

/// Checks that a command is a misuse, and that its one line contains `part`.
fn misused(folder: &Path, arguments: &[&str], part: &str) {
    let (code, out, errors) = run(folder, arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{errors}");
    assert!(
        errors.contains(part) && errors.lines().count() == 1,
        "{errors}"
    );
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn authority(algorithm: Algorithm, key: &str) -> Authority {
    let key = TokenKey {
        algorithm,
        key: Secret::new(key.trim_end().as_bytes()),
        place: "auth.keys".to_owned(),
    };
    let keys = vec![key];
    Authority::new(&Auth {
        keys,
        ..Auth::default()
    })
    .unwrap()
}

#[test]
fn init_writes_a_configuration_that_works_and_a_token_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = good(folder.path(), &["init"]);
    let secret_file = folder.path().join("kinglet.secret");
    assert_eq!(mode(&secret_file), 0o600);
    let secret = fs::read_to_string(&secret_file).unwrap();
    assert_eq!(secret.len(), 65);
    assert!(!out.contains(secret.trim()));
    let config = fs::read_to_string(folder.path().join("kinglet.toml")).unwrap();
    assert!(!config.contains(secret.trim()));
    assert!(good(folder.path(), &["check-config"]).starts_with("ok\n"));

    let token = out
        .lines()
        .find_map(|line| line.strip_prefix("token (user me, role admin, 24 hours): "));
    let now = Clock::start().now().wall;
    let user = authority(Algorithm::Hs256, &secret)
        .verify_token(token.unwrap(), now)
        .unwrap();
    assert!(user.id.as_str() == "me" && user.role.is_admin());

    let other = tempfile::tempdir().unwrap();
    good(other.path(), &["init"]);
    assert_ne!(
        fs::read_to_string(other.path().join("kinglet.secret")).unwrap(),
        secret
    );
}

#[test]
fn init_leaves_what_exists() {
    for name in ["kinglet.toml", "kinglet.secret"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), "mine").unwrap();
        misused(
            folder.path(),
            &["init"],
            &format!("{name} exists; it is left as it is"),
        );
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(
            fs::read_to_string(folder.path().join(name)).unwrap(),
            "mine"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = run(folder.path(), &["init", "--config", "nowhere/kinglet.toml"]);
    assert_eq!(code, 1);
    assert!(
        errors.contains("cannot write nowhere/kinglet.secret"),
        "{errors}"
    );
}

#[test]
fn init_elsewhere_is_found_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("etc \"quoted\"")).unwrap();
    let path = "etc \"quoted\"/server.toml";
    let out = good(folder.path(), &["init", "--config", path]);
    assert!(
        out.contains(&format!("next: kinglet --config '{path}'")),
        "{out}"
    );
    let whole = folder.path().join(path);
    let elsewhere = tempfile::tempdir().unwrap();
    let arguments = ["check-config", "--config", whole.to_str().unwrap()];
    assert!(good(elsewhere.path(), &arguments).starts_with("ok\n"));
}

#[test]
fn what_init_comments_out_works_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["init"]);
    let path = folder.path().join("kinglet.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(code) if code.starts_with('[') || code.contains(" = ") => code,
        _ => line,
    });
    let text: Vec<&str> = lines.collect();
    fs::write(&path, text.join("\n")).unwrap();
    let key = folder.path().join("backend.key");
    fs::write(&key, "k".repeat(64)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(text.contains(&"[[auth.api_keys]]") && text.contains(&"[auth.roles.member]"));
    assert!(good(folder.path(), &["check-config"]).starts_with("ok\n"));
    good(
        folder.path(),
        &["token", "--user", "ada", "--role", "member"],
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, errors) = run(folder.path(), &["check-config"]);
    assert_eq!(code, 0);
    let warning = "warning: auth.api_keys, entry 1: other users of this machine can read \
                   backend.key; chmod 600 it\n";
    assert_eq!(errors, warning);
}

#[test]
fn token_prints_a_token_that_says_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["init"]);
    let secret = fs::read_to_string(folder.path().join("kinglet.secret")).unwrap();
    let authority = authority(Algorithm::Hs256, &secret);
    let before = Clock::start().now().wall.as_millis() / 1000;
    let arguments = [
        "token",
        "--user",
        "auth0|42",
        "--role",
        "readonly",
        "--expires",
        "8h",
        "--room",
        "chat:*=publish,presence",
        "--room",
        "inbox:{sub}=history",
    ];
    let out = good(folder.path(), &arguments);
    let token = out.strip_suffix('\n').unwrap();
    let now = Clock::start().now().wall;
    let user = authority.verify_token(token, now).unwrap();
    assert_eq!(
        (user.id.as_str(), user.role.name()),
        ("auth0|42", "readonly")
    );
    let lifetime = user.expires.as_millis() / 1000 - before;
    assert!((8 * 3600..8 * 3600 + 60).contains(&lifetime), "{lifetime}");
    let identity = Identity::User(user);
    for (action, room, allowed) in [
        (Action::Publish, "chat:1", true),
        (Action::Presence, "chat:1", true),
        (Action::Subscribe, "chat:1", false),
        (Action::History, "inbox:auth0|42", true),
        (Action::History, "inbox:other", false),
    ] {
        let name = RoomName::parse(room).unwrap();
        let policy = kinglet::config::PublishPolicy::Grant;
        let found = check(&identity, Caller::Api, action, &name, policy);
        assert_eq!(found.is_ok(), allowed, "{action} {room}");
    }
}

#[test]
fn token_refuses_what_the_server_would() {
    let folder = tempfile::tempdir().unwrap();
    misused(
        folder.path(),
        &["token", "--user", "ada"],
        "kinglet init makes one",
    );
    good(folder.path(), &["init"]);
    for (arguments, part) in [
        (
            &["--user", "ada", "--role", "root"][..],
            "role is not known here",
        ),
        (&["--user", "a b"], "a user's id has 1 to 250 bytes"),
        (
            &["--user", "ada", "--room", "a*b=publish"],
            "a pattern may have one *",
        ),
        (
            &["--user", "ada", "--room", "chat:*"],
            "write PATTERN=ACTION,ACTION",
        ),
        (&["--user", "ada", "--expires", "0"], "above 0"),
        (
            &["--user", "ada", "--expires", "1 year"],
            "is not a duration",
        ),
        (
            &["--user", "ada", "--private-key", "kinglet.secret"],
            "secrets only",
        ),
        (&["--role", "admin"], "--user"),
    ] {
        misused(folder.path(), &[&["token"], arguments].concat(), part);
    }
}

#[test]
fn token_signs_with_a_private_key_if_it_is_given_one() {
    let folder = tempfile::tempdir().unwrap();
    for (algorithm, kind) in [
        (Algorithm::Rs256, "rsa"),
        (Algorithm::Es256, "p256"),
        (Algorithm::EdDsa, "ed25519"),
    ] {
        let public = format!("{KEYS}/{kind}.public.pem");
        let name = algorithm.name();
        let config = format!(
            "[auth]\nmode = \"token\"\nkeys = {{algorithm = \"{name}\", public_key_file = \"{public}\"}}"
        );
        fs::write(folder.path().join("kinglet.toml"), config).unwrap();
        misused(folder.path(), &["token", "--user", "ada"], "--private-key");
        let private = format!("{KEYS}/{kind}.private.pem");
        let arguments = ["token", "--user", "ada", "--private-key", &private];
        let token = good(folder.path(), &arguments);
        let authority = authority(algorithm, &fs::read_to_string(public).unwrap());
        assert!(
            authority
                .verify_token(token.trim(), Clock::start().now().wall)
                .is_ok()
        );
        let other = if kind == "rsa" { "p256" } else { "rsa" };
        let private = format!("{KEYS}/{other}.private.pem");
        let arguments = ["token", "--user", "ada", "--private-key", &private];
        misused(folder.path(), &arguments, "the private key is not one");
    }
}

#[test]
fn check_config_says_what_is_wrong_with_keys_and_grants() {
    let folder = tempfile::tempdir().unwrap();
    let text = "auth.mode = \"token\"\n\
                auth.keys = {algorithm = \"HS256\", secret = \"do-not-show-me\"}\n\
                auth.roles.editor.rooms = {pattern = \"a*b\", allow = [\"publish\"]}\n";
    fs::write(folder.path().join("kinglet.toml"), text).unwrap();
    let (code, _, errors) = run(folder.path(), &["check-config"]);
    assert_eq!(code, 2);
    let lines: Vec<&str> = errors.lines().collect();
    let [grant, key] = lines.as_slice() else {
        panic!("{errors}");
    };
    let place = "error: auth.roles.editor, rooms, entry 1 (./kinglet.toml): ";
    assert_eq!(
        grant.strip_prefix(place),
        Some("a pattern may have one *, at its end")
    );
    assert!(key.starts_with("error: auth.keys, entry 1 (./kinglet.toml): the secret is shorter"));
    assert!(!errors.contains("do-not-show-me"));
}

/// Every file that an example names holds something.
fn some_file(_: &Path) -> std::io::Result<NamedFile> {
    Ok(NamedFile {
        content: vec![b'x'; 64],
        is_shared: false,
    })
}

#[test]
fn the_configurations_of_the_documentation_load() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md");
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    let mut count = 0;
    for block in blocks.filter_map(|rest| rest.split("```").next()) {
        let sources = Sources {
            file: Some(("access.md", block)),
            environment: &[],
            flags: &Flags::default(),
            files: some_file,
        };
        load(&sources).unwrap();
        count += 1;
    }
    assert_eq!(count, 3);
}

/// An example that is copied must not become a secret that everybody knows.
#[test]
fn the_documentation_prints_no_secret() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let mut paths: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.push(root.join("README.md"));
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines() {
            for name in [
                "secret = \"",
                "key = \"",
                "SECRET_KEY=",
                "X-API-Key: ",
                "Bearer ey",
            ] {
                assert!(!line.contains(name), "{}: {line}", path.display());
            }
        }
    }
}
