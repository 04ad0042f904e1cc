//! The rules of `architecture.rs`: each takes text and returns its faults as `file:line: rule`.
//!
//! May not touch the file system, so that each rule can be shown a sample that breaks it.

use kinglet::metrics::gauges::GAUGES;
use kinglet::metrics::histograms::HISTOGRAMS;
use kinglet::metrics::table::COUNTERS;

use serde_json::Value;

use crate::source::{Source, UsedPath};

/// Layers, lowest first. A layer uses itself and those before it; the last two are both on top and
/// do not use each other.
const LAYERS: [&str; 18] = [
    "base",
    "os",
    "config",
    "metrics",
    "wire",
    "domain",
    "protocol",
    "dialect",
    "bus",
    "executor",
    "store",
    "host",
    "backplane",
    "app",
    "shard",
    "runtime",
    "testkit",
    "cli",
];

/// A path that may be used in some places only. `path` matches the front of a used path; its last
/// segment may end in `*`.
struct Confined {
    path: &'static str,
    to: &'static [&'static str],
}

const fn confined(path: &'static str, to: &'static [&'static str]) -> Confined {
    Confined { path, to }
}

const CONFINED: &[Confined] = &[
    confined("libc", &["src/os/"]),
    confined("rusqlite", &["src/store/"]),
    confined("crc32fast", &["src/store/"]),
    confined("redis", &["src/backplane/link.rs"]),
    confined("sysinfo", &["src/host/"]),
    confined("schemars", &["src/domain/catalogue/"]),
    confined("serde_path_to_error", &["src/domain/catalogue/"]),
    // The load generator holds as many connections as the server, and so needs the same means.
    confined("mio", &["src/runtime/", "src/cli/bench/"]),
    confined("socket2", &["src/cli/bench/"]),
    confined("hdrhistogram", &["src/cli/bench/"]),
    confined(
        "flate2",
        &[
            "src/wire/http/content_coding.rs",
            "src/wire/websocket/",
            "src/testkit/",
        ],
    ),
    confined("httparse", &["src/wire/http/"]),
    confined("ipnet", &["src/base/"]),
    confined("tungstenite", &["src/wire/websocket/", "src/testkit/"]),
    confined("simplelog", &["src/runtime/logging.rs"]),
    confined(
        "ring",
        &[
            "src/base/rng.rs",
            "src/wire/websocket/",
            "src/domain/",
            "src/protocol/tls/",
        ],
    ),
    confined("jsonwebtoken", &["src/domain/token/"]),
    confined("rand_chacha", &["src/base/rng.rs"]),
    confined(
        "rustls",
        &["src/cli/tls.rs", "src/protocol/tls/", "src/testkit/"],
    ),
    confined("rcgen", &["src/protocol/tls/", "src/testkit/"]),
    confined("rustls_native_certs", &["src/cli/tls.rs"]),
    confined("toml", &["src/config/", "src/testkit/"]),
    confined("clap", &["src/cli/"]),
    confined("crossbeam_channel", &["src/runtime/", "src/bus/"]),
    confined("std::thread", SHELL),
    confined("std::net::Tcp*", SHELL),
    confined("std::net::Udp*", SHELL),
    confined("std::os::unix::net", SHELL),
];

/// Where threads and sockets live.
const SHELL: &[&str] = &["src/runtime/", "src/cli/", "src/testkit/"];

/// Where a clock may be read.
const CLOCKS: [&str; 3] = ["src/base/clock.rs", "src/cli/", "src/testkit/"];

/// Lines a source file may have.
pub const LINES_MAX: usize = 500;

/// Files that may be longer, each with the reason why it is not split.
pub const LONGER: &[(&str, &str)] = &[];

/// Packages that must not be in a lock file: async runtimes, and cryptography other than ring's.
const BANNED_PACKAGES: [&str; 11] = [
    "tokio",
    "async-std",
    "smol",
    "glommio",
    "monoio",
    "futures-executor",
    "openssl",
    "openssl-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "rsa",
];

/// A layer uses only itself and lower layers, and every folder is a layer.
pub fn layers(source: &Source) -> Vec<String> {
    let Some((own, _)) = source.module.split_first() else {
        return Vec::new();
    };
    let Some(rank) = LAYERS.iter().position(|layer| layer == own) else {
        return vec![format!("{}:1: `{own}` is no known layer", source.path)];
    };
    let mut faults = Vec::new();
    for used in source.paths() {
        let Some(layer) = source.layer_of(&used) else {
            continue;
        };
        // Tests of any layer may lean on the testkit.
        if used.in_test && layer == "testkit" {
            continue;
        }
        let known = LAYERS.iter().position(|known| *known == layer);
        let beside = own == "cli" && layer == "testkit";
        if known.is_some_and(|other| other > rank) || beside {
            faults.push(fault(
                source,
                &used,
                &format!("layer `{own}` uses `{layer}`"),
            ));
        }
    }
    faults
}

/// Dependencies, threads and sockets stay in the folders they are confined to.
pub fn confinement(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for used in source.paths() {
        for rule in CONFINED {
            let free = rule.to.iter().any(|place| source.path.starts_with(place));
            // Tests may use threads and sockets; dependencies stay confined in them, too.
            let tried = used.in_test && rule.path.starts_with("std::");
            if !free && !tried && used.starts_with(rule.path) {
                let places = rule.to.join(", ");
                let rule = format!("`{}` is confined to {places}", rule.path);
                faults.push(fault(source, &used, &rule));
            }
        }
    }
    faults
}

/// `unsafe` stands in `src/os/` only.
pub fn unsafe_code(source: &Source) -> Vec<String> {
    let lines = source.lines_with(&["unsafe"]);
    let outside = !source.path.starts_with("src/os/");
    lines
        .filter(|_| outside)
        .map(|(line, _)| format!("{}:{line}: `unsafe` is confined to src/os/", source.path))
        .collect()
}

/// A clock is read in `src/base/clock.rs` only; tests may time themselves.
pub fn clocks(source: &Source) -> Vec<String> {
    if CLOCKS.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let readings: [&[&str]; 3] = [
        &["Instant", "::", "now"],
        &["SystemTime", "::", "now"],
        &[".", "elapsed", "("],
    ];
    readings
        .iter()
        .flat_map(|reading| source.lines_with(reading))
        .filter(|(_, in_test)| !in_test)
        .map(|(line, _)| {
            format!(
                "{}:{line}: only src/base/clock.rs reads a clock; take `now`",
                source.path
            )
        })
        .collect()
}

/// A file opens with `//!` and stays within [`LINES_MAX`].
pub fn shape(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.text.starts_with("//!") {
        faults.push(format!("{}:1: a file opens with `//!`", source.path));
    }
    let lines = source.text.lines().count();
    let longer = LONGER.iter().any(|(path, _)| *path == source.path);
    if lines > LINES_MAX && !longer && source.path.starts_with("src/") {
        faults.push(format!("{}:{lines}: over {LINES_MAX} lines", source.path));
    }
    faults
}

/// Nothing unfinished stands in the tree.
pub fn unfinished(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for name in ["todo", "unimplemented", "dbg"] {
        for (line, _) in source.lines_with(&[name, "!"]) {
            faults.push(format!(
                "{}:{line}: `{name}!` stands in the code",
                source.path
            ));
        }
    }
    for (index, line) in source.text.lines().enumerate() {
        if line.contains(FIX_ME) {
            let line = index + 1;
            faults.push(format!(
                "{}:{line}: {FIX_ME} stands in the code",
                source.path
            ));
        }
    }
    faults
}

/// Put together, so that this file passes its own rule.
pub const FIX_ME: &str = concat!("FIX", "ME");

/// No banned package is in the lock file `text`.
pub fn lock_file(path: &str, text: &str) -> Vec<String> {
    let named = |line: &str| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        BANNED_PACKAGES.into_iter().find(|banned| *banned == name)
    };
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, named(line)?)))
        .map(|(line, name)| format!("{path}:{line}: the package `{name}` is banned"))
        .collect()
}

