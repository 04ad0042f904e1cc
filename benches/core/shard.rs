//! Rooms and one shard: what a publication costs until the sockets would be written to.

use std::hint::black_box;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use kinglet::app::services::Services;
use kinglet::base::clock::Now;
use kinglet::base::ids::{PeerId, ShardId};
use kinglet::base::limits;
use kinglet::base::rng::Rng;
use kinglet::dialect::publication::Publication;
use kinglet::domain::command::{Payload, Publish};
use kinglet::domain::room::RoomName;
use kinglet::shard::Shard;
use kinglet::testkit::world::{HOST, Options, World};
use kinglet::wire::websocket::frame::{Opcode, masked_frame};
use kinglet::wire::websocket::handshake::client_request;

use crate::deflate::publication;
use crate::native::publish_message;

const ROOM: &str = "project:42";

/// A shard with peers in [`ROOM`] that read everything at once.
struct Audience {
    services: Arc<Services>,
    shard: Shard,
    now: Now,
    /// Peers to write for.
    ready: Vec<PeerId>,
}

impl Audience {
    fn new(members: usize) -> Self {
        Self::offering(members, None)
    }

    /// The same with members who offer an extension.
    fn offering(members: usize, offer: Option<&str>) -> Self {
        // The world brings the services; its own shard stays empty.
        let world = World::new(Options {
            config: "[limits]\nmessages_per_second = 0\n",
            ..Options::default()
        });
        let services = Arc::clone(&world.services);
        let shard = Shard::new(ShardId(0), Arc::clone(&services), Rng::from_seed(1));
        let mut audience = Self {
            services,
            shard,
            now: world.now(),
            ready: Vec::new(),
        };
        for _ in 0..members {
            audience.come_offering(offer);
        }
        audience
    }

    fn come(&mut self) -> PeerId {
        self.come_offering(None)
    }

    fn come_offering(&mut self, offer: Option<&str>) -> PeerId {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (services, now) = (&self.services, self.now);
        let (live, counters) = (services.live(), services.counters_of(ShardId(0)));
        let admitted = services.accept(address, services.context(&live, &counters, now));
        let admitted = admitted.expect("a place");
        let id = self
            .shard
            .open(address, admitted, now)
            .expect("a free slot");
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let target = format!("/ws?room={ROOM}");
        let offer = offer.map(|offer| ("Sec-WebSocket-Extensions", offer));
        let mut request = client_request(HOST, &target, key, &[], offer.as_slice());
        self.shard.receive(id, &mut request, self.now);
        assert_eq!(self.write(), 1, "a 101");
        id
    }

    /// Writes for everybody; says for how many.
    fn write(&mut self) -> usize {
        let mut ready = std::mem::take(&mut self.ready);
        self.shard.take_dirty(&mut ready, self.now);
        let count = ready.len();
        for id in ready.drain(..) {
            let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES];
            let (filled, total) = self.shard.gather(id, &mut slices);
            black_box(&slices[..filled]);
            self.shard.wrote(id, total, self.now);
        }
        self.ready = ready;
        count
    }

    fn publish(&self, publish: Publish) -> Arc<Publication> {
        let published = self.services.rooms.publish(publish, self.now);
        published.expect("a mailbox with room")
    }

    /// Publishes and delivers; says how many bytes wait for each.
    fn fan_out_bytes(&mut self, publish: Publish) -> usize {
        self.publish(publish);
        self.shard.take_mail(self.now);
        let bytes = self.shard.outbox_bytes_max();
        self.write();
        bytes
    }

    /// Publishes, delivers and writes; says for how many.
    fn fan_out(&mut self, publish: Publish) -> usize {
        self.publish(publish);
        self.shard.take_mail(self.now);
        self.write()
    }
}

fn publish() -> Publish {
    publish_of(&format!("\"{}\"", "x".repeat(126)))
}

fn publish_of(json: &str) -> Publish {
    Publish {
        rooms: vec![RoomName::parse(ROOM).expect("a good name")],
        event: "said".into(),
        payload: Payload::Json(json.to_owned().into()),
        source: None,
        key: None,
        except: Vec::new(),
    }
}

#[inline(never)]
fn step_publish(audience: &Audience, publish: Publish) -> Arc<Publication> {
    audience.publish(publish)
}

#[inline(never)]
fn step_fan_out(audience: &mut Audience, publish: Publish) -> usize {
    audience.fan_out(publish)
}

#[inline(never)]
fn step_turn(audience: &mut Audience, id: PeerId, message: &mut [u8]) -> usize {
    audience.shard.receive(id, message, audience.now);
    audience.shard.take_mail(audience.now);
    audience.write()
}

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard");
    let nobody = Audience::new(0);
    let publish = publish();
    group.bench_function("publish 128 B into a room without members", |bencher| {
        bencher.iter(|| step_publish(&nobody, publish.clone()));
    });
    let mut one = Audience::new(0);
    let id = one.come();
    let frame = masked_frame(Opcode::Text, publish_message().as_bytes(), [1, 2, 3, 4]);
    let mut message = frame.clone();
    group.bench_function("a member's publish: its reply and its copy", |bencher| {
        bencher.iter(|| {
            message.copy_from_slice(&frame);
            step_turn(&mut one, id, &mut message)
        });
    });
    for members in [1, 1000] {
        let mut audience = Audience::new(members);
        assert_eq!(audience.fan_out(publish.clone()), members);
        group.throughput(Throughput::Elements(members as u64));
        group.bench_function(
            format!("fan-out of 128 B to {members} members"),
            |bencher| {
                bencher.iter(|| step_fan_out(&mut audience, publish.clone()));
            },
        );
    }
    let json = String::from_utf8(publication(4096)).expect("JSON is text");
    let offers = [
        ("without compression", None),
        ("compressed", Some("permessage-deflate")),
    ];
    for (name, offer) in offers {
        let mut audience = Audience::offering(1000, offer);
        let bytes = audience.fan_out_bytes(publish_of(&json));
        group.throughput(Throughput::Elements(1000));
        group.bench_function(
            format!("fan-out of 4 KiB to 1000 members {name}, {bytes} B each"),
            |bencher| {
                bencher.iter(|| step_fan_out(&mut audience, publish_of(&json)));
            },
        );
    }
    group.finish();
}
