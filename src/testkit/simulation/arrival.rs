//! How people come to a simulated server: from where, with which token, and whether they get in.

use std::net::{IpAddr, Ipv4Addr};

use crate::base::network::client_key;
use crate::testkit::operations::{
    ADDRESSES, Aspect, Claims, Entrance, Flaw, PER_CLIENT, Showing, USERS, Visit,
};
use crate::testkit::simulation::Simulation;
use crate::testkit::simulation::expected::{Asked, Awaited};
use crate::testkit::simulation::person::Person;
use crate::testkit::simulation::rights::{Deed, Standing};
use crate::testkit::world::{Answer, HOST, KEY, World};
use crate::wire::websocket::handshake::client_request;

/// Clients that are there at a time.
const PEOPLE_MAX: usize = 16;

/// What people offer about compression, one after the other: nothing, contexts where the server
/// has some, none of them and a small window.
const OFFERS: [&str; 3] = [
    "",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
     server_max_window_bits=9",
];

impl Simulation {
    pub(super) fn come(&mut self, visit: Visit) {
        let world = &mut self.world;
        let here = self.people.iter().filter(|person| person.stays(world));
        if here.count() >= PEOPLE_MAX {
            return;
        }
        let now = self.world.now();
        let (user, claims) = bearer(&visit);
        let client = self.world.open_from(visit.entrance.peer());
        let mut person = Person::new(client, visit, user, now.mono);
        let rooms = person.visit.rooms.iter().map(|room| format!("room={room}"));
        let mut target = format!("/ws?{}", rooms.collect::<Vec<_>>().join("&"));
        let forwarded = match person.visit.entrance {
            Entrance::Proxy(_) => Some(person.visit.entrance.address().to_string()),
            Entrance::Here | Entrance::Address(_) => None,
        };
        let (mut offered, mut bearer) = (vec!["kinglet.v1".to_owned()], None);
        if self.desk.is_open() {
            person.owner = person.visit.entrance.address().to_string();
        } else {
            let token = self.desk.token(&person.user, claims, now.wall);
            let text = &token.text;
            person.standing = Standing::User {
                rights: token.rights,
                expires: token.expires,
            };
            match person.visit.showing {
                Showing::Subprotocol => offered.push(format!("bearer.{text}")),
                Showing::Query => target += &format!("&token={text}"),
                Showing::Header => bearer = Some(format!("Bearer {text}")),
                Showing::Later | Showing::Never => person.standing = Standing::Pending,
            }
            person.first_token = Some(token);
        }
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let forwarded = forwarded.as_deref().map(|text| ("X-Forwarded-For", text));
        let bearer = bearer.as_deref().map(|text| ("Authorization", text));
        // Everybody hears the same, however it is compressed.
        let offer = OFFERS[self.people.len() % OFFERS.len()];
        let extension = ("Sec-WebSocket-Extensions", offer);
        let extra = forwarded.into_iter().chain(bearer).chain([extension]);
        let extra: Vec<(&str, &str)> = extra.collect();
        let request = client_request(HOST, &target, KEY, &offered, &extra);
        self.world.client(client).send(&request);
        self.people.push(person);
    }

    /// Sends a token: the first that counts, or a newer one.
    pub(super) fn show(&mut self, index: usize, claims: Claims) {
        let person = &self.people[index];
        let (user, claims) = match (person.standing, claims.flaw) {
            (Standing::User { .. }, Some(Flaw::Stranger)) => {
                (format!("u{}", (person.visit.user + 1) % USERS), claims)
            }
            // To a session that is nobody's yet, nobody is a stranger.
            (_, Some(Flaw::Stranger)) => (
                person.user.clone(),
                Claims {
                    flaw: None,
                    ..claims
                },
            ),
            _ => (person.user.clone(), claims),
        };
        let token = self.desk.token(&user, claims, self.world.now().wall);
        self.send_token(index, token);
    }

