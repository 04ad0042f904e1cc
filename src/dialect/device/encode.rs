//! The server's side of the device dialect: the hello, the answer to `ping`, errors, publications.
//!
//! Everything appends one JSON object to a buffer; framing is not done here. Times are ISO 8601 in
//! UTC with milliseconds, as JavaScript spells them.

use crate::base::clock::Wall;
use crate::base::ids::SessionId;
use crate::dialect::native::encode::payload;
use crate::dialect::publication::Publication;
use crate::wire::json::object::{Object, array, string};

/// The first message: who the client is, and the channels that it is in.
pub fn hello(session: SessionId, channels: &[&str], now: Wall, out: &mut Vec<u8>) {
    connected(now, out, |data| {
        data.string("clientId", &session.to_string())
            .value("subscribedChannels", |out| {
                array(out, channels, |out, channel| string(channel, out));
            })
    });
}

/// The answer to `ping`, which is a second hello.
pub fn pong(now: Wall, out: &mut Vec<u8>) {
    connected(now, out, |data| data.boolean("pong", true));
}

fn connected(now: Wall, out: &mut Vec<u8>, members: impl FnOnce(Object<'_>) -> Object<'_>) {
    Object::begin(out)
        .string("type", "connected")
        .value("data", |out| members(Object::begin(out)).end())
        .string("timestamp", &now.to_rfc3339())
        .end();
}

/// What went wrong, for people to read; clients know neither codes nor details.
pub fn error(message: &str, now: Wall, out: &mut Vec<u8>) {
    Object::begin(out)
        .string("type", "error")
        .string("message", message)
        .string("timestamp", &now.to_rfc3339())
        .end();
}

/// A publication, the same for every client, whatever rooms it is heard in.
pub fn publication(publication: &Publication, out: &mut Vec<u8>) {
    Object::begin(out)
        .string("type", &publication.event)
        .value("data", |out| payload(&publication.payload, out))
        .string("timestamp", &publication.timestamp.to_rfc3339())
        .end();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::SlowConsumer;
    use crate::dialect::publication::Placement;
    use crate::domain::command::Payload;
    use crate::domain::position::Epoch;
    use crate::domain::room::RoomName;

    const NOW: Wall = Wall::from_millis(1_767_225_600_123);

    /// `TIME` in `expected` stands for the timestamp.
    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        let found = String::from_utf8(out).unwrap();
        let time = r#""timestamp":"2026-01-01T00:00:00.123Z""#;
        assert_eq!(found, expected.replace("TIME", time));
        serde_json::from_str::<serde_json::Value>(&found).unwrap();
    }

    #[test]
    fn the_hello_names_the_client_and_its_channels() {
        let session = SessionId(0xc1);
        let id = session.to_string();
        check(
            |out| hello(session, &["metrics", "a\"b"], NOW, out),
            &format!(
                r#"{{"type":"connected","data":{{"clientId":"{id}","subscribedChannels":["metrics","a\"b"]}},TIME}}"#
            ),
        );
        check(
            |out| pong(NOW, out),
            r#"{"type":"connected","data":{"pong":true},TIME}"#,
        );
    }

    #[test]
    fn an_error_has_its_text_at_the_top() {
        check(
            |out| error("no \"right\"", NOW, out),
            r#"{"type":"error","message":"no \"right\"",TIME}"#,
        );
    }

    #[test]
    fn a_publication_is_its_event_its_data_and_its_time() {
        let told = |payload, expected| {
            let place = |room| Placement {
                room: RoomName::parse(room).unwrap(),
                offset: 7,
                epoch: Epoch::parse("e").unwrap(),
                slow_consumer: SlowConsumer::Latest,
            };
            let metrics = Publication {
                event: "metrics".into(),
                payload,
                source: Some("host".into()),
                timestamp: NOW,
                uid: 1,
                has_copies: true,
                placements: [place("metrics"), place("metrics:processes")].into(),
                sequence: 1,
                except: Box::default(),
            };
            check(|out| publication(&metrics, out), expected);
        };
        told(
            Payload::Json(r#"{"cpu_usage":3}"#.into()),
            r#"{"type":"metrics","data":{"cpu_usage":3},TIME}"#,
        );
        told(
            Payload::Bytes(b"\0\xff"[..].into()),
            r#"{"type":"metrics","data":{"base64":"AP8="},TIME}"#,
        );
    }
}
