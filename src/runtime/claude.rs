//! Finds the Claude CLI and asks it which version it is: when agents are looked for, on a thread that
//! may wait.
//!
//! Invariant: whatever the program does, asking is over after [`limits::VERSION_TIMEOUT`], and nothing
//! of the program's process group is left.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::app::runs::launch;
use crate::base::limits;
use crate::base::one_line::on_one_line;
use crate::config::Config;
use crate::domain::claude_cli::ClaudeCli;
use crate::os::process::{Notice, Pid, signal_group};

/// Bytes that are read of what it says.
const ANSWER_BYTES: u64 = 4096;

/// Characters that are kept of it.
const VERSION_CHARACTERS: usize = 100;

/// How long is waited between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Finds the CLI that `config` names and asks for its version. Takes up to five seconds.
#[must_use]
pub fn look_up(config: &Config) -> Option<ClaudeCli> {
    let cli = launch::claude(config)?;
    let version = cli.found.as_ref().ok();
    let version = version.map(|path| version_of(path, cli.environment, limits::VERSION_TIMEOUT));
    Some(ClaudeCli {
        program: cli.program,
        found: cli.found,
        version,
    })
}

/// What `program --version` says first, on one line.
fn version_of(
    program: &Path,
    environment: Vec<(OsString, OsString)>,
    timeout: Duration,
) -> Result<String, String> {
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let said = listen(&mut child, timeout);
    let group = i32::try_from(child.id()).ok().and_then(Pid::new);
    if let Some(group) = group {
        // Nobody has waited for the leader yet, so the number still means this group.
        signal_group(group, Notice::Kill);
    }
    let _ = child.wait();
    let said = said?;
    let text = String::from_utf8_lossy(&said);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    let first = first.ok_or("it says nothing when asked for --version")?;
    let line: String = first.chars().take(VERSION_CHARACTERS).collect();
    Ok(on_one_line(&line).into_owned())
}

/// What a child prints until it has ended well.
fn listen(child: &mut Child, timeout: Duration) -> Result<Vec<u8>, String> {
    let Some(output) = child.stdout.take() else {
        return Err("it has no standard output".to_owned());
    };
    let (say, heard) = bounded(1);
    // A child of the child may hold the pipe for ever; then this thread waits for it, and we do not.
    let reading = thread::Builder::new().name("version".to_owned());
    let reading = reading.spawn(move || {
        let mut said = Vec::new();
        let read = output.take(ANSWER_BYTES).read_to_end(&mut said);
        let _ = say.send(read.map(|_| said));
    });
    reading.map_err(|error| format!("there is no thread to listen to it: {error}"))?;
    let too_long = || {
        format!(
            "it takes longer than {} s to say its version",
            timeout.as_secs()
        )
    };
    let said = heard.recv_timeout(timeout).map_err(|_| too_long())?;
    let said = said.map_err(|error| format!("what it says cannot be read: {error}"))?;
    let looks = timeout.as_millis() / PAUSE.as_millis();
    for _ in 0..=looks {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(said),
            Ok(Some(status)) => return Err(format!("asked for --version, it ended with {status}")),
            Ok(None) => thread::sleep(PAUSE),
            Err(error) => return Err(format!("it cannot be waited for: {error}")),
        }
    }
    Err(too_long())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A program that does what the shell's `script` says.
    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("claude");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    fn check(script: &str, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path(), script);
        let environment = vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("A".into(), "b".into()),
        ];
        let answer = version_of(&program, environment, Duration::from_secs(1));
        match (&answer, expected) {
            (Ok(version), Ok(expected)) => assert_eq!(version, expected, "{script}"),
            (Err(fault), Err(part)) => assert!(fault.contains(part), "{script}: {fault}"),
            _ => assert_eq!(
                answer.as_deref().map_err(String::as_str),
                expected,
                "{script}"
            ),
        }
    }

    #[test]
    fn the_first_line_is_the_version() {
        check(
            "echo '2.0.1 (Claude Code)'; echo more",
            Ok("2.0.1 (Claude Code)"),
        );
        check("echo; echo \" $1 $A $HOME \"", Ok("--version b"));
        check("printf '1\\033[2J\\n'", Ok("1\\u{1b}[2J"));
        check("exec yes 1234567890", Err("signal: 13"));
    }

    #[test]
    fn what_says_no_version_is_told_why() {
        check("true", Err("says nothing"));
        check("echo 1; exit 3", Err("exit status: 3"));
        check("exec sleep 1000", Err("longer than 1 s"));
        check("sleep 1000 & echo 1", Err("longer than 1 s"));
        check("exec >/dev/null; exec sleep 1000", Err("longer than 1 s"));
        let missing = version_of(Path::new("/nonexistent"), vec![], Duration::from_secs(1));
        assert!(missing.unwrap_err().contains("cannot be started"));
    }
}
