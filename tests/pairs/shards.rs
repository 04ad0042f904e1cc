//! Sessions of Engine.IO whose requests come on connections of any shard, by chance.
//!
//! Each round some sessions are asked something over some connections, all requests of a connection
//! at once. Whatever order sockets become ready in, however bytes are cut, each session is answered
//! by its own shard, and each connection in the order of its requests.

use std::time::Duration;

use kinglet::base::ids::SessionId;
use kinglet::base::rng::Rng;
use kinglet::metrics::names::Counter;
use kinglet::testkit::socket_io::{Heard, SocketIoClient, event};
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::json;

use crate::SECOND;
use crate::random::for_each_seed;

const CONFIG: &str = "[debug]\necho = true\n[socketio]\nping_interval = \"1h\"\n[limits]\n\
                      api_requests_per_second = 0\nhandshake_timeout = \"30s\"\n";
const PATH: &str = "/socket.io/?EIO=4&transport=polling";
const SHARDS: u16 = 3;
const ROUNDS: usize = 30;

struct Polling {
    client: SocketIoClient,
    target: String,
    asked: u64,
}

impl Polling {
    fn begin(world: &mut World, connection: ClientId) -> Self {
        let mut client = SocketIoClient::default();
        world.client(connection).request("GET", PATH, "");
        client.body(answers(world, connection, 1)[0].as_bytes());
        let sid = &client.open.as_ref().unwrap().sid;
        let target = format!("{PATH}&sid={sid}");
        let connect = client.connect("/", None);
        world.client(connection).request("POST", &target, &connect);
        world.client(connection).request("GET", &target, "");
        client.body(answers(world, connection, 2)[1].as_bytes());
        assert!(matches!(
            client.take().as_slice(),
            [Heard::Connected(..), ..]
        ));
        Self {
            client,
            target,
            asked: 0,
        }
    }

    fn shard(&self) -> u16 {
        let sid = &self.client.open.as_ref().unwrap().sid;
        SessionId::parse(sid).unwrap().shard().0
    }

    /// Asks for an acknowledgement, and for what there is.
    fn ask(&mut self, world: &mut World, connection: ClientId) {
        self.asked += 1;
        let number = self.asked;
        let body = event("/", "message-with-ack", &json!([number]), 0, Some(number));
        world
            .client(connection)
            .request("POST", &self.target, &body);
        world.client(connection).request("GET", &self.target, "");
    }

    fn hear(&mut self, posted: &str, polled: &str) {
        assert_eq!(posted, "ok");
        self.client.body(polled.as_bytes());
        let heard = self.client.take();
        assert!(
            matches!(heard.last(), Some(Heard::Ack { id, .. }) if *id == self.asked),
            "{heard:?} for {}",
            self.asked
        );
    }
}

/// The bodies of the next answers, all of them 200.
fn answers(world: &mut World, connection: ClientId, count: usize) -> Vec<String> {
    for _ in 0..2_000 {
        if world.client(connection).answers.len() >= count {
            break;
        }
        world.advance(Duration::from_millis(5));
    }
    let answers = std::mem::take(&mut world.client(connection).answers);
    assert_eq!(answers.len(), count, "{answers:?}");
    let body = |answer: kinglet::testkit::world::Answer| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    answers.into_iter().map(body).collect()
}

fn any<T>(of: &[T], rng: &mut Rng) -> usize {
    usize::try_from(rng.below(of.len() as u64)).unwrap()
}

fn party(seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::new(Options {
        config: CONFIG,
        shards: SHARDS,
        seed,
        tls: seed.is_multiple_of(3),
        ..Options::default()
    });
    world.is_unordered = true;
    world.conditions.piece_max = (!seed.is_multiple_of(4)).then(|| 20 + any(&[(); 400], &mut rng));
    world.conditions.delay = Duration::from_millis(rng.below(4));
    let mut connections: Vec<ClientId> = (0..6).map(|_| world.open()).collect();
    let mut sessions: Vec<Polling> = Vec::new();
    for connection in connections.clone() {
        sessions.push(Polling::begin(&mut world, connection));
    }
    let has = |shard| sessions.iter().any(|session| session.shard() == shard);
    assert!((0..SHARDS).all(has));
    for _ in 0..ROUNDS {
        // Each session is asked over one connection at a time, as clients do.
        let mut asked: Vec<Vec<usize>> = vec![Vec::new(); connections.len()];
        for (number, session) in sessions.iter_mut().enumerate() {
            let over = any(&connections, &mut rng);
            if rng.below(4) > 0 {
                asked[over].push(number);
                session.ask(&mut world, connections[over]);
            }
        }
        let cut = (rng.below(8) == 0).then(|| any(&connections, &mut rng));
        if let Some(cut) = cut {
            for _ in 0..rng.below(4) {
                world.turn();
            }
            let connection = std::mem::replace(&mut connections[cut], world.open());
            world.client(connection).cut();
        }
        for (over, those) in asked
            .iter()
            .enumerate()
            .filter(|(over, _)| Some(*over) != cut)
        {
            let answers = answers(&mut world, connections[over], those.len() * 2);
            for (session, answer) in those.iter().zip(answers.chunks(2)) {
                sessions[*session].hear(&answer[0], &answer[1]);
            }
        }
        if let Some(cut) = cut {
            world.settle();
            for session in &asked[cut] {
                sessions[*session] = Polling::begin(&mut world, connections[cut]);
            }
        }
    }
    assert!(world.total(Counter::ConnectionsMoved) > ROUNDS as u64);
    assert_eq!(world.total(Counter::HandlerPanics), 0);
    for connection in &connections {
        let session = any(&sessions, &mut rng);
        sessions[session].ask(&mut world, *connection);
    }
    for _ in 0..rng.below(6) {
        world.turn();
    }
    world.begin_drain(SECOND * 10);
    world.advance(SECOND * 11);
    assert_eq!(world.connections(), 0);
    assert_eq!(
        world.total(Counter::ConnectionsAccepted),
        world.total(Counter::ConnectionsClosed)
    );
}

#[test]
fn a_request_finds_its_session_whatever_shard_its_connection_is_in() {
    for_each_seed("a_request_finds_its_session", 40, party);
}
