//! What the facts mean: one finding for each thing that was looked at.
//!
//! May not touch: the machine. Invariant: a finding that is not `ok` says what to do.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::facts::{Access, Connections, DataDirectory, Facts, Listening, Machine, Program, Root};
use super::guarded::{Guarded, Reach};
use super::{Finding, Verdict, platform};
use crate::base::clock::Wall;
use crate::cli::output;

/// 2024-01-01T00:00:00Z: a clock that says less was never set, as on a board without a battery.
const EARLIEST: Wall = Wall::from_millis(1_704_067_200_000);

/// Milliseconds by which a clock may be set back without harm.
const CLOCK_STEP: u64 = 60_000;

/// How long before its end a certificate is worth a warning; those of Let's Encrypt are renewed by
/// then.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const MIB: u64 = 1024 * 1024;

/// What the room of one busy project may take on disk.
const ROOM_ENOUGH: u64 = 1024 * MIB;

/// Too little for the store to make its files.
const NO_ROOM: u64 = 16 * MIB;

/// All findings, in the order of what to mend first.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = platform::all(&facts.platform);
    let mut newest = None;
    match &facts.machine {
        Ok(machine) => {
            newest = machine.data.newest;
            of_machine(machine, facts.now, &mut findings);
            findings.extend(platform::against(&facts.platform, &machine.limits));
        }
        Err(faults) => findings.extend(
            faults
                .iter()
                .map(|fault| Finding::new("configuration", Verdict::Failure, fault)),
        ),
    }
    findings.push(clock(newest, facts.now));
    findings
}

fn of_machine(machine: &Machine, now: Wall, findings: &mut Vec<Finding>) {
    let ok = format!("from {}", machine.origin);
    findings.push(Finding::new("configuration", Verdict::Ok, ok));
    let warnings = machine.warnings.iter();
    findings.extend(warnings.map(|text| Finding::new("environment", Verdict::Warning, text)));
    findings.push(access(machine.access));
    findings.push(data_directory(&machine.data));
    let listen = machine.listen.iter();
    findings.extend(listen.map(|(address, found)| listening(*address, found)));
    findings.push(connections(machine.connections));
    findings.extend(machine.agents.iter().map(agent));
    match machine.roots.as_slice() {
        [] => {
            let none = "none, so no project can be registered; set projects.roots to let some be";
            findings.push(Finding::new("project roots", Verdict::Ok, none));
        }
        roots => findings.extend(roots.iter().map(|(path, found)| root(path, found))),
    }
    findings.extend(machine.certificate.map(|expires| certificate(expires, now)));
    let redis = machine.redis.as_ref();
    findings.extend(redis.map(|(address, problem)| emitters(address, problem.as_deref())));
    findings.extend(machine.secrets.iter().map(Guarded::finding));
    findings.extend(machine.files.iter().map(Reach::finding));
}

fn access(access: Access) -> Finding {
    let (verdict, message) = match access {
        Access::Token => (Verdict::Ok, "token mode: runs are for those with a grant"),
        Access::Machine => (
            Verdict::Warning,
            "open mode: every local user can run agents as kinglet's user; if others use this \
             machine, use auth.mode = \"token\" (kinglet init)",
        ),
        Access::Closed => (
            Verdict::Warning,
            "open to the network (--insecure): anyone who can reach it may read and publish, and \
             projects and runs are closed; use auth.mode = \"token\" (kinglet init)",
        ),
        Access::Network => (
            Verdict::Warning,
            "open to the network (--insecure-runs): ANYONE WHO CAN REACH IT can run agents as \
             kinglet's user; use auth.mode = \"token\" (kinglet init)",
        ),
    };
    Finding::new("access", verdict, message)
}

fn data_directory(data: &DataDirectory) -> Finding {
    let check = format!("data directory {}", data.path.display());
    let place = data.existing.display();
    if let Some(problem) = &data.problem {
        let message = format!(
            "cannot write in {place}: {problem}; give it to kinglet's user, or choose another one \
             with server.data_dir"
        );
        return Finding::new(check, Verdict::Failure, message);
    }
    let Some(free) = data.free else {
        let message = "writable; the system does not say how much room is left";
        return Finding::new(check, Verdict::Ok, message);
    };
    let verdict = match free {
        0..NO_ROOM => Verdict::Failure,
        NO_ROOM..ROOM_ENOUGH => Verdict::Warning,
        ROOM_ENOUGH.. => Verdict::Ok,
    };
    let advice = match verdict {
        Verdict::Ok => "",
        Verdict::Warning | Verdict::Failure => {
            "; the room of one project may take 1 GiB: make room, or choose another disk with \
             server.data_dir"
        }
    };
    let free = free / MIB;
    Finding::new(check, verdict, format!("writable, {free} MiB free{advice}"))
}

