//! A WebSocket server of another make, one thread for each connection: it echoes at /echo, hands
//! on to everybody at /hub, says nothing at /mute, is a hub of Socket.IO at /socket.io/, and hands on
//! what is posted to /pub.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use kinglet::wire::websocket::assembler::{Assembler, AssemblerLimits, Event};
use kinglet::wire::websocket::frame::{Opcode, Role, frame};
use kinglet::wire::websocket::handshake::{accept_key, switching_protocols};

/// What is wrong with the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Good,
    /// It lets in only those with `X-Secret: open sesame`.
    WantsHeader,
    /// It hands on only every other message.
    Forgets,
    /// It hands on every message twice.
    Repeats,
    /// It changes the last byte of every echo.
    Garbles,
}

type Members = Arc<Mutex<Vec<TcpStream>>>;

/// Starts a server that lives as long as the process; its URL without a path.
pub fn start_hub(behaviour: Behaviour) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let members = Members::default();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let members = Arc::clone(&members);
            // A peer that goes away ends its thread, and nothing else.
            thread::spawn(move || {
                let ours = stream.try_clone();
                serve(stream, &members, behaviour);
                // The list of members may still hold it open.
                ours.is_ok_and(|stream| stream.shutdown(Shutdown::Both).is_ok())
            });
        }
    });
    url
}

fn serve(mut stream: TcpStream, members: &Members, behaviour: Behaviour) -> Option<()> {
    let request = read_head(&mut stream)?;
    if behaviour == Behaviour::WantsHeader && !request.contains("\r\nX-Secret: open sesame\r\n") {
        let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(answer).ok();
    }
    if request.starts_with("POST /pub ") {
        return serve_posts(stream, &request, members);
    }
    let key = request
        .split("Sec-WebSocket-Key: ")
        .nth(1)?
        .lines()
        .next()?;
    let mut answer = Vec::new();
    switching_protocols(&accept_key(key), None, None, &mut answer);
    let path = request.split(' ').nth(1)?;
    let is_socketio = path.starts_with("/socket.io/?EIO=4&transport=websocket");
    let is_hub = path.starts_with("/hub") || is_socketio;
    {
        let mut members = members.lock().ok()?;
        stream.write_all(&answer).ok()?;
        if is_socketio {
            stream
                .write_all(&frame(Opcode::Text, b"0{\"sid\":\"a\"}"))
                .ok()?;
        }
        if is_hub {
            members.push(stream.try_clone().ok()?);
        }
    }
    let limits = AssemblerLimits {
        message_bytes: usize::MAX,
        fragments: u32::MAX,
    };
    let mut assembler = Assembler::new(Role::Server);
    let mut buffer = [0; 4096];
    let mut count = 0;
    loop {
        let arrived = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        let mut taken = 0;
        while taken < arrived {
            let (used, event) = assembler.next(&mut buffer[taken..arrived], &limits).ok()?;
            taken += used;
            match event {
                Some(Event::Close(_)) => return stream.write_all(&frame(Opcode::Close, &[])).ok(),
                Some(Event::Text("40")) if is_socketio => {
                    stream
                        .write_all(&frame(Opcode::Text, b"40{\"sid\":\"b\"}"))
                        .ok()?;
                }
                Some(Event::Text(text)) if is_hub => {
                    count += 1;
                    let times = match behaviour {
                        Behaviour::Forgets => count % 2,
                        Behaviour::Repeats => 2,
                        Behaviour::Good | Behaviour::WantsHeader | Behaviour::Garbles => 1,
                    };
                    let message = frame(Opcode::Text, text.as_bytes()).repeat(times);
                    for member in members.lock().ok()?.iter_mut() {
                        // Those who left are of no interest.
                        let _ = member.write_all(&message);
                    }
                }
                Some(Event::Text(text)) if path.starts_with("/echo") => {
                    let mut bytes = text.as_bytes().to_vec();
                    if behaviour == Behaviour::Garbles {
                        *bytes.last_mut()? = b'?';
                    }
                    stream.write_all(&frame(Opcode::Text, &bytes)).ok()?;
                }
                Some(
                    Event::Text(_)
                    | Event::Binary(_)
                    | Event::Compressed(..)
                    | Event::Ping(_)
                    | Event::Pong(_),
                )
                | None => {}
            }
        }
    }
}

/// One POST behind the other; each body is handed on as a message.
fn serve_posts(mut stream: TcpStream, first: &str, members: &Members) -> Option<()> {
    let mut head = first.to_owned();
    loop {
        let length = head.split("Content-Length: ").nth(1)?.lines().next()?;
        let mut body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        for member in members.lock().ok()?.iter_mut() {
            // Those who left are of no interest.
            let _ = member.write_all(&frame(Opcode::Text, &body));
        }
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).ok()?;
        head = read_head(&mut stream)?;
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
