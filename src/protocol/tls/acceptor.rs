//! What all TLS connections of the server share: its certificate, versions, tickets.
//!
//! TLS 1.2 and 1.3, HTTP/1.1 by ALPN, no client certificates, no early data (it can be replayed).
//! Sessions are resumed by tickets that the client keeps, so the server holds nothing for those who
//! may come back; rustls encrypts them with a key that it renews every six hours
//! and forgets six hours later, and with it the tickets. Another
//! certificate means other keys: whoever comes back is shown the new one.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, version};

use crate::base::clock::Wall;
use crate::protocol::tls::pair::{Pair, PairFault};
use crate::protocol::tls::time::ToldTime;

/// The one protocol that is spoken inside.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// A fatal alert "internal_error" (RFC 8446 section 6): what a client that is refused before
/// anything is read from it can be told without a handshake.
pub const REFUSAL: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 80];

/// What TLS connections are made from.
#[derive(Debug)]
pub struct TlsAcceptor {
    pub(super) config: Arc<ServerConfig>,
    pub(super) time: Arc<ToldTime>,
    pair: Pair,
}

impl TlsAcceptor {
    /// An acceptor that shows `pair`.
    ///
    /// # Errors
    /// When the system has no randomness for the tickets' keys.
    pub fn new(pair: Pair, now: Wall) -> Result<Self, PairFault> {
        let unusable = |error: rustls::Error| PairFault::Unusable(error.to_string());
        let time = Arc::new(ToldTime::new(now));
        let shared_time = Arc::clone(&time);
        let mut config = ServerConfig::builder_with_details(provider(), shared_time)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified())));
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        config.ticketer = Ticketer::new().map_err(unusable)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            time,
            pair,
        })
    }

    /// The pair that it shows.
    #[must_use]
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }
}

/// The cryptography: ring's, because aws-lc needs more to build.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
