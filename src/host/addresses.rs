//! The addresses of network interfaces, which no file below /proc tells in full.

#[cfg(target_os = "linux")]
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sysinfo::NetworkData;

/// The first addresses of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) ip4: Option<Ipv4Addr>,
    /// One of global scope if there is any.
    pub(super) ip6: Option<Ipv6Addr>,
}

/// Those of all interfaces, by name.
#[cfg(target_os = "linux")]
pub(super) fn read() -> HashMap<String, Addresses> {
    let networks = sysinfo::Networks::new_with_refreshed_list();
    let of = |(name, data): (&String, &NetworkData)| (name.clone(), addresses(data));
    networks.iter().map(of).collect()
}

/// Those of one interface.
pub(super) fn addresses(data: &NetworkData) -> Addresses {
    first(data.ip_networks().iter().map(|network| network.addr))
}

fn first(all: impl Iterator<Item = IpAddr>) -> Addresses {
    let mut found = Addresses::default();
    for address in all {
        match address {
            IpAddr::V4(address) => found.ip4 = found.ip4.or(Some(address)),
            IpAddr::V6(address) => {
                let is_better =
                    |old: Ipv6Addr| old.is_unicast_link_local() && !address.is_unicast_link_local();
                if found.ip6.is_none_or(is_better) {
                    found.ip6 = Some(address);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_counts_but_link_local_ones_last() {
        let check = |all: &[&str], ip4: Option<&str>, ip6: Option<&str>| {
            let found = first(all.iter().filter_map(|text| text.parse().ok()));
            assert_eq!(
                found.ip4.map(|ip| ip.to_string()).as_deref(),
                ip4,
                "{all:?}"
            );
            assert_eq!(
                found.ip6.map(|ip| ip.to_string()).as_deref(),
                ip6,
                "{all:?}"
            );
        };
        check(&[], None, None);
        check(
            &["10.0.0.2", "10.0.0.3", "fe80::1"],
            Some("10.0.0.2"),
            Some("fe80::1"),
        );
        check(&["fe80::1", "fd00::2", "fd00::3"], None, Some("fd00::2"));
        check(&["fd00::2", "fe80::1"], None, Some("fd00::2"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_loopback_has_its_address() {
        let all = read();
        let is_loopback = |found: &&Addresses| found.ip4.is_some_and(|ip| ip.is_loopback());
        assert!(
            all.is_empty() || all.values().find(is_loopback).is_some(),
            "{all:?}"
        );
    }
}
