//! Opening the store: after which end streams go on, and which files and directories are refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::Durability;
use crate::store::database::{FILE, Opening, Store};
use crate::store::tests::{KEEP, Place, at, epoch, fill, room};

#[test]
fn streams_begin_anew_only_if_the_machine_went_down_with_the_store_in_use() {
    let check = |durability, is_closed, boot: Option<&'static str>, begins_anew: bool| {
        let mut place = Place::new();
        place.durability = durability;
        let room = room("a");
        let mut store = place.open("e").store;
        fill(&mut store, &room, 2, KEEP, at(0));
        if is_closed {
            store.close().unwrap();
        } else {
            drop(store);
        }
        place.boot = boot;
        place.durability = Durability::Process;
        let opened = place.open("f");
        let what = format!("{durability:?} {is_closed} {boot:?}");
        assert_eq!(opened.began_anew, begins_anew, "{what}");
        let expected = epoch(if begins_anew { "f" } else { "e" });
        assert_eq!(opened.kept.epoch, expected, "{what}");
        assert_eq!(opened.kept.rooms[0].1.epoch, expected, "{what}");
        assert_eq!(opened.kept.rooms[0].1.offset, 2, "{what}");
    };
    for is_closed in [false, true] {
        check(Durability::Process, is_closed, Some("first"), false);
        check(Durability::Process, is_closed, Some("second"), !is_closed);
        check(Durability::Process, is_closed, None, !is_closed);
        check(Durability::Power, is_closed, Some("second"), false);
    }
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let check = |prepare: &dyn Fn(&Path), expected: &str| {
        let place = Place::new();
        prepare(place.path());
        let fault = place.try_open("e").unwrap_err().to_string();
        assert!(fault.contains(expected) && !fault.contains('\n'), "{fault}");
    };
    check(
        &|directory| fs::write(directory.join(FILE), vec![b'x'; 9000]).unwrap(),
        "damaged (file is not a database)",
    );
    let sql = |directory: &Path, sql: &str| {
        let connection = rusqlite::Connection::open(directory.join(FILE)).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    check(
        &|directory| sql(directory, "CREATE TABLE notes (text)"),
        "another program",
    );
    let make = |directory: &Path| {
        let opening = Opening {
            directory,
            durability: Durability::Process,
            boot: None,
            fresh: epoch("e"),
        };
        let mut store = Store::open(&opening).unwrap().store;
        fill(&mut store, &room("a"), 500, KEEP, at(0));
        store.close().unwrap();
    };
    check(
        &|directory| {
            make(directory);
            sql(directory, "PRAGMA user_version = 99");
        },
        "newer kinglet (schema 99; this one knows up to 4)",
    );
    check(
        &|directory| {
            make(directory);
            let path = directory.join(FILE);
            let mut bytes = fs::read(&path).unwrap();
            let (from, to) = (4096, bytes.len() - 100);
            bytes[from..to].fill(0xa5);
            fs::write(&path, bytes).unwrap();
        },
        "damaged",
    );
    let place = Place::new();
    let _first = place.open("e");
    let second = place.try_open("f").unwrap_err().to_string();
    assert!(second.contains("another kinglet uses"), "{second}");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused() {
    let place = Place::new();
    let set = |mode| fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
    set(0o500);
    let is_privileged = fs::write(place.path().join("probe"), "").is_ok();
    let opened = place.try_open("e");
    set(0o700);
    if is_privileged {
        eprintln!("SKIPPED: whoever runs this may write anywhere");
        return;
    }
    let fault = opened.unwrap_err().to_string();
    assert!(fault.contains("server.data_dir"), "{fault}");
}
