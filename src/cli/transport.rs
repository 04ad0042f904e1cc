//! A blocking connection to a server, and everything that can go wrong with one.
//!
//! Invariant: nothing waits for ever: connecting, writing and waiting for an answer have a time.

use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::base::rng::RandomUnavailable;
use crate::cli::Failure;
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
    #[error("cannot connect to {url}: {error}; {hint}")]
    Connect {
        url: Url,
        error: io::Error,
        hint: &'static str,
    },
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
    /// The server's own words: `CODE: message`.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Random(#[from] RandomUnavailable),
}

impl From<TransportFault> for Failure {
    fn from(fault: TransportFault) -> Self {
        Self::Failed(fault.to_string())
    }
}

const NOBODY_THERE: &str =
    "start a server with `kinglet serve`, or name a running one with --url or KINGLET_URL";
const OUT_OF_REACH: &str = "name another server with --url or KINGLET_URL";

/// Connects to the first address of the server that answers.
pub(super) fn connect(url: &Url) -> Result<TcpStream, TransportFault> {
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
        hint: match last.kind() {
            io::ErrorKind::ConnectionRefused => NOBODY_THERE,
            _ => OUT_OF_REACH,
        },
        error: last,
    })
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))
}

/// Reads what is there, waiting for the first byte of it; 0 is the end.
pub(super) fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, TransportFault> {
    loop {
        match stream.read(buffer) {
            Ok(count) => return Ok(count),
            // A process that was stopped and goes on meets this.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fault(error, stream)),
        }
    }
}

/// What a failed read or write means; a timeout shows as either of two kinds.
pub(super) fn fault(error: io::Error, stream: &TcpStream) -> TransportFault {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let waited = stream.read_timeout().ok().flatten();
            TransportFault::Silent(waited.unwrap_or(ANSWER_TIMEOUT))
        }
        _ => TransportFault::Broken(error),
    }
}
