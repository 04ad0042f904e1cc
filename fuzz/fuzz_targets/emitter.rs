//! Any message in Redis is one of an emitter or is refused; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::emitter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| emitter(input));
