//! What the server says, byte for byte.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::{
    HistoryPage, Recovery, acknowledged, error, hello, history, pong, presence, publication,
    published, subscribed, subscribed_without, unsubscribed,
};
use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::config::SlowConsumer;
use crate::dialect::delivery::{Delivery, Wording};
use crate::dialect::native::decode::{Correlation, CorrelationKey};
use crate::dialect::publication::{Placement, Publication, RoomSet};
use crate::domain::access::{DEFAULT_ROLE, Identity, Info, Role, User, UserId};
use crate::domain::command::Payload;
use crate::domain::durable::DurableName;
use crate::domain::fault::{Code, Fault};
use crate::domain::position::{Epoch, Position};
use crate::domain::presence::{Presence, Present};
use crate::domain::room::RoomName;
use crate::domain::run::PendingPermission;
use crate::domain::run::RunId;

const NOW: Wall = Wall::from_millis(1_767_225_600_123);
const TIME: &str = r#""timestamp":"2026-01-01T00:00:00.123Z""#;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn position(offset: u64) -> Position {
    let epoch = Epoch::parse("e1").unwrap();
    Position { epoch, offset }
}

fn event(rooms: &[(&str, u64)], payload: Payload, source: Option<&str>) -> Publication {
    let placement = |(name, offset): &(&str, u64)| Placement {
        room: room(name),
        offset: *offset,
        epoch: position(0).epoch,
        slow_consumer: SlowConsumer::Close,
    };
    let placements = rooms.iter().map(placement).collect();
    Publication {
        event: "said".into(),
        payload,
        source: source.map(Into::into),
        timestamp: NOW,
        uid: 0xab,
        has_copies: rooms.len() > 1,
        placements,
        sequence: 1,
        except: Box::default(),
    }
}

fn json(data: &str) -> Payload {
    Payload::Json(data.into())
}

/// `TIME` in `expected` stands for the timestamp.
fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let mut out = Vec::new();
    write(&mut out);
    let found = String::from_utf8(out).unwrap();
    assert_eq!(found, expected.replace("TIME", TIME));
    serde_json::from_str::<serde_json::Value>(&found).unwrap();
}

#[test]
fn who_subscribes_to_a_project_is_told_what_its_agents_ask_permission_for() {
    let run = RunId::parse("7c9e6679-7425-40de-944b-e07fc1f90ae7").unwrap();
    let pending = [Arc::new(PendingPermission {
        run,
        request: "r1".into(),
        tool: "Bash".into(),
        input: "{}".into(),
    })];
    let told = format!(
        "\"pending\":[{{\"run\":\"{run}\",\"request\":\"r1\",\"tool\":\"Bash\",\"input\":{{}}}}],{TIME}}}"
    );
    let none = Correlation::default();
    type Write<'a> = &'a dyn Fn(&[Arc<PendingPermission>], &mut Vec<u8>);
    let check = |write: Write<'_>| {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        write(&pending, &mut with);
        write(&[], &mut without);
        let (with, without) = (str::from_utf8(&with), str::from_utf8(&without));
        assert!(with.unwrap().ends_with(&told), "{with:?}");
        assert!(!without.unwrap().contains("pending"));
    };
    let (room, position, asked) = (room("a"), position(2), Recovery::NotAsked);
    check(&|pending, out| subscribed(&none, &room, &position, &asked, None, pending, NOW, out));
    check(&|pending, out| subscribed_without(&room, &position, Some(true), pending, NOW, out));
}

