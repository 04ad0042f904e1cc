//! Behind Caddy, with the configuration of docs/proxy.md.

use std::process::Command;

use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use serde_json::json;

use crate::front::{Front, NAME, UPSTREAM, documented, is_installed};
use crate::start;

fn caddy(server: &Server, blocks: &str) -> Front {
    Front::start(|folder, plain, _| {
        let site = format!("http://{NAME}:{} {{\n\tbind {}\n", plain.port(), plain.ip());
        let blocks = blocks
            .replace("chat.example {\n", &site)
            .replace(UPSTREAM, &server.address().to_string());
        let path = folder.join("Caddyfile");
        std::fs::write(&path, format!("{{\n\tadmin off\n}}\n{blocks}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]);
        command.arg(path).env("HOME", folder);
        command
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME");
        command
    })
}

#[test]
fn as_documented_its_pages_are_let_in_and_each_client_has_its_own_limits() {
    if !is_installed("caddy", "version") {
        return;
    }
    let server = start(&[("KINGLET_SERVER__ALLOWED_HOSTS", NAME)]);
    let front = caddy(&server, &documented("caddyfile"));
    assert_eq!(front.request("GET", "/health", &[]).status(), 200);
    assert_eq!(front.own_page(), (101, String::new()));
    front.streams(&server);
    let foreign = [
        ("Origin", "https://evil.example"),
        ("X-Forwarded-Host", "evil.example"),
    ];
    assert_eq!(front.upgrade(&foreign).unwrap_err().status(), 403);
    // It believes nobody: all of these are the one client that the test is.
    let mut kept: Vec<Socket> = Vec::new();
    let refusal = loop {
        let spoofed = format!("198.51.100.{}", kept.len());
        match front.upgrade(&[("X-Forwarded-For", &spoofed)]) {
            Ok(socket) => kept.push(socket),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal.status(), kept.len()), (429, 10));
    assert_eq!(kept[0].ask(&json!({"type": "ping"}))["type"], "pong");
}

#[test]
fn a_name_that_is_not_allowed_is_421_and_the_key_is_named() {
    if !is_installed("caddy", "version") {
        return;
    }
    let server = start(&[]);
    let (status, said) = caddy(&server, &documented("caddyfile")).own_page();
    assert_eq!(status, 421, "{said}");
    assert!(said.contains("server.allowed_hosts"), "{said}");
    let own = "reverse_proxy 127.0.0.1:8080 {\n\t\theader_up Host {upstream_hostport}\n\t}";
    let blocks = documented("caddyfile").replace("reverse_proxy 127.0.0.1:8080", own);
    assert_eq!(caddy(&server, &blocks).own_page(), (101, String::new()));
}
