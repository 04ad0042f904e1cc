//! Many watch one run, some from its beginning, some late; nobody's leaving changes it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::host::{Host, offset_of, printed, said};

#[test]
fn all_who_watch_see_the_same_run_whenever_they_come_and_whoever_leaves() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let mut first = host.watch(&project);
    let mut second = host.watch(&project);
    let script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; sleep 0.01; done";
    let run = host.shell(&project, script);
    // The first leaves in the middle of it.
    while printed(&[first.next()]).is_empty() {}
    drop(first);
    let mut seen = second.through("run.output");
    let mut late = host.watch(&project);
    seen.extend(second.through("run.exited"));
    assert_eq!(said(&late.through("run.exited")), said(&seen));
    let kinds: Vec<&Value> = seen.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds[0], "run.started");
    assert!(kinds[1..41].iter().all(|kind| **kind == "run.output"));
    assert_eq!(kinds.len(), 42, "{kinds:?}");
    let lines: Vec<String> = printed(&seen).into_iter().map(|(_, line)| line).collect();
    let expected: Vec<String> = (1..=40).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
    let offsets: Vec<u64> = seen.iter().map(offset_of).collect();
    assert_eq!(offsets, (1..=42).collect::<Vec<_>>());
    second.hears_nothing();
    late.hears_nothing();
    let record = host.check_story(&project, &run);
    assert_eq!(record["state"], "exited");
    assert_eq!(record["exit_code"], 0);
    assert_eq!(host.state(&project), "IDLE");
    let after = host.watch(&project).through("run.exited");
    assert_eq!(said(&after), said(&seen));
}

#[test]
fn a_run_goes_on_when_nobody_watches() {
    let host = Host::start(&[]);
    let project = host.project("a");
    let mut only = host.watch(&project);
    let run = host.shell(&project, "echo one; sleep 0.3; echo two");
    only.await_kind("run.output");
    drop(only);
    assert_eq!(host.ended(&run)["exit_code"], 0);
    let told = printed(&host.history(&project));
    let lines: Vec<&str> = told.iter().map(|(_, line)| &**line).collect();
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn runs_of_several_projects_do_not_mix() {
    let host = Host::start(&[]);
    let projects: Vec<String> = (0..5)
        .map(|number| host.project(&format!("p{number}")))
        .collect();
    let script = |name: usize| format!("for i in 1 2 3 4 5; do echo {name}; sleep 0.01; done");
    let runs = projects.iter().enumerate();
    let runs: Vec<String> = runs
        .map(|(name, project)| host.shell(project, &script(name)))
        .collect();
    for (name, (project, run)) in projects.iter().zip(&runs).enumerate() {
        host.ended(run);
        let said: BTreeSet<_> = printed(&host.history(project)).into_iter().collect();
        assert_eq!(said, [("stdout".to_owned(), name.to_string())].into());
        host.check_story(project, run);
    }
}
