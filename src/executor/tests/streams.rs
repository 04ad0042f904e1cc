//! What runs print.

use std::fmt::Write;
use std::time::Duration;

use super::world::{StoreMode, World, claude};
use crate::config::AgentKind;
use crate::domain::run::OutputStream;
use crate::executor::effects::Exit;
use crate::metrics::names::Counter;

fn part(number: usize) -> String {
    format!("{{\"type\":\"stream_event\",\"n\":{number}}}\n")
}

#[test]
fn json_goes_on_as_json_and_everything_else_as_text() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |launch| launch.kind = AgentKind::Claude);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(125), "]".repeat(125));
    world.print(run, "{\"type\":\"user\"}\n[1]\nplain\n{broken\n");
    world.print(run, &format!("{deep}\n"));
    world.print_on(run, OutputStream::Stderr, "{\"type\":\"user\"}\n");
    let spelt: Vec<&str> = world.told[1..]
        .iter()
        .map(|(_, it)| {
            if it.get("json").is_some() {
                "json"
            } else {
                "line"
            }
        })
        .collect();
    assert_eq!(spelt, ["json", "line", "line", "line", "line", "line"]);
    assert_eq!(world.last()["stream"], "stderr");
}

#[test]
fn a_slow_store_pauses_the_pipe_and_nothing_is_lost_or_told_twice() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    world.store = StoreMode::Waits;
    let mut expected = Vec::new();
    let mut text = String::new();
    for number in 0..1000 {
        expected.push(number.to_string());
        writeln!(text, "{number}").unwrap();
    }
    world.print(run, &text);
    for stream in OutputStream::ALL {
        assert!(!world.executor.wants_output(run, stream));
    }
    assert!(world.count(Counter::RunOutputsPaused) > 0);
    let taken = world.count(Counter::RunLines);
    assert!(
        taken <= 512,
        "what is beyond the bound stays as it is: {taken}"
    );
    let mut errands = 0;
    while !world.errands.is_empty() {
        assert_eq!(world.errands.len(), 1, "one at a time");
        errands += 1;
        world.settle(errands % 2 == 0);
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(world.lines(run), expected);
    assert!(world.executor.wants_output(run, OutputStream::Stdout));
    assert_eq!(world.process(run).resumed.len(), 2);
    world.store = StoreMode::Takes;
    world.finish(run, Exit::Code(0));
}

#[test]
fn what_the_store_holds_up_is_not_cut_when_the_run_ends() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |launch| {
        launch.stall_after = Some(Duration::from_secs(1));
    });
    world.store = StoreMode::Waits;
    world.print(run, &"x\n".repeat(1000));
    world.pass(Duration::from_secs(60));
    assert_eq!(
        world.count(Counter::RunsStalled),
        0,
        "it was not heard because of us"
    );
    world.exit(run, Exit::Code(0));
    world.gone(run);
    world.pass(Duration::from_secs(60));
    assert!(!world.process(run).output_closed);
    world.store = StoreMode::Takes;
    world.settle(true);
    assert!(world.executor.wants_output(run, OutputStream::Stdout));
    world.pass(Duration::from_millis(4999));
    assert!(!world.process(run).output_closed);
    world.print(run, "and the rest");
    world.end_output(run);
    assert_eq!(world.lines(run).len(), 1001);
    assert_eq!(world.last()["run"].get("truncated"), None);
}

#[test]
fn parts_of_messages_travel_together_and_in_order_with_the_rest() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |launch| launch.kind = AgentKind::Claude);
    world.print(run, &part(0));
    assert_eq!(world.lines(run).len(), 1, "the first at once");
    for number in 1..=3 {
        world.pass(Duration::from_millis(10));
        world.print(run, &part(number));
    }
    assert_eq!(world.lines(run).len(), 1);
    world.pass(Duration::from_millis(10));
    assert_eq!(world.lines(run).len(), 4);
    assert_eq!(world.count(Counter::RunLinesCoalesced), 2);
    world.print(run, &part(4));
    world.print_on(run, OutputStream::Stderr, "other\n");
    assert_eq!(world.lines(run).len(), 6, "anything else takes them along");
    world.print(run, &part(5));
    world.finish(run, Exit::Code(0));
    let lines = world.lines(run);
    assert_eq!(lines.len(), 7);
    for (number, line) in [0, 1, 2, 3, 4].iter().zip(&lines) {
        assert!(line.contains(&format!("\"n\":{number}")), "{line}");
    }
    assert_eq!(world.names().last(), Some(&"run.exited"));
}

#[test]
fn the_result_is_kept_and_closes_the_input_of_whom_people_talk_to() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, claude);
    assert!(!world.process(run).input_closed);
    world.print(
        run,
        "{\"type\":\"result\",\"subtype\":\"success\",\"session_id\":\"s2\",\"num_turns\":3,\
         \"total_cost_usd\":0.5,\"usage\":{\"input_tokens\":7}}\n",
    );
    assert!(world.process(run).input_closed);
    let kept = world.runs[&run].result.clone().unwrap();
    assert_eq!((kept.cost_usd, kept.turns), (Some(0.5), Some(3)));
    assert_eq!(kept.usage.as_deref(), Some("{\"input_tokens\":7}"));
    assert_eq!(world.projects[&project].session_id.as_deref(), Some("s2"));
    world.finish(run, Exit::Code(0));
    assert_eq!(world.last()["run"]["result"]["turns"], 3);
}

#[test]
fn a_line_without_end_is_cut_and_says_so() {
    let mut world = World::new();
    let project = world.project("/srv/a");
    let run = world.active(project, |_| {});
    let chunk = "x".repeat(1 << 20);
    for _ in 0..17 {
        world.print(run, &chunk);
    }
    world.print(run, "\nnext\n");
    let cut = &world.told[1].1;
    assert_eq!(cut["truncated"], true);
    assert_eq!(cut["line"].as_str().unwrap().len(), 16 << 20);
    assert_eq!(world.lines(run)[1], "next");
    assert_eq!(world.count(Counter::RunLinesTruncated), 1);
}
