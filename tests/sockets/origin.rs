//! Which pages may reach the server: Origin, CORS and Host (cross-site WebSocket hijacking, DNS
//! rebinding: incidents 24 and 25).

use kinglet::testkit::client::{Answer, Connection};
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens;

use crate::start;

/// The same in open and in token mode: a page is refused before anybody asks who it is.
fn in_each_mode(settings: &[(&str, &str)], check: impl Fn(&Server)) {
    check(&start(settings));
    check(&start(&[settings, &tokens::VARIABLES].concat()));
}

const LISTED: &str = "https://app.example";

fn request(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    Connection::open(server.address()).request(method, target, headers, b"")
}

fn request_for_host(server: &Server, host: &str) -> Answer {
    let mut client = Connection::open(server.address());
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.answer(false).unwrap()
}

/// The status that `origin` gets over HTTP and, as an upgrade, on a socket.
fn statuses(server: &Server, origin: &str) -> (u16, u16) {
    let headers = [("Origin", origin)];
    let connection = Connection::open(server.address());
    let upgraded = Socket::handshake(connection, "/ws", &[], &headers);
    let status = upgraded.map_or_else(|refusal| refusal.status(), |_| 101);
    (request(server, "GET", "/", &headers).status(), status)
}

#[test]
fn a_foreign_page_is_refused_on_every_path_and_method() {
    in_each_mode(&[("KINGLET_SERVER__ALLOWED_ORIGINS", LISTED)], |server| {
        let port = server.address().port();
        for origin in [
            "https://evil.example".to_owned(),
            "null".to_owned(),
            String::new(),
            "http://app.example".to_owned(),
            "https://app.example.".to_owned(),
            "https://app.example:8443".to_owned(),
            "https://app.example.evil.example".to_owned(),
            "https://evil-app.example".to_owned(),
            "https://sub.app.example".to_owned(),
            "https://app.example/".to_owned(),
            "https://app.example@evil.example".to_owned(),
            "https://app.example https://evil.example".to_owned(),
            "file://".to_owned(),
            // Other names and ports of this very machine are other sites.
            format!("http://localhost:{port}"),
            format!("http://[::1]:{port}"),
            format!("http://127.0.0.1.:{port}"),
            format!("http://127.0.0.1.evil.example:{port}"),
            format!("http://127.0.0.1:{port}0"),
            "http://127.0.0.1".to_owned(),
        ] {
            assert_eq!(statuses(server, &origin), (403, 403), "{origin:?}");
            let answer = request(server, "GET", "/", &[("Origin", &origin)]);
            let message = answer.json()["error"]["message"].to_string();
            assert!(message.contains("server.allowed_origins"), "{message}");
        }
        for method in ["GET", "POST", "OPTIONS", "DELETE"] {
            for target in ["/health", "/nothing", "/api/v1/publish", "/ws/echo"] {
                let answer = request(
                    server,
                    method,
                    target,
                    &[("Origin", "https://evil.example")],
                );
                assert_eq!(answer.status(), 403, "{method} {target}");
                assert_eq!(answer.header("access-control-allow-origin"), "");
                let body = String::from_utf8(answer.body().to_vec()).unwrap();
                assert!(body.contains("server.allowed_origins"), "{body}");
            }
        }
        let two = [("Origin", LISTED), ("Origin", LISTED)];
        assert_eq!(request(server, "GET", "/", &two).status(), 403);
    });
}

#[test]
fn the_own_page_and_listed_ones_are_served() {
    in_each_mode(&[("KINGLET_SERVER__ALLOWED_ORIGINS", LISTED)], |server| {
        let own = format!("http://{}", server.address());
        let secure = format!("https://{}", server.address());
        for origin in [
            &own,
            &secure,
            LISTED,
            "HTTPS://App.Example",
            "https://app.example:443",
        ] {
            assert_eq!(statuses(server, origin), (200, 101), "{origin}");
        }
        let answer = request(server, "GET", "/", &[("Origin", &own)]);
        assert_eq!(answer.header("access-control-allow-origin"), "");
    });
}

