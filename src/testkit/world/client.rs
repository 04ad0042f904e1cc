//! A client without a socket: HTTP first, a WebSocket after a 101, whatever its test makes of it.
//!
//! Unlike a real client it can be told not to read, not to answer Ping or Close, to send anything
//! at all. Invariant: what it received is kept as received, in order, until a test takes it.

#![allow(clippy::expect_used)]

use std::collections::VecDeque;

use serde_json::Value;

use crate::base::clock::Mono;
use crate::base::rng::Rng;
use crate::testkit::deflate::ClientDeflate;
use crate::testkit::link::Link;
use crate::testkit::tls::TlsClient;
use crate::wire::http::client::{ResponseLimits, ResponseReader, encode_request};
use crate::wire::http::scan::HeadLimits;
use crate::wire::websocket::assembler::{Assembler, AssemblerLimits, Event, MessageKind};
use crate::wire::websocket::close::close_payload;
use crate::wire::websocket::frame::{
    Opcode, Role, masked_frame, unmask, write_compressed_header, write_header,
};
use crate::wire::websocket::handshake::{check_switching, client_request};

/// The handshake's key; nothing secret rests on it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Any mask will do.
const MASK: [u8; 4] = [7, 77, 177, 3];
/// The name in Host; the world serves it.
pub const HOST: &str = "127.0.0.1:8080";

/// What arrived on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping,
    /// A Pong with its payload.
    Pong(Vec<u8>),
    /// A Close with its code, 1005 if it had none, and reason.
    Close(u16, String),
}

/// An answer to an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The value of Connection.
    pub connection: Option<String>,
    /// The value of Retry-After.
    pub retry_after: Option<String>,
    /// The value of Sec-WebSocket-Protocol.
    pub subprotocol: Option<String>,
    /// The value of Sec-WebSocket-Extensions.
    pub extensions: Option<String>,
    /// The value of WWW-Authenticate.
    pub challenge: Option<String>,
    /// The body.
    pub body: String,
}

/// How a connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server has closed its sending side.
    Finished,
    /// The connection was reset or cut.
    Broken,
}

/// One client with its connection.
#[derive(Debug)]
pub struct Client {
    /// The connection; a test may change its conditions.
    pub link: Link,
    /// Bytes it reads in one turn; `None` is everything, 0 is a client that does not read.
    pub appetite: Option<usize>,
    /// Whether it answers Pings.
    pub answers_pings: bool,
    /// Whether it answers Close, and closes when the server has.
    pub answers_close: bool,
    /// Messages received and not yet taken.
    pub inbox: VecDeque<Message>,
    /// HTTP answers received and not yet taken; a 101 is among them.
    pub answers: VecDeque<Answer>,
    /// How the connection ended, if it has.
    pub end: Option<End>,
    /// Messages received that were compressed.
    pub inflated: usize,
    /// Bits of the window that it compresses with, if that is agreed on.
    pub window: u8,
    /// Its TLS, if it speaks that; a test may make it say something odd.
    pub tls: Option<TlsClient>,
    /// What TLS ended with, if not well.
    pub tls_fault: Option<rustls::Error>,
    outgoing: VecDeque<u8>,
    finishes: bool,
    speech: Speech,
}

enum Speech {
    Http(Box<ResponseReader>),
    WebSocket(Assembler, Option<Box<ClientDeflate>>),
    /// Nobody looks at what comes.
    Raw(Vec<u8>),
}

impl std::fmt::Debug for Speech {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http(_) => "Http",
            Self::WebSocket(..) => "WebSocket",
            Self::Raw(_) => "Raw",
        })
    }
}

impl Client {
    pub(super) fn new(link: Link, tls: Option<TlsClient>) -> Self {
        Self {
            link,
            tls,
            tls_fault: None,
            appetite: None,
            answers_pings: true,
            answers_close: true,
            inbox: VecDeque::new(),
            answers: VecDeque::new(),
            end: None,
            inflated: 0,
            window: 15,
            outgoing: VecDeque::new(),
            finishes: false,
            speech: Speech::http(),
        }
    }

