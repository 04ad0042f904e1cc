//! Any messages are packets of Socket.IO or end the session; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::socket_io;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| socket_io(input));
