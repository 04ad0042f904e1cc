//! How often a user may ask for something, over all its sessions, dialects and HTTP requests.
//!
//! One table for the whole server, since a user's sessions are on any shard. Its lock is held while
//! one bucket is counted, 0.2 to 1 µs for 10 to 10,000 users, and not taken where there is no limit
//! or nobody to charge. An API key is charged by its name. Invariant: who proved nothing is charged
//! nothing here: the limits of its session and its address hold it.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use crate::app::services::{Context, Services};
use crate::base::limits;
use crate::base::locks::lock;
use crate::domain::access::{Identity, UserId};
use crate::domain::fault::{Code, Fault};
use crate::domain::rate_limit::{Rate, RateTable};
use crate::metrics::names::Counter;

/// What users have spent.
#[derive(Debug)]
pub(super) struct UserRates(Mutex<RateTable<Payer>>);

/// Who is charged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Payer {
    User(UserId),
    /// The API key of this name.
    Key(Box<str>),
}

impl Payer {
    fn of(identity: &Identity) -> Option<Self> {
        match identity {
            Identity::User(user) => Some(Self::User(user.id.clone())),
            Identity::Key(key) => Some(Self::Key(key.name.clone())),
            Identity::Anonymous | Identity::Pending => None,
        }
    }
}

impl Default for UserRates {
    fn default() -> Self {
        Self(Mutex::new(RateTable::new(limits::RATE_USERS)))
    }
}

impl Services {
    /// Charges a command or an API request to the user or key that `identity` is.
    ///
    /// # Errors
    /// How long until the next one is welcome, for [`over_rate`]; counted.
    pub fn charge_user(&self, identity: &Identity, context: Context<'_>) -> Result<(), Duration> {
        let limits = &context.live.config.limits;
        let Some(per_second) = limits.user_requests_per_second else {
            return Ok(());
        };
        let Some(payer) = Payer::of(identity) else {
            return Ok(());
        };
        let rate = Rate::per_second(per_second, limits.user_request_burst);
        let mut users = lock(&self.user_rates.0);
        let charged = users.take(&payer, rate, context.now.mono);
        let forgotten = users.take_evicted();
        drop(users);
        let counters = context.counters;
        counters.add(Counter::RateUsersForgotten, forgotten);
        if charged.is_err() {
            counters.increment(Counter::RateLimitedUsers);
        }
        charged
    }
}

/// What who is over its rate is told: the details say in seconds, to the millisecond, after which
/// time the next one is welcome.
#[must_use]
pub fn over_rate(wait: Duration) -> Fault {
    let message = "this user asks more often than limits.user_requests_per_second allows, over all \
                   its sessions and requests";
    let millis = wait.as_nanos().div_ceil(1_000_000);
    let wait = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    Fault::new(Code::RateLimited, message)
        .with_details(json!({ "retry_after": wait.as_secs_f64() }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::{Now, Wall};
    use crate::domain::access::{ApiKey, Role, User};
    use crate::testkit::world::{Options, World};

    const CONFIG: &str = "[limits]\nuser_requests_per_second = 10\nuser_request_burst = 3\n";
    const SECOND: Duration = Duration::from_secs(1);

    fn user(id: &str, expires: u64) -> Identity {
        Identity::User(Arc::new(User {
            id: UserId::parse(id).unwrap(),
            role: Arc::new(Role::new("any", Vec::new())),
            grants: Box::default(),
            expires: Wall::from_millis(expires),
            info: None,
        }))
    }

    fn key(name: &str) -> Identity {
        Identity::Key(Arc::new(ApiKey {
            name: name.into(),
            role: Arc::new(Role::new("any", Vec::new())),
        }))
    }

    /// What comes of charging `identity` once, at `now`.
    fn charge(world: &World, identity: &Identity, now: Now) -> Result<(), Duration> {
        let (services, live) = (&world.services, world.services.live());
        let counters = services.counters_of_workers();
        services.charge_user(identity, services.context(&live, &counters, now))
    }

    fn later(now: Now, time: Duration) -> Now {
        Now {
            mono: now.mono + time,
            ..now
        }
    }

    fn world(config: &str) -> World {
        World::new(Options {
            config,
            ..Options::default()
        })
    }

    #[test]
    fn all_that_is_one_users_is_charged_together() {
        let world = world(CONFIG);
        let now = world.now();
        let tokens = [user("ada", 1), user("ada", 2), user("ada", 3)];
        for token in &tokens {
            assert_eq!(charge(&world, token, now), Ok(()));
        }
        for token in &tokens {
            assert_eq!(charge(&world, token, now), Err(SECOND / 10));
        }
        for other in [user("bob", 1), key("ada")] {
            for _ in 0..3 {
                assert_eq!(charge(&world, &other, now), Ok(()), "{other:?}");
            }
            assert_eq!(charge(&world, &other, now), Err(SECOND / 10));
        }
        assert_eq!(charge(&world, &tokens[0], later(now, SECOND / 10)), Ok(()));
        assert_eq!(world.total(Counter::RateLimitedUsers), 5);
    }

    #[test]
    fn nobody_in_particular_is_charged_nothing_and_nobody_at_all_without_a_limit() {
        let check = |config: &str, identity: &Identity| {
            let world = world(config);
            for _ in 0..100 {
                assert_eq!(charge(&world, identity, world.now()), Ok(()));
            }
            assert_eq!(world.total(Counter::RateLimitedUsers), 0);
            assert!(lock(&world.services.user_rates.0).is_empty());
        };
        check(CONFIG, &Identity::Anonymous);
        check(CONFIG, &Identity::Pending);
        check("[limits]\nuser_requests_per_second = 0\n", &user("ada", 1));
        check("[limits]\nuser_requests_per_second = 0\n", &key("ada"));
    }

    #[test]
    fn a_table_that_is_full_forgets_who_was_silent_the_longest() {
        let world = world(CONFIG);
        let now = world.now();
        for number in 0..limits::RATE_USERS {
            assert_eq!(charge(&world, &user(&number.to_string(), 1), now), Ok(()));
        }
        assert_eq!(world.total(Counter::RateUsersForgotten), 0);
        assert_eq!(charge(&world, &user("new", 1), now), Ok(()));
        assert_eq!(world.total(Counter::RateUsersForgotten), 1);
        assert_eq!(lock(&world.services.user_rates.0).len(), limits::RATE_USERS);
    }

    #[test]
    fn the_wait_is_told_in_seconds() {
        let check = |wait: Duration, told: f64| {
            let details = over_rate(wait).details.unwrap();
            assert_eq!(details, json!({ "retry_after": told }));
        };
        check(SECOND / 10, 0.1);
        check(Duration::from_nanos(1), 0.001);
        check(Duration::from_micros(12_345), 0.013);
        check(2 * SECOND, 2.0);
    }
}
