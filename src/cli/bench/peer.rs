//! One connection of the generator, without its socket: bytes in, events and bytes out.
//!
//! ```text
//! WebSocket: upgrade sent ─▶ Upgrading ─101─▶ Open ─we close─▶ Closing ─its close─▶ Closed
//!                                       └─▶ Joining ─┘ where the dialect has to
//! HTTP:      Answering, one answer after the other
//! ```
//!
//! May not touch: sockets, clocks. Invariants: pings are answered; every frame is masked with a
//! key of its own; after a close nothing more is read.

use std::io;

use crate::base::rng::Rng;
use crate::cli::bench::dialect::{Dialect, Packet};
use crate::cli::bench::reason::Reason;
use crate::wire::http::client::{ResponseLimits, ResponseReader};
use crate::wire::http::scan::HeadLimits;
use crate::wire::websocket::assembler::{self, Assembler, AssemblerLimits};
use crate::wire::websocket::close::{NORMAL, close_payload};
use crate::wire::websocket::frame::{Opcode, Role, masked_frame};
use crate::wire::websocket::handshake::check_switching;

/// Servers wrap what they send on; 64 MiB is four times the largest message of ours.
const MESSAGE_LIMITS: AssemblerLimits = AssemblerLimits {
    message_bytes: 64 * 1024 * 1024,
    fragments: 65_536,
};

const ANSWER_LIMITS: ResponseLimits = ResponseLimits {
    head: HeadLimits {
        bytes: 64 * 1024,
        headers: 200,
    },
    // A page of a history may be this large, and answers to upgrades are not read at all.
    body: 16 * 1024 * 1024,
};

/// What happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// The server accepted the upgrade, or the connection if it is for requests.
    Opened,
    /// A whole message, text or bytes.
    Message(&'a [u8]),
    /// A request was answered with this status and body.
    Answered(u16, &'a [u8]),
}

/// One end of a connection.
pub(super) struct Peer {
    stage: Stage,
    dialect: Dialect,
    /// What waits to be written.
    unsent: Vec<u8>,
}

enum Stage {
    Upgrading {
        reader: Box<ResponseReader>,
        key: String,
    },
    /// The upgrade is accepted, and the dialect wants more.
    Joining(Assembler),
    Open(Assembler),
    /// We sent a close.
    Closing(Assembler),
    /// Both did, and the server ends the connection (RFC 6455 section 7.1.1).
    Closed,
    Answering(Box<ResponseReader>),
}

/// What may be sent in answer to an event.
pub(super) struct Outgoing<'a> {
    unsent: &'a mut Vec<u8>,
    rng: &'a mut Rng,
    dialect: Dialect,
    closes: bool,
}

impl Outgoing<'_> {
    /// Sends a text message.
    pub(super) fn message(&mut self, text: &[u8]) {
        let wrapped = self.dialect.wrap(text);
        self.frame(Opcode::Text, &wrapped);
    }

    /// Sends bytes as they are: a request.
    pub(super) fn request(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Begins the closing handshake; nothing may be sent after it.
    pub(super) fn close(&mut self) {
        self.frame(Opcode::Close, &close_payload(NORMAL, ""));
        self.closes = true;
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        debug_assert!(!self.closes, "nothing follows a close");
        let mut key = [0; 4];
        self.rng.fill(&mut key);
        let frame = masked_frame(opcode, payload, key);
        self.unsent.extend_from_slice(&frame);
    }
}

impl Peer {
    /// A WebSocket; `request` is its upgrade, sent with `key`.
    pub(super) fn websocket(request: Vec<u8>, key: String) -> Self {
        let reader = Box::new(ResponseReader::new(false, ANSWER_LIMITS));
        Self {
            stage: Stage::Upgrading { reader, key },
            dialect: Dialect::Plain,
            unsent: request,
        }
    }

    /// The same in another dialect.
    pub(super) fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// A connection for HTTP requests, one behind the other.
    pub(super) fn http() -> Self {
        let reader = Box::new(ResponseReader::new(false, ANSWER_LIMITS));
        Self {
            stage: Stage::Answering(reader),
            dialect: Dialect::Plain,
            unsent: Vec::new(),
        }
    }

