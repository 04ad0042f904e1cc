//! The architecture as a test: reads the source tree and fails with file, line and rule.
//!
//! It holds what the compiler cannot: which layer uses which, where a clock, a socket, `unsafe` or
//! a dependency may stand, how long a file is, and that the docs list what the code has. Paths come
//! from a small tokenizer, so nested `use` lists count and comments and strings do not. Each rule
//! is a function over text and is tested here on a sample that breaks it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use kinglet::metrics::histograms::HISTOGRAMS;
use kinglet::metrics::table::COUNTERS;

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::{
    FIX_ME, LINES_MAX, LONGER, clocks, close_codes_listed, confinement, counters_counted,
    dashboard, dependencies_listed, layers, lock_file, metrics_listed, shape, unfinished,
    unsafe_code,
};
use source::Source;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return; // Benches and fuzz targets need not exist.
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            found.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

/// A document of the tree, or the fault that it is missing.
fn document(path: &str) -> Result<String, Vec<String>> {
    fs::read_to_string(root().join(path)).map_err(|error| vec![format!("{path}:1: {error}")])
}

fn hold(folders: &[&str], rule: fn(&Source) -> Vec<String>) {
    let sources = sources(folders);
    assert!(!sources.is_empty(), "no sources were found");
    assert_none(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

const CODE: &[&str] = &["src"];
const ALL: &[&str] = &["src", "tests", "benches", "fuzz"];

#[test]
fn a_layer_uses_only_lower_layers() {
    hold(CODE, layers);
}

#[test]
fn dependencies_threads_and_sockets_stay_in_their_folders() {
    hold(CODE, confinement);
}

#[test]
fn unsafe_stands_in_os_only() {
    hold(CODE, unsafe_code);
}

#[test]
fn only_the_clock_reads_a_clock() {
    hold(CODE, clocks);
}

#[test]
fn files_open_with_their_purpose_and_are_short() {
    hold(ALL, shape);
    let sources = sources(CODE);
    for (path, reason) in LONGER {
        let long =
            |source: &Source| source.path == *path && source.text.lines().count() > LINES_MAX;
        assert!(sources.iter().any(long), "{path} is not long ({reason})");
    }
}

#[test]
fn nothing_unfinished_stands_in_the_tree() {
    hold(ALL, unfinished);
}

#[test]
fn no_banned_package_is_locked() {
    let mut faults = Vec::new();
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        match document(path) {
            Ok(text) => faults.extend(lock_file(path, &text)),
            Err(_) if path.starts_with("fuzz/") => {} // There need not be fuzz targets.
            Err(missing) => faults.extend(missing),
        }
    }
    assert_none(&faults);
}

#[test]
fn the_readme_lists_every_direct_dependency() {
    let manifest = document("Cargo.toml").unwrap();
    let faults = document("README.md").map(|readme| dependencies_listed(&manifest, &readme));
    assert_none(&faults.unwrap_or_else(|missing| missing));
}

#[test]
fn the_protocol_reference_lists_every_close_code() {
    let faults = document("src/wire/websocket/close.rs").and_then(|close| {
        document("docs/protocol.md").map(|protocol| close_codes_listed(&close, &protocol))
    });
    assert_none(&faults.unwrap_or_else(|missing| missing));
}

#[test]
fn every_counter_is_counted_somewhere() {
    let mut sources = sources(&["src"]);
    sources.retain(|source| !source.path.starts_with("src/metrics/"));
    let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
    assert_none(&counters_counted(&texts));
    assert!(!counters_counted(&["Counter::Publicationsx"]).is_empty());
}

#[test]
fn the_metrics_reference_lists_everything_that_is_measured() {
    let faults = document("docs/metrics.md").map(|metrics| metrics_listed(&metrics));
    assert_none(&faults.unwrap_or_else(|missing| missing));
}

/// The lines at which `rule` finds a fault in `text` at `path`.
#[test]
fn the_dashboard_asks_for_what_is_measured() {
    let faults = document("packaging/grafana/kinglet.json").map(|text| dashboard(&text));
    assert_none(&faults.unwrap_or_else(|missing| missing));
    let check = |query: &str, faults: usize| {
        let panel = format!(r#"{{"panels":[{{"targets":[{{"expr":"{query}"}}]}}]}}"#);
        assert_eq!(dashboard(&panel).len(), faults, "{query}");
    };
    check("rate(kinglet_job_seconds_bucket[5m]) / kinglet_rooms", 0);
    check("kinglet_job_seconds", 1);
    check("sum(kinglet_nothing{state=\\\"idle\\\"})", 1);
    check("up", 1);
}

fn check(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, lines: &[usize]) {
    let faults = rule(&Source::new(path, text));
    let line_of = |fault: &String| fault.split(':').nth(1).unwrap().parse::<usize>().unwrap();
    let found: Vec<usize> = faults.iter().map(line_of).collect();
    assert_eq!(found, lines, "{path}\n{text}\n{faults:#?}");
}

#[test]
fn finds_a_layer_that_looks_up() {
    let frame = "src/wire/websocket/frame.rs";
    check(
        layers,
        frame,
        "use crate::base::ids::PeerId;\nuse super::close;",
        &[],
    );
    check(layers, frame, "use crate::shard::Shard;", &[1]);
    check(
        layers,
        frame,
        "use crate::{\n    base,\n    shard::{a, b},\n};",
        &[3, 3],
    );
    check(
        layers,
        frame,
        "fn f(b: super::super::super::bus::Bus) {}",
        &[1],
    );
    check(layers, frame, "use super::super::http;", &[]);
    check(layers, "src/wire/mod.rs", "use super::bus;", &[1]);
    check(layers, "src/base/ids.rs", "pub use crate::os;", &[1]);
    check(layers, "src/cli/mod.rs", "use crate::runtime;", &[]);
    check(layers, "src/cli/mod.rs", "use crate::testkit;", &[1]);
    check(layers, "src/lib.rs", "pub mod shard;", &[]);
    check(layers, "src/guest/mod.rs", "", &[1]);
    check(layers, "src/store/mod.rs", "use crate::app;", &[1]);
    check(
        layers,
        frame,
        "// crate::shard\n/* crate::bus */ const A: &str = \"crate::app\";",
        &[],
    );
    let tests = "#[cfg(test)]\nmod tests {\n    use super::super::super::super::bus;\n    \
                 use super::super::super::bus;\n    use crate::testkit::link;\n}";
    check(layers, frame, tests, &[3]);
    let apart = "use super::super::bus;\nuse crate::testkit::link;\nuse crate::shard;";
    check(layers, "src/wire/frame_tests.rs", apart, &[3]);
    check(layers, "src/wire/frame/tests.rs", apart, &[3]);
}

#[test]
fn finds_what_left_its_folder() {
    let shard = "src/shard/mod.rs";
    check(
        confinement,
        shard,
        "use mio::Token;\nuse ::mio::Poll;\nuse {log, mio as events};",
        &[1, 2, 3],
    );
    check(
        confinement,
        "src/runtime/reactor/turn.rs",
        "use mio::Token;",
        &[],
    );
    check(
        confinement,
        shard,
        "use std::{net::{IpAddr, TcpStream}, thread};",
        &[1, 1],
    );
    check(
        confinement,
        shard,
        "use std::net::SocketAddr;\nlet ring = stream.ring();",
        &[],
    );
    check(confinement, shard, "let a = libc::getpid();", &[1]);
    check(
        confinement,
        "src/cli/mod.rs",
        "use crate::config::toml::Raw;",
        &[],
    );
    check(
        confinement,
        "src/runtime/mod.rs",
        "use simplelog::Config;",
        &[1],
    );
    check(
        confinement,
        "src/testkit/oracle.rs",
        "use tungstenite::protocol;",
        &[],
    );
}

#[test]
fn finds_unsafe_and_clocks() {
    check(
        unsafe_code,
        "src/shard/mod.rs",
        "unsafe fn f() {}\nlet unsafe_ = 1;",
        &[1],
    );
    check(unsafe_code, "src/os/socket.rs", "unsafe { f() }", &[]);
    let text = "let a = time::Instant::now();\nlet b = a.elapsed();\nSystemTime::now();\n\
                let s = r#\"Instant::now()\"#;\n#[cfg(test)]\nmod tests {\n    Instant::now();\n}";
    check(clocks, "src/runtime/mod.rs", text, &[1, 3, 2]);
    check(clocks, "src/base/clock.rs", text, &[]);
    check(
        clocks,
        "src/shard/a.rs",
        "#[cfg(test)]\nfn f() {}\nfn g() { Instant::now(); }",
        &[3],
    );
}

#[test]
fn finds_files_without_purpose_or_end() {
    check(shape, "src/bus/job.rs", "//! Jobs.\n", &[]);
    check(shape, "src/bus/job.rs", "// Jobs.\n", &[1]);
    let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
    check(shape, "src/bus/job.rs", &long, &[LINES_MAX + 1]);
    check(shape, "tests/sockets.rs", &long, &[]);
}

#[test]
fn finds_what_is_unfinished() {
    let text = format!("todo!()\nunimplemented!(\"x\")\ndbg!(1)\n// {FIX_ME}\n// todo!");
    check(unfinished, "src/bus/job.rs", &text, &[1, 2, 3, 4]);
}

#[test]
fn finds_banned_packages_and_undocumented_things() {
    let lock = "[[package]]\nname = \"tokio\"\n[[package]]\nname = \"tokio-like\"\n";
    assert_eq!(lock_file("Cargo.lock", lock).len(), 1);
    let manifest = "[dependencies]\nlog = \"1\"\nmio = \"1\"\n[dev-dependencies]\ntempfile = \"3\"";
    let readme = "| `mio` | events |\n`log` in passing\n| `tempfile` | tests |";
    assert_eq!(
        dependencies_listed(manifest, readme),
        ["README.md:1: no table row has `log`"]
    );
    let close = "pub const NORMAL: u16 = 1000;\n    pub const SLOW: u16 = 4000;";
    assert_eq!(close_codes_listed(close, "| 1000 | and 40001 |").len(), 1);
    assert_eq!(close_codes_listed("", "").len(), 1);
    let missing = metrics_listed("").len();
    assert!(missing > COUNTERS.len() + HISTOGRAMS.len());
    let listed = metrics_listed("| `kinglet_made_up_total` | Nothing. |");
    assert_eq!(listed.len(), missing + 1);
}
