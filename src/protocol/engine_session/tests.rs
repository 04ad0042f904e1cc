//! Sessions as scripts: what comes in, and the steps that it leads to.

#![allow(clippy::unwrap_used)]

mod model;

use std::borrow::Cow;

use super::*;

const TIMING: Timing = Timing {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_millis(100),
    close_timeout: Duration::from_millis(50),
};

const fn peer(slot: u32) -> PeerId {
    PeerId {
        slot,
        generation: 0,
    }
}

const fn at(millis: u64) -> Mono {
    Mono::from_nanos(millis * 1_000_000)
}

/// What somebody does to a session; numbers are connections.
#[derive(Clone, Copy, Debug)]
enum In {
    Poll(u32),
    Post(u32),
    Posted(u32),
    Attach(u32),
    /// A packet on a connection.
    Say(u32, &'static str),
    Garbage,
    Gone(u32),
    Close,
    /// The caller writes what is queued.
    Flush,
    /// So many milliseconds after the beginning.
    Time(u64),
}

fn step_text(step: &Step) -> String {
    match step {
        Step::QueuePing => "ping".to_owned(),
        Step::AnswerPoll(id, PollAnswer::QueuedOrNoop) => format!("{} queued", id.slot),
        Step::AnswerPoll(id, PollAnswer::Noop) => format!("{} noop", id.slot),
        Step::AnswerPoll(id, PollAnswer::QueuedThenClose) => format!("{} close", id.slot),
        Step::AnswerPost(id) => format!("{} ok", id.slot),
        Step::Refuse(id, fault) => format!("{} refused {}", id.slot, fault.code()),
        Step::AnswerProbe(id) => format!("{} 3probe", id.slot),
        Step::CloseSocket(id) => format!("{} closed", id.slot),
        Step::MoveTo(id) => format!("move to {}", id.slot),
        Step::End(reason) => format!("end {}", reason.name()),
    }
}

struct World {
    session: EngineSession,
    now: Mono,
}

impl World {
    fn polling() -> Self {
        Self {
            session: EngineSession::polling(&TIMING, at(0)),
            now: at(0),
        }
    }

    fn websocket() -> Self {
        Self {
            session: EngineSession::websocket(peer(1), &TIMING, at(0)),
            now: at(0),
        }
    }

    fn steps(&mut self, input: In) -> Vec<Step> {
        let session = &mut self.session;
        match input {
            In::Poll(id) => session.poll(peer(id)),
            In::Post(id) => session.post(peer(id)),
            In::Posted(id) => session.posted(peer(id)),
            In::Attach(id) => session.attach(peer(id), &TIMING, self.now),
            In::Say(id, text) => {
                let packet = Packet::parse(text).unwrap();
                match session.receive(peer(id), packet, &TIMING, self.now) {
                    Received::Steps(steps) => steps,
                    Received::Text(_) | Received::Binary(_) => Vec::new(),
                }
            }
            In::Garbage => session.fail(PacketFault::UnknownType),
            In::Gone(id) => session.gone(peer(id)),
            In::Close => session.close(&TIMING, self.now),
            In::Flush => {
                session.take_poll();
                Vec::new()
            }
            In::Time(millis) => {
                self.now = at(millis);
                session.timeout(&TIMING, self.now)
            }
        }
    }
}

/// Plays a script; each line is an input and the steps it must lead to, joined by `, `.
fn check(mut world: World, script: &[(In, &str)]) {
    for (number, (input, expected)) in script.iter().enumerate() {
        let found: Vec<String> = world.steps(*input).iter().map(step_text).collect();
        assert_eq!(found.join(", "), *expected, "line {number}: {input:?}");
    }
}

#[test]
fn a_poll_hangs_until_something_is_queued() {
    let mut world = World::polling();
    assert_eq!(world.session.transport(), Some(Transport::Polling));
    assert_eq!(world.session.outlet(), Outlet::Nowhere);
    assert_eq!(world.steps(In::Poll(1)), []);
    assert_eq!(world.session.outlet(), Outlet::Poll(peer(1)));
    assert_eq!(world.session.take_poll(), Some(peer(1)));
    assert_eq!(world.session.take_poll(), None);
    assert_eq!(world.session.outlet(), Outlet::Nowhere);
    assert_eq!(world.steps(In::Poll(2)), []);
}

#[test]
fn messages_of_a_post_come_out_and_then_it_is_answered() {
    let mut world = World::polling();
    assert_eq!(world.steps(In::Post(1)), []);
    let mut receive = |packet| world.session.receive(peer(1), packet, &TIMING, at(1));
    let text = receive(Packet::Message("hello"));
    assert_eq!(text, Received::Text("hello"));
    let bytes = receive(Packet::binary(&[1]));
    assert_eq!(bytes, Received::Binary(Cow::Borrowed(&[1])));
    let rest = [
        (In::Posted(1), "1 ok"),
        (In::Posted(1), ""),
        (In::Post(1), ""),
    ];
    check(world, &rest);
}

#[test]
fn a_second_poll_or_post_ends_the_session() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Poll(2), "2 refused 3, 1 close, end protocol_fault"),
            (In::Poll(3), "3 refused 1"),
            (In::Post(4), "4 refused 1"),
            (In::Attach(5), "5 closed"),
        ],
    );
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Post(2), ""),
            (
                In::Post(3),
                "3 refused 3, 1 close, 2 refused 3, end protocol_fault",
            ),
            (In::Posted(2), ""),
        ],
    );
}

