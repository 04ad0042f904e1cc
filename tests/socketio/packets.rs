//! Packets of Socket.IO: into namespaces and out of them, events and their acknowledgements.

use std::time::{Duration, Instant};

use kinglet::testkit::client::Arrival;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::{Received, Socket};
use kinglet::wire::websocket::frame::Opcode;
use serde_json::Value;

use crate::session::{
    Session, connected, connected_in, echoes, hear, is_closed, still_serves, websocket,
};
use crate::{echoing, on_both};

/// The object of a CONNECT's reply.
fn reply(packet: &str, prefix: &str) -> Value {
    let json = packet.strip_prefix("40").unwrap().strip_prefix(prefix);
    serde_json::from_str(json.unwrap()).unwrap()
}

#[test]
fn a_client_connects_to_the_main_namespace_with_and_without_a_payload() {
    on_both(&[], |server| {
        for (payload, auth) in [
            ("", "{}"),
            ("{}", "{}"),
            ("{\"token\":\"123\"}", "{\"token\":\"123\"}"),
            ("/,{\"token\":\"123\"}", "{\"token\":\"123\"}"),
        ] {
            let mut socket = websocket(server);
            socket.text(&format!("40{payload}"));
            let reply = reply(&hear(&mut socket), "");
            assert!(reply["sid"].as_str().unwrap().len() >= 20, "{reply}");
            // Without recovery nothing else is said, a `pid` least of all.
            assert_eq!(reply.as_object().unwrap().len(), 1, "{reply}");
            assert_eq!(hear(&mut socket), format!("42[\"auth\",{auth}]"));
        }
    });
}

#[test]
fn a_client_connects_to_another_namespace_with_and_without_a_payload() {
    on_both(&[], |server| {
        for (payload, auth) in [
            ("/custom,", "{}"),
            ("/custom", "{}"),
            ("/custom,{\"token\":\"abc\"}", "{\"token\":\"abc\"}"),
        ] {
            let mut socket = websocket(server);
            socket.text(&format!("40{payload}"));
            let reply = reply(&hear(&mut socket), "/custom,");
            assert!(reply["sid"].as_str().unwrap().len() >= 20, "{reply}");
            assert_eq!(hear(&mut socket), format!("42/custom,[\"auth\",{auth}]"));
        }
    });
}

#[test]
fn a_namespace_that_there_is_not_is_refused_and_the_transport_stays() {
    on_both(&[], |server| {
        let mut socket = websocket(server);
        for asked in ["/random", "/random,", "/random,{\"token\":1}"] {
            socket.text(&format!("40{asked}"));
            let expected = "44/random,{\"message\":\"Invalid namespace\"}";
            assert_eq!(hear(&mut socket), expected, "{asked}");
        }
        socket.text("40");
        assert!(hear(&mut socket).starts_with("40{"));
    });
}

#[test]
fn the_ids_of_a_client_in_two_namespaces_are_different_and_private() {
    on_both(&[], |server| {
        let session = Session::open(server);
        session.says("40\x1e40/custom,");
        let mut heard = session.hear(4);
        heard.sort();
        let main = reply(&heard[1], "")["sid"].clone();
        let custom = reply(&heard[0], "/custom,")["sid"].clone();
        assert_ne!(main, custom);
        // The session's own id is a secret that neither gives away.
        assert_ne!(main, session.sid.as_str());
        assert_ne!(custom, session.sid.as_str());
    });
}

#[test]
fn whoever_asks_for_no_namespace_in_time_is_closed() {
    on_both(&[("KINGLET_SOCKETIO__CONNECT_TIMEOUT", "1s")], |server| {
        let begin = Instant::now();
        let mut silent = websocket(server);
        let mut refused = websocket(server);
        refused.text("40/random,");
        let mut welcome = connected(server);
        is_closed(&mut silent);
        assert!(begin.elapsed() >= Duration::from_millis(900));
        is_closed(&mut refused);
        echoes(&mut welcome);
    });
}

/// What is not a CONNECT before the first one closes.
const BEFORE_CONNECT: [&str; 4] = [
    "42[\"message\",1]",
    "42/custom,[\"message\",1]",
    "431[]",
    "451-[\"message\",{\"_placeholder\":true,\"num\":0}]",
];

#[test]
fn an_event_before_the_namespace_is_connected_closes() {
    on_both(&[], |server| {
        for packet in BEFORE_CONNECT {
            let mut socket = websocket(server);
            socket.text(packet);
            if packet.starts_with("45") {
                socket.frame(true, Opcode::Binary, b"x");
            }
            is_closed(&mut socket);
        }
    });
}

#[test]
fn a_client_leaves_a_namespace_and_is_still_in_the_other() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        socket.text("40/custom,");
        assert!(hear(&mut socket).starts_with("40/custom,{"));
        assert_eq!(hear(&mut socket), "42/custom,[\"auth\",{}]");
        socket.text("41");
        socket.text("42/custom,[\"message\",\"left\"]");
        assert_eq!(hear(&mut socket), "42/custom,[\"message-back\",\"left\"]");
        // And can come back.
        socket.text("40");
        assert!(hear(&mut socket).starts_with("40{"));
        assert_eq!(hear(&mut socket), "42[\"auth\",{}]");
        echoes(&mut socket);
    });
}

