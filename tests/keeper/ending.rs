//! How runs are ended: asked, made to, and however they resist.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use kinglet::runtime::keeper::status::Record;
use kinglet::testkit::processes::{living, within_two_seconds};
use kinglet::testkit::server::until;

use crate::run::{Run, sh};

const GRACE: Duration = Duration::from_millis(300);

#[test]
fn a_cancelled_agent_may_end_by_itself() {
    let mut run = Run::start(&sh(
        "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done",
    ));
    run.says("ready");
    run.cancel();
    assert_eq!(run.exited().0.code(), Some(7));
    run.finish();
}

#[test]
fn a_cancelled_agent_that_is_stopped_hears_it() {
    let mut run = Run::start(&sh(
        "trap 'exit 7' TERM; echo ready; kill -STOP $$; sleep 1000",
    ));
    run.says("ready");
    let agent = run.agent().number();
    until("it is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{agent}/stat")).unwrap();
        stat.contains(") T ")
    });
    run.cancel();
    assert_eq!(run.exited().0.code(), Some(7));
    run.finish();
}

#[test]
fn an_agent_that_ignores_term_is_killed_after_the_grace() {
    let mut orders = sh("trap '' TERM; sleep 1000 & echo ready; while :; do sleep 0.01; done");
    orders.grace = GRACE;
    let mut run = Run::start(&orders);
    run.says("ready");
    let asked = Instant::now();
    run.cancel();
    // Asking again does not give it more time.
    run.cancel();
    assert_eq!(run.exited().0.signal(), Some(9));
    assert!(asked.elapsed() >= GRACE, "{:?}", asked.elapsed());
    run.finish();
}

#[test]
fn a_cancel_before_the_agent_runs_ends_it_too() {
    for _ in 0..20 {
        let mut run = Run::start(&sh("sleep 1000"));
        run.cancel();
        run.finish();
    }
}

/// Scripts that leave something behind which holds standard output.
const DETACHED: [&str; 5] = [
    "sleep 1000 & echo ready",
    "setsid sleep 1000 & echo ready",
    // A daemon: twice forked, in a session of its own.
    "(setsid sh -c 'sleep 1000 & sleep 1000 & echo ready') &",
    "trap '' TERM HUP; setsid sh -c 'setsid sleep 1000 & setsid sleep 1000 & echo ready; wait' &",
    // Its name has what ends a name in /proc.
    "ln -s $(command -v sleep) \"$TMP/) R 1 (\"; setsid \"$TMP/) R 1 (\" 1000 & echo ready",
];

#[test]
fn what_outlives_the_agent_is_killed_when_that_is_asked() {
    for script in DETACHED {
        let directory = tempfile::tempdir().unwrap();
        let mut orders = sh(script);
        let path = directory.path().as_os_str().to_owned();
        orders.environment.push(("TMP".into(), path));
        let mut run = Run::start(&orders);
        run.says("ready");
        run.exited();
        run.listen();
        assert!(!run.records.contains(&Record::Gone), "{script}");
        assert!(!living(&run.mark).is_empty(), "{script}");
        run.kill();
        run.output();
        run.finish();
    }
}

#[test]
fn a_cancel_after_the_agent_kills_what_is_left() {
    let mut run = Run::start(&sh("setsid sleep 1000 & echo ready"));
    run.says("ready");
    run.exited();
    run.cancel();
    run.finish();
}

#[test]
fn what_outlives_the_agent_may_end_by_itself() {
    let script = "exec 3<&0; (setsid sh -c 'read line <&3' &); echo ready";
    let mut run = Run::start(&sh(script));
    run.says("ready");
    run.exited();
    assert!(!living(&run.mark).is_empty());
    run.stdin = None;
    run.finish();
}

#[test]
fn a_dropped_lifeline_kills_all_at_once() {
    let script = "trap '' TERM; setsid sleep 1000 & echo ready; sleep 1000";
    let mut run = Run::start(&sh(script));
    run.says("ready");
    run.lifeline = None;
    within_two_seconds("nothing is left", || living(&run.mark).is_empty());
    run.finish();
}

/// Runs that fork faster than one can look: one line of short-lived processes, the same in sessions
/// of their own, and ever more of them up to a limit.
const RESTLESS: [&str; 3] = [
    "echo ready; cat >$TMP/hop <<'END'\nsh $TMP/hop &\nEND\nsh $TMP/hop",
    "echo ready; cat >$TMP/hop <<'END'\nsetsid sh $TMP/hop &\nEND\nsh $TMP/hop",
    "echo ready; cat >$TMP/bomb <<'END'\n[ $1 -gt 0 ] || exec sleep 1000\n\
     n=$(($1 - 1)); sh $TMP/bomb $n & sh $TMP/bomb $n & setsid sh $TMP/bomb $n & wait\nEND\n\
     sh $TMP/bomb 4",
];

#[test]
fn a_run_that_keeps_forking_is_beaten() {
    for script in RESTLESS {
        let directory = tempfile::tempdir().unwrap();
        let mut orders = sh(script);
        let path = directory.path().as_os_str().to_owned();
        orders.environment.push(("TMP".into(), path));
        let mut run = Run::start(&orders);
        run.says("ready");
        // It is to be in full swing: some forks later.
        let mut seen = std::collections::HashSet::new();
        until("it forks", || {
            seen.extend(living(&run.mark));
            seen.len() > 5
        });
        run.kill();
        let asked = Instant::now();
        run.finish();
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
    }
}
