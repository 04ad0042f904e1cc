//! What a file, a directory, a disk or a second process does to durable rooms.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use kinglet::testkit::client::{get, note, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::small_disk::SmallDisk;
use serde_json::json;

use crate::{history, start};

/// Runs the server, which is not to start.
fn refused(directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .arg("serve")
        .env_clear()
        .env("KINGLET_SERVER__LISTEN", "127.0.0.1:0")
        .env("KINGLET_SERVER__DATA_DIR", directory)
        .env("KINGLET_ROOMS__DEFAULT__DURABLE", "true")
        .output()
        .expect("the binary can be started")
}

/// Checks that it ends with 1 and one line that says this.
fn check_refused(directory: &Path, expected: &str) {
    let output = refused(directory);
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut said = errors.lines().filter(|line| line.starts_with("error: "));
    let line = said.next().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(line.contains(expected) && said.next().is_none(), "{errors}");
}

#[test]
fn a_second_process_on_one_directory_says_so_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    check_refused(directory.path(), "another kinglet uses the data directory");
    let body = json!({"room": "a", "event": "e"});
    assert_eq!(
        post(server.address(), "/api/v1/publish", &body).status(),
        200
    );
}

#[test]
fn a_damaged_file_and_a_directory_that_is_none_are_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kinglet.db");
    fs::write(&file, vec![b'#'; 8192]).unwrap();
    check_refused(directory.path(), "kinglet.db is damaged");
    check_refused(&file, "cannot use the data directory");
}

#[test]
fn a_server_that_can_write_nothing_serves_memory_rooms_and_refuses_runs() {
    let directory = tempfile::tempdir().unwrap();
    // No folder can be made in a file.
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let data = file.join("data");
    let path = data.to_str().unwrap();
    let server = Server::start(
        env!("CARGO_BIN_EXE_kinglet"),
        &[("KINGLET_SERVER__DATA_DIR", path)],
    );
    let body = json!({"room": "a", "event": "e"});
    assert_eq!(
        post(server.address(), "/api/v1/publish", &body).status(),
        200
    );
    let refused = get(server.address(), "/api/v1/projects");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json()["error"]["code"], "STORE_UNAVAILABLE");
    let ready = get(server.address(), "/health/ready");
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.json()["details"]["runs"], "no data directory");
    until("the log says it", || {
        server.stderr().contains("store_absent")
    });
}

#[test]
fn a_full_disk_refuses_durable_rooms_alone_until_there_is_space_again() {
    let Some(disk) = SmallDisk::mount(2) else {
        note("SKIPPED: the test with a full disk, because no file system can be mounted here");
        return;
    };
    let settings = [("KINGLET_ROOMS__MEMORY__DURABLE", "false")];
    let server = start(disk.path(), &settings);
    let publish = |room: &str, data: &str| {
        let body = json!({"room": room, "event": "e", "data": data});
        post(server.address(), "/api/v1/publish", &body)
    };
    assert_eq!(publish("a", "before").status(), 200);
    // What is left of the disk is taken by somebody else.
    let filler = disk.fill();
    let large = "x".repeat(100_000);
    let mut acknowledged = 1;
    until("the disk is full", || {
        let answer = publish("a", &large);
        acknowledged += usize::from(answer.status() == 200);
        (answer.status(), answer.code().as_str()) == (503, "STORE_UNAVAILABLE")
    });
    assert_eq!(publish("memory:1", "still").status(), 200);
    let ready = get(server.address(), "/health/ready");
    assert_eq!(ready.status(), 503, "{ready:?}");
    assert_eq!(ready.json()["checks"]["store"], "failing");
    assert_eq!(get(server.address(), "/health").status(), 200);
    fs::remove_file(&filler).unwrap();
    until("it works by itself", || {
        get(server.address(), "/health/ready").status() == 200
    });
    assert_eq!(publish("a", "after").status(), 200);
    acknowledged += 1;
    let (publications, _) = history(&server, "a");
    let offsets: Vec<u64> = publications.iter().map(crate::offset_of).collect();
    assert_eq!(offsets, (1..=acknowledged as u64).collect::<Vec<_>>());
    assert!(server.counter("kinglet_store_refused_unavailable_total") >= 1);
}
