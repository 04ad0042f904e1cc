//! What a client that reads too slowly sees under each policy, with the kernel's real buffers.

use std::time::{Duration, Instant};

use kinglet::testkit::client::Connection;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use serde_json::{Value, json};

use crate::{start, still_serves};

/// A room whose members read at different speeds.
struct Stage {
    server: Server,
    slow: Socket,
    quick: Socket,
    publisher: Connection,
    last: u64,
}

/// The room `busy` with these options of its namespace.
fn stage(options: &[(&str, &str)]) -> Stage {
    let settings = [
        ("KINGLET_LIMITS__OUTBOX_MESSAGES", "8"),
        ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
    ];
    let server = start(&[&settings, options].concat());
    Stage {
        slow: Socket::open(server.address(), "/ws?room=busy"),
        quick: Socket::open(server.address(), "/ws?room=busy"),
        publisher: Connection::open(server.address()),
        server,
        last: 0,
    }
}

impl Stage {
    fn publish(&mut self, data: &str) {
        let body = json!({"room": "busy", "event": "tick", "data": data}).to_string();
        let answer = self
            .publisher
            .request("POST", "/api/v1/publish", &[], body.as_bytes());
        assert_eq!(answer.status(), 200, "{answer:?} {}", self.server.stderr());
        self.last = answer.json()["results"][0]["offset"].as_u64().unwrap();
    }

    /// Publishes what one keeps up with and the other does not, until `counter` moves, and then
    /// some more.
    fn overwhelm(&mut self, counter: &str) {
        let large = "x".repeat(256 * 1024);
        let mut more = 10;
        while more > 0 {
            self.publish(&large);
            assert_eq!(self.quick.message()["offset"], self.last);
            assert!(self.last < 400, "the slow one never falls behind");
            more -= u64::from(self.server.counter(counter) > 0);
        }
    }

    /// The offsets that the slow one gets, up to the newest.
    fn read_on(&mut self) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.last() != Some(&self.last) {
            match self.slow.receive() {
                Received::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    offsets.push(message["offset"].as_u64().unwrap());
                }
                other => panic!("{other:?} after {offsets:?} of {}", self.last),
            }
        }
        offsets
    }

    /// Whoever has caught up is live again.
    fn check_is_live(&mut self) {
        for _ in 0..3 {
            self.publish("small");
            assert_eq!(self.quick.message()["offset"], self.last);
            assert_eq!(self.slow.message()["offset"], self.last);
        }
        assert_eq!(
            self.server.counter("kinglet_slow_consumers_closed_total"),
            0
        );
        still_serves(&self.server);
    }
}

#[test]
fn one_who_lags_reads_everything_that_the_history_has() {
    let mut stage = stage(&[
        ("KINGLET_ROOMS__BUSY__SLOW_CONSUMER", "lag"),
        ("KINGLET_ROOMS__BUSY__HISTORY_COUNT", "1000"),
        ("KINGLET_ROOMS__BUSY__HISTORY_BYTES", "256MiB"),
    ]);
    stage.overwhelm("kinglet_fell_behind_total");
    let all: Vec<u64> = (1..=stage.last).collect();
    assert_eq!(stage.read_on(), all);
    assert!(stage.server.counter("kinglet_refilled_total") >= 10);
    stage.check_is_live();
}

#[test]
fn one_who_lags_beyond_the_history_is_closed_with_4000() {
    let mut stage = stage(&[
        ("KINGLET_ROOMS__BUSY__SLOW_CONSUMER", "lag"),
        ("KINGLET_ROOMS__BUSY__HISTORY_COUNT", "5"),
        ("KINGLET_ROOMS__BUSY__HISTORY_BYTES", "256MiB"),
    ]);
    stage.overwhelm("kinglet_fell_behind_total");
    let mut expected = 1;
    loop {
        match stage.slow.receive() {
            Received::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(message["offset"], expected);
                expected += 1;
            }
            Received::Close(code, reason) => {
                assert_eq!((code, reason.as_str()), (4000, "too far behind"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stage.server.counter("kinglet_lag_closed_gone_total"), 1);
    stage.publish("small");
    assert_eq!(stage.quick.message()["offset"], stage.last);
}

#[test]
fn one_who_wants_the_latest_skips_to_it() {
    let mut stage = stage(&[("KINGLET_ROOMS__BUSY__SLOW_CONSUMER", "latest")]);
    stage.overwhelm("kinglet_fell_behind_total");
    let heard = stage.read_on();
    let begun = heard.len() as u64 - 1;
    assert_eq!(heard[..heard.len() - 1], (1..=begun).collect::<Vec<_>>());
    assert!(
        begun + 9 < stage.last,
        "{heard:?} skips none of {}",
        stage.last
    );
    stage.check_is_live();
}

#[test]
fn the_oldest_that_wait_are_dropped_for_the_newest() {
    let mut stage = stage(&[("KINGLET_ROOMS__BUSY__SLOW_CONSUMER", "drop_oldest")]);
    stage.overwhelm("kinglet_oldest_dropped_total");
    let heard = stage.read_on();
    assert!(heard.is_sorted(), "{heard:?}");
    let dropped = stage.server.counter("kinglet_oldest_dropped_total");
    assert_eq!(heard.len() as u64 + dropped, stage.last);
    stage.check_is_live();
}

#[test]
fn a_room_with_an_interval_speaks_no_more_often() {
    let mut stage = stage(&[
        ("KINGLET_ROOMS__BUSY__SLOW_CONSUMER", "latest"),
        ("KINGLET_ROOMS__BUSY__MIN_INTERVAL", "400ms"),
    ]);
    for number in ["1", "2", "3"] {
        stage.publish(number);
    }
    assert_eq!(stage.quick.message()["data"], "1");
    let first = Instant::now();
    assert_eq!(stage.quick.message()["data"], "3");
    assert!(first.elapsed() > Duration::from_millis(200), "too soon");
    assert_eq!(stage.server.counter("kinglet_latest_replaced_total"), 2);
}
