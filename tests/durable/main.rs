//! Durable rooms with the real binary: what is left after kill -9, what a disk does to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod faults;
mod rooms;
mod subscriptions;

use std::path::Path;

use kinglet::testkit::client::get;
use kinglet::testkit::server::Server;
use serde_json::Value;

/// Starts the binary with durable rooms in `directory`.
fn start(directory: &Path, settings: &[(&str, &str)]) -> Server {
    let directory = directory.to_str().expect("a path that can be spelt");
    let mut all = vec![
        ("KINGLET_SERVER__DATA_DIR", directory),
        ("KINGLET_ROOMS__DEFAULT__DURABLE", "true"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_COUNT", "20000"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_BYTES", "64MiB"),
        ("KINGLET_ROOMS__DEFAULT__HISTORY_AGE", "1h"),
    ];
    all.extend(settings);
    Server::start(env!("CARGO_BIN_EXE_kinglet"), &all)
}

/// The whole history of a room, page by page, and its epoch.
fn history(server: &Server, room: &str) -> (Vec<Value>, String) {
    let (mut all, mut since) = (Vec::new(), 0);
    loop {
        let target = format!("/api/v1/rooms/{room}/history?since={since}&limit=300");
        let answer = get(server.address(), &target);
        assert_eq!(answer.status(), 200, "{answer:?}");
        let mut page = answer.json();
        let Value::Array(publications) = page["publications"].take() else {
            panic!("no publications: {page}");
        };
        since = publications.last().map_or(since, offset_of);
        all.extend(publications);
        if page["more"] != true {
            return (all, page["epoch"].as_str().unwrap().to_owned());
        }
    }
}

fn offset_of(publication: &Value) -> u64 {
    publication["offset"].as_u64().expect("an offset")
}
