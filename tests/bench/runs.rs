//! Runs of agents, with nothing of what they print lost.

use kinglet::testkit::client::post;
use kinglet::testkit::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{BINARY, assert_clean, check_failure, number, report};

/// Starts a server with a project and two agents.
fn with_agents(directory: &TempDir) -> (Server, String, String) {
    let root = directory.path().canonicalize().unwrap();
    let command = |count: u32| {
        let words = [BINARY, "bench", "lines", "--count", &count.to_string()];
        serde_json::to_string(&words).unwrap()
    };
    let configuration = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data}\n[projects]\nroots = [{root}]\n\
         [agents.few]\nkind = \"lines\"\ncommand = {few}\n\
         [agents.many]\nkind = \"lines\"\ncommand = {many}\n\
         [limits]\napi_requests_per_second = 0\n",
        data = json!(root.join("data")),
        root = json!(root),
        few = command(3),
        many = command(20_000),
    );
    let file = root.join("kinglet.toml");
    std::fs::write(&file, configuration).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let server = Server::start_with(BINARY, &arguments, &[]);
    let body = json!({ "path": root });
    let project = post(server.address(), "/api/v1/projects", &body).json();
    let url = format!("http://{}", server.address());
    (server, url, project["id"].as_str().unwrap().to_owned())
}

fn check(report: &Value, printed: f64, viewers: f64) {
    assert_clean(report);
    let runs = number(report, "runs");
    assert!(runs >= 1.0, "{report}");
    assert_eq!(
        number(report, "lines"),
        runs * printed * viewers,
        "{report}"
    );
    assert_eq!(number(report, "lost"), 0.0, "{report}");
    for latency in ["run_us", "latency_us"] {
        assert!(number(&report[latency], "p50") > 0.0, "{report}");
    }
}

#[test]
fn run_watches_runs_to_their_ends_and_counts_every_line() {
    let directory = TempDir::new().unwrap();
    let (server, url, project) = with_agents(&directory);
    let pid = server.pid();
    let arguments = format!("--warmup 0s --duration 200ms --project {project} --pid {pid}");
    let few = report(
        "run",
        &url,
        &format!("{arguments} --agent few --connections 3"),
    );
    check(&few, 3.0, 3.0);
    assert!(number(&few, "server_cpu_us") > 0.0, "{few}");
    // More than a pipe and all that waits before the store: it ends before it is read.
    let alone = format!("-- {BINARY} bench lines --count 20000");
    let many = report("run", &url, &format!("{arguments} --agent many {alone}"));
    check(&many, 20_000.0, 1.0);
    assert!(number(&many, "alone_seconds") > 0.0, "{many}");
}

#[test]
fn run_says_why_nothing_was_started() {
    let directory = TempDir::new().unwrap();
    let (_server, url, project) = with_agents(&directory);
    let arguments = format!("--warmup 0s --duration 100ms --project {project}");
    let unknown = format!("{arguments} --agent nobody");
    check_failure("run", &url, &unknown, 1, &["VALIDATION_FAILED", "agent"]);
    let wrong = format!("{arguments} --agent few -- /no/such/program");
    check_failure("run", &url, &wrong, 2, &["/no/such/program"]);
}
