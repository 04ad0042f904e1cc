//! What is in packaging/: files that the programs they are for accept, and that agree with the
//! configuration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/process.rs"]
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kinglet::base::limits::LISTEN_BACKLOG;
use kinglet::config::Config;
use kinglet::runtime::server::connections_within;
use kinglet::testkit::client::note;
use process::ended_in;
use serde_json::Value;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// The value of `key` in a unit; each of those asked for stands there once.
fn value(unit: &str, key: &str) -> String {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let mut values = lines
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value);
    let value = values.next().unwrap_or_else(|| panic!("{key} is missing"));
    assert_eq!(values.next(), None, "{key} stands there twice");
    value.to_owned()
}

#[test]
fn the_units_agree_with_the_configuration() {
    let (service, socket) = (
        file("systemd/kinglet.service"),
        file("systemd/kinglet.socket"),
    );
    let config = Config::default();
    let listen = config.server.listen.first().unwrap().to_string();
    assert_eq!(value(&socket, "ListenStream"), listen);
    assert_eq!(value(&socket, "Backlog"), LISTEN_BACKLOG.to_string());
    let descriptors = value(&service, "LimitNOFILE").parse().unwrap();
    let wanted = config.limits.connections.unwrap();
    assert!(connections_within(&config, descriptors) >= wanted);
    let stop: u64 = value(&service, "TimeoutStopSec").parse().unwrap();
    assert!(stop > config.server.shutdown_timeout.as_secs() + 5);
    for (key, expected) in [
        ("Type", "notify"),
        ("KillMode", "mixed"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "2"),
        ("OOMPolicy", "continue"),
        ("User", "kinglet"),
        ("WatchdogSec", "30"),
    ] {
        assert_eq!(value(&service, key), expected, "{key}");
    }
    let state = value(&service, "StateDirectory");
    let start = value(&service, "ExecStart");
    assert!(
        start.ends_with(&format!(" --data-dir /var/lib/{state}")),
        "{start}"
    );
    assert!(file("systemd/kinglet.sysusers").contains(&format!(" /var/lib/{state} ")));
}

/// Expects that `words`, the command line of a service, is one of `serve` whose flags are taken.
fn is_taken(words: &[&str]) {
    let (serve, flags) = words.split_first().unwrap();
    assert_eq!(*serve, "serve");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kinglet.toml");
    fs::write(&config, "").unwrap();
    let config = config.display().to_string();
    let given = flags
        .iter()
        .map(|word| match word.ends_with("/kinglet.toml") {
            true => config.as_str(),
            false => word,
        });
    let arguments: Vec<&str> = ["check-config"].into_iter().chain(given).collect();
    let ended = ended_in(folder.path(), &arguments, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
}

#[test]
fn the_service_starts_with_flags_that_are_taken() {
    let start = value(&file("systemd/kinglet.service"), "ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    assert_eq!(words[0], "/usr/bin/kinglet");
    is_taken(&words[1..]);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        note("SKIPPED: systemd-analyze is not installed (apt-get install systemd)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let units: Vec<PathBuf> = ["kinglet.service", "kinglet.socket"]
        .map(|name| {
            // The binary is not installed, nor is its user there.
            let text = file(&format!("systemd/{name}"));
            let text = text.replace("/usr/bin/kinglet", env!("CARGO_BIN_EXE_kinglet"));
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        })
        .into();
    let analyze = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=one"])
        .args(&units)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&analyze.stderr);
    // Other units of the machine are none of ours.
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("kinglet"))
        .collect();
    assert!(analyze.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_property_list_says_the_same_to_launchd() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packaging/launchd/net.kinglet.server.plist"
    );
    let script =
        "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let Ok(read) = Command::new("python3").args(["-c", script, path]).output() else {
        note("SKIPPED: python3 is not installed (apt-get install python3)");
        return;
    };
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    let list: Value = serde_json::from_slice(&read.stdout).unwrap();
    let label = list["Label"].as_str().unwrap();
    assert!(path.ends_with(&format!("/{label}.plist")));
    let words = list["ProgramArguments"].as_array().unwrap();
    let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
    is_taken(&words[1..]);
    // The name under which they are asked for.
    let listener = &list["Sockets"]["Listeners"];
    let config = Config::default();
    let listen = config.server.listen.first().unwrap();
    assert_eq!(listener["SockNodeName"], listen.ip().to_string());
    assert_eq!(listener["SockServiceName"], listen.port().to_string());
    let stop = list["ExitTimeOut"].as_u64().unwrap();
    assert!(stop > config.server.shutdown_timeout.as_secs() + 5);
    let descriptors = list["HardResourceLimits"]["NumberOfFiles"]
        .as_u64()
        .unwrap();
    assert!(connections_within(&config, descriptors) >= config.limits.connections.unwrap());
}

#[test]
fn the_image_starts_and_asks_what_the_binary_knows() {
    let image = file("docker/Dockerfile");
    let words = |instruction: &str| -> Vec<String> {
        let mut lines = image.lines();
        let line = lines.find(|line| line.starts_with(instruction)).unwrap();
        serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
    };
    assert_eq!(words("ENTRYPOINT"), ["/usr/bin/kinglet"]);
    let command = words("CMD");
    is_taken(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(words("HEALTHCHECK"), ["/usr/bin/kinglet", "health"]);
    assert!(!image.contains("USER root") && image.contains("\nUSER 65532:65532\n"));
}

#[test]
fn health_is_0_while_a_server_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = process::Running::start(&["serve", "--listen", "127.0.0.1:0"]);
    let line = server.line();
    let url = line.split_once("listens on ").unwrap().1.to_owned();
    let well = ended_in(folder.path(), &["health", "--url", &url], &[]);
    assert_eq!(well.code, Some(0), "{}", well.errors);
    // The machine that this runs on may be short of disk, which degrades it and no more.
    let is_well = ["healthy", "degraded"].iter().any(|status| {
        well.output
            .starts_with(&format!("{{\"status\":\"{status}\""))
    });
    assert!(is_well, "{}", well.output);
    drop(server);
    let gone = ended_in(folder.path(), &["health", "--url", &url], &[]);
    assert_eq!((gone.code, gone.output.as_str()), (Some(1), ""));
    assert_eq!(gone.errors.lines().count(), 1, "{}", gone.errors);
}