/// Events and what comes back for them, without the type and the namespace before them.
const EVENTS: [(&str, &str); 9] = [
    ("[\"message\"]", "[\"message-back\"]"),
    (
        "[\"message\",1,\"2\",{\"3\":[true]}]",
        "[\"message-back\",1,\"2\",{\"3\":[true]}]",
    ),
    ("[\"message\",null]", "[\"message-back\",null]"),
    ("[\"message\",1.5]", "[\"message-back\",1.5]"),
    ("[\"message\",[[],{}]]", "[\"message-back\",[[],{}]]"),
    (
        "[\"message\",\"\\\"\\\\\"]",
        "[\"message-back\",\"\\\"\\\\\"]",
    ),
    ("[\"message\",\"a,b-c\"]", "[\"message-back\",\"a,b-c\"]"),
    (
        "[\"message\",\"\u{1f600} \u{2028}\"]",
        "[\"message-back\",\"\u{1f600} \u{2028}\"]",
    ),
    (
        "[\"message\",{\"_placeholder\":false}]",
        "[\"message-back\",{\"_placeholder\":false}]",
    ),
];

#[test]
fn events_come_back_with_all_their_arguments_in_either_namespace() {
    on_both(&[], |server| {
        for prefix in ["", "/custom,"] {
            let mut socket = connected_in(server, prefix);
            for (event, back) in EVENTS {
                socket.text(&format!("42{prefix}{event}"));
                assert_eq!(hear(&mut socket), format!("42{prefix}{back}"));
            }
        }
    });
}

#[test]
fn events_that_nobody_knows_are_nobodys_and_stay_without_an_answer() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        for event in ["42[\"nobodys\",1]", "42[0,1]", "425[\"nobodys\"]"] {
            socket.text(event);
        }
        echoes(&mut socket);
    });
}

#[test]
fn an_event_with_an_id_is_acknowledged_with_its_arguments() {
    on_both(&[], |server| {
        for prefix in ["", "/custom,"] {
            let mut socket = connected_in(server, prefix);
            for id in ["0", "456", "9007199254740991"] {
                socket.text(&format!(
                    "42{prefix}{id}[\"message-with-ack\",1,\"2\",{{\"3\":[false]}}]"
                ));
                let expected = format!("43{prefix}{id}[1,\"2\",{{\"3\":[false]}}]");
                assert_eq!(hear(&mut socket), expected);
            }
            socket.text(&format!("42{prefix}7[\"message\",\"both\"]"));
            let mut heard = [hear(&mut socket), hear(&mut socket)];
            heard.sort();
            let back = format!("42{prefix}[\"message-back\",\"both\"]");
            assert_eq!(heard, [back, format!("43{prefix}7[\"both\"]")]);
        }
    });
}

/// Texts that are no packets of Socket.IO, or not a client's to send.
const NO_PACKETS: [&str; 35] = [
    "4",
    "4abc",
    "47[\"message\"]",
    "42{}",
    "42[]",
    "42\"message\"",
    "42null",
    "42[{}]",
    "42[null]",
    "42[true]",
    "42[\"message\"",
    "42[\"message\",]",
    "42[\"message\"]x",
    "42abc[\"message-with-ack\",1]",
    "42-1[\"message\"]",
    "421-[\"message\"]",
    "42custom,[\"message\"]",
    "42/custom,[\"message\"]",
    "43abc[]",
    "43-1[]",
    "431{}",
    "41{}",
    "40[]",
    "40null",
    "40\"abc\"",
    "40{}x",
    "40 {}",
    "44{\"message\":\"x\"}",
    "44\"x\"",
    "42[\"connect\"]",
    "42[\"connect_error\"]",
    "42[\"disconnect\"]",
    "42[\"disconnecting\"]",
    "42[\"newListener\"]",
    "42[\"removeListener\"]",
];

/// The same, which the reference takes for something.
const OURS_TO_REFUSE: [&str; 4] = [
    "42",
    "43[]",
    "431",
    "4299999999999999999999[\"message-with-ack\"]",
];

#[test]
fn what_is_no_packet_closes() {
    on_both(&[], |server| check_close(server, &NO_PACKETS));
    check_close(&echoing(&[]), &OURS_TO_REFUSE);
}

fn check_close(server: &Server, packets: &[&str]) {
    for text in packets {
        let mut socket = connected(server);
        socket.text(text);
        assert!(is_refused(&mut socket), "{text} leaves it open");
    }
    still_serves(server);
}

/// Whether the server closes, rather than serve on.
fn is_refused(socket: &mut Socket) -> bool {
    socket.text("42[\"message\",\"there?\"]");
    matches!(
        socket.receive(),
        Received::Close(..) | Received::None(Arrival::End | Arrival::Reset)
    )
}

#[test]
fn an_acknowledgement_that_nobody_awaits_is_dropped() {
    on_both(&[], |server| {
        let mut socket = connected(server);
        for ack in ["430[]", "4399[1]", "439007199254740991[]"] {
            socket.text(ack);
        }
        echoes(&mut socket);
    });
}

#[test]
fn a_second_connect_to_a_namespace_closes() {
    on_both(&[], |server: &Server| {
        let mut socket = connected(server);
        socket.text("40");
        assert!(is_refused(&mut socket));
    });
}
