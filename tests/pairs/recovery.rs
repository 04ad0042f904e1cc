//! Subscribing with `since` while others publish: no gap, no repeat, whatever comes between.

use kinglet::base::rng::Rng;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::{Value, json};

use crate::{NO_RATE, SECOND};

/// A client that follows one room as real ones do: it remembers where it stopped hearing.
struct Follower {
    client: ClientId,
    position: (Value, u64),
    /// Offsets that it knows it has not got, because the server said so.
    given_up: u64,
    heard: Vec<u64>,
}

impl Follower {
    fn subscribe(&self) -> Value {
        let (epoch, offset) = &self.position;
        json!({"type": "subscribe", "room": "r", "since": {"epoch": epoch, "offset": offset}})
    }

    fn take(&mut self, world: &mut World) {
        for message in world.client(self.client).take_json() {
            match message["type"].as_str() {
                Some("subscribed") => {
                    let epoch = message["epoch"].clone();
                    if message["recovered"] == true {
                        let missed = message["publications"].as_array().unwrap();
                        for publication in missed {
                            let offset = publication["offset"].as_u64().unwrap();
                            // A member goes on hearing while its question is on the way.
                            if offset > self.position.1 {
                                self.hear(offset);
                            }
                        }
                        assert_eq!(Some(self.position.1), message["offset"].as_u64());
                    } else {
                        assert_eq!(message["publications"], json!([]));
                        self.given_up += 1;
                        self.position.1 = message["offset"].as_u64().unwrap();
                    }
                    self.position.0 = epoch;
                }
                Some("said") => self.hear(message["offset"].as_u64().unwrap()),
                Some("unsubscribed" | "published") => {}
                _ => panic!("{message}"),
            }
        }
    }

    fn hear(&mut self, offset: u64) {
        assert_eq!(offset, self.position.1 + 1, "no gap and no repeat");
        self.position.1 = offset;
        self.heard.push(offset);
    }
}

fn follow(seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::new(Options {
        config: NO_RATE,
        shards: 1 + u16::try_from(seed % 2).unwrap(),
        seed,
        ..Options::default()
    });
    world.conditions = Conditions {
        piece_max: (!seed.is_multiple_of(3)).then_some(200),
        delay: SECOND / 1000 * u32::try_from(seed % 4).unwrap(),
        ..Conditions::default()
    };
    let talkers: Vec<_> = (0..2)
        .map(|_| world.connect("/ws?room=elsewhere"))
        .collect();
    let mut followers: Vec<Follower> = (0..3)
        .map(|_| Follower {
            client: world.connect("/ws?room=elsewhere"),
            position: (json!(""), 0),
            given_up: 0,
            heard: Vec::new(),
        })
        .collect();
    for follower in &mut followers {
        world.client(follower.client).command(follower.subscribe());
    }
    let mut published = 0;
    for step in 0..150 {
        match rng.below(8) {
            0..4 => {
                for _ in 0..rng.below(5) {
                    let talker = talkers[usize::try_from(rng.below(2)).unwrap()];
                    world.client(talker).command(crate::publish("r", step));
                    published += 1;
                }
            }
            4 => {
                // Subscribing again, member or not, from what it has heard so far.
                let follower = &mut followers[usize::try_from(rng.below(3)).unwrap()];
                follower.take(&mut world);
                if rng.below(2) == 0 {
                    world.settle();
                    follower.take(&mut world);
                    for _ in 0..rng.below(4) {
                        world.client(talkers[0]).command(crate::publish("r", step));
                        published += 1;
                    }
                }
                world.client(follower.client).command(follower.subscribe());
                world.settle();
                follower.take(&mut world);
            }
            5 => {
                let follower = &mut followers[usize::try_from(rng.below(3)).unwrap()];
                let leave = json!({"type": "unsubscribe", "room": "r"});
                world.client(follower.client).command(leave);
                world.settle();
                follower.take(&mut world);
                // Away for a while; what is published now must be recovered.
                for _ in 0..rng.below(20) {
                    world.client(talkers[1]).command(crate::publish("r", step));
                    published += 1;
                }
                for _ in 0..rng.below(3) {
                    world.turn();
                }
                world.client(follower.client).command(follower.subscribe());
                world.settle();
                follower.take(&mut world);
            }
            6 => drop(world.turn()),
            _ => world.advance(SECOND / 100),
        }
    }
    world.advance(SECOND);
    for follower in &mut followers {
        follower.take(&mut world);
        assert_eq!(follower.position.1, published);
        // Who waits long for its answer may find more gone than a room retains, and is told so.
        assert!(follower.given_up == 0 || !world.conditions.delay.is_zero());
        assert!(follower.given_up > 0 || follower.heard.len() as u64 == published);
    }
}

#[test]
fn recovery_has_no_gap_and_no_repeat_at_any_interleaving() {
    crate::random::for_each_seed("recovery_has_no_gap", 64, follow);
}

#[test]
fn recovery_is_whole_or_says_that_it_is_not() {
    let mut world = World::new(Options {
        config: NO_RATE,
        ..Options::default()
    });
    let (id, talker) = (world.connect("/ws?room=x"), world.connect("/ws?room=x"));
    for number in 0..120 {
        world.client(talker).command(crate::publish("r", number));
    }
    world.settle();
    let mut check = |since: Value, recovered: bool, count: usize| {
        let command = json!({"type": "subscribe", "room": "r", "since": since});
        let reply = &crate::ask(&mut world, id, command)[0];
        assert_eq!(reply["recovered"], recovered, "{since}");
        assert_eq!(
            reply["publications"].as_array().unwrap().len(),
            count,
            "{since}"
        );
        assert_eq!(reply["offset"], 120);
    };
    check(json!(120), true, 0);
    check(json!(20), true, 100);
    check(json!(19), false, 0);
    check(json!(0), false, 0);
    check(json!(121), false, 0);
    check(json!({"epoch": "other", "offset": 120}), false, 0);
    check(json!({"epoch": "", "offset": 119}), true, 1);
}
