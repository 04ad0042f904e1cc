//! Real proxies in front of the real server: the configurations in docs/proxy.md, each in a process
//! of its own with a folder of its own, ended by its id. Skipped, with a line that says so, where
//! the program is not installed.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kinglet::testkit::client::{Answer, Connection, note, post};
use kinglet::testkit::server::{Server, until};
use kinglet::testkit::socket::Socket;
use kinglet::wire::http::client::encode_request;
use kinglet::wire::websocket::handshake::client_request;
use serde_json::json;
use tempfile::TempDir;

/// The name under which the proxies of the document are known.
pub const NAME: &str = "chat.example";
/// Where the document's kinglet listens.
pub const UPSTREAM: &str = "127.0.0.1:8080";

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A running proxy.
pub struct Front {
    child: Child,
    folder: TempDir,
    /// Where it speaks HTTP.
    pub plain: SocketAddr,
    /// Where it speaks TLS, if it does.
    pub secure: SocketAddr,
}

/// The first block of docs/proxy.md in this language.
pub fn documented(language: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/proxy.md");
    let document = fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Whether `program` can be started; says so if not.
pub fn is_installed(program: &str, asking: &str) -> bool {
    let mut command = Command::new(program);
    let asked = command.arg(asking).stdout(Stdio::null());
    let is_there = asked.stderr(Stdio::null()).status().is_ok();
    if !is_there {
        note(&format!(
            "SKIPPED: {program} is not installed (apt-get install {program})"
        ));
    }
    is_there
}

impl Front {
    /// Starts what `start` makes of a folder and two addresses. Both were free a moment ago; it is
    /// tried again if somebody else was quicker.
    pub fn start(start: impl Fn(&Path, SocketAddr, SocketAddr) -> Command) -> Self {
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let [plain, secure] = free_addresses();
            let log = fs::File::create(folder.path().join("log")).unwrap();
            let mut command = start(folder.path(), plain, secure);
            let command = command.current_dir(folder.path()).stdin(Stdio::null());
            let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
            let mut front = Self {
                child,
                folder,
                plain,
                secure,
            };
            if front.listens() {
                return front;
            }
        }
        panic!("no proxy came to listen");
    }

    fn listens(&mut self) -> bool {
        let mut is_there = false;
        until("the proxy listens or ends", || {
            let ended = self.child.try_wait().unwrap().is_some();
            is_there = !ended && Connection::try_open(self.plain).is_ok();
            ended || is_there
        });
        if !is_there {
            let log = fs::read_to_string(self.folder.path().join("log"));
            note(&format!("the proxy ended: {log:?}"));
        }
        is_there
    }

    /// Where the file `name` of its folder is.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The address that a browser shows for its pages.
    pub fn origin(&self) -> String {
        format!("http://{}", self.host())
    }

    fn host(&self) -> String {
        format!("{NAME}:{}", self.plain.port())
    }

    /// A request as a browser sends it that was given the proxy's name.
    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let body = match method {
            "POST" => &b"{\"room\":\"a\",\"event\":\"x\"}"[..],
            _ => b"",
        };
        let mut connection = Connection::open(self.plain);
        connection.send(encode_request(method, target, &self.host(), headers, body));
        connection.answer(false).unwrap()
    }

    /// Expects that an event stream comes through, and each event at once.
    pub fn streams(&self, server: &Server) {
        let mut connection = Connection::open(self.plain);
        let target = "/api/v1/rooms/a/events";
        connection.send(encode_request("GET", target, &self.host(), &[], b""));
        connection.take_through(b"\"subscribed\"");
        for number in 0..3 {
            let body = json!({"room": "a", "event": "said", "data": number});
            assert_eq!(
                post(server.address(), "/api/v1/publish", &body).status(),
                200
            );
            connection.take_through(format!("\"data\":{number}}}").as_bytes());
        }
    }

    /// The same for a WebSocket.
    pub fn upgrade(&self, headers: &[(&str, &str)]) -> Result<Socket, Answer> {
        let mut connection = Connection::open(self.plain);
        connection.send(client_request(&self.host(), "/ws", KEY, &[], headers));
        let answer = connection.answer(false).unwrap();
        if answer.status() == 101 {
            return Ok(Socket::on(connection, String::new()));
        }
        Err(answer)
    }

    /// The status and message that a page from the proxy's own address gets for a WebSocket.
    pub fn own_page(&self) -> (u16, String) {
        match self.upgrade(&[("Origin", &self.origin())]) {
            Ok(_) => (101, String::new()),
            Err(refusal) => (refusal.status(), message(&refusal)),
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an error of kinglet's says.
pub fn message(refusal: &Answer) -> String {
    let json = refusal.json();
    json["error"]["message"].as_str().unwrap().to_owned()
}

fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
