//! Properties that hold for every input: what fuzz targets try and tests replay.
//!
//! An oracle takes bytes as a fuzzer makes them up and panics if its property does not hold. The
//! targets in `fuzz/` only call it, and `tests/corpus.rs` calls it with the inputs that are kept.
//!
//! May not touch: sockets, clocks, randomness (but for the keys of TLS); the same input always
//! takes the same path.

// An oracle speaks by panicking.
#![allow(clippy::panic, clippy::expect_used)]

mod body;
mod config;
mod deflate;
mod device;
mod emitter;
mod engine_io;
mod extensions;
mod frames;
mod http;
mod messages;
mod native;
mod reading;
mod runs;
mod shard;
mod socket_io;
mod tls;
mod tungstenite;
mod websocket;

pub use self::body::http_body;
pub use self::config::config;
pub use self::deflate::deflate;
pub use self::emitter::emitter;
pub use self::engine_io::engine_io;
pub use self::extensions::extensions;
pub use self::http::http_head;
pub use self::native::native_message;
pub use self::shard::shard_operations;
pub use self::socket_io::socket_io;
pub use self::tls::tls_records;
pub use self::websocket::websocket_stream;

/// One property; panics on an input that breaks it.
pub type Oracle = fn(&[u8]);

/// Every oracle by the name of its fuzz target and of its folder in `fuzz/corpus`.
pub const ORACLES: [(&str, Oracle); 12] = [
    ("config", config),
    ("deflate", deflate),
    ("emitter", emitter),
    ("engine_io", engine_io),
    ("extensions", extensions),
    ("http_body", http_body),
    ("http_head", http_head),
    ("native_message", native_message),
    ("shard_operations", shard_operations),
    ("socket_io", socket_io),
    ("tls_records", tls_records),
    ("websocket_stream", websocket_stream),
];

/// Where `bytes` input bytes end piece by piece, each piece as long as the next of `lengths` says,
/// which come around again. An empty piece stands before each: an arrival may bring nothing. The
/// pieces of long inputs are longer in proportion, for the sake of speed.
fn piece_ends(bytes: usize, lengths: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    let mut end = 0;
    let scale = 1 + bytes / 4096;
    for length in lengths.iter().cycle() {
        if end == bytes {
            break;
        }
        ends.push(end);
        end = bytes.min(end + scale * usize::from(*length).max(1));
        ends.push(end);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::piece_ends;

    #[test]
    fn pieces_cover_the_input_and_never_stand_still() {
        assert_eq!(piece_ends(0, b""), [0]);
        assert_eq!(piece_ends(3, &[2, 0]), [0, 0, 2, 2, 3]);
        assert_eq!(piece_ends(2, &[0]), [0, 0, 1, 1, 2]);
        assert_eq!(piece_ends(9, &[200]), [0, 0, 9]);
        assert_eq!(piece_ends(8192, &[255])[2], 765);
    }
}
