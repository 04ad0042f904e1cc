//! The keeper itself: starts the agent, does what the lifeline says, reaps, tells.
//!
//! Invariant: the agent is signalled only until it was reaped; its number may be somebody else's
//! afterwards.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::unix::pipe::Receiver;
use mio::{Events, Interest, Poll, Token};

use crate::base::clock::{Clock, Mono};
use crate::os::descriptors;
use crate::os::process::{self, Ended, Notice, Pid};
use crate::os::process_tree::{self, NOTE_EVERY, Tree};
use crate::os::signals::{self, SignalPipe};
use crate::runtime::keeper::orders::{LENGTH_MAX, Orders, PREFIX};
use crate::runtime::keeper::status::{Record, Stage, StatusReader};
use crate::runtime::keeper::{self, CANCEL, agent};

const LIFELINE: Token = Token(0);
const BOND: Token = Token(1);
const SIGNALS: Token = Token(2);
const FAULT: Token = Token(3);

/// Returns when nothing of the run is left. `bond` ends with the warden.
pub(super) fn run(lifeline: OwnedFd, status: OwnedFd, bond: PipeReader) -> io::Result<()> {
    let mut status = Status(File::from(status));
    let mut keeping = match Keeping::start(lifeline, bond) {
        Ok(keeping) => keeping,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(agent::INVALID);
            status.tell(Record::Failed(Stage::Process, errno));
            return Err(error);
        }
    };
    if keeping.watch(&mut status)? == Next::Kill {
        let agent = &mut keeping.agent;
        if let Some(pid) = agent.pid() {
            process::signal_group(pid, Notice::Kill);
        }
        keeper::end(&mut keeping.tree, |ended| agent.ended(ended, &mut status))?;
    }
    Ok(())
}

/// What the keeper tells.
struct Status(File);

impl Status {
    fn tell(&mut self, record: Record) {
        // Without kinglet nobody listens, and the lifeline has ended, too.
        let _ = self.0.write_all(&record.encode());
    }
}

/// How far the agent is.
enum Agent {
    /// Forked; the pipe will tell whether it became the program.
    Starting(Pid, Receiver),
    /// It runs, or has ended and was not reaped.
    Running(Pid),
    /// It was never started, and is not reaped.
    Failed(Pid),
    /// Reaped.
    Ended,
}

impl Agent {
    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Starting(pid, _) | Self::Running(pid) | Self::Failed(pid) => Some(*pid),
            Self::Ended => None,
        }
    }

    /// Reads how the start went, if that is known by now.
    fn settle(&mut self, status: &mut Status) {
        let Self::Starting(pid, fault) = self else {
            return;
        };
        let (pid, mut bytes) = (*pid, [0; 16]);
        let mut record = StatusReader::default();
        match fault.read(&mut bytes) {
            Ok(count) => record.feed(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
        *self = match record.next_record() {
            Ok(Some(failed)) => {
                status.tell(failed);
                Self::Failed(pid)
            }
            Ok(None) | Err(_) => {
                status.tell(Record::Started(pid));
                Self::Running(pid)
            }
        };
    }

    fn ended(&mut self, ended: Ended, status: &mut Status) {
        if self.pid() != Some(ended.pid) {
            return;
        }
        // It may have run and ended before anybody looked.
        self.settle(status);
        match self {
            Self::Starting(..) | Self::Running(_) => {
                status.tell(Record::Exited(ended.status, ended.used));
            }
            Self::Failed(_) | Self::Ended => {}
        }
        *self = Self::Ended;
    }
}

/// What to do after something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Wait,
    Cancel,
    Kill,
    /// Nothing is left.
    End,
}

struct Keeping {
    poll: Poll,
    lifeline: Receiver,
    _bond: Receiver,
    signals: SignalPipe,
    agent: Agent,
    grace: Duration,
    tree: Tree,
}

