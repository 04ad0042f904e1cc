//! Any split of any body reads as the same bytes, within its limit; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::http_body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| http_body(input));
