//! What the operator of a simulated server does: sessions are managed, the configuration is
//! replaced, a backend publishes.

use std::sync::Arc;

use serde_json::json;

use crate::base::ids::SessionId;
use crate::bus::mail::{Mail, Manage, Who as Meant, ask};
use crate::config::{Flags, Sources, no_files, reload as read};
use crate::domain::command::{Payload, Publish};
use crate::domain::room::RoomName;
use crate::runtime::reload::{Reader, reload};
use crate::testkit::operations::{Aspect, Change, Order, SHIFTING, Whom};
use crate::testkit::simulation::Simulation;
use crate::testkit::simulation::expected::{Verb, Wish};
use crate::testkit::simulation::person::Person;
use crate::testkit::simulation::rights::Standing;

/// A line that no configuration may have.
const NONSENSE: &str = "\n[limits.none]\nnone = 0\n";

/// More connections than there ever are.
const CONNECTIONS_MAX: usize = 1 << 20;

impl Simulation {
    /// Has sessions managed, as the workers do it.
    pub(super) fn manage(&mut self, whom: Whom, order: Order) {
        let who = match whom {
            Whom::Session(who) => {
                let index = self.present(who);
                let session = index.and_then(|index| self.people[index].session.as_deref());
                match session.and_then(SessionId::parse) {
                    Some(id) => Meant::Session(id),
                    None => return,
                }
            }
            Whom::User(number) => Meant::User(format!("u{number}").into()),
        };
        let what = match order {
            Order::Disconnect(code) => Manage::Disconnect {
                code,
                reason: "an operator".into(),
            },
            Order::Subscribe(room) => Manage::Subscribe(name(room)),
            Order::Unsubscribe(room) => Manage::Unsubscribe(name(room)),
        };
        let answers = ask(&self.world.services.mailboxes, |reply| Mail::Manage {
            who: who.clone(),
            what: what.clone(),
            reply,
        });
        if answers.is_none() {
            return;
        }
        let verb = match order {
            Order::Disconnect(code) => Verb::Closed(code),
            Order::Subscribe(room) => Verb::Subscribed(room.to_owned()),
            Order::Unsubscribe(room) => Verb::Unsubscribed(room.to_owned()),
        };
        // A session may be full of rooms, or the server.
        let is_certain = !self.is_draining && !self.tight.contains(&Aspect::Rooms);
        for person in self
            .people
            .iter_mut()
            .filter(|person| person.is_meant(&who))
        {
            let is_certain = is_certain && person.session.is_some();
            let verb = verb.clone();
            person.wishes.push(Wish { verb, is_certain });
        }
    }

    /// Has the configuration read again after `change`. One with a fault changes nothing.
    pub(super) fn reload(&mut self, change: Change) {
        self.settings.change(change);
        let mut text = self.settings.text();
        if change == Change::Nonsense {
            text += NONSENSE;
        }
        let reader: Reader = Box::new(move |current| {
            let flags = Flags::default();
            let sources = Sources {
                file: Some(("world.toml", &text)),
                environment: &[],
                flags: &flags,
                files: no_files,
            };
            let mut reload = read(current, &sources)?;
            let files = &current.server.tls.files;
            reload.config.server.tls.files.clone_from(files);
            Ok(reload)
        });
        let services = &self.world.services;
        let before = services.live();
        let written = reload(
            &reader,
            &before.config,
            CONNECTIONS_MAX,
            services,
            self.world.now().wall,
        );
        let is_same = Arc::ptr_eq(&before, &services.live());
        assert_eq!(written.is_none(), change == Change::Nonsense);
        assert_eq!(is_same, change == Change::Nonsense);
        self.tight.extend(&self.settings.tight);
        self.limited_clients |= self.settings.limits_clients;
        if self.tight.contains(&Aspect::Rooms) {
            let wishes = self.people.iter_mut().flat_map(|person| &mut person.wishes);
            wishes.for_each(|wish| wish.is_certain = false);
        }
        self.note_policy();
    }

    /// Notes the policy of what is published from now on.
    pub(super) fn note_policy(&mut self) {
        let services = &self.world.services;
        let live = services.live();
        let options = live.config.rooms.options_of_room(SHIFTING);
        let summary = services.rooms.summary(&name(SHIFTING));
        let offset = summary.map_or(0, |summary| summary.position.offset);
        if let Some(options) = options {
            self.policies.note(offset, options.slow_consumer);
        }
    }

    /// Publishes as a backend does, past all sockets; nobody shall hear it in the session of
    /// `except`.
    pub(super) fn backend(&mut self, rooms: &[&str], filling: u8, except: Option<usize>) {
        let number = self.ledger.next_number();
        let left_out = except.and_then(|index| {
            let session = self.people[index].session.as_deref();
            Some((index, session.and_then(SessionId::parse)?))
        });
        let data = json!([number, "x".repeat(usize::from(filling))]).to_string();
        let publish = Publish {
            rooms: rooms.iter().map(|room| name(room)).collect(),
            event: "said".into(),
            payload: Payload::Json(data.into()),
            source: None,
            key: None,
            except: left_out.iter().map(|(_, session)| *session).collect(),
        };
        let now = self.world.now();
        let Ok(publication) = self.world.services.rooms.publish(publish, now) else {
            self.ledger.refuse(number);
            return;
        };
        for placement in &publication.placements {
            let (room, offset) = (placement.room.as_str(), placement.offset);
            self.ledger
                .accept_at(number, room, placement.epoch.as_str(), offset);
            if let Some((index, _)) = left_out {
                self.people[index].leave_out(number, room, offset);
            }
        }
    }
}

impl Person {
    /// Whether an operator may mean this one.
    fn is_meant(&self, who: &Meant) -> bool {
        match who {
            Meant::Session(id) => self.session.as_deref() == Some(&*id.to_string()),
            Meant::User(user) => self.standing != Standing::Open && *self.user == **user,
        }
    }
}

fn name(room: &str) -> RoomName {
    RoomName::parse(room).expect("the name of a room")
}