    /// Whether this is for HTTP requests.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.stage, Stage::Answering(_))
    }

    /// What waits to be written, in order.
    pub(super) fn unsent(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Lets `act` send something of its own accord.
    pub(super) fn send(&mut self, rng: &mut Rng, act: impl FnOnce(&mut Outgoing<'_>)) {
        let mut outgoing = Outgoing {
            unsent: &mut self.unsent,
            rng,
            dialect: self.dialect,
            closes: false,
        };
        act(&mut outgoing);
        if outgoing.closes {
            self.note_close();
        }
    }

    /// Whether the server accepted what we asked for.
    pub(super) fn is_accepted(&self) -> bool {
        !matches!(self.stage, Stage::Upgrading { .. } | Stage::Joining(_))
    }

    /// Whether we closed.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing(_) | Stage::Closed)
    }

    /// Takes what arrived and hands each event to `handle`, which may answer.
    ///
    /// # Errors
    /// Why the connection is of no use any more; what is unsent may still be written.
    pub(super) fn receive(
        &mut self,
        input: &mut [u8],
        rng: &mut Rng,
        mut handle: impl FnMut(&mut Outgoing<'_>, Event<'_>),
    ) -> Result<(), Reason> {
        let mut taken = 0;
        while taken < input.len() {
            let rest = input.get_mut(taken..).unwrap_or_default();
            let mut outgoing = Outgoing {
                unsent: &mut self.unsent,
                rng,
                dialect: self.dialect,
                closes: false,
            };
            taken += match &mut self.stage {
                Stage::Upgrading { reader, key } => {
                    let count = reader.feed(rest).map_err(|_| Reason::NotHttp)?;
                    if upgraded(reader, key)? {
                        let assembler = Assembler::new(Role::Client);
                        if self.dialect.has_to_join() {
                            self.stage = Stage::Joining(assembler);
                        } else {
                            self.stage = Stage::Open(assembler);
                            handle(&mut outgoing, Event::Opened);
                        }
                    }
                    count
                }
                Stage::Joining(assembler) => {
                    let mut joined = false;
                    let count = read_frame(assembler, rest, &mut outgoing, &mut |_, event| {
                        joined |= event == Event::Opened;
                    })?;
                    if joined {
                        let assembler = std::mem::replace(assembler, Assembler::new(Role::Client));
                        self.stage = Stage::Open(assembler);
                        handle(&mut outgoing, Event::Opened);
                    }
                    count
                }
                Stage::Open(assembler) => read_frame(assembler, rest, &mut outgoing, &mut handle)?,
                Stage::Closing(assembler) => {
                    let count = read_while_closing(assembler, rest)?;
                    if count.is_none() {
                        self.stage = Stage::Closed;
                    }
                    count.unwrap_or(rest.len())
                }
                Stage::Closed => rest.len(),
                Stage::Answering(reader) => {
                    let count = reader.feed(rest).map_err(|_| Reason::NotHttp)?;
                    if let (true, Some(status)) = (reader.is_done(), reader.status()) {
                        handle(&mut outgoing, Event::Answered(status, reader.body()));
                        **reader = ResponseReader::new(false, ANSWER_LIMITS);
                    }
                    count
                }
            };
            if outgoing.closes {
                self.note_close();
            }
        }
        Ok(())
    }

    /// What it means that the server ended the connection: nothing after both closes.
    pub(super) fn ended(&self) -> Option<Reason> {
        (!matches!(self.stage, Stage::Closed)).then_some(Reason::Ended)
    }

    /// What it means that reading or writing failed; a server may reset what was closed.
    pub(super) fn broken(&self, kind: io::ErrorKind) -> Option<Reason> {
        (!matches!(self.stage, Stage::Closed)).then_some(Reason::Broken(kind))
    }

    fn note_close(&mut self) {
        if let Stage::Open(assembler) = &mut self.stage {
            // The assembler that stays behind owns nothing.
            let assembler = std::mem::replace(assembler, Assembler::new(Role::Client));
            self.stage = Stage::Closing(assembler);
        }
    }
}

/// Whether the answer accepts the upgrade; false while it is incomplete.
fn upgraded(reader: &ResponseReader, key: &str) -> Result<bool, Reason> {
    let Some(status) = reader.status() else {
        return Ok(false);
    };
    let header = |name| reader.head().and_then(|head| head.header(name));
    match status {
        101 if check_switching(status, header("sec-websocket-accept"), key) => Ok(true),
        101 => Err(Reason::NotAccepted),
        _ => Err(Reason::Status(status)),
    }
}

