//! Bytes to values and back: request heads, frame headers, masks, whole messages.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use kinglet::wire::http::head::Head;
use kinglet::wire::http::scan::{HeadLimits, HeadScanner};
use kinglet::wire::websocket::assembler::{Assembler, AssemblerLimits, Event};
use kinglet::wire::websocket::frame::{
    Opcode, Role, masked_frame, parse_header, unmask, write_header,
};
use kinglet::wire::websocket::handshake::client_request;

const HEAD_LIMITS: HeadLimits = HeadLimits {
    bytes: 16 * 1024,
    headers: 100,
};

const MESSAGE_LIMITS: AssemblerLimits = AssemblerLimits {
    message_bytes: 1 << 20,
    fragments: 4096,
};

const KEY: [u8; 4] = [0x3a, 0x91, 0x5c, 0xe7];

/// The head of an upgrade as a browser sends it, some 600 bytes.
fn browser_head() -> Vec<u8> {
    let extra = [
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/130.0.0.0 Safari/537.36",
        ),
        ("Origin", "http://127.0.0.1:8080"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-US,en;q=0.9,de;q=0.8"),
        (
            "Cookie",
            "theme=dark; session=0123456789abcdef0123456789abcdef",
        ),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
    ];
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let target = "/ws?room=project:42&room=chat:1";
    client_request("127.0.0.1:8080", target, key, &["kinglet.v1"], &extra)
}

#[inline(never)]
fn step_head(bytes: &[u8]) -> Head {
    let length = HeadScanner::default().scan(bytes, &HEAD_LIMITS);
    let length = length.expect("a good head").expect("all of it");
    Head::parse(&bytes[..length], &HEAD_LIMITS).expect("a good head")
}

#[inline(never)]
fn step_frame(frame: &mut [u8]) -> Opcode {
    let start = parse_header(frame, Role::Server).expect("a good header");
    let start = start.expect("all of it");
    let payload = &mut frame[start.header_bytes..];
    unmask(payload, start.mask.expect("a client masks"), 0);
    start.opcode
}

#[inline(never)]
fn step_write_header(out: &mut Vec<u8>) {
    out.clear();
    write_header(true, Opcode::Text, black_box(128), None, out);
}

#[inline(never)]
fn step_message(frame: &mut [u8]) -> usize {
    let mut assembler = Assembler::new(Role::Server);
    match assembler.next(frame, &MESSAGE_LIMITS) {
        Ok((taken, Some(Event::Text(text)))) => taken + text.len(),
        other => panic!("{other:?}"),
    }
}

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    let head = browser_head();
    group.bench_function("parse the head of a browser's upgrade", |bencher| {
        bencher.iter(|| step_head(black_box(&head)));
    });
    let mut out = Vec::with_capacity(16);
    group.bench_function("write a frame's header", |bencher| {
        bencher.iter(|| step_write_header(black_box(&mut out)));
    });
    for bytes in [128, 16 * 1024] {
        let frame = masked_frame(Opcode::Text, &vec![b'a'; bytes], KEY);
        group.throughput(Throughput::Bytes(bytes as u64));
        // Unmasking twice masks again, so the same frame can be read for ever.
        let mut masked = frame.clone();
        group.bench_function(
            format!("parse and unmask a frame of {bytes} B"),
            |bencher| {
                bencher.iter(|| step_frame(black_box(&mut masked)));
            },
        );
        group.bench_function(format!("read a message of {bytes} B"), |bencher| {
            bencher.iter_batched_ref(
                || frame.clone(),
                |frame| step_message(frame),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}
