//! The first packet of a session: who it is, and what the client has to know of us.

use std::time::Duration;

use crate::base::ids::SessionId;
use crate::wire::json::object::{Object, array, string};

/// What is carried by the packets of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// GET requests that hang until there is something to say, and POST requests.
    Polling,
    /// A WebSocket.
    WebSocket,
}

impl Transport {
    /// Its name in requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }

    /// The transport of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Polling, Self::WebSocket]
            .into_iter()
            .find(|transport| transport.name() == name)
    }
}

/// What the server says of itself at the beginning of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long after a pong, or the beginning, the next ping comes.
    pub ping_interval: Duration,
    /// How long a pong may take. A client gives up when no ping came for both together.
    pub ping_timeout: Duration,
    /// Bytes of a body, and of a message.
    pub max_payload: usize,
}

/// Writes the text of the open packet, its type included. On a WebSocket there is nothing to upgrade
/// to.
pub fn write_open(id: SessionId, transport: Transport, terms: &Terms, out: &mut Vec<u8>) {
    let upgrades = match transport {
        Transport::Polling => Some(Transport::WebSocket.name()),
        Transport::WebSocket => None,
    };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    out.push(b'0');
    Object::begin(out)
        .string("sid", &id.to_string())
        .value("upgrades", |out| {
            array(out, upgrades, |out, name| string(name, out));
        })
        .number("pingInterval", millis(terms.ping_interval))
        .number("pingTimeout", millis(terms.ping_timeout))
        .number("maxPayload", terms.max_payload as u64)
        .end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_packet_has_exactly_the_members_that_clients_expect() {
        let check = |transport, upgrades: &str| {
            let terms = Terms {
                ping_interval: Duration::from_millis(300),
                ping_timeout: Duration::from_secs(20),
                max_payload: 1_000_000,
            };
            let mut out = Vec::new();
            write_open(SessionId(0xab), transport, &terms, &mut out);
            let sid = format!("{:032x}", 0xab);
            let expected = format!(
                "0{{\"sid\":\"{sid}\",\"upgrades\":{upgrades},\"pingInterval\":300,\
                 \"pingTimeout\":20000,\"maxPayload\":1000000}}"
            );
            assert_eq!(String::from_utf8_lossy(&out), expected);
        };
        check(Transport::Polling, "[\"websocket\"]");
        check(Transport::WebSocket, "[]");
    }
}
