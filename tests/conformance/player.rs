//! Plays a case against the server's core and holds what comes back to its row.
//!
//! The server's bytes are read here by hand: each frame must be final, unmasked, without reserved
//! bits and with the shortest length. May not touch: the server's own frame code.

use kinglet::testkit::world::{ClientId, End, Options, World};

use crate::case::{Answer, BINARY, CLOSE, Case, PING, PONG, Pieces, Section, Step, TEXT};

/// Room for the largest message of the suite, however finely it is cut.
pub const LARGE: &str =
    "[debug]\necho = true\n[limits]\nmessage_bytes = \"16MiB\"\nfragments = 0\n";

/// How the octets of one run are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// At each wait.
    Waits,
    /// Behind each step, with time for its answer.
    Steps,
    /// After so many bytes.
    Bytes(usize),
}

/// Plays the cases of a section whose numbers begin with `prefix`.
pub fn play(section: &Section, prefix: &str) {
    let mut played = 0;
    for case in &section.cases {
        if case.number.starts_with(prefix) {
            check(case, LARGE);
            played += 1;
        }
    }
    assert!(played > 0, "there is no case {prefix}");
}

/// Plays a case in every way that it asks for.
pub fn check(case: &Case, config: &str) {
    let cuts: &[Cut] = match case.pieces {
        Pieces::All => &[Cut::Waits, Cut::Steps, Cut::Bytes(1)],
        Pieces::Whole => &[Cut::Waits],
        Pieces::RoundTrips => &[Cut::Steps],
        Pieces::Of(size) => &[Cut::Bytes(size)],
    };
    for cut in cuts {
        let what = format!("case {} cut at {cut:?}", case.number);
        play_once(case, *cut, config, &what);
    }
}

fn play_once(case: &Case, cut: Cut, config: &str, what: &str) {
    let mut world = World::new(Options {
        config,
        ..Options::default()
    });
    let id = world.connect("/ws/echo");
    world.client(id).keep_raw();
    let mut pending = Vec::new();
    for step in &case.steps {
        step.send(&mut pending);
        if cut == Cut::Steps || matches!(step, Step::Wait(_)) {
            send(&mut world, id, &pending, cut);
            pending.clear();
        }
        if let Step::Wait(answers) = step {
            assert_eq!(received(&mut world, id, what), *answers, "{what}");
        }
    }
    send(&mut world, id, &pending, cut);
    let answers = received(&mut world, id, what);
    if answers != case.answers {
        let described: Vec<String> = answers.iter().map(Answer::describe).collect();
        let expected: Vec<String> = case.answers.iter().map(Answer::describe).collect();
        // Payloads may be long, and differ in one byte.
        panic!("{what}: {described:?}, not as in the row: {expected:?}");
    }
    assert_eq!(world.client(id).end, Some(End::Finished), "{what}");
    assert_eq!(world.connections(), 0, "{what}: the connection has ended");
}

fn send(world: &mut World, id: ClientId, bytes: &[u8], cut: Cut) {
    match cut {
        Cut::Waits | Cut::Steps => {
            world.client(id).send(bytes);
            world.settle();
        }
        Cut::Bytes(size) => {
            for piece in bytes.chunks(size) {
                world.client(id).send(piece);
                world.turn();
            }
            world.settle();
        }
    }
}

/// What has come since the last call.
fn received(world: &mut World, id: ClientId, what: &str) -> Vec<Answer> {
    let bytes = world.client(id).take_raw();
    let mut rest = &bytes[..];
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let last = answers.last();
        let closed = matches!(last, Some(Answer::Close(_)));
        assert!(!closed, "{what}: {rest:?} came behind the Close");
        answers.push(read_frame(&mut rest, what));
    }
    answers
}

/// Reads one frame from the front of `bytes`.
fn read_frame(bytes: &mut &[u8], what: &str) -> Answer {
    let mut take = |count: usize| {
        let (taken, rest) = bytes.split_at_checked(count).expect(what);
        *bytes = rest;
        taken
    };
    let first = take(1)[0];
    assert_eq!(first & 0xf0, 0x80, "{what}: FIN alone is set");
    let length = match take(1)[0] {
        length @ 0..=125 => usize::from(length),
        126 => {
            let length = u16::from_be_bytes(take(2).try_into().unwrap());
            assert!(length > 125, "{what}: the length is the shortest");
            usize::from(length)
        }
        127 => {
            let length = u64::from_be_bytes(take(8).try_into().unwrap());
            assert!(length > 0xffff, "{what}: the length is the shortest");
            usize::try_from(length).unwrap()
        }
        _ => panic!("{what}: a server does not mask"),
    };
    let opcode = first & 0x0f;
    let is_control = opcode >= CLOSE;
    assert!(
        !is_control || length <= 125,
        "{what}: control frames are short"
    );
    let payload = take(length);
    match opcode {
        TEXT => Answer::Text(payload.into()),
        BINARY => Answer::Binary(payload.into()),
        PONG => Answer::Pong(payload.into()),
        CLOSE => {
            let (code, reason) = payload.split_at_checked(2).expect(what);
            assert!(std::str::from_utf8(reason).is_ok(), "{what}");
            Answer::Close(u16::from_be_bytes(code.try_into().unwrap()))
        }
        PING => panic!("{what}: nothing is silent long enough for a ping"),
        other => panic!("{what}: opcode {other}"),
    }
}
