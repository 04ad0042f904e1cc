//! From `kinglet init` to a server that knows its users, as an operator goes: every line that is
//! printed is run as it stands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/process.rs"]
mod process;

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use process::{Ended, Running, ended_in, kinglet};
use serde_json::json;
use tempfile::TempDir;

/// A server with what `kinglet init` wrote, and what both said.
struct Served {
    folder: TempDir,
    first_token: String,
    url: String,
    greeting: Vec<String>,
    _running: Running,
}

/// Runs `init` and then `serve` with `options`, in one folder.
fn serve(options: &[&str]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let init = ended_in(folder.path(), &[&["init"], options].concat(), &[]);
    assert_eq!(init.code, Some(0), "{}", init.errors);
    let mut lines = init
        .output
        .lines()
        .map(|line| line.split_once(": ").unwrap_or((line, "")));
    let token = lines
        .find(|(what, _)| what.starts_with("token ("))
        .unwrap()
        .1;
    let arguments = [&["serve", "--listen", "127.0.0.1:0"], options].concat();
    let mut command = kinglet(folder.path(), &arguments);
    // One test waits until it is over.
    command.env("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "1s");
    let running = Running::spawn(command);
    let greeting: Vec<String> = (0..4).map(|_| running.line()).collect();
    let (_, url) = greeting[0].split_once(" listens on ").unwrap();
    Served {
        first_token: token.to_owned(),
        url: url.to_owned(),
        folder,
        greeting,
        _running: running,
    }
}

impl Served {
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let arguments = [arguments, &["--url", &self.url]].concat();
        ended_in(self.folder.path(), &arguments, environment)
    }

    fn token(&self, arguments: &[&str]) -> String {
        let signed = ended_in(self.folder.path(), &[&["token"], arguments].concat(), &[]);
        assert_eq!(signed.code, Some(0), "{}", signed.errors);
        signed.output.trim_end().to_owned()
    }
}

/// A line for a shell that finds our binary as `kinglet`.
fn shell(folder: &Path, line: &str) -> Command {
    let binaries = Path::new(env!("CARGO_BIN_EXE_kinglet")).parent().unwrap();
    let others = env::var("PATH").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env_clear();
    command.env("PATH", format!("{}:{others}", binaries.display()));
    command.stdin(Stdio::null());
    command
}

/// Waits until the subscriber is in its room: publishes with `publish` until it hears something.
fn first_event(reader: &Running, served: &Served, room: &str) -> serde_json::Value {
    // The hello is not printed, so a publication may come before the membership.
    let token = served.first_token.as_str();
    let path = format!("/api/v1/rooms/{room}");
    let address = served.url.strip_prefix("http://").unwrap().parse().unwrap();
    let bearer = format!("Bearer {token}");
    kinglet::testkit::server::until("the member is there", || {
        let mut connection = kinglet::testkit::client::Connection::open(address);
        let headers = [("Authorization", bearer.as_str())];
        connection.request("GET", &path, &headers, b"").json()["members"] == 1
    });
    let published = served.run(&["publish", room, "said", "7", "--token", token], &[]);
    assert_eq!(published.code, Some(0), "{}", published.errors);
    reader.event()
}

#[test]
fn what_init_prints_serves_and_its_token_opens_everything() {
    let served = serve(&[]);
    assert!(served.greeting[1].starts_with("mode: token, "));
    for given in ["option", "variable"] {
        let mut arguments = vec!["subscribe", "chat:1", "--url", &served.url];
        let mut command = match given {
            "option" => {
                arguments.extend(["--token", &served.first_token]);
                kinglet(served.folder.path(), &arguments)
            }
            _ => kinglet(served.folder.path(), &arguments),
        };
        if given == "variable" {
            command.env("KINGLET_TOKEN", &served.first_token);
        }
        let mut reader = Running::spawn(command);
        let event = first_event(&reader, &served, "chat:1");
        assert_eq!(
            (&event["type"], &event["data"]),
            (&json!("said"), &json!(7))
        );
        reader.signal("INT");
        reader.exit_code();
    }
}

