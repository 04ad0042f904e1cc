//! The oracle of the shards: whatever happens to them, in whatever order.

use crate::testkit::simulation::play;

/// For every input: the operations it chooses lead to nothing but what
/// [`simulation`](crate::testkit::simulation) says must follow, and a drained server is empty.
///
/// # Panics
/// If that does not hold; with the operations, unless the fuzzer has ended the process before.
pub fn shard_operations(input: &[u8]) {
    play(
        input,
        "put the input into fuzz/corpus/shard_operations, then cargo test --test corpus",
    );
}
