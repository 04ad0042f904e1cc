//! What happens to the server: each load on a thread of its own, until the plan ends.
//!
//! Who floods may be refused, cut and reset, and only counts; see `faithful` for those who may not.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use kinglet::testkit::client::{Arrival, Connection, get};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::http::client::encode_request;
use kinglet::wire::websocket::frame::Opcode;
use kinglet::wire::websocket::handshake::{client_key, client_request};
use serde_json::json;

use crate::faithful;
use crate::watch::{Sample, Watch};

/// Where and until when.
#[derive(Clone, Copy)]
pub struct Plan {
    pub address: SocketAddr,
    pub until: Instant,
}

impl Plan {
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }
}

/// One load; what it did, in words.
pub struct Load {
    pub name: &'static str,
    pub run: fn(&Plan) -> String,
}

const fn load(name: &'static str, run: fn(&Plan) -> String) -> Load {
    Load { name, run }
}

pub const LOADS: [Load; 10] = [
    load("faithful members", faithful::members),
    load("who comes back", faithful::comes_back),
    load("storms of those who come back", faithful::storms),
    load("churn", churn),
    load("slow readers", slow_readers),
    load("half-open", half_open),
    load("ping, pong and fragment floods", frame_floods),
    load("broken frames", broken_frames),
    load("requests", requests),
    load("descriptor floods", descriptor_floods),
];

/// Rooms that come and go.
const ROOMS: u64 = 5000;

/// Lets the server fill what it keeps from its first client on.
pub fn warm(address: SocketAddr) {
    for _ in 0..20 {
        drop(Socket::open(address, "/ws?room=warm"));
        assert_eq!(get(address, "/api/v1/rooms").status(), 200);
    }
}

