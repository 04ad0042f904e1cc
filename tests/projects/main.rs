//! Projects and runs of the real binary, as its clients meet them: agents are commands that every
//! system has, so what is shown is what kinglet makes of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod closed;
mod hostile;
mod joining;
mod output;
mod places;

use std::fs;
use std::path::{Path, PathBuf};

use kinglet::testkit::client::{get, post};
use kinglet::testkit::server::{Server, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server with a directory for projects.
struct Host {
    server: Server,
    /// What projects may be in, as the server spells it.
    root: PathBuf,
    folder: TempDir,
}

/// The server on this configuration.
fn serve(config: &Path, arguments: &[&str]) -> Server {
    let config = ["--config", config.to_str().unwrap()];
    Server::start_with(
        env!("CARGO_BIN_EXE_kinglet"),
        &[&config[..], arguments].concat(),
        &[
            ("KINGLET_SERVER__LISTEN", "127.0.0.1:0"),
            ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
            (
                "JWT_SECRET_KEY",
                "a secret of the server that no run may see",
            ),
            ("HOME", "/"),
            ("PATH", "/usr/bin:/bin"),
        ],
    )
}

impl Host {
    /// A server with these lines in its configuration.
    fn start(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let root = base.join("projects");
        fs::create_dir(&root).unwrap();
        let config = base.join("kinglet.toml");
        let text = format!(
            "[server]\ndata_dir = {:?}\n[projects]\nroots = [{root:?}]\n{lines}",
            base.join("data")
        );
        fs::write(&config, text).unwrap();
        let server = serve(&config, &[]);
        Self {
            server,
            root,
            folder,
        }
    }

    /// Ends the server, and starts it with these further arguments.
    fn restart(&mut self, arguments: &[&str]) {
        self.server.signal("TERM");
        assert_eq!(self.server.wait(), 0);
        self.server = serve(&self.folder.path().join("kinglet.toml"), arguments);
    }

    /// Registers a new directory; the project's id.
    fn project(&self, name: &str) -> String {
        let path = self.root.join(name);
        fs::create_dir(&path).unwrap();
        let body = json!({ "path": path });
        let answer = post(self.server.address(), "/api/v1/projects", &body);
        assert_eq!(answer.status(), 201, "{}", answer.json());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Asks for a run: the run, or the fault.
    fn start_run(&self, project: &str, body: &Value) -> Result<Value, Value> {
        let target = format!("/api/v1/projects/{project}/runs");
        let answer = post(self.server.address(), &target, body);
        match answer.status() {
            202 => Ok(answer.json()["run"].clone()),
            _ => Err(answer.json()["error"].clone()),
        }
    }

    fn run(&self, id: &str) -> Value {
        get(self.server.address(), &format!("/api/v1/runs/{id}")).json()
    }

    /// The run when it is over.
    fn ended(&self, id: &str) -> Value {
        let mut run = Value::Null;
        until("the run is over", || {
            run = self.run(id);
            run.get("ended_at").is_some()
        });
        run
    }

    /// Runs something to its end.
    fn carry_out(&self, project: &str, body: &Value) -> Value {
        let run = self.start_run(project, body).unwrap();
        self.ended(run["id"].as_str().unwrap())
    }

    /// The lines that a run printed, as they were told.
    fn lines(&self, run: &Value) -> Vec<String> {
        let room = format!("project:{}", run["project"].as_str().unwrap());
        let (mut since, last) = (run["first_offset"].clone(), run["last_offset"].clone());
        let mut lines = Vec::new();
        while since != last {
            let target = format!("/api/v1/rooms/{room}/history?since={since}&limit=300");
            let page = get(self.server.address(), &target).json();
            for publication in page["publications"].as_array().unwrap() {
                since = publication["offset"].clone();
                if publication["type"] == "run.output" && publication["data"]["run"] == run["id"] {
                    let line = publication["data"]["line"].as_str().unwrap();
                    lines.push(line.to_owned());
                }
            }
        }
        lines
    }
}
