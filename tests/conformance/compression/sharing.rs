//! Who gets which form of a publication, how often it is compressed, and what is kept for it.

use std::time::Duration;

use kinglet::metrics::names::Counter;
use kinglet::testkit::deflate::ClientDeflate;
use kinglet::testkit::tokens::{self, Token, after};
use kinglet::testkit::world::{ClientId, World};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::{Value, json};

use crate::compression::{connect, received, world};

/// A kibibyte and more, which compresses well.
fn long() -> String {
    "what is said in this room, again and again; ".repeat(40)
}

fn member(world: &mut World, offer: &str) -> ClientId {
    connect(world, "/ws?room=a", &[offer], 15).0
}

fn publish(world: &mut World, by: ClientId, rooms: &[&str], data: &str) {
    let event = json!({"type": "publish", "rooms": rooms, "event": "said", "data": data});
    world.client(by).command(event);
    world.settle();
}

/// The data of the publications that a client has received since the last time.
fn said(world: &mut World, id: ClientId) -> Vec<Value> {
    world.settle();
    let messages = world.client(id).take_json();
    let said = messages.iter().filter(|message| message["type"] == "said");
    said.map(|message| message["data"].clone()).collect()
}

#[test]
fn a_publication_is_compressed_once_for_each_window() {
    let mut world = world("");
    let plain = world.connect("/ws?room=a");
    let offers = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
    ];
    let any: Vec<ClientId> = (0..10).map(|n| member(&mut world, offers[n % 2])).collect();
    let mut narrow = Vec::new();
    for bits in 9..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        narrow.extend((0..3).map(|_| member(&mut world, &offer)));
    }
    publish(&mut world, plain, &["a"], &long());
    // Whoever asked for 15 bits gets what those get who did not ask.
    assert_eq!(world.total(Counter::MessagesDeflated), 7);
    for id in any.iter().chain(&narrow) {
        assert_eq!(said(&mut world, *id), [long()]);
        assert_eq!(world.client(*id).inflated, 1);
    }
    assert_eq!(said(&mut world, plain), [long()]);
    assert_eq!(world.client(plain).inflated, 0);
    assert_eq!(world.total(Counter::ContextsMade), 0);
    assert_eq!(world.total(Counter::SessionsCompressed), 31);
    let before = world.total(Counter::DeflatedBytesBefore);
    let after = world.total(Counter::DeflatedBytesAfter);
    assert!(7 * 1000 < before && after < before / 5, "{before} {after}");
}

#[test]
fn nothing_is_compressed_if_nobody_agreed() {
    let mut world = world("");
    let ids: Vec<ClientId> = (0..3).map(|_| world.connect("/ws?room=a")).collect();
    publish(&mut world, ids[0], &["a"], &long());
    assert_eq!(world.total(Counter::MessagesDeflated), 0);
    assert_eq!(world.total(Counter::SessionsCompressed), 0);
}

#[test]
fn short_messages_are_sent_as_they_are() {
    let mut world = world("[compression]\nmin_bytes = 300\n");
    let id = member(&mut world, "permessage-deflate");
    publish(&mut world, id, &["a"], &"x".repeat(100));
    assert_eq!(said(&mut world, id).len(), 1);
    assert_eq!(world.client(id).inflated, 0);
    publish(&mut world, id, &["a"], &"x".repeat(300));
    assert_eq!(said(&mut world, id).len(), 1);
    assert_eq!(world.client(id).inflated, 1);
    assert_eq!(world.total(Counter::MessagesDeflated), 1);
}

#[test]
fn replies_are_compressed_for_whoever_asked() {
    let mut world = world("");
    let id = member(&mut world, "permessage-deflate; server_max_window_bits=9");
    for number in 0..20 {
        publish(&mut world, id, &["a"], &format!("number {number}"));
    }
    received(&mut world, id);
    let before = world.client(id).inflated;
    world
        .client(id)
        .command(json!({"type": "history", "room": "a"}));
    world.settle();
    let history = world.client(id).take_json().remove(0);
    assert_eq!(history["publications"].as_array().unwrap().len(), 20);
    assert_eq!(world.client(id).inflated, before + 1);
}

