//! What an agent prints is told whole, however soon it ends after that.

use serde_json::json;

use crate::Host;

const COUNT: &str = r#"
[agents.count]
kind = "lines"
command = ["seq", "{last}"]
[agents.count.params]
last = { type = "int" }
"#;

#[test]
fn what_waits_for_the_store_when_everything_of_a_run_is_gone_is_told_all_the_same() {
    let host = Host::start(COUNT);
    let project = host.project("a");
    // More lines than wait in memory, and less than a pipe holds: `seq` ends while most of it is
    // still in the pipe.
    for last in [300, 1000, 10_000] {
        let body = json!({ "agent": "count", "params": { "last": last } });
        let run = host.carry_out(&project, &body);
        assert_eq!(
            (&run["state"], run.get("truncated")),
            (&json!("exited"), None)
        );
        let expected: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
        assert_eq!(host.lines(&run), expected);
    }
}
