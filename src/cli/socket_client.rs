//! A WebSocket to a server: text messages out and in, pings answered, the close answered.
//!
//! May not touch: what the messages mean. Invariants: every frame is masked with a key of its own;
//! after a close nothing more is read.

use std::ops::Range;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::cli::http_client::{answer, read_answer};
use crate::cli::server::Server;
use crate::cli::transport::{ANSWER_TIMEOUT, READ_BYTES, Stream, TransportFault, connect};
use crate::wire::websocket::assembler::{Assembler, AssemblerLimits, Event};
use crate::wire::websocket::close::close_payload;
use crate::wire::websocket::frame::{Opcode, Role, masked_frame};
use crate::wire::websocket::handshake::{check_switching, client_key, client_request};

/// A reply may carry 300 recovered publications, each as large as the server lets them be.
const LIMITS: AssemblerLimits = AssemblerLimits {
    message_bytes: 64 * 1024 * 1024,
    fragments: 4096,
};

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message.
    Text(String),
    /// It closed; no code was given if there is none.
    Closed { code: Option<u16>, reason: String },
}

/// An open WebSocket.
pub(super) struct Socket {
    stream: Stream,
    assembler: Assembler,
    rng: Rng,
    buffer: Vec<u8>,
    /// What of `buffer` has arrived and was not looked at.
    unread: Range<usize>,
    /// How long the server may be silent.
    silence: Duration,
}

impl Socket {
    /// Connects to `path` (with its query), asking for `subprotocol`.
    pub(super) fn open(
        server: &Server,
        path: &str,
        subprotocol: &str,
    ) -> Result<Self, TransportFault> {
        let mut rng = Rng::from_os()?;
        let mut stream = connect(server)?;
        let mut nonce = [0; 16];
        rng.fill(&mut nonce);
        let key = client_key(nonce);
        let (host, target) = (server.url.authority(), server.url.target(path));
        let authorization = server.authorization();
        let extra = authorization
            .as_ref()
            .map(|value| ("Authorization", &**value));
        let request = client_request(&host, &target, &key, &[subprotocol], extra.as_slice());
        stream.send(&request)?;
        let (reader, mut buffer) = read_answer(&mut stream)?;
        let header = |name| reader.head().and_then(|head| head.header(name));
        let status = reader.status().unwrap_or_default();
        if status != 101 {
            return Err(answer(&reader)?.refusal());
        }
        if !check_switching(status, header("sec-websocket-accept"), &key) {
            return Err(TransportFault::NotKinglet(
                "the WebSocket key was not accepted",
            ));
        }
        if header("sec-websocket-protocol") != Some(subprotocol) {
            return Err(TransportFault::NotKinglet(
                "the subprotocol was not accepted",
            ));
        }
        let unread = 0..buffer.len();
        buffer.resize(buffer.len().max(READ_BYTES), 0);
        Ok(Self {
            stream,
            assembler: Assembler::new(Role::Client),
            rng,
            buffer,
            unread,
            silence: ANSWER_TIMEOUT,
        })
    }

    /// Sets how long [`Socket::receive`] waits for a byte.
    pub(super) fn set_silence_timeout(&mut self, timeout: Duration) -> Result<(), TransportFault> {
        self.silence = timeout.max(ANSWER_TIMEOUT);
        self.stream.set_read_timeout(self.silence)
    }

    /// Sends one message.
    pub(super) fn send(&mut self, text: &str) -> Result<(), TransportFault> {
        self.write(Opcode::Text, text.as_bytes())
    }

    /// Waits for the next message, or the end. Call it no more after [`Received::Closed`].
    pub(super) fn receive(&mut self) -> Result<Received, TransportFault> {
        loop {
            if self.unread.is_empty() {
                let count = self.stream.receive(&mut self.buffer)?;
                if count == 0 {
                    return Err(TransportFault::Ended);
                }
                self.unread = 0..count;
            }
            let input = self.buffer.get_mut(self.unread.clone()).unwrap_or_default();
            let (taken, event) = match self.assembler.next(input, &LIMITS) {
                Ok(advanced) => advanced,
                Err(broken) => {
                    let payload = close_payload(broken.close_code(), broken.reason());
                    // The server may be gone; its fault is what counts.
                    let _ = self.write(Opcode::Close, &payload);
                    return Err(TransportFault::NotWebSocket(broken));
                }
            };
            self.unread.start += taken;
            match event {
                Some(Event::Text(text)) => return Ok(Received::Text(text.to_owned())),
                Some(Event::Ping(payload)) => {
                    let payload = payload.to_vec();
                    self.write(Opcode::Pong, &payload)?;
                }
                Some(Event::Close(close)) => {
                    let code = close.map(|close| close.code);
                    let reason = close.map_or("", |close| close.reason).to_owned();
                    let payload = code.map_or_else(Vec::new, |code| close_payload(code, ""));
                    // Courtesy (RFC 6455 section 5.5.1); the connection ends either way.
                    let _ = self.write(Opcode::Close, &payload);
                    return Ok(Received::Closed { code, reason });
                }
                // Our server sends text only, and we send no pings and offer no compression.
                Some(Event::Binary(_) | Event::Compressed(..) | Event::Pong(_)) | None => {}
            }
        }
    }

    /// The same, waiting no longer than this for a byte; `None` if there was none.
    pub(super) fn receive_within(
        &mut self,
        wait: Duration,
    ) -> Result<Option<Received>, TransportFault> {
        // No time at all would be for ever.
        let wait = wait.clamp(Duration::from_millis(1), self.silence);
        self.stream.set_read_timeout(wait)?;
        let received = match self.receive() {
            Ok(received) => Some(received),
            Err(TransportFault::Silent(_)) => None,
            Err(fault) => return Err(fault),
        };
        self.stream.set_read_timeout(self.silence)?;
        Ok(received)
    }

    fn write(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), TransportFault> {
        let mut key = [0; 4];
        self.rng.fill(&mut key);
        self.stream.send(&masked_frame(opcode, payload, key))
    }
}
