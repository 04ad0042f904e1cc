//! `run`: start runs of an agent, one after the other, and watch each to its end.
//!
//! Invariants: a run is over when every viewer was told; what viewers are told has offsets without
//! gaps, or it is counted as lost.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use form_urlencoded::Serializer;

use crate::cli::Failure;
use crate::cli::arguments::ServerArgument;
use crate::cli::bench::arguments::{CommonArguments, RunArguments};
use crate::cli::bench::latency::Latencies;
use crate::cli::bench::outlet::offset_in;
use crate::cli::bench::peer::Event;
use crate::cli::bench::report::Report;
use crate::cli::bench::swarm::Swarm;
use crate::cli::bench::{Outcome, Prepared, TURN, lines, prepare, tell_connections};
use crate::cli::http_client::Connection;
use crate::cli::run::{body, find_project};
use crate::cli::server::{Server, Token};
use crate::domain::fault::Code;
use crate::domain::project::ProjectId;

/// How long viewers may hear nothing of a run before it is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// How often, and with which pauses, a run is asked for while the one before it still has the place:
/// viewers may be told of its end a moment before it is free.
const ATTEMPTS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes that are read at once of what a command prints.
const READ_BYTES: usize = 64 * 1024;

pub(super) fn run(asked: &RunArguments, token: Option<Token>) -> Result<Outcome, Failure> {
    let common = &asked.common;
    let server = Server::new(ServerArgument {
        url: common.url.url().clone(),
        token,
        ca: common.ca.clone(),
    })?;
    let project = find_project(&server, &asked.project)?;
    let path = viewers_path(common, project)?;
    let Prepared {
        mut swarm, meter, ..
    } = prepare(common, asked.connections, &path)?;
    let alone = alone(&asked.command)?;
    let mut starter = Starter::new(server, project, &asked.agent)?;

    let mut viewers = Viewers::new()?;
    swarm.open_all(&path, asked.connections, |_, _| {})?;
    let opened = swarm.counts.opened;
    let warm = Instant::now() + common.warmup;
    while Instant::now() < warm && viewers.watch(&mut starter, &mut swarm)? {}
    viewers.forget()?;
    let start = meter.read();
    let until = start.at + common.duration;
    while viewers.watch(&mut starter, &mut swarm)? && Instant::now() < until {}
    let spent = start.until(&meter.read());

    let (target, agent) = (&common.url, &asked.agent);
    let title = format!("{target}, runs of {agent}, {opened} viewers");
    let mut report = Report::new("run", title);
    report.count("runs", "runs", viewers.runs);
    report.per_second("runs_per_second", "rate", viewers.runs, spent.wall);
    report.latency("run_us", "from start to end", viewers.ends.summary());
    report.count("lines", "lines, of all viewers", viewers.lines);
    report.per_second("lines_per_second", "rate", viewers.lines, spent.wall);
    report.latency(
        "latency_us",
        "from printed to viewer",
        viewers.ages.summary(),
    );
    if let Some(alone) = alone {
        report.time("alone_seconds", "the command alone", alone);
    }
    report.spent(&spent, "run", viewers.runs);
    report.count("lost", "lost", viewers.lost);
    tell_connections(&mut report, &swarm);
    let nothing = viewers.runs == 0;
    swarm.close_all()?;
    Ok(Outcome {
        report,
        spent,
        fault: nothing.then(|| "no run came to its end".to_owned()),
    })
}

/// Where viewers of the project connect.
fn viewers_path(common: &CommonArguments, project: ProjectId) -> Result<String, Failure> {
    let no_room = || Failure::Misuse("the project has no room".to_owned());
    let room = project.room().ok_or_else(no_room)?;
    let query = Serializer::new(String::new())
        .append_pair("room", room.as_str())
        .finish();
    Ok(common.url.kinglet_path(&format!("/ws?{query}")))
}

/// How long the command takes if nothing is done with what it prints; none if there is none.
fn alone(command: &[String]) -> Result<Option<Duration>, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(None);
    };
    let fault = |error| Failure::Misuse(format!("{program}: {error}"));
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fault)?;
    let mut scratch = vec![0; READ_BYTES];
    if let Some(out) = &mut child.stdout {
        while out.read(&mut scratch).map_err(fault)? > 0 {}
    }
    child.wait().map_err(fault)?;
    Ok(Some(began.elapsed()))
}

/// Who starts the runs, on a connection of its own.
struct Starter {
    server: Server,
    connection: Connection,
    path: String,
    body: Vec<u8>,
}

impl Starter {
    fn new(server: Server, project: ProjectId, agent: &str) -> Result<Self, Failure> {
        Ok(Self {
            connection: Connection::open(&server)?,
            path: format!("/api/v1/projects/{project}/runs"),
            body: body(agent, "", None, &[])?,
            server,
        })
    }

