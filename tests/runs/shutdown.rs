//! TERM on a server with active runs: they are ended, and told of, before it goes.

use std::time::{Duration, Instant};

use kinglet::testkit::processes::{living, within_two_seconds};
use kinglet::testkit::server::until;

use crate::host::Host;

/// Says so when it hears TERM.
const POLITE: &str = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";

/// Hears no TERM.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.01; done";

/// Starts a script in a project of its own and waits for its first line.
fn start(host: &Host, name: &str, script: &str) -> (String, String) {
    let project = host.project(name);
    let mut watcher = host.watch(&project);
    let run = host.shell(&project, script);
    watcher.await_kind("run.output");
    (project, run)
}

#[test]
fn runs_that_obey_term_end_before_the_server_which_tells_of_them() {
    let mut host = Host::start(&[]);
    let (project, run) = start(&host, "a", POLITE);
    host.server().signal("TERM");
    assert_eq!(host.wait(), 0);
    assert!(living(run.as_ref()).is_empty());
    host.restart();
    let record = host.check_story(&project, &run);
    assert_eq!(record["state"], "lost", "{record}");
    assert_eq!(record["exit_code"], 0);
    let said = crate::host::printed(&host.history(&project));
    assert!(
        said.contains(&("stdout".to_owned(), "bye".to_owned())),
        "{said:?}"
    );
}

#[test]
fn runs_that_do_not_are_killed_after_five_seconds() {
    let mut host = Host::start(&[]);
    let (project, run) = start(&host, "a", DEAF);
    let began = Instant::now();
    host.server().signal("TERM");
    assert_eq!(host.wait(), 0);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(4900), "{took:?}");
    assert!(living(run.as_ref()).is_empty());
    host.restart();
    let record = host.check_story(&project, &run);
    assert_eq!(
        (&record["state"], &record["signal"]),
        (&"lost".into(), &9.into())
    );
}

#[test]
fn a_second_term_cuts_runs_at_once() {
    let mut host = Host::start(&[]);
    let (project, run) = start(&host, "a", DEAF);
    host.server().signal("TERM");
    until("it drains", || host.server().stderr().contains("shutdown"));
    let began = Instant::now();
    host.server().signal("TERM");
    assert_eq!(host.wait(), 3);
    assert!(began.elapsed() < Duration::from_secs(3));
    within_two_seconds("nothing is left", || living(run.as_ref()).is_empty());
    host.restart();
    let record = host.check_story(&project, &run);
    assert_eq!(record["state"], "lost");
    let again = host.shell(&project, "exit 0");
    assert_eq!(host.ended(&again)["state"], "exited");
}