#[test]
fn the_lines_of_the_greeting_work_as_they_stand() {
    for options in [&[][..], &["--config", "it's here.toml"]] {
        let served = serve(options);
        let [_, _, watch, curl] = served.greeting.as_slice() else {
            panic!("{:?}", served.greeting);
        };
        let watch = watch.strip_prefix("watch: ").unwrap();
        // So that what is ended is the subscriber and not the shell.
        let watch = watch.replace(" kinglet subscribe", " exec kinglet subscribe");
        let reader = Running::spawn(shell(served.folder.path(), &watch));
        assert_eq!(first_event(&reader, &served, "global")["data"], 7);

        let curl = curl.strip_prefix("try: ").unwrap();
        let shows = format!("curl() {{ printf '%s\\n' \"$@\"; }}; {curl}");
        let shown = shell(served.folder.path(), &shows).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let arguments: Vec<&str> = shown.lines().collect();
        let [url, "-H", header, "-d", body] = arguments.as_slice() else {
            panic!("{shown}");
        };
        let target = url.strip_prefix(&served.url).unwrap();
        let address = served.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = kinglet::testkit::client::Connection::open(address);
        let answer = connection.request(
            "POST",
            target,
            &[header.split_once(": ").unwrap()],
            body.as_bytes(),
        );
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(reader.event()["type"], "hello");
    }
}

#[test]
fn what_init_says_next_works_as_it_stands() {
    for options in [&[][..], &["--config", "it's here.toml"]] {
        let folder = tempfile::tempdir().unwrap();
        let init = ended_in(folder.path(), &[&["init"], options].concat(), &[]);
        let next = init
            .output
            .lines()
            .find_map(|line| line.strip_prefix("next: "))
            .unwrap();
        let listen = format!("exec {next} --listen 127.0.0.1:0");
        let running = Running::spawn(shell(folder.path(), &listen));
        assert!(running.line().contains(" listens on http://127.0.0.1:"));
        let more = init
            .output
            .lines()
            .find_map(|line| line.strip_prefix("more tokens: "))
            .unwrap();
        let token = shell(folder.path(), &more.replace("ID", "ada"))
            .output()
            .unwrap();
        assert!(token.status.success(), "{token:?}");
    }
}

#[test]
fn a_token_does_what_its_role_says() {
    let served = serve(&[]);
    let check = |room: &str, token: &[&str], code: i32, words: &str| {
        let token = served.token(&[&["--user", "ada"], token].concat());
        let found = served.run(&["publish", room, "said", "--token", &token], &[]);
        assert_eq!(found.code, Some(code), "{room} {}", found.errors);
        assert!(
            format!("{}{}", found.output, found.errors).contains(words),
            "{}",
            found.errors
        );
    };
    check(
        "project:1",
        &[],
        1,
        "no grant to publish in the room \"project:1\"",
    );
    check("project:1", &["--role", "readonly"], 1, "PERMISSION_DENIED");
    check("project:1", &["--role", "agent"], 0, "\"offset\":1");
    check(
        "project:1",
        &["--room", "project:*=publish"],
        0,
        "\"offset\":2",
    );
    check("chat:1", &["--role", "agent"], 1, "PERMISSION_DENIED");
    check("chat:1", &["--role", "admin"], 0, "\"offset\":1");
    let ada = served.token(&["--user", "ada"]);
    let denied = served.run(&["subscribe", "chat:1", "--token", &ada], &[]);
    assert_eq!(denied.code, Some(1));
    assert!(
        denied
            .errors
            .contains("no grant to subscribe in the room \"chat:1\"")
    );
}

#[test]
fn whoever_shows_nothing_good_is_told_what_to_show() {
    let served = serve(&[]);
    let check = |arguments: &[&str], words: &str| {
        let found = served.run(arguments, &[]);
        assert_eq!((found.code, &*found.output), (Some(1), ""), "{arguments:?}");
        assert!(found.errors.contains(words), "{}", found.errors);
        assert_eq!(found.errors.lines().count(), 1, "{}", found.errors);
    };
    check(
        &["publish", "global", "said"],
        "this needs a credential: Authorization: Bearer",
    );
    check(
        &["publish", "global", "said", "--token", "a.b.c"],
        "not a signed JWT",
    );
    check(
        &["subscribe", "global", "--token", "a.b.c"],
        "not a signed JWT",
    );
    check(
        &["subscribe", "global"],
        "no token came in time; show one with --token or KINGLET_TOKEN",
    );
}

#[test]
fn other_machines_may_connect_only_where_somebody_is_asked_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let check = |mode: &[&str], code: i32| {
        let arguments = [&["check-config", "--listen", "0.0.0.0:8080"], mode].concat();
        let found = ended_in(folder.path(), &arguments, &[]);
        assert_eq!(found.code, Some(code), "{mode:?} {}", found.errors);
        found.errors
    };
    assert!(check(&[], 2).contains("--insecure"));
    check(&["--insecure"], 0);
    ended_in(folder.path(), &["init"], &[]);
    assert_eq!(check(&[], 0), "");
}
