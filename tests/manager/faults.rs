//! What a manager can get wrong: each is one line that says what would be right, or none of ours.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use crate::stand_in::Service;

/// Expects that the server does not start, and why.
fn check(service: Service, passed: Vec<OwnedFd>, words: &str) {
    let mut started = service.begin(passed);
    assert_eq!(started.ends(), Some(2), "{words}");
    let line = started.logs("");
    assert!(
        line.starts_with("error: ") && line.contains(words),
        "{words} in {line}"
    );
    assert_eq!(started.log(), [line], "one line");
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn sockets_that_were_announced_and_are_not_there_end_the_start() {
    let service = |count: &str| Service::new().setting("LISTEN_FDS", count);
    for wrong in ["0", "-1", "17", "many"] {
        check(service(wrong), vec![listener().into()], "from 1 to 16");
    }
    check(
        service("2"),
        vec![listener().into()],
        "LISTEN_FDS is 2, but descriptor 4",
    );
    check(
        service("1").setting("LISTEN_PID", "own"),
        vec![listener().into()],
        "LISTEN_PID is \"own\"",
    );
}

#[test]
fn what_is_no_socket_that_listens_ends_the_start() {
    let service = || Service::new().setting("LISTEN_FDNAMES", "http");
    let file = File::open("/dev/null").unwrap();
    check(
        service(),
        vec![file.into()],
        "passed as \"http\" is no socket",
    );
    let listener = listener();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    check(
        service(),
        vec![stream.into()],
        "does not listen; write Accept=no",
    );
}

#[test]
fn in_open_mode_a_socket_that_others_can_reach_ends_the_start() {
    // Nobody is served there: it is what the rule is about.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    check(
        Service::new(),
        vec![listener.into()],
        "can be reached from other machines",
    );
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let listener = listener();
    let service = Service::new()
        .setting("LISTEN_PID", "1")
        .setting("LISTEN_FDS", "1")
        .setting("KINGLET_SERVER__LISTEN", "127.0.0.1:0")
        .start(&[&listener]);
    let passed = listener.local_addr().unwrap().to_string();
    let log = service.log();
    assert!(!log.iter().any(|line| line.contains(&passed)), "{log:?}");
}

#[test]
fn a_manager_that_cannot_be_told_is_a_warning() {
    let service = Service::new()
        .setting("NOTIFY_SOCKET", "relative")
        .setting("WATCHDOG_USEC", "soon")
        .start(&[&listener()]);
    let log = service.log();
    for words in ["NOTIFY_SOCKET is", "WATCHDOG_USEC is"] {
        let is_told = |line: &String| line.contains("manager_ignored") && line.contains(words);
        assert!(log.iter().any(is_told), "{words} in {log:?}");
    }
}
