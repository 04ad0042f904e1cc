//! Tokens that are replaced in place, and tokens that are not.

use kinglet::base::clock::Wall;
use kinglet::base::rng::Rng;
use kinglet::metrics::names::Counter;
use kinglet::testkit::link::Conditions;
use kinglet::testkit::tokens::{Token, after};
use kinglet::testkit::world::{Options, World};
use serde_json::{Value, json};

use super::{MINUTE, auth, enter, outcome, token, world, world_of};
use crate::{SECOND, TICK, ask, pick, publish, said, types};

fn subscribe(room: &str) -> Value {
    json!({"type": "subscribe", "room": room})
}

#[test]
fn a_token_that_expires_leaves_25_seconds_for_the_next() {
    for shards in [1, 2] {
        let mut world = world_of(shards, "");
        let ada = token(&world, "ada");
        let ids = [
            enter(&mut world, "/ws", &ada),
            enter(&mut world, "/ws", &ada),
        ];
        world.advance(MINUTE + 25 * SECOND - TICK);
        for id in ids {
            assert_eq!(world.client(id).close_code(), None);
            assert_eq!(
                outcome(&ask(&mut world, id, json!({"type": "ping"}))),
                "pong"
            );
        }
        world.advance(2 * TICK);
        for id in ids {
            assert_eq!(world.client(id).close_code(), Some(4001));
        }
        assert_eq!(world.total(Counter::TokensExpired), 2);
        world.advance(3 * SECOND);
        assert_eq!(world.connections(), 0);
    }
}

