//! A blocking client over a real socket: bytes as broken as a test wants, and HTTP.
//!
//! Built on the wire code's client half, so what it accepts is what the RFCs allow. Invariant:
//! every wait ends, after [`PATIENCE`] at the latest.
#![allow(clippy::expect_used, clippy::panic)]

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::testkit::tls::{TlsClient, TlsClientConfig};
use crate::wire::http::client::{ResponseLimits, ResponseReader, encode_request};
use crate::wire::http::scan::HeadLimits;

/// How long a client waits for the server, which answers within milliseconds if it does.
pub const PATIENCE: Duration = Duration::from_secs(5);

const ANSWER_LIMITS: ResponseLimits = ResponseLimits {
    head: HeadLimits {
        bytes: 64 * 1024,
        headers: 100,
    },
    body: 64 * 1024 * 1024,
};

/// A TCP connection with what has arrived on it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Its TLS, if it speaks that.
    pub tls: Option<Box<TlsClient>>,
    /// Bytes that arrived and were not asked for yet.
    pub(super) arrived: Vec<u8>,
}

/// What waiting for bytes led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Some came.
    Bytes,
    /// The server sends nothing more.
    End,
    /// The connection was reset.
    Reset,
    /// Nothing came in time.
    Nothing,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("the server accepts")
    }

    /// Connects, unless nobody listens any more.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            tls: None,
            arrived: Vec::new(),
        })
    }

    /// Connects and shakes hands.
    ///
    /// # Panics
    /// When nobody listens, or the handshake fails.
    #[must_use]
    pub fn open_tls(address: SocketAddr, config: &TlsClientConfig) -> Self {
        let mut connection = Self::open(address);
        connection.tls = Some(Box::new(TlsClient::new(config)));
        connection.send(b"");
        let deadline = Instant::now() + PATIENCE;
        while connection.tls.as_ref().is_some_and(|tls| !tls.is_open()) {
            let arrival = connection.arrive(deadline);
            assert_eq!(arrival, Arrival::Bytes, "the handshake goes on");
        }
        connection
    }

    /// Sends all of `bytes`.
    ///
    /// # Panics
    /// When the server does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.try_send(bytes.as_ref());
        sent.expect("the server takes what is sent");
    }

    /// Sends all of `bytes`, unless the server does not take them within [`PATIENCE`].
    ///
    /// # Errors
    /// What the operating system says: a full pipe, or a connection that is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes),
            Some(tls) => {
                tls.send(bytes);
                self.stream.write_all(&tls.outgoing())
            }
        }
    }

    /// Sends bytes as they are, below TLS.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends as much of `bytes` as the server takes without making us wait for `patience`, and
    /// returns how many that were: 0 when its pipe stays full.
    ///
    /// # Errors
    /// What the operating system says when the connection is gone.
    pub fn send_some(&mut self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(patience))?;
        let sent = self.stream.write(bytes);
        self.stream.set_write_timeout(Some(PATIENCE))?;
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Says that nothing more will be sent; answers can still come.
    pub fn end_input(&self) {
        // A connection that is gone has ended, too.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits for bytes until `deadline`.
    pub fn arrive(&mut self, deadline: Instant) -> Arrival {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let limited = self.stream.set_read_timeout(Some(left));
        limited.expect("timeouts can be set");
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Arrival::End,
            Ok(count) => {
                let piece = piece.get(..count).unwrap_or_default();
                match &mut self.tls {
                    None => self.arrived.extend_from_slice(piece),
                    Some(tls) => {
                        tls.receive(piece).expect("the server speaks TLS");
                        self.arrived.append(&mut tls.arrived);
                        let answer = tls.outgoing();
                        if self.stream.write_all(&answer).is_err() {
                            return Arrival::Reset;
                        }
                    }
                }
                Arrival::Bytes
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Arrival::Nothing,
                io::ErrorKind::Interrupted => Arrival::Bytes,
                _ => Arrival::Reset,
            },
        }
    }

    /// Everything up to and with `needle`, taken out of what arrives.
    ///
    /// # Panics
    /// When it does not come.
    pub fn take_through(&mut self, needle: &[u8]) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = memchr::memmem::find(&self.arrived, needle);
            if let Some(at) = found {
                return self.arrived.drain(..at + needle.len()).collect();
            }
            let arrival = self.arrive(deadline);
            let arrived = String::from_utf8_lossy(&self.arrived);
            assert_eq!(arrival, Arrival::Bytes, "awaiting {needle:?}: {arrived}");
        }
    }

    /// The answer to a request that was sent; `head_only` if that was HEAD.
    ///
    /// # Errors
    /// How the connection ended before there was a whole answer.
    ///
    /// # Panics
    /// When the answer is no HTTP.
    pub fn answer(&mut self, head_only: bool) -> Result<Answer, Arrival> {
        let deadline = Instant::now() + PATIENCE;
        let mut reader = ResponseReader::new(head_only, ANSWER_LIMITS);
        loop {
            let taken = reader.feed(&self.arrived).expect("an answer in HTTP");
            self.arrived.drain(..taken);
            if reader.is_done() {
                return Ok(Answer(Box::new(reader)));
            }
            match self.arrive(deadline) {
                Arrival::Bytes => {}
                Arrival::End if reader.eof().is_ok() => {}
                ended => return Err(ended),
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Panics
    /// When there is none.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let host = self.host();
        self.send(encode_request(method, target, &host, headers, body));
        let answer = self.answer(method == "HEAD");
        answer.unwrap_or_else(|end| panic!("{method} {target} was not answered: {end:?}"))
    }

    /// Waits for the server's end of the connection; whether it came, with nothing before it.
    pub fn ends(&mut self) -> bool {
        let ended = self.arrive(Instant::now() + PATIENCE);
        self.arrived.is_empty() && matches!(ended, Arrival::End | Arrival::Reset)
    }

    /// The server's address as a Host header spells it.
    #[must_use]
    pub fn host(&self) -> String {
        let address = self.stream.peer_addr();
        address.map_or_else(|_| "localhost".to_owned(), |address| address.to_string())
    }
}

/// An answer to a request.
pub struct Answer(Box<ResponseReader>);

impl Answer {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status().unwrap_or(0)
    }

    /// The value of the first header `name`; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let head = self.0.head();
        head.and_then(|head| head.header(name)).unwrap_or_default()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.0.body()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `code` of an error's body; empty if there is none.
    #[must_use]
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(self.body()).unwrap_or_default();
        let code = body.pointer("/error/code").and_then(Value::as_str);
        code.unwrap_or_default().to_owned()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.status(),
            String::from_utf8_lossy(self.body())
        )
    }
}

/// GET on a connection of its own.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn get(address: SocketAddr, target: &str) -> Answer {
    Connection::open(address).request("GET", target, &[], b"")
}

/// POST of JSON on a connection of its own.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn post(address: SocketAddr, target: &str, body: &Value) -> Answer {
    let body = body.to_string();
    Connection::open(address).request("POST", target, &[], body.as_bytes())
}

/// Writes a line that belongs to a test's output: why it was skipped, what a server said.
#[allow(clippy::print_stderr)]
pub fn note(line: &str) {
    eprintln!("{line}");
}
