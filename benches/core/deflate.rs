//! Compression: what a message costs, what it saves, and what a fan-out costs with it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use kinglet::testkit::deflate::ClientDeflate;
use kinglet::wire::websocket::deflate::{DeflateContext, Deflater, InflateContext, Inflater};
use kinglet::wire::websocket::extension::WindowBits;

const LIMIT: usize = 1 << 20;

const ALONE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A publication as the native dialect has it: a change of a board with `entries` tasks in it.
pub fn publication(bytes: usize) -> Vec<u8> {
    let mut json = String::from(
        "{\"type\":\"board.changed\",\"room\":\"board:7\",\"offset\":4711,\
         \"timestamp\":\"2026-11-21T10:20:30.456Z\",\"source\":\"api\",\"data\":{\"tasks\":[",
    );
    for number in 0.. {
        let entry = format!(
            "{{\"id\":{},\"title\":\"Task {number}\",\"state\":\"{}\",\"assignee\":\"user-{}\",\
             \"estimate\":{},\"updated_at\":\"2026-11-{:02}T10:{:02}:00Z\"}},",
            100_000 + number * 7919 % 90_000,
            ["open", "in_progress", "done", "blocked"][number * 31 % 4],
            number * 17 % 23,
            number * 13 % 40,
            1 + number * 3 % 28,
            number * 37 % 60,
        );
        if json.len() + entry.len() > bytes {
            break;
        }
        json += &entry;
    }
    json += "]}}";
    json.into_bytes()
}

#[inline(never)]
fn step_deflate(deflater: &mut Deflater, message: &[u8]) -> usize {
    let sent = deflater.deflate(black_box(message), WindowBits::MAX);
    sent.expect("JSON becomes smaller").len()
}

#[inline(never)]
fn step_inflate(inflater: &mut Inflater, message: &[u8]) -> usize {
    let read = inflater.inflate(black_box(message), LIMIT);
    read.expect("a good message").len()
}

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compression");
    for bytes in [500, 4096] {
        let message = publication(bytes);
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let sent = deflater.deflate(&message, WindowBits::MAX);
        let sent = sent.expect("JSON becomes smaller").to_vec();
        let name = format!("{} B to {} B", message.len(), sent.len());
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(format!("deflate {name}"), |bencher| {
            bencher.iter(|| step_deflate(&mut deflater, &message));
        });
        group.bench_function(format!("inflate {name}"), |bencher| {
            bencher.iter(|| step_inflate(&mut inflater, &sent));
        });
        let mut context = DeflateContext::default();
        let mut deflate_next = |message: &[u8]| {
            let sent = deflater.deflate_next(message, WindowBits::MAX, &mut context);
            sent.expect("memory can be compressed").len()
        };
        deflate_next(&message);
        let again = deflate_next(&message);
        group.bench_function(
            format!("deflate {} B on a context to {again} B", message.len()),
            |bencher| bencher.iter(|| deflate_next(black_box(&message))),
        );
        let mut sender = ClientDeflate::of_answer("permessage-deflate", 15).expect("an answer");
        let mut context = InflateContext::default();
        group.bench_function(
            format!("inflate {} B on a context", message.len()),
            |bencher| {
                bencher.iter_batched(
                    || sender.compress(&message),
                    |sent| {
                        inflater
                            .inflate_next(&sent, LIMIT, &mut context)
                            .map(<[u8]>::len)
                    },
                    BatchSize::SmallInput,
                );
            },
        );
    }
    let mut sender = ClientDeflate::of_answer(ALONE, 15).expect("an answer");
    let bomb = sender.compress(&vec![0; 10 << 20]);
    let mut inflater = Inflater::default();
    group.throughput(Throughput::Elements(1));
    group.bench_function("refuse a bomb at 1 MiB", |bencher| {
        bencher.iter(|| inflater.inflate(black_box(&bomb), LIMIT).is_err());
    });
    // Each pair of bytes is a stream of its own, which the next one resets.
    let storm = [0x03, 0x00].repeat(LIMIT / 2);
    group.bench_function("read a MiB of empty last blocks", |bencher| {
        bencher.iter(|| inflater.inflate(black_box(&storm), LIMIT).map(<[u8]>::len));
    });
    group.finish();
}
