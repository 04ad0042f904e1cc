//! TLS of the real binary: certificates, clients of others, reloads, half handshakes.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use kinglet::base::clock::Clock;
use kinglet::protocol::tls::self_signed::SelfSigned;
use kinglet::testkit::client::{Arrival, Connection};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::testkit::tls::{TlsClientConfig, Version, pair_of_years, self_signed_pair};
use serde_json::json;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_kinglet");

/// A folder with a pair, and a server that shows it.
struct Secure {
    folder: TempDir,
    server: Server,
}

fn now_pair() -> SelfSigned {
    self_signed_pair(Clock::start().now().wall)
}

fn write(folder: &Path, pair: &SelfSigned) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, &pair.certificate).unwrap();
    fs::write(&key, &pair.key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (cert, key)
}

impl Secure {
    fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = write(folder.path(), &now_pair());
        let mut all = vec![
            ("KINGLET_SERVER__TLS__CERT", cert.to_str().unwrap()),
            ("KINGLET_SERVER__TLS__KEY", key.to_str().unwrap()),
        ];
        all.extend(settings);
        let server = Server::start(BINARY, &all);
        Self { folder, server }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn socket(&self, target: &str) -> Socket {
        Socket::handshake(self.server.connect(), target, &[], &[]).unwrap()
    }

    fn hang_up(&self) -> String {
        let before = self.server.stderr().len();
        self.server.signal("HUP");
        let said = || self.server.stderr().split_off(before);
        until("the reload is over", || {
            let said = said();
            said.contains("reload_done") || said.contains("reload_refused")
        });
        said()
    }

    fn certificate(&self) -> Vec<u8> {
        self.server.connect().tls.unwrap().certificate()
    }

    fn curl(&self, arguments: &[&str], target: &str) -> Output {
        let url = format!("https://{}{target}", self.address());
        let ca = self.folder.path().join("cert.pem");
        Command::new("curl")
            .args(["-sS", "--http1.1", "--cacert", ca.to_str().unwrap()])
            .args(arguments)
            .arg(url)
            .output()
            .unwrap()
    }
}

#[test]
fn curl_gets_answers_by_both_versions() {
    let secure = Secure::start(&[]);
    for arguments in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--tlsv1.2"]] {
        let run = secure.curl(arguments, "/health");
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success() && said.contains("healthy"), "{run:?}");
    }
    let old = secure.curl(
        &[
            "--tls-max",
            "1.1",
            "--tlsv1.0",
            "--ciphers",
            "ALL:@SECLEVEL=0",
        ],
        "/",
    );
    assert!(!old.status.success(), "{old:?}");
    assert_eq!(secure.server.counter("kinglet_tls_truncated_total"), 0);
}

#[test]
fn large_messages_and_many_go_both_ways() {
    for version in Version::ALL {
        let secure = Secure::start(&[("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0")]);
        let config = TlsClientConfig::new(version, &["http/1.1"]);
        let open = |target: &str| {
            let connection = Connection::open_tls(secure.address(), &config);
            Socket::handshake(connection, target, &[], &[]).unwrap()
        };
        let (mut reader, mut writer) = (open("/ws?room=a"), open("/ws?room=b"));
        let large = "x".repeat(900_000);
        for number in 0..20 {
            let data = json!({"number": number, "large": large});
            writer.json(&json!({"type": "publish", "room": "a", "event": "e", "data": data}));
            assert_eq!(reader.message()["data"]["number"], number);
            assert_eq!(writer.message()["type"], "published");
        }
        for number in 0..2000 {
            writer.json(&json!({"type": "ping", "id": number}));
        }
        for number in 0..2000 {
            assert_eq!(writer.message()["id"], number);
        }
    }
}

#[test]
fn whoever_comes_back_resumes() {
    let secure = Secure::start(&[]);
    for version in Version::ALL {
        let config = TlsClientConfig::new(version, &["http/1.1"]);
        let come = || {
            let mut connection = Connection::open_tls(secure.address(), &config);
            let answer = connection.request("GET", "/health", &[], b"");
            assert_eq!(answer.status(), 200);
            connection.tls.unwrap().is_resumed()
        };
        assert!(!come());
        assert!(come());
    }
    assert_eq!(
        secure
            .server
            .counter("kinglet_tls_handshakes_resumed_total"),
        2
    );
}

#[test]
fn a_page_must_be_of_https_to_be_of_the_servers_own() {
    let secure = Secure::start(&[("KINGLET_SERVER__ALLOWED_ORIGINS", "http://listed:1")]);
    let status = |origin: &str| {
        let mut connection = secure.server.connect();
        let answer = connection.request("GET", "/health", &[("Origin", origin)], b"");
        answer.status()
    };
    let own = secure.address();
    assert_eq!(status(&format!("https://{own}")), 200);
    assert_eq!(status(&format!("http://{own}")), 403);
    assert_eq!(status("http://listed:1"), 200);
    assert_eq!(status("https://elsewhere"), 403);
}