fn listening(address: SocketAddr, found: &Listening) -> Finding {
    let (verdict, message) = match found {
        Listening::Free => (Verdict::Ok, "free".to_owned()),
        Listening::Kinglet => (
            Verdict::Ok,
            "a kinglet listens there; another one needs another address (--listen)".to_owned(),
        ),
        Listening::Secure => (
            Verdict::Warning,
            "a program that speaks TLS listens there; unless it is kinglet, end it or choose \
             another address (--listen)"
                .to_owned(),
        ),
        Listening::Taken => (
            Verdict::Failure,
            "another program listens there; end it, or choose another address (--listen)"
                .to_owned(),
        ),
        Listening::Refused(kind, error) => (
            Verdict::Failure,
            match kind {
                io::ErrorKind::PermissionDenied => format!(
                    "{error}; ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE in the \
                     unit, or a proxy in front"
                ),
                io::ErrorKind::AddrNotAvailable => format!(
                    "{error}; this machine does not have the address: write one that it has, or \
                     0.0.0.0 for all"
                ),
                _ => format!("{error}; choose another address (--listen)"),
            },
        ),
    };
    Finding::new(format!("listen {address}"), verdict, message)
}

fn connections(connections: Connections) -> Finding {
    let Connections {
        wanted,
        descriptors,
        possible,
    } = connections;
    let (verdict, message) = match wanted {
        Some(wanted) if wanted > possible => (
            Verdict::Warning,
            format!(
                "{descriptors} are enough for {possible} connections, and limits.connections is \
                 {wanted}; raise the hard limit (LimitNOFILE= in the unit, ulimit -Hn), or lower \
                 limits.connections"
            ),
        ),
        Some(wanted) => (
            Verdict::Ok,
            format!("{descriptors}, enough for limits.connections = {wanted}"),
        ),
        None => (
            Verdict::Ok,
            format!("{descriptors}, enough for {possible} connections"),
        ),
    };
    Finding::new("descriptors", verdict, message)
}

fn agent(program: &Program) -> Finding {
    let (verdict, message) = match (&program.path, &program.open_to_all) {
        // It is there without anybody having asked for it.
        (Err(problem), _) if program.is_claude => (Verdict::Warning, problem.clone()),
        (Err(problem), _) => (Verdict::Failure, problem.clone()),
        (Ok(path), Some(open)) => (
            Verdict::Failure,
            format!(
                "{}: everybody can write to {}, and so choose what runs as kinglet's user; {}",
                path.display(),
                open.display(),
                close(open)
            ),
        ),
        (Ok(path), None) => (Verdict::Ok, path.display().to_string()),
    };
    Finding::new(format!("agent {}", program.agent), verdict, message)
}

fn root(path: &Path, found: &Root) -> Finding {
    let (verdict, message) = match found {
        Root::Good => (Verdict::Ok, "a directory".to_owned()),
        Root::Missing(error) => (
            Verdict::Failure,
            format!("{error}; make it, or take it out of projects.roots"),
        ),
        Root::NoDirectory => (
            Verdict::Failure,
            "is no directory; write one in projects.roots".to_owned(),
        ),
        Root::OpenToAll(open) => (
            Verdict::Warning,
            format!(
                "everybody can write to {}, and so put files into projects, which agents read; {}",
                open.display(),
                close(open)
            ),
        ),
    };
    Finding::new(format!("project root {}", path.display()), verdict, message)
}

/// The command that takes `open` back.
fn close(open: &Path) -> String {
    let word = output::shell_word(&open.display().to_string());
    format!("chmod o-w {word}")
}

fn certificate(expires: Wall, now: Wall) -> Finding {
    let end = expires.to_rfc3339();
    let left = expires.as_millis().checked_sub(now.as_millis());
    let (verdict, message) = match left.map(Duration::from_millis) {
        None | Some(Duration::ZERO) => (
            Verdict::Failure,
            format!("expired on {end}; renew it (server.tls.cert)"),
        ),
        Some(left) if left < RENEWAL => (
            Verdict::Warning,
            format!(
                "expires on {end}, in {} days; renew it, then send SIGHUP",
                days(left)
            ),
        ),
        Some(left) => (
            Verdict::Ok,
            format!("valid until {end}, for {} days", days(left)),
        ),
    };
    Finding::new("certificate", verdict, message)
}

/// The server starts without it.
fn emitters(address: &str, problem: Option<&str>) -> Finding {
    let (verdict, message) = match problem {
        None => (Verdict::Ok, "answers".to_owned()),
        Some(problem) => (
            Verdict::Warning,
            format!(
                "{problem}; what back ends emit there is lost until it answers: start it, or mend \
                 emitters.redis_url"
            ),
        ),
    };
    Finding::new(format!("redis {address}"), verdict, message)
}

const fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

/// `newest` is when something was written to the data directory last.
fn clock(newest: Option<Wall>, now: Wall) -> Finding {
    let time = now.to_rfc3339();
    if now < EARLIEST {
        let message =
            format!("says {time}; set it (timedatectl set-ntp true), or tokens cannot be judged");
        return Finding::new("clock", Verdict::Failure, message);
    }
    let ahead = |at: &Wall| at.as_millis().saturating_sub(now.as_millis()) > CLOCK_STEP;
    if let Some(newest) = newest.filter(ahead) {
        let message = format!(
            "says {time}, but the data directory was written to on {}; set it (timedatectl set-ntp \
             true)",
            newest.to_rfc3339()
        );
        return Finding::new("clock", Verdict::Warning, message);
    }
    Finding::new("clock", Verdict::Ok, time)
}
