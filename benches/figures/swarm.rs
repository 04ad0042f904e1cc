//! Many WebSocket clients on one thread: connect, send, and every frame that arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kinglet::wire::websocket::frame::{Opcode, Role, masked_frame, parse_header};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// The clients.
pub struct Swarm {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    scratch: Vec<u8>,
    upgrade: Vec<u8>,
    /// Clients whose handshake is done.
    pub open: usize,
    /// Bytes the kernel may hold for each client from now on; `None` leaves it to the kernel.
    pub receive_buffer: Option<usize>,
}

struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
    unsent: Vec<u8>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Connecting,
    Upgrading,
    Open,
    Closed,
    /// It reads nothing: a stalled consumer.
    Stalled,
}

impl Swarm {
    /// No clients yet; all of them will upgrade at `path`.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        let upgrade = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        Self {
            poll: Poll::new().expect("a poll"),
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            scratch: vec![0; 256 * 1024],
            upgrade: upgrade.into_bytes(),
            open: 0,
            receive_buffer: None,
        }
    }

    /// Connects `count` more clients, at most 512 at a time, and waits until all are open.
    pub fn connect(&mut self, address: SocketAddr, count: usize) {
        let goal = self.open + count;
        let mut started = 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.open < goal {
            assert!(
                Instant::now() < deadline,
                "{} of {goal} open after a minute",
                self.open
            );
            while started < count && self.clients.len() - self.open < 512 {
                let mut stream = dial(address, self.receive_buffer);
                let token = Token(self.clients.len());
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .register(&mut stream, token, interest)
                    .expect("registered");
                self.clients.push(Client {
                    stream,
                    pending: Vec::new(),
                    unsent: Vec::new(),
                    state: State::Connecting,
                });
                started += 1;
            }
            self.turn(Duration::from_millis(100), |_, _, _| {});
        }
    }

    /// Lets the client at `index` stop reading.
    pub fn stall(&mut self, index: usize) {
        self.clients[index].state = State::Stalled;
    }

    /// Lets a stalled client read everything to its end; returns the frames.
    pub fn drain(&mut self, index: usize) -> Vec<(Opcode, Vec<u8>)> {
        let client = &mut self.clients[index];
        client.state = State::Open;
        let mut frames = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && client.state == State::Open {
            read(client, &mut self.scratch, |opcode, payload| {
                frames.push((opcode, payload.to_vec()));
            });
            std::thread::yield_now();
        }
        frames
    }

    /// Queues a text message from the client at `index`; [`Swarm::flush`] sends what is queued.
    pub fn send(&mut self, index: usize, payload: &[u8]) {
        let client = &mut self.clients[index];
        let frame = masked_frame(Opcode::Text, payload, [1, 2, 3, 4]);
        client.unsent.extend_from_slice(&frame);
    }

    /// Sends what the client at `index` has queued.
    pub fn flush(&mut self, index: usize) {
        flush(&mut self.clients[index]);
    }

    /// Waits for events once and hands every frame to `on_frame`.
    pub fn turn(&mut self, timeout: Duration, mut on_frame: impl FnMut(usize, Opcode, &[u8])) {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) => panic!("poll: {error}"),
        }
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            if event.is_writable() {
                if client.state == State::Connecting {
                    client.unsent.extend_from_slice(&self.upgrade);
                    client.state = State::Upgrading;
                }
                flush(client);
            }
            if event.is_readable() && client.state != State::Stalled {
                let upgraded = read(client, &mut self.scratch, |opcode, payload| {
                    on_frame(index, opcode, payload);
                });
                self.open += usize::from(upgraded);
            }
        }
    }
}

fn dial(address: SocketAddr, receive_buffer: Option<usize>) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    if let Some(bytes) = receive_buffer {
        socket
            .set_recv_buffer_size(bytes)
            .expect("a smaller buffer");
    }
    socket.set_tcp_nodelay(true).expect("no delay");
    socket.set_nonblocking(true).expect("non-blocking");
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {}
        Err(error) => panic!("connect: {error}"),
    }
    TcpStream::from_std(socket.into())
}

/// Linux's number for a connect that goes on in the background.
const EINPROGRESS: i32 = 115;

fn flush(client: &mut Client) {
    while !client.unsent.is_empty() {
        match client.stream.write(&client.unsent) {
            Ok(taken) => drop(client.unsent.drain(..taken)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::NotConnected => return,
            Err(_) => {
                client.state = State::Closed;
                return;
            }
        }
    }
}

/// Reads all there is; true if the handshake was completed by it.
fn read(client: &mut Client, scratch: &mut [u8], mut on_frame: impl FnMut(Opcode, &[u8])) -> bool {
    let mut upgraded = false;
    loop {
        let count = match client.stream.read(scratch) {
            Ok(0) => {
                client.state = State::Closed;
                return upgraded;
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return upgraded,
            Err(_) => {
                client.state = State::Closed;
                return upgraded;
            }
        };
        let direct = client.pending.is_empty();
        if !direct {
            client.pending.extend_from_slice(&scratch[..count]);
        }
        let owned = std::mem::take(&mut client.pending);
        let bytes = if direct { &scratch[..count] } else { &owned };
        let mut at = 0;
        if client.state == State::Upgrading
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            assert!(
                bytes.starts_with(b"HTTP/1.1 101"),
                "{}",
                String::from_utf8_lossy(bytes)
            );
            at = end + 4;
            client.state = State::Open;
            upgraded = true;
        }
        while client.state == State::Open {
            let rest = &bytes[at..];
            let Some(start) = parse_header(rest, Role::Client).expect("valid frames") else {
                break;
            };
            let length = usize::try_from(start.length).expect("small frames");
            let Some(payload) = rest.get(start.header_bytes..start.header_bytes + length) else {
                break;
            };
            if start.opcode == Opcode::Ping {
                client
                    .unsent
                    .extend_from_slice(&masked_frame(Opcode::Pong, payload, [0; 4]));
            } else {
                if start.opcode == Opcode::Close {
                    client
                        .unsent
                        .extend_from_slice(&masked_frame(Opcode::Close, payload, [0; 4]));
                }
                on_frame(start.opcode, payload);
            }
            at += start.header_bytes + length;
        }
        if at < bytes.len() {
            client.pending = bytes[at..].to_vec();
        }
        if !client.unsent.is_empty() {
            flush(client);
        }
        if count < scratch.len() {
            return upgraded;
        }
    }
}
