//! The real binary on a port of the system's choice, and its clients, on the library's own codecs.
//!
//! Invariant: nothing here waits longer than [`DEADLINE`], and a server ends with its value.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use kinglet::testkit::tokens::{self, Token};
use kinglet::wire::http::client::{ResponseLimits, ResponseReader, encode_request};
use kinglet::wire::http::scan::HeadLimits;
use kinglet::wire::websocket::assembler::{Assembler, AssemblerLimits, Event};
use kinglet::wire::websocket::close::close_payload;
use kinglet::wire::websocket::frame::{Opcode, Role, masked_frame};
use kinglet::wire::websocket::handshake::{check_switching, client_key, client_request};
use serde_json::Value;
use tempfile::TempDir;

use crate::STAND_IN;
use crate::document::{Request, Transcript};

/// Below the earliest ping of a server, so that a message that does not come is not mistaken for
/// one.
const DEADLINE: Duration = Duration::from_secs(10);

const ANSWER: ResponseLimits = ResponseLimits {
    head: HeadLimits {
        bytes: 16 * 1024,
        headers: 100,
    },
    body: 16 * 1024 * 1024,
};

const MESSAGE: AssemblerLimits = AssemblerLimits {
    message_bytes: 16 * 1024 * 1024,
    fragments: 1,
};

/// A masking key; it hides nothing here.
const MASK: [u8; 4] = [7, 77, 177, 17];

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// What requests show.
    authorization: Option<String>,
    /// Where its data is, and a directory for projects.
    folder: TempDir,
}

