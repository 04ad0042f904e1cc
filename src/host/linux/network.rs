//! Network interfaces: /proc/net/dev (proc_pid_net(5)) and /sys/class/net
//! (Documentation/ABI/testing/sysfs-class-net).

use std::collections::HashMap;
use std::time::Duration;

use crate::base::clock::Mono;
use crate::host::addresses::Addresses;
use crate::host::linux::files::{Files, word};
use crate::host::rates::Meters;
use crate::host::sample::{Interface, Link, Medium};

/// Interfaces that are told of; a machine with more has them for its containers.
const INTERFACES: usize = 64;

/// How long what seldom changes is believed: a new address shows after that at the latest.
const KNOWN_AGE: Duration = Duration::from_secs(30);

/// What is known of the interfaces.
#[derive(Debug)]
pub(super) struct Network {
    addresses: fn() -> HashMap<String, Addresses>,
    links: HashMap<String, Link>,
    default: Option<String>,
    known: Option<Mono>,
    meters: Meters,
}

impl Network {
    /// Nothing is known yet; `addresses` reads those of all interfaces.
    pub(super) fn new(addresses: fn() -> HashMap<String, Addresses>) -> Self {
        Self {
            addresses,
            links: HashMap::new(),
            default: None,
            known: None,
            meters: Meters::default(),
        }
    }

    /// Reads the interfaces, in the kernel's order.
    pub(super) fn read(&mut self, files: &mut Files, now: Mono) -> Vec<Interface> {
        let Some(text) = files.text("proc/net/dev") else {
            return Vec::new();
        };
        let mut counted: Vec<(&str, [u64; 2])> = text.lines().filter_map(parse).collect();
        let is_known = |(name, _): &(&str, _)| self.links.contains_key(*name);
        let is_fresh = self.known.is_some_and(|since| now.since(since) < KNOWN_AGE);
        if !is_fresh || !counted.iter().all(is_known) {
            self.get_to_know(counted.iter().map(|(name, _)| *name), files, now);
        }
        let rates = self.meters.rates(counted.iter().copied(), now);
        let rates: HashMap<&str, [u64; 2]> = counted
            .iter()
            .zip(rates)
            .filter_map(|((name, _), rates)| Some((*name, rates?)))
            .collect();
        if counted.len() > INTERFACES {
            let is_virtual = |name: &str| {
                let link = self.links.get(name);
                link.is_none_or(|link| link.medium == Medium::Virtual)
            };
            counted.sort_by_key(|(name, _)| is_virtual(name));
            counted.truncate(INTERFACES);
        }
        let signals = files.text("proc/net/wireless").unwrap_or_default();
        let interface = |(name, _): &(&str, [u64; 2])| Interface {
            name: word(name.as_bytes()).unwrap_or_default(),
            facts: self.links.get(*name).cloned().unwrap_or_default(),
            is_default: self.default.as_deref() == Some(*name),
            state: files.word(&format!("sys/class/net/{name}/operstate")),
            signal: signal(&signals, name),
            rates: rates.get(*name).copied(),
        };
        counted.iter().map(interface).collect()
    }

    fn get_to_know<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        files: &mut Files,
        now: Mono,
    ) {
        let addresses = (self.addresses)();
        let mut of = |name: &str| {
            let Addresses { ip4, ip6 } = addresses.get(name).copied().unwrap_or_default();
            Link {
                ip4,
                ip6,
                mac: files.word(&format!("sys/class/net/{name}/address")),
                medium: medium(name, files),
            }
        };
        self.links = names.map(|name| (name.to_owned(), of(name))).collect();
        self.default = default(files);
        self.known = Some(now);
    }
}

/// The name of a line, and the bytes received and sent.
fn parse(line: &str) -> Option<(&str, [u64; 2])> {
    let (name, counters) = line.rsplit_once(':')?;
    let name = name.trim();
    let mut counters = counters.split_ascii_whitespace();
    let received = counters.next()?.parse().ok()?;
    let sent = counters.nth(7)?.parse().ok()?;
    let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    is_name.then_some((name, [received, sent]))
}

