//! Durable subscriptions: what is new for somebody who keeps no position.

use kinglet::base::rng::Rng;
use kinglet::metrics::names::Counter;
use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::{Value, json};

use crate::{SECOND, ask, pick, publish};

const CONFIG: &str = "[limits]\nmessages_per_second = 0\noutbox_bytes = \"64MiB\"\n\
    outbox_messages = 100000\ndurable_subscriptions = 4\n\
    [rooms.default]\ndurable = true\nhistory_count = 250\nhistory_bytes = \"1GiB\"\n\
    [rooms.memory]\ndurable = false\n";

fn world() -> World {
    crate::world(CONFIG)
}

/// Comes back as `name`, in a session of its own, and is told what is new in `room`.
fn come(world: &mut World, room: &str, name: &str) -> (ClientId, Value) {
    let id = world.connect("/ws?room=elsewhere");
    let subscribe = json!({"type": "subscribe", "room": room, "durable": name});
    let mut replies = ask(world, id, subscribe);
    assert_eq!(replies.len(), 1, "{replies:?}");
    (id, replies.remove(0))
}

/// The acknowledged offset, whether all was recovered, and the offsets that are new.
fn told(reply: &Value) -> (Value, Value, Vec<u64>) {
    let publications = reply["publications"].as_array();
    let offsets = publications.into_iter().flatten();
    let offsets = offsets.map(|publication| publication["offset"].as_u64().unwrap());
    let (acknowledged, recovered) = (&reply["acknowledged"], &reply["recovered"]);
    (acknowledged.clone(), recovered.clone(), offsets.collect())
}

fn fill(world: &mut World, room: &str, count: u64) {
    let publisher = world.connect("/ws?room=elsewhere");
    for number in 0..count {
        ask(world, publisher, publish(room, number));
    }
    world.client(publisher).cut();
}

fn ack(room: &str, offset: u64) -> Value {
    json!({"type": "ack", "room": room, "offset": offset, "id": 1})
}

fn code(replies: &[Value]) -> &str {
    assert_eq!(replies.len(), 1, "{replies:?}");
    replies[0]["data"]["code"].as_str().unwrap_or("none")
}

#[test]
fn whoever_comes_back_is_told_what_was_not_acknowledged() {
    let mut world = world();
    fill(&mut world, "r", 2);
    let (id, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(2), json!(true), vec![]), "from now on");
    fill(&mut world, "r", 3);
    assert_eq!(world.client(id).take_json().len(), 3);
    let members = ["type", "id", "room", "durable", "offset"];
    for (offset, expected) in [(4, 4), (3, 4), (4, 4)] {
        let replies = ask(&mut world, id, ack("r", offset));
        let expected = json!(["acknowledged", 1, "r", "phone", expected]);
        assert_eq!(json!(pick(&replies[0], &members)), expected);
    }
    assert_eq!(code(&ask(&mut world, id, ack("r", 6))), "VALIDATION_FAILED");
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(4), json!(true), vec![5]));
    // Leaving keeps the position, and another name has its own.
    ask(&mut world, id, json!({"type": "unsubscribe", "room": "r"}));
    fill(&mut world, "r", 1);
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(4), json!(true), vec![5, 6]));
    let (_, reply) = come(&mut world, "r", "laptop");
    assert_eq!(told(&reply), (json!(6), json!(true), vec![]));
    assert_eq!(world.total(Counter::Acknowledgements), 3);
}

#[test]
fn since_wins_for_once_and_leaves_what_is_kept() {
    let mut world = world();
    come(&mut world, "r", "phone");
    fill(&mut world, "r", 3);
    let id = world.connect("/ws?room=elsewhere");
    let subscribe = json!({"type": "subscribe", "room": "r", "durable": "phone", "since": 2});
    let replies = ask(&mut world, id, subscribe);
    assert_eq!(told(&replies[0]), (json!(0), json!(true), vec![3]));
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(0), json!(true), vec![1, 2, 3]));
}

