//! The warden: waits for the keeper to end, and sees to it that nothing is left.
//!
//! When kinglet ends it leaves the killing to the keeper, which it would have to kill first: if it
//! were killed itself right after that, nobody would be left. Only a keeper that takes too long is
//! killed with the rest.
//!
//! Invariant: it reads nothing of the lifeline, whose words are for the keeper; it watches for the
//! end alone. Its `gone` is the last record of a run.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::unix::pipe::Receiver;
use mio::{Events, Interest, Poll, Token};

use crate::base::clock::{Clock, Mono};
use crate::os::process::Pid;
use crate::os::process_tree::{self, NOTE_EVERY, Tree};
use crate::os::{descriptors, signals};
use crate::runtime::keeper;
use crate::runtime::keeper::status::Record;

const LIFELINE: Token = Token(0);
const SIGNALS: Token = Token(1);

/// Returns when nothing descends from this process.
pub(super) fn run(lifeline: OwnedFd, status: OwnedFd, keeper: Pid) -> io::Result<()> {
    let mut tree = Tree::own();
    // Whatever fails here: the run must not stay without a warden.
    let watched = watch(lifeline, keeper, &mut tree);
    keeper::end(&mut tree, |_| {})?;
    // Nobody may be listening any more.
    let _ = File::from(status).write_all(&Record::Gone.encode());
    watched
}

/// How long the keeper may take to end when kinglet has. It kills at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns when the keeper has ended, or ought to have.
fn watch(lifeline: OwnedFd, keeper: Pid, tree: &mut Tree) -> io::Result<()> {
    descriptors::let_go_of_standard_streams()?;
    let signals = signals::install_for_children()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(4);
    let registry = poll.registry();
    let mut lifeline = Receiver::from(lifeline);
    registry.register(&mut lifeline, LIFELINE, Interest::READABLE)?;
    registry.register(&mut SourceFd(&signals.fd()), SIGNALS, Interest::READABLE)?;
    let clock = Clock::start();
    let mut deadline: Option<Mono> = None;
    loop {
        let _ = signals.drain();
        let mut is_over = false;
        process_tree::reap_all(|ended| is_over |= ended.pid == keeper)?;
        if is_over {
            return Ok(());
        }
        let now = clock.now().mono;
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(());
        }
        let timeout = deadline.map(|deadline| deadline.since(now));
        let timeout = timeout.into_iter().chain(NOTE_EVERY).min();
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut ended = events.iter().filter(|event| event.is_read_closed());
        if ended.any(|event| event.token() == LIFELINE) {
            deadline.get_or_insert(now + PATIENCE);
        }
        if NOTE_EVERY.is_some() {
            tree.note();
        }
    }
}
