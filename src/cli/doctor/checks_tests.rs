//! Tests of `checks`: for each fact its finding.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::checks::all;
use super::facts::{Access, Connections, DataDirectory, Facts, Listening, Machine, Program, Root};
use super::{Finding, Verdict};
use crate::base::clock::Wall;
use crate::config::Limits;
use crate::host::platform::Platform;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: u64 = 1024 * 1024;

/// 2026-01-01T00:00:00Z
const NOW: Wall = Wall::from_millis(1_767_225_600_000);

fn after(time: Duration) -> Wall {
    Wall::from_millis(NOW.as_millis() + time.as_millis() as u64)
}

/// A machine on which all is well.
fn machine() -> Machine {
    Machine {
        origin: "defaults".to_owned(),
        warnings: Vec::new(),
        access: Access::Token,
        data: DataDirectory {
            path: "./data".into(),
            existing: "/srv".into(),
            problem: None,
            free: Some(4096 * MIB),
            newest: Some(NOW),
        },
        listen: vec![("127.0.0.1:8080".parse().unwrap(), Listening::Free)],
        connections: Connections {
            wanted: Some(10_000),
            descriptors: 20_000,
            possible: 19_000,
        },
        agents: vec![program("claude", Ok("/bin/claude"), None)],
        roots: vec![("/home/me".into(), Root::Good)],
        certificate: Some(after(90 * DAY)),
        redis: None,
        limits: Limits::default(),
        secrets: Vec::new(),
        files: Vec::new(),
    }
}

/// Where all is well, too.
fn platform() -> Platform {
    Platform {
        has_shell: true,
        has_temporary: true,
        ..Platform::default()
    }
}

/// The findings behind those of the platform, which come first.
fn after_platform(found: Vec<Finding>) -> Vec<Finding> {
    let facts = |finding: &Finding| finding.check.starts_with("platform");
    assert!(found.first().is_some_and(facts), "{found:?}");
    found.into_iter().skip_while(facts).collect()
}

fn program(agent: &str, path: Result<&str, &str>, open: Option<&str>) -> Program {
    Program {
        agent: agent.to_owned(),
        is_claude: agent == "claude",
        path: path.map(PathBuf::from).map_err(str::to_owned),
        open_to_all: open.map(PathBuf::from),
    }
}

fn findings(machine: Machine) -> Vec<Finding> {
    after_platform(all(&Facts {
        now: NOW,
        platform: platform(),
        machine: Ok(machine),
    }))
}

/// Changes the good machine, and expects that one finding changes with it.
fn check(change: impl FnOnce(&mut Machine), check: &str, verdict: Verdict, words: &[&str]) {
    let mut changed = machine();
    change(&mut changed);
    let found = findings(changed);
    let line = found.iter().find(|finding| finding.check == check);
    let finding = line.unwrap_or_else(|| panic!("{check} in {found:?}"));
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    for word in words {
        assert!(finding.message.contains(word), "{word} in {finding:?}");
    }
    let mut others = found.iter().filter(|other| other.check != check);
    assert!(
        others.all(|other| other.verdict == Verdict::Ok),
        "{found:?}"
    );
}

#[test]
fn a_good_machine_has_nothing_to_mend() {
    let found = findings(machine());
    let lines: Vec<String> = found.iter().map(Finding::line).collect();
    assert_eq!(
        lines,
        [
            "ok       configuration: from defaults",
            "ok       access: token mode: runs are for those with a grant",
            "ok       data directory ./data: writable, 4096 MiB free",
            "ok       listen 127.0.0.1:8080: free",
            "ok       descriptors: 20000, enough for limits.connections = 10000",
            "ok       agent claude: /bin/claude",
            "ok       project root /home/me: a directory",
            "ok       certificate: valid until 2026-04-01T00:00:00.000Z, for 90 days",
            "ok       clock: 2026-01-01T00:00:00.000Z",
        ]
    );
}

