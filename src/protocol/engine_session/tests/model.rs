//! Sessions that anything happens to, against the one thing that always holds: nobody waits forever.

use std::collections::BTreeMap;

use super::{In, World};
use crate::base::rng::Rng;
use crate::protocol::engine_session::step::Step;

/// What a connection still has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Answer,
    Close,
}

/// What the caller of a session has to hold: who is owed what.
#[derive(Default)]
struct Ledger {
    owed: BTreeMap<u32, Owed>,
    is_over: bool,
}

impl Ledger {
    fn note(&mut self, steps: &[Step], seed: u64) {
        for step in steps {
            assert!(!self.is_over, "seed {seed}: {step:?} after the end");
            let (id, was) = match step {
                Step::AnswerPoll(id, _) | Step::AnswerPost(id) | Step::Refuse(id, _) => {
                    (id.slot, Owed::Answer)
                }
                Step::CloseSocket(id) => (id.slot, Owed::Close),
                Step::AnswerProbe(id) | Step::MoveTo(id) => {
                    assert_eq!(self.owed.get(&id.slot), Some(&Owed::Close), "seed {seed}");
                    continue;
                }
                Step::QueuePing => continue,
                Step::End(_) => {
                    self.is_over = true;
                    continue;
                }
            };
            assert_eq!(self.owed.remove(&id), Some(was), "seed {seed}: {step:?}");
        }
    }
}

/// Late requests after the end are told so; apart from them a session says nothing any more.
#[test]
fn every_request_is_answered_once_and_every_socket_closed_once() {
    const SAID: [&str; 9] = ["0", "1", "2", "2probe", "3", "4a", "5", "5", "6"];
    for seed in 0..4000 {
        let mut rng = Rng::from_seed(seed);
        let (mut ledger, mut next) = (Ledger::default(), 2u32);
        let mut world = if rng.below(3) == 0 {
            ledger.owed.insert(1, Owed::Close);
            World::websocket()
        } else {
            World::polling()
        };
        let mut millis = 0;
        for _ in 0..40 {
            let known = 1 + u32::try_from(rng.below(u64::from(next))).unwrap();
            let owed = ledger.owed.get(&known).copied();
            let input = match rng.below(12) {
                kind @ 0..=4 => {
                    next += 1;
                    let (input, owed) = match kind {
                        0..=1 => (In::Poll(next), Owed::Answer),
                        2 => (In::Post(next), Owed::Answer),
                        _ => (In::Attach(next), Owed::Close),
                    };
                    ledger.owed.insert(next, owed);
                    input
                }
                5..=7 => In::Say(known, SAID[usize::try_from(rng.below(9)).unwrap()]),
                8 => In::Posted(known),
                9 if owed.is_some() && rng.below(4) == 0 => {
                    ledger.owed.remove(&known);
                    In::Gone(known)
                }
                10 if rng.below(8) == 0 => In::Close,
                _ => {
                    millis += rng.below(120);
                    In::Time(millis)
                }
            };
            let was_over = ledger.is_over;
            ledger.is_over = false;
            ledger.note(&world.steps(input), seed);
            assert!(!(was_over && ledger.is_over), "seed {seed}: it ended twice");
            ledger.is_over |= was_over;
            if rng.below(4) == 0
                && let Some(poll) = world.session.take_poll()
            {
                assert_eq!(ledger.owed.remove(&poll.slot), Some(Owed::Answer));
            }
            assert_eq!(world.session.deadline().is_none(), ledger.is_over);
        }
        for millis in [millis + 1000, millis + 2000, millis + 3000] {
            let was_over = ledger.is_over;
            ledger.note(&world.steps(In::Time(millis)), seed);
            assert!(!was_over || ledger.is_over);
        }
        assert!(ledger.is_over, "seed {seed}: silence ends every session");
        assert!(ledger.owed.is_empty(), "seed {seed}: {:?}", ledger.owed);
    }
}
