//! A run happens in the directory that was registered, or not at all.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use kinglet::testkit::server::until;

use crate::Host;

const WHERE: &str = r#"
busy = "queue"
[agents.where]
kind = "lines"
command = ["pwd", "-P"]
[agents.wait]
kind = "lines"
command = ["sleep", "30"]
"#;

#[test]
fn a_run_that_waited_does_not_follow_a_link_that_took_its_directorys_place_meanwhile() {
    let host = Host::start(WHERE);
    let project = host.project("a");
    let body = json!({ "agent": "where" });
    let run = host.carry_out(&project, &body);
    let directory = host.root.join("a");
    assert_eq!(host.lines(&run), [directory.to_str().unwrap()]);
    let waiting = |agent: &str| {
        let run = host.start_run(&project, &json!({ "agent": agent }));
        run.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (waiting("wait"), waiting("where"));
    assert_eq!(host.run(&second)["state"], "queued");
    // A place is free for the other only when this one has begun, and still knows its directory.
    until("the first run has begun", || {
        host.run(&first)["state"] == "running"
    });
    fs::rename(&directory, host.root.join("moved")).unwrap();
    symlink("/", &directory).unwrap();
    let target = format!("/api/v1/runs/{first}");
    let mut connection = host.server.connect();
    let answer = connection.request("DELETE", &target, &[], b"");
    assert_eq!(answer.status(), 202);
    let run = host.ended(&second);
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(host.lines(&run), [""; 0]);
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("is another one now"), "{reason}");
}