#[test]
fn a_publication_names_its_first_room_and_the_others_the_reader_is_in() {
    let one = event(&[("a", 7)], json("[1]"), Some("s\"x"));
    check(
        |out| publication(&one, RoomSet::FIRST, out),
        r#"{"type":"said","room":"a","offset":7,TIME,"data":[1],"source":"s\"x"}"#,
    );
    let three = event(&[("a", 7), ("project:p", 1), ("b", 3)], json("null"), None);
    let uid = format!(r#""uid":"{:0>32}""#, "ab");
    let both = RoomSet::default().with(1).with(2);
    check(
        |out| publication(&three, both, out),
        &format!(
            r#"{{"type":"said","room":"project:p","offset":1,TIME,"data":null,{uid},"project_id":"p","also":[{{"room":"b","offset":3}}]}}"#
        ),
    );
    check(
        |out| publication(&three, RoomSet::default().with(2), out),
        &format!(r#"{{"type":"said","room":"b","offset":3,TIME,"data":null,{uid}}}"#),
    );
}

#[test]
fn bytes_are_spelt_in_base64() {
    let bytes = event(&[("a", 1)], Payload::Bytes(vec![0, 255].into()), None);
    check(
        |out| publication(&bytes, RoomSet::FIRST, out),
        r#"{"type":"said","room":"a","offset":1,TIME,"data":{"base64":"AP8="}}"#,
    );
}

#[test]
fn replies_repeat_the_id_under_the_key_it_came_in() {
    let none = Correlation::default();
    check(|out| pong(&none, NOW, out), r#"{"type":"pong",TIME}"#);
    let mut to = Correlation {
        id: Some((CorrelationKey::RequestId, "\"x\"".into())),
        project_id: Some("p".into()),
    };
    let expected = r#"{"type":"unsubscribed","request_id":"x","room":"a",TIME}"#;
    check(|out| unsubscribed(&to, &room("a"), NOW, out), expected);
    to.id = Some((CorrelationKey::Id, "1.50".into()));
    let fault = Fault::new(Code::NotFound, "no \"a\"");
    check(
        |out| error(&to, &fault, NOW, out),
        r#"{"type":"error","id":1.50,"project_id":"p","error":"no \"a\"","data":{"code":"NOT_FOUND","message":"no \"a\"","details":{}},TIME}"#,
    );
    let fault = fault.with_details(serde_json::json!({"room": "a"}));
    check(
        |out| error(&none, &fault, NOW, out),
        r#"{"type":"error","error":"no \"a\"","data":{"code":"NOT_FOUND","message":"no \"a\"","details":{"room":"a"}},TIME}"#,
    );
}

#[test]
fn a_subscription_tells_of_recovery_only_if_it_was_asked_for() {
    let none = Correlation::default();
    let reply = |recovery: Recovery, rest: &str| {
        let expected =
            format!(r#"{{"type":"subscribed","room":"a","epoch":"e1","offset":2{rest},TIME}}"#);
        let (room, position) = (room("a"), position(2));
        check(
            |out| subscribed(&none, &room, &position, &recovery, None, &[], NOW, out),
            &expected,
        );
    };
    reply(Recovery::NotAsked, "");
    reply(Recovery::Lost, r#","recovered":false,"publications":[]"#);
    reply(
        Recovery::Complete(Vec::new()),
        r#","recovered":true,"publications":[]"#,
    );
    let missed = vec![(2, Arc::new(event(&[("a", 2)], json("1"), None)))];
    reply(
        Recovery::Complete(missed),
        &format!(
            r#","recovered":true,"publications":[{{"offset":2,"type":"said",{TIME},"data":1}}]"#
        ),
    );
}

#[test]
fn a_page_and_a_receipt_stand_at_the_top_level() {
    let none = Correlation::default();
    let page = HistoryPage {
        room: room("a"),
        position: position(9),
        publications: vec![(9, Arc::new(event(&[("a", 9)], json("{}"), Some("me"))))],
        more: true,
    };
    check(
        |out| history(&none, &page, NOW, out),
        r#"{"type":"history","room":"a","epoch":"e1","offset":9,"publications":[{"offset":9,"type":"said",TIME,"data":{},"source":"me"}],"more":true,TIME}"#,
    );
    let two = event(&[("b", 1), ("a", 2)], json("1"), None);
    check(
        |out| published(&none, &two.placements, NOW, out),
        r#"{"type":"published","results":[{"room":"b","offset":1,"epoch":"e1"},{"room":"a","offset":2,"epoch":"e1"}],"room":"b","offset":1,"epoch":"e1",TIME}"#,
    );
}

#[test]
fn the_hello_names_session_interval_and_rooms() {
    let version = env!("CARGO_PKG_VERSION");
    check(
        |out| {
            hello(
                SessionId(10),
                None,
                25_000,
                &[(room("a"), position(3))],
                NOW,
                out,
            );
        },
        &format!(
            r#"{{"type":"connected","session":"0000000000000000000000000000000a","user":null,"version":"{version}","ping_interval_ms":25000,"rooms":[{{"room":"a","epoch":"e1","offset":3}}],TIME}}"#
        ),
    );
}

#[test]
fn a_publication_is_encoded_once_per_set_of_rooms() {
    let two = Delivery::new(Arc::new(event(&[("a", 1), ("b", 1)], json("1"), None)));
    let both = RoomSet::FIRST.with(1);
    let first = two.frame(Wording::Neutral, both);
    assert!(Arc::ptr_eq(&first, &two.frame(Wording::Neutral, both)));
    assert!(!Arc::ptr_eq(
        &first,
        &two.frame(Wording::Neutral, RoomSet::FIRST)
    ));
    let one = Delivery::new(Arc::new(event(&[("a", 1)], json("1"), None)));
    let frame = one.frame(Wording::Neutral, RoomSet::FIRST);
    assert!(Arc::ptr_eq(
        &frame,
        &one.frame(Wording::Neutral, RoomSet::FIRST)
    ));
    assert!(RoomSet::default().is_empty() && both.contains(1) && !both.contains(2));
}

#[test]
fn presence_tells_users_and_what_their_tokens_say() {
    let present = |session: u128, identity: Identity| Present {
        session: SessionId(session),
        identity,
        since: NOW,
    };
    let ada = |info: Option<&str>| {
        Identity::User(Arc::new(User {
            id: UserId::parse("ada").unwrap(),
            role: Arc::clone(&Role::built_in()[DEFAULT_ROLE]),
            grants: Box::default(),
            expires: NOW,
            info: info.map(|info| Box::new(Info::parse(info).unwrap())),
        }))
    };
    let told = |position, present: Vec<Present>| {
        let told = Presence::of(room("a"), position, present);
        move |out: &mut Vec<u8>| presence(&Correlation::default(), &told, NOW, out)
    };
    let since = r#""since":"2026-01-01T00:00:00.123Z""#;
    let all = vec![
        present(3, Identity::Anonymous),
        present(2, ada(None)),
        present(1, ada(Some("{\n \"name\": \"Ada L\" }"))),
    ];
    check(
        told(Some(position(7)), all),
        &format!(
            "{{\"type\":\"presence\",\"room\":\"a\",\"epoch\":\"e1\",\"offset\":7,\"users\":1,\
             \"sessions\":3,\"members\":[\
             {{\"user\":\"ada\",\"session\":\"{:032x}\",{since},\"info\":{{\"name\":\"Ada L\"}}}},\
             {{\"user\":\"ada\",\"session\":\"{:032x}\",{since}}},\
             {{\"session\":\"{:032x}\",{since}}}],TIME}}",
            1, 2, 3
        ),
    );
    check(
        told(None, Vec::new()),
        r#"{"type":"presence","room":"a","users":0,"sessions":0,"members":[],TIME}"#,
    );
    let many = (0..1001).map(|number| present(number, Identity::Anonymous));
    check(
        told(None, many.collect()),
        r#"{"type":"presence","room":"a","users":0,"sessions":1001,"members":[],"truncated":true,TIME}"#,
    );
}

#[test]
fn a_durable_subscription_tells_how_far_it_had_got() {
    let none = Correlation::default();
    let (a, recovery) = (room("a"), Recovery::Complete(Vec::new()));
    check(
        |out| subscribed(&none, &a, &position(2), &recovery, Some(2), &[], NOW, out),
        r#"{"type":"subscribed","room":"a","epoch":"e1","offset":2,"acknowledged":2,"recovered":true,"publications":[],TIME}"#,
    );
    let name = DurableName::parse("phone").unwrap();
    check(
        |out| acknowledged(&none, &a, &name, 7, NOW, out),
        r#"{"type":"acknowledged","room":"a","durable":"phone","offset":7,TIME}"#,
    );
}
