//! Any split of any frames reads as the same messages, and tungstenite agrees; see the oracle.

#![no_main]

use kinglet::testkit::oracles::websocket_stream;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| websocket_stream(input));
