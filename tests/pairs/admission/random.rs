//! Connections that come, ask and end by chance on three shards, and a model that counts beside.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use kinglet::base::clock::Mono;
use kinglet::base::network::client_key;
use kinglet::base::rng::Rng;
use kinglet::testkit::world::{ClientId, End, Options, World};

use crate::SECOND;
use crate::admission::{address, status};
use crate::random::for_each_seed;

const CONFIG: &str = "[limits]\nconnections = 12\nconnections_per_ip = 3\n\
                      new_connections_per_minute = 6\nhandshake_timeout = \"1h\"\n";
const CONNECTIONS: usize = 12;
const PER_CLIENT: usize = 3;
/// A connection is earned in this time, and six may be saved up.
const EARNED_IN: Duration = Duration::from_secs(10);
const SAVED: u32 = 6;
/// Places beyond the limit, for loopback.
const RESERVED: usize = 8;

/// The first two are one client, and so are the last two.
const CLIENTS: [&str; 6] = [
    "2001:db8:0:1::1",
    "2001:db8:0:1::2",
    "2001:db8:0:2::1",
    "192.0.2.1",
    "192.0.2.2",
    "::ffff:192.0.2.2",
];

/// An open connection as the model knows it.
struct Open {
    id: ClientId,
    /// For whom it counts.
    client: Option<IpAddr>,
    is_proxied: bool,
    is_reserved: bool,
    is_socket: bool,
}

/// Counts as the server should, by other means: a client's rate is when its savings are complete
/// again (GCRA), not how many it has.
#[derive(Default)]
struct Model {
    open: Vec<Open>,
    complete_at: HashMap<IpAddr, Mono>,
}

impl Model {
    fn counts(&self) -> HashMap<IpAddr, usize> {
        let mut counts = HashMap::new();
        for client in self.open.iter().filter_map(|open| open.client) {
            *counts.entry(client).or_default() += 1;
        }
        counts
    }

    /// Whether `client` is let in now; charged if so.
    fn admits(&mut self, client: IpAddr, now: Mono) -> bool {
        if self.counts().get(&client).copied().unwrap_or(0) >= PER_CLIENT {
            return false;
        }
        let complete = self.complete_at.entry(client).or_default();
        let next = now.max(*complete) + EARNED_IN;
        let is_saved = next <= now + EARNED_IN * SAVED;
        if is_saved {
            *complete = next;
        }
        is_saved
    }
}

struct Scene {
    world: World,
    model: Model,
    rng: Rng,
}

impl Scene {
    fn some_client(&mut self) -> &'static str {
        CLIENTS[usize::try_from(self.rng.below(CLIENTS.len() as u64)).unwrap()]
    }

    fn some_open(&mut self) -> Option<usize> {
        let count = self.model.open.len() as u64;
        (count > 0).then(|| usize::try_from(self.rng.below(count)).unwrap())
    }

    /// Somebody connects: one client itself, or the proxy.
    fn connect(&mut self, is_proxied: bool) {
        let from = if is_proxied {
            "127.0.0.1"
        } else {
            self.some_client()
        };
        let (count, now) = (self.model.open.len(), self.world.now().mono);
        let room = CONNECTIONS + if is_proxied { RESERVED } else { 0 };
        let client = (!is_proxied).then(|| client_key(address(from)));
        let is_welcome = count < room && client.is_none_or(|client| self.model.admits(client, now));
        let id = self.world.open_from(address(from));
        self.world.settle();
        if is_welcome {
            assert_eq!(self.world.client(id).end, None, "{from} is let in");
            self.model.open.push(Open {
                id,
                client,
                is_proxied,
                is_reserved: count >= CONNECTIONS,
                is_socket: false,
            });
        } else {
            let expected = if count >= room { 503 } else { 429 };
            assert_eq!(status(&mut self.world, id), expected, "{from}");
            assert_eq!(self.world.client(id).end, Some(End::Finished));
        }
    }

    /// Somebody who is connected asks for a WebSocket; who is refused it leaves.
    fn upgrade(&mut self) {
        let Some(index) = self.some_open() else {
            return;
        };
        if self.model.open[index].is_socket {
            return;
        }
        let (client, now) = (self.some_client(), self.world.now().mono);
        let key = client_key(address(client));
        let Open {
            id,
            is_proxied,
            is_reserved,
            ..
        } = self.model.open[index];
        // Whoever is no proxy is not asked for whom it comes.
        let named = [("X-Forwarded-For", client)];
        let expected = match (is_reserved, is_proxied) {
            (true, _) => 503,
            (false, true) if !self.model.admits(key, now) => 429,
            (false, _) => 101,
        };
        self.world.client(id).upgrade_with(&named);
        self.world.settle();
        assert_eq!(status(&mut self.world, id), expected, "{client}");
        let open = &mut self.model.open[index];
        open.is_socket = expected == 101;
        if !open.is_socket {
            self.end(index);
        } else if is_proxied {
            open.client = Some(key);
        }
    }

    fn end(&mut self, index: usize) {
        let open = self.model.open.swap_remove(index);
        let client = self.world.client(open.id);
        match self.rng.below(4) {
            0 => client.cut(),
            1 if open.is_socket => client.close(1000),
            // Neither a request nor a frame.
            2 => client.send(&[[0xff; 16].as_slice(), b"\r\n\r\n"].concat()),
            _ => client.finish(),
        }
        self.world.settle();
    }

    fn check(&self) {
        assert_eq!(self.world.services.counted_clients(), self.model.counts());
        let open = self.model.open.len() as u64;
        assert_eq!(self.world.services.connections(), open);
    }
}

fn scene(seed: u64) {
    let mut scene = Scene {
        world: World::new(Options {
            config: CONFIG,
            shards: 3,
            seed,
            ..Options::default()
        }),
        model: Model::default(),
        rng: Rng::from_seed(seed ^ 0x1ad),
    };
    for _ in 0..300 {
        match scene.rng.below(20) {
            0..6 => scene.connect(false),
            6..9 => scene.connect(true),
            9..14 => scene.upgrade(),
            14..18 => {
                if let Some(index) = scene.some_open() {
                    scene.end(index);
                }
            }
            _ => {
                let seconds = u32::try_from(scene.rng.below(8)).unwrap();
                scene.world.advance(SECOND * seconds);
            }
        }
        scene.check();
    }
    while !scene.model.open.is_empty() {
        scene.end(0);
        scene.check();
    }
}

#[test]
fn counts_are_exact_over_three_shards() {
    for_each_seed("counts_are_exact", 48, scene);
}
