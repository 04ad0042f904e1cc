//! Everything at once, by chance: see `kinglet::testkit::simulation`, which has the model.

use kinglet::testkit::choices::seeded;
use kinglet::testkit::simulation::play;

/// Bytes of one seed: what some 250 operations take.
const CHOICES: usize = 1200;

/// Runs `scenario` for `count` seeds, or for the one in KINGLET_SEED; says how to replay a failure.
pub fn for_each_seed(name: &str, count: u64, scenario: fn(u64)) {
    let asked = std::env::var("KINGLET_SEED").ok();
    let seeds = match asked.and_then(|seed| seed.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    for seed in seeds {
        if std::panic::catch_unwind(|| scenario(seed)).is_err() {
            panic!("seed {seed} failed; replay with: {}", replay(seed, name));
        }
    }
}

fn replay(seed: u64, name: &str) -> String {
    format!("KINGLET_SEED={seed} cargo test --test pairs {name}")
}

fn party(seed: u64) {
    play(&seeded(seed, CHOICES), &replay(seed, "whatever_happens"));
}

#[test]
fn whatever_happens_every_member_that_stays_hears_everything_once_and_in_order() {
    for_each_seed("whatever_happens", 256, party);
}

#[test]
fn a_seed_replays_every_byte() {
    let trace = |seed| play(&seeded(seed, CHOICES), &replay(seed, "a_seed_replays"));
    for seed in 0..6 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(0), trace(1));
}
