//! Sessions of Socket.IO whose clients come back to another shard.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::base::ids::{PeerId, SessionId, ShardId};
use crate::bus::mail::Mail;
use crate::bus::reclaim::{Asker, Claim};
use crate::dialect::socket_io::namespace::Namespace;
use crate::domain::access::Identity;
use crate::domain::command::{Payload, Publish};
use crate::domain::room::RoomName;
use crate::metrics::names::Counter;
use crate::shard::engine::recovery_tests::sid;
use crate::shard::engine::tests::{Socket, publish_as_admin, said, subscribe};
use crate::testkit::socket_io::{Heard, SocketIoClient};
use crate::testkit::tokens::{CONFIG, Token};
use crate::testkit::world::{Options, World};
use crate::wire::websocket::frame::Opcode;

const RECOVERY: &str = "[socketio]\nrecovery = \"2m\"\n";
const SHARDS: u16 = 3;
const ROOMS: [&str; 3] = ["chat:1", "chat:2", "global"];

fn world(config: &str) -> World {
    World::new(Options {
        config,
        shards: SHARDS,
        ..Options::default()
    })
}

/// A session of Engine.IO in this shard.
fn open_in(world: &mut World, shard: u16) -> Socket {
    for _ in 0..SHARDS {
        let socket = Socket::open(world);
        let open = socket.client.open.as_ref().unwrap();
        if SessionId::parse(&open.sid).unwrap().shard() == ShardId(shard) {
            return socket;
        }
        world.client(socket.id).cut();
        world.settle();
    }
    panic!("connections are not dealt round");
}

/// A session in this shard and in the rooms, and what its client was told first.
fn begin_in(world: &mut World, shard: u16, auth: Option<&Value>) -> (Socket, Value) {
    let mut socket = open_in(world, shard);
    let connect = socket.client.connect("/", auth);
    let id = sid(&socket.ask(world, &connect));
    if auth.is_none() {
        for (number, room) in ROOMS.iter().enumerate() {
            socket.ask(world, &subscribe(room, number as u64));
        }
    }
    (socket, id)
}

fn lose(world: &mut World, socket: &Socket) {
    world.client(socket.id).cut();
    world.settle();
}

/// Has a client ask for its session in this shard, which it is not answered yet.
fn ask_in(world: &mut World, shard: u16, client: SocketIoClient, auth: Option<&Value>) -> Socket {
    let mut socket = open_in(world, shard);
    socket.client.recovery = client.recovery;
    let connect = socket.client.connect("/", auth);
    world
        .client(socket.id)
        .frame(Opcode::Text, connect.as_bytes());
    socket
}

fn come_back_in(
    world: &mut World,
    shard: u16,
    client: SocketIoClient,
    auth: Option<&Value>,
) -> (Socket, Vec<Heard>) {
    let mut socket = ask_in(world, shard, client, auth);
    world.settle();
    let heard = socket.read(world);
    (socket, heard)
}

/// Publishes in this moment, as another thread might.
fn publish(world: &World, rooms: &[&str], data: u64) {
    let publish = Publish {
        rooms: rooms
            .iter()
            .map(|room| RoomName::parse(room).unwrap())
            .collect(),
        event: "said".into(),
        payload: Payload::Json(data.to_string().into()),
        source: None,
        key: None,
        except: Vec::new(),
    };
    world.services.rooms.publish(publish, world.now()).unwrap();
}

fn counted(world: &World, counters: [Counter; 4]) -> [u64; 4] {
    counters.map(|counter| world.total(counter))
}

const OUTCOME: [Counter; 4] = [
    Counter::SessionsReclaimed,
    Counter::SessionsNotRecovered,
    Counter::SessionsOpened,
    Counter::SessionsClosed,
];

