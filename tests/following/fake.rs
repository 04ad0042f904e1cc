//! A server that follows a script, one step for each connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use kinglet::wire::websocket::close::close_payload;
use kinglet::wire::websocket::frame::{Opcode, frame};
use kinglet::wire::websocket::handshake::{accept_key, switching_protocols};

/// What happens to one connection.
#[derive(Clone)]
pub enum Step {
    /// The WebSocket opens, the hello comes, then this close code, or none.
    Close(Option<u16>),
    /// The WebSocket opens, the hello comes, then the connection ends without a close frame.
    Cut,
    /// The WebSocket opens, then this message comes.
    Say(&'static str),
    /// This answer.
    Answer(&'static str),
}

/// The server; it ends with its script.
pub struct Fake {
    pub url: String,
    /// The head of each request, in lower case, and when it came.
    pub requests: Receiver<(String, Instant)>,
}

impl Fake {
    pub fn start(script: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let script = script.to_vec();
        thread::spawn(move || {
            for step in script {
                let (stream, _) = listener.accept().unwrap();
                let head = play(stream, &step);
                // The test may have seen enough.
                let _ = sender.send((head.to_ascii_lowercase(), Instant::now()));
            }
        });
        let url = format!("http://{address}");
        Self { url, requests }
    }

    pub fn request(&self) -> (String, Instant) {
        let patience = Duration::from_secs(20);
        self.requests.recv_timeout(patience).expect("a request")
    }
}

fn play(mut stream: TcpStream, step: &Step) -> String {
    let head = read_head(&mut stream);
    let mut out = Vec::new();
    let open = |out: &mut Vec<u8>| {
        let mut lines = head.lines();
        let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        switching_protocols(&accept_key(key.unwrap()), Some("kinglet.v1"), None, out);
        out.extend(frame(
            Opcode::Text,
            br#"{"type":"connected","ping_interval_ms":25000,"rooms":[]}"#,
        ));
    };
    match step {
        Step::Answer(answer) => out.extend(answer.as_bytes()),
        Step::Cut => open(&mut out),
        Step::Say(text) => {
            open(&mut out);
            out.extend(frame(Opcode::Text, text.as_bytes()));
        }
        Step::Close(code) => {
            open(&mut out);
            let payload = code.map_or_else(Vec::new, |code| close_payload(code, "says the script"));
            out.extend(frame(Opcode::Close, &payload));
        }
    }
    stream.write_all(&out).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // Until the client is gone, lest what it still sends resets what it was told.
    let _ = stream.read_to_end(&mut Vec::new());
    head
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}
