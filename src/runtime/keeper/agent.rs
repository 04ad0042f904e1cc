//! The start of the agent: what happens between fork and exec.
//!
//! Invariant: the child returns from here to nobody; it becomes the agent or ends.

use std::convert::Infallible;
use std::io::{self, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::os::process::{self, Fork, Pid};
use crate::os::resource_limits;
use crate::runtime::keeper::orders::Orders;
use crate::runtime::keeper::status::{Record, Stage};

/// What a shell answers for a program that it could not start.
const NOT_STARTED: i32 = 127;

/// Starts the agent on this process's standard streams. The pipe ends without a byte once it runs;
/// otherwise it has a [`Record::Failed`].
pub(super) fn start(orders: &Orders) -> io::Result<(Pid, PipeReader)> {
    let (fault, mut teller) = io::pipe()?;
    let keeper = Pid::own();
    match process::fork()? {
        Fork::Parent(agent) => Ok((agent, fault)),
        Fork::Child => {
            let Err((stage, error)) = become_agent(orders, keeper);
            // Errors of our own, such as for a NUL in an argument, have no number.
            let errno = error.raw_os_error().unwrap_or(INVALID);
            // A keeper that is gone need not know.
            let _ = teller.write_all(&Record::Failed(stage, errno).encode());
            std::process::exit(NOT_STARTED)
        }
    }
}

/// Makes `directory` the place where the program runs. Its path was real when it was checked, so one
/// that leads elsewhere has a link in it now. Where this process is cannot be swapped any more.
fn enter(directory: &Path) -> Result<(), (Stage, io::Error)> {
    let at = |stage| move |error| (stage, error);
    std::env::set_current_dir(directory).map_err(at(Stage::Directory))?;
    let entered = std::env::current_dir().map_err(at(Stage::Directory))?;
    match entered == directory {
        true => Ok(()),
        false => Err((Stage::Elsewhere, io::ErrorKind::InvalidInput.into())),
    }
}

/// EINVAL, which is 22 on every system.
pub(super) const INVALID: i32 = 22;

fn become_agent(orders: &Orders, keeper: Pid) -> Result<Infallible, (Stage, io::Error)> {
    let at = |stage| move |error| (stage, error);
    // Built first, because a limit on memory may leave too little for it.
    let mut command = Command::new(&orders.program);
    command
        .args(&orders.arguments)
        .env_clear()
        .envs(orders.environment.iter().map(|(name, value)| (name, value)));
    process::lead_group().map_err(at(Stage::Process))?;
    process::end_with(keeper).map_err(at(Stage::Process))?;
    enter(&orders.directory)?;
    resource_limits::set(&orders.limits).map_err(at(Stage::Limits))?;
    // It resets SIGPIPE, the only signal ignored here; exec itself resets the caught ones.
    Err((Stage::Program, command.exec()))
}
