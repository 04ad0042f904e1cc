//! A blocking connection to a server, and everything that can go wrong with one.
//!
//! Invariant: nothing waits for ever: connecting, writing and waiting for an answer have a time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::base::rng::RandomUnavailable;
use crate::cli::Failure;
use crate::cli::server::Server;
use crate::cli::tls::{TlsFault, TlsStream};
use crate::cli::url::Url;
use crate::wire::http::fault::HttpFault;
use crate::wire::websocket::fault::WebSocketFault;

/// How long one address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may take no byte, or send none while an answer is due.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes read at once.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Why there is no answer, or none that says yes.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportFault {
    #[error("cannot find the host of {url}: {error}")]
    Resolve { url: Url, error: io::Error },
    #[error("cannot connect to {url}: {error}")]
    Connect { url: Url, error: io::Error },
    #[error("no TLS with {url}: {fault}")]
    Tls { url: Url, fault: TlsFault },
    #[error("the server speaks TLS there; write https or wss in place of http or ws")]
    TlsExpected,
    #[error("the connection to the server broke: {0}")]
    Broken(io::Error),
    #[error("the server ended the connection without a word")]
    Ended,
    #[error("the server has been silent for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the answer is not HTTP as kinglet speaks it: {0}")]
    NotHttp(HttpFault),
    #[error("the server broke the WebSocket protocol: {0}")]
    NotWebSocket(WebSocketFault),
    #[error("{0}; is this a kinglet server?")]
    NotKinglet(&'static str),
    /// An answer that says no, in the server's own words: `CODE: message`.
    #[error("{words}")]
    Refused {
        status: u16,
        words: String,
        /// When the server says to come again.
        retry_after: Option<Duration>,
    },
    #[error("{0}")]
    Random(#[from] RandomUnavailable),
}

impl From<TransportFault> for Failure {
    fn from(fault: TransportFault) -> Self {
        let TransportFault::Connect { error, .. } = &fault else {
            return Self::Failed(fault.to_string());
        };
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => NOBODY_THERE,
            _ => OUT_OF_REACH,
        };
        Self::Failed(format!("{fault}; {hint}"))
    }
}

const NOBODY_THERE: &str =
    "start a server with `kinglet serve`, or name a running one with --url or KINGLET_URL";
const OUT_OF_REACH: &str = "name another server with --url or KINGLET_URL";

/// A connection to a server.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
        }
    }

    /// Sets how long a read waits for a byte.
    pub(super) fn set_read_timeout(&self, timeout: Duration) -> Result<(), TransportFault> {
        let set = self.tcp().set_read_timeout(Some(timeout));
        set.map_err(TransportFault::Broken)
    }

    /// Writes all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), TransportFault> {
        let sent = match self {
            Self::Plain(tcp) => tcp.write_all(bytes),
            // What was encrypted may not have left yet.
            Self::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        };
        sent.map_err(|error| fault(error, ANSWER_TIMEOUT))
    }

    /// Reads what is there, waiting for the first byte of it; 0 is the end.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, TransportFault> {
        loop {
            let read = match self {
                Self::Plain(tcp) => tcp.read(buffer),
                Self::Tls(tls) => tls.read(buffer),
            };
            match read {
                Ok(count) => return Ok(count),
                // A process that was stopped and goes on meets this.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let waited = self.tcp().read_timeout().ok().flatten();
                    return Err(fault(error, waited.unwrap_or(ANSWER_TIMEOUT)));
                }
            }
        }
    }
}

/// Connects to the first address of the server that answers, and shakes hands if it speaks TLS.
pub(super) fn connect(server: &Server) -> Result<Stream, TransportFault> {
    let tcp = connect_tcp(&server.url)?;
    let Some(trust) = &server.trust else {
        return Ok(Stream::Plain(tcp));
    };
    match TlsStream::open(trust, &server.url.host, tcp) {
        Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
        Err(TlsFault::Broken(error)) => Err(fault(error, ANSWER_TIMEOUT)),
        Err(fault) => Err(TransportFault::Tls {
            url: server.url.clone(),
            fault,
        }),
    }
}

fn connect_tcp(url: &Url) -> Result<TcpStream, TransportFault> {
    let resolve_fault = |error| TransportFault::Resolve {
        url: url.clone(),
        error,
    };
    let addresses = (url.host.as_str(), url.port)
        .to_socket_addrs()
        .map_err(resolve_fault)?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                prepare(&stream).map_err(TransportFault::Broken)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(TransportFault::Connect {
        url: url.clone(),
        error: last,
    })
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))
}

/// What a failed read or write means; a timeout shows as either of two kinds.
fn fault(error: io::Error, waited: Duration) -> TransportFault {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => TransportFault::Silent(waited),
        // TLS that ended without saying so; what came may be a part.
        io::ErrorKind::UnexpectedEof => TransportFault::Ended,
        _ => TransportFault::Broken(error),
    }
}