#[test]
fn who_comes_back_to_another_shard_is_the_same_and_has_missed_nothing() {
    for (owner, asker) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        // A publication before each turn of the way, in one room and in two.
        let mut world = world(RECOVERY);
        let (socket, id) = begin_in(&mut world, owner, None);
        lose(&mut world, &socket);
        publish(&world, &["chat:1"], 1);
        publish(&world, &["chat:2", "global"], 2);
        world.settle();
        let mut socket = ask_in(&mut world, asker, socket.client, None);
        let mut data = 2;
        for _ in 0..8 {
            data += 2;
            publish(&world, &["chat:2", "chat:1"], data - 1);
            publish(&world, &["global"], data);
            world.turn();
        }
        world.settle();
        let heard = socket.read(&mut world);
        assert_eq!(sid(&heard), id, "from {owner} to {asker}");
        let expected: Vec<u64> = (1..=data).collect();
        assert_eq!(said(&heard), expected, "from {owner} to {asker}");
        publish(&world, &ROOMS, 100);
        world.settle();
        assert_eq!(said(&socket.read(&mut world)), [100]);
        assert_eq!(counted(&world, OUTCOME), [1, 0, 1, 0]);
        let members = |shard| world.services.rooms.members_on(ShardId(shard)).len();
        assert_eq!((members(owner), members(asker)), (0, ROOMS.len()));
    }
}

#[test]
fn a_session_goes_from_shard_to_shard_as_its_client_does() {
    let mut world = world(RECOVERY);
    let (mut socket, id) = begin_in(&mut world, 0, None);
    // Also while nobody has noticed that the connection before is lost.
    for (turn, shard) in [1, 2, 1, 0, 0, 2].into_iter().enumerate() {
        if turn % 2 == 0 {
            lose(&mut world, &socket);
        }
        let data = turn as u64;
        publish(&world, &["chat:1"], data);
        world.settle();
        let (next, heard) = come_back_in(&mut world, shard, socket.client, None);
        assert_eq!((sid(&heard), said(&heard)), (id.clone(), vec![data]));
        socket = next;
    }
    assert_eq!(counted(&world, OUTCOME), [5, 0, 1, 0]);
    lose(&mut world, &socket);
    world.advance(Duration::from_secs(121));
    assert_eq!(counted(&world, OUTCOME), [5, 0, 1, 1]);
}

#[test]
fn whoever_cannot_be_told_everything_is_somebody_new() {
    let check = |what: &str, config: &str, change: &dyn Fn(&mut World, &mut SocketIoClient)| {
        let mut world = world(&format!("{RECOVERY}{config}"));
        let (mut socket, id) = begin_in(&mut world, 2, None);
        lose(&mut world, &socket);
        publish(&world, &["chat:1"], 1);
        world.settle();
        change(&mut world, &mut socket.client);
        let mut socket = ask_in(&mut world, 0, socket.client, None);
        for _ in 0..8 {
            // Two of these come between the two shards.
            publish(&world, &["chat:1"], 2);
            publish(&world, &["chat:1"], 3);
            world.turn();
        }
        world.settle();
        let heard = socket.read(&mut world);
        assert_ne!(sid(&heard), id, "{what}");
        assert_eq!(said(&heard), [0; 0], "never a part: {what}");
        assert_eq!(world.total(Counter::SessionsRecovered), 0, "{what}");
        lose(&mut world, &socket);
        world.advance(Duration::from_secs(121));
        assert_eq!(world.total(Counter::SessionsOpened), 2, "{what}");
        assert_eq!(world.total(Counter::SessionsClosed), 2, "{what}");
    };
    check("an unknown offset", "", &|_, client| {
        client.recovery.get_mut("/").unwrap().offset = Some("own:77".to_owned());
    });
    check("an unknown secret", "", &|_, client| {
        client.recovery.get_mut("/").unwrap().pid = Some("0".repeat(32));
    });
    check(
        "no history",
        "[rooms.default]\nhistory_count = 0\n",
        &|_, _| {},
    );
    check(
        "a state",
        "[rooms.default]\nhistory_count = 1\n",
        &|_, _| {},
    );
    check("too late", "", &|world, _| {
        world.advance(Duration::from_secs(121));
    });
}

#[test]
fn nobody_gets_the_session_of_another_user() {
    let mut world = world(&format!("{CONFIG}{RECOVERY}"));
    let token = |user: &str| json!({"token": Token::of(user).sign()});
    let ada = token("ada");
    let (socket, id) = begin_in(&mut world, 0, Some(&ada));
    lose(&mut world, &socket);
    publish_as_admin(&mut world, "user:ada");
    let mut thief = SocketIoClient::default();
    thief.recovery.clone_from(&socket.client.recovery);
    let (_thief, heard) = come_back_in(&mut world, 1, thief, Some(&token("eve")));
    assert_ne!(sid(&heard), id);
    assert_eq!(said(&heard), [0; 0]);
    let (_socket, heard) = come_back_in(&mut world, 2, socket.client, Some(&ada));
    assert_eq!(sid(&heard), id);
    assert_eq!(said(&heard), [1], "whose it is has it still");
}

