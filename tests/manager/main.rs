//! The binary under a service manager, played by these tests: sockets passed on, notifications,
//! the watchdog, restarts without a refused connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod restart;
mod stand_in;

use std::net::TcpListener;

use kinglet::testkit::client::get;
use stand_in::{Manager, Service};

#[test]
fn the_manager_is_told_of_every_stage_of_a_life() {
    for name in ["path", "abstract"] {
        if name == "abstract" && cfg!(not(target_os = "linux")) {
            continue;
        }
        let manager = match name {
            "path" => Manager::with_path(),
            _ => Manager::with_abstract_name(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut service = Service::new()
            .setting("NOTIFY_SOCKET", &manager.name)
            .setting("WATCHDOG_USEC", "400000")
            .start(&[&listener]);
        let ready = manager.hears("READY=1");
        assert!(
            ready.contains(&format!("\nMAINPID={}\n", service.pid())),
            "{ready}"
        );
        assert!(
            ready.contains(&format!("\nSTATUS=listening on {address}\n")),
            "{ready}"
        );
        assert_eq!(get(address, "/health").status(), 200);
        // It is told for as long as it lives, not only while there is something to do.
        for _ in 0..3 {
            manager.hears("WATCHDOG=1");
        }
        service.signal("HUP");
        let reloading = manager.hears("RELOADING=1");
        let time = reloading.split_once("MONOTONIC_USEC=").unwrap().1;
        assert!(time.trim_end().parse::<u64>().unwrap() > 0, "{reloading}");
        manager.hears("READY=1");
        service.signal("TERM");
        let stopping = manager.hears("STOPPING=1");
        assert!(stopping.contains("STATUS=saying goodbye to"), "{stopping}");
        assert_eq!(service.ends(), Some(0), "{:?}", service.log());
    }
}

#[test]
fn a_reload_that_is_refused_is_over_all_the_same_and_says_so() {
    let manager = Manager::with_path();
    let service = Service::new()
        .setting("NOTIFY_SOCKET", &manager.name)
        .start(&[&TcpListener::bind("127.0.0.1:0").unwrap()]);
    manager.hears("READY=1");
    service.write("kinglet.toml", "[server]\nlisen = 1\n");
    service.signal("HUP");
    manager.hears("RELOADING=1");
    let ready = manager.hears("READY=1");
    assert!(ready.contains("the last reload was refused"), "{ready}");
}

#[test]
fn sockets_that_are_passed_replace_the_addresses_and_a_difference_is_told() {
    let one = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let written = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let service = Service::new()
        .setting("KINGLET_SERVER__LISTEN", &written.unwrap().to_string())
        .setting("LISTEN_FDNAMES", "http:more")
        .start(&[&one, &other]);
    for listener in [&one, &other] {
        let address = listener.local_addr().unwrap();
        assert_eq!(get(address, "/health").status(), 200);
    }
    let log = service.log();
    for words in [
        "socket_passed",
        "name=\"http\"",
        "name=\"more\"",
        "listen_replaced written=",
    ] {
        assert!(
            log.iter().any(|line| line.contains(words)),
            "{words} in {log:?}"
        );
    }
    // Nothing of the passed addresses looks like a change that waits for a restart.
    service.signal("HUP");
    let line = service.logs("reload_done");
    assert!(line.contains("needs_restart=\"\""), "{line}");
}

#[test]
fn the_watchdog_hears_of_several_reactors_until_they_have_said_goodbye() {
    let manager = Manager::with_path();
    let mut service = Service::new()
        .setting("NOTIFY_SOCKET", &manager.name)
        .setting("WATCHDOG_USEC", "400000")
        .setting("KINGLET_SERVER__REACTORS", "3")
        .start(&[&TcpListener::bind("127.0.0.1:0").unwrap()]);
    manager.hears("READY=1");
    for _ in 0..5 {
        manager.hears("WATCHDOG=1");
    }
    service.signal("TERM");
    manager.hears("STOPPING=1");
    assert_eq!(service.ends(), Some(0), "{:?}", service.log());
}