    /// Takes in how the requests of those who came were answered.
    pub(super) fn hear_answers(&mut self) {
        for index in 0..self.people.len() {
            let client = self.people[index].client;
            let answers: Vec<Answer> = self.world.client(client).answers.drain(..).collect();
            for answer in answers {
                if self.people[index].session.is_none() {
                    self.hear_answer(index, &answer);
                }
            }
        }
    }

    fn hear_answer(&mut self, index: usize, answer: &Answer) {
        let is_crowded = self.limited_clients && self.is_crowded(&self.people[index]);
        let is_easy = self.is_easy();
        let person = &mut self.people[index];
        let shown = match (person.standing, &person.first_token) {
            (Standing::User { .. }, Some(token)) => Some(token),
            (Standing::Open | Standing::User { .. } | Standing::Pending, _) => None,
        };
        // Clocks may differ by half a minute.
        let now = self.world.now().wall.as_millis();
        let may_have_ended = shown.is_some_and(|it| it.expires.as_millis() + 30_000 <= now);
        let is_bad = shown.is_some_and(|token| token.is_bad);
        let mut rooms = person.visit.rooms.iter();
        let is_forbidden = shown.is_some() && rooms.any(|room| !person.may(Deed::Subscribe, room));
        let is_fit = match answer.status {
            101 => !is_bad && !is_forbidden,
            401 => is_bad || may_have_ended,
            403 => is_forbidden,
            429 => is_crowded || self.tight.contains(&Aspect::Rooms),
            503 => self.is_draining,
            // What it sends after a refusal is no request.
            400 => person.is_gone,
            408 => person.is_gone || !is_easy,
            _ => false,
        };
        assert!(is_fit, "{answer:?} {person:?}");
        if answer.status != 101 {
            person.is_gone = true;
        } else if person.visit.showing == Showing::Later
            && let Some(token) = person.first_token.take()
        {
            self.send_token(index, token);
        }
    }

    /// Whether the client of a person may have as many connections as it may.
    fn is_crowded(&self, person: &Person) -> bool {
        let of = |person: &Person| match person.visit.entrance {
            Entrance::Here => None,
            Entrance::Address(_) | Entrance::Proxy(_) => {
                Some(client_key(person.visit.entrance.address()))
            }
        };
        let same = self.people.iter().filter(|other| of(other) == of(person));
        of(person).is_some() && same.count() > PER_CLIENT
    }

    fn send_token(&mut self, index: usize, token: super::rights::Token) {
        self.last_id += 1;
        let id = self.last_id;
        let command = serde_json::json!({"type": "auth", "token": token.text, "id": id});
        let person = &mut self.people[index];
        let asked = Asked::Auth(token);
        person.awaited.push_back(Awaited { id, asked });
        person.send_text(&mut self.world, &command);
    }
}

/// Whose token a visitor shows, and which. A stranger to nobody is somebody else.
fn bearer(visit: &Visit) -> (String, Claims) {
    let user = format!("u{}", visit.user);
    match visit.claims.flaw {
        Some(Flaw::Stranger) => (
            user,
            Claims {
                flaw: None,
                ..visit.claims
            },
        ),
        Some(Flaw::Forged | Flaw::Stale) | None => (user, visit.claims),
    }
}

impl Entrance {
    /// Whose connection the server sees.
    fn peer(self) -> IpAddr {
        match self {
            Self::Here | Self::Proxy(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Address(_) => self.address(),
        }
    }

    /// The client's address.
    fn address(self) -> IpAddr {
        match self {
            Self::Here => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Address(number) | Self::Proxy(number) => {
                let address = ADDRESSES[usize::from(number) % ADDRESSES.len()];
                address.parse().expect("an address")
            }
        }
    }
}

impl Person {
    /// Whether it neither went nor was ended or asked to go.
    pub(super) fn stays(&self, world: &mut World) -> bool {
        let client = world.client(self.client);
        !self.is_gone && client.end.is_none() && client.close_code().is_none()
    }
}