    fn start(&mut self) -> Result<(), Failure> {
        let (server, path) = (&self.server, &self.path);
        for _ in 0..ATTEMPTS {
            let answer = self.connection.ask(server, "POST", path, &self.body)?;
            if answer.status == 202 {
                return Ok(());
            }
            if answer.error_code().as_deref() != Some(Code::ProcessActive.as_str()) {
                return Err(answer.refusal().into());
            }
            thread::sleep(PAUSE);
        }
        let reason = "the project has a run already that does not end";
        Err(Failure::Failed(reason.to_owned()))
    }
}

/// What the viewers were told.
struct Viewers {
    runs: u64,
    lines: u64,
    lost: u64,
    /// The offset that each was told last.
    last: Vec<u64>,
    /// From the request to the last viewer that is told of the end.
    ends: Latencies,
    /// From printing to each viewer.
    ages: Latencies,
}

impl Viewers {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            runs: 0,
            lines: 0,
            lost: 0,
            last: Vec::new(),
            ends: Latencies::new()?,
            ages: Latencies::new()?,
        })
    }

    /// Begins the measured time.
    fn forget(&mut self) -> Result<(), Failure> {
        let last = std::mem::take(&mut self.last);
        *self = Self {
            last,
            ..Self::new()?
        };
        Ok(())
    }

    /// Starts a run and watches it until all were told of its end; false if nobody was, in time.
    fn watch(&mut self, starter: &mut Starter, swarm: &mut Swarm<'_>) -> Result<bool, Failure> {
        let (began, wall) = (Instant::now(), SystemTime::now());
        starter.start()?;
        let (mut ended, mut heard) = (0, began);
        while ended < swarm.live() {
            swarm.turn(TURN, |_, told| {
                let Event::Message(message) = told.event else {
                    return;
                };
                heard = told.now;
                let now = wall + told.now.saturating_duration_since(began);
                ended += usize::from(self.take(told.index, message, now));
            })?;
            if heard.elapsed() >= SILENCE {
                return Ok(false);
            }
        }
        self.runs += u64::from(ended > 0);
        self.ends.record(began.elapsed());
        Ok(ended > 0)
    }

    /// Takes what one viewer was told; true if that is the end of a run.
    fn take(&mut self, index: usize, message: &[u8], now: SystemTime) -> bool {
        let offset = offset_in(message);
        if offset == 0 {
            return false; // A heartbeat, or the greeting of a room that nothing was said in.
        }
        if self.last.len() <= index {
            self.last.resize(index + 1, 0);
        }
        if let Some(last) = self.last.get_mut(index) {
            let expected = if *last == 0 { offset } else { *last + 1 };
            self.lost += offset.abs_diff(expected);
            *last = offset;
        }
        let kind = kind_of(message);
        if kind == b"run.output" {
            self.lines += 1;
            if let Some(age) = lines::age(message, now) {
                self.ages.record(age);
            }
        }
        kind == b"run.exited"
    }
}

/// The name of an event of kinglet's.
fn kind_of(message: &[u8]) -> &[u8] {
    let rest = message.strip_prefix(br#"{"type":""#).unwrap_or_default();
    let name = rest.split(|byte| *byte == b'"').next();
    name.unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn lines_count_for_each_viewer_gaps_are_lost_and_the_end_is_noticed() {
        let mut viewers = Viewers::new().unwrap();
        let mut take = |index, kind: &str, offset: u64| {
            let message = format!(r#"{{"type":"{kind}","room":"project:1","offset":{offset}}}"#);
            viewers.take(index, message.as_bytes(), SystemTime::now())
        };
        assert!(!take(1, "connected", 4));
        assert!(!take(1, "run.started", 5));
        assert!(!take(0, "run.output", 6));
        assert!(!take(0, "run.output", 7));
        assert!(!take(1, "run.output", 8));
        assert!(!take(0, "ping", 0));
        assert!(take(0, "run.exited", 8));
        assert!(!take(0, "permission.run.exited", 9));
        assert_eq!((viewers.lines, viewers.lost), (3, 2));
        viewers.forget().unwrap();
        assert!(viewers.take(0, br#"{"type":"run.exited","offset":10}"#, UNIX_EPOCH));
        assert_eq!((viewers.lines, viewers.lost), (0, 0));
    }

    #[test]
    fn a_command_is_timed_to_its_end() {
        let command = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(alone(&[]), Ok(None));
        let least = Duration::from_millis(50);
        assert!(alone(&command("sleep 0.05")).unwrap().unwrap() >= least);
        assert!(alone(&command("/no/such/program")).is_err());
    }
}
