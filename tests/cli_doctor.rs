//! `kinglet doctor` as it is typed: what it says of this machine, its exit code, and what is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/process.rs"]
mod process;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use process::{Running, ended_in};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a configuration that has a project root and an agent called `lint`, and listens on
/// a port that the system chooses.
fn folder(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    fs::create_dir(path.join("src")).unwrap();
    fs::write(path.join("lint"), "#!/bin/sh\n").unwrap();
    set_mode(&path.join("lint"), 0o755);
    let shown = path.display();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{more}\n[projects]\nroots = [\"{shown}/src\"]\n\
         [agents.lint]\ncommand = \"{shown}/lint\"\n"
    );
    fs::write(path.join("kinglet.toml"), text).unwrap();
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The exit code and, by what was checked, the findings.
fn doctor(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let found = ended_in(folder, &arguments, environment);
    assert_eq!(found.errors, "");
    let lines = found.output.lines();
    let findings = lines.map(|line| serde_json::from_str(line).unwrap());
    (found.code.unwrap(), findings.collect())
}

fn of<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let mut found = findings.iter();
    let found = found.find(|finding| finding["check"].as_str().unwrap().starts_with(check));
    found.unwrap_or_else(|| panic!("{check} in {findings:?}"))
}

#[test]
fn a_good_machine_passes_with_warnings_and_nothing_is_left() {
    let folder = folder("");
    let environment = [("REDIS_URL", "redis://127.0.0.1")];
    let (code, findings) = doctor(folder.path(), &[], &environment);
    assert_eq!(code, 0, "{findings:?}");
    let is = |check: &str, verdict: &str, words: &str| {
        let finding = of(&findings, check);
        assert_eq!(finding["verdict"], verdict, "{finding}");
        assert!(
            finding["message"].as_str().unwrap().contains(words),
            "{finding}"
        );
    };
    is("configuration", "ok", "from defaults, ./kinglet.toml");
    is("environment", "warning", "REDIS_URL");
    is(
        "access",
        "warning",
        "every local user can run agents as kinglet's user",
    );
    is("data directory ./kinglet-data", "ok", "writable");
    is("listen 127.0.0.1:0", "ok", "free");
    is("descriptors", "ok", "limits.connections");
    is("agent claude", "warning", "agents.claude.command");
    is("agent lint", "ok", "/lint");
    is("project root", "ok", "a directory");
    is("clock", "ok", "20");
    is("platform", "ok", "os=");
    is("platform limits", "ok", "open_files=");
    is("configuration file ./kinglet.toml", "ok", "mode ");
    let names = fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), 3, "kinglet.toml, lint, src and nothing else");

    let lines = ended_in(folder.path(), &["doctor"], &[]).output;
    assert!(
        lines.starts_with("ok       platform: os=")
            && lines.contains("\nok       configuration: from"),
        "{lines}"
    );
}

#[test]
fn what_keeps_runs_from_working_is_a_failure() {
    let check = |change: &dyn Fn(&Path), named: &str, words: &str| {
        let folder = folder("");
        change(folder.path());
        let (code, findings) = doctor(folder.path(), &[], &[]);
        let finding = of(&findings, named);
        assert_eq!(
            (code, &finding["verdict"]),
            (1, &json!("failure")),
            "{findings:?}"
        );
        assert!(
            finding["message"].as_str().unwrap().contains(words),
            "{finding}"
        );
    };
    let gone = |path: &Path| fs::remove_file(path.join("lint")).unwrap();
    check(&gone, "agent lint", "was not found; install it");
    let open = |path: &Path| set_mode(&path.join("lint"), 0o757);
    check(&open, "agent lint", "everybody can write");
    let above = |path: &Path| set_mode(path, 0o757);
    check(&above, "agent lint", "chmod o-w");
    let no_root = |path: &Path| fs::remove_dir(path.join("src")).unwrap();
    check(&no_root, "project root", "projects.roots");
    let file = |path: &Path| fs::write(path.join("kinglet-data"), "").unwrap();
    check(&file, "data directory", "cannot write");
    let wrong = |path: &Path| fs::write(path.join("kinglet.toml"), "[server]\nlisen = 1").unwrap();
    check(&wrong, "configuration", "server.lisen");
}

#[test]
fn an_address_in_use_says_by_whom() {
    let folder = folder("");
    let check = |address: &str, code: i32, words: &str| {
        let (found, findings) = doctor(folder.path(), &["--listen", address], &[]);
        let finding = of(&findings, "listen");
        assert_eq!(found, code, "{findings:?}");
        assert!(
            finding["message"].as_str().unwrap().contains(words),
            "{finding}"
        );
    };
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    // Whoever listens and says nothing would be waited for.
    std::thread::spawn(move || other.incoming().for_each(drop));
    check(&address, 1, "another program listens there");

    let kinglet = Running::start(&["--listen", "127.0.0.1:0"]);
    let line = kinglet.line();
    let (_, address) = line.split_once("http://").unwrap();
    check(address, 0, "a kinglet listens there");
}
