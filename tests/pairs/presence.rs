//! Who is in a room, and what rooms are told of those who come and go.

mod model;

use std::time::Duration;

use kinglet::domain::presence::Presence;
use kinglet::domain::room::RoomName;
use kinglet::metrics::names::Counter;
use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{ClientId, Options, World};
use serde_json::{Value, json};

use crate::{SECOND, TICK, ask, pick, publish, reload, types, world};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Rooms of `club` tell who comes and goes.
const CLUB: &str = "[rooms.club]\njoin_leave = true\n";

/// The same in token mode, where admins are let in everywhere.
fn club(shards: u16) -> World {
    World::new(Options {
        config: &format!("{}{CLUB}", tokens::CONFIG),
        shards,
        ..Options::default()
    })
}

/// A session of a user; the next client is on the next shard.
fn enter(world: &mut World, user: &str, room: &str) -> ClientId {
    let token = Token::new(user, after(world.now().wall, 3600 * SECOND)).role("admin");
    let token = token.info(json!({ "name": user }));
    let bearer = token.bearer();
    let target = format!("/ws?room={room}");
    let (id, answer) = world.ask_to_upgrade(&target, &[], &[("Authorization", &bearer)]);
    assert_eq!(answer.status, 101, "{}", answer.body);
    id
}

/// What a client was told of presence: the event and whom it is about, with how many sessions.
fn heard(world: &mut World, id: ClientId) -> Vec<String> {
    let messages = world.client(id).take_json();
    let events = messages.iter().filter_map(|message| {
        let event = message["type"].as_str()?.strip_prefix("presence.")?;
        let data = &message["data"];
        let user = data["user"].as_str().unwrap_or("somebody");
        Some(format!("{event} {user} {}", data["sessions"]))
    });
    events.collect()
}

fn name(room: &str) -> RoomName {
    RoomName::parse(room).unwrap()
}

/// Users with their sessions, and the counts.
fn told(presence: &Presence) -> (Vec<&str>, usize, usize) {
    let users = presence.members.iter().map(|each| {
        let user = each.identity.user_id();
        user.map_or("", |user| user.as_str())
    });
    (users.collect(), presence.users, presence.sessions)
}

#[test]
fn presence_is_gathered_from_all_shards_in_the_order_of_coming() {
    for shards in [1, 2, 3] {
        let mut world = club(shards);
        let mut ids = Vec::new();
        for user in ["ada", "bob", "ada", "cyd"] {
            world.advance(2 * TICK);
            ids.push(enter(&mut world, user, "project:1"));
        }
        let presence = world.presence("project:1");
        assert_eq!(told(&presence), (vec!["ada", "bob", "ada", "cyd"], 3, 4));
        let since: Vec<u64> = presence
            .members
            .iter()
            .map(|each| each.since.as_millis())
            .collect();
        let now = world.now().wall.as_millis();
        for (index, since) in since.iter().enumerate() {
            let ago = u64::try_from((3 - index) * 128).unwrap();
            assert!(
                (now - ago - 64..=now - ago).contains(since),
                "{index}: {since}"
            );
        }
        world.client(ids[0]).cut();
        world.client(ids[3]).close(1000);
        ask(
            &mut world,
            ids[1],
            json!({"type": "unsubscribe", "room": "project:1"}),
        );
        assert_eq!(told(&world.presence("project:1")), (vec!["ada"], 1, 1));
        assert_eq!(told(&world.presence("nobody:here")), (vec![], 0, 0));
        assert_eq!(world.presence("nobody:here").position, None);
        // To be here already is no coming.
        ask(
            &mut world,
            ids[2],
            json!({"type": "subscribe", "room": "project:1"}),
        );
        let again = world.presence("project:1");
        assert_eq!(again.members[0].since.as_millis(), since[2]);
    }
}

#[test]
fn a_user_joins_once_and_leaves_once_whatever_its_tabs_do() {
    for shards in [1, 2, 3] {
        let mut world = club(shards);
        let watch = enter(&mut world, "watch", "club:1");
        world.advance(2 * SECOND);
        assert_eq!(heard(&mut world, watch), ["joined watch 1"]);
        let first = enter(&mut world, "ada", "club:1");
        world.advance(SECOND - MILLISECOND);
        assert!(heard(&mut world, watch).is_empty());
        let second = enter(&mut world, "ada", "club:1");
        world.advance(2 * MILLISECOND);
        assert_eq!(heard(&mut world, watch), ["joined ada 2"]);
        world.client(first).cut();
        world.advance(3 * SECOND);
        assert!(heard(&mut world, watch).is_empty());
        let third = enter(&mut world, "ada", "club:1");
        world.client(second).close(1000);
        world.advance(3 * SECOND);
        assert!(heard(&mut world, watch).is_empty());
        world.client(third).finish();
        world.advance(SECOND - MILLISECOND);
        assert!(heard(&mut world, watch).is_empty());
        world.advance(2 * MILLISECOND);
        assert_eq!(heard(&mut world, watch), ["left ada 0"]);
        assert_eq!(world.total(Counter::PresenceTold), 3);
    }
}

