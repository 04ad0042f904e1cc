//! A stream beside a list of everything.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::base::rng::Rng;

const SECOND: Duration = Duration::from_secs(1);
const START: Mono = Mono::from_nanos(5);
const MANY: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(3600);

fn stream() -> Stream<u64> {
    Stream::new(Epoch::parse("e").unwrap())
}

fn keep(count: usize, bytes: usize, age: Duration) -> Retention {
    Retention { count, bytes, age }
}

fn offsets(page: &Page<u64>) -> (Vec<u64>, bool) {
    (
        page.items.iter().map(|(offset, _)| *offset).collect(),
        page.more,
    )
}

/// What a stream is, said without economy: every item ever, and which of them are gone.
#[derive(Default)]
struct Model {
    items: Vec<(u64, usize, Mono)>,
    gone: usize,
}

impl Model {
    fn evict(&mut self, keep: &Retention, now: Mono) -> usize {
        let before = self.gone;
        for place in (before..self.items.len()).rev() {
            let (_, _, at) = self.items[place];
            let bytes: usize = self.items[place..].iter().map(|(_, bytes, _)| bytes).sum();
            let over = self.items.len() - place > keep.count
                || bytes > keep.bytes
                || now.since(at) >= keep.age;
            if over {
                self.gone = place + 1;
                break;
            }
        }
        self.gone - before
    }

    fn retained(&self, low: u64, high: u64) -> Vec<(u64, u64)> {
        let all = self.items.iter().zip(1..).skip(self.gone);
        all.map(|((item, ..), offset)| (offset, *item))
            .filter(|(offset, _)| (low..high).contains(offset))
            .collect()
    }
}

fn check_against_model(seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut small = |bound: u64| usize::try_from(rng.below(bound)).unwrap();
    let (mut stream, mut model, mut now) = (stream(), Model::default(), START);
    let mut limits = keep(small(8), 1 + small(40), SECOND * 3);
    for step in 0..300u64 {
        now = now + SECOND / 4 * u32::try_from(small(4)).unwrap();
        match small(16) {
            0..8 => {
                let bytes = small(12);
                model.items.push((step, bytes, now));
                model.evict(&limits, now);
                let offset = stream.append(step, bytes, &limits, now);
                assert_eq!(offset, model.items.len() as u64, "seed {seed}");
                assert_eq!(stream.last_activity(), now);
            }
            8 => {
                let evicted = model.evict(&limits, now);
                assert_eq!(stream.expire(&limits, now), evicted, "seed {seed}");
            }
            9 if step % 5 == 0 => {
                limits = keep(
                    small(8),
                    1 + small(40),
                    SECOND * u32::try_from(1 + small(4)).unwrap(),
                );
            }
            10 if step % 7 == 0 => {
                stream.reset(Epoch::parse(&format!("e{step}")).unwrap());
                model.gone = model.items.len();
            }
            _ => {}
        }
        stream.check_invariants();
        let top = model.items.len() as u64;
        let bytes: usize = model.items[model.gone..]
            .iter()
            .map(|(_, bytes, _)| bytes)
            .sum();
        assert_eq!(
            (stream.offset(), stream.retained_bytes()),
            (top, bytes),
            "seed {seed}"
        );

        let (since, limit) = (small(top + 3) as u64, small(10));
        let later = model.retained(since + 1, u64::MAX);
        let page = stream.after(since, limit);
        assert_eq!(page.more, later.len() > limit, "seed {seed}");
        assert_eq!(page.items, later[..limit.min(later.len())], "seed {seed}");

        let is_retained = since >= model.gone as u64;
        assert_eq!(stream.retains_after(since), is_retained, "seed {seed}");

        let mut earlier = model.retained(0, since);
        earlier.reverse();
        let page = stream.before(Some(since), limit);
        assert_eq!(page.more, earlier.len() > limit, "seed {seed}");
        assert_eq!(
            page.items,
            earlier[..limit.min(earlier.len())],
            "seed {seed}"
        );

        let is_whole = since <= top && since >= model.gone as u64 && later.len() <= limit;
        assert_eq!(
            stream.missed(since, limit),
            is_whole.then_some(later),
            "seed {seed}"
        );
    }
}

#[test]
fn agrees_with_a_list_of_everything() {
    for seed in 0..256 {
        check_against_model(seed);
    }
}

