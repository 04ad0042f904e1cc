//! What single steps of the core cost, without sockets: wire, dialect, rooms, a shard's fan-out, compression.
//!
//! `make bench` runs all of it, in less than a minute; `cargo bench --bench core -- fan-out` runs
//! what is named, and a second run says what has changed since the first. The whole server is
//! measured by `benches/figures`.
//!
//! Time is noisy on a shared machine, instructions are not. `--test` runs each step once, and every
//! step is a function of its own whose name begins with `step_`, so valgrind counts it alone:
//!
//! ```text
//! export CARGO_PROFILE_BENCH_STRIP=none CARGO_PROFILE_BENCH_DEBUG=line-tables-only
//! core=$(cargo bench --bench core --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')
//! valgrind --tool=callgrind --toggle-collect='*step_fan_out*' "$core" --bench --test fan-out
//! ```

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deflate;
mod native;
mod shard;
mod wire;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
        .configure_from_args();
    wire::benches(&mut criterion);
    native::benches(&mut criterion);
    shard::benches(&mut criterion);
    deflate::benches(&mut criterion);
    criterion.final_summary();
}