#[test]
fn a_newer_token_in_time_keeps_the_session() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws?room=project:1", &ada);
    for wait in [30, 59, 84] {
        world.advance(wait * SECOND);
        let next = token(&world, "ada");
        let mut command = auth(&next);
        command["id"] = json!("again");
        let heard = ask(&mut world, id, command);
        assert_eq!(types(&heard), ["authenticated"]);
        let expires = after(world.now().wall, MINUTE).as_millis() / 1000 * 1000;
        let expires = Wall::from_millis(expires).to_rfc3339();
        let reply = pick(&heard[0], &["id", "user", "expires"]);
        assert_eq!(reply, [json!("again"), json!("ada"), json!(expires)]);
    }
    world.advance(84 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
    world.advance(2 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
    assert_eq!(world.total(Counter::TokensExpired), 1);
}

#[test]
fn an_older_token_shortens_the_session_as_it_says() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws", &ada);
    let short = Token::new("ada", after(world.now().wall, 10 * SECOND));
    assert_eq!(outcome(&ask(&mut world, id, auth(&short))), "authenticated");
    world.advance(36 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
}

#[test]
fn a_bad_token_changes_nothing() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws?room=project:1", &ada);
    world.advance(30 * SECOND);
    let bob = token(&world, "bob").role("admin");
    let heard = ask(&mut world, id, auth(&bob));
    assert_eq!(outcome(&heard), "PERMISSION_DENIED");
    assert!(heard[0]["error"].as_str().unwrap().contains("connect anew"));
    let forged = token(&world, "ada").sign_with("another secret of thirty-two bytes or more");
    let heard = ask(&mut world, id, json!({"type": "auth", "token": forged}));
    assert_eq!(outcome(&heard), "UNAUTHORIZED");
    assert_eq!(
        outcome(&ask(&mut world, id, json!({"type": "auth"}))),
        "VALIDATION_FAILED"
    );
    assert_eq!(world.total(Counter::TokensRefused), 2);
    assert_eq!(
        outcome(&ask(&mut world, id, subscribe("chat:1"))),
        "PERMISSION_DENIED"
    );
    assert_eq!(
        outcome(&ask(&mut world, id, subscribe("board:1"))),
        "subscribed"
    );
    // The time is that of the token it has.
    world.advance(56 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
}

#[test]
fn a_wider_token_opens_more_and_a_narrower_one_closes_rooms() {
    let config = "[auth.roles.guest]\nrooms = []\n";
    for shards in [1, 2] {
        let mut world = world_of(shards, config);
        let root = token(&world, "root").role("admin");
        let root = enter(&mut world, "/ws", &root);
        let ada = token(&world, "ada");
        let id = enter(&mut world, "/ws?room=project:1", &ada);
        assert_eq!(
            outcome(&ask(&mut world, id, subscribe("chat:1"))),
            "PERMISSION_DENIED"
        );
        let wide = token(&world, "ada").room("chat:*", &["subscribe", "publish"]);
        assert_eq!(outcome(&ask(&mut world, id, auth(&wide))), "authenticated");
        assert_eq!(
            outcome(&ask(&mut world, id, subscribe("chat:1"))),
            "subscribed"
        );
        assert_eq!(
            outcome(&ask(&mut world, id, subscribe("chat:2"))),
            "subscribed"
        );
        let heard = ask(&mut world, id, publish("chat:1", 1));
        assert_eq!(types(&heard), ["published", "said"]);

        let narrow = token(&world, "ada")
            .role("guest")
            .room("chat:1", &["subscribe"]);
        let heard = ask(&mut world, id, auth(&narrow));
        assert_eq!(heard[0]["type"], "authenticated");
        let mut left: Vec<&Value> = heard[1..].iter().map(|left| &left["room"]).collect();
        left.sort_by_key(|room| room.to_string());
        assert_eq!(left, ["chat:2", "project:1"]);
        assert!(
            heard[1..].iter().all(|left| left["type"] == "unsubscribed"),
            "{heard:?}"
        );
        assert_eq!(world.total(Counter::MembershipsRevoked), 2);
        for room in ["chat:1", "chat:2", "project:1", "user:ada"] {
            ask(&mut world, root, publish(room, room));
        }
        assert_eq!(said(&world.client(id).take_json()), ["chat:1", "user:ada"]);
        assert_eq!(
            outcome(&ask(&mut world, id, publish("chat:1", 1))),
            "PERMISSION_DENIED"
        );
    }
}

#[test]
fn what_waits_in_a_closed_room_is_not_sent_behind_its_end() {
    for policy in ["close", "drop_oldest", "latest", "lag"] {
        let config = format!(
            "[limits]\nmessages_per_second = 0\noutbox_messages = 8\n\
             [rooms.chat]\nslow_consumer = \"{policy}\"\n"
        );
        let mut world = world(&config);
        world.conditions.capacity = 2000;
        let root = token(&world, "root").role("admin");
        let root = enter(&mut world, "/ws", &root);
        let ada = token(&world, "ada").room("chat:1", &["subscribe"]);
        let id = enter(&mut world, "/ws?room=chat:1", &ada);
        world.client(id).appetite = Some(0);
        // With `close` only as many as it can hold.
        let count = if policy == "close" { 8 } else { 60 };
        for number in 0..count {
            world
                .client(root)
                .command(publish("chat:1", "x".repeat(100) + &number.to_string()));
            world.settle();
        }
        let narrow = auth(&token(&world, "ada"));
        world.client(id).command(narrow);
        world.settle();
        ask(&mut world, root, publish("chat:1", "late"));
        world.client(id).appetite = None;
        world.advance(SECOND);
        let heard = world.client(id).take_json();
        let end = heard.iter().position(|it| it["type"] == "unsubscribed");
        let end = end.unwrap_or_else(|| panic!("{policy}: {:?}", types(&heard)));
        assert_eq!(said(&heard[end..]), [Value::Null; 0], "{policy}");
        assert!(!said(&heard[..end]).contains(&json!("late")), "{policy}");
        assert_eq!(world.client(id).close_code(), None, "{policy}");
    }
}

#[test]
fn nothing_is_lost_across_a_refresh() {
    crate::random::for_each_seed("nothing_is_lost_across_a_refresh", 24, |seed| {
        let mut rng = Rng::from_seed(seed);
        let config = format!("{}{}", kinglet::testkit::tokens::CONFIG, crate::NO_RATE);
        let mut world = World::new(Options {
            config: &config,
            shards: 1 + u16::try_from(seed % 2).unwrap(),
            seed,
            ..Options::default()
        });
        world.conditions = Conditions {
            piece_max: (!seed.is_multiple_of(3)).then_some(100),
            delay: SECOND / 1000 * u32::try_from(seed % 4).unwrap(),
            ..Conditions::default()
        };
        let root = Token::new("root", after(world.now().wall, 100 * MINUTE)).role("admin");
        let root = enter(&mut world, "/ws", &root);
        let ada = token(&world, "ada");
        let id = enter(&mut world, "/ws?room=project:1", &ada);
        let (mut published, mut refreshed, mut heard) = (0, 0, Vec::new());
        for step in 0..200 {
            for _ in 0..rng.below(4) {
                world.client(root).command(publish("project:1", step));
                published += 1;
            }
            // Some tokens end before the others, one session loses a room in between.
            if step % 5 == 0 {
                let lifetime = SECOND * u32::try_from(20 + rng.below(60)).unwrap();
                let next = Token::new("ada", after(world.now().wall, lifetime));
                world.client(id).command(auth(&next));
                refreshed += 1;
            }
            match rng.below(3) {
                0 => drop(world.turn()),
                1 => world.settle(),
                _ => world.advance(3 * SECOND),
            }
            heard.extend(world.client(id).take_json());
            world.client(root).take_json();
        }
        world.advance(SECOND);
        heard.extend(world.client(id).take_json());
        let offsets = heard.iter().filter(|message| message["type"] == "said");
        let offsets: Vec<u64> = offsets.map(|it| it["offset"].as_u64().unwrap()).collect();
        assert_eq!(offsets, (1..=published).collect::<Vec<u64>>());
        let replies = heard
            .iter()
            .filter(|message| message["type"] == "authenticated");
        assert_eq!(replies.count(), refreshed);
        assert_eq!(world.client(id).close_code(), None);
    });
}

#[test]
fn a_wall_clock_that_is_set_back_gives_more_time() {
    let mut world = world("");
    let ada = token(&world, "ada");
    let id = enter(&mut world, "/ws", &ada);
    world.advance(50 * SECOND);
    let back = Wall::from_millis(world.now().wall.as_millis() - 100_000);
    world.set_wall(back);
    world.advance(100 * SECOND);
    assert_eq!(world.client(id).close_code(), None);
    world.advance(36 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
}

#[test]
fn a_wall_clock_that_is_set_forward_ends_what_has_expired() {
    let mut world = world("");
    let long = Token::new("ada", after(world.now().wall, 600 * MINUTE));
    let id = enter(&mut world, "/ws", &long);
    let (waiting, _) = world.ask_to_upgrade("/ws", &[], &[]);
    world.advance(SECOND);
    let later = after(world.now().wall, 601 * MINUTE);
    world.set_wall(later);
    // Who has shown no token yet is not concerned.
    world.advance(5 * SECOND);
    assert_eq!(world.client(waiting).close_code(), None);
    // It is noticed with the next ping at the latest.
    world.advance(21 * SECOND);
    assert_eq!(world.client(id).close_code(), Some(4001));
    assert_eq!(world.total(Counter::TokensExpired), 1);
}