#[test]
fn each_set_of_rooms_has_its_own_compressed_form() {
    let mut world = world("");
    let offer = &["permessage-deflate"][..];
    let (both, _) = connect(&mut world, "/ws?room=a&room=b", offer, 15);
    let (second, _) = connect(&mut world, "/ws?room=b", offer, 15);
    publish(&mut world, both, &["a", "b"], &long());
    let message = |world: &mut World, id| {
        let messages = world.client(id).take_json();
        let found = messages
            .into_iter()
            .find(|message| message["type"] == "said");
        found.unwrap()
    };
    assert_eq!(message(&mut world, both)["also"][0]["room"], "b");
    let other = message(&mut world, second);
    assert_eq!(
        (&other["room"], &other["also"]),
        (&json!("b"), &Value::Null)
    );
    assert_eq!(world.total(Counter::MessagesDeflated), 2);
}

#[test]
fn shards_share_what_one_of_them_has_compressed() {
    let mut world = World::new(kinglet::testkit::world::Options {
        shards: 3,
        ..Default::default()
    });
    let ids: Vec<ClientId> = (0..9)
        .map(|_| member(&mut world, "permessage-deflate"))
        .collect();
    publish(&mut world, ids[0], &["a"], &long());
    for id in ids {
        assert_eq!(said(&mut world, id), [long()]);
    }
    assert_eq!(world.total(Counter::MessagesDeflated), 1);
}

const TAKEOVER: &str = "[limits]\nmessages_per_second = 0\n[compression]\ntakeover = true\n";

#[test]
fn with_takeover_each_connection_is_compressed_for_on_its_own_context() {
    let mut world = world(TAKEOVER);
    let plain = world.connect("/ws?room=a");
    let keeping = [
        member(&mut world, "permessage-deflate"),
        member(&mut world, "permessage-deflate"),
    ];
    let refusing = member(&mut world, "permessage-deflate; server_no_context_takeover");
    assert_eq!(
        world.total(Counter::ContextsMade),
        0,
        "made when they are needed"
    );
    for _ in 0..5 {
        publish(&mut world, plain, &["a"], &long());
    }
    // Two on contexts, one shared.
    assert_eq!(world.total(Counter::MessagesDeflated), 15);
    assert_eq!(world.total(Counter::ContextsMade), 2);
    for id in keeping.into_iter().chain([refusing]) {
        assert_eq!(
            said(&mut world, id),
            [long(), long(), long(), long(), long()]
        );
        assert_eq!(world.client(id).inflated, 5);
    }
    // What a client sends compressed takes a context of its own.
    let ping = json!({"type": "ping"}).to_string();
    for id in [keeping[0], refusing] {
        let opcode = Opcode::Text;
        world
            .client(id)
            .message(opcode, ping.as_bytes(), usize::MAX);
        world
            .client(id)
            .message(opcode, ping.as_bytes(), usize::MAX);
    }
    world.settle();
    assert_eq!(world.total(Counter::ContextsMade), 4);
    for id in [keeping[0], keeping[1], refusing] {
        world.client(id).cut();
    }
    world.settle();
    assert_eq!(world.total(Counter::ContextsFreed), 4);
}

#[test]
fn a_thousand_sessions_have_contexts_and_the_next_is_served_without() {
    let mut world = world(TAKEOVER);
    let kept = "permessage-deflate";
    let first: Vec<ClientId> = (0..1000)
        .map(|_| {
            let (id, answer) = connect(&mut world, "/ws?room=a", &[kept], 15);
            assert_eq!(answer, kept);
            id
        })
        .collect();
    let (_, answer) = connect(&mut world, "/ws?room=a", &[kept], 15);
    assert_eq!(answer, crate::compression::ALONE);
    assert_eq!(world.total(Counter::ContextsRefused), 1);
    world.client(first[7]).cut();
    world.settle();
    let (_, answer) = connect(&mut world, "/ws?room=a", &[kept], 15);
    assert_eq!(answer, kept);
}

