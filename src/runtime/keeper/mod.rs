//! Keepers: the processes between kinglet and a run, so that nothing of a run outlives it.
//!
//! ```text
//! kinglet ─ spawn ─▶ warden ─ fork ─▶ keeper ─ fork ─▶ agent ─▶ whatever it starts
//!    │  orders, lifeline ▷ both         │ wait            │
//!    ◁─ status ───────────── both ──────┘                 │
//!    ◁▷ stdin, stdout, stderr ────────────────────────────┘
//! ```
//!
//! Both processes are one binary, which is kinglet again, are called `keeper`, and are subreapers:
//! an orphan of the run comes to the keeper, and without it to the warden. Whoever of kinglet,
//! warden and keeper is killed, another notices at once and kills all that is left:
//!
//! | killed | noticed by |
//! |---|---|
//! | kinglet | warden and keeper: the lifeline ends |
//! | warden | keeper: the pipe between them ends |
//! | keeper | warden: its child ended; the agent: the kernel kills it with its parent |
//! | warden and keeper | kinglet, a subreaper: the status ends without `gone` ([`kill_strays`]) |
//! | all three | the next kinglet at its start ([`sweep`]) |
//!
//! macOS has no subreapers and no death of a parent to be told of: the two processes look every
//! quarter of a second at who descends from them and kill those, wherever they are by then. What
//! detaches itself between two looks, or when both processes were killed, is not found there.
//!
//! Invariant: both processes have a single thread and read no configuration; neither the command
//! line nor the environment of either holds anything of the run.

mod agent;
mod keeping;
pub mod orders;
pub mod status;
mod warden;

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use mio::unix::pipe::{Receiver, Sender};

use crate::os::process::{self, Ended, Fork, Notice, Pid};
use crate::os::process_tree::{self, Tree};
use crate::os::{descriptors, spawn as os_spawn};
use crate::runtime::keeper::orders::Orders;

/// The hidden subcommand that makes a process of this binary a keeper.
pub const SUBCOMMAND: &str = "keeper";

/// A keeper with its run, as kinglet holds it. All pipes are non-blocking.
#[derive(Debug)]
pub struct Spawned {
    /// The warden, to be given to [`reap`] once `status` has ended.
    pub keeper: Pid,
    /// The agent's standard input; dropped, the agent reads its end.
    pub stdin: Sender,
    /// The agent's standard output. It ends when the last process that was given it has.
    pub stdout: Receiver,
    /// The agent's standard error, likewise.
    pub stderr: Receiver,
    /// What the keeper tells, for [`status::StatusReader`]. It ends with the keeper.
    pub status: Receiver,
    /// What the keeper is told.
    pub lifeline: Lifeline,
}

/// What a run hangs on: dropped, or ended with kinglet, all of the run is killed at once.
#[derive(Debug)]
pub struct Lifeline(Option<Sender>);

/// The words of the lifeline.
const CANCEL: u8 = b'T';
const KILL: u8 = b'K';

impl Lifeline {
    /// Asks the agent's process group to end (TERM), and kills the whole run after the grace. Once
    /// the agent has ended it is as [`Lifeline::kill`]. Never blocks.
    pub fn cancel(&mut self) {
        self.tell(CANCEL);
    }

    /// Kills whatever is left of the run, now. Never blocks.
    pub fn kill(&mut self) {
        self.tell(KILL);
    }

    fn tell(&mut self, word: u8) {
        let Some(sender) = &mut self.0 else {
            return;
        };
        // A keeper that reads nothing is stuck in its start, so that all can be killed at once; one
        // that is gone needs no word.
        if sender.write(&[word]).is_err() {
            self.0 = None;
        }
    }
}

/// This binary, to be run again. Linux: what runs now, even if its file was replaced.
///
/// # Errors
/// macOS: when its path is not known.
pub fn own_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// Starts a keeper, which starts the run; `program` is [`own_program`]. Returns before the agent
/// runs: the status tells how that went. From any thread. Orders of more than a pipe holds (64 KiB)
/// block until the keeper reads them, 2 s at most.
///
/// # Errors
/// `InvalidInput` for orders that are too large, `TimedOut` if the keeper does not read them,
/// otherwise what pipe(2) or posix_spawn(3) answered. Nothing is left of the run then.
pub fn spawn(program: &Path, orders: &Orders) -> io::Result<Spawned> {
    let invalid = |fault| io::Error::new(io::ErrorKind::InvalidInput, fault);
    let orders = orders.encode().map_err(invalid)?;
    // Each closes on exec, so no other run is given them.
    let (their_stdin, stdin) = io::pipe()?;
    let (stdout, their_stdout) = io::pipe()?;
    let (stderr, their_stderr) = io::pipe()?;
    let (their_lifeline, lifeline) = io::pipe()?;
    let (status, their_status) = io::pipe()?;
    let (stdin, stdout) = (sender(stdin)?, receiver(stdout)?);
    let (stderr, status) = (receiver(stderr)?, receiver(status)?);
    let mut lifeline = sender(lifeline)?;
    let theirs = [
        their_stdin.as_fd(),
        their_stdout.as_fd(),
        their_stderr.as_fd(),
        their_lifeline.as_fd(),
        their_status.as_fd(),
    ];
    let keeper = os_spawn::spawn(program, &[c"keeper", c"keeper"], &theirs)?;
    // As long as we held the other end, a keeper that is gone would look like one that is slow.
    drop(their_lifeline);
    if let Err(error) = send(&mut lifeline, &orders) {
        drop(lifeline);
        process::signal(keeper, Notice::Kill);
        reap(keeper)?;
        return Err(error);
    }
    Ok(Spawned {
        keeper,
        stdin,
        stdout,
        stderr,
        status,
        lifeline: Lifeline(Some(lifeline)),
    })
}

