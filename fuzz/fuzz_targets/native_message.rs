//! Any text is a command or a fault, and replies repeat its id; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::native_message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| native_message(input));
