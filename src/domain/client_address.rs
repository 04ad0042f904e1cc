//! Whose request it is when a proxy stands between.
//!
//! Only proxies that the operator trusts are believed, and only what the nearest of them wrote: a
//! client may write any X-Forwarded-For it likes, but the proxy appends the address it saw.

use std::net::{IpAddr, SocketAddr};

use crate::base::network::Network;

/// Whether `address` is a trusted proxy's.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The client that a trusted proxy speaks for: the rightmost address in `forwarded` (the
/// X-Forwarded-For fields in order, each a list) that is not itself a trusted proxy's. `None` if
/// there is no field at all.
///
/// An element that is no address, such as `unknown`, ends the search: what stands left of it was
/// written by nobody who is trusted. Then, and when all are proxies, the last address that was
/// understood counts, or `proxy` itself.
pub fn client<'a>(
    proxy: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Network],
) -> Option<IpAddr> {
    let mut found = None;
    for element in forwarded.rev().flat_map(|field| field.rsplit(',')) {
        let Some(address) = element_address(element.trim()) else {
            return Some(found.unwrap_or(proxy));
        };
        if !is_trusted(address, trusted) {
            return Some(address);
        }
        found = Some(address);
    }
    found
}

/// Reads an address, which some proxies write with brackets or with a port.
fn element_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare
        .unwrap_or(text)
        .parse()
        .or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8"].map(|text| Network::parse(text).unwrap());
        let check = |fields: &[&str], expected: Option<&str>| {
            let proxy = "127.0.0.1".parse().unwrap();
            let found = client(proxy, fields.iter().copied(), &trusted);
            assert_eq!(
                found,
                expected.map(|text| text.parse().unwrap()),
                "{fields:?}"
            );
        };
        check(&[], None);
        check(&["192.0.2.1"], Some("192.0.2.1"));
        check(&["198.51.100.9, 192.0.2.1"], Some("192.0.2.1"));
        check(&["192.0.2.1, 10.0.0.7"], Some("192.0.2.1"));
        check(
            &["6.6.6.6", "192.0.2.1,10.0.0.7 , 127.0.0.1"],
            Some("192.0.2.1"),
        );
        check(&["192.0.2.1", "198.51.100.9"], Some("198.51.100.9"));
        check(&["192.0.2.1:4711"], Some("192.0.2.1"));
        check(&["[2001:db8::1]:80"], Some("2001:db8::1"));
        check(&["[2001:db8::1]"], Some("2001:db8::1"));
        check(&["::ffff:192.0.2.1"], Some("192.0.2.1"));
        check(&["10.0.0.7, 10.0.0.8"], Some("10.0.0.7"));
        check(&[""], Some("127.0.0.1"));
        check(&["unknown"], Some("127.0.0.1"));
        check(&["6.6.6.6, unknown, 10.0.0.7"], Some("10.0.0.7"));
        check(&["6.6.6.6, <script>"], Some("127.0.0.1"));
    }
}
