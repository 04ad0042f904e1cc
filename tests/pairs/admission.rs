//! Who may connect: counts per client and in all, exact whatever ends a connection.

mod random;

use std::net::IpAddr;
use std::time::Duration;

use kinglet::metrics::names::Counter;
use kinglet::testkit::world::{ClientId, End, World};
use kinglet::wire::websocket::frame::Opcode;

use crate::{SECOND, TICK, world};

/// Three connections per client, however often it comes.
const THREE: &str = "[limits]\nconnections_per_ip = 3\nnew_connections_per_minute = 0\n";
const CLIENT: &str = "192.0.2.1";
const LOCALHOST: &str = "127.0.0.1";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The status of the oldest answer not yet taken; 0 if there is none.
fn status(world: &mut World, id: ClientId) -> u16 {
    let answer = world.client(id).answers.pop_front();
    answer.map_or(0, |answer| answer.status)
}

/// Somebody connects from `from` and asks for a WebSocket, through a proxy if `forwarded` says for
/// whom; the status of the answer.
fn ask_from(world: &mut World, from: &str, forwarded: Option<&str>) -> (ClientId, u16) {
    let id = world.open_from(address(from));
    let named = forwarded.map(|client| ("X-Forwarded-For", client));
    world.client(id).upgrade_with(named.as_slice());
    world.settle();
    let status = status(world, id);
    (id, status)
}

/// How many connections are counted for `client`.
fn counted(world: &World, client: &str) -> usize {
    let counts = world.services.counted_clients();
    counts.get(&address(client)).copied().unwrap_or(0)
}

/// Ends a connection in one of the ways there are.
type Ending = fn(&mut World, ClientId);

const SESSION_ENDINGS: &[(&str, Ending)] = &[
    ("its end", |world, id| world.client(id).finish()),
    ("a cut", |world, id| world.client(id).cut()),
    ("its Close", |world, id| world.client(id).close(1000)),
    ("a frame that is none", |world, id| {
        world.client(id).send(&[0xff; 64]);
    }),
    ("a message that is not UTF-8", |world, id| {
        world.client(id).frame(Opcode::Text, b"\xff");
    }),
    ("no answer to Ping", |world, id| {
        world.client(id).answers_pings = false;
        world.advance(45 * SECOND + TICK);
    }),
    ("no answer to our Close", |world, id| {
        world.client(id).answers_close = false;
        world.client(id).send(&[0xff; 64]);
        world.advance(2 * SECOND + 2 * TICK);
    }),
    ("a stall", |world, id| {
        world.client(id).link.conditions.capacity = 10;
        world.client(id).appetite = Some(0);
        world.client(id).frame(Opcode::Ping, &[b'x'; 100]);
        world.advance(10 * SECOND + TICK);
    }),
];

const HTTP_ENDINGS: &[(&str, Ending)] = &[
    ("its end", |world, id| world.client(id).finish()),
    ("its end within a request", |world, id| {
        world.client(id).send(b"GET / HTTP/1.1\r\n");
        world.client(id).finish();
    }),
    ("a cut", |world, id| world.client(id).cut()),
    ("a request that is none", |world, id| {
        world.client(id).send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n");
    }),
    ("a request that is none, by one who stays", |world, id| {
        world.client(id).answers_close = false;
        world.client(id).send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n");
        world.advance(2 * SECOND + 2 * TICK);
    }),
    ("Connection: close", |world, id| {
        let close = [("Connection", "close")];
        world.client(id).request_with("GET", "/health", &close);
    }),
    ("a refused upgrade", |world, id| {
        let send = b"GET /ws HTTP/1.0\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n";
        world.client(id).send(send);
    }),
    ("no request in time", |world, _| {
        world.advance(10 * SECOND + TICK);
    }),
    ("no further request in time", |world, id| {
        world.client(id).request("GET", "/health", "");
        world.advance(60 * SECOND + TICK);
    }),
];

