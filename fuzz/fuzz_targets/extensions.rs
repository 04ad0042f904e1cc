//! Offers of compression mean the same however they are spelt; see the oracle.

#![no_main]

use kinglet::testkit::oracles::extensions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| extensions(input));
