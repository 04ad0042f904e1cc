//! Blocks of addresses, and which addresses count as one client.
//!
//! May not touch: sockets, names. `ipnet` stays in here.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// An address, or a block of them such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Reads `10.0.0.1`, `10.0.0.0/8`, `::1` or `fd00::/8`. `None` for anything else, bits beyond
    /// the prefix included: whoever writes 10.1.2.3/8 may have meant one address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = IpAddr::from_str(text) {
            return Some(Self(IpNet::from(address.to_canonical())));
        }
        let network = IpNet::from_str(text).ok()?;
        (network.network() == network.addr()).then_some(Self(network))
    }

    /// Whether `address` is in the block; an IPv4 address mapped into IPv6 counts as itself.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// The address that stands for all addresses of one client: an IPv6 host chooses its own within
/// its /64 (RFC 4291 section 2.5.1), an IPv4 address is a client.
#[must_use]
pub fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_addresses_of_its_block_and_no_others() {
        let check = |network: &str, address: &str, expected: bool| {
            let network = Network::parse(network).unwrap();
            let found = network.contains(address.parse().unwrap());
            assert_eq!(found, expected, "{network:?} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("::1", "::1", true);
        check("::1", "127.0.0.1", false);
        check("fd00::/8", "fd12::1", true);
        check("::ffff:10.0.0.1", "10.0.0.1", true);
    }

    #[test]
    fn refuses_what_is_no_block() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.1.2.3/8",
            "::/129",
            "localhost",
            "10.0.0.1:80",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let check = |one: &str, other: &str, same: bool| {
            let key = |text: &str| client_key(text.parse().unwrap());
            assert_eq!(key(one) == key(other), same, "{one} {other}");
        };
        check("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", true);
        check("2001:db8:0:1::1", "2001:db8:0:2::1", false);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
    }
}