#[test]
fn every_fault_of_the_configuration_is_a_failure() {
    let found = after_platform(all(&Facts {
        now: Wall::from_millis(0),
        platform: platform(),
        machine: Err(vec!["a: wrong".to_owned(), "b: wrong".to_owned()]),
    }));
    let lines: Vec<String> = found.iter().map(Finding::line).collect();
    assert_eq!(
        lines[..2],
        [
            "failure  configuration: a: wrong",
            "failure  configuration: b: wrong"
        ]
    );
    assert!(
        lines[2].starts_with("failure  clock: says 1970-01-01"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn says_who_can_run_agents() {
    let is = |access, words: &str| {
        check(
            |it| it.access = access,
            "access",
            Verdict::Warning,
            &[words, "kinglet init"],
        );
    };
    is(
        Access::Machine,
        "every local user can run agents as kinglet's user",
    );
    is(Access::Closed, "projects and runs are closed");
    is(Access::Network, "ANYONE WHO CAN REACH IT can run agents");
    let redis = |it: &mut Machine| it.warnings.push("REDIS_URL: not yet".to_owned());
    check(
        redis,
        "environment",
        Verdict::Warning,
        &["REDIS_URL: not yet"],
    );
}

#[test]
fn the_redis_of_emitters_answers() {
    let is = |problem: Option<&str>, verdict, words: &[&str]| {
        let redis = ("host:6379".to_owned(), problem.map(str::to_owned));
        check(
            |it| it.redis = Some(redis),
            "redis host:6379",
            verdict,
            words,
        );
    };
    is(None, Verdict::Ok, &["answers"]);
    is(
        Some("refused"),
        Verdict::Warning,
        &["refused; what back ends emit", "emitters.redis_url"],
    );
}

#[test]
fn the_data_directory_takes_what_is_written() {
    let is = |problem: Option<&str>, free: Option<u64>, verdict, words: &str| {
        let change = |it: &mut Machine| {
            it.data.problem = problem.map(str::to_owned);
            it.data.free = free;
        };
        check(change, "data directory ./data", verdict, &[words]);
    };
    is(
        Some("no"),
        None,
        Verdict::Failure,
        "cannot write in /srv: no; give it to",
    );
    is(None, None, Verdict::Ok, "does not say");
    is(None, Some(1024 * MIB), Verdict::Ok, "1024 MiB");
    is(
        None,
        Some(1024 * MIB - 1),
        Verdict::Warning,
        "1023 MiB free; the room",
    );
    is(None, Some(16 * MIB), Verdict::Warning, "16 MiB");
    is(None, Some(16 * MIB - 1), Verdict::Failure, "make room");
}

#[test]
fn addresses_and_descriptors_are_to_be_had() {
    let is = |found: Listening, verdict, words: &str| {
        let change = |it: &mut Machine| it.listen[0].1 = found;
        check(change, "listen 127.0.0.1:8080", verdict, &[words]);
    };
    let refused = |kind| Listening::Refused(kind, "refused".to_owned());
    is(Listening::Kinglet, Verdict::Ok, "a kinglet listens there");
    is(Listening::Secure, Verdict::Warning, "speaks TLS");
    is(Listening::Taken, Verdict::Failure, "another program");
    is(
        refused(io::ErrorKind::PermissionDenied),
        Verdict::Failure,
        "CAP_NET_BIND_SERVICE",
    );
    is(
        refused(io::ErrorKind::AddrNotAvailable),
        Verdict::Failure,
        "does not have the address",
    );
    is(
        refused(io::ErrorKind::Other),
        Verdict::Failure,
        "refused; choose another",
    );

    let is = |wanted, verdict, words: &str| {
        let change = |it: &mut Machine| it.connections.wanted = wanted;
        check(change, "descriptors", verdict, &[words]);
    };
    is(Some(19_000), Verdict::Ok, "limits.connections = 19000");
    is(
        Some(19_001),
        Verdict::Warning,
        "enough for 19000 connections, and",
    );
    is(None, Verdict::Ok, "enough for 19000 connections");
}

#[test]
fn agents_are_there_and_belong_to_whoever_may_run_them() {
    let is = |program: Program, verdict, words: &[&str]| {
        let name = format!("agent {}", program.agent);
        check(|it| it.agents = vec![program], &name, verdict, words);
    };
    is(
        program("claude", Err("install it"), None),
        Verdict::Warning,
        &["install it"],
    );
    is(
        program("lint", Err("install it"), None),
        Verdict::Failure,
        &["install it"],
    );
    let open = program("lint", Ok("/a b/lint"), Some("/a b"));
    is(
        open,
        Verdict::Failure,
        &["everybody can write to /a b,", "chmod o-w '/a b'"],
    );
}

#[test]
fn project_roots_are_directories_of_somebody() {
    let is = |found: Root, verdict, words: &str| {
        let change = |it: &mut Machine| it.roots[0].1 = found;
        check(change, "project root /home/me", verdict, &[words]);
    };
    is(
        Root::Missing("gone".to_owned()),
        Verdict::Failure,
        "gone; make it",
    );
    is(Root::NoDirectory, Verdict::Failure, "is no directory");
    is(
        Root::OpenToAll("/home".into()),
        Verdict::Warning,
        "chmod o-w /home",
    );
    check(
        |it| it.roots.clear(),
        "project roots",
        Verdict::Ok,
        &["projects.roots"],
    );
}

#[test]
fn a_certificate_is_renewed_in_time() {
    let is = |expires, verdict, words: &str| {
        let change = |it: &mut Machine| it.certificate = Some(expires);
        check(change, "certificate", verdict, &[words]);
    };
    is(after(30 * DAY), Verdict::Ok, "valid until 2026-01-31");
    is(
        after(30 * DAY - Duration::from_millis(1)),
        Verdict::Warning,
        "in 29 days; renew it, then send SIGHUP",
    );
    is(NOW, Verdict::Failure, "expired on 2026-01-01");
    is(Wall::from_millis(0), Verdict::Failure, "renew it");
    let mut without = machine();
    without.certificate = None;
    assert!(
        findings(without)
            .iter()
            .all(|finding| finding.check != "certificate")
    );
}

#[test]
fn a_clock_that_is_behind_what_was_written_is_told() {
    let is = |newest, verdict, words: &str| {
        check(|it| it.data.newest = newest, "clock", verdict, &[words]);
    };
    is(None, Verdict::Ok, "2026-01-01");
    is(Some(after(Duration::from_secs(60))), Verdict::Ok, "2026");
    is(
        Some(after(DAY)),
        Verdict::Warning,
        "written to on 2026-01-02",
    );
}