/// Slow members of rooms of each policy, with and without contexts, get what they can read.
#[test]
fn slow_members_can_read_everything_they_get() {
    for config in ["", "[compression]\ntakeover = true\nmin_bytes = 100\n"] {
        for policy in ["close", "drop_oldest", "latest", "lag"] {
            let config = format!(
                "[limits]\nmessages_per_second = 0\noutbox_messages = 16\n{config}\
                 [rooms.default]\nslow_consumer = \"{policy}\"\nhistory_count = 500\n"
            );
            let mut world = world(&config);
            let plain = world.connect("/ws?room=a");
            world.conditions.capacity = 1000;
            let slow = member(&mut world, "permessage-deflate");
            world.client(slow).appetite = Some(0);
            for number in 0..100 {
                let data = format!("{} {number}", "words that come again ".repeat(60));
                publish(&mut world, plain, &["a"], &data);
            }
            world.client(slow).appetite = Some(500);
            world.settle();
            // Whatever it got could be inflated; the last one shows that nothing was mixed up.
            let heard = said(&mut world, slow);
            let last = heard.last().and_then(Value::as_str).unwrap();
            let number: u32 = last.rsplit(' ').next().unwrap().parse().unwrap();
            let is_closed = world.client(slow).close_code().is_some();
            assert_eq!(is_closed, policy == "close", "{policy}");
            assert!(is_closed || number == 99, "{policy}: {number}");
            if policy == "lag" {
                assert_eq!(heard.len(), 100);
            }
        }
    }
}

#[test]
fn a_reload_changes_what_is_agreed_on_from_then_on() {
    let mut world = world("");
    let old = member(&mut world, "permessage-deflate");
    let sources = kinglet::config::Sources {
        file: Some((
            "world.toml",
            "[compression]\nenabled = false\nmin_bytes = \"1MiB\"\n",
        )),
        environment: &[],
        flags: &kinglet::config::Flags::default(),
        files: kinglet::config::no_files,
    };
    let (config, _) = kinglet::config::load(&sources).unwrap();
    let live = kinglet::app::services::Live::of(config).unwrap();
    world.services.replace(live);
    world.settle();
    let (new, answer) = connect(&mut world, "/ws?room=a", &["permessage-deflate"], 15);
    assert_eq!(answer, "");
    publish(&mut world, new, &["a"], &long());
    assert_eq!(said(&mut world, old), [long()]);
    assert_eq!(world.client(old).inflated, 0, "below the new least");
}

#[test]
fn in_token_mode_only_who_shows_a_token_at_the_upgrade_gets_compression() {
    let mut world = world(tokens::CONFIG);
    let token = Token::new("ada", after(world.now().wall, Duration::from_secs(60)));
    let offer = ("Sec-WebSocket-Extensions", "permessage-deflate");
    let bearer = token.bearer();
    let shown = [offer, ("Authorization", bearer.as_str())];
    let (_, answer) = world.ask_to_upgrade("/ws", &[], &shown);
    assert_eq!(
        answer.extensions.as_deref(),
        Some(crate::compression::ALONE)
    );
    let (pending, answer) = world.ask_to_upgrade("/ws", &[], &[offer]);
    assert_eq!((answer.status, answer.extensions), (101, None));
    let auth = json!({"type": "auth", "token": token.sign()}).to_string();
    let compressed = {
        let mut sender = ClientDeflate::of_answer(crate::compression::ALONE, 15).unwrap();
        sender.compress(auth.as_bytes())
    };
    let client = world.client(pending);
    client.fragments(Opcode::Text, true, &compressed, usize::MAX);
    world.settle();
    assert_eq!(world.client(pending).close_code(), Some(1002));
    assert_eq!(world.total(Counter::MessagesInflated), 0);
}

#[test]
fn an_extensions_header_that_is_none_is_refused() {
    let mut world = world("");
    let malformed = ("Sec-WebSocket-Extensions", "permessage-deflate; =");
    let (_, answer) = world.ask_to_upgrade("/ws", &[], &[malformed]);
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("RFC 6455 section 9.1"),
        "{}",
        answer.body
    );
}