impl Keeping {
    fn start(lifeline: OwnedFd, bond: PipeReader) -> io::Result<Self> {
        process::lead_session()?;
        process::become_subreaper()?;
        let (orders, lifeline) = read_orders(File::from(lifeline))?;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let mut lifeline = Receiver::from(OwnedFd::from(lifeline));
        lifeline.set_nonblocking(true)?;
        registry.register(&mut lifeline, LIFELINE, Interest::READABLE)?;
        let mut bond = Receiver::from(OwnedFd::from(bond));
        registry.register(&mut bond, BOND, Interest::READABLE)?;
        let signals = signals::install_for_children()?;
        registry.register(&mut SourceFd(&signals.fd()), SIGNALS, Interest::READABLE)?;
        let (pid, fault) = agent::start(&orders)?;
        let mut fault = Receiver::from(OwnedFd::from(fault));
        fault.set_nonblocking(true)?;
        registry.register(&mut fault, FAULT, Interest::READABLE)?;
        descriptors::let_go_of_standard_streams()?;
        Ok(Self {
            poll,
            lifeline,
            _bond: bond,
            signals,
            agent: Agent::Starting(pid, fault),
            grace: orders.grace,
            tree: Tree::own(),
        })
    }

    /// Returns when nothing is left ([`Next::End`]), or when nothing may be ([`Next::Kill`]).
    fn watch(&mut self, status: &mut Status) -> io::Result<Next> {
        let clock = Clock::start();
        let mut deadline: Option<Mono> = None;
        let mut events = Events::with_capacity(8);
        loop {
            let now = clock.now().mono;
            match self.turn(&events, status)? {
                Next::Wait => {}
                Next::Cancel => {
                    // Before it is the program, TERM would be caught by what is still the keeper's.
                    let Agent::Running(pid) = &self.agent else {
                        return Ok(Next::Kill);
                    };
                    process::signal_group(*pid, Notice::Terminate);
                    deadline.get_or_insert(now + self.grace);
                }
                next @ (Next::Kill | Next::End) => return Ok(next),
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Next::Kill);
            }
            let timeout = deadline.map(|deadline| deadline.since(now));
            let timeout = timeout.into_iter().chain(NOTE_EVERY).min();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn turn(&mut self, events: &Events, status: &mut Status) -> io::Result<Next> {
        let _ = self.signals.drain();
        self.agent.settle(status);
        let agent = &mut self.agent;
        let has_children = process_tree::reap_all(|ended| agent.ended(ended, status))?;
        if !has_children && self.tree.is_gone() {
            return Ok(Next::End);
        }
        if NOTE_EVERY.is_some() {
            self.tree.note();
        }
        let mut ended = events.iter().filter(|event| event.is_read_closed());
        if ended.any(|event| event.token() == BOND) {
            return Ok(Next::Kill);
        }
        self.hear()
    }

    /// Reads what the lifeline says. The strongest word wins, and its end is the strongest.
    fn hear(&mut self) -> io::Result<Next> {
        let mut next = Next::Wait;
        let mut words = [0; 64];
        loop {
            match self.lifeline.read(&mut words) {
                Ok(0) => return Ok(Next::Kill),
                Ok(count) => {
                    let mut words = words.iter().take(count);
                    if !words.all(|word| *word == CANCEL) {
                        return Ok(Next::Kill);
                    }
                    next = Next::Cancel;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(next),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads the orders from the front of the lifeline, and not a byte of what follows.
fn read_orders(lifeline: File) -> io::Result<(Orders, File)> {
    let invalid = |fault| io::Error::new(io::ErrorKind::InvalidData, fault);
    let mut prefix = [0; PREFIX];
    (&lifeline).read_exact(&mut prefix)?;
    let length = u32::from_le_bytes(prefix);
    if usize::try_from(length).is_ok_and(|length| length > LENGTH_MAX) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    (&lifeline).take(length.into()).read_to_end(&mut bytes)?;
    Ok((Orders::decode(&bytes).map_err(invalid)?, lifeline))
}
