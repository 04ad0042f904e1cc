//! What of the machine is to be measured and told, and when: the sampler's decisions.
//!
//! May not touch: clocks, files, rooms. Invariant: nothing is told of a topic that nobody watches;
//! what is kept of it is forgotten when it is as old as its period.

use std::time::Duration;

use crate::base::clock::Mono;

/// How often the machine is measured while nobody asks, so that the first who does has what to
/// compare with.
const IDLE: Duration = Duration::from_secs(60);

/// A sample younger than this is told again rather than followed by one over a moment in which
/// hardly a tick has passed.
const YOUNG: Duration = Duration::from_secs(1);

/// What can be watched, each in a room of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// All that changes.
    Metrics,
    /// What the machine is.
    SystemInfo,
    /// A longer list of processes.
    Processes,
    /// The network interfaces.
    NetworkInterfaces,
}

impl Topic {
    /// Every topic, in the order of [`Demand::watched`].
    pub const ALL: [Self; 4] = [
        Self::Metrics,
        Self::SystemInfo,
        Self::Processes,
        Self::NetworkInterfaces,
    ];

    /// The room it is told in.
    #[must_use]
    pub const fn room(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::SystemInfo => "metrics:system-info",
            Self::Processes => "metrics:processes",
            Self::NetworkInterfaces => "metrics:network-interfaces",
        }
    }

    /// The event it is told as.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::SystemInfo => "system-info",
            Self::Processes => "processes",
            Self::NetworkInterfaces => "network-interfaces",
        }
    }

    /// How often it is told, where metrics are every `interval`.
    #[must_use]
    pub const fn period(self, interval: Duration) -> Duration {
        match self {
            Self::Metrics => interval,
            Self::SystemInfo | Self::NetworkInterfaces => Duration::from_secs(30),
            Self::Processes => Duration::from_secs(60),
        }
    }
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Whether somebody watches each of [`Topic::ALL`].
    pub watched: [bool; 4],
    /// Whether somebody waits for a sample that is not older than the interval.
    pub is_asked: bool,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The machine is to be measured; otherwise the last sample will do.
    pub is_sample: bool,
    /// The topics to tell.
    pub tell: Vec<Topic>,
    /// The topics of which what is kept is too old for whoever comes next.
    pub forget: Vec<Topic>,
}

/// What was done when.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    sampled: Option<Mono>,
    told: [Told; 4],
}

/// A topic's past.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: Option<Mono>,
    /// It is kept for those who come next.
    is_kept: bool,
}

impl Plan {
    /// What is due, which counts as done then. A time that was missed is not made up for.
    pub fn due(&mut self, demand: Demand, interval: Duration, now: Mono) -> Due {
        let mut due = Due::default();
        let topics = Topic::ALL.into_iter().zip(demand.watched);
        for ((topic, is_watched), told) in topics.zip(&mut self.told) {
            let period = topic.period(interval);
            let next = told.at.map(|at| at + period);
            if next.is_some_and(|next| now < next) {
                continue;
            }
            if is_watched {
                let on_time = next.filter(|next| now < *next + period);
                *told = Told {
                    at: Some(on_time.unwrap_or(now)),
                    is_kept: true,
                };
                due.tell.push(topic);
            } else if std::mem::take(&mut told.is_kept) {
                due.forget.push(topic);
            }
        }
        let age = self.sampled.map(|sampled| now.since(sampled));
        let is_older = |than: Duration| age.is_none_or(|age| age >= than);
        due.is_sample = (!due.tell.is_empty() && is_older(YOUNG.min(interval / 2)))
            || (demand.is_asked && is_older(interval))
            || is_older(IDLE.max(interval));
        if due.is_sample {
            self.sampled = Some(now);
        }
        due
    }

