//! One run's keeper with its pipes.
//!
//! The poll tells of changes only, so what can be read or written is remembered until a pipe says
//! otherwise. Invariant: a pipe that has ended, or is not wanted any more, is dropped at once.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};

use crate::base::clock::Now;
use crate::domain::fault::Code;
use crate::domain::launch::Launch;
use crate::domain::run::{OutputStream, RunId};
use crate::executor::Executor;
use crate::executor::effects::{Exit, StartFault};
use crate::os::process::Pid;
use crate::os::resource_limits::ResourceLimits;
use crate::runtime::keeper::orders::Orders;
use crate::runtime::keeper::status::{Record, Stage, StatusReader};
use crate::runtime::keeper::{self, Lifeline, Spawned};

/// How long a run may take to end after TERM, before KILL.
const GRACE: Duration = Duration::from_secs(5);

/// The token of the waker.
pub(super) const WAKER: Token = Token(usize::MAX);

/// What a token stands for beside its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Status,
    Stdout,
    Stderr,
    Stdin,
}

const SOURCES: usize = 4;

/// The slot and the source of a token; that of the waker is in no slot.
pub(super) const fn place(token: Token) -> (usize, Source) {
    let source = match token.0 % SOURCES {
        0 => Source::Status,
        1 => Source::Stdout,
        2 => Source::Stderr,
        _ => Source::Stdin,
    };
    (token.0 / SOURCES, source)
}

const fn token(slot: usize, source: Source) -> Token {
    Token(slot * SOURCES + source as usize)
}

/// What its owner has to know.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its keeper ended as it should.
    Ended,
    /// Its keeper was killed; what it kept has come to this process.
    Orphaned,
}

/// A pipe that is read.
struct Inlet {
    pipe: Receiver,
    is_ready: bool,
}

/// A pipe that is written.
struct Outlet {
    pipe: Sender,
    is_ready: bool,
    /// What it did not take yet, from `at` on.
    unwritten: Vec<u8>,
    at: usize,
    /// Nothing comes after that.
    closes: bool,
}

/// A run's keeper.
pub(super) struct Child {
    pub(super) run: RunId,
    /// `None` once it was waited for.
    pub(super) keeper: Option<Pid>,
    pub(super) lifeline: Lifeline,
    input: Option<Outlet>,
    stdout: Option<Inlet>,
    stderr: Option<Inlet>,
    status: Option<Inlet>,
    reader: StatusReader,
    /// It said that nothing of the run is left.
    is_gone: bool,
}

