//! Sessions under clients that do anything: nothing panics, nothing is left behind, and what holds of
//! a shard holds after each of its turns.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use crate::base::rng::Rng;
use crate::metrics::names::Counter;
use crate::testkit::socket_io::{SocketIoClient, event};
use crate::testkit::world::{ClientId, Message, Options, World};
use crate::wire::websocket::frame::Opcode;

const CONFIGS: [&str; 4] = [
    "",
    "[socketio]\nrecovery = \"30s\"\nrecovery_sessions = 2\n",
    "[limits]\nmessages_per_second = 2\nmessage_burst = 2\noutbox_messages = 6\n",
    "[debug]\necho = true\n[socketio]\nmax_payload = 2000\nsessions = 6\n\
     [rooms.default]\nslow_consumer = \"lag\"\n[limits]\noutbox_messages = 4\n",
];

const FRAMES: [&str; 24] = [
    "40",
    "40/ws,",
    "40/none",
    "41",
    "41/ws,",
    "421[\"subscribe\",\"a:1\"]",
    "422[\"unsubscribe\",\"a:1\"]",
    "423[\"publish\",{\"room\":\"a:1\",\"event\":\"said\",\"data\":1}]",
    "42/ws,4[\"subscribe\",{\"room\":\"a:2\"}]",
    "42[\"message\",1]",
    "451-5[\"message\",{\"_placeholder\":true,\"num\":0}]",
    "451-[\"publish\",{\"room\":\"a:1\",\"event\":\"b\",\"data\":{\"_placeholder\":true,\"num\":0}}]",
    "2probe",
    "3probe",
    "5",
    "3",
    "1",
    "6",
    "2",
    "0",
    "4",
    "42{}",
    "49",
    "x",
];

/// What happens to some of them.
const REACHED: [Counter; 9] = [
    Counter::EngineUpgrades,
    Counter::EngineRequestsRefused,
    Counter::EngineSessionsRefused,
    Counter::SessionsDetached,
    Counter::SessionsRecovered,
    Counter::SessionsReclaimed,
    Counter::SessionsNotKept,
    Counter::RatePaused,
    Counter::SlowConsumersClosed,
];

/// What clients say that mean it.
const SCRIPTS: [&[&str]; 5] = [
    &["2probe", "5"],
    &["40", "421[\"subscribe\",\"a:1\"]"],
    &["40", "40/ws,", "42/ws,4[\"subscribe\",{\"room\":\"a:1\"}]"],
    &[
        "40",
        "42[\"ping\"]",
        "42[\"ping\"]",
        "421[\"ping\"]",
        "42[\"ping\"]",
        "422[\"ping\"]",
    ],
    &["RECOVER"],
];

struct Somebody {
    id: ClientId,
    /// It speaks frames.
    is_socket: bool,
}

struct Random {
    world: World,
    rng: Rng,
    people: Vec<Somebody>,
    /// Ids of sessions that were ever begun.
    sids: Vec<String>,
    pids: SocketIoClient,
}

