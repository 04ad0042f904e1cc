//! Everything at once, by chance: see `kinglet::testkit::simulation`, which has the model.

use std::cell::RefCell;

use kinglet::metrics::names::Counter;
use kinglet::metrics::table::COUNTERS;
use kinglet::testkit::choices::seeded;
use kinglet::testkit::simulation::play;

/// Bytes of one seed: what some 250 operations take.
const CHOICES: usize = 1400;

/// Seeds of a normal run; each of the tests below plays a quarter of them.
const SEEDS: u64 = 256;

/// Runs `scenario` for `count` seeds, or for the one in KINGLET_SEED; says how to replay a failure.
pub fn for_each_seed(name: &str, count: u64, scenario: fn(u64)) {
    match asked() {
        Some(seed) => run(name, seed, scenario),
        None => (0..count).for_each(|seed| run(name, seed, scenario)),
    }
}

fn asked() -> Option<u64> {
    let asked = std::env::var("KINGLET_SEED").ok();
    asked.and_then(|seed| seed.parse().ok())
}

fn run(name: &str, seed: u64, scenario: fn(u64)) {
    if std::panic::catch_unwind(|| scenario(seed)).is_err() {
        panic!("seed {seed} failed; replay with: {}", replay(seed, name));
    }
}

fn replay(seed: u64, name: &str) -> String {
    format!("KINGLET_SEED={seed} cargo test --test pairs {name}")
}

/// What the seeds of each test must bring about, so that nothing of it goes unchecked unnoticed.
const BROUGHT_ABOUT: [Counter; 27] = [
    Counter::ConnectionsRefusedClient,
    Counter::WriteStalls,
    Counter::HandshakeTimeouts,
    Counter::TokensExpired,
    Counter::TokensMissing,
    Counter::TokensRefused,
    Counter::MembershipsRevoked,
    Counter::SessionsDisconnected,
    Counter::PongTimeouts,
    Counter::IdleCloses,
    Counter::SlowConsumersClosed,
    Counter::MessagesDropped,
    Counter::OldestDropped,
    Counter::LatestReplaced,
    Counter::FellBehind,
    Counter::Refilled,
    Counter::LagClosedGone,
    Counter::ProtocolFaults,
    Counter::SessionsClosedForErrors,
    Counter::RatePaused,
    Counter::PublicationsRefusedBusy,
    Counter::RoomsRefused,
    Counter::SessionRoomsRefused,
    Counter::RecoveriesRefused,
    Counter::IdempotentRepeats,
    Counter::Reloads,
    Counter::EventStreamsOpened,
];

thread_local! {
    /// What the seeds of this thread have brought about, in the order of [`COUNTERS`].
    static COUNTS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn party(seed: u64) {
    let played = play(&seeded(seed, CHOICES), &replay(seed, "whatever_happens"));
    COUNTS.with_borrow_mut(|counts| {
        counts.resize(played.counts.len(), 0);
        let sums = counts.iter_mut().zip(played.counts);
        sums.for_each(|(sum, count)| *sum += count);
    });
}

/// Plays every fourth seed, so that the tests can run at the same time and take as long as each
/// other.
fn play_quarter(first: u64) {
    if let Some(seed) = asked() {
        if seed % 4 == first {
            run("whatever_happens", seed, party);
        }
        return;
    }
    let seeds = (0..SEEDS).filter(|seed| seed % 4 == first);
    seeds.for_each(|seed| run("whatever_happens", seed, party));
    COUNTS.with_borrow(|counts| {
        let counted = |counter: Counter| {
            let at = COUNTERS.iter().position(|(known, ..)| *known == counter);
            at.and_then(|at| counts.get(at)).copied().unwrap_or(0)
        };
        for counter in BROUGHT_ABOUT {
            assert!(counted(counter) > 0, "no seed brings about {counter:?}");
        }
    });
}

#[test]
fn whatever_happens_everybody_is_told_what_was_promised() {
    play_quarter(0);
}

#[test]
fn whatever_happens_everybody_is_told_what_was_promised_1() {
    play_quarter(1);
}

#[test]
fn whatever_happens_everybody_is_told_what_was_promised_2() {
    play_quarter(2);
}

#[test]
fn whatever_happens_everybody_is_told_what_was_promised_3() {
    play_quarter(3);
}

#[test]
fn a_seed_replays_every_byte() {
    let trace = |seed| play(&seeded(seed, CHOICES), &replay(seed, "a_seed_replays"));
    for seed in 0..6 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(0), trace(1));
}