/// Waits until nothing is left of the loads; how the server is then.
pub fn quiet(
    server: &Server,
    descriptors: usize,
    patience: Duration,
    faults: &mut Vec<String>,
) -> Sample {
    let deadline = Instant::now() + patience;
    loop {
        let sample = Watch::sample(server.pid());
        let ready = get(server.address(), "/health/ready").json();
        let rooms = &ready["details"]["rooms"];
        let sessions = &ready["details"]["sessions"];
        let is_empty = *sessions == 0 && *rooms == 0 && sample.descriptors <= descriptors;
        if is_empty {
            return sample;
        }
        if Instant::now() > deadline {
            faults.push(format!(
                "not quiet again: {sessions} sessions, {rooms} rooms, {} descriptors",
                sample.descriptors
            ));
            return sample;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// A WebSocket, unless the server has no place for it.
pub fn connect(address: SocketAddr, target: &str) -> Option<Socket> {
    let mut connection = Connection::try_open(address).ok()?;
    let key = client_key([7; 16]);
    let request = client_request(&address.to_string(), target, &key, &[], &[]);
    connection.try_send(&request).ok()?;
    let answer = connection.answer(false).ok()?;
    (answer.status() == 101).then(|| Socket::on(connection, String::new()))
}

/// The status of an answer, unless there is none.
fn status(connection: &mut Connection, request: &[u8]) -> Option<u16> {
    connection.try_send(request).ok()?;
    Some(connection.answer(false).ok()?.status())
}

/// Sessions that come, say something in a room of many, and go: with a Close, or without a word.
fn churn(plan: &Plan) -> String {
    let (mut came, mut refused) = (0_u64, 0_u64);
    while plan.goes_on() {
        let number = came + refused;
        let target = format!("/ws?room=churn{}&room=all", number % ROOMS);
        let Some(mut socket) = connect(plan.address, &target) else {
            refused += 1;
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        came += 1;
        let room = format!("churn{}", number % ROOMS);
        let said = json!({"type": "publish", "room": room, "event": "said", "data": number});
        let mut bytes = Vec::new();
        socket.mask(true, Opcode::Text, said.to_string().as_bytes(), &mut bytes);
        // Whoever comes while descriptors are short may be cut.
        if socket.connection.try_send(&bytes).is_err() {
            continue;
        }
        if number % 2 == 0 {
            let mut close = Vec::new();
            socket.mask(true, Opcode::Close, &1000_u16.to_be_bytes(), &mut close);
            let _ = socket.connection.try_send(&close);
            while !matches!(socket.receive(), Received::Close(..) | Received::None(_)) {}
        }
    }
    format!("{came} came and went, {refused} were refused")
}

/// Members that read nothing while their room is full of large publications.
fn slow_readers(plan: &Plan) -> String {
    let (mut cut, mut publications) = (0_u64, 0_u64);
    let data = "x".repeat(20_000);
    let body = json!({"room": "flood", "event": "said", "data": data}).to_string();
    let host = plan.address.to_string();
    let request = encode_request("POST", "/api/v1/publish", &host, &[], body.as_bytes());
    while plan.goes_on() {
        let readers: Vec<Socket> = (0..8)
            .filter_map(|_| connect(plan.address, "/ws?room=flood"))
            .collect();
        let Ok(mut publisher) = Connection::try_open(plan.address) else {
            continue;
        };
        for _ in 0..300 {
            match status(&mut publisher, &request) {
                Some(200) => publications += 1,
                Some(_) | None => break,
            }
        }
        // Nothing is taken of them for longer than limits.write_timeout.
        thread::sleep(Duration::from_millis(1200));
        cut += readers.len() as u64;
    }
    format!("{cut} of them, {publications} publications of 20 kB")
}

/// Connections that begin something and never end it.
fn half_open(plan: &Plan) -> String {
    let begun: [&[u8]; 5] = [
        b"",
        b"GET / HT",
        b"POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: web",
        b"\x16\x03\x01",
    ];
    let mut count = 0_u64;
    while plan.goes_on() {
        let mut open = Vec::new();
        for (number, bytes) in (0..15).zip(begun.iter().cycle()) {
            let Ok(mut connection) = Connection::try_open(plan.address) else {
                continue;
            };
            if connection.try_send(bytes).is_ok() && number % 3 == 0 {
                connection.end_input();
            }
            open.push(connection);
            count += 1;
        }
        // Some wait until they are told, the others go before.
        thread::sleep(Duration::from_millis(700));
        open.truncate(8);
        for connection in &mut open {
            let deadline = Instant::now() + Duration::from_secs(2);
            while connection.arrive(deadline) == Arrival::Bytes {}
        }
    }
    format!("{count} of them")
}

/// Pings whose pongs are read and such whose are not, pongs that nobody asked for, messages of
/// very many fragments.
fn frame_floods(plan: &Plan) -> String {
    let (mut pongs, mut rounds) = (0_u64, 0_u64);
    while plan.goes_on() {
        let Some(mut socket) = connect(plan.address, "/ws/echo") else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        rounds += 1;
        let mut burst = Vec::new();
        for number in 0..500_u32 {
            socket.mask(true, Opcode::Ping, &number.to_be_bytes(), &mut burst);
            socket.mask(true, Opcode::Pong, b"unasked", &mut burst);
        }
        if socket.connection.try_send(&burst).is_err() {
            continue;
        }
        for number in 0..500_u32 {
            match socket.receive() {
                Received::Pong(payload) => {
                    assert_eq!(payload, number.to_be_bytes(), "pongs come in order");
                    pongs += 1;
                }
                Received::None(_) => break,
                other => panic!("a pong was expected, not {other:?}"),
            }
        }
        burst.clear();
        socket.mask(false, Opcode::Text, b"", &mut burst);
        for _ in 0..5000 {
            socket.mask(false, Opcode::Continuation, b"", &mut burst);
        }
        let _ = socket.connection.try_send(&burst);
        let closed = socket.receive();
        let is_told = matches!(closed, Received::Close(1009, _) | Received::None(_));
        assert!(is_told, "{closed:?}");
        if rounds % 4 == 0 {
            unread_pings(plan);
        }
    }
    format!("{rounds} rounds, {pongs} pongs in order")
}

/// A flood of pings by a client that reads nothing, until it is cut.
fn unread_pings(plan: &Plan) {
    let Some(mut socket) = connect(plan.address, "/ws/echo") else {
        return;
    };
    let mut burst = Vec::new();
    for _ in 0..500 {
        socket.mask(true, Opcode::Ping, &[b'x'; 125], &mut burst);
    }
    while plan.goes_on() {
        let patience = Duration::from_millis(100);
        if socket.connection.send_some(&burst, patience).is_err() {
            return;
        }
    }
}

/// Frames that break the protocol, each told with its code.
fn broken_frames(plan: &Plan) -> String {
    let frames: [(&[u8], u16); 6] = [
        (b"\x81\x02hi", 1002),
        (b"\xf1\x80\0\0\0\0", 1002),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1002),
        (b"\x82\xff\0\0\x01\0\0\0\0\0\0\0\0\0", 1009),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x88\x81\0\0\0\0\x03", 1002),
    ];
    let (mut told, mut cut) = (0_u64, 0_u64);
    for (bytes, code) in frames.iter().cycle() {
        if !plan.goes_on() {
            break;
        }
        let Some(mut socket) = connect(plan.address, "/ws?room=all") else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let sent = socket.connection.try_send(bytes);
        loop {
            match socket.receive() {
                Received::Close(found, _) => {
                    assert_eq!(found, *code, "{bytes:?} {sent:?}");
                    told += 1;
                    break;
                }
                Received::None(_) => {
                    cut += 1;
                    break;
                }
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    format!("{told} were told their code, {cut} were cut")
}

/// Requests on connections that stay: publications, histories, and such that are malformed.
fn requests(plan: &Plan) -> String {
    let (mut answered, mut refused) = (0_u64, 0_u64);
    let host = plan.address.to_string();
    while plan.goes_on() {
        let Ok(mut connection) = Connection::try_open(plan.address) else {
            continue;
        };
        for number in 0..200_u64 {
            let room = format!("api{}", number % 50);
            let body = json!({"room": room, "event": "said", "data": "y".repeat(500)}).to_string();
            let request = match number % 4 {
                0 => encode_request("GET", "/api/v1/rooms?limit=100", &host, &[], b""),
                1 => {
                    let target = format!("/api/v1/rooms/{room}/history");
                    encode_request("GET", &target, &host, &[], b"")
                }
                _ => encode_request("POST", "/api/v1/publish", &host, &[], body.as_bytes()),
            };
            match status(&mut connection, &request) {
                Some(200 | 404) => answered += 1,
                Some(503) => refused += 1,
                Some(other) => panic!("{other} for a good request"),
                None => break,
            }
        }
        let broken = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
        if let Some(found) = status(&mut connection, broken) {
            assert!(
                [400, 503].contains(&found),
                "{found} for a malformed request"
            );
            refused += 1;
        }
    }
    format!("{answered} were answered, {refused} refused")
}

/// More connections at once than there are descriptors, again and again.
fn descriptor_floods(plan: &Plan) -> String {
    let mut opened = 0_u64;
    while plan.goes_on() {
        let flood: Vec<Connection> = (0..400)
            .filter_map(|_| Connection::try_open(plan.address).ok())
            .collect();
        opened += flood.len() as u64;
        thread::sleep(Duration::from_millis(300));
        drop(flood);
        // The others need a chance, too.
        thread::sleep(Duration::from_millis(1700));
    }
    format!("{opened} connections")
}
