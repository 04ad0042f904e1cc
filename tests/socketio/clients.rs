//! Clients that others wrote: socket.io-client 3 and 4 in Node.js and in Chromium, python-socketio.
//! Each over polling, over a WebSocket, and from one to the other. Where they are not installed,
//! their tests are skipped aloud.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kinglet::domain::access::ADMIN;
use kinglet::testkit::client::note;
use kinglet::testkit::server::Server;
use kinglet::testkit::tokens::{self, Token};

use crate::relay::Relay;
use crate::{echoing, start};

/// Pings often, and without haste.
const PINGS: [(&str, &str); 2] = [
    ("KINGLET_SOCKETIO__PING_INTERVAL", "200ms"),
    ("KINGLET_SOCKETIO__PING_TIMEOUT", "20s"),
];

const NO_RATES: [(&str, &str); 2] = [
    ("KINGLET_LIMITS__MESSAGES_PER_SECOND", "0"),
    ("KINGLET_LIMITS__API_REQUESTS_PER_SECOND", "0"),
];

/// A script to be run, or `None` if what runs it is not there, which is said.
fn script(name: &str) -> Option<Command> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/socketio");
    let interpreter = match name.ends_with(".py") {
        true => std::env::var_os("KINGLET_TEST_PYTHON").map(PathBuf::from),
        false => std::env::var_os("KINGLET_TEST_CLIENTS").map(|_| PathBuf::from("node")),
    };
    let Some(interpreter) = interpreter else {
        note(&format!(
            "skipped: {name}, because its client is not installed; `make test` installs it"
        ));
        return None;
    };
    let mut command = Command::new(interpreter);
    command.arg(folder.join(name));
    Some(command)
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

/// Runs it to its good end.
fn succeeds(command: &mut Command) {
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}

