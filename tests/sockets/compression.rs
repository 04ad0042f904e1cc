//! What compressed messages cost the real process.

use std::fs;

use kinglet::testkit::client::{Connection, note};
use kinglet::testkit::deflate::ClientDeflate;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;

use crate::{start, still_serves};

const KIB: u64 = 1024;

fn connect(server: &Server) -> Socket {
    let connection = Connection::open(server.address());
    let offer = ("Sec-WebSocket-Extensions", "permessage-deflate");
    Socket::handshake(connection, "/ws/echo", &[], &[offer]).unwrap()
}

/// Sends a compressed message in fragments of at most `most` bytes.
fn send(socket: &mut Socket, compressed: &[u8], most: usize) {
    let mut bytes = Vec::new();
    let count = compressed.chunks(most).count();
    for (number, part) in compressed.chunks(most).enumerate() {
        let opcode = if number == 0 {
            Opcode::Binary
        } else {
            Opcode::Continuation
        };
        socket.mask(number + 1 == count, opcode, part, &mut bytes);
    }
    bytes[0] |= 0x40;
    // The server may close before it has read all.
    let _ = socket.connection.try_send(&bytes);
}

/// The most memory the process has ever had resident, in bytes; `None` where nobody says.
fn peak(server: &Server) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * KIB)
}

#[test]
fn a_bomb_costs_no_more_than_the_limit_and_a_window() {
    // Sessions are dealt to reactors in turn, and each inflates on its own: the bound is a reactor's.
    for reactors in 1..=2 {
        a_bomb_costs_each_reactor(reactors);
    }
}

fn a_bomb_costs_each_reactor(reactors: u64) {
    let count = reactors.to_string();
    let server = start(&[
        ("KINGLET_DEBUG__ECHO", "true"),
        ("KINGLET_SERVER__REACTORS", &count),
    ]);
    let answer = "permessage-deflate; client_no_context_takeover";
    let mut sender = ClientDeflate::of_answer(answer, 15).unwrap();
    let bomb = sender.compress(&vec![0; 10 << 20]);
    assert!(bomb.len() < 12_000);
    let hello = sender.compress(b"Hello");
    for _ in 0..reactors {
        let mut socket = connect(&server);
        send(&mut socket, &hello, 100);
        assert_eq!(socket.receive(), Received::Binary(b"Hello".to_vec()));
    }
    let before = peak(&server);
    for most in [bomb.len(), 1000, 10] {
        for _ in 0..5 {
            let mut socket = connect(&server);
            send(&mut socket, &bomb, most);
            assert_eq!(socket.closed().0, 1009);
        }
    }
    assert_eq!(server.counter("kinglet_inflated_too_large_total"), 15);
    still_serves(&server);
    let (Some(before), Some(after)) = (before, peak(&server)) else {
        return note("skipped: the memory of a bomb, because there is no /proc");
    };
    // The limit, a window of 32 KiB, and the requests here with what the allocator rounds up: 1.4 to
    // 1.6 MB as measured. Without the bound it would be 10 MiB.
    let grown = after - before;
    let bound = reactors * (1024 * KIB + 32 * KIB + 1024 * KIB);
    assert!(grown <= bound, "{reactors} reactors: {grown} bytes");
}