#[test]
fn a_poll_and_a_post_may_be_there_together() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Post(2), ""),
            (In::Say(2, "4a"), ""),
            (In::Posted(2), "2 ok"),
            (In::Flush, ""),
            (In::Post(3), ""),
            (In::Poll(4), ""),
        ],
    );
}

#[test]
fn a_close_packet_answers_whatever_is_there() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Post(2), ""),
            (In::Say(2, "1"), "1 noop, 2 ok, end client_closed"),
            (In::Say(2, "4late"), ""),
            (In::Posted(2), ""),
            (In::Poll(3), "3 refused 1"),
        ],
    );
    check(
        World::websocket(),
        &[
            (In::Say(1, "1"), "1 closed, end client_closed"),
            (In::Say(1, "4late"), ""),
            (In::Gone(1), ""),
        ],
    );
}

#[test]
fn what_cannot_be_read_ends_the_session() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Post(2), ""),
            (In::Garbage, "1 close, 2 refused 3, end protocol_fault"),
            (In::Garbage, ""),
        ],
    );
    let closed = "1 closed, end protocol_fault";
    check(World::websocket(), &[(In::Garbage, closed)]);
    // Only the server opens and pings, and an upgrade belongs to a probe.
    for text in ["0{}", "2", "2probe", "5"] {
        check(World::websocket(), &[(In::Say(1, text), closed)]);
        let refused = "1 refused 3, end protocol_fault";
        check(
            World::polling(),
            &[(In::Post(1), ""), (In::Say(1, text), refused)],
        );
    }
    check(
        World::websocket(),
        &[(In::Say(1, "6"), ""), (In::Say(1, "3"), "")],
    );
}

#[test]
fn an_upgrade_lets_the_poll_go_and_moves_the_queue() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Attach(2), ""),
            (In::Say(2, "2probe"), "2 3probe, 1 queued"),
            (In::Poll(3), "3 queued"),
            (In::Say(2, "5"), "move to 2"),
            (In::Say(2, "4a"), ""),
            (In::Poll(4), "4 refused 3"),
            (In::Post(5), "5 refused 3"),
            (In::Attach(6), "6 closed"),
            (In::Say(2, "4b"), ""),
            (In::Gone(4), ""),
            (In::Gone(2), "end connection_lost"),
        ],
    );
    // Suites send both packets at once.
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Attach(2), ""),
            (In::Say(2, "2probe"), "2 3probe, 1 queued"),
            (In::Say(2, "5"), "move to 2"),
        ],
    );
    let mut world = World::polling();
    for input in [In::Attach(2), In::Say(2, "2probe"), In::Say(2, "5")] {
        world.steps(input);
    }
    assert_eq!(world.session.transport(), Some(Transport::WebSocket));
    assert_eq!(world.session.outlet(), Outlet::Socket(peer(2)));
}

#[test]
fn requests_that_are_there_when_the_upgrade_comes_are_answered() {
    check(
        World::polling(),
        &[
            (In::Attach(1), ""),
            (In::Say(1, "2probe"), "1 3probe"),
            (In::Post(2), ""),
            (In::Say(2, "4a"), ""),
            (In::Say(1, "5"), "2 refused 3, move to 1"),
            (In::Say(2, "4late"), ""),
            (In::Posted(2), ""),
        ],
    );
}

#[test]
fn anything_else_on_a_probe_closes_it_and_polling_goes_on() {
    for text in ["5", "2", "2other", "3probe", "1", "4a", "0", "6"] {
        check(
            World::polling(),
            &[
                (In::Poll(1), ""),
                (In::Attach(2), ""),
                (In::Say(2, text), "2 closed"),
                (In::Gone(2), ""),
                (In::Say(2, "4a"), ""),
                (In::Attach(3), ""),
                (In::Attach(4), "4 closed"),
                (In::Say(3, "2probe"), "3 3probe, 1 queued"),
                (In::Say(3, "4a"), "3 closed"),
                (In::Poll(5), ""),
            ],
        );
    }
}

