//! A TLS client without sockets, as honest or as broken as a test wants, and pairs to serve with.
//!
//! It believes one certificate, whatever its names and dates: what is tested is the server.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    SupportedProtocolVersion, version,
};

use crate::base::clock::Wall;
use crate::config::{Secret, TlsFile, TlsFiles};
use crate::protocol::tls::acceptor::TlsAcceptor;
use crate::protocol::tls::pair::Pair;
use crate::protocol::tls::self_signed::{self, SelfSigned};

/// A pair for this machine's names, valid at `now`.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn self_signed_pair(now: Wall) -> SelfSigned {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    self_signed::make(&names, now).expect("a pair can be made")
}

/// A pair that is valid from the beginning of one year to that of another.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn pair_of_years(from: i32, to: i32) -> SelfSigned {
    let key = KeyPair::generate().expect("the system has randomness");
    let params = CertificateParams::new(vec!["localhost".to_owned()]);
    let mut params = params.expect("a name");
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    SelfSigned {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// The pair as if a configuration had named its files.
#[must_use]
pub fn files(pair: &SelfSigned) -> TlsFiles {
    let file = |content: &str| TlsFile {
        content: Secret::new(content.as_bytes()),
        place: "a test".to_owned(),
        path: PathBuf::new(),
    };
    TlsFiles {
        certificates: file(&pair.certificate),
        key: file(&pair.key),
    }
}

/// What a server receives with that shows such a pair.
///
/// # Panics
/// When the pair is no good.
#[must_use]
pub fn acceptor(pair: &SelfSigned, now: Wall) -> Arc<TlsAcceptor> {
    let pair = Pair::read(pair.certificate.as_bytes(), pair.key.as_bytes(), now);
    let acceptor = TlsAcceptor::new(pair.expect("a good pair"), now);
    Arc::new(acceptor.expect("randomness"))
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    const fn of(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &version::TLS12,
            Self::Tls13 => &version::TLS13,
        }
    }
}

/// What several connections of one client share: version, protocols, tickets.
#[derive(Clone, Debug)]
pub struct TlsClientConfig(Arc<ClientConfig>);

impl TlsClientConfig {
    /// A client that speaks `version` and offers `protocols`, such as `["http/1.1"]`.
    ///
    /// # Panics
    /// Never; the version is one of rustls's.
    #[must_use]
    pub fn new(version: Version, protocols: &[&str]) -> Self {
        let provider = Arc::new(default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version.of()])
            .expect("a version of rustls")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believer(provider)))
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
        Self(Arc::new(config))
    }
}

/// Believes every certificate, but holds the server to having its key.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The client's side of one connection.
pub struct TlsClient {
    connection: ClientConnection,
    /// Plaintext that arrived.
    pub arrived: Vec<u8>,
    /// The server has said that it sends nothing more.
    pub has_ended: bool,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsClient({} bytes arrived)", self.arrived.len())
    }
}

impl TlsClient {
    /// A client that has sent nothing.
    ///
    /// # Panics
    /// Never; the name is one.
    #[must_use]
    pub fn new(config: &TlsClientConfig) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::clone(&config.0), name);
        let mut connection = connection.expect("a client");
        connection.set_buffer_limit(None);
        Self {
            connection,
            arrived: Vec::new(),
            has_ended: false,
        }
    }

    /// Queues plaintext; it goes when the handshake is done.
    ///
    /// # Panics
    /// Never; its buffer has no limit.
    pub fn send(&mut self, plain: &[u8]) {
        let sent = self.connection.writer().write_all(plain);
        sent.expect("a buffer without limit");
    }

    /// Says that nothing more is sent.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Asks for other keys, TLS 1.3 only.
    ///
    /// # Panics
    /// With TLS 1.2.
    pub fn update_keys(&mut self) {
        let updated = self.connection.refresh_traffic_keys();
        updated.expect("TLS 1.3 updates keys");
    }

    /// What it has for the server's socket.
    ///
    /// # Panics
    /// Never; memory takes everything.
    pub fn outgoing(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            let written = self.connection.write_tls(&mut bytes);
            written.expect("memory takes everything");
        }
        bytes
    }

    /// Takes what came from the server's socket.
    ///
    /// # Errors
    /// What the server did wrong, or the alert that it sent.
    ///
    /// # Panics
    /// Never; memory can be read.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let read = self.connection.read_tls(&mut bytes);
            if read.expect("memory can be read") == 0 {
                break;
            }
            let state = self.connection.process_new_packets()?;
            self.has_ended |= state.peer_has_closed();
            // Says that there is no more for now, once all is read.
            let _ = self.connection.reader().read_to_end(&mut self.arrived);
        }
        Ok(())
    }

    /// Whether the handshake is done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether it was resumed.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The protocol that was agreed on inside, empty for none.
    #[must_use]
    pub fn protocol(&self) -> &[u8] {
        self.connection.alpn_protocol().unwrap_or_default()
    }

    /// The certificate that the server showed.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        let shown = self.connection.peer_certificates();
        let first = shown.and_then(|shown| shown.first());
        first.map_or_else(Vec::new, |first| first.to_vec())
    }
}