impl Random {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let world = World::new(Options {
            config: pick(&mut rng, &CONFIGS),
            shards: 1 + u16::try_from(rng.below(2)).unwrap(),
            seed,
            ..Options::default()
        });
        Self {
            world,
            rng,
            people: Vec::new(),
            sids: Vec::new(),
            pids: SocketIoClient::default(),
        }
    }

    fn step(&mut self) {
        if self.people.len() > 8 {
            self.cut();
        }
        match self.rng.below(12) {
            0 => self.ask("GET", "polling", false),
            1 => self.begin_socket(false),
            2 => self.begin_socket(true),
            3 | 4 => self.ask("GET", "polling", true),
            5 | 6 => self.ask("POST", "polling", true),
            7..=9 => self.say(),
            10 => self.cut(),
            _ => {
                let id = self.world.open();
                let body = "{\"room\":\"a:1\",\"event\":\"said\",\"data\":\"x\"}";
                self.world
                    .client(id)
                    .request("POST", "/api/v1/publish", body);
                self.people.push(Somebody {
                    id,
                    is_socket: false,
                });
            }
        }
        match self.rng.below(4) {
            0 => self.world.settle(),
            1 => {
                let time = Duration::from_millis(1 << self.rng.below(15));
                self.world.advance(time);
            }
            _ => {
                self.world.turn();
            }
        }
        self.read();
    }

    fn target(&mut self, transport: &str, has_sid: bool) -> String {
        let target = format!("/socket.io/?EIO=4&transport={transport}");
        // Old sessions are over, most of them.
        let recent = self.sids.len().saturating_sub(3);
        match self.sids.get(recent..) {
            Some(recent) if has_sid && !recent.is_empty() => {
                format!("{target}&sid={}", pick(&mut self.rng, recent))
            }
            _ => target,
        }
    }

    fn ask(&mut self, method: &str, transport: &str, has_sid: bool) {
        let target = self.target(transport, has_sid);
        let frames = self.frames();
        let body = match method {
            "POST" => frames.join("\u{1e}"),
            _ => String::new(),
        };
        let known = self.people.iter().filter(|somebody| !somebody.is_socket);
        let known: Vec<ClientId> = known.map(|somebody| somebody.id).collect();
        let id = match known.is_empty() || self.rng.below(2) == 0 {
            true => self.world.open(),
            false => pick(&mut self.rng, &known),
        };
        self.world.client(id).request(method, &target, &body);
        self.people.push(Somebody {
            id,
            is_socket: false,
        });
    }

    fn begin_socket(&mut self, has_sid: bool) {
        let target = self.target("websocket", has_sid);
        let id = self.world.open();
        self.world.client(id).upgrade(&target, "");
        if self.rng.below(8) == 0 {
            self.world.client(id).appetite = Some(0);
            self.world.client(id).link.conditions.capacity = 200;
        }
        self.people.push(Somebody {
            id,
            is_socket: true,
        });
    }

    /// Frames, most of them such as clients send.
    fn frames(&mut self) -> Vec<String> {
        if self.rng.below(3) == 0 {
            return (0..=self.rng.below(4)).map(|_| self.frame()).collect();
        }
        let script = pick(&mut self.rng, &SCRIPTS);
        let recover = self.pids.connect("/", None);
        let frames = script.iter().map(|frame| match *frame {
            "RECOVER" => recover.clone(),
            frame => frame.to_owned(),
        });
        frames.collect()
    }

    fn frame(&mut self) -> String {
        match self.rng.below(10) {
            0 => self.pids.connect("/", None),
            1 => event(
                "/",
                "publish",
                &serde_json::json!([{"room": "global"}]),
                0,
                Some(3),
            ),
            _ => (*pick(&mut self.rng, &FRAMES)).to_owned(),
        }
    }

    fn say(&mut self) {
        let sockets = self.people.iter().filter(|somebody| somebody.is_socket);
        let sockets: Vec<ClientId> = sockets.map(|somebody| somebody.id).collect();
        if sockets.is_empty() {
            return;
        }
        let id = pick(&mut self.rng, &sockets);
        for frame in self.frames() {
            let is_odd = self.rng.below(16) == 0;
            let client = self.world.client(id);
            match is_odd {
                true => client.frame(Opcode::Binary, &[1, 2, 3]),
                false => client.frame(Opcode::Text, frame.as_bytes()),
            }
        }
    }

    fn cut(&mut self) {
        if self.people.is_empty() {
            return;
        }
        let index = usize::try_from(self.rng.below(self.people.len() as u64)).unwrap();
        let Somebody { id, .. } = self.people.swap_remove(index);
        self.people.retain(|somebody| somebody.id != id);
        self.world.client(id).cut();
    }

    /// Learns the ids that the server gave out.
    fn read(&mut self) {
        let people = self.people.iter();
        let people: Vec<_> = people.map(|each| (each.id, each.is_socket)).collect();
        for (id, is_socket) in people {
            let client = self.world.client(id);
            let mut texts = Vec::new();
            for message in client.inbox.drain(..) {
                if let Message::Text(text) = message {
                    texts.push(text);
                }
            }
            for answer in client.answers.drain(..) {
                assert_ne!(answer.status, 500, "{}", answer.body);
                texts.extend(answer.body.split('\u{1e}').map(str::to_owned));
            }
            for text in texts {
                let member = |name: &str| {
                    let (_, behind) = text.split_once(&format!("\"{name}\":\""))?;
                    Some(behind.split('"').next()?.to_owned())
                };
                if text.starts_with("0{") {
                    self.sids.extend(member("sid"));
                } else if text == "2" && is_socket {
                    client.frame(Opcode::Text, b"3");
                } else if let Some(pid) = member("pid") {
                    let recovery = self.pids.recovery.entry("/".to_owned()).or_default();
                    (recovery.pid, recovery.offset) = (Some(pid), None);
                }
            }
        }
    }

    /// Everybody goes away, and nothing is left.
    fn end(mut self, seed: u64) -> [u64; REACHED.len()] {
        while !self.people.is_empty() {
            self.cut();
        }
        self.world.advance(Duration::from_secs(300));
        let world = &self.world;
        let total = |counter| world.total(counter);
        let sessions = (
            total(Counter::SessionsOpened),
            total(Counter::SessionsClosed),
        );
        assert_eq!(sessions.0, sessions.1, "seed {seed}");
        let engines = (
            total(Counter::EngineSessionsOpened),
            total(Counter::EngineSessionsClosed),
        );
        assert_eq!(engines.0, engines.1, "seed {seed}");
        assert_eq!(world.connections(), 0, "seed {seed}");
        assert!(world.shards().all(|shard| shard.is_empty()), "seed {seed}");
        assert_eq!(total(Counter::HandlerPanics), 0, "seed {seed}");
        REACHED.map(total)
    }
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    let index = rng.below(from.len() as u64);
    from[usize::try_from(index).unwrap()].clone()
}

#[test]
fn whatever_clients_do_nothing_is_left_behind() {
    let mut reached = [0; REACHED.len()];
    for seed in 0..60 {
        let mut random = Random::new(seed);
        for _ in 0..120 {
            random.step();
        }
        let counted = random.end(seed);
        reached = std::array::from_fn(|index| reached[index] + counted[index]);
    }
    let missed = REACHED.iter().zip(reached).find(|(_, count)| *count == 0);
    assert_eq!(missed, None, "{reached:?}");
}
