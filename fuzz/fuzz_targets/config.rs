//! Any file and any variables load, or have faults that say where; see the oracle.

#![no_main]

use kinglet::testkit::oracles::config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| config(input));