/// Fills what `CLIENT` may have, then lets one connection end: there is room for one more, and for
/// one only.
fn check_makes_room(name: &str, forwarded: Option<&str>, upgraded: bool, ending: Ending) {
    let mut world = world(THREE);
    let from = forwarded.map_or(CLIENT, |_| LOCALHOST);
    let kept = [0, 1].map(|_| ask_from(&mut world, from, forwarded).0);
    let last = if upgraded {
        ask_from(&mut world, from, forwarded).0
    } else {
        world.open_from(address(from))
    };
    assert_eq!(ask_from(&mut world, from, forwarded).1, 429, "{name}");
    assert_eq!(counted(&world, CLIENT), 3, "{name}");
    ending(&mut world, last);
    world.settle();
    assert_eq!(counted(&world, CLIENT), 2, "{name}");
    assert_eq!(ask_from(&mut world, from, forwarded).1, 101, "{name}");
    assert_eq!(ask_from(&mut world, from, forwarded).1, 429, "{name}");
    for id in kept {
        assert_eq!(world.client(id).end, None, "{name}: another one ended");
    }
    world.begin_drain(30 * SECOND);
    world.advance(SECOND);
    assert_eq!(world.services.counted_clients().len(), 0, "{name}");
    assert_eq!(world.services.connections(), 0, "{name}");
}

#[test]
fn whatever_ends_a_connection_makes_room_for_one() {
    for (name, ending) in SESSION_ENDINGS {
        check_makes_room(name, None, true, *ending);
        check_makes_room(name, Some(CLIENT), true, *ending);
    }
    for (name, ending) in HTTP_ENDINGS {
        check_makes_room(name, None, false, *ending);
    }
}

#[test]
fn an_ipv6_client_has_its_connections_for_its_64() {
    let mut world = world(THREE);
    for (from, status) in [
        ("2001:db8:0:1::1", 101),
        ("2001:db8:0:1::2", 101),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 101),
        ("2001:db8:0:1::1", 429),
        ("2001:db8:0:1:8000::", 429),
        ("2001:db8:0:2::1", 101),
        ("2001:db8::1", 101),
        // An IPv4 client is itself, however it is spelt.
        ("::ffff:192.0.2.1", 101),
        ("192.0.2.1", 101),
        ("::ffff:192.0.2.1", 101),
        ("192.0.2.1", 429),
        ("192.0.2.2", 101),
    ] {
        assert_eq!(ask_from(&mut world, from, None).1, status, "{from}");
    }
    assert_eq!(counted(&world, "2001:db8:0:1::"), 3);
    for (from, status) in [("2001:db8:0:2::9", 101), ("2001:db8:0:1::9", 429)] {
        let (_, found) = ask_from(&mut world, LOCALHOST, Some(from));
        assert_eq!(found, status, "{from} by a proxy");
    }
}

#[test]
fn an_address_connects_so_often_a_minute_and_is_told_when_to_come_again() {
    // A token each ten seconds.
    let config = "[limits]\nconnections_per_ip = 0\nnew_connections_per_minute = 6\n";
    for forwarded in [None, Some(CLIENT)] {
        let mut world = world(config);
        let from = forwarded.map_or(CLIENT, |_| LOCALHOST);
        let come = |world: &mut World| {
            let id = world.open_from(address(from));
            let named = forwarded.map(|client| ("X-Forwarded-For", client));
            world.client(id).upgrade_with(named.as_slice());
            world.settle();
            let answer = world.client(id).answers.pop_front().unwrap();
            (answer.status, answer.retry_after)
        };
        for _ in 0..6 {
            assert_eq!(come(&mut world), (101, None));
        }
        let refused = |seconds: &str| (429, Some(seconds.to_owned()));
        assert_eq!(come(&mut world), refused("11"));
        world.advance(10 * SECOND - Duration::from_nanos(1));
        assert_eq!(come(&mut world), refused("1"));
        world.advance(Duration::from_nanos(1));
        assert_eq!(come(&mut world), (101, None));
        assert_eq!(come(&mut world), refused("11"));
        // Refusals cost nothing, and no more than six are ever saved up.
        world.advance(3600 * SECOND);
        let welcome = (0..20).filter(|_| come(&mut world).0 == 101).count();
        assert_eq!(welcome, 6);
        assert_eq!(world.total(Counter::ConnectionsRefusedRate), 17);
    }
}

