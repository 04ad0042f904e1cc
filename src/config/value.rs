//! Single values: sizes, durations, addresses, origins, hosts, and lists of them.
//!
//! Invariant: an error is what stands after the key in a fault: what was written, what is wrong
//! with it and what would be right.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use crate::base::network::Network;

/// The longest duration: a year, so that sums of them stay far from overflow.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const SIZE_UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Milliseconds of each unit; `ms` stands before `m` and `s`, which it contains.
const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// `value` as it is quoted in a fault: one line, shortened.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(on) => on.to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    if text.chars().count() <= 60 {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(57).collect();
    format!("{:?}", start + "...")
}

/// A boolean.
pub(super) fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("{} is not true or false", shown(value)))
}

/// A whole number from `min` to `max`.
pub(super) fn count(value: &Value, min: usize, max: usize) -> Result<usize, String> {
    let Some(number) = value.as_integer() else {
        return Err(format!(
            "{} is not a whole number from {min} to {max}",
            shown(value)
        ));
    };
    usize::try_from(number)
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("{number} is not from {min} to {max}"))
}

/// Bytes, from `min` to `max`.
pub(super) fn size(value: &Value, min: usize, max: usize) -> Result<usize, String> {
    let bytes = match value {
        Value::Integer(number) => usize::try_from(*number).ok(),
        Value::String(text) => {
            let (number, unit) = with_unit(text, &SIZE_UNITS).ok_or_else(|| {
                let text = quoted(text);
                format!("{text} is not a size; write bytes or a string such as \"16KiB\"")
            })?;
            number
                .and_then(|number| number.checked_mul(unit))
                .and_then(|bytes| usize::try_from(bytes).ok())
        }
        _ => {
            let value = shown(value);
            return Err(format!(
                "{value} is not a size; write bytes or a string such as \"16KiB\""
            ));
        }
    };
    bytes
        .filter(|bytes| (min..=max).contains(bytes))
        .ok_or_else(|| {
            let (min, max) = (show_size(min), show_size(max));
            format!("{} is not from {min} to {max}", shown(value))
        })
}

/// `bytes` in the largest unit that divides them.
pub(super) fn show_size(bytes: usize) -> String {
    SIZE_UNITS
        .iter()
        .rev()
        .map(|(name, unit)| (name, usize::try_from(*unit).unwrap_or(usize::MAX)))
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes} B"),
            |(name, unit)| format!("{} {name}", bytes / unit),
        )
}

/// A duration up to a year; zero needs no unit.
pub(super) fn duration(value: &Value) -> Result<Duration, String> {
    let text = match value {
        Value::Integer(0) => return Ok(Duration::ZERO),
        Value::Integer(number) => {
            let number = number.unsigned_abs();
            return Err(format!(
                "{} has no unit; write \"{number}s\" or \"{number}ms\"",
                shown(value)
            ));
        }
        Value::String(text) if text == "0" => return Ok(Duration::ZERO),
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(format!(
                "{} has no unit; write \"{text}s\" or \"{text}ms\"",
                quoted(text)
            ));
        }
        Value::String(text) => text,
        _ => "",
    };
    let (number, unit) = with_unit(text, &TIME_UNITS).ok_or_else(|| {
        let value = shown(value);
        format!("{value} is not a duration; write a whole number with ms, s, m, h or d: \"90s\"")
    })?;
    number
        .and_then(|number| number.checked_mul(unit))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| format!("{} is longer than 365d", quoted(text)))
}

/// A duration in the largest unit that it is a whole number of.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let units = TIME_UNITS.iter().filter(|(_, unit)| millis % unit == 0);
    let largest = units.max_by_key(|(_, unit)| *unit);
    largest.map_or_else(String::new, |(name, unit)| {
        format!("{}{name}", millis / unit)
    })
}

