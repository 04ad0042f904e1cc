//! Those who behave: members that read what they get, and those who come back for what they missed.
//!
//! Invariant: they panic when a publication is missing, comes twice or out of order; nothing that
//! the other loads do excuses that.

use std::thread;
use std::time::{Duration, Instant};

use kinglet::testkit::client::Connection;
use kinglet::testkit::socket::Socket;
use serde_json::{Value, json};

use crate::load::{Plan, connect};

/// Between publications, so that there is time for the others.
const PACE: Duration = Duration::from_millis(4);

/// How long a place may take to be found while others flood the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ten members of one room hear every publication once and in order.
pub fn members(plan: &Plan) -> String {
    let target = "/ws?room=faithful";
    let mut members: Vec<Socket> = (0..10).map(|_| insist(plan, target)).collect();
    let mut publisher = Publisher::new(plan, "faithful");
    while plan.goes_on() {
        let offset = publisher.publish();
        for member in &mut members {
            let heard = member.message();
            assert_eq!(heard["offset"], offset, "{heard}");
            assert_eq!(heard["data"], publisher.said, "{heard}");
        }
        thread::sleep(PACE);
    }
    format!("10 of them heard {} publications each", publisher.said)
}

/// A member that is cut again and again recovers exactly what it missed.
pub fn comes_back(plan: &Plan) -> String {
    let mut publisher = Publisher::new(plan, "comeback");
    let mut position = json!(0);
    let (mut heard, mut times) = (0, 0);
    while plan.goes_on() {
        let mut socket = insist(plan, "/ws?room=nowhere");
        let subscribe = json!({"type": "subscribe", "room": "comeback", "since": position});
        let reply = socket.ask(&subscribe);
        assert_eq!(reply["recovered"], true, "{reply}");
        for missed in reply["publications"].as_array().into_iter().flatten() {
            heard += 1;
            assert_eq!(missed["data"], heard, "{missed}");
        }
        assert_eq!(heard, publisher.said, "all that was missed is there");
        for _ in 0..10 {
            publisher.publish();
            heard += 1;
            let live = socket.message();
            assert_eq!(live["data"], heard, "{live}");
        }
        position = json!({"epoch": reply["epoch"], "offset": publisher.offset});
        times += 1;
        drop(socket);
        // What is published now is missed.
        for _ in 0..10 {
            publisher.publish();
        }
        thread::sleep(PACE);
    }
    format!("{times} times, {heard} publications heard once each")
}

/// Fifty members are cut at the same moment, come back at the same moment, and each recovers.
pub fn storms(plan: &Plan) -> String {
    const MEMBERS: usize = 50;
    let mut publisher = Publisher::new(plan, "storm");
    let mut times = Vec::new();
    let (mut position, mut epoch) = (0, Value::Null);
    while plan.goes_on() {
        for _ in 0..20 {
            publisher.publish();
        }
        let expected: Vec<u64> = (position + 1..=publisher.offset).collect();
        let since = match &epoch {
            Value::Null => json!(position),
            epoch => json!({"epoch": epoch, "offset": position}),
        };
        let began = Instant::now();
        let came_back = || {
            let mut socket = insist(plan, "/ws?room=nowhere");
            let subscribe = json!({"type": "subscribe", "room": "storm", "since": since});
            let reply = socket.ask(&subscribe);
            assert_eq!(reply["recovered"], true, "{reply}");
            let missed = reply["publications"].as_array().cloned();
            let offsets = missed.unwrap_or_default().into_iter();
            let offsets: Vec<_> = offsets.filter_map(|each| each["offset"].as_u64()).collect();
            assert_eq!(offsets, expected, "each once, in order");
            (began.elapsed(), reply["epoch"].clone(), socket)
        };
        // All are there until the last one has recovered.
        let all: Vec<_> = thread::scope(|scope| {
            let back: Vec<_> = (0..MEMBERS).map(|_| scope.spawn(came_back)).collect();
            back.into_iter().map(|each| each.join().unwrap()).collect()
        });
        times.extend(all.iter().map(|(took, _, _)| *took));
        epoch = all[0].1.clone();
        position = publisher.offset;
        drop(all);
        thread::sleep(PACE);
    }
    times.sort_unstable();
    let (count, last) = (times.len() / MEMBERS, times.len() - 1);
    let (half, most) = (times[last / 2], times[last * 99 / 100]);
    format!("{count} of {MEMBERS}; all recovered, half within {half:.0?}, 99 % within {most:.0?}")
}

/// Publishes numbers from 1 to a room by HTTP, on another connection when one is lost.
struct Publisher<'a> {
    plan: &'a Plan,
    room: &'static str,
    connection: Option<Connection>,
    /// The last number.
    said: u64,
    /// The room's offset behind it.
    offset: u64,
}

impl<'a> Publisher<'a> {
    fn new(plan: &'a Plan, room: &'static str) -> Self {
        Self {
            plan,
            room,
            connection: None,
            said: 0,
            offset: 0,
        }
    }

    /// Publishes the next number, once: the key makes repeats harmless.
    fn publish(&mut self) -> u64 {
        self.said += 1;
        let key = format!("{}-{}", self.room, self.said);
        let body = json!({"room": self.room, "event": "said", "data": self.said, "id": key});
        let body = body.to_string();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(offset) = self.try_publish(&body) {
                self.offset = offset;
                return offset;
            }
            self.connection = None;
            assert!(Instant::now() < deadline, "publishing fails");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn try_publish(&mut self, body: &str) -> Option<u64> {
        let address = self.plan.address;
        if self.connection.is_none() {
            self.connection = Some(Connection::try_open(address).ok()?);
        }
        let connection = self.connection.as_mut()?;
        let request = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.try_send(request.as_bytes()).ok()?;
        let answer = connection.answer(false).ok()?;
        if answer.status() != 200 {
            return None;
        }
        let results: Value = answer.json();
        results.pointer("/results/0/offset")?.as_u64()
    }
}

/// A session, however often it takes.
fn insist(plan: &Plan, target: &str) -> Socket {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(socket) = connect(plan.address, target) {
            return socket;
        }
        assert!(Instant::now() < deadline, "there is no place for {target}");
        thread::sleep(Duration::from_millis(20));
    }
}