#[test]
fn what_is_undone_within_a_second_is_not_told() {
    for shards in [1, 2, 3] {
        let mut world = club(shards);
        let watch = enter(&mut world, "watch", "club:1");
        let ada = enter(&mut world, "ada", "club:1");
        world.advance(2 * SECOND);
        heard(&mut world, watch);
        // A page that is loaded anew, also at the end of the second, and again and again.
        world.client(ada).cut();
        for _ in 0..5 {
            world.advance(900 * MILLISECOND);
            let ada = enter(&mut world, "ada", "club:1");
            world.advance(900 * MILLISECOND);
            world.client(ada).cut();
        }
        world.advance(900 * MILLISECOND);
        enter(&mut world, "ada", "club:1");
        world.advance(3 * SECOND);
        // Who looks in, and is gone.
        let bob = enter(&mut world, "bob", "club:1");
        world.advance(900 * MILLISECOND);
        world.client(bob).close(1000);
        world.advance(3 * SECOND);
        assert!(heard(&mut world, watch).is_empty());
        // A second is a second.
        let bob = enter(&mut world, "bob", "club:1");
        world.advance(1100 * MILLISECOND);
        world.client(bob).close(1000);
        world.advance(3 * SECOND);
        assert_eq!(heard(&mut world, watch), ["joined bob 1", "left bob 0"]);
    }
}

#[test]
fn a_session_that_is_nobodys_comes_and_goes_by_itself() {
    let mut world = world(CLUB);
    let watch = world.connect("/ws?room=club:1");
    world.advance(2 * TICK);
    let other = world.connect("/ws?room=club:1");
    world.advance(2 * SECOND);
    let messages = world.client(watch).take_json();
    let events: Vec<Vec<Value>> = messages
        .iter()
        .map(|message| pick(message, &["type", "room", "offset"]))
        .collect();
    let joined = |offset: u64| vec![json!("presence.joined"), json!("club:1"), json!(offset)];
    assert_eq!(events, [joined(1), joined(2)]);
    let presence = world.presence("club:1");
    assert_eq!((presence.users, presence.sessions), (0, 2));
    for (message, member) in messages.iter().zip(&presence.members) {
        assert_eq!(message["data"]["session"], member.session.to_string());
    }
    world.client(other).close(1000);
    world.advance(2 * SECOND);
    assert_eq!(heard(&mut world, watch), ["left somebody 0"]);
}