#[test]
fn a_renewed_certificate_is_shown_after_sighup_and_a_thousand_sessions_stay() {
    let secure = Secure::start(&[]);
    let config = TlsClientConfig::new(Version::Tls13, &["http/1.1"]);
    let mut sessions: Vec<Socket> = (0..1000)
        .map(|_| {
            let connection = Connection::open_tls(secure.address(), &config);
            Socket::handshake(connection, "/ws?room=a", &[], &[]).unwrap()
        })
        .collect();
    let old = secure.certificate();
    let said = secure.hang_up();
    assert!(said.contains("applied=\"\""), "{said}");
    assert_eq!(secure.certificate(), old);

    write(secure.folder.path(), &now_pair());
    let said = secure.hang_up();
    assert!(said.contains("applied=\"server.tls.cert\""), "{said}");
    let new = secure.certificate();
    assert_ne!(new, old);

    for (content, fault) in [
        ("", "key.pem has no private key"),
        (&now_pair().key, "not that of the first certificate"),
    ] {
        fs::write(secure.folder.path().join("key.pem"), content).unwrap();
        let said = secure.hang_up();
        assert!(
            said.contains(fault) && said.contains("nothing has changed"),
            "{said}"
        );
        assert_eq!(secure.certificate(), new);
    }

    let mut writer = secure.socket("/ws?room=b");
    writer.json(&json!({"type": "publish", "room": "a", "event": "e", "data": 1}));
    for session in &mut sessions {
        assert_eq!(session.message()["data"], 1);
    }
}