fn medium(name: &str, files: &Files) -> Medium {
    let has = |entry: &str| files.exists(&format!("sys/class/net/{name}/{entry}"));
    if has("wireless") || has("phy80211") {
        return Medium::Wireless;
    }
    let target = files.link(&format!("sys/class/net/{name}"));
    match target.is_some_and(|target| target.contains("/virtual/")) {
        true => Medium::Virtual,
        false => Medium::Wired,
    }
}

/// The interface by which traffic to everywhere leaves, by IPv4 if there is such, else by IPv6.
fn default(files: &mut Files) -> Option<String> {
    /// RTF_UP; routes that refuse have RTF_REJECT as well.
    const UP: u32 = 0x0001;
    const REJECT: u32 = 0x0200;
    let flags = |spelt: &str| u32::from_str_radix(spelt, 16).ok();
    let is_used = |spelt: &str| flags(spelt).is_some_and(|flags| flags & (UP | REJECT) == UP);
    let columns = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect();
    let routes = |text: String| -> Vec<Vec<String>> { text.lines().map(columns).collect() };
    let ip4 = routes(files.text("proc/net/route").unwrap_or_default());
    let ip4 = ip4.iter().filter_map(|route| match route.as_slice() {
        [name, to, _, flags, _, _, metric, mask, ..]
            if to == "00000000" && mask == "00000000" && is_used(flags) =>
        {
            Some((metric.parse::<u32>().ok()?, name.clone()))
        }
        _ => None,
    });
    if let Some((_, name)) = ip4.min() {
        return Some(name);
    }
    let ip6 = routes(files.text("proc/net/ipv6_route").unwrap_or_default());
    let ip6 = ip6.iter().filter_map(|route| match route.as_slice() {
        [to, bits, _, _, _, metric, _, _, flags, name]
            if to.bytes().all(|digit| digit == b'0') && bits == "00" && is_used(flags) =>
        {
            Some((u32::from_str_radix(metric, 16).ok()?, name.clone()))
        }
        _ => None,
    });
    ip6.min().map(|(_, name)| name)
}

/// The signal in dBm, of a line such as `wlan0: 0000   58.  -52.  -256   0 …`.
fn signal(wireless: &str, name: &str) -> Option<i32> {
    let of = |line: &str| {
        line.trim_start()
            .strip_prefix(name)?
            .strip_prefix(':')
            .map(str::to_owned)
    };
    let line = wireless.lines().find_map(of)?;
    let level: i32 = line
        .split_ascii_whitespace()
        .nth(2)?
        .trim_end_matches('.')
        .parse()
        .ok()?;
    (-200..0).contains(&level).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counters_by_name() {
        let check = |line: &str, expected: Option<(&str, [u64; 2])>| {
            assert_eq!(parse(line), expected, "{line}");
        };
        check(
            "  eth0: 18 6 0 0 0 0 0 0 38 4 0 0 0 0 0 0",
            Some(("eth0", [18, 38])),
        );
        check(
            "wlan0:18 6 0 0 0 0 0 0 38 4 0 0 0 0 0 0",
            Some(("wlan0", [18, 38])),
        );
        check(
            "eth0:1: 18 6 0 0 0 0 0 0 38 4 0",
            Some(("eth0:1", [18, 38])),
        );
        check(" face |bytes    packets errs drop fifo frame", None);
        check("eth0: 18 6 0 0 0 0 0 0", None);
        check("../x: 18 6 0 0 0 0 0 0 38", None);
        check("..: 18 6 0 0 0 0 0 0 38", None);
        check(": 18 6 0 0 0 0 0 0 38", None);
    }

    #[test]
    fn reads_the_signal_of_its_own_line() {
        let text = "Inter-| sta-|\n face | tus |\n wlan0: 0000   58.  -52.  -256        0\n\
                    wlan01: 0000  1. -7. 0";
        assert_eq!(signal(text, "wlan0"), Some(-52));
        assert_eq!(signal(text, "wlan01"), Some(-7));
        assert_eq!(signal(text, "wlan"), None);
        assert_eq!(signal("wlan0: 0000 70. 200. 0", "wlan0"), None);
        assert_eq!(signal("wlan0:", "wlan0"), None);
    }
}
