//! Bytes that no client made are never plaintext over TLS; the oracle says it in full.

#![no_main]

use kinglet::testkit::oracles::tls_records;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| tls_records(input));