#[test]
fn keeps_what_each_limit_allows() {
    let check = |retention: Retention, expected: &[u64]| {
        let mut stream = stream();
        for n in 0..5u32 {
            stream.append(0, 10, &retention, START + SECOND * n);
        }
        assert_eq!(offsets(&stream.after(0, 9)).0, expected, "{retention:?}");
    };
    check(keep(9, MANY, LONG), &[1, 2, 3, 4, 5]);
    check(keep(2, MANY, LONG), &[4, 5]);
    check(keep(1, MANY, LONG), &[5]);
    check(keep(0, MANY, LONG), &[]);
    check(keep(9, 30, LONG), &[3, 4, 5]);
    check(keep(9, 29, LONG), &[4, 5]);
    check(keep(9, 9, LONG), &[]);
    check(keep(9, MANY, SECOND * 2), &[4, 5]);
}

#[test]
fn an_item_larger_than_all_leaves_nothing_to_recover_from() {
    let mut stream = stream();
    let retention = keep(9, 10, LONG);
    stream.append(0, 4, &retention, START);
    assert_eq!(stream.append(1, 11, &retention, START), 2);
    assert!(stream.is_empty());
    assert_eq!(stream.append(2, 10, &retention, START), 3);
    assert_eq!(stream.missed(1, 9), None);
    assert_eq!(stream.missed(2, 9), Some(vec![(3, 2)]));
}

#[test]
fn recovers_all_or_nothing() {
    let mut stream = stream();
    assert_eq!(stream.missed(0, 0), Some(vec![]));
    assert_eq!(stream.missed(1, 9), None);
    for item in 10..15 {
        stream.append(item, 1, &keep(3, MANY, LONG), START);
    }
    assert_eq!(stream.missed(5, 0), Some(vec![]));
    assert_eq!(stream.missed(2, 3), Some(vec![(3, 12), (4, 13), (5, 14)]));
    assert_eq!(stream.missed(2, 2), None);
    assert_eq!(stream.missed(1, 9), None);
    assert_eq!(stream.missed(6, 9), None);
    assert_eq!(stream.missed(u64::MAX, usize::MAX), None);
}

#[test]
fn pages_in_both_directions() {
    let mut stream = stream();
    for item in 0..5 {
        stream.append(item, 1, &keep(4, MANY, LONG), START);
    }
    assert_eq!(offsets(&stream.after(0, 2)), (vec![2, 3], true));
    assert_eq!(offsets(&stream.after(3, 2)), (vec![4, 5], false));
    assert_eq!(
        offsets(&stream.after(u64::MAX, usize::MAX)),
        (vec![], false)
    );
    assert_eq!(offsets(&stream.after(0, 0)), (vec![], true));
    assert_eq!(offsets(&stream.before(None, 3)), (vec![5, 4, 3], true));
    assert_eq!(offsets(&stream.before(Some(3), 3)), (vec![2], false));
    assert_eq!(offsets(&stream.before(Some(0), 3)), (vec![], false));
    assert_eq!(
        offsets(&stream.before(Some(u64::MAX), usize::MAX)).0.len(),
        4
    );
}

#[test]
fn a_reset_starts_another_epoch_with_nothing_retained() {
    let mut stream = stream();
    stream.append(0, 1, &keep(9, MANY, LONG), START);
    let epoch = Epoch::parse("f").unwrap();
    stream.reset(epoch);
    stream.check_invariants();
    assert_eq!(stream.position(), Position { epoch, offset: 1 });
    assert!(stream.is_empty());
    assert_eq!(stream.next_offset(), 2);
    assert_eq!(stream.missed(0, 9), None);
}

#[test]
fn readings_out_of_order_do_not_hide_what_has_aged() {
    let (mut stream, retention) = (stream(), keep(9, MANY, SECOND));
    stream.append(0, 1, &retention, START + SECOND);
    stream.append(1, 1, &retention, START);
    stream.check_invariants();
    assert_eq!(stream.expire(&retention, START + SECOND * 2), 2);
    assert!(stream.is_empty());
}

#[test]
fn the_last_offset_is_what_json_holds_exactly() {
    let mut stream = stream();
    stream.offset = OFFSET_MAX - 1;
    assert_eq!(
        stream.append(0, 1, &keep(1, MANY, SECOND), START),
        9_007_199_254_740_991
    );
    stream.check_invariants();
}
