//! TLS as a client: whom to trust, the handshake, and what its failures mean to the operator.
//!
//! May not touch: what is sent over it. The only file of the command line that knows rustls.
//! Invariant: a [`TlsStream`] is with a server whose certificate was verified, name included.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned};

/// Whose certificates are believed.
#[derive(Clone)]
pub(super) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The authorities that this machine trusts.
    ///
    /// # Errors
    /// A sentence for the operator, when it trusts none.
    pub(super) fn native() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Machines hold odd old certificates; those that can be used are enough.
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable > 0 {
            return Self::in_roots(roots);
        }
        let reason = found.errors.first();
        let reason = reason.map_or_else(String::new, |error| format!(" ({error})"));
        Err(format!(
            "this machine has no certificates of authorities to trust{reason}; install \
             ca-certificates, or name a file with --ca"
        ))
    }

    /// The certificates in the PEM file at `path`, and no others: a private authority is named so
    /// that nobody else can vouch for the server.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn file(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let pem = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|der| roots.add(der).map_err(|error| error.to_string()))
                .map_err(|error| format!("{name} has a certificate that is none: {error}"))?;
        }
        if roots.is_empty() {
            return Err(format!(
                "{name} has no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----"
            ));
        }
        Self::in_roots(roots)
    }

    /// The same for those who keep nothing to come back with: every handshake is a full one.
    pub(super) fn without_resumption(mut self) -> Self {
        Arc::make_mut(&mut self.0).resumption = Resumption::disabled();
        self
    }

    fn in_roots(roots: RootCertStore) -> Result<Self, String> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Proxies that could speak HTTP/2 are told not to.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct TlsStream(StreamOwned<ClientConnection, TcpStream>);

impl TlsStream {
    /// Shakes hands with `host` over `tcp`, whose timeouts hold.
    pub(super) fn open(trust: &Trust, host: &str, tcp: TcpStream) -> Result<Self, TlsFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFault::NoName)?;
        let connection = ClientConnection::new(Arc::clone(&trust.0), name);
        let mut stream = StreamOwned::new(connection.map_err(TlsFault::Other)?, tcp);
        while stream.conn.is_handshaking() {
            match stream.conn.complete_io(&mut stream.sock) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TlsFault::of(error)),
            }
        }
        Ok(Self(stream))
    }

    /// The connection below, for its timeouts.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.0.sock
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// TLS without its socket, for a load generator that has thousands of them.
pub(super) struct TlsPipe(Box<ClientConnection>);

impl TlsPipe {
    /// One that has sent nothing.
    pub(super) fn new(trust: &Trust, host: &str) -> Result<Self, TlsFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFault::NoName)?;
        let connection = ClientConnection::new(Arc::clone(&trust.0), name);
        let mut connection = connection.map_err(TlsFault::Other)?;
        connection.set_buffer_limit(None);
        Ok(Self(Box::new(connection)))
    }

    /// Encrypts `plain`, all of it, as soon as the handshake is done.
    pub(super) fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(plain)
    }

    /// Takes what came from the socket; the plaintext is appended to `plain`.
    pub(super) fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() && self.0.read_tls(&mut bytes)? > 0 {
            self.0.process_new_packets().map_err(io::Error::other)?;
            match self.0.reader().read_to_end(plain) {
                Ok(_) => {}
                // There is no more for now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether there is something for the socket.
    pub(super) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Lets the socket take some of it.
    pub(super) fn write_to(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        self.0.write_tls(socket)
    }
}

/// Why there is no TLS with a server. Each reads on from "… <url>: ".
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsFault {
    #[error(
        "its certificate is not signed by an authority that is trusted here; if it should be, name \
         the authority's certificate with --ca FILE"
    )]
    UnknownIssuer,
    #[error(
        "its certificate is an authority's own (CA:TRUE), which a server must not show; make one \
         with CA:FALSE, or one that the authority signs"
    )]
    Authority,
    #[error(
        "its certificate is for {}, not for the host in this URL; use the name that it is for",
        names(.0)
    )]
    WrongName(Vec<String>),
    #[error("its certificate has expired; renew it, or set this machine's clock")]
    Expired,
    #[error("its certificate is not valid yet; is this machine's clock right?")]
    NotYetValid,
    #[error("it does not speak TLS there; write http or ws in place of https or wss")]
    NotTls,
    #[error("no certificate can be for such a host; use a name or an address")]
    NoName,
    #[error("{0}")]
    Other(Error),
    /// The connection itself failed.
    #[error("{0}")]
    Broken(io::Error),
}

/// How webpki calls an authority's certificate in a server's hands.
const CA_SHOWN: &str = "CaUsedAsEndEntity";

impl TlsFault {
    fn of(error: io::Error) -> Self {
        let fault = error.get_ref().and_then(|inner| inner.downcast_ref());
        match fault {
            Some(Error::InvalidCertificate(fault)) => Self::of_certificate(fault),
            // Whatever answers a ClientHello with something else, most often with HTTP.
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(other) => Self::Other(other.clone()),
            None => Self::Broken(error),
        }
    }

    fn of_certificate(fault: &CertificateError) -> Self {
        match fault {
            // The latter is another authority of the same name, such as one that was made anew.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::NotValidForName => Self::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongName(presented.clone())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            // What `openssl req -x509` makes by default. The type of this fault is not public.
            CertificateError::Other(fault) if format!("{fault:?}").contains(CA_SHOWN) => {
                Self::Authority
            }
            other => Self::Other(Error::InvalidCertificate(other.clone())),
        }
    }
}

/// Names of a certificate, a few of them, as rustls spells them: `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let named: Vec<&str> = presented
        .iter()
        .filter_map(|name| name.split('"').nth(1))
        .take(3)
        .collect();
    match named.as_slice() {
        [] => "another name".to_owned(),
        named => named.join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_what_a_certificate_is_for() {
        let check = |presented: &[&str], expected: &str| {
            let presented: Vec<String> = presented.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(names(&presented), expected);
        };
        check(&[], "another name");
        check(&["IpAddress([1, 2, 3, 4])"], "another name");
        check(&["DnsName(\"a\")", "DnsName(\"*.b\")"], "a and *.b");
        check(&["DnsName(\"a\")"; 9], "a and a and a");
    }
}
