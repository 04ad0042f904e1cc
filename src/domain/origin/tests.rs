//! Tables of origins and hosts, as attackers spell them.
#![allow(clippy::unwrap_used)]

use super::*;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn not_allowed(origin: &str, host: &str) -> Result<OriginVerdict, OriginFault> {
    let (origin, host) = (origin.into(), host.into());
    Err(OriginFault::NotAllowed { origin, host })
}

#[test]
fn the_same_origin_is_the_same_host_and_port() {
    let check = |origin: &str, host: &str, is_same: bool| {
        let expected = match is_same {
            true => Ok(OriginVerdict::SameOrigin),
            false => not_allowed(origin, host),
        };
        assert_eq!(
            check_origin(Some(origin), host, Asked::Either, &[]),
            expected,
            "{origin} {host}"
        );
    };
    check("http://a", "a", true);
    check("http://a:80", "a", true);
    check("http://a", "a:80", true);
    check("https://a", "a", true);
    check("https://a", "a:443", true);
    check("https://a:8443", "a:8443", true);
    check("HTTP://LocalHost:8080", "localhost:8080", true);
    check("http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080", true);
    check("http://127.0.0.1:8080", "127.0.0.1:8080", true);
    check("http://a:8080", "a", false);
    check("http://a", "a:443", false);
    check("https://a", "a:80", false);
    check("http://a.", "a", false);
    check("http://a", "a.", false);
    check("http://localhost:8080", "127.0.0.1:8080", false);
    check("http://[::1]", "[::2]", false);
    check("http://sub.a", "a", false);
    check("http://a.evil", "a", false);
    check("http://evil-a", "a", false);
    check("app://a:8080", "a:8080", false);
    // A Host that is none is nobody's origin.
    check("http://a", "", false);
    check("http://a", "a:", false);
    check("http://a", "b@a", false);
    check("http://a", "a, b", false);
}

#[test]
fn where_tls_ends_here_a_page_without_it_is_of_another_origin() {
    let check = |origin: &str, host: &str, expected: Result<OriginVerdict, OriginFault>| {
        let allowed = texts(&["http://listed"]);
        let found = check_origin(Some(origin), host, Asked::Https, &allowed);
        assert_eq!(found, expected, "{origin} {host}");
    };
    let same = || Ok(OriginVerdict::SameOrigin);
    let not_secure = |origin: &str| {
        let origin = origin.into();
        Err(OriginFault::NotSecure { origin })
    };
    check("https://a", "a", same());
    check("https://a", "a:443", same());
    check("https://a:8443", "a:8443", same());
    check("HTTPS://A:8443", "a:8443", same());
    check("http://a", "a", not_secure("http://a"));
    check("http://a:8443", "a:8443", not_secure("http://a:8443"));
    check("http://a", "a:8443", not_secure("http://a"));
    check("https://a", "a:8443", not_allowed("https://a", "a:8443"));
    check(
        "https://b:8443",
        "a:8443",
        not_allowed("https://b:8443", "a:8443"),
    );
    check("http://b", "a:8443", not_allowed("http://b", "a:8443"));
    check("http://listed", "a:8443", Ok(OriginVerdict::Listed));
    check("http://listed", "listed", Ok(OriginVerdict::Listed));
}

#[test]
fn listed_origins_are_compared_whole() {
    let allowed = texts(&[
        "https://app.example.com",
        "http://localhost:3000",
        "capacitor://localhost",
        "http://[::1]:5173",
        "not an origin",
        "bare.example.com",
    ]);
    let check = |origin: &str, is_listed: bool| {
        let expected = match is_listed {
            true => Ok(OriginVerdict::Listed),
            false => not_allowed(origin, "kinglet:8080"),
        };
        assert_eq!(
            check_origin(Some(origin), "kinglet:8080", Asked::Either, &allowed),
            expected,
            "{origin}"
        );
    };
    check("https://app.example.com", true);
    check("https://app.example.com:443", true);
    check("HTTPS://App.Example.Com", true);
    check("http://localhost:3000", true);
    check("capacitor://localhost", true);
    check("http://[0::1]:5173", true);
    check("http://app.example.com", false);
    check("https://app.example.com:8443", false);
    check("https://app.example.com.", false);
    check("https://app.example.com.evil.com", false);
    check("https://evil-app.example.com", false);
    check("https://evil.app.example.com", false);
    check("https://example.com", false);
    check("http://localhost:30000", false);
    check("http://localhost:300", false);
    check("http://localhost", false);
    check("capacitor://localhost:80", false);
    check("https://bare.example.com", false);
    check("https://xn--pp-6kc.example.com", false);
}

