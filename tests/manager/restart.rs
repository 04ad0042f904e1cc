//! Restarts under clients that connect all the time: the manager keeps the socket, so nobody is
//! refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kinglet::testkit::client::note;

use crate::stand_in::{DEADLINE, Service};

const RESTARTS: usize = 4;
const CLIENTS: usize = 3;

/// How often clients got what.
#[derive(Debug, Default)]
struct Tally {
    served: usize,
    /// Told to come again: 503.
    told: usize,
    /// Accepted by the old one and closed by its goodbye, before it had read the request.
    closed: usize,
    refused: usize,
}

impl Tally {
    fn ask(&mut self, address: SocketAddr) {
        match TcpStream::connect(address) {
            Ok(stream) => match answer(stream).as_str() {
                head if head.starts_with("HTTP/1.1 200") => self.served += 1,
                head if head.starts_with("HTTP/1.1 503") => self.told += 1,
                "" => self.closed += 1,
                other => panic!("{other}"),
            },
            Err(_) => self.refused += 1,
        }
    }
}

fn send(stream: &mut TcpStream) {
    // The other end may have said goodbye.
    let _ =
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
}

fn answer(mut stream: TcpStream) -> String {
    send(&mut stream);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = Vec::new();
    // A reset ends it like an end does.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn nobody_is_refused_while_the_server_is_restarted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_over = AtomicBool::new(false);
    let tally = thread::scope(|scope| {
        let client = || {
            let mut tally = Tally::default();
            while !is_over.load(Ordering::Relaxed) {
                tally.ask(address);
            }
            tally
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let mut started = Service::new().start(&[&listener]);
        for _ in 0..RESTARTS {
            started.signal("TERM");
            assert_eq!(started.ends(), Some(0), "{:?}", started.log());
            // Between the two there is no server at all, and who comes then is served by the next.
            let mut between = TcpStream::connect(address).unwrap();
            send(&mut between);
            started = started.again().start(&[&listener]);
            assert!(answer(between).starts_with("HTTP/1.1 200"));
        }
        is_over.store(true, Ordering::Relaxed);
        let tallies = clients.into_iter().map(|client| client.join().unwrap());
        tallies.reduce(|one, other| Tally {
            served: one.served + other.served,
            told: one.told + other.told,
            closed: one.closed + other.closed,
            refused: one.refused + other.refused,
        })
    });
    let tally = tally.unwrap();
    note(&format!("restarts under clients: {tally:?}"));
    assert_eq!(tally.refused, 0, "{tally:?}");
    assert!(tally.served > RESTARTS * CLIENTS, "{tally:?}");
    // At most one of each client's at each restart.
    assert!(tally.told + tally.closed <= RESTARTS * CLIENTS, "{tally:?}");
}
