//! Behind nginx: with nothing but `proxy_pass`, with the configuration of docs/proxy.md, and with
//! that less one of its lines, each of which the document says to be missed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kinglet::testkit::client::Arrival;
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use crate::front::{Front, NAME, UPSTREAM, documented, is_installed, message};
use crate::start;

/// nginx with nothing set that it does not need.
const DEFAULT: &str = "server {\n\
                       listen 443 ssl;\n\
                       ssl_certificate /etc/ssl/chat.example.pem;\n\
                       ssl_certificate_key /etc/ssl/chat.example.key;\n\
                       location / { proxy_pass http://127.0.0.1:8080; }\n\
                       }\n";

/// What the document sets on kinglet's side.
const ALLOWED: (&str, &str) = ("KINGLET_SERVER__ALLOWED_HOSTS", NAME);

fn has_nginx() -> bool {
    is_installed("nginx", "-v")
}

/// nginx with these server blocks in front of `server`.
fn nginx(server: &Server, blocks: &str) -> Front {
    Front::start(|folder, plain, secure| {
        write_certificate(folder);
        let path = |name: &str| folder.join(name).display().to_string();
        let listen = format!("listen {plain}; listen {secure} ssl;");
        let blocks = blocks
            .replace("listen 443 ssl;", &listen)
            .replace("/etc/ssl/chat.example", &path("chat.example"))
            .replace(UPSTREAM, &server.address().to_string());
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let folders = kinds.map(|kind| format!("{kind}_temp_path {};\n", path("temporary")));
        let config = format!(
            "daemon off; master_process off; pid {};\nevents {{}}\n\
             http {{\naccess_log off;\n{}{blocks}}}\n",
            path("pid"),
            folders.concat()
        );
        std::fs::write(path("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p", &path(""), "-c", &path("nginx.conf")]);
        command
    })
}

/// A certificate that nobody has signed but itself.
fn write_certificate(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), NAME.to_owned()];
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("chat.example.pem", certificate.pem());
    write("chat.example.key", key.serialize_pem());
}

/// The document's configuration without the lines that have `part`.
fn without(part: &str) -> String {
    let all = documented("nginx");
    let lines = all.lines().filter(|line| !line.contains(part));
    let rest: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert_ne!(rest.len(), all.len(), "{part}");
    rest
}

#[test]
fn with_proxy_pass_alone_backends_are_served_and_pages_are_told_what_is_wrong() {
    if !has_nginx() {
        return;
    }
    let server = start(&[]);
    let front = nginx(&server, DEFAULT);
    assert_eq!(front.request("GET", "/health", &[]).status(), 200);
    assert_eq!(front.request("POST", "/api/v1/publish", &[]).status(), 200);
    let refusal = front.upgrade(&[]).unwrap_err();
    let lost = message(&refusal);
    assert_eq!(refusal.status(), 426, "{lost}");
    assert!(lost.contains("pass Upgrade and Connection on"), "{lost}");
    let (status, foreign) = front.own_page();
    assert_eq!(status, 403, "{foreign}");
    let asked_for = format!("asked for as \"{}\"", server.address());
    for part in [&front.origin(), &asked_for, "server.allowed_origins"] {
        assert!(foreign.contains(part), "{foreign}");
    }
}

#[test]
fn as_documented_its_pages_are_let_in_and_others_are_not() {
    if !has_nginx() {
        return;
    }
    let server = start(&[ALLOWED, ("KINGLET_LOG__LEVEL", "debug")]);
    let front = nginx(&server, &documented("nginx"));
    assert_eq!(front.request("GET", "/health", &[]).status(), 200);
    assert_eq!(front.own_page(), (101, String::new()));
    let own = [("Origin", front.origin())];
    let own = own.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(front.request("POST", "/api/v1/publish", &own).status(), 200);
    let foreign = [("Origin", "https://evil.example")];
    let spoofed = [foreign[0], ("X-Forwarded-Host", "evil.example")];
    assert_eq!(front.upgrade(&foreign).unwrap_err().status(), 403);
    assert_eq!(front.upgrade(&spoofed).unwrap_err().status(), 403);
    let mut socket = front.upgrade(&[]).unwrap();
    assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
    // Whose request it is stands in the log.
    let client = [("X-Forwarded-For", "198.51.100.7")];
    assert_eq!(front.request("GET", "/api/v1/rooms", &client).status(), 200);
    until("it is logged", || {
        server.stderr().contains("who=198.51.100.7")
    });
    server.signal("TERM");
    assert_eq!(socket.closed(), (1001, "server shutting down".into()));
}