#[test]
fn what_the_token_says_of_a_user_is_told_with_its_coming() {
    let mut world = club(2);
    let watch = enter(&mut world, "watch", "club:1");
    world.advance(2 * SECOND);
    let messages = world.client(watch).take_json();
    assert_eq!(
        messages[0]["data"],
        json!({"user": "watch", "sessions": 1, "info": {"name": "watch"}})
    );
    let presence = world.presence("club:1");
    let info = presence.members[0]
        .identity
        .info()
        .map(|info| info.as_str());
    assert_eq!(info, Some(r#"{"name":"watch"}"#));
}

#[test]
fn who_comes_and_goes_is_recovered_like_everything_in_the_stream() {
    let mut world = club(2);
    let watch = enter(&mut world, "watch", "club:1");
    let ada = enter(&mut world, "ada", "club:1");
    world.advance(2 * SECOND);
    let position = world.presence("club:1").position.unwrap();
    assert_eq!(position.offset, 2);
    world.client(watch).cut();
    world.client(ada).cut();
    world.advance(2 * SECOND);
    let back = enter(&mut world, "watch", "global");
    let since = json!({"epoch": position.epoch.as_str(), "offset": position.offset});
    let reply = ask(
        &mut world,
        back,
        json!({"type": "subscribe", "room": "club:1", "since": since}),
    );
    assert_eq!(reply[0]["recovered"], true);
    let missed = reply[0]["publications"].as_array().unwrap();
    let users: Vec<&Value> = missed.iter().map(|entry| &entry["data"]["user"]).collect();
    assert_eq!(types(missed), ["presence.left"; 2]);
    assert_eq!(users, ["watch", "ada"]);
}

#[test]
fn rooms_do_not_tell_unless_they_are_asked_to() {
    let mut world = world("");
    let watch = world.connect("/ws?room=project:1");
    for _ in 0..3 {
        let id = world.connect("/ws?room=project:1");
        world.client(id).cut();
        world.advance(2 * SECOND);
    }
    assert!(world.client(watch).take_json().is_empty());
    assert_eq!(world.total(Counter::PresenceTold), 0);
}

#[test]
fn the_room_system_hears_which_rooms_are_occupied_and_vacated() {
    for shards in [1, 2, 3] {
        let mut world = World::new(Options {
            config: "[rooms.hidden]\npresence = false\n",
            shards,
            ..Options::default()
        });
        let before = world.connect("/ws?room=chat:0");
        world.advance(2 * SECOND);
        assert_eq!(world.total(Counter::PresenceTold), 0, "nobody listens");
        let system = world.connect("/ws?room=system");
        let expect = |world: &mut World, expected: &[(&str, &str)]| {
            let messages = world.client(system).take_json();
            let events: Vec<_> = messages
                .iter()
                .map(|message| {
                    assert_eq!(message["room"], "system");
                    (
                        message["type"].as_str().unwrap(),
                        message["data"]["room"].as_str().unwrap(),
                    )
                })
                .collect();
            assert_eq!(events, expected);
        };
        let ids = [
            world.connect("/ws?room=chat:1&room=hidden:1"),
            world.connect("/ws?room=chat:1"),
        ];
        world.advance(SECOND - MILLISECOND);
        expect(&mut world, &[]);
        world.advance(2 * MILLISECOND);
        expect(&mut world, &[("occupied", "chat:1")]);
        world.client(ids[0]).cut();
        world.client(before).close(1000);
        world.advance(2 * SECOND);
        expect(&mut world, &[("vacated", "chat:0")]);
        world.client(ids[1]).cut();
        world.advance(900 * MILLISECOND);
        let last = world.connect("/ws?room=chat:1");
        world.advance(3 * SECOND);
        expect(&mut world, &[]);
        world.client(last).cut();
        world.advance(2 * SECOND);
        expect(&mut world, &[("vacated", "chat:1")]);
        world.client(system).cut();
        world.connect("/ws?room=chat:2");
        let told = world.total(Counter::PresenceTold);
        world.advance(2 * SECOND);
        assert_eq!(world.total(Counter::PresenceTold), told);
        assert_eq!(world.services.rooms.unsettled(), 0);
    }
}

#[test]
fn the_room_system_keeps_what_happened_if_it_is_to() {
    let mut world = world("[rooms.system]\nhistory_count = 10\n");
    let id = world.connect("/ws?room=chat:1");
    world.advance(2 * SECOND);
    world.client(id).cut();
    world.advance(2 * SECOND);
    let id = world.connect("/ws?room=global");
    let command = json!({"type": "subscribe", "room": "system", "since": 0});
    let reply = ask(&mut world, id, command);
    let missed = reply[0]["publications"].as_array().unwrap();
    assert_eq!(types(missed), ["occupied", "vacated"]);
    let forged = json!({"type": "publish", "room": "system", "event": "occupied"});
    let refused = ask(&mut world, id, forged);
    assert_eq!(refused[0]["data"]["code"], "PERMISSION_DENIED");
}

#[test]
fn where_presence_is_off_nobody_is_told_and_the_key_is_named() {
    let mut world = world("[rooms.hidden]\npresence = false\n");
    let id = world.connect("/ws?room=hidden:1");
    let command = json!({"type": "presence", "room": "hidden:1", "id": 7});
    let reply = ask(&mut world, id, command);
    let found = pick(&reply[0], &["type", "id"]);
    assert_eq!(found, [json!("error"), json!(7)]);
    assert_eq!(reply[0]["data"]["code"], "PERMISSION_DENIED");
    let text = reply[0]["error"].as_str().unwrap();
    assert!(text.contains("rooms.hidden.presence is false"), "{text}");
}

#[test]
fn a_reload_takes_effect_in_a_room_when_all_have_left() {
    let mut world = world("");
    let watch = world.connect("/ws?room=club:1");
    reload(&mut world, CLUB);
    let other = world.connect("/ws?room=club:1");
    world.advance(2 * SECOND);
    world.client(other).cut();
    world.advance(2 * SECOND);
    assert!(heard(&mut world, watch).is_empty());
    ask(
        &mut world,
        watch,
        json!({"type": "unsubscribe", "room": "club:1"}),
    );
    ask(
        &mut world,
        watch,
        json!({"type": "subscribe", "room": "club:1"}),
    );
    world.advance(2 * SECOND);
    assert_eq!(heard(&mut world, watch), ["joined somebody 1"]);
    reload(&mut world, "");
    let other = world.connect("/ws?room=club:1");
    world.advance(2 * SECOND);
    assert_eq!(heard(&mut world, watch), ["joined somebody 1"]);
    for id in [watch, other] {
        world.client(id).cut();
    }
    let watch = world.connect("/ws?room=club:1");
    world.advance(2 * SECOND);
    assert!(heard(&mut world, watch).is_empty());
    assert_eq!(world.services.rooms.unsettled(), 0);
}

#[test]
fn a_room_that_is_dropped_leaves_nothing_behind() {
    let mut world = world(&format!(
        "[limits]\nrooms = 2\n{CLUB}history_count = 0\n[rooms.system]\nhistory_count = 9\n"
    ));
    let id = world.connect("/ws?room=club:1");
    world.advance(2 * SECOND);
    assert_eq!(world.total(Counter::PresenceTold), 2, "one in system");
    ask(
        &mut world,
        id,
        json!({"type": "unsubscribe", "room": "club:1"}),
    );
    let reply = ask(&mut world, id, publish("chat:1", 1));
    assert_eq!(types(&reply), ["published"], "club:1 makes place");
    world.advance(2 * SECOND);
    assert!(world.services.rooms.summary(&name("club:1")).is_none());
    assert_eq!(world.services.rooms.unsettled(), 0);
    assert!(world.shards().all(|shard| shard.unsettled() == 0));
    assert_eq!(world.total(Counter::PresenceTold), 3, "it is vacated");
}

#[test]
fn when_the_limit_on_rooms_leaves_no_place_for_system_it_is_counted() {
    let mut world = world("[limits]\nrooms = 1\n[rooms.system]\nhistory_count = 9\n");
    world.connect("/ws?room=chat:1");
    world.advance(3 * SECOND);
    assert_eq!(world.total(Counter::PresenceUntold), 1);
    assert!(world.shards().all(|shard| shard.unsettled() == 0));
}

#[test]
fn a_server_that_shuts_down_tells_nobody_who_goes() {
    for shards in [1, 2] {
        let mut world = club(shards);
        let ids: Vec<_> = (0..4).map(|_| enter(&mut world, "ada", "club:1")).collect();
        world.advance(SECOND / 2);
        world.begin_drain(10 * SECOND);
        world.advance(11 * SECOND);
        for id in ids {
            assert!(heard(&mut world, id).is_empty());
        }
        assert_eq!(world.total(Counter::PresenceTold), 0);
        let (rooms, _) = world.services.rooms.list("", "", 9, |_| true);
        assert!(rooms.iter().all(|room| room.members == 0));
    }
}

#[test]
fn who_comes_or_goes_while_somebody_reads_is_told_of_in_any_case() {
    for shards in [1, 2] {
        let mut world = club(shards);
        let watch = enter(&mut world, "watch", "club:1");
        let ada = enter(&mut world, "ada", "club:1");
        world.advance(2 * SECOND);
        heard(&mut world, watch);
        world.client(ada).cut();
        world.settle();
        assert_eq!(world.presence("club:1").users, 1, "as who asks is told now");
        enter(&mut world, "ada", "club:1");
        world.advance(2 * SECOND);
        assert_eq!(heard(&mut world, watch), ["joined ada 1"]);
    }
}

#[test]
fn a_durable_room_tells_by_way_of_the_disk() {
    let config = "[rooms.club]\njoin_leave = true\ndurable = true\n\
        [rooms.system]\nhistory_count = 10\ndurable = true\n";
    let config = format!("{}{config}", tokens::CONFIG);
    let options = Options {
        config: &config,
        ..Options::default()
    };
    let mut world = World::new(options);
    let first = enter(&mut world, "ann", "club:1");
    let second = enter(&mut world, "bob", "club:1");
    world.writing.hold = true;
    world.advance(SECOND * 2);
    assert_eq!(heard(&mut world, first), [""; 0]);
    assert_eq!(world.total(Counter::PresenceTold), 0);
    world.writing.hold = false;
    world.advance(SECOND);
    assert_eq!(heard(&mut world, first), ["joined ann 1", "joined bob 1"]);
    // Both have rooms of their own, and `system` is told of all three.
    assert_eq!(world.total(Counter::PresenceTold), 5);

    world.writing.failing_percent = 100;
    world.client(second).cut();
    world.advance(SECOND * 2);
    assert_eq!(heard(&mut world, first), [""; 0]);
    assert_eq!(world.total(Counter::PresenceUntold), 2);

    let disk = world.disk.clone();
    drop(world);
    let mut world = World::on(options, disk);
    let admin = enter(&mut world, "cat", "elsewhere");
    for (room, count) in [("club:1", 2), ("system", 3)] {
        let history = json!({"type": "history", "room": room, "since": 0});
        let page = &ask(&mut world, admin, history)[0];
        let told = page["publications"].as_array().map(Vec::len);
        assert_eq!(told, Some(count), "{page}");
    }
}