#[test]
fn a_stream_that_began_anew_is_lost_until_something_of_it_is_acknowledged() {
    let mut world = world();
    fill(&mut world, "r", 3);
    come(&mut world, "r", "phone");
    let client = world.open();
    world
        .client(client)
        .request("DELETE", "/api/v1/rooms/r/history", "");
    world.settle();
    fill(&mut world, "r", 1);
    for _ in 0..2 {
        let (_, reply) = come(&mut world, "r", "phone");
        assert_eq!(told(&reply), (Value::Null, json!(false), vec![]));
    }
    let (id, _) = come(&mut world, "r", "phone");
    let replies = ask(&mut world, id, ack("r", 3));
    assert_eq!(replies[0]["offset"], 3, "{replies:?}");
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(3), json!(true), vec![4]));
    // Too far behind is lost, too, and stays what it is.
    fill(&mut world, "r", 300);
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(3), json!(false), vec![]));
}

#[test]
fn several_rooms_are_answered_each_in_its_place() {
    let mut world = world();
    let id = world.connect("/ws?room=elsewhere");
    let subscribe = json!({"type": "subscribe", "rooms": ["a", "memory:1", "*", "b"],
        "durable": "phone", "id": 7});
    let replies = ask(&mut world, id, subscribe);
    let expected = json!([
        ["subscribed", "a", null],
        ["error", null, "VALIDATION_FAILED"],
        ["error", null, "VALIDATION_FAILED"],
        ["subscribed", "b", null]
    ]);
    let found: Vec<_> = replies
        .iter()
        .map(|reply| json!([reply["type"], reply["room"], reply["data"]["code"]]))
        .collect();
    assert_eq!(json!(found), expected);
    let refusal = replies[1]["error"].as_str().unwrap();
    assert!(refusal.contains("durable = true"), "{refusal}");
    assert!(replies.iter().all(|reply| reply["id"] == 7));
}

#[test]
fn an_acknowledgement_says_which_subscription_it_is_of() {
    let mut world = world();
    let id = world.connect("/ws?room=r");
    let mut check = |command: Value, expected: &str| {
        let replies = ask(&mut world, id, command.clone());
        let kind = replies[0]["type"].as_str().unwrap().to_owned();
        let words = replies[0]["error"].as_str().unwrap_or(&kind);
        assert!(words.contains(expected), "{command}: {words}");
    };
    check(ack("r", 0), "subscribe with durable first");
    check(
        json!({"type": "subscribe", "room": "r", "durable": "phone"}),
        "subscribed",
    );
    check(ack("r", 0), "acknowledged");
    check(ack("s", 0), "subscribe with durable first");
    check(
        json!({"type": "subscribe", "room": "r", "durable": "laptop"}),
        "subscribed",
    );
    check(ack("r", 0), "several");
    let named = |name: &str| {
        let mut ack = ack("r", 0);
        ack["durable"] = json!(name);
        ack
    };
    check(named("phone"), "acknowledged");
    check(named("tablet"), "of this name");
    check(json!({"type": "unsubscribe", "room": "r"}), "unsubscribed");
    check(named("phone"), "of this name");
}

#[test]
fn what_is_kept_can_be_forgotten_and_is_limited() {
    let mut world = world();
    for room in ["a", "b", "c", "d"] {
        come(&mut world, room, "phone");
    }
    fill(&mut world, "a", 2);
    let (_, reply) = come(&mut world, "e", "phone");
    assert_eq!(code(&[reply]), "RESOURCE_LIMIT");
    assert_eq!(world.total(Counter::DurableSubscriptionsRefused), 1);
    let id = world.connect("/ws?room=a");
    let forget = json!({"type": "unsubscribe", "rooms": ["a", "memory:1"], "durable": "phone",
        "forget": true});
    let replies = ask(&mut world, id, forget);
    assert_eq!(crate::types(&replies), ["unsubscribed", "unsubscribed"]);
    fill(&mut world, "a", 1);
    assert_eq!(world.client(id).take_json().len(), 0, "it has left");
    let (_, reply) = come(&mut world, "a", "phone");
    assert_eq!(told(&reply), (json!(3), json!(true), vec![]), "anew");
}

