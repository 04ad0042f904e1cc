//! A blocking WebSocket client over a real socket, as honest or as broken as a test wants.
//!
//! Built on the wire code's client half: what a server sends is held to RFC 6455, and what is sent
//! to it is whatever the test says. Invariant: every wait ends, after [`PATIENCE`] at the latest.
#![allow(clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::base::rng::Rng;
use crate::testkit::client::{Answer, Arrival, Connection, PATIENCE};
use crate::wire::websocket::assembler::{Assembler, AssemblerLimits, Event};
use crate::wire::websocket::frame::{Opcode, Role, masked_frame, unmask, write_header};
use crate::wire::websocket::handshake::{check_switching, client_key, client_request};

const MESSAGE_LIMITS: AssemblerLimits = AssemblerLimits {
    message_bytes: 64 * 1024 * 1024,
    fragments: u32::MAX,
};

/// A WebSocket client.
#[derive(Debug)]
pub struct Socket {
    /// The connection below, for what no WebSocket client would send.
    pub connection: Connection,
    assembler: Assembler,
    rng: Rng,
    subprotocol: String,
}

/// What a WebSocket client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close with this code (1005 if it had none) and reason.
    Close(u16, String),
    /// No frame any more: how the connection stands.
    None(Arrival),
}

impl Socket {
    /// Connects to `target`, as in `/ws?room=a`.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn open(address: SocketAddr, target: &str) -> Self {
        let opened = Self::handshake(Connection::open(address), target, &[], &[]);
        opened.unwrap_or_else(|refusal| panic!("{target} was refused: {refusal:?}"))
    }

    /// Connects with these subprotocols and further headers.
    ///
    /// # Errors
    /// The answer that refuses.
    ///
    /// # Panics
    /// When there is no answer, or 101 with a wrong key.
    pub fn handshake(
        connection: Connection,
        target: &str,
        subprotocols: &[&str],
        headers: &[(&str, &str)],
    ) -> Result<Self, Answer> {
        // Masks need not be secret here, and a test is replayed best with the same bytes.
        let mut rng = Rng::from_seed(0);
        let mut nonce = [0; 16];
        rng.fill(&mut nonce);
        let key = client_key(nonce);
        let mut connection = connection;
        let host = connection.host();
        connection.send(client_request(&host, target, &key, subprotocols, headers));
        let answer = connection
            .answer(false)
            .expect("an answer to the handshake");
        if answer.status() != 101 {
            return Err(answer);
        }
        let accept = answer.header("sec-websocket-accept");
        assert!(check_switching(101, Some(accept), &key), "{accept}");
        let subprotocol = answer.header("sec-websocket-protocol").to_owned();
        Ok(Self::on(connection, subprotocol))
    }

    /// A client on a connection whose handshake is done.
    #[must_use]
    pub fn on(connection: Connection, subprotocol: String) -> Self {
        Self {
            connection,
            assembler: Assembler::new(Role::Client),
            rng: Rng::from_seed(1),
            subprotocol,
        }
    }

    /// The subprotocol that the server selected; empty for none.
    #[must_use]
    pub fn subprotocol(&self) -> &str {
        &self.subprotocol
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the server does not take it, as for all that send.
    pub fn frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        self.mask(fin, opcode, payload, &mut bytes);
        self.connection.send(bytes);
    }

    /// Appends a masked frame to `out` without sending it.
    pub fn mask(&mut self, fin: bool, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let mut key = [0; 4];
        self.rng.fill(&mut key);
        if fin {
            out.extend_from_slice(&masked_frame(opcode, payload, key));
            return;
        }
        write_header(fin, opcode, payload.len() as u64, Some(key), out);
        let start = out.len();
        out.extend_from_slice(payload);
        unmask(out.get_mut(start..).unwrap_or_default(), key, 0);
    }

    /// Sends a text message.
    pub fn text(&mut self, text: &str) {
        self.frame(true, Opcode::Text, text.as_bytes());
    }

    /// Sends JSON as a text message.
    pub fn json(&mut self, message: &Value) {
        self.text(&message.to_string());
    }

    /// Sends a Close with a code.
    pub fn close(&mut self, code: u16, reason: &str) {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        self.frame(true, Opcode::Close, &payload);
    }

    /// The next frame or message, whatever it is.
    ///
    /// # Panics
    /// When the server breaks RFC 6455.
    pub fn receive(&mut self) -> Received {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let arrived = &mut self.connection.arrived;
            let (taken, event) = self
                .assembler
                .next(arrived, &MESSAGE_LIMITS)
                .expect("frames as RFC 6455 has them");
            let received = event.map(|event| match event {
                Event::Text(text) => Received::Text(text.to_owned()),
                Event::Binary(bytes) => Received::Binary(bytes.to_vec()),
                Event::Compressed(..) => panic!("a compressed message that nobody asked for"),
                Event::Ping(payload) => Received::Ping(payload.to_vec()),
                Event::Pong(payload) => Received::Pong(payload.to_vec()),
                Event::Close(Some(close)) => Received::Close(close.code, close.reason.to_owned()),
                Event::Close(None) => Received::Close(1005, String::new()),
            });
            arrived.drain(..taken);
            if let Some(received) = received {
                return received;
            }
            match self.connection.arrive(deadline) {
                Arrival::Bytes => {}
                ended => return Received::None(ended),
            }
        }
    }

    /// The next text message as JSON. Pings before it are answered.
    ///
    /// # Panics
    /// When something else comes, or nothing.
    pub fn message(&mut self) -> Value {
        loop {
            match self.receive() {
                Received::Text(text) => {
                    let parsed = serde_json::from_str(&text);
                    return parsed.unwrap_or_else(|error| panic!("{error}: {text}"));
                }
                Received::Ping(payload) => self.frame(true, Opcode::Pong, &payload),
                other => panic!("a message was expected, not {other:?}"),
            }
        }
    }

    /// Sends a message and waits for the next one.
    pub fn ask(&mut self, message: &Value) -> Value {
        self.json(message);
        self.message()
    }

    /// The code and reason of the server's Close, behind whatever comes before it.
    ///
    /// # Panics
    /// When it does not come.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            match self.receive() {
                Received::Close(code, reason) => return (code, reason),
                Received::None(end) => panic!("a Close was expected, not {end:?}"),
                _ => {}
            }
        }
    }

    /// Checks that nothing is on its way to this client: the answer to a Ping comes next.
    ///
    /// # Panics
    /// When something else does.
    pub fn hears_nothing(&mut self) {
        self.frame(true, Opcode::Ping, b"nothing?");
        let received = self.receive();
        assert_eq!(received, Received::Pong(b"nothing?".to_vec()));
    }
}
