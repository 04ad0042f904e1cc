//! A server with a directory for projects and one for its data, that outlives restarts.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use kinglet::testkit::client::{Answer, Arrival, Connection, get, post};
use kinglet::testkit::processes::{living, within_two_seconds};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a run may be silent before a test gives up on it.
const SILENCE: Duration = Duration::from_secs(30);

/// A server that is, or was, up, and what it works on.
pub struct Host {
    server: Option<Server>,
    settings: Vec<(String, String)>,
    /// Where projects are.
    pub root: TempDir,
    _data: TempDir,
}

impl Host {
    /// Starts the server; `settings` as for [`Server::start`].
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = tempfile::tempdir().unwrap();
        let path = env::var("PATH").unwrap_or_default();
        let mut all: Vec<(String, String)> = [
            ("PATH", path.as_str()),
            ("KINGLET_SERVER__DATA_DIR", data.path().to_str().unwrap()),
            ("KINGLET_PROJECTS__ROOTS", root.path().to_str().unwrap()),
            ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
            (
                "KINGLET_AGENTS__CLAUDE__COMMAND",
                env!("CARGO_BIN_EXE_claude-stand-in"),
            ),
            ("KINGLET_AGENTS__SHELL__COMMAND", "/bin/sh"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        for (name, value) in settings {
            all.retain(|(known, _)| known != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let mut host = Self {
            server: None,
            settings: all,
            root,
            _data: data,
        };
        host.restart();
        host
    }

    /// Starts the server again, on what it had.
    pub fn restart(&mut self) {
        // The one before holds the data directory until it is gone.
        self.server = None;
        let settings = self.settings.iter();
        let settings: Vec<_> = settings.map(|(name, value)| (&**name, &**value)).collect();
        self.server = Some(Server::start(env!("CARGO_BIN_EXE_kinglet"), &settings));
    }

    /// Kills the server and waits until it is gone.
    pub fn kill(&mut self) {
        self.server = None;
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a server that is up")
    }

    /// Waits for the end of the server; its exit code.
    pub fn wait(&mut self) -> i32 {
        let server = self.server.as_mut();
        server.expect("a server that is up").wait()
    }

    pub fn pid(&self) -> i32 {
        self.server().pid().try_into().unwrap()
    }

    pub fn get(&self, target: &str) -> Answer {
        get(self.server().address(), target)
    }

    pub fn post(&self, target: &str, body: &Value) -> Answer {
        post(self.server().address(), target, body)
    }

    pub fn delete(&self, target: &str) -> Answer {
        Connection::open(self.server().address()).request("DELETE", target, &[], b"")
    }

    /// Makes a directory under the root, and a project of it; its id.
    pub fn project(&self, name: &str) -> String {
        let path = self.root.path().join(name);
        fs::create_dir_all(&path).unwrap();
        let made = self.post("/api/v1/projects", &json!({"path": path}));
        assert_eq!(made.status(), 201, "{made:?}");
        text(&made.json()["id"])
    }

    /// Asks for a run.
    pub fn ask(&self, project: &str, body: &Value) -> Answer {
        self.post(&format!("/api/v1/projects/{project}/runs"), body)
    }

    /// Starts a run; its id.
    pub fn run(&self, project: &str, body: &Value) -> String {
        let started = self.ask(project, body);
        assert_eq!(started.status(), 202, "{started:?}");
        text(&started.json()["run"]["id"])
    }

    /// Starts the stand-in with a scenario; the run's id.
    pub fn play(&self, project: &str, scenario: &str) -> String {
        let prompt = format!("scenario:{scenario}");
        self.run(project, &json!({"prompt": prompt}))
    }

    /// Starts a shell that reads this script; the run's id.
    pub fn shell(&self, project: &str, script: &str) -> String {
        self.run(project, &json!({"agent": "shell", "prompt": script}))
    }

    pub fn cancel(&self, run: &str) -> Answer {
        self.delete(&format!("/api/v1/runs/{run}"))
    }

    /// A run as the server tells of it.
    pub fn record(&self, run: &str) -> Value {
        let answer = self.get(&format!("/api/v1/runs/{run}"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()
    }

    /// The state of a project.
    pub fn state(&self, project: &str) -> String {
        let answer = self.get(&format!("/api/v1/projects/{project}"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        text(&answer.json()["state"])
    }

    /// Waits until a run is over, and its room was told so: whoever hears of the end and asks is told
    /// of the end, so the record comes first.
    pub fn ended(&self, run: &str) -> Value {
        let mut record = Value::Null;
        until("the run ends", || {
            record = self.record(run);
            !record["ended_at"].is_null()
        });
        let room = format!("/api/v1/rooms/project:{}", text(&record["project"]));
        until("the room is told of the end", || {
            let answer = self.get(&room);
            answer.status() == 404
                || answer.json()["offset"].as_u64() >= record["last_offset"].as_u64()
        });
        record
    }

    /// All that was said in a project.
    pub fn history(&self, project: &str) -> Vec<Value> {
        let (mut all, mut since) = (Vec::new(), 0);
        let mut connection = Connection::open(self.server().address());
        loop {
            let target = format!("/api/v1/rooms/project:{project}/history?since={since}&limit=300");
            let answer = connection.request("GET", &target, &[], b"");
            assert_eq!(answer.status(), 200, "{answer:?}");
            let mut page = answer.json();
            let Value::Array(publications) = page["publications"].take() else {
                panic!("no publications: {page}");
            };
            since = publications.last().map_or(since, offset_of);
            all.extend(publications);
            if page["more"] != true {
                return all;
            }
        }
    }

    /// Somebody who watches a project from its first event on.
    pub fn watch(&self, project: &str) -> Watcher {
        Watcher::join(self.server(), project)
    }

    /// Waits for a run's end, and checks that what is told of it is whole: it begins once, ends once, and its record says
    /// where. Returns its last event's run.
    pub fn check_story(&self, project: &str, run: &str) -> Value {
        self.ended(run);
        let history = self.history(project);
        let story: Vec<&Value> = history.iter().filter(|event| is_of(event, run)).collect();
        let count = |kind| story.iter().filter(|event| event["type"] == kind).count();
        assert_eq!((count("run.started"), count("run.exited")), (1, 1), "{run}");
        let (first, last) = (story[0], story[story.len() - 1]);
        assert!(first["type"] == "run.started" || first["type"] == "run.queued");
        assert_eq!(last["type"], "run.exited");
        let record = self.record(run);
        let mut told = last["data"]["run"].clone();
        // An event does not know its own offset.
        told["first_offset"] = first["offset"].clone();
        told["last_offset"] = last["offset"].clone();
        assert_eq!(record, told, "the record is what was told");
        if record["state"] == "lost" {
            // The keepers of the server before are not waited for by the one that tells of it.
            within_two_seconds("nothing of it is left", || living(run.as_ref()).is_empty());
        }
        assert_eq!(living(run.as_ref()), [0; 0], "nothing of it is left");
        record
    }
}

/// Whether an event tells of this run.
pub fn is_of(event: &Value, run: &str) -> bool {
    let told = &event["data"]["run"];
    *told == *run || told["id"] == *run
}

/// What a publication says, wherever it is told: live, in a recovery, or in the history.
pub fn said(events: &[Value]) -> Vec<[&Value; 4]> {
    let members = ["offset", "type", "timestamp", "data"];
    let said = events
        .iter()
        .map(|event| members.map(|member| &event[member]));
    said.collect()
}

/// Somebody who subscribed to a project's room.
pub struct Watcher {
    socket: Socket,
    backlog: std::vec::IntoIter<Value>,
    /// The permissions that were pending.
    pub pending: Value,
}

impl Watcher {
    fn join(server: &Server, project: &str) -> Self {
        let opened =
            Socket::handshake(server.connect(), "/ws?room=elsewhere", &["kinglet.v1"], &[]);
        let mut socket = opened.expect("the server takes clients");
        assert_eq!(socket.message()["type"], "connected");
        let room = format!("project:{project}");
        let mut reply = socket.ask(&json!({"type": "subscribe", "room": room, "since": 0}));
        assert_eq!(reply["recovered"], true, "{reply}");
        let Value::Array(backlog) = reply["publications"].take() else {
            panic!("no publications: {reply}");
        };
        Self {
            socket,
            backlog: backlog.into_iter(),
            pending: reply["pending"].take(),
        }
    }

    /// The next event; a run may be silent before it for a while.
    pub fn next(&mut self) -> Value {
        if let Some(event) = self.backlog.next() {
            return event;
        }
        let deadline = Instant::now() + SILENCE;
        while Instant::now() < deadline {
            match self.socket.receive() {
                Received::Text(text) => return serde_json::from_str(&text).unwrap(),
                Received::Ping(payload) => self.socket.frame(true, Opcode::Pong, &payload),
                Received::None(Arrival::Nothing) => {}
                other => panic!("an event was expected, not {other:?}"),
            }
        }
        panic!("nothing was told");
    }

    /// Everything up to the first event of this kind, it included.
    pub fn through(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            events.push(self.next());
            if events.last().is_some_and(|event| event["type"] == kind) {
                return events;
            }
        }
    }

    /// The first event of this kind.
    pub fn await_kind(&mut self, kind: &str) -> Value {
        self.through(kind).pop().unwrap()
    }

    /// Sends a command and waits for its reply, whatever is told meanwhile.
    pub fn command(&mut self, command: &Value) -> Value {
        let mut command = command.clone();
        command["id"] = json!("asked");
        self.socket.json(&command);
        loop {
            let message = self.next();
            if message["id"] == "asked" {
                return message;
            }
        }
    }

    /// Checks that nothing more is told.
    pub fn hears_nothing(&mut self) {
        assert_eq!(self.backlog.next(), None);
        self.socket.hears_nothing();
    }
}

pub fn offset_of(event: &Value) -> u64 {
    event["offset"].as_u64().expect("an offset")
}

pub fn text(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("no text: {value}"))
}

/// What a run printed, of its events: stream, and the line or its JSON.
pub fn printed(events: &[Value]) -> Vec<(String, String)> {
    let outputs = events.iter().filter(|event| event["type"] == "run.output");
    let line = |event: &Value| {
        let data = &event["data"];
        let line = data["line"].as_str().map(str::to_owned);
        let line = line.unwrap_or_else(|| data["json"].to_string());
        (text(&data["stream"]), line)
    };
    outputs.map(line).collect()
}

/// The process ids that the stand-in told of.
pub fn pids(events: &[Value]) -> Vec<i32> {
    let told = events.iter().filter_map(|event| {
        let pid = event["data"]["json"]["pid"].as_i64()?;
        i32::try_from(pid).ok()
    });
    told.collect()
}

/// How much of something is done: more of it where `KINGLET_TEST_SOAK` is set.
pub fn scale(usual: usize, soak: usize) -> usize {
    match env::var_os("KINGLET_TEST_SOAK") {
        Some(_) => soak,
        None => usual,
    }
}
