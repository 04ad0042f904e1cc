//! The Claude CLI itself as an agent, without an account and without a network: what it says of
//! that comes through as output and as the end of a run, and nothing of it stays.
//!
//! `make claude` installs it (some 380 MB) and sets KINGLET_TEST_CLAUDE to its path; without that
//! the tests are skipped aloud. Nothing leaves this machine: the API and every proxy are a port of
//! loopback where nobody listens, or where a listener of ours says nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use kinglet::testkit::client::{Answer, Connection, get, note, post};
use kinglet::testkit::server::{Server, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the CLI may take to start on a machine under load, or to give up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with the CLI as several agents, and a project.
struct Host {
    server: Server,
    project: String,
    /// Where it would ask the API, if somebody did not answer there.
    silent: TcpListener,
    _folder: TempDir,
}

impl Host {
    /// Starts it, unless there is no CLI.
    fn start() -> Option<Self> {
        let Ok(claude) = std::env::var("KINGLET_TEST_CLAUDE") else {
            note("skipped: the Claude CLI, because KINGLET_TEST_CLAUDE is not set; `make claude`");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        for made in ["home", "home/shop"] {
            fs::create_dir(path.join(made)).unwrap();
        }
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = path.join("agents.toml");
        fs::write(&config, agents(&claude, &silent)).unwrap();
        let home = path.join("home");
        let home = home.to_str().unwrap();
        let server = Server::start_with(
            env!("CARGO_BIN_EXE_kinglet"),
            &[
                "--config",
                config.to_str().unwrap(),
                "--listen",
                "127.0.0.1:0",
            ],
            &[("HOME", home), ("PATH", "/usr/bin:/bin")],
        );
        let made = post(
            server.address(),
            "/api/v1/projects",
            &json!({ "path": format!("{home}/shop") }),
        );
        assert_eq!(made.status(), 201, "{made:?}");
        Some(Self {
            project: made.json()["id"].as_str().unwrap().to_owned(),
            server,
            silent,
            _folder: folder,
        })
    }

    fn begin(&self, agent: &str) -> String {
        let path = format!("/api/v1/projects/{}/runs", self.project);
        let prompt = match agent {
            "version" => "",
            _ => "hello",
        };
        let asked = json!({ "agent": agent, "prompt": prompt });
        let begun = post(self.server.address(), &path, &asked);
        assert_eq!(begun.status(), 202, "{begun:?}");
        begun.json()["run"]["id"].as_str().unwrap().to_owned()
    }

    fn run(&self, id: &str) -> Value {
        let answer: Answer = get(self.server.address(), &format!("/api/v1/runs/{id}"));
        answer.json()
    }

    /// Waits for the end of a run and returns it.
    fn ended(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.run(id);
            let state = run["state"].as_str().unwrap();
            if !["queued", "running", "stalled"].contains(&state) {
                return run;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{run}\n{}",
                self.server.stderr()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the run printed on `stream`: its lines, or JSON as text.
    fn said(&self, id: &str, stream: &str) -> Vec<String> {
        let path = format!("/api/v1/rooms/project:{}/history?since=0", self.project);
        let page = get(self.server.address(), &path).json();
        let all = page["publications"].as_array().unwrap().iter();
        let of_run = all.filter(|it| {
            let data = &it["data"];
            it["type"] == "run.output" && data["run"] == *id && data["stream"] == *stream
        });
        let text = |it: &Value| match it["data"]["line"].as_str() {
            Some(line) => line.to_owned(),
            None => it["data"]["json"].to_string(),
        };
        of_run.map(text).collect()
    }
}

/// The configuration: each agent is the CLI, none has an account.
fn agents(claude: &str, silent: &TcpListener) -> String {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let env = |api: &str, more: &str| {
        format!(
            "env = {{ ANTHROPIC_BASE_URL = \"{api}\", HTTPS_PROXY = \"{nobody}\", \
             HTTP_PROXY = \"{nobody}\", NO_PROXY = \"127.0.0.1\", \
             CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC = \"1\", DISABLE_AUTOUPDATER = \"1\", \
             DISABLE_TELEMETRY = \"1\", DISABLE_ERROR_REPORTING = \"1\"{more} }}\n"
        )
    };
    let key = ", ANTHROPIC_API_KEY = \"sk-ant-none\", CLAUDE_CODE_MAX_RETRIES = \"0\"";
    let agent = |name: &str, kind: &str, arguments: &str, rest: &str| {
        format!("[agents.{name}]\nkind = \"{kind}\"\ncommand = [\"{claude}\"{arguments}]\n{rest}\n")
    };
    [
        agent("version", "lines", ", \"--version\"", &env(&nobody, "")),
        agent("claude", "claude", "", &env(&nobody, "")),
        agent("wrong", "claude", ", \"--no-such-flag\"", &env(&nobody, "")),
        agent("cut-off", "claude", "", &env(&nobody, key)),
        agent("waits", "claude", "", &env(&silent, key)),
        agent(
            "talks",
            "claude",
            "",
            &format!("interactive = true\n{}", env(&nobody, "")),
        ),
    ]
    .concat()
}

#[test]
fn the_claude_cli_says_its_version_as_any_command_does() {
    let Some(host) = Host::start() else { return };
    let id = host.begin("version");
    let run = host.ended(&id);
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("exited"), &json!(0)),
        "{run}"
    );
    let said = host.said(&id, "stdout");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said.iter().all(|line| line.ends_with("(Claude Code)")),
        "{said:?}"
    );
}

#[test]
fn the_claude_cli_without_an_account_fails_and_says_so() {
    let Some(host) = Host::start() else { return };
    for agent in ["claude", "talks", "cut-off"] {
        let id = host.begin(agent);
        let run = host.ended(&id);
        assert_eq!(run["state"], "failed", "{agent} {run}");
        assert_eq!(run["exit_code"], 1, "{agent} {run}");
        assert!(run["session_id"].is_string(), "{agent} {run}");
        let said = host.said(&id, "stdout");
        for part in [
            r#""subtype":"init""#,
            r#""type":"result""#,
            r#""is_error":true"#,
        ] {
            assert!(
                said.iter().any(|line| line.contains(part)),
                "{agent} {part} {said:?}"
            );
        }
    }
}

#[test]
fn the_claude_clis_complaint_about_an_argument_is_told() {
    let Some(host) = Host::start() else { return };
    let id = host.begin("wrong");
    let run = host.ended(&id);
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("failed"), &json!(1)),
        "{run}"
    );
    let said = host.said(&id, "stderr");
    assert!(
        said.iter().any(|line| line.contains("--no-such-flag")),
        "{said:?}"
    );
    assert_eq!(host.said(&id, "stdout"), [""; 0]);
}

#[test]
fn the_claude_cli_that_waits_for_an_answer_can_be_cancelled() {
    let Some(host) = Host::start() else { return };
    let id = host.begin("waits");
    // It has been asked, and gets no answer.
    host.silent.set_nonblocking(true).unwrap();
    let mut asked = None;
    until("it asks", || {
        asked = host.silent.accept().ok();
        asked.is_some()
    });
    let cancelled = Connection::open(host.server.address()).request(
        "DELETE",
        &format!("/api/v1/runs/{id}"),
        &[],
        b"",
    );
    assert_eq!(cancelled.status(), 202);
    let begun = Instant::now();
    assert_eq!(host.ended(&id)["state"], "cancelled");
    // TERM, and after five seconds KILL.
    assert!(begun.elapsed() < Duration::from_secs(15));
}
