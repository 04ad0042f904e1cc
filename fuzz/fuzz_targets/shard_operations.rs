//! Whatever happens to a server, members hear everything once and in order; see the oracle.

#![no_main]

use kinglet::testkit::oracles::shard_operations;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| shard_operations(input));