/// A script that asks for something to be done on its standard output, and is told on its standard
/// input that it is.
struct Conversation {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Conversation {
    fn begin(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The next thing that it asks for; `None` once it has come to its end, which is a good one.
    fn asks(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        if !line.is_empty() && !line.ends_with(" subjects\n") {
            return Some(line.trim_end().to_owned());
        }
        let mut said = String::new();
        let errors = self.child.stderr.as_mut().unwrap();
        errors.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        None
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echo(version: &str, transport: &str) {
    let Some(mut command) = script("echo.mjs") else {
        return;
    };
    let server = echoing(&PINGS);
    succeeds(command.args([&url(&server), version, transport]));
}

fn rooms(version: &str, transport: &str) {
    let Some(mut command) = script("rooms.mjs") else {
        return;
    };
    let query = [("KINGLET_AUTH__ALLOW_QUERY_TOKEN", "true")];
    let server = start(&[&tokens::VARIABLES[..], &NO_RATES, &PINGS, &query].concat());
    succeeds(command.args([&url(&server), version, transport, tokens::SECRET]));
}

#[test]
fn what_other_systems_did_is_done_as_the_page_on_migration_says() {
    let Some(mut command) = script("migration.mjs") else {
        return;
    };
    let named = [
        ("KINGLET_SOCKETIO__NAMESPACES", "[\"/\", \"/admin\"]"),
        ("KINGLET_SOCKETIO__JOIN_EVENTS", "join/leave"),
        ("KINGLET_ROOMS__CHAT__PUBLISH", "members"),
        ("KINGLET_ROOMS__CHAT__JOIN_LEAVE", "true"),
        ("KINGLET_ROOMS__STATE__HISTORY_COUNT", "1"),
    ];
    let server = start(&[&tokens::VARIABLES[..], &NO_RATES, &named].concat());
    succeeds(command.args([&url(&server), tokens::SECRET]));
}

fn python(subject: &str, transport: &str) {
    let Some(mut command) = script("client.py") else {
        return;
    };
    let server = echoing(&PINGS);
    let relay = Relay::start(server.address());
    let mut client = Conversation::begin(command.args([&relay.url(), subject, transport]));
    while let Some(wish) = client.asks() {
        assert_eq!(wish, "cut");
        relay.cut();
        client.tell("done");
    }
}

fn python_rooms(transport: &str) {
    let Some(mut command) = script("client.py") else {
        return;
    };
    let server = start(&[&tokens::VARIABLES[..], &NO_RATES].concat());
    let (ada, admin) = (
        Token::of("ada").sign(),
        Token::of("root").role(ADMIN).sign(),
    );
    succeeds(command.args([&url(&server), "rooms", transport, &ada, &admin]));
}

fn recovers(transport: &str) {
    let Some(mut command) = script("recovery.mjs") else {
        return;
    };
    let recovery = [
        ("KINGLET_SOCKETIO__RECOVERY", "2m"),
        // A client whose upgrade is cut at the wrong moment polls no more, and notices only then.
        ("KINGLET_SOCKETIO__PING_TIMEOUT", "5s"),
    ];
    let settings = [&NO_RATES[..], &PINGS, &recovery].concat();
    let mut server = start(&settings);
    let relay = Relay::start(server.address());
    let mut client = Conversation::begin(command.args([&relay.url(), &url(&server), transport]));
    while let Some(wish) = client.asks() {
        let mut answer = "done".to_owned();
        match &*wish {
            "cut" => relay.cut(),
            "restart" => {
                relay.lead_to(None);
                server.signal("KILL");
                relay.cut();
                server = start(&settings);
                answer = url(&server);
                relay.lead_to(Some(server.address()));
            }
            other => panic!("{other}"),
        }
        client.tell(&answer);
    }
}

#[test]
fn socket_io_client_4_echoes_over_polling() {
    echo("4", "polling");
}

#[test]
fn socket_io_client_4_echoes_over_websocket() {
    echo("4", "websocket");
}

#[test]
fn socket_io_client_4_echoes_with_an_upgrade() {
    echo("4", "upgrade");
}

#[test]
fn socket_io_client_3_echoes_over_polling() {
    echo("3", "polling");
}

#[test]
fn socket_io_client_3_echoes_over_websocket() {
    echo("3", "websocket");
}

#[test]
fn socket_io_client_3_echoes_with_an_upgrade() {
    echo("3", "upgrade");
}

#[test]
fn socket_io_client_4_is_in_rooms_over_polling() {
    rooms("4", "polling");
}

#[test]
fn socket_io_client_4_is_in_rooms_over_websocket() {
    rooms("4", "websocket");
}

#[test]
fn socket_io_client_4_is_in_rooms_with_an_upgrade() {
    rooms("4", "upgrade");
}

#[test]
fn socket_io_client_3_is_in_rooms_over_polling() {
    rooms("3", "polling");
}

#[test]
fn socket_io_client_3_is_in_rooms_over_websocket() {
    rooms("3", "websocket");
}

#[test]
fn socket_io_client_3_is_in_rooms_with_an_upgrade() {
    rooms("3", "upgrade");
}

#[test]
fn socket_io_client_4_is_recovered_over_polling() {
    recovers("polling");
}

#[test]
fn socket_io_client_4_is_recovered_over_websocket() {
    recovers("websocket");
}

#[test]
fn socket_io_client_4_is_recovered_with_an_upgrade() {
    recovers("upgrade");
}

#[test]
fn python_socketio_echoes_over_every_transport() {
    for transport in ["polling", "websocket", "upgrade"] {
        python("echo", transport);
    }
}

#[test]
fn python_socketio_is_told_that_a_namespace_is_none() {
    for transport in ["polling", "websocket", "upgrade"] {
        python("refused", transport);
    }
}

#[test]
fn python_socketio_comes_back_by_itself() {
    for transport in ["polling", "websocket", "upgrade"] {
        python("comes_back", transport);
    }
}

#[test]
fn python_socketio_is_in_rooms_over_every_transport() {
    for transport in ["polling", "websocket", "upgrade"] {
        python_rooms(transport);
    }
}

#[test]
fn one_publication_is_heard_at_once_by_clients_of_every_kind() {
    let Some(mut command) = script("together.mjs") else {
        return;
    };
    let server = start(&NO_RATES);
    succeeds(command.arg(url(&server)));
}

#[test]
fn socket_io_client_in_chromium_speaks_from_a_page_of_another_origin() {
    let Some(mut command) = script("browser.mjs") else {
        return;
    };
    if !Path::new("/usr/bin/chromium").exists() {
        return note("skipped: the clients in Chromium, because there is no /usr/bin/chromium");
    }
    let mut client = Conversation::begin(&mut command);
    let origin = client.asks().expect("the page's origin");
    let server = echoing(&[("KINGLET_SERVER__ALLOWED_ORIGINS", &origin)]);
    client.tell(&url(&server));
    assert_eq!(client.asks(), None);
}