    /// Sends bytes as they are, over TLS if it speaks that.
    pub fn send(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            None => self.outgoing.extend(bytes),
            Some(tls) => tls.send(bytes),
        }
    }

    /// Puts bytes on the wire that are no TLS, or not of this connection's making.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.outgoing.extend(bytes);
    }

    /// Sends an HTTP request.
    pub fn request(&mut self, method: &str, target: &str, body: &str) {
        self.send(&encode_request(method, target, HOST, &[], body.as_bytes()));
    }

    /// Sends a request without a body, with further headers.
    pub fn request_with(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) {
        self.send(&encode_request(method, target, HOST, headers, b""));
    }

    /// Asks for a WebSocket at `/ws`, with further headers.
    pub fn upgrade_with(&mut self, headers: &[(&str, &str)]) {
        self.upgrade_offering("/ws", &[], headers);
    }

    /// Asks for a WebSocket; `protocol` is the subprotocol offered, empty for none.
    pub fn upgrade(&mut self, target: &str, protocol: &str) {
        let protocols: &[&str] = if protocol.is_empty() {
            &[]
        } else {
            &[protocol]
        };
        self.upgrade_offering(target, protocols, &[]);
    }

    /// The same with any subprotocols and further headers.
    pub fn upgrade_offering(&mut self, target: &str, protocols: &[&str], headers: &[(&str, &str)]) {
        self.send(&client_request(HOST, target, KEY, protocols, headers));
    }

    /// Sends one frame.
    pub fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        self.send(&masked_frame(opcode, payload, MASK));
    }

    /// Sends a message, compressed if that was agreed on, in fragments of at most `most` bytes.
    pub fn message(&mut self, opcode: Opcode, payload: &[u8], most: usize) {
        let compressed = match &mut self.speech {
            Speech::WebSocket(_, Some(deflate)) => Some(deflate.compress(payload)),
            Speech::WebSocket(_, None) | Speech::Http(_) | Speech::Raw(_) => None,
        };
        let is_compressed = compressed.is_some();
        let payload = compressed.as_deref().unwrap_or(payload);
        self.fragments(opcode, is_compressed, payload, most);
    }

    /// Sends the frames of a message whose payload is `payload` as it is.
    pub fn fragments(&mut self, opcode: Opcode, compressed: bool, payload: &[u8], most: usize) {
        let mut frames = Vec::new();
        let count = payload.len().div_ceil(most.max(1)).max(1);
        for number in 0..count {
            let from = number * most;
            let part = payload.get(from..payload.len().min(from.saturating_add(most)));
            let part = part.unwrap_or_default();
            let (fin, length) = (number + 1 == count, part.len() as u64);
            match number {
                0 if compressed => {
                    write_compressed_header(fin, opcode, length, Some(MASK), &mut frames);
                }
                0 => write_header(fin, opcode, length, Some(MASK), &mut frames),
                _ => write_header(fin, Opcode::Continuation, length, Some(MASK), &mut frames),
            }
            let start = frames.len();
            frames.extend_from_slice(part);
            unmask(frames.get_mut(start..).unwrap_or_default(), MASK, 0);
        }
        self.send(&frames);
    }

    /// Sends a command as a text message.
    #[allow(clippy::needless_pass_by_value)]
    pub fn command(&mut self, command: Value) {
        self.frame(Opcode::Text, command.to_string().as_bytes());
    }

    /// Sends Close.
    pub fn close(&mut self, code: u16) {
        self.frame(Opcode::Close, &close_payload(code, ""));
    }

    /// Closes the sending side after what was sent.
    pub fn finish(&mut self) {
        self.finishes = true;
    }

    /// Cuts the connection; what is on the way is lost.
    pub fn cut(&mut self) {
        self.link.is_cut = true;
        self.end = Some(End::Broken);
    }

    /// Keeps what comes from now on as bytes: nothing is read as answers or messages, and no
    /// Close or Ping is answered.
    pub fn keep_raw(&mut self) {
        self.speech = Speech::Raw(Vec::new());
    }

    /// Takes the bytes that came since they were taken last; none unless they are kept raw.
    pub fn take_raw(&mut self) -> Vec<u8> {
        match &mut self.speech {
            Speech::Raw(bytes) => std::mem::take(bytes),
            Speech::Http(_) | Speech::WebSocket(..) => Vec::new(),
        }
    }

    /// Whether everything it sent has left for the server.
    #[must_use]
    pub fn has_sent_all(&self) -> bool {
        let is_open = self.tls.as_ref().is_none_or(TlsClient::is_open);
        is_open && self.outgoing.is_empty()
    }

    /// Takes the messages received so far that are JSON, as values; others stay.
    pub fn take_json(&mut self) -> Vec<Value> {
        let mut taken = Vec::new();
        self.inbox.retain(|message| {
            let Message::Text(text) = message else {
                return true;
            };
            match serde_json::from_str(text) {
                Ok(value) => {
                    taken.push(value);
                    false
                }
                Err(_) => true,
            }
        });
        taken
    }

    /// The code of the first Close received.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        self.inbox.iter().find_map(|message| match message {
            Message::Close(code, _) => Some(*code),
            Message::Text(_) | Message::Binary(_) | Message::Ping | Message::Pong(_) => None,
        })
    }

    /// Reads and writes as the link lets it. True if anything moved.
    pub(super) fn turn(&mut self, rng: &mut Rng, now: Mono) -> bool {
        if self.link.is_cut {
            let news = self.end.is_none();
            self.end = Some(End::Broken);
            return news;
        }
        let mut moved = self.read(rng, now);
        if let Some(tls) = &mut self.tls {
            if self.finishes && tls.is_open() {
                tls.close();
            }
            self.outgoing.extend(tls.outgoing());
        }
        if !self.outgoing.is_empty() && !self.link.up.has_ended() {
            let (up, conditions) = (&mut self.link.up, &self.link.conditions);
            let count = up.send(self.outgoing.make_contiguous(), conditions, rng, now);
            self.outgoing.drain(..count);
            moved |= count > 0;
        }
        let shakes = self.tls.as_ref().is_some_and(|tls| !tls.is_open());
        let waits = shakes && self.end.is_none() && self.tls_fault.is_none();
        let is_over = self.finishes && !waits && self.outgoing.is_empty();
        if is_over && !self.link.up.has_ended() {
            self.link.up.end();
            moved = true;
        }
        moved
    }

    fn read(&mut self, rng: &mut Rng, now: Mono) -> bool {
        let most = self.appetite.unwrap_or(usize::MAX);
        if most == 0 || self.end.is_some() {
            return false;
        }
        let bytes = self.link.down.take(most, &self.link.conditions, rng, now);
        match &mut self.tls {
            None => self.take(&bytes),
            Some(tls) => {
                if let Err(fault) = tls.receive(&bytes) {
                    self.tls_fault = Some(fault);
                }
                let arrived = std::mem::take(&mut tls.arrived);
                self.take(&arrived);
            }
        }
        if self.link.down.is_at_end() {
            self.end = Some(End::Finished);
            if let Speech::Http(reader) = &mut self.speech {
                // An answer that was cut short is missed by the test that waits for it.
                let _ = reader.eof();
            }
            if self.answers_close {
                self.finishes = true;
            }
            return true;
        }
        !bytes.is_empty()
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.speech {
                Speech::Http(reader) => {
                    let count = reader.feed(bytes).expect("the server speaks HTTP");
                    bytes = bytes.get(count..).unwrap_or_default();
                    if reader.is_done() {
                        self.answered();
                    }
                }
                Speech::WebSocket(..) => return self.messages(bytes.to_vec()),
                Speech::Raw(kept) => return kept.extend_from_slice(bytes),
            }
        }
    }

    fn answered(&mut self) {
        let Speech::Http(reader) = std::mem::replace(&mut self.speech, Speech::http()) else {
            return;
        };
        let head = reader.head().expect("a complete answer has a head");
        let accept = head.header("sec-websocket-accept");
        if check_switching(head.status(), accept, KEY) {
            let extensions = head.header("sec-websocket-extensions").unwrap_or_default();
            let deflate = ClientDeflate::of_answer(extensions, self.window).map(Box::new);
            let assembler = Assembler::new(Role::Client);
            let assembler = match deflate {
                Some(_) => assembler.with_compression(),
                None => assembler,
            };
            self.speech = Speech::WebSocket(assembler, deflate);
        }
        self.answers.push_back(Answer {
            status: head.status(),
            connection: head.header("connection").map(str::to_owned),
            retry_after: head.header("retry-after").map(str::to_owned),
            subprotocol: head.header("sec-websocket-protocol").map(str::to_owned),
            extensions: head.header("sec-websocket-extensions").map(str::to_owned),
            challenge: head.header("www-authenticate").map(str::to_owned),
            body: String::from_utf8_lossy(reader.body()).into_owned(),
        });
    }

    fn messages(&mut self, mut bytes: Vec<u8>) {
        let limits = AssemblerLimits {
            message_bytes: usize::MAX,
            fragments: u32::MAX,
        };
        let mut at = 0;
        loop {
            let Speech::WebSocket(assembler, deflate) = &mut self.speech else {
                return;
            };
            let rest = bytes.get_mut(at..).unwrap_or_default();
            let next = assembler.next(rest, &limits);
            let (count, event) = next.expect("the server speaks WebSocket");
            at += count;
            let message = match event {
                None => return,
                Some(Event::Text(text)) => Message::Text(text.to_owned()),
                Some(Event::Binary(bytes)) => Message::Binary(bytes.to_vec()),
                Some(Event::Compressed(kind, bytes)) => {
                    self.inflated += 1;
                    let deflate = deflate.as_mut().expect("compression was agreed on");
                    let bytes = deflate.expand(bytes);
                    match kind {
                        MessageKind::Text => {
                            Message::Text(String::from_utf8(bytes).expect("text is UTF-8"))
                        }
                        MessageKind::Binary => Message::Binary(bytes),
                    }
                }
                Some(Event::Ping(_)) => Message::Ping,
                Some(Event::Pong(payload)) => Message::Pong(payload.to_vec()),
                Some(Event::Close(Some(close))) => {
                    Message::Close(close.code, close.reason.to_owned())
                }
                Some(Event::Close(None)) => Message::Close(1005, String::new()),
            };
            match &message {
                Message::Ping if self.answers_pings => self.frame(Opcode::Pong, b""),
                Message::Close(code, _) if self.answers_close => {
                    let code = if *code == 1005 { 1000 } else { *code };
                    self.close(code);
                }
                Message::Text(_)
                | Message::Binary(_)
                | Message::Ping
                | Message::Pong(_)
                | Message::Close(..) => {}
            }
            self.inbox.push_back(message);
        }
    }
}

impl Speech {
    fn http() -> Self {
        let limits = ResponseLimits {
            head: HeadLimits {
                bytes: 64 * 1024,
                headers: 100,
            },
            body: usize::MAX,
        };
        Self::Http(Box::new(ResponseReader::new(false, limits)))
    }
}
