//! Scenarios in which the program is a bad child: how it ends, what it leaves behind, what it
//! writes or does not read.
//!
//! What it starts says its process id on standard output and holds on for at most
//! [`LIFETIME`], so that a failed test leaves nothing for ever.

use std::env;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::Scenario;
use crate::speech::{say, write};

/// The argument of a second life, which does nothing.
pub const HOLD: &str = "--hold";

/// How long anything lives that waits to be killed.
const LIFETIME: Duration = Duration::from_secs(120);

/// The scenarios, each with what it does.
const SCENARIOS: [&str; 16] = [
    // Writes nothing and waits.
    "hang",
    // Waits, and ignores TERM, INT and HUP.
    "ignore_term",
    // Writes without end.
    "flood",
    // Ends by the signal of the number, 9 by default.
    "die",
    // Leaves a process in a session of its own, and ends.
    "daemon",
    // Starts a child in its own group and waits with it.
    "child",
    // Ends while a child holds its standard output open.
    "hold_stdout",
    // Closes its standard output and waits.
    "close_stdout",
    // Writes so many bytes without a line's end, 50 MB by default.
    "no_newline",
    // Writes so many lines, 100,000 by default.
    "many_lines",
    // Writes to standard error only; the number is of lines.
    "stderr_only",
    // Never reads its standard input; only from the environment.
    "never_read",
    // Writes what is no UTF-8, in two pieces.
    "invalid_utf8",
    // Writes a progress bar with carriage returns.
    "progress",
    // Writes escape sequences and markup.
    "escapes",
    // Writes a last line without its end.
    "no_last_newline",
];

/// Whether a scenario is one of these.
pub fn knows(scenario: &Scenario) -> bool {
    SCENARIOS.contains(&scenario.name.as_str())
}

/// Whether the scenario must begin before the prompt is read.
pub fn never_reads(scenario: &Scenario) -> bool {
    scenario.name == "never_read"
}

/// Plays one of these scenarios.
pub fn play(scenario: &Scenario) -> io::Result<ExitCode> {
    let count = |default: usize| scenario.number.unwrap_or(default);
    match scenario.name.as_str() {
        "ignore_term" => return Err(again("trap '' TERM INT HUP; exec \"$0\" --hold")),
        "close_stdout" => return Err(again("exec \"$0\" --hold >&-")),
        "die" => {
            introduce()?;
            return Err(shell(&format!("kill -{} $$", count(9))).exec());
        }
        "flood" => loop {
            write(&b"flood\n".repeat(1000))?;
        },
        "daemon" => {
            let mut daemon = in_new_session()?;
            let nothing = Stdio::null;
            daemon.stdin(nothing()).stdout(nothing()).stderr(nothing());
            say(&json!({"type": "system", "subtype": "child", "pid": daemon.spawn()?.id()}))?;
        }
        "child" => {
            hold_in_child(false)?;
            wait();
        }
        "hold_stdout" => hold_in_child(true)?,
        "no_newline" => {
            let block = vec![b'x'; 64 * 1024];
            let mut left = count(50_000_000);
            while left > 0 {
                let length = left.min(block.len());
                write(block.get(..length).unwrap_or_default())?;
                left -= length;
            }
        }
        "many_lines" => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            for number in 1..=count(100_000) {
                writeln!(out, "line {number}")?;
            }
            out.flush()?;
        }
        "stderr_only" => {
            for number in 1..=count(10) {
                writeln!(io::stderr(), "warning {number}")?;
            }
        }
        "invalid_utf8" => {
            write(b"bad \xff\xfe bytes\nhalf \xe2\x82")?;
            thread::sleep(Duration::from_millis(50));
            write(b"\xac euro\nend \xc3")?;
        }
        "progress" => {
            for percent in (0..=100).step_by(10) {
                write(format!("\rprogress {percent}%").as_bytes())?;
            }
            write(b"\nwindows\r\n")?;
        }
        "escapes" => write(b"\x1b[31mred\x1b[0m\x1b]0;title\x07<script>alert(1)</script>\n")?,
        "no_last_newline" => write(b"first\nlast")?,
        _ => {
            introduce()?;
            wait();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The second life: says who it is, and waits.
pub fn hold() -> ExitCode {
    // Its standard output may be closed on purpose.
    let _ = introduce();
    wait()
}

/// Waits to be killed.
pub fn wait() -> ! {
    thread::sleep(LIFETIME);
    process::exit(3);
}

fn introduce() -> io::Result<()> {
    say(&json!({"type": "system", "subtype": "here", "pid": process::id()}))
}

/// Starts a child that holds on; it inherits our standard output, or has none.
fn hold_in_child(with_stdout: bool) -> io::Result<()> {
    let mut child = Command::new(env::current_exe()?);
    child.arg(HOLD).stdin(Stdio::null()).stderr(Stdio::null());
    if !with_stdout {
        child.stdout(Stdio::null());
    }
    let id = child.spawn()?.id();
    say(&json!({"type": "system", "subtype": "child", "pid": id}))
}

/// This program in a session of its own, which no signal to our group reaches.
fn in_new_session() -> io::Result<Command> {
    let own = env::current_exe()?;
    let has_setsid = Command::new("setsid")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut command;
    if has_setsid {
        command = Command::new("setsid");
    } else {
        // macOS has no such program.
        command = Command::new("perl");
        command.args(["-MPOSIX", "-e", "POSIX::setsid(); exec @ARGV"]);
    }
    command.arg(own).arg(HOLD);
    Ok(command)
}

/// Becomes this program again by way of a shell; returns only if that fails.
fn again(script: &str) -> io::Error {
    shell(script).exec()
}

/// A shell that runs `script`, with this program as its `$0`.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    if let Ok(own) = env::current_exe() {
        command.arg(own);
    }
    command
}
