//! Token mode over real sockets: who may call which route, with what, and that no credential gets
//! out again.

mod hygiene;
mod matrix;
mod publishing;
mod rate;

use kinglet::testkit::client::Answer;
use kinglet::testkit::server::Server;
use kinglet::testkit::socket::Socket;
use kinglet::testkit::tokens::{self, Token};

use crate::{request, start};

/// A key without grants, which may do everything.
pub const ROOT_KEY: &str = "the-key-of-the-root-backend-0001";
/// A key for the rooms `chat:…`.
pub const CHAT_KEY: &str = "the-key-of-the-chat-backend-0002";
/// A key with the role agent.
pub const AGENT_KEY: &str = "the-key-of-the-agent-backend-003";

const API_KEYS: &str = "[{name = \"root\", key = \"the-key-of-the-root-backend-0001\"}, \
                        {name = \"chat\", key = \"the-key-of-the-chat-backend-0002\", grants = \
                        {rooms = [{pattern = \"chat:*\", allow = [\"publish\", \"history\", \
                        \"presence\", \"subscribe\"]}]}}, \
                        {name = \"agent\", key = \"the-key-of-the-agent-backend-003\", grants = \
                        {role = \"agent\"}}]";

/// A server in token mode with three API keys, one of each kind, and `more` settings.
pub fn secured(more: &[(&str, &str)]) -> Server {
    let keys = [("KINGLET_AUTH__API_KEYS", API_KEYS)];
    start(&[&tokens::VARIABLES[..], &keys, more].concat())
}

/// Sends a request with a token or a key.
pub fn ask_as(bearer: &str, server: &Server, method: &str, target: &str, body: &str) -> Answer {
    let value = format!("Bearer {bearer}");
    request(server, method, target, &[("Authorization", &value)], body)
}

/// A session that shows `token`.
pub fn session(server: &Server, target: &str, token: &Token) -> Socket {
    let connection = kinglet::testkit::client::Connection::open(server.address());
    let bearer = token.bearer();
    let opened = Socket::handshake(connection, target, &[], &[("Authorization", &bearer)]);
    opened.unwrap_or_else(|refusal| panic!("{target} was refused: {refusal:?}"))
}
