//! Any body is packets or a fault, and any query a request or a fault; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::engine_io;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| engine_io(input));