#[test]
fn as_documented_each_client_has_its_own_limits() {
    if !has_nginx() {
        return;
    }
    let server = start(&[ALLOWED, ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "3")]);
    let front = nginx(&server, &documented("nginx"));
    let named = |client: &'static str| [("X-Forwarded-For", client)];
    let kept: Vec<Socket> = (0..10)
        .map(|_| front.upgrade(&named("198.51.100.1")).unwrap())
        .collect();
    let refusal = front.upgrade(&named("198.51.100.1")).unwrap_err();
    assert_eq!(
        (refusal.status(), refusal.code()),
        (429, "CONNECTION_LIMIT".into())
    );
    assert_eq!(refusal.header("retry-after"), "5");
    let _another = front.upgrade(&named("198.51.100.2")).unwrap();
    drop(kept);
    until("nginx has let go of them", || {
        front.upgrade(&named("198.51.100.1")).is_ok()
    });
    let ask = |client| {
        front
            .request("GET", "/api/v1/rooms", &named(client))
            .status()
    };
    let limited = (0..10).filter(|_| ask("198.51.100.3") == 429).count();
    assert!(limited >= 5, "{limited}");
    assert_eq!(ask("198.51.100.4"), 200);
}

#[test]
fn each_line_of_the_document_is_missed_as_it_says() {
    if !has_nginx() {
        return;
    }
    let server = start(&[ALLOWED]);
    let check = |blocks: &str, status: u16, part: &str| {
        let (found, said) = nginx(&server, blocks).own_page();
        assert_eq!(found, status, "{said}\n{blocks}");
        assert!(said.contains(part), "{said}\n{blocks}");
    };
    check(
        &without("Upgrade $http"),
        426,
        "lost its Upgrade on the way",
    );
    check(
        &without("Connection $"),
        400,
        "Connection must name upgrade",
    );
    check(
        &without("$http_host"),
        403,
        "which was asked for as \"127.0.0.1:",
    );
    check(&without("-Host $http_host"), 101, "");
    let portless = documented("nginx").replace("$http_host", "$host");
    check(&portless, 403, "which was asked for as \"chat.example\"");
    let all = documented("nginx");
    let upstream = format!("upstream backend {{ server {UPSTREAM}; }}\n{DEFAULT}").replace(
        "proxy_pass http://127.0.0.1:8080",
        "proxy_pass http://backend",
    );
    check(&upstream, 421, "not known by the Host \"backend\"");
    let server = start(&[]);
    let (found, said) = nginx(&server, &all).own_page();
    assert_eq!(found, 421, "{said}");
    assert!(said.contains("server.allowed_hosts"), "{said}");
}

#[test]
fn event_streams_are_passed_on_at_once_with_buffering_or_without() {
    if !has_nginx() {
        return;
    }
    let server = start(&[ALLOWED]);
    for blocks in [
        documented("nginx"),
        without("proxy_buffering"),
        DEFAULT.to_owned(),
    ] {
        nginx(&server, &blocks).streams(&server);
    }
}

#[test]
fn pings_keep_a_quiet_socket_open_if_they_are_quicker_than_the_timeout() {
    if !has_nginx() {
        return;
    }
    let blocks = documented("nginx").replace("proxy_read_timeout 60s", "proxy_read_timeout 1s");
    let quiet = |ping_interval: &str| {
        let server = start(&[ALLOWED, ("KINGLET_HEARTBEAT__PING_INTERVAL", ping_interval)]);
        let front = nginx(&server, &blocks);
        let mut socket = front.upgrade(&[]).unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2500) {
            match socket.receive() {
                Received::Ping(payload) => socket.frame(true, Opcode::Pong, &payload),
                Received::None(end) => return Some(end),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(socket.ask(&json!({"type": "ping"}))["type"], "pong");
        None
    };
    assert_eq!(quiet("300ms"), None);
    assert_eq!(quiet("10s"), Some(Arrival::End));
}

#[test]
fn the_command_line_subscribes_through_its_tls() {
    if !has_nginx() {
        return;
    }
    let server = start(&[ALLOWED]);
    let front = nginx(&server, &documented("nginx"));
    let authority = front.path("chat.example.pem");
    let url = format!("https://localhost:{}", front.secure.port());
    let mut child = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .env_clear()
        .args(["subscribe", "a", "--since", "0", "--url", &url])
        .args(["--ca", &authority])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let published = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .env_clear()
        .args(["publish", "a", "said", "\"through TLS\"", "--url", &url])
        .args(["--ca", &authority])
        .output()
        .unwrap();
    assert!(published.status.success(), "{published:?}");
    let (mut line, output) = (String::new(), child.stdout.take().unwrap());
    let read = BufReader::new(output).read_line(&mut line);
    let _ = child.kill();
    let _ = child.wait();
    assert!(read.is_ok() && line.contains("through TLS"), "{line}");
}
