//! A session of Engine.IO as raw as a test wants it: each request on a connection of its own, each
//! packet as it is written.

use std::net::SocketAddr;

use kinglet::testkit::client::{Answer, Arrival, Connection};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::testkit::socket_io::{Open, SocketIoClient};
use kinglet::wire::http::client::encode_request;

/// Where sessions begin.
pub const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// What is said of a session that there is not.
pub const SESSION_UNKNOWN: &str = "{\"code\":1,\"message\":\"Session ID unknown\"}";
pub const BAD_REQUEST: &str = "{\"code\":3,\"message\":\"Bad request\"}";

/// A session that began with a GET.
#[derive(Clone, Debug)]
pub struct Session {
    pub address: SocketAddr,
    pub sid: String,
}

/// A GET that hangs.
pub struct Parked(Connection);

impl Session {
    /// Begins one.
    pub fn open(server: &Server) -> Self {
        let address = server.address();
        let answer = Connection::open(address).request("GET", POLLING, &[], b"");
        let sid = opened(&text(&answer)).sid;
        Self { address, sid }
    }

    /// The same in the main namespace of the echoing application.
    pub fn connected(server: &Server) -> Self {
        let session = Self::open(server);
        session.says("40");
        let packets = session.hear(2);
        assert!(packets[0].starts_with("40{\"sid\":\""), "{packets:?}");
        assert_eq!(packets[1], "42[\"auth\",{}]");
        session
    }

    /// The target of its requests over `transport`.
    pub fn target(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    pub fn poll(&self) -> Answer {
        self.ask("GET", b"")
    }

    pub fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.ask("POST", body.as_ref())
    }

    fn ask(&self, method: &str, body: &[u8]) -> Answer {
        let headers: &[_] = match method {
            "POST" => &[("Content-Type", "text/plain;charset=UTF-8")],
            _ => &[],
        };
        let mut connection = Connection::open(self.address);
        connection.request(method, &self.target("polling"), headers, body)
    }

    /// Posts what has to be taken.
    pub fn says(&self, body: impl AsRef<[u8]>) {
        let answer = self.post(body);
        assert_eq!((answer.status(), &*text(&answer)), (200, "ok"));
    }

    /// Polls until so many packets have come, and has them.
    pub fn hear(&self, count: usize) -> Vec<String> {
        let mut packets = Vec::new();
        while packets.len() < count {
            let answer = self.poll();
            assert_eq!(answer.status(), 200, "{answer:?} after {packets:?}");
            packets.extend(self::packets(&answer));
        }
        assert_eq!(packets.len(), count, "{packets:?}");
        packets
    }

    /// Sends a GET without waiting for its answer.
    pub fn park(&self) -> Parked {
        let mut connection = Connection::open(self.address);
        let (host, target) = (connection.host(), self.target("polling"));
        connection.send(encode_request("GET", &target, &host, &[], b""));
        Parked(connection)
    }

    /// A WebSocket with its sid.
    pub fn attach(&self) -> Socket {
        Socket::open(self.address, &self.target("websocket"))
    }

    /// The same, that has been probed.
    pub fn probe(&self) -> Socket {
        let mut socket = self.attach();
        socket.text("2probe");
        assert_eq!(hear(&mut socket), "3probe");
        socket
    }

    /// Goes over to a WebSocket.
    pub fn upgrade(&self) -> Socket {
        let mut socket = self.probe();
        socket.text("5");
        socket
    }

    /// Polls until the server has said its last, and checks that it is over.
    pub fn ends(&self) {
        let mut last = Vec::new();
        while last.last().is_none_or(|packet| packet != "1") {
            let answer = self.poll();
            if answer.status() == 400 {
                break;
            }
            last = packets(&answer);
        }
        self.is_over();
    }

    /// Checks that it is over.
    pub fn is_over(&self) {
        let answer = self.poll();
        assert_eq!((answer.status(), &*text(&answer)), (400, SESSION_UNKNOWN));
    }
}

impl Parked {
    /// The packets that it is answered with.
    pub fn packets(&mut self) -> Vec<String> {
        let answer = self.answer();
        assert_eq!(answer.status(), 200, "{answer:?}");
        packets(&answer)
    }

    pub fn answer(&mut self) -> Answer {
        self.0.answer(false).expect("a GET that hung is answered")
    }
}

/// The answer's body as text.
pub fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body().to_vec()).expect("the answer is text")
}

/// The packets in the answer to a poll.
pub fn packets(answer: &Answer) -> Vec<String> {
    text(answer).split('\x1e').map(str::to_owned).collect()
}

/// Reads the packet that opens a session.
pub fn opened(packet: &str) -> Open {
    let mut client = SocketIoClient::default();
    client.text(packet);
    client.open.expect("the first packet is the open packet")
}

/// A session that begins on a WebSocket.
pub fn websocket(server: &Server) -> Socket {
    let mut socket = Socket::open(server.address(), WEBSOCKET);
    opened(&hear(&mut socket));
    socket
}

/// The same in a namespace of the echoing application; `prefix` is `/custom,`, or nothing for the
/// main one.
pub fn connected_in(server: &Server, prefix: &str) -> Socket {
    let mut socket = websocket(server);
    socket.text(&format!("40{prefix}"));
    let reply = hear(&mut socket);
    assert!(
        reply.starts_with(&format!("40{prefix}{{\"sid\":\"")),
        "{reply}"
    );
    assert_eq!(hear(&mut socket), format!("42{prefix}[\"auth\",{{}}]"));
    socket
}

pub fn connected(server: &Server) -> Socket {
    connected_in(server, "")
}

/// The next message, which is text.
pub fn hear(socket: &mut Socket) -> String {
    match socket.receive() {
        Received::Text(text) => text,
        other => panic!("a packet was expected, not {other:?}"),
    }
}

/// Checks that the server closes it, whatever is said before.
pub fn is_closed(socket: &mut Socket) {
    assert!(closes(socket), "it is still open");
}

/// Whether the server closes it.
pub fn closes(socket: &mut Socket) -> bool {
    loop {
        match socket.receive() {
            Received::Close(..) | Received::None(Arrival::End | Arrival::Reset) => return true,
            Received::None(Arrival::Nothing) => return false,
            _ => {}
        }
    }
}

/// Checks that a socket in the main namespace is still served.
pub fn echoes(socket: &mut Socket) {
    socket.text("42[\"message\",\"there?\"]");
    assert_eq!(hear(socket), "42[\"message-back\",\"there?\"]");
}

/// Checks that the server still serves whoever comes next.
pub fn still_serves(server: &Server) {
    echoes(&mut connected(server));
}
