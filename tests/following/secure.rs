//! https and wss: the real server behind something that ends TLS, as a proxy would.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use tempfile::TempDir;

use kinglet::testkit::server::Server;

use crate::process::{Running, ended};
use crate::{prints, publish, serve, wait_for_members};

/// What is right or wrong with a certificate.
#[derive(Clone, Copy)]
enum Leaf {
    Good,
    Past,
    Future,
    /// As [`Leaf::Good`], and an authority's own.
    Authority,
}

/// An authority, and a certificate for `localhost` that it signed.
struct Authority {
    config: Arc<ServerConfig>,
    folder: TempDir,
}

impl Authority {
    fn new(kind: Leaf) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let (from, to) = match kind {
            Leaf::Good | Leaf::Authority => (2000, 4000),
            Leaf::Past => (2000, 2001),
            Leaf::Future => (3999, 4000),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        if matches!(kind, Leaf::Authority) {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let leaf = params.signed_by(&key, &issuer).unwrap();

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        Self {
            config: Arc::new(config),
            folder,
        }
    }

    /// The authority's certificate.
    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Ends TLS in front of `upstream`, on a port of its own, which is returned.
    fn guard(&self, upstream: SocketAddr) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::clone(&self.config);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let server = TcpStream::connect(upstream).unwrap();
                thread::spawn(move || pump(tls, client, server));
            }
        });
        port
    }
}

/// Carries bytes both ways until one side ends.
fn pump(mut tls: ServerConnection, mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    // One thread serves both directions, and looks at each in turn.
    let patience = Some(Duration::from_millis(2));
    client.set_read_timeout(patience)?;
    server.set_read_timeout(patience)?;
    tls.set_buffer_limit(None);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tls.read_tls(&mut client) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                let processed = tls.process_new_packets();
                let mut plain = Vec::new();
                // Says that there is no more for now, once all is read.
                let _ = tls.reader().read_to_end(&mut plain);
                server.write_all(&plain)?;
                if processed.is_err() {
                    tls.write_tls(&mut client)?; // The alert.
                    // Until the client is gone, lest the alert is lost in a reset.
                    client.set_read_timeout(None)?;
                    return client.read_to_end(&mut plain).map(|_| ());
                }
            }
            Err(error) if is_idle(&error) => {}
            Err(error) => return Err(error),
        }
        match server.read(&mut buffer) {
            Ok(0) => {
                tls.send_close_notify();
                return tls.write_tls(&mut client).map(|_| ());
            }
            Ok(count) => tls.writer().write_all(&buffer[..count])?,
            Err(error) if is_idle(&error) => {}
            Err(error) => return Err(error),
        }
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
    }
}

fn is_idle(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    [Interrupted, TimedOut, WouldBlock].contains(&error.kind())
}

/// A server, and its port behind TLS.
fn guarded(authority: &Authority) -> (Server, u16) {
    let server = serve(&[]);
    let port = authority.guard(server.address());
    (server, port)
}

/// Checks that publishing to `url` fails with one line that has `words`.
fn check_failure(url: &str, options: &[&str], environment: &[(&str, &str)], words: &[&str]) {
    let arguments = [&["publish", "chat", "said", "--url", url], options].concat();
    let found = ended(&arguments, environment);
    assert_eq!(found.code, Some(1), "{}", found.errors);
    assert_eq!(found.errors.lines().count(), 1, "{}", found.errors);
    for word in words {
        assert!(found.errors.contains(word), "{word} in {}", found.errors);
    }
}

#[test]
fn both_commands_speak_tls_with_a_server_whose_authority_is_named() {
    let authority = Authority::new(Leaf::Good);
    let (server, port) = guarded(&authority);
    let file = authority.file();
    let ca = ["--ca", file.to_str().unwrap()];
    let url = format!("https://localhost:{port}");
    // More than one TLS record, and more than one page.
    publish(server.address(), "chat", 1, 100);
    let secure = format!("wss://localhost:{port}/ws");
    let follow = ["subscribe", "chat", "--since", "0", "--url", &secure];
    let reader = Running::start(&[&follow[..], &ca].concat());
    prints(&reader, "chat", 1, 100);
    wait_for_members(server.address(), "chat", 1);
    let said = ["publish", "chat", "said", "101", "--url", &url];
    let published = ended(&[&said[..], &ca].concat(), &[]);
    assert_eq!(published.code, Some(0), "{}", published.errors);
    prints(&reader, "chat", 101, 1);
    let large = format!("\"{}\"", "x".repeat(100_000));
    let said = ["publish", "chat", "said", &large, "--url", &url];
    assert_eq!(ended(&[&said[..], &ca].concat(), &[]).code, Some(0));
    assert_eq!(reader.event()["data"].as_str().unwrap().len(), 100_000);
}

#[test]
fn without_a_file_the_authorities_of_the_machine_count() {
    let authority = Authority::new(Leaf::Good);
    let (_server, port) = guarded(&authority);
    let url = format!("https://localhost:{port}");
    let file = authority.file();
    let machine = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let found = ended(&["publish", "chat", "said", "--url", &url], &machine);
    assert_eq!(found.code, Some(0), "{}", found.errors);
    let other = Authority::new(Leaf::Good);
    let file = other.file();
    let words = [
        "not signed by an authority that is trusted here",
        "--ca FILE",
        &url,
    ];
    check_failure(&url, &["--ca", file.to_str().unwrap()], &machine, &words);
    let none = [("SSL_CERT_FILE", "/nowhere/none.pem")];
    check_failure(
        &url,
        &[],
        &none,
        &["no certificates of authorities", "--ca"],
    );
}

#[test]
fn a_certificate_that_does_not_hold_is_named_with_what_to_do() {
    let check = |kind, host: &str, words: &[&str]| {
        let authority = Authority::new(kind);
        let (_server, port) = guarded(&authority);
        let file = authority.file();
        let url = format!("https://{host}:{port}");
        check_failure(&url, &["--ca", file.to_str().unwrap()], &[], words);
    };
    check(
        Leaf::Good,
        "127.0.0.1",
        &["for localhost", "https://127.0.0.1"],
    );
    check(Leaf::Past, "localhost", &["has expired"]);
    check(Leaf::Future, "localhost", &["not valid yet"]);
    check(Leaf::Authority, "localhost", &["an authority's own"]);
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is_are_told_apart() {
    let authority = Authority::new(Leaf::Good);
    let (server, port) = guarded(&authority);
    let file = authority.file();
    let plain = format!("https://{}", server.address());
    let options = ["--ca", file.to_str().unwrap()];
    check_failure(&plain, &options, &[], &["does not speak TLS", "http or ws"]);
    let secure = format!("http://localhost:{port}");
    check_failure(&secure, &[], &[], &["speaks TLS there", "https or wss"]);
}

#[test]
fn a_file_without_certificates_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, words: &str| {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        let ca = [
            "--ca",
            path.to_str().unwrap(),
            "--url",
            "https://localhost:1",
        ];
        let found = ended(&[&["publish", "chat", "said"][..], &ca].concat(), &[]);
        assert_eq!(found.code, Some(2), "{}", found.errors);
        assert!(found.errors.contains(words), "{}", found.errors);
    };
    check("", "has no certificate; it must be PEM");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(broken, "has a certificate that is none");
}