#[test]
fn behind_a_proxy_the_client_is_whom_the_nearest_trusted_one_names() {
    let config = "[server]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"fd00::/8\"]\n";
    let check = |from: &str, lines: &[&str], expected: Option<&str>| {
        let mut world = world(config);
        let id = world.open_from(address(from));
        let headers: Vec<_> = lines
            .iter()
            .map(|line| ("X-Forwarded-For", *line))
            .collect();
        world.client(id).upgrade_with(&headers);
        world.settle();
        assert_eq!(status(&mut world, id), 101);
        let counts = world.services.counted_clients();
        let found: Vec<_> = counts.keys().map(ToString::to_string).collect();
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{from} {lines:?}");
    };
    check(LOCALHOST, &["192.0.2.1"], Some("192.0.2.1"));
    check("10.0.0.1", &["192.0.2.1"], Some("192.0.2.1"));
    check("fd00::1", &["192.0.2.1"], Some("192.0.2.1"));
    // Several proxies, in one line or in several.
    check(
        LOCALHOST,
        &["192.0.2.1, 10.1.1.1, 10.2.2.2"],
        Some("192.0.2.1"),
    );
    check(LOCALHOST, &["192.0.2.1", "10.1.1.1"], Some("192.0.2.1"));
    // What the client wrote itself stands left of what the proxy saw.
    check(LOCALHOST, &["198.51.100.1, 192.0.2.1"], Some("192.0.2.1"));
    check(LOCALHOST, &["127.0.0.1, 192.0.2.1"], Some("192.0.2.1"));
    check(
        LOCALHOST,
        &["10.9.9.9, 192.0.2.1, 10.1.1.1"],
        Some("192.0.2.1"),
    );
    // Ports and brackets, and the /64 of IPv6.
    check(LOCALHOST, &["192.0.2.1:50123"], Some("192.0.2.1"));
    check(LOCALHOST, &["[2001:db8::1]:50123"], Some("2001:db8::"));
    check(LOCALHOST, &["[2001:db8::1]"], Some("2001:db8::"));
    check(LOCALHOST, &["2001:db8::1"], Some("2001:db8::"));
    check(LOCALHOST, &["::ffff:192.0.2.1"], Some("192.0.2.1"));
    // Nothing left of what is no address is believed: it counts for the one who sent it on.
    check(LOCALHOST, &["192.0.2.1, unknown"], Some(LOCALHOST));
    check(
        LOCALHOST,
        &["192.0.2.1, unknown, 10.1.1.1"],
        Some("10.1.1.1"),
    );
    check(LOCALHOST, &["192.0.2.1,"], Some(LOCALHOST));
    check(LOCALHOST, &[""], Some(LOCALHOST));
    check(LOCALHOST, &["10.1.1.1"], Some("10.1.1.1"));
    // A proxy that names nobody is a client itself, but for one on this machine.
    check("10.0.0.1", &[], Some("10.0.0.1"));
    check(LOCALHOST, &[], None);
    check("::1", &["192.0.2.1"], None);
    // Whoever is no trusted proxy names nobody.
    check("192.0.2.9", &["192.0.2.1"], Some("192.0.2.9"));
    check("::ffff:192.0.2.9", &["127.0.0.1"], Some("192.0.2.9"));
}

#[test]
fn naming_others_helps_nobody_who_is_not_trusted() {
    let mut world = world(THREE);
    for status in [101, 101, 101, 429, 429] {
        let name = format!("198.51.100.{status}");
        assert_eq!(ask_from(&mut world, CLIENT, Some(&name)).1, status);
    }
    // Nor does it harm those whose names are taken.
    assert_eq!(
        ask_from(&mut world, LOCALHOST, Some("198.51.100.101")).1,
        101
    );
}