#[test]
fn a_session_does_not_collect_names_that_others_forget() {
    let mut world = world();
    let id = world.connect("/ws?room=elsewhere");
    for number in 0..5 {
        let name = format!("d{number}");
        let subscribe = json!({"type": "subscribe", "room": "r", "durable": name});
        let replies = ask(&mut world, id, subscribe.clone());
        let expected = if number < 4 { "none" } else { "RESOURCE_LIMIT" };
        assert_eq!(code(&replies), expected);
        let forget = json!({"type": "unsubscribe", "room": "r", "durable": name, "forget": true});
        let other = world.connect("/ws?room=elsewhere");
        ask(&mut world, other, forget);
    }
    // A name that it has is no further one.
    let subscribe = json!({"type": "subscribe", "room": "r", "durable": "d0"});
    assert_eq!(code(&ask(&mut world, id, subscribe)), "none");
}

#[test]
fn a_disk_that_does_not_work_is_said_and_nothing_is_kept() {
    let mut world = world();
    let (id, _) = come(&mut world, "r", "phone");
    fill(&mut world, "r", 2);
    world.client(id).take_json();
    world.writing.failing_percent = 100;
    assert_eq!(code(&ask(&mut world, id, ack("r", 2))), "STORE_UNAVAILABLE");
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(code(&[reply]), "STORE_UNAVAILABLE");
    world.writing.failing_percent = 0;
    let (_, reply) = come(&mut world, "r", "phone");
    assert_eq!(told(&reply), (json!(0), json!(true), vec![1, 2]));
    let mut memory = crate::world("");
    let (_, reply) = come(&mut memory, "r", "phone");
    assert_eq!(code(&[reply]), "VALIDATION_FAILED");
}

#[test]
fn a_full_queue_of_the_disk_is_said() {
    let mut world = crate::world(&format!("{CONFIG}[store]\nqueue = 1\n"));
    let (id, _) = come(&mut world, "r", "phone");
    let publisher = world.connect("/ws?room=elsewhere");
    world.writing.hold = true;
    world.client(publisher).command(publish("r", 1));
    world.settle();
    assert_eq!(code(&ask(&mut world, id, ack("r", 0))), "STORE_BUSY");
    world.writing.hold = false;
    world.settle();
}

#[test]
fn users_do_not_see_each_others_positions() {
    let mut world = World::new(Options {
        config: &format!("{}{CONFIG}", tokens::CONFIG),
        ..Options::default()
    });
    let bearer = |world: &World, user: &str, role: &str| {
        let token = Token::new(user, after(world.now().wall, SECOND * 60));
        token.role(role).bearer()
    };
    let come = |world: &mut World, user: &str, room: &str| {
        let token = bearer(world, user, "user");
        let headers = [("Authorization", token.as_str())];
        let (id, _) = world.ask_to_upgrade("/ws?room=global", &[], &headers);
        let subscribe = json!({"type": "subscribe", "room": room, "durable": "phone"});
        (id, ask(world, id, subscribe).remove(0))
    };
    let (id, reply) = come(&mut world, "ada", "project:1");
    assert_eq!(told(&reply), (json!(0), json!(true), vec![]));
    let token = bearer(&world, "root", "admin");
    let headers = [("Authorization", token.as_str())];
    let (publisher, _) = world.ask_to_upgrade("/ws?room=global", &[], &headers);
    for number in 0..2 {
        ask(&mut world, publisher, publish("project:1", number));
    }
    world.client(id).take_json();
    ask(&mut world, id, ack("project:1", 1));
    let (id, reply) = come(&mut world, "bob", "project:1");
    assert_eq!(told(&reply), (json!(2), json!(true), vec![]));
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "room": "project:1", "durable": "phone",
        "forget": true}),
    );
    let (_, reply) = come(&mut world, "ada", "project:1");
    assert_eq!(told(&reply), (json!(1), json!(true), vec![2]));
    let (_, reply) = come(&mut world, "ada", "secret");
    assert_eq!(code(&[reply]), "PERMISSION_DENIED");
}

