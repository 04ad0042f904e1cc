//! A server's connection against a client's, over a wire that is an array of bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::testkit::tls::{
    TlsClient, TlsClientConfig, Version, acceptor, pair_of_years, self_signed_pair,
};

/// 2026-01-01.
const NOW: Wall = Wall::from_millis(1_767_225_600_000);

/// How bytes are cut on their way to the server.
type Cut = fn(&[u8]) -> Vec<Vec<u8>>;

fn whole(bytes: &[u8]) -> Vec<Vec<u8>> {
    vec![bytes.to_vec()]
}

fn each_byte(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().map(|byte| vec![*byte]).collect()
}

/// Every record begins within one piece and ends in the next.
fn across_records(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.chunks(1000).map(<[u8]>::to_vec).collect()
}

const CUTS: [Cut; 3] = [whole, each_byte, across_records];

/// Handshake messages in records of one byte each, as a peer may send them.
fn in_tiny_records(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let [kind @ 22, major, minor, high, low, following @ ..] = rest {
        let (content, after) = following.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        for byte in content {
            out.extend([*kind, *major, *minor, 0, 1, *byte]);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

struct Pair {
    server: TlsConnection,
    client: TlsClient,
    space: Space,
    plain: Vec<u8>,
    cut: Cut,
    handshake: Option<Handshake>,
    has_ended: bool,
}

impl Pair {
    fn new(acceptor: &Arc<TlsAcceptor>, client: &TlsClientConfig, cut: Cut) -> Self {
        Self {
            server: TlsConnection::new(Arc::clone(acceptor)),
            client: TlsClient::new(client),
            space: Space::default(),
            plain: Vec::new(),
            cut,
            handshake: None,
            has_ended: false,
        }
    }

    /// Two that have shaken hands.
    fn open(version: Version, cut: Cut) -> Self {
        let acceptor = acceptor(&self_signed_pair(NOW), NOW);
        let config = TlsClientConfig::new(version, &["http/1.1"]);
        let mut pair = Self::new(&acceptor, &config, cut);
        pair.settle().unwrap();
        assert!(pair.client.is_open() && !pair.server.is_handshaking());
        pair
    }

    fn give(&mut self, bytes: &[u8]) -> Result<(), TlsFault> {
        for mut piece in (self.cut)(bytes) {
            let received = self.server.receive(&mut piece, &mut self.plain, NOW)?;
            self.handshake = self.handshake.or(received.handshake);
            self.has_ended = self.server.has_ended();
        }
        Ok(())
    }

    /// Hands the client what the server has for it.
    fn take(&mut self) -> Result<(), rustls::Error> {
        let bytes = self.server.unsent().to_vec();
        self.server.wrote(bytes.len(), &mut self.space);
        self.client.receive(&bytes)
    }

    fn settle(&mut self) -> Result<(), TlsFault> {
        loop {
            let bytes = self.client.outgoing();
            self.give(&bytes)?;
            if bytes.is_empty() && self.server.unsent().is_empty() {
                return Ok(());
            }
            self.take().unwrap();
        }
    }

    fn seal(&mut self, pieces: &[&[u8]]) {
        let pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        self.server.seal(&pieces, &mut self.space).unwrap();
    }
}

#[test]
fn what_goes_in_comes_out_however_it_is_cut() {
    for (version, cut) in Version::ALL
        .into_iter()
        .flat_map(|v| CUTS.map(|cut| (v, cut)))
    {
        let mut pair = Pair::open(version, cut);
        assert_eq!(pair.handshake, Some(Handshake::Full));
        assert_eq!(pair.client.protocol(), b"http/1.1");
        let sent: Vec<u8> = (0..=255).cycle().take(40_000).collect();
        pair.client.send(&sent);
        pair.settle().unwrap();
        assert_eq!(pair.plain, sent);
        pair.seal(&[b"one", b"", b" and ", b"another"]);
        pair.settle().unwrap();
        pair.seal(&[&sent[..limits::TLS_SEALED_BYTES]]);
        assert!(pair.server.unsent().len() < limits::TLS_SEALED_BYTES + 200);
        pair.settle().unwrap();
        let expected = [b"one and another", &sent[..limits::TLS_SEALED_BYTES]].concat();
        assert!(pair.client.arrived == expected);
    }
}

#[test]
fn small_messages_share_a_record() {
    let mut pair = Pair::open(Version::Tls13, whole);
    pair.seal(&[b"a".as_slice(); 64]);
    assert_eq!(pair.server.unsent().len(), 64 + 5 + 1 + 16);
}

#[test]
fn an_idle_connection_owns_no_buffer() {
    for version in Version::ALL {
        let mut pair = Pair::open(version, across_records);
        assert_eq!(pair.server.buffered(), 0);
        pair.client.send(&[7; 20_000]);
        pair.settle().unwrap();
        pair.seal(&[&[7; 20_000]]);
        pair.settle().unwrap();
        assert_eq!(pair.server.buffered(), 0);
    }
}

#[test]
fn a_hello_in_records_of_one_byte_is_understood() {
    for version in Version::ALL {
        let acceptor = acceptor(&self_signed_pair(NOW), NOW);
        let config = TlsClientConfig::new(version, &[]);
        let mut pair = Pair::new(&acceptor, &config, across_records);
        let hello = in_tiny_records(&pair.client.outgoing());
        pair.give(&hello).unwrap();
        pair.take().unwrap();
        pair.settle().unwrap();
        assert!(pair.client.is_open() && !pair.server.is_handshaking());
        assert_eq!(pair.client.protocol(), b"");
    }
}

#[test]
fn whoever_comes_back_resumes_until_the_certificate_changes() {
    for version in Version::ALL {
        let old = acceptor(&self_signed_pair(NOW), NOW);
        let config = TlsClientConfig::new(version, &["http/1.1"]);
        let come = |acceptor: &Arc<TlsAcceptor>| {
            let mut pair = Pair::new(acceptor, &config, whole);
            pair.client.send(b"x");
            pair.settle().unwrap();
            assert_eq!(
                pair.client.is_resumed(),
                pair.handshake == Some(Handshake::Resumed)
            );
            pair.client.is_resumed()
        };
        assert!(!come(&old));
        assert!(come(&old));
        let new = acceptor(&self_signed_pair(NOW), NOW);
        assert!(!come(&new), "another certificate is to be seen");
        assert!(come(&new));
    }
}

/// Feeds `bytes` to a fresh server; the fault, and the alert that it sends for it.
fn fault_of(bytes: &[u8]) -> (TlsFault, Vec<u8>) {
    let acceptor = acceptor(&self_signed_pair(NOW), NOW);
    let mut found = None;
    for cut in CUTS {
        let mut server = TlsConnection::new(Arc::clone(&acceptor));
        let fault = cut(bytes).into_iter().find_map(|mut piece| {
            let received = server.receive(&mut piece, &mut Vec::new(), NOW);
            received.err()
        });
        let fault = fault.unwrap_or_else(|| panic!("no fault in {bytes:?}"));
        let alert = server.unsent().to_vec();
        let before = found.get_or_insert((fault.clone(), alert.clone()));
        assert_eq!(*before, (fault, alert), "another cut, another fault");
    }
    found.unwrap()
}

#[test]
fn what_is_no_tls_is_told_apart() {
    for request in ["GET / HTTP/1.1\r\n\r\n", "POST /x HTTP/1.1\r\n", "get"] {
        assert_eq!(
            fault_of(request.as_bytes()),
            (TlsFault::PlainHttp, Vec::new())
        );
    }
    // Nothing, an old SSL, another protocol, a record that no record is as long as.
    for garbage in [
        &[0u8; 64][..],
        &[0x80, 0x2e, 1, 3, 1, 0],
        b"\x03SSH-2.0",
        &[22, 3, 1, 0xff, 0xff],
    ] {
        let (fault, alert) = fault_of(garbage);
        assert!(matches!(fault, TlsFault::NotTls(_)), "{fault}");
        assert_eq!(alert.first(), Some(&21), "an alert for {garbage:?}");
    }
}

#[test]
fn a_hello_without_end_is_refused() {
    // A handshake message of 64 KiB, in whole records.
    let mut endless = Vec::new();
    let mut head = vec![1, 0, 0xff, 0xff];
    head.resize(16_000, 0);
    for content in [head, vec![0; 16_000], vec![0; 16_000]] {
        endless.extend([22, 3, 1]);
        endless.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        endless.extend(content);
    }
    let acceptor = acceptor(&self_signed_pair(NOW), NOW);
    for cut in CUTS {
        let mut server = TlsConnection::new(Arc::clone(&acceptor));
        let faults = cut(&endless).into_iter().filter_map(|mut piece| {
            let received = server.receive(&mut piece, &mut Vec::new(), NOW).err();
            assert!(server.buffered() <= 2 * limits::TLS_UNUSED_BYTES);
            received
        });
        assert_eq!(faults.take(1).collect::<Vec<_>>(), [TlsFault::Oversized]);
    }
}

#[test]
fn a_client_that_speaks_only_http2_is_told() {
    for version in Version::ALL {
        let acceptor = acceptor(&self_signed_pair(NOW), NOW);
        let config = TlsClientConfig::new(version, &["h2"]);
        let mut pair = Pair::new(&acceptor, &config, whole);
        assert_eq!(pair.settle(), Err(TlsFault::NoProtocol));
        let told = rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
        assert_eq!(pair.take(), Err(told));
    }
}

#[test]
fn an_alert_of_the_peer_is_its_last_word() {
    for version in Version::ALL {
        let mut pair = Pair::open(version, whole);
        // Not encrypted, so it is none: whoever is in between must not end the connection.
        let plain_alert = [21, 3, 3, 0, 2, 2, 48];
        assert!(matches!(
            pair.give(&plain_alert),
            Err(TlsFault::Broken(_) | TlsFault::NotTls(_))
        ));
        let acceptor = acceptor(&self_signed_pair(NOW), NOW);
        let config = TlsClientConfig::new(version, &[]);
        let mut pair = Pair::new(&acceptor, &config, whole);
        let hello = pair.client.outgoing();
        pair.give(&hello).unwrap();
        let expected = TlsFault::Alert(rustls::AlertDescription::UnknownCA);
        assert_eq!(pair.give(&plain_alert), Err(expected));
        assert!(!pair.server.owes_close());
    }
}

#[test]
fn either_side_may_close_first_and_the_other_go_on() {
    for version in Version::ALL {
        let mut pair = Pair::open(version, across_records);
        pair.client.send(b"last words");
        pair.client.close();
        pair.settle().unwrap();
        assert!(pair.has_ended);
        assert_eq!(pair.plain, b"last words");
        // What comes after is nobody's.
        pair.give(b"\x17\x03\x03\x00\x05junk!").unwrap();
        pair.seal(&[b"the answer"]);
        pair.server.close().unwrap();
        pair.server.close().unwrap();
        pair.take().unwrap();
        assert_eq!(
            (pair.client.arrived.as_slice(), pair.client.has_ended),
            (&b"the answer"[..], true)
        );
        assert_eq!(pair.server.buffered(), 0);

        let mut pair = Pair::open(version, whole);
        pair.seal(&[b"bye"]);
        pair.server.close().unwrap();
        pair.take().unwrap();
        assert!(pair.client.has_ended);
    }
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    for version in Version::ALL {
        let mut pair = Pair::open(version, whole);
        pair.client.send(b"hello");
        let mut bytes = pair.client.outgoing();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(pair.give(&bytes), Err(TlsFault::Broken(_))));
        assert!(pair.plain.is_empty());
        let bad_record = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
        assert_eq!(pair.take(), Err(bad_record));
    }
}

#[test]
fn half_a_record_is_no_plaintext_and_waits() {
    let mut pair = Pair::open(Version::Tls13, whole);
    pair.client.send(&[1; 10_000]);
    let bytes = pair.client.outgoing();
    let (first, second) = bytes.split_at(9_000);
    pair.give(first).unwrap();
    assert!(pair.plain.is_empty());
    // Our side goes on meanwhile.
    pair.seal(&[b"still here"]);
    pair.take().unwrap();
    pair.give(second).unwrap();
    assert_eq!((pair.plain.len(), pair.server.buffered()), (10_000, 0));
    assert_eq!(pair.client.arrived, b"still here");
}

#[test]
fn keys_are_updated_in_between_and_the_answer_waits_for_a_write() {
    let mut pair = Pair::open(Version::Tls13, each_byte);
    for round in 0..20 {
        pair.client.update_keys();
        pair.client.send(b"x");
        let bytes = pair.client.outgoing();
        pair.give(&bytes).unwrap();
        assert!(pair.server.unsent().len() < 100, "round {round}");
        pair.seal(&[b"y"]);
        pair.settle().unwrap();
    }
    assert_eq!((pair.plain.len(), pair.client.arrived.len()), (20, 20));
}

#[test]
fn a_peer_that_only_updates_keys_gets_nothing_queued() {
    let mut pair = Pair::open(Version::Tls13, whole);
    let mut outcome = Ok(());
    for _ in 0..1000 {
        pair.client.update_keys();
        let bytes = pair.client.outgoing();
        outcome = pair.give(&bytes);
        if outcome.is_err() {
            break;
        }
        assert!(pair.server.unsent().len() < 1000);
    }
    assert!(pair.server.unsent().len() < 1000, "{outcome:?}");
}

#[test]
fn a_connection_stays_small() {
    let size = size_of::<TlsConnection>();
    assert!(size <= 1400, "{size} bytes");
}

#[test]
fn times_are_those_of_the_caller() {
    let pair = pair_of_years(2040, 2041);
    let at = Wall::from_millis(2_220_000_000_000); // In May 2040.
    let acceptor = acceptor(&pair, at);
    let config = TlsClientConfig::new(Version::Tls13, &[]);
    let mut pair = Pair::new(&acceptor, &config, whole);
    pair.settle().unwrap();
    assert!(pair.client.is_open());
}
