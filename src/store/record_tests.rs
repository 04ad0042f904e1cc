//! Projects and runs on a real disk: what is read back, what is paged, what goes.

#![allow(clippy::unwrap_used)]

use rusqlite::Connection;

use crate::base::limits::RUNS_KEPT;
use crate::base::rng::Rng;
use crate::bus::execution::{Mark, Record};
use crate::domain::command::{Payload, Publish};
use crate::domain::position::Position;
use crate::domain::project::ProjectState;
use crate::domain::room::RoomName;
use crate::domain::run::{Run, RunResult, RunState};
use crate::domain::run_command::Direction;
use crate::domain::stream::Retention;
use crate::store::commit::{Done, Entry, Target, Work};
use crate::store::database::{FILE, Store};
use crate::store::fault::StoreFault;
use crate::store::runs::WantedMessages;
use crate::store::schema;
use crate::store::tests::{KEYS, Place, at, epoch, said};
use crate::testkit::records::{project, run};

/// As a project's room has it.
const ALL: Retention = Retention {
    count: usize::MAX,
    bytes: 1 << 30,
    age: std::time::Duration::MAX,
};

fn target(room: &RoomName) -> Target<'_> {
    let base = Position {
        epoch: epoch("e"),
        offset: 0,
    };
    Target {
        room,
        base,
        retention: ALL,
    }
}

fn keep<'a>(record: &'a Record, room: &'a RoomName) -> Work<'a> {
    Work::Record {
        record,
        target: target(room),
        fresh: epoch("fresh"),
    }
}

fn told(event: &str, data: &str, room: &RoomName) -> Publish {
    Publish {
        event: event.into(),
        payload: Payload::Json(data.into()),
        ..said("0", &[room])
    }
}

/// Publishes this and keeps that, in one transaction.
fn write(
    store: &mut Store,
    events: &[&str],
    records: &[Record],
    room: &RoomName,
    second: u64,
) -> Vec<Done> {
    let told: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(number, event)| told(event, &format!("{{\"n\":{number}}}"), room))
        .collect();
    let publications = told.iter().map(|publish| {
        Work::Publish(Entry {
            publish,
            targets: vec![target(room)],
            uid: 7,
            at: at(second),
            key: None,
        })
    });
    let records = records.iter().map(|record| keep(record, room));
    let work: Vec<_> = publications.chain(records).collect();
    store.commit(&work, KEYS, at(second)).unwrap().done
}