#[test]
fn refuses_what_is_not_one_origin_even_if_all_are_allowed() {
    let all = texts(&["*", "null", "https://a"]);
    for origin in [
        "",
        "null",
        "NULL",
        "a",
        "://a",
        "1http://a",
        "http:/a",
        "http://",
        "http://:80",
        "http://a/",
        "http://a/path",
        "http://a?",
        "http://a#",
        "http://a:",
        "http://a:+80",
        "http://a:99999",
        "http://a:80:80",
        "http://a@b",
        "https://a:443@b",
        "https://a:443.evil.com",
        "http://a http://b",
        "http://a, http://b",
        "http://a,http://b",
        "http://a\\b",
        "http://a%2eb",
        "http://a\0",
        "http://\u{430}",
        "http://*",
        "http://::1",
        "http://[::1",
        "http://[::1]x",
        "http://[::1%25eth0]",
        "http://[127.0.0.1]",
        "http://[]",
    ] {
        let verdict = check_origin(Some(origin), "a", Asked::Either, &all);
        assert_eq!(verdict, Err(OriginFault::Malformed), "{origin:?}");
    }
    let long = format!("http://{}", "a".repeat(HOST_NAME_BYTES + 1));
    assert_eq!(
        check_origin(Some(&long), "a", Asked::Either, &all),
        Err(OriginFault::Malformed)
    );
    let other = check_origin(Some("http://other:1"), "a", Asked::Either, &all);
    assert_eq!(other, Ok(OriginVerdict::Listed));
}

#[test]
fn no_origin_is_fine() {
    assert_eq!(
        check_origin(None, "", Asked::Either, &[]),
        Ok(OriginVerdict::Absent)
    );
}

#[test]
fn a_refusal_names_what_was_compared_and_the_key_to_set() {
    let fault = check_origin(Some("http://b"), "127.0.0.1:8080", Asked::Either, &[]).unwrap_err();
    let message = fault.to_string();
    for part in ["http://b ", "\"127.0.0.1:8080\"", "server.allowed_origins"] {
        assert!(message.contains(part), "{message}");
    }
    let long = format!("http://b.{}", "x".repeat(200));
    let fault = check_origin(Some(&long), "a", Asked::Either, &[]).unwrap_err();
    assert!(fault.to_string().len() < 400, "{fault}");
}

#[test]
fn the_host_is_loopback_the_listen_address_or_listed() {
    let listen = [
        "192.0.2.7:8080".parse().unwrap(),
        "[2001:db8::7]:8080".parse().unwrap(),
    ];
    let allowed = texts(&["pi.local", "king.example:8443", "[2001:db8::9]", "bad host"]);
    let check = |host: &str, is_ours: bool| {
        assert_eq!(
            check_host(host, AuthMode::Open, &listen, &allowed),
            is_ours,
            "{host:?}"
        );
    };
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.255.1.2:65535",
        "[::1]",
        "[::1]:8080",
        "192.0.2.7",
        "192.0.2.7:9",
        "[2001:db8:0::7]:9",
        "pi.local",
        "PI.local:8080",
        "king.example:8443",
        "[2001:db8::9]:1",
    ] {
        check(host, true);
    }
    for host in [
        "",
        "evil.example",
        "evil.example:8080",
        "localhost.",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "127.1",
        "127.0.0.01",
        "2130706433",
        "0x7f000001",
        "128.0.0.1",
        "0.0.0.0",
        "192.0.2.70",
        "::1",
        "[::1",
        "[::2]",
        "[::1]8080",
        "[::1]:",
        "localhost:",
        "localhost:99999",
        "localhost:-1",
        "localhost:+1",
        "localhost:8080:8080",
        "localhost,evil.example",
        "localhost evil.example",
        "user@localhost",
        "localhost/",
        "localhost\0",
        "xpi.local",
        "pi.local.",
        "king.example",
        "king.example:443",
        "bad host",
    ] {
        check(host, false);
    }
}

#[test]
fn on_a_wildcard_address_any_address_names_this_server_but_no_name_does() {
    let everywhere = [SocketAddr::from(([0, 0, 0, 0], 8080))];
    assert!(check_host(
        "192.168.1.5:8080",
        AuthMode::Open,
        &everywhere,
        &[]
    ));
    assert!(check_host(
        "[2001:db8::1]:8080",
        AuthMode::Open,
        &everywhere,
        &[]
    ));
    assert!(!check_host(
        "evil.example:8080",
        AuthMode::Open,
        &everywhere,
        &[]
    ));
    assert!(!check_host(
        "192.168.1.5.nip.io",
        AuthMode::Open,
        &everywhere,
        &[]
    ));
}
#[test]
fn token_mode_checks_hosts_only_if_some_are_allowed() {
    let check = |host: &str, allowed: &[&str], expected: bool| {
        let found = check_host(host, AuthMode::Token, &[], &texts(allowed));
        assert_eq!(found, expected, "{host} {allowed:?}");
    };
    check("evil.example", &[], true);
    check("", &[], true);
    check("evil.example", &["pi.local"], false);
    check("pi.local:8080", &["pi.local"], true);
    check("localhost", &["pi.local"], true);
}