/// Whether a number, size or duration is 0, with or without a unit.
pub(super) fn is_zero(value: &Value) -> bool {
    let zero = |units| value.as_str().and_then(|text| with_unit(text, units)?.0) == Some(0);
    value.as_integer() == Some(0)
        || value.as_str() == Some("0")
        || zero(&SIZE_UNITS[..])
        || zero(&TIME_UNITS[..])
}

/// Splits `text` into digits and one of `units`. The number is `None` when it is too large.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<(Option<u64>, u64)> {
    let (digits, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok(), unit))
}

/// A path that is not empty.
pub(super) fn path(value: &Value) -> Result<PathBuf, String> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(PathBuf::from(text)),
        _ => Err(format!("{} is not the path of a file", shown(value))),
    }
}

/// A list, or a single string for a list of one; each item through `parse`, all problems at once.
pub(super) fn list<T>(
    value: &Value,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<String>> {
    let single = std::slice::from_ref(value);
    let items = value.as_array().map_or(single, Vec::as_slice);
    let (mut parsed, mut problems) = (Vec::new(), Vec::new());
    for item in items {
        let result = match item.as_str() {
            Some(text) => parse(text),
            None => Err(format!("{} is not a string", shown(item))),
        };
        match result {
            Ok(item) => parsed.push(item),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(parsed)
    } else {
        Err(problems)
    }
}

/// Addresses to listen on: at least one, none twice.
pub(super) fn listen(value: &Value) -> Result<Vec<SocketAddr>, Vec<String>> {
    let addresses = list(value, address)?;
    if addresses.is_empty() {
        return Err(vec![
            "the list is empty; write an address such as \"127.0.0.1:8080\"".to_owned(),
        ]);
    }
    for (index, address) in addresses.iter().enumerate() {
        if address.port() != 0 && addresses.iter().take(index).any(|other| other == address) {
            return Err(vec![format!("{address} is there twice")]);
        }
    }
    Ok(addresses)
}

/// `address:port`, an IPv6 address in brackets. `localhost` is 127.0.0.1; other names are refused,
/// because what they resolve to is not known before the server runs.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let split = text.rsplit_once(':');
    let split = split.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match split {
        Some(("localhost", port)) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Some((host, port)) if is_host_name(host) => Err(format!(
            "{} is a host name; write the address to listen on, such as \"127.0.0.1:{port}\"",
            quoted(text)
        )),
        _ => Err(format!(
            "{} is not an address with a port; write \"127.0.0.1:8080\" or \"[::1]:8080\"",
            quoted(text)
        )),
    }
}

fn is_host_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let only_numbers = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    !text.is_empty() && !only_numbers && text.bytes().all(allowed)
}

/// A host without port: a name, an IPv4 address, or an IPv6 address in brackets; in lower case.
pub(super) fn host(text: &str) -> Result<String, String> {
    if is_host(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "{} is not a host; write a name or address without scheme and port: \"example.org\"",
        quoted(text)
    ))
}

fn is_host(text: &str) -> bool {
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(text) || text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// An address or a block of addresses.
pub(super) fn network(text: &str) -> Result<String, String> {
    match Network::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "{} is not an address or a block of them, such as 10.0.0.0/8 or ::1",
            quoted(text)
        )),
    }
}