impl Child {
    /// Starts a run's keeper, registers its pipes, and has its input wait to be written.
    pub(super) fn spawn(
        run: RunId,
        launch: Launch,
        program: &Path,
        (slot, registry): (usize, &Registry),
    ) -> io::Result<Self> {
        let mut argv = launch.argv.into_iter();
        let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "no program is named");
        let orders = Orders {
            program: argv.next().ok_or_else(nothing)?.into(),
            arguments: argv.collect(),
            environment: launch.environment,
            directory: launch.directory,
            limits: ResourceLimits {
                cpu_seconds: launch.limits.cpu.map(|time| time.as_secs().max(1)),
                memory_bytes: launch.limits.memory,
                open_files: launch.limits.files,
                processes: launch.limits.processes,
            },
            grace: GRACE,
        };
        let Spawned {
            keeper,
            mut stdin,
            mut stdout,
            mut stderr,
            mut status,
            lifeline,
        } = keeper::spawn(program, &orders)?;
        let mut child = Self {
            run,
            keeper: Some(keeper),
            lifeline,
            input: None,
            stdout: None,
            stderr: None,
            status: None,
            reader: StatusReader::default(),
            is_gone: false,
        };
        let readable = [
            (&mut status, Source::Status),
            (&mut stdout, Source::Stdout),
            (&mut stderr, Source::Stderr),
        ];
        let mut registered = readable.into_iter().try_for_each(|(pipe, source)| {
            registry.register(pipe, token(slot, source), Interest::READABLE)
        });
        if registered.is_ok() {
            let token = token(slot, Source::Stdin);
            registered = registry.register(&mut stdin, token, Interest::WRITABLE);
        }
        if let Err(error) = registered {
            // Without its lifeline the keeper kills what it has started.
            child.reap();
            return Err(error);
        }
        let inlet = |pipe| {
            Some(Inlet {
                pipe,
                is_ready: false,
            })
        };
        child.input = Some(Outlet {
            pipe: stdin,
            is_ready: true,
            unwritten: launch.input,
            at: 0,
            closes: !launch.interactive,
        });
        child.stdout = inlet(stdout);
        child.stderr = inlet(stderr);
        child.status = inlet(status);
        Ok(child)
    }

    pub(super) fn note_ready(&mut self, source: Source, is_ready: bool) {
        let inlet = match source {
            Source::Status => &mut self.status,
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
            Source::Stdin => return,
        };
        if let Some(inlet) = inlet {
            inlet.is_ready |= is_ready;
        }
    }

    pub(super) fn note_writable(&mut self, source: Source, is_ready: bool) {
        if let (Source::Stdin, Some(outlet)) = (source, &mut self.input) {
            outlet.is_ready |= is_ready;
        }
    }

    /// Whether there is something that can be done now.
    pub(super) fn has_work(&self, wants: impl Fn(OutputStream) -> bool) -> bool {
        let is_ready = |inlet: &Option<Inlet>| inlet.as_ref().is_some_and(|inlet| inlet.is_ready);
        let writes = |outlet: &Outlet| outlet.is_ready && outlet.at < outlet.unwritten.len();
        is_ready(&self.status)
            || is_ready(&self.stdout) && wants(OutputStream::Stdout)
            || is_ready(&self.stderr) && wants(OutputStream::Stderr)
            || self.input.as_ref().is_some_and(writes)
    }

    /// Whether the keeper has ended and nothing more is to be read: what the agent printed last may
    /// wait in a pipe for longer than anything of the run lives.
    pub(super) const fn is_over(&self) -> bool {
        self.status.is_none() && self.stdout.is_none() && self.stderr.is_none()
    }

    /// Reads each pipe that has something and is wanted, once, and writes what is to be written.
    /// What the keeper tells comes last: all that was printed before the agent exited can be read
    /// by then, but need not have been.
    pub(super) fn read(
        &mut self,
        core: &mut Executor,
        scratch: &mut [u8],
        registry: &Registry,
        now: Now,
    ) -> Option<Told> {
        for stream in OutputStream::ALL {
            let slot = match stream {
                OutputStream::Stdout => &mut self.stdout,
                OutputStream::Stderr => &mut self.stderr,
            };
            let wanted = |inlet: &&mut Inlet| inlet.is_ready && core.wants_output(self.run, stream);
            let Some(inlet) = slot.as_mut().filter(wanted) else {
                continue;
            };
            match inlet.read(scratch) {
                Ok(0) => {
                    *slot = None;
                    core.output_ended(self.run, stream, now);
                }
                Ok(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default();
                    core.output(self.run, stream, bytes, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    log::warn!("output_failed run={} error=\"{error}\"", self.run);
                    *slot = None;
                    core.output_ended(self.run, stream, now);
                }
            }
        }
        self.flush(core, now);
        self.read_status(core, scratch, registry, now)
    }

    fn read_status(
        &mut self,
        core: &mut Executor,
        scratch: &mut [u8],
        registry: &Registry,
        now: Now,
    ) -> Option<Told> {
        let inlet = self.status.as_mut().filter(|inlet| inlet.is_ready)?;
        match inlet.read(scratch) {
            Ok(count) if count > 0 => {
                self.reader.feed(scratch.get(..count).unwrap_or_default());
                self.tell(core, now);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // It ended; a pipe that cannot be read has told its last, too.
            Ok(_) | Err(_) => {
                // Nothing is told to it any more, and what is still open is read to its end.
                if let Some(mut inlet) = self.status.take() {
                    let _ = registry.deregister(&mut inlet.pipe);
                }
                // Before strays are looked for: they come to us when it is gone, not earlier.
                self.reap();
                Some(match self.is_gone {
                    true => Told::Ended,
                    false => Told::Orphaned,
                })
            }
        }
    }

    /// Passes on what the keeper told.
    fn tell(&mut self, core: &mut Executor, now: Now) {
        loop {
            match self.reader.next_record() {
                Ok(Some(Record::Started(pid))) => {
                    log::info!("run_started run={} pid={pid}", self.run);
                    core.started(self.run, now);
                }
                Ok(Some(Record::Failed(stage, errno))) => {
                    core.start_failed(self.run, start_fault(stage, errno), now);
                }
                Ok(Some(Record::Exited(status, used))) => {
                    log::info!(
                        "run_exited run={} status=\"{status}\" cpu_ms={} resident_bytes_max={}",
                        self.run,
                        (used.user + used.system).as_millis(),
                        used.resident_bytes_max
                    );
                    core.leader_exited(self.run, exit(status), now);
                }
                Ok(Some(Record::Gone)) => {
                    self.is_gone = true;
                    core.gone(self.run, now);
                }
                Ok(None) => return,
                Err(fault) => {
                    // No keeper of ours: what it keeps is found when it ends.
                    log::error!("keeper_unreadable run={} fault=\"{fault}\"", self.run);
                    self.lifeline.kill();
                    return;
                }
            }
        }
    }

    /// Writes to the agent, or keeps for later what its pipe does not take.
    pub(super) fn write(&mut self, bytes: &[u8], core: &mut Executor, now: Now) {
        if let Some(outlet) = &mut self.input {
            outlet.unwritten.extend_from_slice(bytes);
        }
        self.flush(core, now);
    }

    /// Closes the agent's standard input once all is written.
    pub(super) fn close_input(&mut self, core: &mut Executor, now: Now) {
        if let Some(outlet) = &mut self.input {
            outlet.closes = true;
        }
        self.flush(core, now);
    }

    /// Writes what waits, as far as the agent takes it.
    pub(super) fn flush(&mut self, core: &mut Executor, now: Now) {
        let Some(outlet) = &mut self.input else {
            return;
        };
        match outlet.flush() {
            Ok(count) => {
                if count > 0 {
                    core.input_written(self.run, count, now);
                }
                if outlet.closes && outlet.unwritten.is_empty() {
                    self.input = None;
                }
            }
            // It reads no more, which is no fault: not all agents read.
            Err(_) => {
                self.input = None;
                core.input_closed(self.run, now);
            }
        }
    }

    /// Reads nothing more of what the run prints.
    pub(super) fn close_output(&mut self) {
        self.stdout = None;
        self.stderr = None;
    }

    /// Ends what is left of it; only its keeper's end is still waited for.
    pub(super) fn forget(&mut self) {
        self.close_output();
        self.input = None;
        self.lifeline.kill();
    }

    /// Waits for the keeper, which is ending.
    fn reap(&mut self) {
        self.lifeline.kill();
        if let Some(keeper) = self.keeper.take()
            && let Err(error) = keeper::reap(keeper)
        {
            log::error!("keeper_not_reaped pid={keeper} error=\"{error}\"");
        }
    }
}

impl Inlet {
    /// Reads once; `WouldBlock` when there is nothing, which is remembered.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.pipe.read(scratch) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_ready = false;
                    return Err(error);
                }
                Ok(count) => return Ok(count),
            }
        }
    }
}

