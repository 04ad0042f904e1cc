//! Compressed messages are read as another inflater reads them, and ours are readable; see the oracle.

#![no_main]

use kinglet::testkit::oracles::deflate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| deflate(input));
