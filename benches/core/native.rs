//! The native dialect: messages of clients to commands, replies and publications to JSON.

use std::hint::black_box;

use criterion::Criterion;
use kinglet::base::clock::Wall;
use kinglet::config::SlowConsumer;
use kinglet::dialect::native::decode::{Correlation, Decoded, decode};
use kinglet::dialect::native::encode;
use kinglet::dialect::publication::{Placement, Publication, RoomSet};
use kinglet::domain::command::Payload;
use kinglet::domain::position::Epoch;
use kinglet::domain::room::RoomName;

const PING: &str = r#"{"type":"ping","id":7}"#;
const SUBSCRIBE: &str = r#"{"type":"subscribe","room":"project:42","since":{"epoch":"p6JCwW22z65Z","offset":41},"id":7}"#;

/// A publish with 128 bytes of data.
pub fn publish_message() -> String {
    let data = "x".repeat(128 - r#"{"text":""}"#.len());
    format!(
        r#"{{"type":"publish","room":"project:42","event":"said","data":{{"text":"{data}"}},"id":7}}"#
    )
}

/// One event of 128 bytes in one room.
fn publication() -> Publication {
    let placement = Placement {
        room: RoomName::parse("project:42").expect("a good name"),
        offset: 42,
        epoch: Epoch::parse("p6JCwW22z65Z").expect("a good epoch"),
        slow_consumer: SlowConsumer::Close,
    };
    Publication {
        event: "said".into(),
        payload: Payload::Json(format!("\"{}\"", "x".repeat(126)).into()),
        source: None,
        timestamp: Wall::from_millis(1_767_225_600_000),
        uid: 7,
        has_copies: false,
        placements: [placement].into(),
        sequence: 7,
        except: Box::default(),
    }
}

#[inline(never)]
fn step_decode(text: &str) -> Decoded {
    decode(text)
}

#[inline(never)]
fn step_pong(to: &Correlation, out: &mut Vec<u8>) {
    out.clear();
    encode::pong(to, Wall::from_millis(1_767_225_600_000), out);
}

#[inline(never)]
fn step_published(to: &Correlation, publication: &Publication, out: &mut Vec<u8>) {
    out.clear();
    encode::published(to, &publication.placements, publication.timestamp, out);
}

#[inline(never)]
fn step_publication(publication: &Publication, out: &mut Vec<u8>) {
    out.clear();
    encode::publication(publication, RoomSet::FIRST, out);
}

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("native");
    let publish = publish_message();
    for (name, text) in [
        ("decode ping", PING),
        ("decode subscribe", SUBSCRIBE),
        ("decode publish of 128 B", &publish),
    ] {
        assert!(decode(text).command.is_ok());
        group.bench_function(name, |bencher| {
            bencher.iter(|| step_decode(black_box(text)));
        });
    }
    let to = decode(PING).correlation;
    let publication = publication();
    let mut out = Vec::with_capacity(512);
    group.bench_function("encode pong", |bencher| {
        bencher.iter(|| step_pong(black_box(&to), &mut out));
    });
    group.bench_function("encode published", |bencher| {
        bencher.iter(|| step_published(black_box(&to), &publication, &mut out));
    });
    group.bench_function("encode a publication of 128 B", |bencher| {
        bencher.iter(|| step_publication(black_box(&publication), &mut out));
    });
    group.finish();
}