/// Somebody who reads under a name, and acknowledges some of it now and then.
struct Reader {
    client: ClientId,
    /// The last offset that was told, and up to where it was acknowledged and answered.
    read: u64,
    acknowledged: u64,
    /// The largest offset that was sent in an `ack`.
    sent: u64,
}

impl Reader {
    fn come(world: &mut World) -> ClientId {
        let id = world.connect("/ws?room=elsewhere");
        let subscribe = json!({"type": "subscribe", "room": "r", "durable": "phone"});
        world.client(id).command(subscribe);
        id
    }

    fn take(&mut self, world: &mut World) {
        for message in world.client(self.client).take_json() {
            match message["type"].as_str() {
                Some("subscribed") => {
                    let (acknowledged, recovered, offsets) = told(&message);
                    let from = acknowledged.as_u64().unwrap();
                    assert_eq!(recovered, true, "{message}");
                    // What was answered is kept; what was only sent may be.
                    assert!((self.acknowledged..=self.sent).contains(&from), "{from}");
                    let position = message["offset"].as_u64().unwrap();
                    assert!(
                        offsets.iter().copied().eq(from + 1..=position),
                        "{offsets:?}"
                    );
                    self.acknowledged = from;
                    self.read = position;
                }
                Some("said") => {
                    let offset = message["offset"].as_u64().unwrap();
                    assert_eq!(offset, self.read + 1);
                    self.read = offset;
                }
                Some("acknowledged") => self.acknowledged = message["offset"].as_u64().unwrap(),
                _ => assert_eq!(message["data"]["code"], "STORE_UNAVAILABLE", "{message}"),
            }
        }
    }

    fn acknowledge(&mut self, world: &mut World, rng: &mut Rng) {
        let offset = self.acknowledged + rng.below(self.read - self.acknowledged + 1);
        self.sent = self.sent.max(offset);
        world.client(self.client).command(ack("r", offset));
    }
}

fn read_through_everything(seed: u64) {
    let options = Options {
        config: &CONFIG.replace("= 250", "= 10000"),
        shards: 1 + u16::try_from(seed % 2).unwrap(),
        seed,
        ..Options::default()
    };
    let mut rng = Rng::from_seed(seed);
    let mut world = World::new(options);
    let mut publisher = world.connect("/ws?room=elsewhere");
    let client = Reader::come(&mut world);
    world.settle();
    let mut reader = Reader {
        client,
        read: 0,
        acknowledged: 0,
        sent: 0,
    };
    for _ in 0..80 {
        match rng.below(12) {
            0..5 => {
                // Now and then more than stays in memory.
                let size = if rng.below(4) == 0 { 60_000 } else { 1 };
                world
                    .client(publisher)
                    .command(publish("r", "x".repeat(size)));
            }
            5 | 6 => reader.acknowledge(&mut world, &mut rng),
            7 => drop(world.turn()),
            8 => world.settle(),
            9 => world.writing.delay_turns_max = rng.below(8),
            10 => {
                world.client(reader.client).cut();
                // It keeps no position.
                reader.client = Reader::come(&mut world);
                world.settle();
            }
            _ => {
                // kill -9, and another server on the same disk.
                reader.take(&mut world);
                let disk = world.disk.clone();
                drop(world);
                world = World::on(options, disk);
                publisher = world.connect("/ws?room=elsewhere");
                reader.client = Reader::come(&mut world);
                world.settle();
            }
        }
        reader.take(&mut world);
    }
    world.advance(SECOND);
    reader.take(&mut world);
    assert_eq!(world.total(Counter::RecoveriesRefused), 0);
}

#[test]
fn what_is_new_is_told_exactly_whatever_happens() {
    crate::random::for_each_seed("what_is_new_is_told_exactly", 32, read_through_everything);
}
