//! kill -9 of kinglet, of the warden, of the keeper: nothing of the run is left.
//!
//! kinglet is stood in for by this test binary, started again: it becomes a subreaper, which the
//! process of the tests must not, spawns a run and acts on the end of its status.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kinglet::os::process::become_subreaper;
use kinglet::runtime::keeper::status::Record;
use kinglet::runtime::keeper::{kill_strays, sweep};
use kinglet::testkit::processes::{lives, living, parent_of, within_two_seconds};
use kinglet::testkit::server::until;

use crate::run::{Run, mark_of, sh};

/// Tells the stand-in the script of its run.
const SCRIPT: &str = "KEEPER_TEST_SCRIPT";

/// Six processes, in sessions of their own, orphaned, deaf to TERM.
const TREE: &str = "trap '' TERM HUP; setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' \
                    &) ; sleep 1000 & wait";
const TREE_SIZE: usize = 6;

#[allow(clippy::print_stdout)] // Whoever started it reads that.
#[test]
fn stand_in() {
    let Ok(script) = env::var(SCRIPT) else {
        return; // It is a test like any other, in which there is nothing to do.
    };
    become_subreaper().unwrap();
    let orders = sh(&script);
    let mut run = Run::start(&orders);
    let agent = run.agent().number();
    let warden = run.keeper.number();
    let mark = mark_of(&orders).into_string().unwrap();
    println!("\nrun {warden} {} {agent} {mark}", parent_of(agent));
    // Until it is killed, or the run is over.
    while !run.listen() {
        std::thread::sleep(Duration::from_millis(2));
    }
    if !run.records.contains(&Record::Gone) {
        until("no strays are left", || kill_strays(&[]).unwrap() == 0);
    }
}

/// A stand-in with the numbers of its run.
struct StandIn {
    child: Child,
    warden: i32,
    keeper: i32,
    mark: String,
}

impl StandIn {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "crashes::stand_in",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(SCRIPT, TREE)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let line = lines.find_map(|line| line.strip_prefix("run ").map(str::to_owned));
        let line = line.expect("the numbers of the run");
        // The rest of what it says is of no interest, but it must be able to say it.
        std::thread::spawn(move || lines.count());
        let words: Vec<&str> = line.split(' ').collect();
        let stand_in = Self {
            child,
            warden: words[0].parse().unwrap(),
            keeper: words[1].parse().unwrap(),
            mark: words[3].to_owned(),
        };
        until("the tree has grown", || stand_in.living() == TREE_SIZE);
        stand_in
    }

    fn living(&self) -> usize {
        living(self.mark.as_ref()).len()
    }

    fn kill(&self, pids: &[i32]) {
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        // The second may have ended with the first.
        let output = Command::new("kill").arg("-9").args(&pids).output();
        assert!(output.is_ok());
    }
}

/// Kills some of them, given kinglet, warden and keeper, twenty times.
fn check(victims: fn(i32, i32, i32) -> Vec<i32>) {
    for _ in 0..20 {
        let mut run = StandIn::start();
        let kinglet = i32::try_from(run.child.id()).unwrap();
        run.kill(&victims(kinglet, run.warden, run.keeper));
        within_two_seconds("nothing is left of the run", || run.living() == 0);
        within_two_seconds("no keeper is left", || {
            !lives(run.warden) && !lives(run.keeper)
        });
        run.child.wait().unwrap();
    }
}

#[test]
fn nothing_is_left_when_kinglet_is_killed() {
    check(|kinglet, _, _| vec![kinglet]);
}

#[test]
fn nothing_is_left_when_the_keeper_is_killed() {
    check(|_, _, keeper| vec![keeper]);
}

#[test]
fn nothing_is_left_when_the_warden_is_killed() {
    check(|_, warden, _| vec![warden]);
}

#[test]
fn nothing_is_left_when_warden_and_keeper_are_killed() {
    check(|_, warden, keeper| vec![warden, keeper]);
    check(|_, warden, keeper| vec![keeper, warden]);
}

#[test]
fn nothing_is_left_when_kinglet_and_the_keeper_are_killed() {
    check(|kinglet, _, keeper| vec![kinglet, keeper]);
    check(|kinglet, _, keeper| vec![keeper, kinglet]);
}

#[test]
fn nothing_is_left_when_kinglet_and_the_warden_are_killed() {
    check(|kinglet, warden, _| vec![kinglet, warden]);
    check(|kinglet, warden, _| vec![warden, kinglet]);
}

#[test]
fn what_is_left_when_all_are_killed_is_swept_at_the_next_start() {
    let mut run = StandIn::start();
    let kinglet = i32::try_from(run.child.id()).unwrap();
    // Others first: what is left has nobody to come to.
    run.kill(&[kinglet, run.warden, run.keeper]);
    run.child.wait().unwrap();
    assert_eq!(sweep(|mark| mark == b"another run"), 0);
    let mark = run.mark.clone();
    let _ = sweep(|found| found == mark.as_bytes());
    within_two_seconds("nothing is left", || run.living() == 0);
}

#[test]
fn a_killed_keeper_is_told_of() {
    let mut run = Run::start(&sh("setsid sleep 1000 & exec sleep 1000"));
    let agent = run.agent().number();
    let keeper = parent_of(agent);
    let status = Command::new("kill")
        .args(["-9", &keeper.to_string()])
        .status();
    assert!(status.unwrap().success());
    run.finish();
    assert!(matches!(
        run.records.as_slice(),
        [Record::Started(_), Record::Gone]
    ));
}

#[test]
fn signals_for_kinglet_do_nothing_to_a_keeper() {
    let mut run = Run::start(&sh("exec sleep 1000"));
    let agent = run.agent().number();
    let (warden, keeper) = (run.keeper.number(), parent_of(agent));
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"] {
        let pids = [warden.to_string(), keeper.to_string()];
        let status = Command::new("kill").args(["-s", name]).args(pids).status();
        assert!(status.unwrap().success());
    }
    run.listen();
    assert_eq!(run.records.len(), 1, "{:?}", run.records);
    run.kill();
    run.finish();
    assert!(matches!(
        run.records.as_slice(),
        [_, Record::Exited(..), Record::Gone]
    ));
}