/// Takes one frame, or what is there of it.
fn read_frame(
    assembler: &mut Assembler,
    input: &mut [u8],
    outgoing: &mut Outgoing<'_>,
    handle: &mut impl FnMut(&mut Outgoing<'_>, Event<'_>),
) -> Result<usize, Reason> {
    let (taken, event) = assembler
        .next(input, &MESSAGE_LIMITS)
        .map_err(|fault| Reason::Protocol(fault.reason()))?;
    match event {
        Some(assembler::Event::Text(text)) => match outgoing.dialect.read(text.as_bytes()) {
            Packet::Message(text) => handle(outgoing, Event::Message(text)),
            Packet::Answer(answer) => outgoing.frame(Opcode::Text, answer),
            Packet::Joined => handle(outgoing, Event::Opened),
            Packet::Refused => return Err(Reason::NotAccepted),
        },
        Some(assembler::Event::Binary(bytes)) => handle(outgoing, Event::Message(bytes)),
        Some(assembler::Event::Ping(payload)) => outgoing.frame(Opcode::Pong, payload),
        Some(assembler::Event::Close(close)) => {
            let code = close.map(|close| close.code);
            let payload = code.map_or_else(Vec::new, |code| close_payload(code, ""));
            outgoing.frame(Opcode::Close, &payload);
            return Err(code.map_or(Reason::ClosedWithoutCode, Reason::Closed));
        }
        // Compression was not offered, so nothing comes compressed.
        Some(assembler::Event::Pong(_) | assembler::Event::Compressed(..)) | None => {}
    }
    Ok(taken)
}

