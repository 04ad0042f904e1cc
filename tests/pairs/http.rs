//! HTTP connections that stay, end and are flooded.

use kinglet::base::limits;
use kinglet::metrics::names::Counter;
use kinglet::testkit::world::End;

use crate::{SECOND, TICK, world};

#[test]
fn a_resting_connection_is_kept_for_a_minute() {
    let mut world = world("");
    let id = world.open();
    for _ in 0..3 {
        world.client(id).request("GET", "/health", "");
        world.advance(limits::KEEP_ALIVE_TIMEOUT - 2 * TICK);
        assert_eq!(world.client(id).answers.pop_front().unwrap().status, 200);
    }
    world.client(id).request("GET", "/health", "");
    world.advance(limits::KEEP_ALIVE_TIMEOUT + TICK);
    assert_eq!(world.client(id).end, Some(End::Finished));
    assert_eq!(world.connections(), 0);
}

#[test]
fn the_time_for_a_second_request_begins_with_its_first_byte() {
    let mut world = world("");
    let id = world.open();
    world.client(id).request("GET", "/health", "");
    world.advance(50 * SECOND);
    world.client(id).send(b"GET /health HTTP/1.1\r\n");
    world.advance(9 * SECOND);
    world.client(id).send(b"Host: localhost\r\n\r\n");
    world.advance(20 * SECOND);
    let statuses: Vec<u16> = world.client(id).answers.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [200, 200]);
    world.client(id).send(b"G");
    world.advance(11 * SECOND);
    assert_eq!(world.client(id).answers.back().unwrap().status, 408);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut world = world("");
    let id = world.open();
    world.jobs.delay_turns_max = 4;
    for path in [
        "/",
        "/nowhere",
        "/api/v1/rooms",
        "/api/v1/rooms/none",
        "/health/live",
    ] {
        world.client(id).request("GET", path, "");
    }
    world.settle();
    let statuses: Vec<u16> = world.client(id).answers.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [200, 404, 200, 404, 200]);
}

#[test]
fn one_who_pipelines_without_reading_answers_is_not_read_further() {
    let mut world = world("[limits]\noutbox_bytes = \"64KiB\"\n");
    world.conditions.capacity = 10_000;
    let id = world.open();
    world.client(id).appetite = Some(0);
    const REQUESTS: usize = 5000;
    for _ in 0..REQUESTS {
        world.client(id).request("GET", "/health", "");
    }
    world.settle();
    let answered = world.total(Counter::HttpRequests);
    assert!(
        answered < 1000,
        "{answered} answers are kept for one who reads none"
    );
    world.client(id).appetite = None;
    world.settle();
    assert_eq!(world.client(id).answers.len(), REQUESTS);
    world.advance(61 * SECOND);
    assert_eq!(world.connections(), 0);
}

#[test]
fn an_address_over_its_api_rate_gets_429() {
    let mut world = world("[limits]\napi_requests_per_second = 2\n");
    let id = world.open();
    for _ in 0..3 {
        world.client(id).request("GET", "/api/v1/rooms", "");
    }
    world.client(id).request("GET", "/health", "");
    world.settle();
    let statuses: Vec<u16> = world.client(id).answers.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [200, 200, 429, 200]);
}