/// An origin, `scheme://host[:port]`, or `*` for all of them; spelt as browsers do: lower case,
/// without the scheme's port
/// (RFC 6454 section 6.2).
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let wrong = || {
        format!(
            "{} is not an origin; write scheme://host or scheme://host:port without a path: \
             \"https://example.org\"",
            quoted(text)
        )
    };
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").ok_or_else(wrong)?;
    let scheme_byte = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(scheme_byte) {
        return Err(wrong());
    }
    if is_host(rest) {
        return Ok(lower);
    }
    let (name, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|_| digits);
    match (number, scheme) {
        _ if !is_host(name) => Err(wrong()),
        (None, _) => Err(wrong()),
        (Some(80), "http") | (Some(443), "https") => Ok(format!("{scheme}://{name}")),
        (Some(number), _) => Ok(format!("{scheme}://{name}:{number}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        fn check(text: &str, millis: Option<u64>) {
            let parsed = duration(&Value::String(text.to_owned())).ok();
            assert_eq!(parsed, millis.map(Duration::from_millis), "{text}");
        }
        check("0", Some(0));
        check("0s", Some(0));
        check("250ms", Some(250));
        check("90s", Some(90_000));
        check("5m", Some(300_000));
        check("2h", Some(7_200_000));
        check("365d", Some(31_536_000_000));
        for bad in [
            "",
            "s",
            "5",
            "1.5s",
            "-1s",
            "+1s",
            " 1s",
            "1 s",
            "1S",
            "1h30m",
            "1w",
            "366d",
            "99999999999999999999s",
            "18446744073709551615d",
            "5x",
            "٣s",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes_are_bytes_or_strings_with_a_unit() {
        fn check(value: impl Into<Value>, bytes: Option<usize>) {
            let value = value.into();
            assert_eq!(size(&value, 1, 1 << 30).ok(), bytes, "{value:?}");
        }
        check(1, Some(1));
        check(1500, Some(1500));
        check("16KiB", Some(16 * 1024));
        check("3MiB", Some(3 << 20));
        check("1GiB", Some(1 << 30));
        for bad in [
            "",
            "KiB",
            "16",
            "16KB",
            "16kib",
            "16 KiB",
            "1.5MiB",
            "-1KiB",
            "0KiB",
            "2GiB",
            "99999999999999999999KiB",
            "18446744073709551615GiB",
        ] {
            check(bad, None);
        }
        check(0, None);
        check(-1, None);
        check(i64::MAX, None);
        check(1.5, None);
        check(true, None);
    }

    #[test]
    fn zero_is_zero_in_every_unit() {
        for zero in ["0", "0s", "00ms", "0d", "0KiB"] {
            assert!(is_zero(&zero.into()), "{zero}");
        }
        assert!(is_zero(&0.into()));
        for other in ["", "s", "1", "10s", "0x", "-0s", "0 s", "zero"] {
            assert!(!is_zero(&other.into()), "{other}");
        }
        assert!(!is_zero(&false.into()) && !is_zero(&1.into()));
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_divides_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1000, "1000 B"),
            (1024, "1 KiB"),
            (1536 * 1024, "1536 KiB"),
            (1 << 20, "1 MiB"),
            (1 << 30, "1 GiB"),
        ] {
            assert_eq!(show_size(bytes), text);
        }
    }

    #[test]
    fn addresses_are_numeric_with_a_port() {
        for (text, address_text) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost:80", "127.0.0.1:80"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), address_text);
        }
        for bad in [
            "",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "::1:8080",
            "::1",
            "[::1]",
            "localhost",
            "example.org:80",
            "http://127.0.0.1:80",
            "1.2.3:80",
            "8080",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_spelt_as_browsers_do() {
        for (text, spelt) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("HTTPS://Example.ORG", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://example.org:80", "http://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("http://10.0.0.1:1", "http://10.0.0.1:1"),
            ("chrome-extension://abc", "chrome-extension://abc"),
            ("*", "*"),
        ] {
            assert_eq!(origin(text).unwrap(), spelt);
        }
        for bad in [
            "",
            "**",
            "null",
            "example.org",
            "http://",
            "http://a/",
            "http://a:b",
            "http://a:",
            "http://a:+1",
            "http://a:65536",
            "http://u@a",
            "://a",
            "1x://a",
            "http://a b",
            "http://*.a",
            "http://:80",
            "http://::1",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_have_no_port() {
        for good in ["example.org", "my_pi", "10.0.0.1", "[::1]", "Example.org"] {
            assert_eq!(host(good).unwrap(), good.to_ascii_lowercase());
        }
        for bad in ["", "a:80", "http://a", "::1", "[a]", "a/b", "*", "1.2.3"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        let long = shown(&Value::String(format!("a\nb{}", "x".repeat(500))));
        assert!(long.len() < 80 && !long.contains('\n'), "{long}");
    }
}