/// Every direct dependency of `manifest` has a table row in `readme`.
pub fn dependencies_listed(manifest: &str, readme: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let names = tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys())
        .filter(|name| *name != "kinglet");
    unlisted(names.map(|name| format!("`{name}`")), "README.md", readme)
}

/// Every close code of `close` stands in `protocol`.
pub fn close_codes_listed(close: &str, protocol: &str) -> Vec<String> {
    let codes: Vec<&str> = close
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub const "))
        .filter_map(|line| line.split_once(": u16 = ")?.1.strip_suffix(';'))
        .collect();
    if codes.is_empty() {
        return vec!["src/wire/websocket/close.rs:1: no close codes were found".to_owned()];
    }
    let missing = |code: &&str| {
        let mut words = protocol.split(|letter: char| !letter.is_ascii_alphanumeric());
        !words.any(|word| word == *code)
    };
    codes
        .into_iter()
        .filter(missing)
        .map(|code| format!("docs/protocol.md:1: close code {code} is missing"))
        .collect()
}

/// Everything that is measured has its row in `metrics`, which has nothing that is not measured.
pub fn metrics_listed(metrics: &str) -> Vec<String> {
    let counters = COUNTERS.iter().map(|row| (row.1, row.2));
    let gauges = GAUGES.iter().map(|row| (row.1, row.3));
    let histograms = HISTOGRAMS.iter().map(|row| (row.name, row.meaning));
    let mut all: Vec<_> = counters.chain(gauges).chain(histograms).collect();
    all.dedup();
    let rows = all
        .iter()
        .map(|(name, meaning)| format!("| `{name}` | {meaning} |"));
    let mut faults: Vec<String> = rows
        .filter(|row| !metrics.lines().any(|line| line == row))
        .map(|row| format!("docs/metrics.md:1: this row is missing: {row}"))
        .collect();
    for (index, line) in metrics.lines().enumerate() {
        let cells = line.strip_prefix("| `").and_then(|row| row.split_once('`'));
        if let Some((name, _)) = cells
            && !all.iter().any(|(known, _)| *known == name)
        {
            faults.push(format!(
                "docs/metrics.md:{}: nothing is called {name}",
                index + 1
            ));
        }
    }
    faults
}