#[test]
fn a_listed_page_gets_its_own_origin_back_and_no_credentials() {
    in_each_mode(&[("KINGLET_SERVER__ALLOWED_ORIGINS", LISTED)], |server| {
        for (target, status) in [("/health", 200), ("/nothing", 404), ("/ws", 426)] {
            let answer = request(server, "GET", target, &[("Origin", LISTED)]);
            assert_eq!(answer.status(), status);
            assert_eq!(
                answer.header("access-control-allow-origin"),
                LISTED,
                "{target}"
            );
            assert_eq!(answer.header("vary"), "Origin");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
        let preflight = [
            ("Origin", LISTED),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type, x-other"),
        ];
        let answer = request(server, "OPTIONS", "/api/v1/publish", &preflight);
        assert_eq!((answer.status(), answer.body()), (204, &b""[..]));
        assert_eq!(answer.header("access-control-allow-origin"), LISTED);
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("POST")
        );
        let headers = answer.header("access-control-allow-headers");
        assert!(headers.contains("Content-Type") && !headers.contains('*'));
        // Without Origin it is a question like any other.
        let answer = request(server, "OPTIONS", "/api/v1/publish", &preflight[1..]);
        assert_eq!(answer.header("access-control-allow-methods"), "");
    });
}

#[test]
fn a_foreign_host_is_421_except_for_health() {
    in_each_mode(
        &[(
            "KINGLET_SERVER__ALLOWED_HOSTS",
            "[\"pi.local\", \"king.example\"]",
        )],
        |server| {
            for (host, status) in [
                ("localhost", 200),
                ("LOCALHOST:99", 200),
                ("127.0.0.1", 200),
                ("127.1.2.3:80", 200),
                ("[::1]:8080", 200),
                ("pi.local", 200),
                ("Pi.Local:1234", 200),
                ("king.example", 200),
                ("evil.example", 421),
                ("localhost.evil.example", 421),
                ("localhost.", 421),
                ("127.0.0.1.evil.example", 421),
                ("evil-pi.local", 421),
                ("pi.local.evil.example", 421),
                ("0.0.0.0", 421),
                ("2130706433", 421),
                ("0x7f.1", 421),
                ("[::2]", 421),
                ("169.254.169.254", 421),
            ] {
                let mut client = Connection::open(server.address());
                client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
                assert_eq!(client.answer(false).unwrap().status(), status, "{host}");
                client.send(format!(
                    "GET /health/ready HTTP/1.1\r\nHost: {host}\r\n\r\n"
                ));
                assert_eq!(client.answer(false).unwrap().status(), 200, "{host}");
            }
            let mut client = Connection::open(server.address());
            client.send(
                "GET /ws HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            );
            let answer = client.answer(false).unwrap();
            assert_eq!(
                (answer.status(), answer.code()),
                (421, "MISDIRECTED_REQUEST".into())
            );
            for (host, shown) in [
                (
                    "evil.example:80".to_owned(),
                    "\"evil.example:80\"".to_owned(),
                ),
                ("x".repeat(200), format!("\"{}\"", "x".repeat(64))),
            ] {
                let answer = request_for_host(server, &host);
                let message = answer.json()["error"]["message"].clone();
                let message = message.as_str().unwrap();
                assert!(message.contains(&shown), "{message}");
                assert!(message.contains("server.allowed_hosts"), "{message}");
            }
        },
    );
}

#[test]
fn several_origins_are_each_themselves_and_never_all() {
    let other = "https://other.example:8443";
    let both = format!("[\"{LISTED}\", \"{other}\"]");
    in_each_mode(&[("KINGLET_SERVER__ALLOWED_ORIGINS", &both)], |server| {
        for origin in [LISTED, other] {
            assert_eq!(statuses(server, origin), (200, 101), "{origin}");
            let answer = request(server, "GET", "/", &[("Origin", origin)]);
            assert_eq!(answer.header("access-control-allow-origin"), origin);
        }
        for origin in ["https://third.example", "https://other.example", "null"] {
            assert_eq!(statuses(server, origin), (403, 403), "{origin}");
        }
        let lists = format!("{LISTED}, {other}");
        assert_eq!(statuses(server, &lists), (403, 403));
    });
}

#[test]
fn every_origin_may_be_listed_where_tokens_are_asked_for_and_gets_no_credentials() {
    let all = ("KINGLET_SERVER__ALLOWED_ORIGINS", "*");
    let server = start(&[&[all][..], &tokens::VARIABLES].concat());
    let origin = [("Origin", "https://any.example")];
    for (method, target, status) in [
        ("GET", "/health", 200),
        ("GET", "/api/v1/rooms", 401),
        ("OPTIONS", "/api/v1/rooms", 204),
    ] {
        let answer = request(&server, method, target, &origin);
        assert_eq!(answer.status(), status, "{target}");
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, "https://any.example", "{target}");
        assert_eq!(answer.header("vary"), "Origin");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    assert_eq!(statuses(&server, "null"), (403, 403));
}
