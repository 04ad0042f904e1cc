//! The client's half of permessage-deflate (RFC 7692), as strict as the smallest device.
//!
//! Made of the server's answer alone, and independent of `wire::websocket::deflate`: what arrives is
//! inflated with exactly the window that the answer promises, so that a reference to anything
//! farther back fails. Invariant: nothing of a message is left for the next one, unless the
//! answer says so.

#![allow(clippy::expect_used, clippy::panic)]

use flate2::{Compress, Compression, FlushCompress};

use crate::testkit::inflate::PlainInflater;

/// What ends a message and is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// One connection's compressor and inflater.
#[derive(Debug)]
pub struct ClientDeflate {
    compress: Compress,
    inflate: PlainInflater,
    client_window: u8,
    server_window: u8,
    client_keeps_context: bool,
    server_keeps_context: bool,
    /// How hard it tries, 0 (not at all) to 9.
    pub level: u32,
}

impl ClientDeflate {
    /// The half that goes with a server's Sec-WebSocket-Extensions; `None` if it declined. The
    /// client compresses with a window of `client_window` bits.
    ///
    /// # Panics
    /// When the answer is none to an offer of permessage-deflate.
    #[must_use]
    pub fn of_answer(answer: &str, client_window: u8) -> Option<Self> {
        if answer.is_empty() {
            return None;
        }
        let mut deflate = Self {
            compress: new_compress(6, client_window),
            inflate: PlainInflater::new(15),
            client_window,
            server_window: 15,
            client_keeps_context: true,
            server_keeps_context: true,
            level: 6,
        };
        let mut parameters = answer.split("; ");
        assert_eq!(parameters.next(), Some("permessage-deflate"), "{answer}");
        for parameter in parameters {
            match parameter.split_once('=') {
                None if parameter == "server_no_context_takeover" => {
                    deflate.server_keeps_context = false;
                }
                None if parameter == "client_no_context_takeover" => {
                    deflate.client_keeps_context = false;
                }
                Some(("server_max_window_bits", bits)) => {
                    deflate.server_window = bits.parse().expect("a number of bits");
                }
                _ => panic!("nobody asked for {parameter}"),
            }
        }
        deflate.inflate = PlainInflater::new(deflate.server_window);
        Some(deflate)
    }

    /// What is sent for a message.
    pub fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.client_keeps_context {
            self.compress = new_compress(self.level, self.client_window);
        }
        let mut output = Vec::with_capacity(message.len() + message.len() / 4 + 64);
        let compressed = self
            .compress
            .compress_vec(message, &mut output, FlushCompress::Sync);
        compressed.expect("memory can be compressed");
        if message.is_empty() {
            // zlib writes nothing for nothing; this is RFC 7692 section 7.2.3.6.
            return vec![0];
        }
        assert!(output.ends_with(&TAIL) && output.len() < output.capacity());
        output.truncate(output.len() - TAIL.len());
        output
    }

    /// What a message that arrived expands to.
    ///
    /// # Panics
    /// When it cannot be expanded with the window that was agreed on.
    pub fn expand(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.server_keeps_context {
            self.inflate = PlainInflater::new(self.server_window);
        }
        let expanded = self.inflate.expand(message, usize::MAX);
        expanded.expect("a message for this window")
    }
}

fn new_compress(level: u32, window: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(level), false, window)
}

#[cfg(test)]
mod tests {
    use super::ClientDeflate;
    use crate::base::rng::Rng;

    #[test]
    fn a_reference_beyond_the_window_is_noticed() {
        let answer = |bits: u8| format!("permessage-deflate; server_max_window_bits={bits}");
        let half = |bits: u8| ClientDeflate::of_answer(&answer(bits), 15).expect("an answer");
        // 600 bytes without repetition, twice: farther apart than 512.
        let mut random = vec![0; 600];
        Rng::from_seed(1).fill(&mut random);
        let message = [random.clone(), random].concat();
        let sent = half(15).compress(&message);
        assert_eq!(half(15).expand(&sent), message);
        assert_eq!(half(11).expand(&sent), message);
        let narrow = std::panic::catch_unwind(|| half(9).expand(&sent));
        assert!(
            narrow.is_err(),
            "a window of 512 bytes must not reach back 600"
        );
    }
}
