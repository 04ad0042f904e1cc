//! The lines that clients read.

use super::*;
use crate::config::SlowConsumer;
use crate::dialect::publication::Placement;
use crate::domain::command::Payload;
use crate::domain::position::Epoch;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn place(epoch: &str, offset: u64) -> Position {
    let epoch = Epoch::parse(epoch).unwrap();
    Position { epoch, offset }
}

fn made(event: &str, data: &str, places: &[(&str, &str, u64)]) -> Publication {
    let placements = places.iter().map(|(name, epoch, offset)| Placement {
        room: room(name),
        offset: *offset,
        epoch: Epoch::parse(epoch).unwrap(),
        slow_consumer: SlowConsumer::Close,
    });
    Publication {
        event: event.into(),
        payload: Payload::Json(data.into()),
        source: None,
        timestamp: Wall::from_millis(0),
        uid: 7,
        has_copies: places.len() > 1,
        placements: placements.collect(),
        sequence: 1,
        except: Box::default(),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn streams_of_one_room_share_the_id_and_may_have_names() {
    let made = made("task.created", "{\"a\":1}", &[("x", "Ep", 5)]);
    let check = |is_named, is_alone, lines: &str| {
        let form = EventForm { is_named, is_alone };
        let found = text(publication(&made, RoomSet::FIRST, form));
        let data = "data: {\"type\":\"task.created\",\"room\":\"x\",\"offset\":5,\
                    \"timestamp\":\"1970-01-01T00:00:00.000Z\",\"data\":{\"a\":1}}\n\n";
        assert_eq!(found, format!("{lines}{data}"));
    };
    check(false, true, "id: Ep:5\n");
    check(true, true, "id: Ep:5\nevent: task.created\n");
    check(false, false, "");
    check(true, false, "event: task.created\n");
}

#[test]
fn a_stream_of_several_rooms_says_how_far_it_is_in_all_of_them() {
    let places = vec![(room("x"), place("Ex", 5)), (room("y"), place("Ey", 0))];
    let mut track = Track::new(false, places);
    let both = RoomSet::default().with(0).with(1);
    let mut check = |made: &Publication, set: RoomSet, id: &str| {
        let mark = track.advance(made, set).unwrap();
        assert_eq!(text(mark.to_vec()), format!("id: {id}\n"));
        assert!(mark.len() <= track.mark_bytes());
    };
    let y = made("e", "1", &[("y", "Ey", 1)]);
    check(&y, RoomSet::FIRST, "Ex:5,Ey:1");
    let all = made("e", "1", &[("z", "Ez", 9), ("y", "Ey", 2), ("x", "Ex", 6)]);
    check(&all, RoomSet::default().with(1), "Ex:5,Ey:2");
    let all = made("e", "1", &[("y", "Ey", 3), ("x", "Ex", 7)]);
    check(&all, both, "Ex:7,Ey:3");
    // A stream that began anew goes on from its new epoch.
    let anew = made("e", "1", &[("x", "New", 8)]);
    check(&anew, RoomSet::FIRST, "New:8,Ey:3");
    // What is shared names the first room alone.
    let form = track.form();
    let shared = text(publication(&all, both.first(), form));
    assert!(shared.starts_with("data: "), "{shared}");
    assert!(
        shared.contains("\"room\":\"y\"") && !shared.contains("also"),
        "{shared}"
    );
}

#[test]
fn nothing_in_an_event_ends_its_line() {
    let made = made("e\u{2028}é", "\"a\\nb\"", &[("x", "Ep", 1)]);
    let form = EventForm {
        is_named: true,
        is_alone: true,
    };
    let found = text(publication(&made, RoomSet::FIRST, form));
    assert_eq!(found.lines().count(), 4, "{found}");
    let mut out = Vec::new();
    ending(4501, "be\ngone\r\n\ndata: x", &mut out);
    assert_eq!(text(out), ": 4501 be gone   data: x\n\n");
}

#[test]
fn a_stream_begins_where_the_client_is() {
    let track = Track::new(true, vec![(room("x"), place("Ep", 3))]);
    let mut out = Vec::new();
    let now = Wall::from_millis(0);
    track.subscribed(&room("x"), &place("Ep", 5), Some(true), &[], now, &mut out);
    assert_eq!(
        text(out),
        "id: Ep:3\nevent: subscribed\ndata: {\"type\":\"subscribed\",\"room\":\"x\",\
         \"epoch\":\"Ep\",\"offset\":5,\"recovered\":true,\
         \"timestamp\":\"1970-01-01T00:00:00.000Z\"}\n\n"
    );
}
