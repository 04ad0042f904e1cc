//! Commands of the binary as processes: their lines as they come, their exit codes.
//!
//! Shared by the tests of the command line. May not touch processes it did not start.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const DEADLINE: Duration = Duration::from_secs(20);

/// The binary with nothing of our own environment, in a folder without a kinglet.toml.
pub fn kinglet(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinglet"));
    command.args(arguments).current_dir(folder).env_clear();
    command.stdin(Stdio::null());
    command
}

/// A process whose lines are read as they come; killed when the test is over.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    folder: Option<TempDir>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let command = kinglet(folder.path(), arguments);
        let mut running = Self::spawn(command);
        running.folder = Some(folder);
        running
    }

    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            lines: lines_of(child.stdout.take().unwrap()),
            errors: lines_of(child.stderr.take().unwrap()),
            child,
            folder: None,
        }
    }

    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line")
    }

    pub fn event(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub fn error(&self) -> String {
        self.errors.recv_timeout(DEADLINE).expect("an error line")
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        exit_code(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

pub fn exit_code(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::yield_now();
    }
    panic!("the process did not end");
}

/// What a command left behind.
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub fn ended(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    ended_in(folder.path(), arguments, environment)
}

pub fn ended_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = kinglet(folder, arguments);
    command.envs(environment.iter().copied());
    command.output().unwrap().into()
}
