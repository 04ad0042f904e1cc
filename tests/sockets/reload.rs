//! SIGHUP: what of a new configuration a running server takes, and what it does with a bad one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kinglet::testkit::client::{Connection, get};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use serde_json::json;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_kinglet");

/// A server with a configuration file that can be written anew.
struct Reloading {
    folder: TempDir,
    server: Server,
    reloads: u64,
}

impl Reloading {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kinglet.toml");
        fs::write(&path, config).unwrap();
        let arguments = ["--config", path.to_str().unwrap()];
        let server = Server::start_with(BINARY, &arguments, &[]);
        Self {
            folder,
            server,
            reloads: 0,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("kinglet.toml")
    }

    /// Writes the configuration anew, asks for a reload and returns what the log says of it.
    fn reload(&mut self, config: &str) -> String {
        fs::write(self.path(), config).unwrap();
        self.hang_up()
    }

    fn hang_up(&mut self) -> String {
        let before = self.server.stderr().len();
        self.reloads += 1;
        self.server.signal("HUP");
        let said = || self.server.stderr().split_off(before);
        until("the reload is over", || {
            let said = said();
            said.contains("reload_done") || said.contains("reload_refused")
        });
        said()
    }

    /// Waits until what `member` sends next is worked on by the configuration in force: what was
    /// sent with the news of it may be read a turn before it.
    fn settle(member: &mut Socket) {
        let answer = member.ask(&json!({"type": "ping"}));
        assert_eq!(answer["type"], "pong", "{answer}");
    }

