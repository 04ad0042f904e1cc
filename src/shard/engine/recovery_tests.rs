//! Sessions of Socket.IO whose clients come back.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::base::ids::SessionId;
use crate::bus::mail::{Mail, Manage, Who, ask};
use crate::metrics::names::Counter;
use crate::shard::engine::tests::{Socket, publish, publish_as_admin, said, subscribe, world};
use crate::testkit::socket_io::{Heard, SocketIoClient};
use crate::testkit::tokens::{CONFIG, Token};
use crate::testkit::world::World;
use crate::wire::websocket::close as code;

const RECOVERY: &str = "[socketio]\nrecovery = \"2m\"\n";

/// What is heard after a client has come back with what it knows.
fn come_back(
    world: &mut World,
    client: SocketIoClient,
    auth: Option<&Value>,
) -> (Socket, Vec<Heard>) {
    let mut socket = Socket::open(world);
    socket.client.recovery = client.recovery;
    let connect = socket.client.connect("/", auth);
    let heard = socket.ask(world, &connect);
    (socket, heard)
}

pub(super) fn sid(heard: &[Heard]) -> Value {
    match &heard[0] {
        Heard::Connected(_, payload) => payload["sid"].clone(),
        heard => panic!("{heard:?}"),
    }
}

#[test]
fn who_comes_back_is_the_same_and_has_missed_nothing() {
    let mut world = world(RECOVERY);
    let mut socket = Socket::open(&mut world);
    let connect = socket.client.connect("/", None);
    let before = socket.ask(&mut world, &connect);
    socket.ask(&mut world, &subscribe("chat:1", 1));
    publish(&mut world, "chat:1", 1);
    assert_eq!(said(&socket.read(&mut world)), [1]);
    world.client(socket.id).cut();
    world.settle();
    for data in 2..5 {
        publish(&mut world, "chat:1", data);
        publish(&mut world, "global", data * 10);
    }
    let (mut socket, after) = come_back(&mut world, socket.client, None);
    assert_eq!(sid(&after), sid(&before));
    assert_eq!(said(&after), [2, 20, 3, 30, 4, 40]);
    publish(&mut world, "chat:1", 5);
    assert_eq!(
        said(&socket.read(&mut world)),
        [5],
        "it is still in its rooms"
    );
    assert_eq!(world.total(Counter::SessionsRecovered), 1);
    assert_eq!(world.total(Counter::SessionsOpened), 1);
}

#[test]
fn what_was_sent_and_never_arrived_is_sent_again() {
    let mut world = world(RECOVERY);
    let mut socket = Socket::connected(&mut world, "/", None);
    socket.read(&mut world);
    publish(&mut world, "global", 1);
    socket.read(&mut world);
    world.client(socket.id).appetite = Some(0);
    publish(&mut world, "global", 2);
    // Nobody has noticed that its connection is lost when it comes back.
    let (mut socket, after) = come_back(&mut world, socket.client, None);
    assert_eq!(said(&after), [2]);
    publish(&mut world, "global", 3);
    assert_eq!(said(&socket.read(&mut world)), [3]);
    assert_eq!(world.total(Counter::EngineSessionsClosed), 1, "the old one");
}

#[test]
fn whoever_cannot_be_told_everything_is_somebody_new() {
    let check = |what: &str, change: &dyn Fn(&mut World, &mut SocketIoClient)| {
        let mut world = world(RECOVERY);
        let mut socket = Socket::open(&mut world);
        let connect = socket.client.connect("/", None);
        let before = socket.ask(&mut world, &connect);
        world.client(socket.id).cut();
        world.settle();
        publish(&mut world, "global", 1);
        change(&mut world, &mut socket.client);
        let (_socket, after) = come_back(&mut world, socket.client, None);
        assert_ne!(sid(&after), sid(&before), "{what}");
        assert_eq!(said(&after), [0; 0], "never a part: {what}");
        assert_eq!(world.total(Counter::SessionsRecovered), 0, "{what}");
    };
    check("too late", &|world, _| {
        world.advance(Duration::from_secs(121));
    });
    check("too much", &|world, _| {
        for data in 0..300 {
            publish(world, "global", data);
        }
    });
    check("an unknown offset", &|_, client| {
        client.recovery.get_mut("/").unwrap().offset = Some("own:77".to_owned());
    });
    check("an unknown secret", &|_, client| {
        client.recovery.get_mut("/").unwrap().pid = Some("0".repeat(32));
    });
    check("no secret", &|_, client| {
        client.recovery.get_mut("/").unwrap().pid = Some("../..".to_owned());
    });
}

#[test]
fn nobody_gets_the_session_of_another_user() {
    let mut world = world(&format!("{CONFIG}{RECOVERY}"));
    let token = |user: &str| json!({"token": Token::of(user).sign()});
    let ada = token("ada");
    let mut socket = Socket::connected(&mut world, "/", Some(&ada));
    socket.read(&mut world);
    world.client(socket.id).cut();
    world.settle();
    publish_as_admin(&mut world, "user:ada");
    let mut thief = SocketIoClient::default();
    thief.recovery.clone_from(&socket.client.recovery);
    let (_thief, heard) = come_back(&mut world, thief, Some(&token("eve")));
    assert_eq!(said(&heard), [0; 0]);
    let (_socket, heard) = come_back(&mut world, socket.client, Some(&ada));
    assert_eq!(said(&heard), [1], "whose it is has it still");
}

#[test]
fn who_left_or_was_put_out_does_not_come_back() {
    for leaves in [true, false] {
        let mut world = world(RECOVERY);
        let mut socket = Socket::open(&mut world);
        let connect = socket.client.connect("/", None);
        let before = sid(&socket.ask(&mut world, &connect));
        if leaves {
            socket.ask(&mut world, "41");
        } else {
            let code = code::DISCONNECTED;
            let id = SessionId::parse(before.as_str().unwrap()).unwrap();
            let _answers = ask(&world.services.mailboxes, |reply| Mail::Manage {
                who: Who::Session(id),
                what: Manage::Disconnect {
                    code,
                    reason: "by an operator".into(),
                },
                reply,
            });
            world.settle();
            let heard = socket.read(&mut world);
            assert_eq!(heard.last(), Some(&Heard::Disconnected("/".to_owned())));
        }
        world.client(socket.id).cut();
        world.settle();
        let (_socket, after) = come_back(&mut world, socket.client, None);
        assert_ne!(sid(&after), before, "{leaves}");
        assert_eq!(world.total(Counter::SessionsDetached), 0);
    }
}

#[test]
fn no_more_sessions_are_kept_than_the_configuration_allows() {
    let mut world = world(&format!("{RECOVERY}recovery_sessions = 2\n"));
    for _ in 0..3 {
        let socket = Socket::connected(&mut world, "/", None);
        world.client(socket.id).cut();
        world.settle();
    }
    let counted = [
        Counter::SessionsDetached,
        Counter::SessionsNotKept,
        Counter::SessionsClosed,
    ];
    assert_eq!(counted.map(|counter| world.total(counter)), [2, 1, 1]);
    world.advance(Duration::from_secs(121));
    assert_eq!(world.total(Counter::SessionsClosed), 3);
}
