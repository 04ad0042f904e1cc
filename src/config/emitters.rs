//! `[emitters]`: where back ends emit, and in which channels.
//!
//! Invariant: a URL that passes here is one that the client of Redis takes, and no fault shows it,
//! because a password may be in it.

use toml::Value;

use super::auth::Secret;
use super::fault::Faults;
use super::raw::Raw;

const URL: &str = "emitters.redis_url";
const CHANNELS: &str = "emitters.channels";

/// The longest name of a channel in bytes.
const CHANNEL_BYTES: usize = 255;

/// Where back ends emit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitters {
    /// The URL of the Redis that is listened to; `None` for none.
    pub redis_url: Option<Secret>,
    /// The channels, 1 to 255 bytes each: themselves, and all that begin with them and `#`.
    pub channels: Vec<String>,
}

impl Default for Emitters {
    fn default() -> Self {
        Self {
            redis_url: None,
            channels: vec!["socketio".to_owned(), "socket.io".to_owned()],
        }
    }
}

impl Emitters {
    /// The URL as text.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        let url = self.redis_url.as_ref()?;
        std::str::from_utf8(url.expose()).ok()
    }
}

/// Reads the name of a channel.
pub(super) fn channel(text: &str) -> Result<String, String> {
    let is_good = (1..=CHANNEL_BYTES).contains(&text.len()) && !text.contains(char::is_control);
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no channel; it has 1 to {CHANNEL_BYTES} bytes and no control characters"
        )),
    }
}

/// Judges what cannot be judged key by key.
pub(super) fn require(emitters: &Emitters, raw: &Raw, faults: &mut Faults) {
    let origin = |key: &str| raw.values.get(key).map_or("", |written| &written.origin);
    if let Some(problem) = emitters.url().and_then(problem_of) {
        faults.add(URL, origin(URL), problem);
    }
    let is_empty = |written: &Value| written.as_array().is_some_and(Vec::is_empty);
    if raw
        .values
        .get(CHANNELS)
        .is_some_and(|written| is_empty(&written.value))
    {
        let problem = "names no channel; without emitters.redis_url nothing is listened to";
        faults.add(CHANNELS, origin(CHANNELS), problem);
    }
}

/// What is wrong with a URL of a Redis.
fn problem_of(url: &str) -> Option<&'static str> {
    const FORM: &str = "must have the form redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// \
                        for TLS; all but the host may be left out";
    let rest = url
        .strip_prefix("redis://")
        .or_else(|| url.strip_prefix("rediss://"));
    let Some(rest) = rest else { return Some(FORM) };
    if rest.contains(['?', '#', ' ']) || rest.contains(char::is_control) {
        return Some("has a `?`, a `#` or a space in it; percent-encode those of a password");
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.parse::<u32>().is_err() && !database.is_empty() {
        return Some("must name the database by its number; percent-encode a `/` in a password");
    }
    let (_, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match address.split_once("]") {
        Some((host, port)) if host.starts_with('[') => (host, port.strip_prefix(':')),
        Some(_) => return Some(FORM),
        None => address
            .split_once(':')
            .map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_address = !host.is_empty() && !matches!(host, "0.0.0.0" | "[::");
    (!is_port || !is_address).then_some(FORM)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use crate::config::{Config, Flags, Sources, load, no_files};

    fn loaded(lines: &str) -> Result<Config, String> {
        let text = format!("[emitters]\n{lines}\n");
        let sources = Sources {
            file: Some(("kinglet.toml", &text)),
            environment: &[],
            flags: &Flags::default(),
            files: no_files,
        };
        load(&sources)
            .map(|(config, _)| config)
            .map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_url_names_a_redis() {
        let check = |url: &str, problem: Option<&str>| {
            let found = loaded(&format!("redis_url = {url:?}"));
            match (found, problem) {
                (Ok(config), None) => assert_eq!(config.emitters.url(), Some(url)),
                (Err(fault), Some(problem)) => {
                    assert!(
                        fault.starts_with("emitters.redis_url (kinglet.toml): "),
                        "{fault}"
                    );
                    assert!(fault.contains(problem), "{url}: {fault}");
                    assert!(!fault.contains("geheim"), "{fault}");
                }
                (found, _) => panic!("{url}: {:?}", found.err()),
            }
        };
        for url in [
            "redis://localhost",
            "redis://localhost/",
            "redis://127.0.0.1:6379/0",
            "rediss://user:geheim@redis.example:6380/15",
            "redis://:geheim@[::1]:6379",
            "redis://[::1]",
        ] {
            check(url, None);
        }
        let form = Some("must have the form redis://");
        check("http://localhost", form);
        check("localhost:6379", form);
        check("unix:///run/redis.sock", form);
        check("redis://", form);
        check("redis://:geheim@", form);
        check("redis://a:b:c", form);
        check("redis://a:0", form);
        check("redis://a:70000", form);
        check("redis://0.0.0.0", form);
        check("redis://a/x", Some("by its number"));
        check("redis://u:geh/eim@a", Some("by its number"));
        check("redis://u:geheim#@a", Some("percent-encode"));
        check("redis://a?protocol=3", Some("percent-encode"));
    }

    #[test]
    fn channels_have_names() {
        assert_eq!(
            loaded("").unwrap().emitters.channels,
            ["socketio", "socket.io"]
        );
        assert_eq!(loaded("channels = \"x\"").unwrap().emitters.channels, ["x"]);
        let check = |lines: &str, problem: &str| {
            let fault = loaded(lines).unwrap_err();
            assert!(fault.contains(problem), "{fault}");
        };
        check("channels = []", "names no channel");
        check("channels = [\"\"]", "is no channel");
        check("channels = [\"a\\nb\"]", "is no channel");
    }
}