/// All that a dashboard of Grafana asks for exists; one that asks for nothing is a fault, too.
pub fn dashboard(text: &str) -> Vec<String> {
    let Ok(dashboard) = serde_json::from_str::<Value>(text) else {
        return vec!["the dashboard is no JSON".to_owned()];
    };
    let mut asked = Vec::new();
    queries(&dashboard, &mut asked);
    let of_histogram = |name: &str| {
        let suffixes = ["_bucket", "_sum", "_count"];
        let mut base = suffixes.iter().filter_map(|end| name.strip_suffix(end));
        base.any(|base| HISTOGRAMS.iter().any(|row| row.name == base))
    };
    let is_known = |name: &str| {
        COUNTERS.iter().any(|row| row.1 == name)
            || GAUGES.iter().any(|row| row.1 == name)
            || of_histogram(name)
    };
    let words = asked.iter().flat_map(|query| {
        query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
    });
    let names = words.filter(|word| word.starts_with("kinglet_") || word.starts_with("process_"));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return vec!["the dashboard asks for nothing".to_owned()];
    }
    let unknown = names.into_iter().filter(|name| !is_known(name));
    unknown
        .map(|name| format!("the dashboard asks for {name}, which nothing measures"))
        .collect()
}

/// The queries of all panels and variables.
fn queries<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "expr" || name == "query" => found.push(text),
                    _ => queries(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

/// Every counter is counted somewhere, every histogram observed and every gauge set: one that never
/// moves says that nothing happened.
pub fn counters_counted(texts: &[&str]) -> Vec<String> {
    let counters = COUNTERS.iter().map(|row| format!("Counter::{:?}", row.0));
    let histograms = HISTOGRAMS.iter();
    let histograms = histograms.map(|row| format!("Histogram::{:?}", row.histogram));
    let gauges = GAUGES.iter().map(|row| format!("Gauge::{:?}", row.0));
    counters
        .chain(histograms)
        .chain(gauges)
        .filter(|counter| {
            let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
            !texts
                .iter()
                .any(|text| text.split(counter.as_str()).skip(1).any(is_whole))
        })
        .map(|counter| format!("src/metrics/mod.rs:1: nothing counts {counter}"))
        .collect()
}

/// Every one of `entries` has a table row in `document`.
fn unlisted(entries: impl Iterator<Item = String>, path: &str, document: &str) -> Vec<String> {
    let listed = |entry: &String| {
        let mut lines = document.lines();
        lines.any(|line| line.starts_with('|') && line.contains(entry.as_str()))
    };
    entries
        .filter(|entry| !listed(entry))
        .map(|entry| format!("{path}:1: no table row has {entry}"))
        .collect()
}

fn fault(source: &Source, used: &UsedPath, rule: &str) -> String {
    let path = used.segments.join("::");
    format!("{}:{}: {rule} (`{path}`)", source.path, used.line)
}