#[test]
fn a_probe_that_takes_too_long_or_goes_is_given_up() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Attach(2), ""),
            (In::Time(99), ""),
            (In::Time(100), "2 closed"),
            (In::Attach(3), ""),
            (In::Gone(3), ""),
            (In::Flush, ""),
            (In::Attach(4), ""),
            (In::Poll(5), ""),
            (In::Say(4, "2probe"), "4 3probe, 5 queued"),
            (In::Time(200), "4 closed"),
            (In::Poll(6), ""),
        ],
    );
}

#[test]
fn pings_go_at_their_interval_and_silence_ends_the_session() {
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Time(299), ""),
            (In::Time(300), "ping"),
            (In::Time(301), ""),
            (In::Flush, ""),
            (In::Poll(2), ""),
            (In::Time(400), ""),
            (In::Post(3), ""),
            (In::Say(3, "3"), ""),
            (In::Posted(3), "3 ok"),
            (In::Time(699), ""),
            (In::Time(700), "ping"),
            (In::Time(899), ""),
            (In::Time(900), "2 close, end ping_timeout"),
            (In::Time(2000), ""),
        ],
    );
    check(
        World::websocket(),
        &[
            (In::Time(300), "ping"),
            (In::Time(500), "1 closed, end ping_timeout"),
        ],
    );
}

#[test]
fn whatever_is_heard_after_a_ping_gives_the_pong_more_time() {
    check(
        World::websocket(),
        &[
            (In::Time(100), ""),
            (In::Say(1, "3"), ""),
            (In::Time(300), "ping"),
            (In::Time(450), ""),
            (In::Say(1, "4busy"), ""),
            (In::Time(500), ""),
            (In::Time(649), ""),
            (In::Time(650), "1 closed, end ping_timeout"),
        ],
    );
}

#[test]
fn our_close_reaches_a_poll_that_hangs_or_the_next_one() {
    check(
        World::polling(),
        &[(In::Poll(1), ""), (In::Close, "1 close, end server_closed")],
    );
    check(
        World::polling(),
        &[
            (In::Post(1), ""),
            (In::Attach(2), ""),
            (In::Close, "2 closed"),
            (In::Say(1, "4late"), ""),
            (In::Say(1, "1"), ""),
            (In::Posted(1), "1 ok"),
            (In::Post(3), "3 refused 3"),
            (In::Attach(4), "4 closed"),
            (In::Time(49), ""),
            (In::Poll(5), "5 close, end server_closed"),
        ],
    );
    check(
        World::polling(),
        &[
            (In::Post(1), ""),
            (In::Close, ""),
            (In::Time(30), ""),
            (In::Close, ""),
            (In::Time(50), "1 ok, end server_closed"),
        ],
    );
    let closed = "1 closed, end server_closed";
    check(World::websocket(), &[(In::Close, closed), (In::Close, "")]);
}

#[test]
fn a_request_that_breaks_off_ends_the_session() {
    let lost = [(In::Poll(1), ""), (In::Gone(1), "end connection_lost")];
    check(World::polling(), &lost);
    check(
        World::polling(),
        &[
            (In::Poll(1), ""),
            (In::Post(2), ""),
            (In::Attach(3), ""),
            (In::Gone(2), "1 noop, 3 closed, end connection_lost"),
        ],
    );
    // An answered poll's connection may rest or go.
    let rests = [(In::Poll(1), ""), (In::Flush, ""), (In::Gone(1), "")];
    check(World::polling(), &rests);
}

#[test]
fn a_deadline_is_always_the_next_thing_to_happen() {
    let mut world = World::polling();
    assert_eq!(world.session.deadline(), Some(at(300)));
    world.steps(In::Attach(1));
    assert_eq!(world.session.deadline(), Some(at(100)));
    world.steps(In::Time(100));
    assert_eq!(world.session.deadline(), Some(at(300)));
    world.steps(In::Time(300));
    assert_eq!(world.session.deadline(), Some(at(500)));
    world.steps(In::Close);
    assert_eq!(world.session.deadline(), Some(at(350)));
    world.steps(In::Time(350));
    assert_eq!(world.session.deadline(), None);
}

#[test]
fn a_session_stays_small() {
    assert!(
        size_of::<EngineSession>() <= 104,
        "{}",
        size_of::<EngineSession>()
    );
}