#[test]
fn a_pair_that_is_no_good_is_one_line_before_the_start() {
    let good = now_pair();
    let check = |certificate: Option<&str>, key: Option<&str>, words: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key_file) = write(folder.path(), &good);
        for (path, content) in [(&cert, certificate), (&key_file, key)] {
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        for command in ["serve", "check-config"] {
            let run = Command::new(BINARY)
                .args([command, "--listen", "127.0.0.1:0"])
                .env_clear()
                .env("KINGLET_SERVER__TLS__CERT", &cert)
                .env("KINGLET_SERVER__TLS__KEY", &key_file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            assert_eq!(run.status.code(), Some(2), "{said}");
            let faults = said.lines().filter(|line| !line.contains("[WARN]"));
            assert_eq!(faults.count(), 1, "{said}");
            for word in words {
                assert!(said.contains(word), "{word} in {said}");
            }
        }
    };
    let (certificate, key) = (Some(good.certificate.as_str()), Some(good.key.as_str()));
    check(None, key, &["server.tls.cert", "cannot read", "cert.pem"]);
    check(
        certificate,
        None,
        &["server.tls.key", "cannot read", "key.pem"],
    );
    check(Some(""), key, &["server.tls.cert", "has no certificate"]);
    check(
        certificate,
        Some(""),
        &["server.tls.key", "has no private key"],
    );
    check(key, key, &["server.tls.cert", "has no certificate"]);
    let other = now_pair();
    check(
        certificate,
        Some(&other.key),
        &["server.tls.key", "not that of the first certificate"],
    );
    let old = pair_of_years(2000, 2001);
    check(
        Some(&old.certificate),
        Some(&old.key),
        &["server.tls.cert", "expired on 2001-01-01"],
    );
    let young = pair_of_years(3999, 4000);
    check(
        Some(&young.certificate),
        Some(&young.key),
        &["server.tls.cert", "valid from 3999-01-01"],
    );
    let encrypted = good.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    check(
        certificate,
        Some(&encrypted),
        &["server.tls.key", "encrypted key", "openssl pkey"],
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(
        Some(broken),
        key,
        &["server.tls.cert", "a certificate that is none"],
    );
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check(
        certificate,
        Some(broken),
        &["server.tls.key", "cannot be used"],
    );
}

/// Starts with a certificate of the server's own; what it said at first.
fn self_signed(data: &Path, settings: &[(&str, &str)]) -> (Server, Vec<u8>) {
    let mut all = vec![("KINGLET_SERVER__DATA_DIR", data.to_str().unwrap())];
    all.extend(settings);
    let arguments = ["--tls-self-signed", "--listen", "127.0.0.1:0"];
    let server = Server::start_with(BINARY, &arguments, &all);
    let shown = server.connect().tls.unwrap().certificate();
    (server, shown)
}

#[test]
fn a_certificate_of_its_own_is_kept_until_its_names_or_its_time_change() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (server, first) = self_signed(&data, &[]);
    drop(server);
    let key = fs::metadata(data.join("self-signed.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(&data).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let (server, again) = self_signed(&data, &[]);
    assert_eq!(again, first);
    drop(server);
    let names = [("KINGLET_SERVER__ALLOWED_HOSTS", "pi.local")];
    let (server, renamed) = self_signed(&data, &names);
    assert_ne!(renamed, first);
    drop(server);
    let old = pair_of_years(2000, 2001);
    fs::write(data.join("self-signed.pem"), &old.certificate).unwrap();
    fs::write(data.join("self-signed.key"), &old.key).unwrap();
    let (server, renewed) = self_signed(&data, &names);
    assert!(renewed != renamed && server.stderr().contains("tls_self_signed_renewed"));
    drop(server);
    fs::write(data.join("self-signed.key"), "half a fi").unwrap();
    let (_server, mended) = self_signed(&data, &names);
    assert_ne!(mended, renewed);
}

#[test]
fn the_commands_trust_the_servers_own_certificate_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = self_signed(folder.path(), &[("KINGLET_DEBUG__ECHO", "true")]);
    let ca = folder.path().join("self-signed.pem");
    let run = |arguments: &[&str], scheme: &str| {
        let url = format!("{scheme}://{}", server.address());
        let run = Command::new(BINARY)
            .args(arguments)
            .args(["--url", &url, "--ca", ca.to_str().unwrap()])
            .env_clear()
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        String::from_utf8(run.stdout).unwrap()
    };
    assert!(run(&["publish", "a", "e", "1"], "https").contains('1'));
    let short = ["--duration", "300ms", "--warmup", "100ms", "--json"];
    for scenario in [
        &["connect"][..],
        &["connect", "--resume"],
        &["echo", "--size", "70000"],
    ] {
        let arguments = [&["bench"], scenario, &short, &["--connections", "3"]].concat();
        let report: serde_json::Value = serde_json::from_str(&run(&arguments, "wss")).unwrap();
        let total = report["handshakes"]
            .as_u64()
            .or(report["messages"].as_u64());
        assert!(total.is_some_and(|total| total > 0), "{report}");
    }
    assert!(server.counter("kinglet_tls_handshakes_resumed_total") > 0);
}

#[test]
fn hundreds_of_half_handshakes_hold_up_nobody() {
    let secure = Secure::start(&[("KINGLET_LIMITS__HANDSHAKE_TIMEOUT", "2s")]);
    let mut good = secure.socket("/ws");
    let config = TlsClientConfig::new(Version::Tls13, &["http/1.1"]);
    let began = Instant::now();
    let lazy: Vec<Connection> = (0..300)
        .map(|number| {
            let hello = kinglet::testkit::tls::TlsClient::new(&config).outgoing();
            let mut connection = Connection::open(secure.address());
            let sent = [0, 1, 100, hello.len()][number % 4];
            connection.send_raw(&hello[..sent]).unwrap();
            connection
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        assert_eq!(good.ask(&json!({"type": "ping"}))["type"], "pong");
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(
        slowest < Duration::from_secs(1),
        "the good one waited {slowest:?}"
    );
    for mut connection in lazy {
        let deadline = Instant::now() + Duration::from_secs(10);
        while connection.arrive(deadline) == Arrival::Bytes {}
        assert!(Instant::now() < deadline, "it is never cut");
    }
    assert_eq!(
        secure.server.counter("kinglet_handshake_timeouts_total"),
        300
    );
}

#[test]
fn a_shutdown_says_1001_and_close_notify() {
    let mut secure = Secure::start(&[]);
    let mut sessions: Vec<Socket> = (0..20).map(|_| secure.socket("/ws")).collect();
    secure.server.signal("TERM");
    for session in &mut sessions {
        let Received::Close(code, _) = session.receive() else {
            panic!("no Close");
        };
        assert_eq!(code, 1001);
        session.close(1001, "");
        assert_eq!(session.receive(), Received::None(Arrival::End));
        assert!(session.connection.tls.as_ref().unwrap().has_ended);
    }
    assert_eq!(secure.server.wait(), 0);
}

#[test]
fn the_other_protocol_is_told_apart_on_either_port() {
    let secure = Secure::start(&[]);
    let mut plain = Connection::open(secure.address());
    let answer = plain.request("GET", "/health", &[], b"");
    assert_eq!(answer.status(), 400);
    assert!(format!("{answer:?}").contains("https://"));

    let server = crate::start(&[]);
    let run = Command::new("curl")
        .args(["-sSk", &format!("https://{}/health", server.address())])
        .output()
        .unwrap();
    assert!(!run.status.success());
    assert_eq!(server.counter("kinglet_tls_on_plain_port_total"), 1);
    until("the log says so", || {
        server.stderr().contains("tls_on_plain_port")
    });
}

#[test]
fn tls_is_not_turned_on_or_off_by_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kinglet.toml");
    fs::write(&config, "server.listen = \"127.0.0.1:0\"\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let server = Server::start_with(BINARY, &arguments, &[]);
    let data = folder.path().join("data");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data:?}\ntls.self_signed = true\n"
    );
    fs::write(&config, text).unwrap();
    server.signal("HUP");
    until("the reload is over", || {
        server.stderr().contains("reload_done")
    });
    let said = server.stderr();
    assert!(
        said.contains("reload_waits key=server.tls.self_signed"),
        "{said}"
    );
    crate::still_serves(&server);
    assert!(!data.exists());
}
