//! The oracle of the configuration: any file, any variables.

use toml::{Table, Value};

use crate::config::{Config, Flags, Sources, load, no_files};

/// The file's name in messages.
const FILE: &str = "fuzz.toml";

/// What the origins of a fault may be called beside the file and the variables.
const BOTH: &str = "HOST and PORT";

/// For every text and environment: they load, within the bounds that are documented, or there are
/// faults, each one line that names a key and where it was written, or a line of the file. They
/// load again to the same; and what loads from a file loads from variables to the same.
///
/// `input` is the file's text and, each behind a zero, variables as `NAME=text`.
///
/// # Panics
/// If that does not hold.
pub fn config(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let mut parts = input.split('\0');
    let text = parts.next().unwrap_or_default();
    let environment: Vec<(String, String)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    let loaded = read(text, &environment);
    assert_eq!(loaded, read(text, &environment), "again");
    match loaded {
        Ok(config) => {
            assert_bounded(&config);
            if environment.is_empty()
                && let Some(variables) = as_variables(text)
            {
                assert_eq!(read("", &variables), Ok(config), "{variables:?}");
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "faults say what is wrong");
            for fault in faults {
                assert_helpful(&fault, text, &environment);
            }
        }
    }
}

/// The configuration, or its faults line by line.
fn read(text: &str, environment: &[(String, String)]) -> Result<Config, Vec<String>> {
    let sources = Sources {
        file: Some((FILE, text)),
        environment,
        flags: &Flags::default(),
        files: no_files,
    };
    let loaded = load(&sources).map(|(config, _)| config);
    loaded.map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

fn assert_bounded(config: &Config) {
    let (server, limits) = (&config.server, &config.limits);
    assert!(!server.listen.is_empty());
    let is_local = |address: &std::net::SocketAddr| address.ip().to_canonical().is_loopback();
    assert!(server.listen.iter().all(is_local), "open mode is local");
    assert!((1..=64).contains(&server.workers));
    assert!((1 << 10..=1 << 20).contains(&limits.head_bytes));
    assert!((1..=1000).contains(&limits.headers));
    assert!((1 << 10..=16 << 20).contains(&limits.message_bytes));
    assert!(limits.outbox_messages > 0 && limits.outbox_bytes > 0);
    let times = [
        server.shutdown_timeout,
        limits.handshake_timeout,
        limits.write_timeout,
        config.heartbeat.ping_interval,
        config.heartbeat.pong_timeout,
    ];
    assert!(times.iter().all(|time| !time.is_zero()));
    let lifted = [
        limits.connections,
        limits.fragments,
        limits.rooms,
        limits.rooms_per_session,
        limits.messages_per_second,
        limits.api_requests_per_second,
        limits.user_requests_per_second,
        limits.runs,
    ];
    assert!(
        lifted.iter().all(|limit| *limit != Some(0)),
        "0 is no limit"
    );
    assert_ne!(config.log.level, log::LevelFilter::Off);
}

/// Expects one line of the form `place: problem`.
fn assert_helpful(fault: &str, text: &str, environment: &[(String, String)]) {
    assert!(!fault.chars().any(char::is_control), "one line: {fault:?}");
    let line = fault.strip_prefix(&format!("{FILE}:"));
    if let Some((line, problem)) = line.and_then(|rest| rest.split_once(": ")) {
        let line: usize = line.parse().expect("a line's number");
        assert!((1..=text.lines().count() + 1).contains(&line), "{fault}");
        assert!(!problem.is_empty(), "{fault}");
        return;
    }
    let names = environment.iter().map(|(name, _)| name.as_str());
    let mut origins = names.chain([FILE, BOTH]);
    let escaped = |name: &str| {
        name.chars()
            .map(|letter| match letter {
                letter if letter.is_control() => letter.escape_debug().to_string(),
                letter => letter.to_string(),
            })
            .collect::<String>()
    };
    let place = |origin: &str| format!(" ({}): ", escaped(origin));
    assert!(
        origins.any(|origin| {
            let split = fault.split_once(&place(origin));
            // The key is empty if it was written so.
            split.is_some_and(|(_, problem)| !problem.is_empty())
        }),
        "{fault}"
    );
}

/// The keys of `text`, which loads, as variables; `None` if it has what variables cannot say: a
/// namespace without keys or with capital letters.
fn as_variables(text: &str) -> Option<Vec<(String, String)>> {
    let file: Table = text.parse().ok()?;
    let mut variables = Vec::new();
    for (section, content) in file {
        for (key, value) in content.as_table()? {
            let name = format!("KINGLET_{section}__{key}");
            let Some(namespace) = value.as_table() else {
                variables.push((name.to_ascii_uppercase(), spell(value)?));
                continue;
            };
            if namespace.is_empty() || key.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return None;
            }
            for (key, value) in namespace {
                let name = format!("{name}__{key}");
                variables.push((name.to_ascii_uppercase(), spell(value)?));
            }
        }
    }
    Some(variables)
}

fn spell(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Some(serde_json::Value::from(items?).to_string())
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}