#[test]
fn a_proxied_client_counts_for_its_sockets_and_not_for_its_requests() {
    let mut world = world(THREE);
    let client = [("X-Forwarded-For", CLIENT)];
    let resting: Vec<_> = (0..20)
        .map(|_| world.open_from(address(LOCALHOST)))
        .collect();
    for id in &resting {
        world.client(*id).request_with("GET", "/health", &client);
        world.settle();
        assert_eq!(status(&mut world, *id), 200);
    }
    assert_eq!(counted(&world, CLIENT), 0);
    let sockets = [0, 1, 2].map(|_| {
        let (id, status) = ask_from(&mut world, LOCALHOST, Some(CLIENT));
        assert_eq!(status, 101);
        id
    });
    // The refused connection is the proxy's, which goes on with it for others.
    let shared = resting[0];
    world.client(shared).upgrade_with(&client);
    world.settle();
    let answer = world.client(shared).answers.pop_front().unwrap();
    assert_eq!(
        (answer.status, answer.retry_after.as_deref()),
        (429, Some("5"))
    );
    assert_eq!(answer.connection.as_deref(), None);
    world.client(shared).request_with("GET", "/health", &client);
    world.client(sockets[0]).cut();
    world.settle();
    assert_eq!(status(&mut world, shared), 200);
    // A handshake that fails gives back at once what it was counted for.
    world.client(shared).request_with("GET", "/ws", &client);
    world.settle();
    assert_eq!(status(&mut world, shared), 426);
    assert_eq!(counted(&world, CLIENT), 2);
    let another = [("X-Forwarded-For", "192.0.2.2")];
    world.client(shared).upgrade_with(&another);
    world.settle();
    assert_eq!(status(&mut world, shared), 101);
    assert_eq!(
        (counted(&world, CLIENT), counted(&world, "192.0.2.2")),
        (2, 1)
    );
    assert_eq!(world.total(Counter::ConnectionsRefusedClient), 1);
}

#[test]
fn who_comes_from_this_machine_without_a_proxy_is_counted_for_nobody() {
    let mut world = world("[limits]\nconnections_per_ip = 1\nnew_connections_per_minute = 1\n");
    for _ in 0..100 {
        for from in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(ask_from(&mut world, from, None).1, 101, "{from}");
        }
    }
    assert_eq!(world.services.counted_clients().len(), 0);
}

#[test]
fn the_rate_of_requests_is_the_proxied_clients_own() {
    let mut world = world("[limits]\napi_requests_per_second = 2\n");
    let proxy = world.open_from(address(LOCALHOST));
    let ask = |world: &mut World, headers: &[(&str, &str)]| {
        world
            .client(proxy)
            .request_with("GET", "/api/v1/rooms", headers);
        world.settle();
        let answer = world.client(proxy).answers.pop_front().unwrap();
        (answer.status, answer.retry_after)
    };
    let named = |client| [("X-Forwarded-For", client)];
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(ask(&mut world, &named(client)).0, 200);
        assert_eq!(ask(&mut world, &named(client)).0, 200);
        let limited = ask(&mut world, &named(client));
        assert_eq!(limited, (429, Some("1".to_owned())), "{client}");
    }
    // The /64 is one client, the proxy's own requests are another's.
    assert_eq!(ask(&mut world, &named("2001:db8::2")).0, 429);
    assert_eq!(ask(&mut world, &[]).0, 200);
    world.advance(SECOND / 2);
    assert_eq!(ask(&mut world, &named("192.0.2.1")).0, 200);
    assert_eq!(ask(&mut world, &named("192.0.2.1")).0, 429);
    assert_eq!(world.total(Counter::RateLimitedRequests), 5);
}

#[test]
fn a_full_server_keeps_eight_places_for_this_machine() {
    let mut world = world("[limits]\nconnections = 4\n");
    let inside: Vec<_> = (0..4).map(|n| format!("192.0.2.{n}")).collect();
    for from in &inside {
        assert_eq!(ask_from(&mut world, from, None).1, 101);
    }
    assert_eq!(ask_from(&mut world, "192.0.2.9", None).1, 503);
    let kept: Vec<_> = (0..8)
        .map(|_| world.open_from(address(LOCALHOST)))
        .collect();
    assert_eq!(ask_from(&mut world, LOCALHOST, None).1, 503);
    // The last places are for those who look after the server, not for more sessions.
    for (index, (method, target, expected)) in [
        ("GET", "/health", 200),
        ("GET", "/health/live", 200),
        ("GET", "/ws", 503),
        ("GET", "/", 503),
        ("POST", "/api/v1/publish", 503),
    ]
    .into_iter()
    .enumerate()
    {
        world.client(kept[index]).request(method, target, "");
        world.settle();
        assert_eq!(status(&mut world, kept[index]), expected, "{target}");
        assert_eq!(world.client(kept[index]).end, Some(End::Finished));
    }
    // A proxy's clients get no session there either, and are counted for none.
    assert_eq!(ask_from(&mut world, LOCALHOST, Some("192.0.2.7")).1, 503);
    assert_eq!(counted(&world, "192.0.2.7"), 0);
    assert_eq!(world.services.connections(), 4 + 3);
    assert_eq!(world.total(Counter::ReservedRefused), 4);
}