    /// When to ask again, at the latest.
    #[must_use]
    pub fn next(&self, demand: Demand, interval: Duration) -> Mono {
        let idle = self
            .sampled
            .map_or(Mono::ZERO, |at| at + IDLE.max(interval));
        let topics = Topic::ALL.into_iter().zip(demand.watched);
        let of_topic = |((topic, is_watched), told): (_, &Told)| {
            let topic: Topic = topic;
            let at = told.at.map_or(Mono::ZERO, |at| at + topic.period(interval));
            (is_watched || told.is_kept).then_some(at)
        };
        let topics = topics.zip(&self.told).filter_map(of_topic);
        topics.fold(idle, Mono::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Mono {
        Mono::from_nanos((1000 + millis) * 1_000_000)
    }

    fn watching(topics: &[Topic]) -> Demand {
        Demand {
            watched: Topic::ALL.map(|topic| topics.contains(&topic)),
            is_asked: false,
        }
    }

    const NOBODY: Demand = Demand {
        watched: [false; 4],
        is_asked: false,
    };

    const SOMEBODY: Demand = Demand {
        watched: [false; 4],
        is_asked: true,
    };

    #[track_caller]
    fn check(plan: &mut Plan, demand: Demand, millis: u64, is_sample: bool, tell: &[Topic]) {
        let due = plan.due(demand, INTERVAL, at(millis));
        assert_eq!(
            (due.is_sample, due.tell.as_slice()),
            (is_sample, tell),
            "{millis} ms"
        );
    }

    #[test]
    fn unwatched_it_is_measured_once_a_minute_and_told_to_nobody() {
        let mut plan = Plan::default();
        assert_eq!(plan.next(NOBODY, INTERVAL), Mono::ZERO);
        check(&mut plan, NOBODY, 0, true, &[]);
        check(&mut plan, NOBODY, 59_999, false, &[]);
        assert_eq!(plan.next(NOBODY, INTERVAL), at(60_000));
        check(&mut plan, NOBODY, 60_000, true, &[]);
        assert_eq!(
            plan.next(NOBODY, 2 * IDLE),
            at(180_000),
            "never more often than asked"
        );
    }

    #[test]
    fn the_first_who_comes_is_told_at_once_and_then_on_time() {
        let mut plan = Plan::default();
        let watched = watching(&[Topic::Metrics]);
        check(&mut plan, NOBODY, 0, true, &[]);
        check(&mut plan, watched, 30_000, true, &[Topic::Metrics]);
        assert_eq!(plan.next(watched, INTERVAL), at(35_000));
        check(&mut plan, watched, 34_999, false, &[]);
        check(&mut plan, watched, 35_003, true, &[Topic::Metrics]);
        assert_eq!(plan.next(watched, INTERVAL), at(40_000), "no drift");
        check(&mut plan, watched, 52_000, true, &[Topic::Metrics]);
        assert_eq!(
            plan.next(watched, INTERVAL),
            at(57_000),
            "none is made up for"
        );
    }

    #[test]
    fn who_leaves_and_comes_back_is_told_no_more_often() {
        let mut plan = Plan::default();
        let watched = watching(&[Topic::Metrics]);
        check(&mut plan, watched, 0, true, &[Topic::Metrics]);
        check(&mut plan, NOBODY, 1000, false, &[]);
        check(&mut plan, watched, 2000, false, &[]);
        check(&mut plan, watched, 5000, true, &[Topic::Metrics]);
    }

    #[test]
    fn what_is_kept_for_nobody_is_forgotten_when_it_is_old() {
        let mut plan = Plan::default();
        check(
            &mut plan,
            watching(&[Topic::Metrics]),
            0,
            true,
            &[Topic::Metrics],
        );
        let mut forgets = |millis| plan.due(NOBODY, INTERVAL, at(millis)).forget;
        assert_eq!(forgets(4999), []);
        assert_eq!(forgets(5000), [Topic::Metrics]);
        assert_eq!(forgets(5001), []);
        assert_eq!(plan.next(NOBODY, INTERVAL), at(60_000));
    }

    #[test]
    fn topics_that_are_watched_at_the_same_time_share_a_sample() {
        let mut plan = Plan::default();
        check(&mut plan, NOBODY, 0, true, &[]);
        check(
            &mut plan,
            watching(&[Topic::Metrics]),
            9000,
            true,
            &[Topic::Metrics],
        );
        let both = watching(&[Topic::Metrics, Topic::Processes]);
        check(&mut plan, both, 9020, false, &[Topic::Processes]);
        let all = watching(&Topic::ALL);
        let rest = [Topic::SystemInfo, Topic::NetworkInterfaces];
        check(&mut plan, all, 11_000, true, &rest);
        check(&mut plan, all, 14_000, true, &[Topic::Metrics]);
        let due: Vec<u64> = (0..60)
            .flat_map(|second| {
                let due = plan.due(all, INTERVAL, at(15_000 + second * 1000));
                let others = due
                    .tell
                    .into_iter()
                    .filter(|topic| *topic != Topic::Metrics);
                others.map(move |_| second + 15).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(due, [41, 41, 70, 71, 71], "in seconds");
    }

    #[test]
    fn who_asks_gets_a_sample_that_is_not_older_than_the_interval() {
        let mut plan = Plan::default();
        check(&mut plan, SOMEBODY, 0, true, &[]);
        check(&mut plan, SOMEBODY, 4999, false, &[]);
        check(&mut plan, SOMEBODY, 5000, true, &[]);
    }

    #[test]
    fn another_interval_counts_at_once() {
        let mut plan = Plan::default();
        let watched = watching(&[Topic::Metrics]);
        let second = Duration::from_secs(1);
        check(&mut plan, watched, 0, true, &[Topic::Metrics]);
        assert_eq!(plan.next(watched, second), at(1000));
        let due = plan.due(watched, second, at(3000));
        assert_eq!((due.is_sample, due.tell), (true, vec![Topic::Metrics]));
    }
}
