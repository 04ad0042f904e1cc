//! Nothing is lost and nothing comes twice, however often the connection goes.

use std::thread;

use serde_json::json;

use kinglet::testkit::client::post;
use kinglet::testkit::server::{Server, until};

use crate::process::Running;
use crate::relay::Relay;
use crate::{prints, publish, serve, subscribe, wait_for_members};

/// Reads lines of standard error until one has `words`.
fn wait_for_error(reader: &Running, words: &str) -> String {
    loop {
        let line = reader.error();
        if line.contains(words) {
            return line;
        }
    }
}

#[test]
fn what_was_published_while_the_connection_was_away_is_printed_once() {
    let server = serve(&[]);
    let at = server.address();
    publish(at, "chat", 1, 3); // Before anybody was there.
    let relay = Relay::start(at);
    let reader = subscribe(&relay.url(), &["chat"]);
    wait_for_members(at, "chat", 1);
    publish(at, "chat", 4, 2);
    prints(&reader, "chat", 4, 2);
    for round in 0..3 {
        relay.lead_to(None);
        relay.cut();
        let said = reader.error();
        assert!(said.starts_with("warning: the "), "{said}");
        assert!(said.contains("; connecting again in "), "{said}");
        let first = 6 + round * 10;
        publish(at, "chat", first, 5);
        relay.lead_to(Some(at));
        wait_for_error(&reader, "note: connected again");
        publish(at, "chat", first + 5, 5);
        prints(&reader, "chat", first, 10);
    }
}

#[test]
fn a_stream_that_never_pauses_survives_cuts() {
    const EVENTS: u64 = 3000;
    let server = serve(&[("KINGLET_ROOMS__CHAT__HISTORY_COUNT", "3000")]);
    let at = server.address();
    let relay = Relay::start(at);
    let reader = subscribe(&relay.url(), &["chat"]);
    wait_for_members(at, "chat", 1);
    let publisher = thread::spawn(move || {
        for first in (1..=EVENTS).step_by(10) {
            publish(at, "chat", first, 10);
        }
    });
    prints(&reader, "chat", 1, 200);
    for round in 0..3 {
        relay.cut();
        prints(&reader, "chat", 201 + round * 100, 100);
    }
    prints(&reader, "chat", 501, EVENTS - 500);
    publisher.join().unwrap();
}

#[test]
fn more_than_one_recovery_can_carry_is_paged_through() {
    let server = serve(&[("KINGLET_ROOMS__LONG__HISTORY_COUNT", "650")]);
    let at = server.address();
    let relay = Relay::start(at);
    let reader = subscribe(&relay.url(), &["long"]);
    wait_for_members(at, "long", 1);
    publish(at, "long", 1, 1);
    prints(&reader, "long", 1, 1);
    relay.lead_to(None);
    relay.cut();
    publish(at, "long", 2, 699);
    relay.lead_to(Some(at));
    let said = wait_for_error(&reader, "no longer kept");
    assert_eq!(said, "warning: long: offsets 2 to 50 are no longer kept");
    prints(&reader, "long", 51, 650);
    publish(at, "long", 701, 1);
    prints(&reader, "long", 701, 1);
}

#[test]
fn a_stream_that_began_anew_is_said_and_followed() {
    let first = serve(&[]);
    let relay = Relay::start(first.address());
    let reader = subscribe(&relay.url(), &["chat", "quiet"]);
    wait_for_members(first.address(), "quiet", 1);
    publish(first.address(), "chat", 1, 4);
    prints(&reader, "chat", 1, 4);
    relay.lead_to(None);
    let mut first = first;
    first.signal("TERM");
    assert_eq!(first.wait(), 0);
    let said = reader.error();
    assert!(said.contains("closed the connection: 1001"), "{said}");

    let second = serve(&[]);
    publish(second.address(), "chat", 1, 2);
    relay.lead_to(Some(second.address()));
    let said = wait_for_error(&reader, "chat: ");
    assert!(
        said.contains("after offset 4 cannot be recovered"),
        "{said}"
    );
    assert!(said.contains("the room's stream began anew"), "{said}");
    assert!(said.contains("what comes after offset 2"), "{said}");
    wait_for_error(&reader, "quiet: what came after offset 0");
    publish(second.address(), "chat", 3, 1);
    prints(&reader, "chat", 3, 1);

    // From there on the new stream counts.
    relay.lead_to(None);
    relay.cut();
    publish(second.address(), "chat", 4, 2);
    relay.lead_to(Some(second.address()));
    prints(&reader, "chat", 4, 2);
}

#[test]
fn a_position_given_at_the_start_is_gone_on_from() {
    let server = serve(&[]);
    let at = server.address();
    publish(at, "chat", 1, 3);
    let relay = Relay::start(at);
    let reader = subscribe(&relay.url(), &["chat", "--since", "1"]);
    prints(&reader, "chat", 2, 2);
    // Being a member is not enough: it has to have heard of it, or the cut ends the first try.
    wait_for_members(at, "chat", 1);
    publish(at, "chat", 4, 1);
    prints(&reader, "chat", 4, 1);
    relay.cut();
    publish(at, "chat", 5, 1);
    prints(&reader, "chat", 5, 1);
}

#[test]
fn a_publication_to_two_rooms_is_not_repeated_for_the_second() {
    let server = serve(&[]);
    let at = server.address();
    let relay = Relay::start(at);
    let reader = subscribe(&relay.url(), &["a", "b"]);
    wait_for_members(at, "b", 1);
    let body = json!({"rooms": ["a", "b"], "event": "n", "data": 1});
    assert_eq!(post(at, "/api/v1/publish", &body).status(), 200);
    let event = reader.event();
    assert_eq!(
        event["also"],
        json!([{"room": "b", "offset": 1}]),
        "{event}"
    );
    relay.cut();
    wait_for_error(&reader, "connected again");
    publish(at, "b", 2, 1);
    prints(&reader, "b", 2, 1);
}

#[test]
fn under_a_name_it_goes_on_from_what_it_printed_without_being_told_where() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        (
            "KINGLET_SERVER__DATA_DIR",
            directory.path().to_str().unwrap(),
        ),
        ("KINGLET_ROOMS__A__DURABLE", "true"),
        ("KINGLET_ROOMS__A__HISTORY_COUNT", "1000"),
    ];
    let server = serve(&settings);
    let address = server.address();
    let arguments = ["a", "--durable", "phone"];
    publish(address, "a", 1, 2);
    let url = |server: &Server| format!("http://{}", server.address());
    let first = subscribe(&url(&server), &arguments);
    wait_for_members(address, "a", 1);
    until("it is under its name", || {
        server.counter("kinglet_store_commits_total") >= 2
    });
    publish(address, "a", 3, 3);
    prints(&first, "a", 3, 3);
    // The first is acknowledged at once, the others together.
    until("all is acknowledged", || {
        server.counter("kinglet_acknowledgements_total") >= 2
    });
    drop(first);
    publish(address, "a", 6, 400);
    drop(server);
    let server = serve(&settings);
    // More than one recovery has is paged through.
    let second = subscribe(&url(&server), &arguments);
    prints(&second, "a", 6, 400);
    let mut third = subscribe(&url(&server), &["memory", "--durable", "phone"]);
    wait_for_error(&third, "durable = true");
    assert_eq!(third.exit_code(), Some(1));
}