    /// A token of the configuration as it is written now.
    fn token(&self) -> String {
        let made = Command::new(BINARY)
            .args(["token", "--user", "ada", "--role", "admin", "--config"])
            .arg(self.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// The status of a request with a token.
    fn status(&self, token: &str) -> u16 {
        let mut connection = Connection::open(self.server.address());
        let header = format!("Bearer {token}");
        let headers = [("Authorization", header.as_str())];
        connection
            .request("GET", "/api/v1/ws/stats", &headers, b"")
            .status()
    }
}

fn secret(folder: &Path, name: &str, byte: u8) -> String {
    let path = folder.join(name);
    fs::write(&path, [byte; 40]).unwrap();
    path.display().to_string()
}

#[test]
fn what_changed_is_applied_or_named_and_nobody_is_dropped() {
    let mut running =
        Reloading::start("[server]\nlisten = \"127.0.0.1:0\"\n[limits]\nrooms_per_session = 2\n");
    let address = running.server.address();
    let mut member = Socket::open(address, "/ws?room=a&room=b");
    let subscribe = json!({"type": "subscribe", "room": "c"});
    assert_eq!(member.ask(&subscribe)["data"]["code"], "RESOURCE_LIMIT");

    let said = running.reload(
        "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 3\n[limits]\nrooms_per_session = 3\n\
         message_bytes = 2048\n[rooms.a]\nhistory_count = 0\n[log]\nlevel = \"debug\"\n",
    );
    let applied = "applied=\"limits.message_bytes limits.rooms_per_session log.level rooms.a\"";
    assert!(said.contains(applied), "{said}");
    assert!(
        said.contains("needs_restart=\"server.listen server.workers\""),
        "{said}"
    );
    assert!(said.contains("reload_waits key=server.listen"), "{said}");

    Reloading::settle(&mut member);
    assert_eq!(member.ask(&subscribe)["type"], "subscribed");
    let publish = json!({"type": "publish", "room": "a", "event": "e"});
    assert_eq!(member.ask(&publish)["type"], "published");
    assert_eq!(member.message()["type"], "e");
    let history = member.ask(&json!({"type": "history", "room": "a"}));
    assert_eq!(history["publications"], json!([]), "{history}");
    // The old address is still the one.
    assert_eq!(get(address, "/health").status(), 200);
    until("the new level is in force", || {
        assert_eq!(get(address, "/health").status(), 200);
        running.server.stderr().contains("DEBUG")
    });
    member.text(&format!(
        "{{\"type\":\"ping\",\"pad\":\"{}\"}}",
        "x".repeat(4096)
    ));
    assert_eq!(member.closed().0, 1009);

    // Back to the defaults, by leaving the keys out.
    let said = running.reload("[server]\nlisten = \"127.0.0.1:0\"\n");
    let applied = "applied=\"limits.message_bytes limits.rooms_per_session log.level rooms.a\"";
    assert!(said.contains(applied), "{said}");
    assert!(said.contains("needs_restart=\"\""), "{said}");
}

#[test]
fn a_new_secret_decides_about_those_who_come_and_leaves_those_who_are_here() {
    let folder = tempfile::tempdir().unwrap();
    let first = secret(folder.path(), "first", b'1');
    let second = secret(folder.path(), "second", b'2');
    let config = |files: &[&str]| {
        let keys = files.iter().map(|file| {
            format!("[[auth.keys]]\nalgorithm = \"HS256\"\nsecret_file = \"{file}\"\n")
        });
        let keys: String = keys.collect();
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[auth]\nmode = \"token\"\n\
             allow_query_token = true\n{keys}"
        )
    };
    let mut running = Reloading::start(&config(&[&first]));
    let old = running.token();
    assert_eq!(running.status(&old), 200);
    let target = format!("/ws?room=project:1&token={old}");
    let mut here = Socket::open(running.server.address(), &target);

    // Both for a while, then the new one alone.
    let said = running.reload(&config(&[&second, &first]));
    assert!(said.contains("applied=\"auth.keys\""), "{said}");
    let new = running.token();
    assert_ne!(old, new);
    assert_eq!((running.status(&old), running.status(&new)), (200, 200));
    running.reload(&config(&[&second]));
    assert_eq!((running.status(&old), running.status(&new)), (401, 200));
    assert_eq!(here.ask(&json!({"type": "ping"}))["type"], "pong");

    // The same path with another content is another key.
    fs::write(&second, [b'3'; 40]).unwrap();
    let said = running.hang_up();
    assert!(said.contains("applied=\"auth.keys\""), "{said}");
    assert_eq!(running.status(&new), 401);
}

#[test]
fn another_mode_waits_for_a_restart_with_all_that_belongs_to_it() {
    const OPEN: &str = "[server]\nlisten = \"127.0.0.1:0\"\n";
    let folder = tempfile::tempdir().unwrap();
    let secret = secret(folder.path(), "secret", b'1');
    let token = |key: &str| {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nallowed_origins = [\"*\"]\n\
             [auth]\nmode = \"token\"\n[[auth.keys]]\nalgorithm = \"HS256\"\n{key}\n"
        )
    };
    let good = token(&format!("secret_file = \"{secret}\""));
    let status = |running: &Reloading, origin: &str| {
        let mut connection = Connection::open(running.server.address());
        let headers = [("Origin", origin)];
        let answer = connection.request("GET", "/api/v1/ws/stats", &headers, b"");
        answer.status()
    };

    let mut open = Reloading::start(OPEN);
    let said = open.reload(&good);
    let waits = "applied=\"\" needs_restart=\"auth.mode auth.keys server.allowed_origins\"";
    assert!(said.contains(waits), "{said}");
    assert_eq!(status(&open, "https://evil.example"), 403);
    let said = open.reload(&token("secret = \"short\""));
    assert!(said.contains("reload_refused"), "{said}");
    assert!(said.contains("fault=\"auth.keys"), "{said}");

    let mut asking = Reloading::start(&good);
    let ada = asking.token();
    assert_eq!(asking.status(&ada), 200);
    let said = asking.reload(OPEN);
    assert!(said.contains(waits), "{said}");
    assert_eq!(asking.status(&ada), 200);
    assert_eq!(status(&asking, "https://evil.example"), 401);
}

#[test]
fn a_broken_configuration_changes_nothing_and_says_every_fault() {
    let mut running =
        Reloading::start("[server]\nlisten = \"127.0.0.1:0\"\n[limits]\nrooms_per_session = 1\n");
    let address = running.server.address();
    let mut member = Socket::open(address, "/ws?room=a");
    let mut still_refuses = || {
        let answer = member.ask(&json!({"type": "subscribe", "room": "b"}));
        assert_eq!(answer["data"]["code"], "RESOURCE_LIMIT", "{answer}");
    };
    for (config, faults) in [
        (
            "[limits]\nrooms_per_session = 5\nheaders = 0\nmesage_bytes = 5\n[log]\nlevel = 3\n",
            &["limits.headers", "limits.mesage_bytes", "log.level"][..],
        ),
        ("[limits]\nrooms_per_session = 5\n[[", &["kinglet.toml:3"]),
        (
            "[limits]\nrooms_per_session = 5\n[auth]\nmode = \"token\"\n[[auth.keys]]\n\
             algorithm = \"HS256\"\nsecret_file = \"/nowhere/at/all\"\n",
            &["/nowhere/at/all"],
        ),
    ] {
        let said = running.reload(config);
        assert!(said.contains("reload_refused"), "{said}");
        for fault in faults {
            assert!(said.contains(fault), "{fault} in {said}");
        }
        let lines = said.matches("reload_fault").count();
        assert_eq!(lines, faults.len(), "{said}");
        still_refuses();
    }
    fs::remove_file(running.path()).unwrap();
    let said = running.hang_up();
    assert!(
        said.contains("reload_refused") && said.contains("cannot read"),
        "{said}"
    );
    still_refuses();
    assert_eq!(running.server.counter("kinglet_reloads_failed_total"), 4);
    assert_eq!(running.server.counter("kinglet_reloads_total"), 0);
    let said = running.reload("[server]\nlisten = \"127.0.0.1:0\"\n");
    assert!(
        said.contains("applied=\"limits.rooms_per_session\""),
        "{said}"
    );
    Reloading::settle(&mut member);
    assert_eq!(
        member.ask(&json!({"type": "subscribe", "room": "b"}))["type"],
        "subscribed"
    );
}

#[test]
fn connections_that_there_are_no_descriptors_for_are_not_promised_by_a_reload_either() {
    let mut running = Reloading {
        folder: tempfile::tempdir().unwrap(),
        server: Server::start_with_descriptors(BINARY, 200, &[]),
        reloads: 0,
    };
    let said = running.hang_up();
    assert!(said.contains("connections_clamped limit="), "{said}");
    assert!(said.contains("reload_done applied=\"\""), "{said}");
}