fn full(number: u64) -> Run {
    Run {
        state: RunState::Failed,
        options: Some(r#"{"model":"x"}"#.into()),
        params: Some("{}".into()),
        started_at: Some(at(1)),
        ended_at: Some(at(2)),
        exit_code: Some(-1),
        signal: Some(9),
        reason: Some("it fell".into()),
        session_id: Some("s".into()),
        result: Some(RunResult {
            cost_usd: Some(0.25),
            turns: Some(3),
            usage: Some(r#"{"n":1}"#.into()),
        }),
        truncated: true,
        ..run(1, number)
    }
}

#[test]
fn what_is_kept_is_read_back_and_offsets_are_those_of_the_room() {
    let place = Place::new();
    let mut store = place.open("e").store;
    let mut known = project(1);
    let room = known.id.room().unwrap();
    let mut running = Run {
        state: RunState::Running,
        ..full(1)
    };
    known.state = ProjectState::Executing;
    known.run = Some(running.id);
    let records = [
        Record::Run(Box::new(running.clone()), Mark::First),
        Record::Project(Box::new(known.clone())),
    ];
    let done = write(&mut store, &["said", "run.started"], &records, &room, 1);
    assert_eq!(done[2..], [Done::Recorded(Some(2)), Done::Recorded(None)]);
    drop(store);
    let opened = place.open("f");
    running.first_offset = Some(2);
    assert_eq!(opened.kept.projects, [known]);
    assert_eq!(opened.kept.unfinished, [running.clone()]);
    let mut store = opened.store;
    let over = full(1);
    let record = [Record::Run(Box::new(over), Mark::Last)];
    write(&mut store, &["run.output", "run.exited"], &record, &room, 2);
    let found = store.readers().run(running.id).unwrap();
    let expected = Run {
        first_offset: Some(2),
        last_offset: Some(4),
        ..full(1)
    };
    assert_eq!(found, Some(expected));
    assert_eq!(store.readers().run(full(2).id).unwrap(), None);
    drop(store);
    assert!(place.open("f").kept.unfinished.is_empty());
}

#[test]
fn runs_are_paged_newest_first() {
    let place = Place::new();
    let mut store = place.open("e").store;
    let room = project(1).id.room().unwrap();
    for number in 1..=5 {
        write(
            &mut store,
            &[],
            &[Record::Run(Box::new(run(1, number)), Mark::None)],
            &room,
            0,
        );
    }
    let readers = store.readers();
    let page = |after, limit| {
        let page = readers.runs(project(1).id, after, limit).unwrap()?;
        let ids: Vec<_> = page.runs.into_iter().map(|run| run.id).collect();
        Some((ids, page.more))
    };
    let id = |number| run(1, number).id;
    assert_eq!(page(None, 2), Some((vec![id(5), id(4)], true)));
    assert_eq!(
        page(Some(id(4)), 3),
        Some((vec![id(3), id(2), id(1)], false))
    );
    assert_eq!(page(Some(id(1)), 3), Some((vec![], false)));
    assert_eq!(page(Some(id(9)), 3), None);
    assert_eq!(readers.runs(project(2).id, Some(id(1)), 3).unwrap(), None);
}

#[test]
fn messages_are_paged_by_time_and_by_speaker() {
    let place = Place::new();
    let mut store = place.open("e").store;
    let room = project(1).id.room().unwrap();
    for second in 0..4 {
        let events = ["run.started", "run.output", "run.stalled", "run.output"];
        write(&mut store, &events, &[], &room, second);
    }
    let readers = store.readers();
    let check = |since: Option<u64>, offset, limit, direction, offsets: &[u64], total| {
        let page = readers.messages(&WantedMessages {
            room: &room,
            since: since.map(at),
            offset,
            limit,
            direction,
        });
        let page = page.unwrap();
        let places = page.publications.iter();
        let found: Vec<_> = places.map(|found| found.placements[0].offset).collect();
        assert_eq!((&*found, page.total), (offsets, total));
    };
    check(None, 0, 4, Direction::All, &[1, 2, 4, 5], 12);
    check(None, 10, 4, Direction::All, &[14, 16], 12);
    check(None, 12, 4, Direction::All, &[], 12);
    check(None, u64::MAX, 4, Direction::All, &[], 12);
    check(None, 1, 2, Direction::Client, &[5, 9], 4);
    check(None, 0, 3, Direction::Claude, &[2, 4, 6], 8);
    check(Some(2), 0, 9, Direction::All, &[13, 14, 16], 3);
    check(Some(3), 0, 9, Direction::All, &[], 0);
    let nothing = project(2).id.room().unwrap();
    let wanted = WantedMessages {
        room: &nothing,
        since: None,
        offset: 0,
        limit: 1,
        direction: Direction::All,
    };
    assert_eq!(readers.messages(&wanted).unwrap().total, 0);
}

#[test]
fn messages_are_found_by_their_index() {
    let place = Place::new();
    drop(place.open("e"));
    let connection = Connection::open(place.path().join(FILE)).unwrap();
    for events in ["1", "p.event = 'run.output'"] {
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT count(*) FROM publications p WHERE p.room = 1
            AND p.event IN ('run.started', 'run.output') AND {events} AND p.at > 0"
        );
        let plan: String = connection.query_row(&sql, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("COVERING INDEX messages"), "{plan}");
    }
}

#[test]
fn the_oldest_runs_go_with_what_the_room_holds_of_them() {
    let place = Place::new();
    let mut store = place.open("e").store;
    let room = project(1).id.room().unwrap();
    let count = RUNS_KEPT as u64 + 3;
    for number in 1..=count {
        let started = Run {
            state: RunState::Running,
            ..full(number)
        };
        let started = [Record::Run(Box::new(started), Mark::First)];
        write(&mut store, &["run.started"], &started, &room, number);
        let over = [Record::Run(Box::new(full(number)), Mark::Last)];
        write(
            &mut store,
            &["run.output", "run.exited"],
            &over,
            &room,
            number,
        );
    }
    let waits = [Record::Run(Box::new(run(1, count + 1)), Mark::None)];
    write(&mut store, &[], &waits, &room, count);
    while store.sweep(|_| Some(ALL), at(count)).unwrap().more {}
    let page = store
        .readers()
        .runs(project(1).id, None, 999)
        .unwrap()
        .unwrap();
    assert_eq!(page.runs.len(), RUNS_KEPT + 1);
    assert_eq!(store.readers().run(full(3).id).unwrap(), None);
    let oldest = store.readers().run(full(4).id).unwrap().unwrap();
    assert_eq!(oldest.first_offset, Some(10));
    let connection = Connection::open(place.path().join(FILE)).unwrap();
    let sql = "SELECT min(p.offset), count(*) FROM publications p JOIN rooms r ON r.id = p.room
        AND r.first = 10 AND r.bytes = (SELECT sum(size) FROM publications)";
    let found = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(found, Ok((10, 3 * RUNS_KEPT as i64)));
}

#[test]
fn a_deleted_project_leaves_nothing_and_its_room_begins_anew() {
    let place = Place::new();
    let mut store = place.open("e").store;
    let room = project(1).id.room().unwrap();
    let made = [
        Record::Project(Box::new(project(1))),
        Record::Run(Box::new(run(1, 1)), Mark::First),
    ];
    write(&mut store, &["said"; 600], &made, &room, 0);
    write(
        &mut store,
        &["project_deleted"],
        &[Record::ProjectDeleted(project(1).id)],
        &room,
        0,
    );
    // Another room does not get the number under which the publications still stand.
    let other = project(2).id.room().unwrap();
    write(&mut store, &["said"], &[], &other, 0);
    let mut sweeps = 0;
    while store.sweep(|_| Some(ALL), at(0)).unwrap().more {
        sweeps += 1;
    }
    assert!(sweeps >= 2, "600 publications go a few at a time");
    drop(store);
    let kept = place.open("f").kept;
    assert!(kept.projects.is_empty() && kept.unfinished.is_empty());
    assert_eq!(kept.epoch, epoch("fresh"));
    let names: Vec<_> = kept.rooms.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [other]);
    let connection = Connection::open(place.path().join(FILE)).unwrap();
    let sql = "SELECT (SELECT count(*) FROM publications), (SELECT count(*) FROM doomed)";
    let found = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(found, Ok((1, 0)));
}