fn sender(pipe: PipeWriter) -> io::Result<Sender> {
    let sender = Sender::from(OwnedFd::from(pipe));
    sender.set_nonblocking(true)?;
    Ok(sender)
}

fn receiver(pipe: PipeReader) -> io::Result<Receiver> {
    let receiver = Receiver::from(OwnedFd::from(pipe));
    receiver.set_nonblocking(true)?;
    Ok(receiver)
}

/// Writes all of it, waiting while the pipe is full.
fn send(lifeline: &mut Sender, mut orders: &[u8]) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    const PAUSES_MAX: u32 = 2000;
    let mut pauses = 0;
    while !orders.is_empty() {
        match lifeline.write(orders) {
            Ok(count) => orders = orders.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && pauses < PAUSES_MAX => {
                pauses += 1;
                thread::sleep(PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits for a keeper whose status has ended: it is ending, so this takes no time.
///
/// # Errors
/// What wait4(2) answered.
pub fn reap(keeper: Pid) -> io::Result<()> {
    process::wait_for(keeper).map(|_| ())
}

/// One pass after a status that ended without `gone`: kills and reaps what came to this process, a
/// subreaper, from a keeper that was killed. `known` are the keepers that live; every other child
/// of this process, and what descends from it, is killed. Call it, with pauses, until it returns 0:
/// the number of processes found that were not reaped at once.
///
/// # Errors
/// When processes cannot be listed.
pub fn kill_strays(known: &[Pid]) -> io::Result<usize> {
    process_tree::kill_strays(known)
}

/// Names the run in the environment of all that belongs to it, for [`sweep`].
pub const MARK: &str = "KINGLET_RUN";

/// At the start of a server: kills what is left of runs that `is_ours` (the value of [`MARK`]) says
/// yes to, and returns how many processes that were. Waits for their end, a second at most. Linux
/// only: macOS shows no environments, and nothing is swept there.
#[must_use]
pub fn sweep(is_ours: impl Fn(&[u8]) -> bool) -> usize {
    const PAUSE: Duration = Duration::from_millis(10);
    const PASSES_MAX: usize = 100;
    let mut killed = 0;
    for _ in 0..PASSES_MAX {
        match process_tree::kill_marked(MARK, &is_ours) {
            Ok(0) | Err(_) => break,
            Ok(found) => killed = found.max(killed),
        }
        thread::sleep(PAUSE);
    }
    killed
}

/// The life of both processes of a keeper, each returning when it is over. To be called first thing
/// in the process that [`spawn`] started, which has a single thread.
///
/// # Errors
/// In the warden: that this process was not started by [`spawn`], or could not be made two. In the
/// keeper: whatever ended it early; the warden then kills what is left.
pub fn main() -> io::Result<()> {
    let [lifeline, status] = descriptors::take_inherited().map_err(|_| {
        let reason = "a keeper is started by kinglet itself, for a run";
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    })?;
    process::set_name(c"keeper");
    process::become_subreaper()?;
    // It must not keep a file system from being unmounted.
    std::env::set_current_dir("/")?;
    let (bond, warden_bond) = io::pipe()?;
    match process::fork()? {
        Fork::Child => {
            drop(warden_bond);
            keeping::run(lifeline, status, bond)
        }
        Fork::Parent(keeper) => {
            drop(bond);
            let ended = warden::run(lifeline, status, keeper);
            // Held until here: its end tells the keeper of ours.
            drop(warden_bond);
            ended
        }
    }
}

/// Kills and reaps until nothing descends from this process, and tells of each child that ended.
/// It takes as long as a descendant resists: one that waits for a disk, or belongs to root.
fn end(tree: &mut Tree, mut on_end: impl FnMut(Ended)) -> io::Result<()> {
    // Short at first, then longer: what has not ended by then waits for something else.
    const PAUSE: Duration = Duration::from_millis(1);
    const PAUSE_LATER: Duration = Duration::from_millis(50);
    const SHORT_PAUSES: u32 = 200;
    let mut passes = 0u32;
    while process_tree::reap_all(&mut on_end)? || !tree.is_gone() {
        if tree.kill() > 0 {
            passes = passes.saturating_add(1);
        }
        thread::sleep(match passes < SHORT_PAUSES {
            true => PAUSE,
            false => PAUSE_LATER,
        });
    }
    Ok(())
}
