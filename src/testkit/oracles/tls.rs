//! Any bytes in place of TLS, and any bytes amid it.
//!
//! Unlike the other oracles this one meets chance, in keys; what it asserts does not depend on it.

use std::mem::discriminant;
use std::sync::{Arc, OnceLock};

use crate::base::clock::Wall;
use crate::base::limits;
use crate::protocol::tls::acceptor::TlsAcceptor;
use crate::protocol::tls::connection::{Space, TlsConnection};
use crate::protocol::tls::fault::TlsFault;
use crate::testkit::oracles::piece_ends;
use crate::testkit::tls::{TlsClient, TlsClientConfig, Version, acceptor, self_signed_pair};

/// 2026-01-01.
const NOW: Wall = Wall::from_millis(1_767_225_600_000);

/// Bytes of an input that say how the others are used: how they are cut, and where they come.
const PREFACE: usize = 8;

/// A server that is fed bytes, and what came of them.
struct Fed {
    server: TlsConnection,
    plain: Vec<u8>,
    fault: Option<TlsFault>,
}

impl Fed {
    fn new() -> Self {
        Self {
            server: TlsConnection::new(Arc::clone(shared())),
            plain: Vec::new(),
            fault: None,
        }
    }

    fn feed(&mut self, bytes: &[u8], lengths: &[u8]) {
        let mut start = 0;
        for end in piece_ends(bytes.len(), lengths) {
            if self.fault.is_some() {
                return;
            }
            let mut piece = bytes.get(start..end).unwrap_or_default().to_vec();
            let received = self.server.receive(&mut piece, &mut self.plain, NOW);
            self.fault = received.err();
            // A vector that grows has up to twice what it needs.
            let most = 2 * (limits::TLS_UNUSED_BYTES + bytes.len()) + 256 * 1024;
            assert!(self.server.buffered() <= most, "too much is kept");
            start = end;
        }
    }
}

fn shared() -> &'static Arc<TlsAcceptor> {
    static ACCEPTOR: OnceLock<Arc<TlsAcceptor>> = OnceLock::new();
    ACCEPTOR.get_or_init(|| acceptor(&self_signed_pair(NOW), NOW))
}

/// A client and a server that have shaken hands.
fn shaken(version: Version) -> (TlsClient, Fed) {
    let mut client = TlsClient::new(&TlsClientConfig::new(version, &["http/1.1"]));
    let (mut fed, mut space) = (Fed::new(), Space::default());
    while !client.is_open() || fed.server.is_handshaking() {
        fed.feed(&client.outgoing(), &[255]);
        let answer = fed.server.unsent().to_vec();
        fed.server.wrote(answer.len(), &mut space);
        client.receive(&answer).expect("an honest server");
        assert_eq!(fed.fault, None);
    }
    (client, fed)
}

/// Bytes that no client of ours made are never taken for plaintext, wherever they come; however
/// they are cut, the same goes wrong with them; and no more of them is kept than is allowed.
pub fn tls_records(input: &[u8]) {
    let Some((preface, bytes)) = input.split_at_checked(PREFACE) else {
        return;
    };
    let [lengths @ .., place, value, mode] = preface else {
        return;
    };
    let version = Version::ALL[usize::from(mode & 1)];
    match mode >> 1 & 3 {
        0 => instead(bytes, lengths),
        1 => amid(bytes, lengths, version),
        _ => changed(bytes, lengths, (*place, *value), version),
    }
}

/// In place of a handshake.
fn instead(bytes: &[u8], lengths: &[u8]) {
    let (mut cut, mut whole) = (Fed::new(), Fed::new());
    cut.feed(bytes, lengths);
    whole.feed(bytes, &[255]);
    assert!(cut.plain.is_empty() && whole.plain.is_empty());
    let kind = |fed: &Fed| fed.fault.as_ref().map(discriminant);
    // What is too large depends on how much of it is there at a time.
    let is_size = |fed: &Fed| fed.fault == Some(TlsFault::Oversized);
    if !is_size(&cut) && !is_size(&whole) {
        assert_eq!(
            kind(&cut),
            kind(&whole),
            "{:?} {:?}",
            cut.fault,
            whole.fault
        );
    }
}

/// Between two records.
fn amid(bytes: &[u8], lengths: &[u8], version: Version) {
    let (mut client, mut fed) = shaken(version);
    client.send(b"before");
    fed.feed(&client.outgoing(), lengths);
    assert_eq!(fed.plain, b"before");
    fed.feed(bytes, lengths);
    assert_eq!(fed.plain, b"before");
    if fed.fault.is_none() {
        fed.server
            .seal(&[], &mut Space::default())
            .expect("nothing");
        fed.server.close().expect("one alert");
    }
}

/// In place of one byte of a record.
fn changed(bytes: &[u8], lengths: &[u8], (place, value): (u8, u8), version: Version) {
    let (mut client, mut fed) = shaken(version);
    for part in bytes.chunks(100) {
        client.send(part);
    }
    let mut sent = client.outgoing();
    let at = usize::from(place) * sent.len() / 256;
    let is_other = sent.get(at).is_some_and(|byte| *byte != value);
    if let Some(byte) = sent.get_mut(at) {
        *byte = value;
    }
    fed.feed(&sent, lengths);
    assert!(bytes.starts_with(&fed.plain), "not what was sent");
    if !is_other {
        assert_eq!((fed.fault, fed.plain.as_slice()), (None, bytes));
    }
}
