//! Why a TLS connection came to nothing.

use rustls::{AlertDescription, Error};

/// What went wrong; all are the peer's doing but [`TlsFault::Exhausted`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsFault {
    /// It began with a letter, as a request without TLS does. Nothing was sent, so it can be
    /// answered without TLS, too.
    #[error("it speaks HTTP without TLS")]
    PlainHttp,
    /// What it sent is no TLS.
    #[error("what it sent is no TLS: {0}")]
    NotTls(Error),
    /// There is no version, cipher suite, group or signature that both sides take.
    #[error("it offers nothing that this server takes: {0}")]
    Incompatible(Error),
    /// It offers protocols by ALPN, and HTTP/1.1 is not among them.
    #[error("it does not offer http/1.1")]
    NoProtocol,
    /// It ended the connection with this alert, such as for a certificate that it does not trust.
    #[error("it sent the alert {0:?}")]
    Alert(AlertDescription),
    /// It sent more of a message than any message has.
    #[error("it sent more than a message has")]
    Oversized,
    /// It broke the protocol otherwise, or what it sent cannot be decrypted.
    #[error("{0}")]
    Broken(Error),
    /// As much was encrypted with the connection's keys as may be.
    #[error("the connection's keys are used up")]
    Exhausted,
}

impl From<Error> for TlsFault {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NotTls(error),
            Error::PeerIncompatible(_) => Self::Incompatible(error),
            Error::NoApplicationProtocol => Self::NoProtocol,
            Error::AlertReceived(alert) => Self::Alert(alert),
            other => Self::Broken(other),
        }
    }
}
