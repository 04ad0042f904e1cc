//! Clients of P4 against the real binary, which samples the machine it runs on: `ws` of Node.js,
//! and psutil of Python to compare the figures with; see `clients.rs` for where they come from.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kinglet::testkit::client::note;
use kinglet::testkit::server::Server;

use crate::clients::{javascript, python, succeeds};
use crate::start;

/// Short, so that several samples are a short wait; by the variable that P4's server reads.
const INTERVAL: (&str, &str) = ("WS_METRICS_INTERVAL", "200");

/// The client in JavaScript against this server; `None` if there is none, which is said.
fn node(server: &Server) -> Option<Command> {
    let folder = match javascript() {
        Ok(folder) => folder,
        Err(reason) => {
            note(&format!(
                "skipped: a client of P4 in JavaScript, because {reason}"
            ));
            return None;
        }
    };
    let mut command = Command::new("node");
    command
        .arg(Path::new(&folder).join("devices.mjs"))
        .arg(format!("ws://{}", server.address()));
    Some(command)
}

#[test]
fn the_ws_library_of_node_works_with_the_metrics() {
    let server = start(&[INTERVAL]);
    succeeds(node(&server));
}

#[test]
fn a_client_is_closed_with_1000_when_the_server_drains() {
    let mut server = start(&[INTERVAL]);
    let Some(mut command) = node(&server) else {
        return;
    };
    let mut run = command
        .arg("drain")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "connected\n");
    server.signal("TERM");
    let run = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert_eq!(server.wait(), 0);
}

#[test]
fn the_figures_are_those_of_psutil() {
    let server = start(&[INTERVAL]);
    let Some(client) = python("host.py", &format!("ws://{}", server.address())) else {
        return;
    };
    let mut looks = Command::new(client.get_program());
    let found = looks.args(["-c", "import psutil"]).output().unwrap();
    if !found.status.success() {
        return note("skipped: the figures of psutil, which there is not for this machine");
    }
    succeeds(Some(client));
}