#[test]
fn a_bit_that_fell_over_is_a_fault() {
    let check = |sql: &str, what: &str| {
        let place = Place::new();
        let mut store = place.open("e").store;
        let room = project(1).id.room().unwrap();
        let over = [
            Record::Project(Box::new(project(1))),
            Record::Run(Box::new(full(1)), Mark::None),
        ];
        write(&mut store, &[], &over, &room, 0);
        let connection = Connection::open(place.path().join(FILE)).unwrap();
        connection.execute_batch(sql).unwrap();
        let found = store.readers().run(full(1).id).unwrap_err();
        let told = matches!(&found, StoreFault::Value(told) if *told == what);
        assert!(
            told || matches!((&found, what), (StoreFault::Sqlite(_), "")),
            "{sql}: {found}"
        );
    };
    check("UPDATE runs SET state = 'exitec'", "run's state");
    check("UPDATE runs SET project = 'x'", "project id");
    check("UPDATE runs SET usage = '{'", "JSON object");
    check("UPDATE runs SET options = '[]'", "JSON object");
    check("UPDATE runs SET params = '{}}'", "JSON object");
    check("UPDATE runs SET agent = x'ff'", "");
    check("UPDATE runs SET exit_code = 5000000000", "");
    let place = Place::new();
    let mut store = place.open("e").store;
    let known = project(1);
    let room = known.id.room().unwrap();
    write(
        &mut store,
        &[],
        &[Record::Project(Box::new(known))],
        &room,
        0,
    );
    drop(store);
    let connection = Connection::open(place.path().join(FILE)).unwrap();
    connection
        .execute_batch("UPDATE projects SET state = 'idle'")
        .unwrap();
    let fault = place.try_open("f").unwrap_err().to_string();
    assert!(fault.contains("project's state"), "{fault}");
}

#[test]
fn a_file_of_an_earlier_version_keeps_what_it_has() {
    for version in 1..schema::VERSION {
        let place = Place::new();
        let connection = Connection::open(place.path().join(FILE)).unwrap();
        schema::make_earlier(&connection, version);
        let rows = "INSERT INTO meta VALUES ('epoch', 'e');
            INSERT INTO rooms (name, epoch, offset, first, bytes, used_at)
                VALUES ('a', 'e', 1, 1, 4, 0);
            INSERT INTO publications (room, offset, at, size, event, payload)
                VALUES (1, 1, 0, 4, 'said', '1')";
        connection.execute_batch(rows).unwrap();
        drop(connection);
        let mut opened = place.open("f");
        assert_eq!(opened.kept.rooms.len(), 1, "version {version}");
        assert_eq!(opened.kept.epoch, epoch("e"));
        let room = project(1).id.room().unwrap();
        let record = [Record::Project(Box::new(project(1)))];
        write(&mut opened.store, &["said"], &record, &room, 0);
    }
}

#[test]
fn agrees_with_a_list_of_all_runs_through_kills() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed(seed);
        let place = Place::new();
        let mut store = Some(place.open("e").store);
        let mut model: Vec<Run> = Vec::new();
        for second in 0..60 {
            let open = store.get_or_insert_with(|| place.open("x").store);
            let room = project(1).id.room().unwrap();
            let pick = usize::try_from(rng.below(1 + model.len() as u64)).unwrap();
            let mark =
                [Mark::None, Mark::First, Mark::Last][usize::try_from(rng.below(3)).unwrap()];
            if pick == model.len() {
                model.push(run(1, pick as u64));
            }
            let changed = &mut model[pick];
            changed.state = RunState::ALL[usize::try_from(rng.below(8)).unwrap()];
            let given = changed.clone();
            let record = [Record::Run(Box::new(given), mark)];
            let done = write(open, &["said"], &record, &room, second);
            let offset = Some(second + 1);
            match mark {
                Mark::None => {}
                Mark::First => changed.first_offset = changed.first_offset.or(offset),
                Mark::Last => changed.last_offset = offset,
            }
            let told = offset.filter(|_| mark != Mark::None);
            assert_eq!(done[1], Done::Recorded(told));
            if rng.below(6) == 0 {
                store = None;
                continue;
            }
            let page = open.readers().runs(project(1).id, None, 999).unwrap();
            let mut newest = model.clone();
            newest.reverse();
            assert_eq!(page.unwrap().runs, newest, "seed {seed}");
        }
    }
}
