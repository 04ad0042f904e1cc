//! Comings and goings by chance, beside a model that knows who is where.
//!
//! Tabs open, close and break, join and leave rooms one by one or moving from shard to shard, while
//! others read who is there. What must hold: every event says what is so, and has been for a second;
//! no party is told of twice in a row, unless somebody read meanwhile; after two quiet seconds, what
//! was told is what is so; and whoever has read who is there, and goes on by the events that came
//! after, knows it, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kinglet::base::rng::Rng;
use kinglet::bus::mail::{Mail, Manage, Who, ask as ask_shards};
use kinglet::dialect::publication::Publication;
use kinglet::domain::command::Payload;
use kinglet::testkit::tokens;
use kinglet::testkit::world::{Asking, ClientId, Options, World};
use serde_json::{Value, json};

use super::{CLUB, enter, name};
use crate::SECOND;
use crate::random::for_each_seed;

/// Rooms that tell, and one that does not.
const ROOMS: [&str; 3] = ["club:1", "club:2", "chat:1"];

const USERS: [&str; 3] = ["u0", "u1", "u2"];

const OPERATIONS: usize = 120;

/// Who is in which room, by what they are told of.
type Parties = BTreeSet<(String, String)>;

struct Tab {
    client: ClientId,
    user: &'static str,
    rooms: BTreeSet<&'static str>,
}

/// What was learnt of a room: who was there, and the offset after which events change that.
struct Snapshot {
    room: &'static str,
    users: BTreeSet<String>,
    offset: u64,
}

