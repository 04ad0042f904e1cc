//! The oracle of Engine.IO: bodies of the polling transport, and what requests ask for.

use crate::wire::engine_io::packet::Packet;
use crate::wire::engine_io::payload::{PayloadLimits, SEPARATOR, packets, push, push_text};
use crate::wire::engine_io::query::EngineRequest;
use crate::wire::http::head::Method;

/// A body may have so many packets.
const PACKETS: usize = 64;

/// For every body: it has as many packets as pieces, or a fault behind the last; none has more bytes
/// than its piece; written anew they read the same. And every query is understood or refused, and
/// says the same whatever stands behind it.
///
/// # Panics
/// If that does not hold.
pub fn engine_io(input: &[u8]) {
    body(input);
    let query = String::from_utf8_lossy(input);
    for (method, upgrades) in [
        (Method::Get, false),
        (Method::Get, true),
        (Method::Post, false),
    ] {
        let asked = EngineRequest::parse(&query, method, upgrades);
        let noisy = format!("{query}&t=1&b64=1");
        assert_eq!(EngineRequest::parse(&noisy, method, upgrades), asked);
    }
}

fn body(input: &[u8]) {
    let limits = PayloadLimits {
        bytes: usize::MAX,
        packets: PACKETS,
    };
    let pieces: Vec<&[u8]> = input.split(|byte| *byte == SEPARATOR).collect();
    let Ok(found) = packets(input, &limits) else {
        let is_text = std::str::from_utf8(input).is_ok();
        assert!(!is_text || pieces.len() > PACKETS, "a good body is refused");
        return;
    };
    let found: Vec<_> = found.collect();
    let taken: Vec<Packet<'_>> = found.iter().flatten().cloned().collect();
    if taken.len() == found.len() {
        assert_eq!(found.len(), pieces.len());
    } else {
        assert_eq!(found.len(), taken.len() + 1, "nothing follows a fault");
    }
    let mut written = Vec::new();
    for (packet, piece) in taken.iter().zip(&pieces) {
        push(packet, &mut written);
        match packet {
            Packet::Binary(bytes) => assert!(bytes.len() < piece.len()),
            Packet::Open(_)
            | Packet::Close
            | Packet::Ping(_)
            | Packet::Pong(_)
            | Packet::Message(_)
            | Packet::Upgrade
            | Packet::Noop => {
                let (mut alone, mut frame) = (Vec::new(), Vec::new());
                packet.write_frame(&mut frame);
                push_text(&frame, &mut alone);
                assert_eq!(alone, frame);
                assert!(
                    piece.starts_with(&frame),
                    "what is written is what was read"
                );
            }
        }
    }
    if taken.is_empty() {
        return;
    }
    let again = packets(&written, &limits).map(|packets| packets.flatten().collect::<Vec<_>>());
    assert_eq!(again.as_deref(), Ok(&*taken));
}