impl Outlet {
    /// Writes until the pipe is full or all is written; how much that was.
    fn flush(&mut self) -> io::Result<usize> {
        let from = self.at;
        while self.is_ready
            && let Some(rest) = self.unwritten.get(self.at..)
            && !rest.is_empty()
        {
            match self.pipe.write(rest) {
                Ok(count) => self.at += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_ready = false,
                Err(error) => return Err(error),
            }
        }
        let written = self.at - from;
        if self.at == self.unwritten.len() {
            self.unwritten = Vec::new();
            self.at = 0;
        }
        Ok(written)
    }
}

fn exit(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// What members of the project are told of an agent that did not start; no path of the system.
fn start_fault(stage: Stage, errno: i32) -> StartFault {
    let (code, what) = match stage {
        Stage::Elsewhere => {
            let text = "the project's directory is another one now: its path leads through a link";
            return StartFault {
                code: Code::InvalidPath,
                text: text.into(),
            };
        }
        Stage::Process => (Code::ExecutionFailed, "no process could be prepared"),
        Stage::Limits => (Code::ExecutionFailed, "its limits could not be set"),
        Stage::Directory => (
            Code::InvalidPath,
            "the project's directory cannot be entered",
        ),
        Stage::Program => (
            Code::ExecutionFailed,
            "the agent's program could not be executed",
        ),
    };
    StartFault {
        code,
        text: format!("{what}: {}", io::Error::from_raw_os_error(errno)).into(),
    }
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