/// Takes one frame after our close; None when it is the server's.
fn read_while_closing(
    assembler: &mut Assembler,
    input: &mut [u8],
) -> Result<Option<usize>, Reason> {
    let (taken, event) = assembler
        .next(input, &MESSAGE_LIMITS)
        .map_err(|fault| Reason::Protocol(fault.reason()))?;
    let is_close = matches!(event, Some(assembler::Event::Close(_)));
    Ok((!is_close).then_some(taken))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::websocket::fault::WebSocketFault;
    use crate::wire::websocket::frame::frame;
    use crate::wire::websocket::handshake::{accept_key, switching_protocols};

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn accepted() -> Vec<u8> {
        let mut answer = Vec::new();
        switching_protocols(&accept_key(KEY), None, None, &mut answer);
        answer
    }

    /// Feeds `input` in pieces of `step` bytes; the events in words, and how it ended.
    fn feed(peer: &mut Peer, input: &[u8], step: usize) -> (Vec<String>, Result<(), Reason>) {
        let mut rng = Rng::from_seed(1);
        let mut seen = Vec::new();
        for piece in input.to_vec().chunks_mut(step) {
            let fed = peer.receive(piece, &mut rng, |outgoing, event| {
                seen.push(match event {
                    Event::Message(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Event::Opened => "Opened".to_owned(),
                    Event::Answered(status, body) => {
                        format!("{status} {}", String::from_utf8_lossy(body))
                    }
                });
                if event == Event::Message(b"bye") {
                    outgoing.close();
                }
            });
            if fed.is_err() {
                return (seen, fed);
            }
        }
        (seen, Ok(()))
    }

    fn check(input: &[u8], events: &[&str], end: Result<(), Reason>) {
        for step in [1, 7, input.len()] {
            let mut peer = Peer::websocket(b"GET".to_vec(), KEY.to_owned());
            let expected: Vec<String> = events.iter().map(|&event| event.to_owned()).collect();
            assert_eq!(feed(&mut peer, input, step), (expected, end), "by {step}");
        }
    }

    #[test]
    fn an_accepted_upgrade_is_followed_by_messages() {
        let frames = [
            frame(Opcode::Text, b"a"),
            frame(Opcode::Ping, b"p"),
            frame(Opcode::Binary, b"b"),
        ];
        let input = [accepted(), frames.concat()].concat();
        check(&input, &["Opened", "a", "b"], Ok(()));
        let fragments = [accepted(), b"\x01\x01x\x80\x01y".to_vec()].concat();
        check(&fragments, &["Opened", "xy"], Ok(()));
    }

    #[test]
    fn socketio_is_open_when_its_namespace_is() {
        let texts = [
            r#"0{"sid":"a"}"#,
            "2",
            r#"40{"sid":"b"}"#,
            r#"42["bench","a"]"#,
            r#"42["bench","b"]"#,
        ];
        let frames = texts.map(|text| frame(Opcode::Text, text.as_bytes()));
        let input = [accepted(), frames.concat()].concat();
        for step in [1, 7, input.len()] {
            let mut peer = Peer::websocket(Vec::new(), KEY.to_owned()).speaking(Dialect::SocketIo);
            let expected = ["Opened", "a", "b"].map(str::to_owned).to_vec();
            assert_eq!(
                feed(&mut peer, &input, step),
                (expected, Ok(())),
                "by {step}"
            );
            assert!(peer.is_accepted());
            // `40` and `3`, masked.
            assert_eq!(peer.unsent().len(), 2 * 6 + 2 + 1);
        }
        let refused = [accepted(), frame(Opcode::Text, b"44{}")].concat();
        let mut peer = Peer::websocket(Vec::new(), KEY.to_owned()).speaking(Dialect::SocketIo);
        let refusal = Err(Reason::NotAccepted);
        assert_eq!(feed(&mut peer, &refused, 100), (Vec::new(), refusal));
        assert!(!peer.is_accepted());
    }

    #[test]
    fn says_why_a_server_is_of_no_use() {
        let refused = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nhello";
        check(refused, &[], Err(Reason::Status(429)));
        check(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", &[], Err(Reason::NotHttp));
        let mut foreign = Vec::new();
        switching_protocols(&accept_key("other"), None, None, &mut foreign);
        check(&foreign, &[], Err(Reason::NotAccepted));
        let open = |frames: &[u8]| [&accepted(), frames].concat();
        check(
            &open(&frame(Opcode::Close, &close_payload(1001, "away"))),
            &["Opened"],
            Err(Reason::Closed(1001)),
        );
        let silent = open(&frame(Opcode::Close, b""));
        check(&silent, &["Opened"], Err(Reason::ClosedWithoutCode));
        let masked = WebSocketFault::Masked.reason();
        check(
            &open(b"\x81\x80\0\0\0\0"),
            &["Opened"],
            Err(Reason::Protocol(masked)),
        );
    }

    #[test]
    fn what_we_closed_is_closed_when_the_server_closes_too() {
        let frames = [
            frame(Opcode::Text, b"bye"),
            frame(Opcode::Text, b"late"),
            frame(Opcode::Close, &close_payload(NORMAL, "")),
            frame(Opcode::Text, b"too late"),
        ];
        let input = [accepted(), frames.concat()].concat();
        for step in [1, 7, input.len()] {
            let mut peer = Peer::websocket(Vec::new(), KEY.to_owned());
            let (seen, ended) = feed(&mut peer, &input, step);
            assert_eq!(
                (seen.as_slice(), ended),
                (&["Opened", "bye"].map(str::to_owned)[..], Ok(()))
            );
            assert_eq!(peer.ended(), None);
            assert_eq!(peer.broken(io::ErrorKind::ConnectionReset), None);
        }
        let peer = Peer::websocket(Vec::new(), KEY.to_owned());
        assert_eq!(peer.ended(), Some(Reason::Ended));
    }

    #[test]
    fn pings_are_answered_and_closes_too() {
        let mut peer = Peer::websocket(Vec::new(), KEY.to_owned());
        feed(&mut peer, &accepted(), 1000).1.unwrap();
        let ping = frame(Opcode::Ping, b"p");
        feed(&mut peer, &ping, 1000).1.unwrap();
        assert_eq!(peer.unsent().first(), Some(&0x8a));
        peer.unsent().clear();
        feed(&mut peer, &frame(Opcode::Close, b""), 1000)
            .1
            .unwrap_err();
        assert_eq!(peer.unsent().first(), Some(&0x88));
    }

    #[test]
    fn answers_come_one_behind_the_other() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 429 No\r\n\
                      Content-Length: 0\r\n\r\n";
        for step in [1, 7, input.len()] {
            let mut peer = Peer::http();
            assert!(peer.is_http());
            let expected = ["200 {}", "429 "].map(str::to_owned);
            assert_eq!(feed(&mut peer, input, step), (expected.to_vec(), Ok(())));
        }
    }
}