struct Model {
    world: World,
    rng: Rng,
    tabs: Vec<Tab>,
    /// Who is where or was, and since when it is so.
    flips: BTreeMap<(String, String), (bool, u64)>,
    /// As the streams tell it.
    told: Parties,
    /// Parties that may be told of again, because somebody has read.
    excused: Parties,
    /// Up to where the streams have been looked at.
    seen: BTreeMap<&'static str, u64>,
    snapshots: Vec<Snapshot>,
    asking: Vec<(&'static str, Asking)>,
}

#[test]
fn whoever_comes_and_goes_is_told_of_as_it_is() {
    for_each_seed("whoever_comes_and_goes_is_told_of_as_it_is", 60, |seed| {
        let mut model = Model::new(seed);
        for _ in 0..OPERATIONS {
            model.operate();
            model.world.settle();
            model.note();
            model.listen();
        }
        model.rest();
        let tabs = std::mem::take(&mut model.tabs);
        for tab in tabs {
            model.world.client(tab.client).cut();
        }
        model.world.settle();
        model.note();
        model.rest();
        assert!(model.told.is_empty(), "{:?}", model.told);
        let (rooms, _) = model.world.services.rooms.list("", "", 99, |_| true);
        assert!(rooms.iter().all(|room| room.members == 0));
    });
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let keep = "history_count = 100000\nhistory_bytes = \"100MiB\"\nhistory_age = \"9h\"\n";
        let config = format!(
            "{}[rooms.default]\n{keep}{CLUB}[rooms.system]\n{keep}",
            tokens::CONFIG
        );
        let world = World::new(Options {
            config: &config,
            shards: u16::try_from(1 + rng.below(3)).unwrap(),
            seed,
            ..Options::default()
        });
        Self {
            world,
            rng,
            tabs: Vec::new(),
            flips: BTreeMap::new(),
            told: Parties::new(),
            excused: Parties::new(),
            seen: BTreeMap::new(),
            snapshots: Vec::new(),
            asking: Vec::new(),
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let count = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.rng.below(count)).unwrap()]
    }

    fn some_tab(&mut self) -> Option<usize> {
        let count = u64::try_from(self.tabs.len()).unwrap();
        (count > 0).then(|| usize::try_from(self.rng.below(count)).unwrap())
    }

    fn operate(&mut self) {
        match self.rng.below(20) {
            0..=4 => self.open(),
            5..=7 => self.end(),
            8..=10 => self.step(),
            11 => self.put_in(),
            12..=13 => self.ask(),
            14 => self.hear_answers(),
            15..=16 => self.race(),
            17 => self.rest(),
            _ => {
                let time = self.pick(&[10, 150, 400, 800, 999, 1000, 1001]);
                self.world.advance(Duration::from_millis(time));
            }
        }
    }

    fn open(&mut self) {
        if self.tabs.len() > 8 {
            return self.end();
        }
        let (user, room) = (self.pick(&USERS), self.pick(&ROOMS));
        let client = enter(&mut self.world, user, room);
        let rooms = [room].into();
        self.tabs.push(Tab {
            client,
            user,
            rooms,
        });
    }

    fn end(&mut self) {
        if let Some(index) = self.some_tab() {
            let tab = self.tabs.remove(index);
            let how = self.rng.below(3);
            let client = self.world.client(tab.client);
            match how {
                0 => client.cut(),
                1 => client.finish(),
                _ => client.close(1000),
            }
        }
    }

    /// A tab joins a room, or leaves it if it is there.
    fn step(&mut self) {
        if let Some(index) = self.some_tab() {
            let room = self.pick(&ROOMS);
            self.tabs[index].turn(room, &mut self.world);
        }
    }

    fn put_in(&mut self) {
        let (user, room) = (self.pick(&USERS), self.pick(&ROOMS));
        let mailboxes = &self.world.services.mailboxes;
        let asked = ask_shards(mailboxes, |reply| Mail::Manage {
            who: Who::User(user.into()),
            what: Manage::Subscribe(name(room)),
            reply,
        });
        assert!(asked.is_some());
        for tab in self.tabs.iter_mut().filter(|tab| tab.user == user) {
            tab.rooms.insert(room);
        }
    }

    fn ask(&mut self) {
        let room = self.pick(&ROOMS);
        let asking = self.world.ask_presence(room).expect("nobody has mail");
        self.asking.push((room, asking));
        self.excuse();
    }

    /// Who came or went while somebody reads is told of in any case, and so may be twice.
    fn excuse(&mut self) {
        for (room, _) in &self.asking {
            for user in USERS {
                self.excused.insert(((*room).to_owned(), user.to_owned()));
            }
        }
    }

    fn hear_answers(&mut self) {
        self.world.settle();
        for (room, asking) in std::mem::take(&mut self.asking) {
            let presence = asking.answer(&self.world);
            let Some(position) = presence.position else {
                continue;
            };
            let users = presence
                .members
                .iter()
                .filter_map(|each| each.identity.user_id());
            self.snapshots.push(Snapshot {
                room,
                users: users.map(ToString::to_string).collect(),
                offset: position.offset,
            });
        }
    }

    /// Two tabs do something in the same turns in which somebody asks.
    fn race(&mut self) {
        for _ in 0..2 {
            self.ask();
            self.some_turns();
            self.step();
            self.some_turns();
        }
    }

    fn some_turns(&mut self) {
        for _ in 0..self.rng.below(3) {
            self.world.turn();
        }
    }

    /// Who is where now.
    fn truth(&self) -> Parties {
        let tabs = self.tabs.iter();
        let tabs = tabs.flat_map(|tab| tab.rooms.iter().map(|room| (*room, tab.user)));
        let mut truth = Parties::new();
        for (room, user) in tabs {
            if room.starts_with("club") {
                truth.insert((room.to_owned(), user.to_owned()));
            }
            truth.insert(("system".to_owned(), room.to_owned()));
        }
        for tab in &self.tabs {
            truth.insert(("system".to_owned(), format!("user:{}", tab.user)));
        }
        truth
    }

    /// Notes since when it is so.
    fn note(&mut self) {
        let now = self.world.now().wall.as_millis();
        let truth = self.truth();
        let known: Parties = self.flips.keys().cloned().collect();
        for party in truth.union(&known) {
            let is_here = truth.contains(party);
            let flip = self.flips.entry(party.clone()).or_default();
            if flip.0 != is_here {
                *flip = (is_here, now);
            }
        }
        self.excuse();
    }

    /// Takes in what the streams tell.
    fn listen(&mut self) {
        for room in ["club:1", "club:2", "system"] {
            let seen = self.seen.get(room).copied();
            let now = self.world.now().mono;
            let rooms = &self.world.services.rooms;
            let Some(history) = rooms.history(&name(room), seen, 9999, false, now) else {
                continue;
            };
            self.seen.insert(room, history.position.offset);
            for (_, publication) in history.page.items {
                self.check_event(room, &publication);
            }
        }
    }

    fn check_event(&mut self, room: &str, publication: &Publication) {
        let (is_here, about) = read(publication);
        let party = (room.to_owned(), about);
        // Who came and went in one operation, while somebody read, is told of as gone.
        let (is_so, since) = self.flips.get(&party).copied().unwrap_or_default();
        assert_eq!(is_so, is_here, "{party:?}");
        let lasted = publication.timestamp.as_millis() - since;
        assert!(lasted >= 1000, "{party:?} for {lasted} ms only");
        let is_news = match is_here {
            true => self.told.insert(party.clone()),
            false => self.told.remove(&party),
        };
        assert!(is_news || self.excused.contains(&party), "{party:?} twice");
    }

    /// Lets everything be told, and expects that it was.
    fn rest(&mut self) {
        self.hear_answers();
        self.world.advance(2 * SECOND + SECOND / 10);
        self.note();
        self.listen();
        let truth = self.truth();
        assert_eq!(self.told, truth);
        self.excused.clear();
        for snapshot in std::mem::take(&mut self.snapshots) {
            let expected = users_in(snapshot.room, &truth);
            if snapshot.room.starts_with("club") {
                assert_eq!(self.brought_up_to_date(&snapshot), expected);
            }
        }
        for room in ROOMS {
            let presence = self.world.presence(room);
            let tabs = self.tabs.iter().filter(|tab| tab.rooms.contains(room));
            let users: BTreeSet<&str> = tabs.clone().map(|tab| tab.user).collect();
            assert_eq!(presence.sessions, tabs.count(), "{room}");
            assert_eq!(presence.users, users.len(), "{room}");
        }
        assert_eq!(self.world.services.rooms.unsettled(), 0);
        assert!(self.world.shards().all(|shard| shard.unsettled() == 0));
    }

    /// Who is there by a snapshot and the events after it.
    fn brought_up_to_date(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        let now = self.world.now().mono;
        let (room, since) = (name(snapshot.room), Some(snapshot.offset));
        let rooms = &self.world.services.rooms;
        let page = rooms.history(&room, since, 9999, false, now).unwrap().page;
        let mut users = snapshot.users.clone();
        for (_, publication) in page.items {
            match read(&publication) {
                (true, user) => users.insert(user),
                (false, user) => users.remove(&user),
            };
        }
        users
    }
}

impl Tab {
    fn turn(&mut self, room: &'static str, world: &mut World) {
        let kind = match self.rooms.remove(room) {
            true => "unsubscribe",
            false => {
                self.rooms.insert(room);
                "subscribe"
            }
        };
        world
            .client(self.client)
            .command(json!({"type": kind, "room": room}));
    }
}

fn users_in(room: &str, truth: &Parties) -> BTreeSet<String> {
    let users = truth.iter().filter(|(in_room, _)| in_room == room);
    users.map(|(_, user)| user.clone()).collect()
}

/// Whether an event tells of somebody who is here, and of whom.
fn read(publication: &Publication) -> (bool, String) {
    let Payload::Json(data) = &publication.payload else {
        panic!("{publication:?}");
    };
    let data: Value = serde_json::from_str(data).unwrap();
    let (is_here, member) = match &*publication.event {
        "presence.joined" => (true, "user"),
        "presence.left" => (false, "user"),
        "occupied" => (true, "room"),
        "vacated" => (false, "room"),
        other => panic!("{other}"),
    };
    (is_here, data[member].as_str().unwrap().to_owned())
}