#[test]
fn a_shard_that_has_too_much_mail_is_not_asked() {
    let mut world = world(RECOVERY);
    let (socket, id) = begin_in(&mut world, 2, None);
    lose(&mut world, &socket);
    let socket = ask_in(&mut world, 0, socket.client, None);
    let mailbox = &world.services.mailboxes[2];
    while mailbox.has_room() {
        mailbox.push(Mail::Release);
    }
    world.settle();
    let mut socket = socket;
    assert_ne!(sid(&socket.read(&mut world)), id);
    assert_eq!(world.total(Counter::SessionsOpened), 2);
}

#[test]
fn who_is_not_answered_in_time_is_somebody_new_and_what_it_said_meanwhile_is_heard() {
    let mut world = world(RECOVERY);
    let (socket, id) = begin_in(&mut world, 2, None);
    lose(&mut world, &socket);
    world.services.mailboxes[2].close();
    let mut socket = ask_in(&mut world, 0, socket.client, None);
    let subscribed = socket.ask(&mut world, &subscribe("chat:9", 9));
    assert!(subscribed.is_empty(), "{subscribed:?}");
    world.advance(Duration::from_secs(2));
    let heard = socket.read(&mut world);
    assert_ne!(sid(&heard), id);
    assert!(
        matches!(heard.last(), Some(Heard::Ack { id: 9, .. })),
        "{heard:?}"
    );
}

#[test]
fn a_session_that_comes_for_nobody_has_ended() {
    let mut world = world(RECOVERY);
    let (socket, _) = begin_in(&mut world, 0, None);
    lose(&mut world, &socket);
    let place = &socket.client.recovery["/"];
    let claim = Claim {
        asker: Asker {
            shard: ShardId(1),
            peer: PeerId {
                slot: 77,
                generation: 0,
            },
            number: 1,
        },
        pid: SessionId::parse(place.pid.as_deref().unwrap()).unwrap(),
        namespace: Namespace::named("/"),
        offset: place.offset.as_deref().map(Box::from),
        identity: Identity::Anonymous,
        asked: 1,
    };
    world.services.mailboxes[0].push(Mail::Claim(Box::new(claim)));
    world.settle();
    assert_eq!(counted(&world, OUTCOME), [0, 1, 1, 1]);
    for shard in 0..SHARDS {
        assert!(world.services.rooms.members_on(ShardId(shard)).is_empty());
    }
}

#[test]
fn a_client_that_goes_while_it_waits_leaves_nothing_behind() {
    for turns in 0..6 {
        let mut world = world(RECOVERY);
        let (socket, _) = begin_in(&mut world, 2, None);
        lose(&mut world, &socket);
        let socket = ask_in(&mut world, 0, socket.client, None);
        for _ in 0..turns {
            world.turn();
        }
        lose(&mut world, &socket);
        world.advance(Duration::from_secs(121));
        let opened = world.total(Counter::SessionsOpened);
        assert_eq!(world.total(Counter::SessionsClosed), opened, "{turns}");
        assert!(world.shards().all(|shard| shard.is_empty()), "{turns}");
    }
}

#[test]
fn a_drain_on_the_way_of_a_session_ends_it_once() {
    for turns in 0..6 {
        let mut world = world(RECOVERY);
        let (socket, _) = begin_in(&mut world, 2, None);
        lose(&mut world, &socket);
        ask_in(&mut world, 0, socket.client, None);
        for _ in 0..turns {
            world.turn();
        }
        world.begin_drain(Duration::from_secs(10));
        world.advance(Duration::from_secs(9));
        assert!(world.shards().all(|shard| shard.is_empty()), "{turns}");
        let opened = world.total(Counter::SessionsOpened);
        assert_eq!(world.total(Counter::SessionsClosed), opened, "{turns}");
        assert_eq!(world.drain_cut(), 0, "{turns}");
    }
}