impl Server {
    /// Starts the binary as `transcript` needs it.
    pub fn start(transcript: &Transcript) -> Self {
        let settings = &transcript.settings;
        let token_mode = transcript.asks_for_tokens.then_some(tokens::VARIABLES);
        let folder = tempfile::tempdir().unwrap();
        let agent = transcript.needs_agent.then(|| {
            [
                (variable("agents.claude.command"), STAND_IN.to_owned()),
                (variable("projects.roots"), directory(&folder)),
            ]
        });
        let role = transcript.role.as_ref();
        let child = Command::new(env!("CARGO_BIN_EXE_kinglet"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env(variable("server.listen"), "127.0.0.1:0")
            .env(variable("server.data_dir"), folder.path().join("data"))
            .envs(agent.into_iter().flatten())
            .envs(settings.iter().map(|(key, value)| (variable(key), value)))
            .envs(token_mode.into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // From here on the child ends with this value, whatever becomes of the test.
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            authorization: role.map(|role| Token::of("me").role(role).bearer()),
            folder,
        };
        let (lines, said) = channel();
        forward(server.child.stdout.take().unwrap(), lines.clone());
        forward(server.child.stderr.take().unwrap(), lines);
        let mut heard = Vec::new();
        while let Ok(line) = said.recv_timeout(DEADLINE) {
            if let Some(address) = address_in(&line) {
                server.address = address;
                return server;
            }
            heard.push(line);
        }
        panic!("the server did not say where it listens: {heard:?}");
    }

    /// The directory that projects may be in, as the server spells it.
    pub fn directory(&self) -> String {
        directory(&self.folder)
    }

    /// Asks over a connection of its own; returns status and body.
    pub fn ask(&self, request: &Request) -> (u16, Value) {
        let host = self.address.to_string();
        let mut headers = vec![
            ("Connection", "close"),
            ("Content-Type", "application/json"),
        ];
        let shown = self.authorization.iter();
        headers.extend(shown.map(|value| ("Authorization", value.as_str())));
        let body = request.body.as_bytes();
        let bytes = encode_request(&request.method, &request.target, &host, &headers, body);
        let mut stream = connect(self.address);
        stream.write_all(&bytes).unwrap();
        let (answer, _) = read_answer(&mut stream);
        let body = match answer.body() {
            [] => Value::Null,
            body => serde_json::from_slice(body).unwrap(),
        };
        (answer.status().unwrap(), body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a socket receives.
#[derive(Debug, PartialEq)]
pub enum Received {
    Message(Value),
    Close(u16),
    Pong,
}

/// A WebSocket client.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    assembler: Assembler,
    input: Vec<u8>,
}

impl Socket {
    /// Connects to `path` and checks the handshake.
    pub fn open(address: SocketAddr, path: &str, transcript: &Transcript) -> Self {
        let protocol = transcript.protocol.as_deref();
        let bearer = transcript
            .user
            .as_deref()
            .map(|user| Token::of(user).bearer());
        let shown = bearer.iter();
        let headers: Vec<_> = shown
            .map(|value| ("Authorization", value.as_str()))
            .collect();
        let key = client_key([5; 16]);
        let offered: Vec<&str> = protocol.into_iter().collect();
        let mut stream = connect(address);
        let request = client_request(&address.to_string(), path, &key, &offered, &headers);
        stream.write_all(&request).unwrap();
        let (answer, input) = read_answer(&mut stream);
        let head = answer.head().unwrap();
        let accept = head.header("sec-websocket-accept");
        assert!(
            check_switching(head.status(), accept, &key),
            "refused with {}: {}",
            head.status(),
            String::from_utf8_lossy(answer.body())
        );
        assert_eq!(head.header("sec-websocket-protocol"), protocol);
        Self {
            stream,
            assembler: Assembler::new(Role::Client),
            input,
        }
    }

    pub fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let frame = masked_frame(opcode, payload, MASK);
        self.stream.write_all(&frame).unwrap();
    }

    pub fn close(&mut self, code: u16) {
        self.send(Opcode::Close, &close_payload(code, ""));
    }

    /// Whether nothing has been sent that was not received: the answer to a ping comes next.
    pub fn is_quiet(&mut self) -> Result<(), Received> {
        self.send(Opcode::Ping, b"");
        match self.receive() {
            Received::Pong => Ok(()),
            other => Err(other),
        }
    }

    pub fn receive(&mut self) -> Received {
        loop {
            let (taken, event) = self.assembler.next(&mut self.input, &MESSAGE).unwrap();
            let received = match event {
                Some(Event::Text(text)) => Some(Received::Message(
                    serde_json::from_str(text).expect("one JSON per frame"),
                )),
                Some(Event::Close(reason)) => {
                    Some(Received::Close(reason.map_or(1005, |reason| reason.code)))
                }
                Some(Event::Pong(_)) => Some(Received::Pong),
                Some(Event::Binary(_)) => panic!("a binary message"),
                Some(Event::Compressed(..)) => panic!("a compressed message"),
                Some(Event::Ping(_)) | None => None,
            };
            let is_idle = event.is_none();
            self.input.drain(..taken);
            if let Some(received) = received {
                return received;
            }
            if is_idle {
                let mut buffer = [0; 16 * 1024];
                let count = self.stream.read(&mut buffer).unwrap();
                assert!(count > 0, "the connection ended without a close frame");
                self.input.extend_from_slice(&buffer[..count]);
            }
        }
    }
}

/// The variable of a config key.
fn variable(key: &str) -> String {
    format!("KINGLET_{}", key.replace('.', "__").to_uppercase())
}

/// The directory for projects, made if it is not there, without links in its path.
fn directory(folder: &TempDir) -> String {
    let path = folder.path().canonicalize().unwrap().join("project");
    fs::create_dir_all(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Reads an answer; what follows it is the second value.
fn read_answer(stream: &mut TcpStream) -> (ResponseReader, Vec<u8>) {
    let mut reader = ResponseReader::new(false, ANSWER);
    loop {
        let mut buffer = [0; 16 * 1024];
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            reader.eof().unwrap();
        }
        let taken = reader.feed(&buffer[..count]).unwrap();
        if reader.is_done() {
            return (reader, buffer[taken..count].to_vec());
        }
    }
}

/// The address in the line that says where the server listens.
fn address_in(line: &str) -> Option<SocketAddr> {
    let behind = |mark| Some(line.split_once(mark)?.1);
    let text = behind("listens on http://").or_else(|| behind("listening ["))?;
    text.split([' ', ',', ']', '/']).next()?.parse().ok()
}

/// Reads the lines of a stream until it ends, so that whoever writes it never waits.
fn forward(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Whoever listens may have heard enough.
            let _ = lines.send(line);
        }
    });
}
