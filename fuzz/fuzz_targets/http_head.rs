//! Any split of any bytes reads as the same HTTP requests; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::http_head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| http_head(input));
