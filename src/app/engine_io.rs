//! Which requests are Engine.IO's, and how they are answered.
//!
//! May not touch: sessions, which are the shard's.

use serde_json::json;

use crate::app::services::Live;
use crate::domain::fault::Code;
use crate::wire::engine_io::fault::{PacketFault, RequestFault};
use crate::wire::engine_io::query::EngineRequest;
use crate::wire::http::content_coding;
use crate::wire::http::head::{Head, Method};
use crate::wire::http::query::pairs;
use crate::wire::http::response::{Response, Status};

/// What is allowed on a path of Engine.IO.
pub const METHODS: &str = "GET, POST, OPTIONS";

/// Whether a request is Engine.IO's: by its path, or, where native WebSockets connect, too, by the
/// version in its query.
#[must_use]
pub fn is_asked(head: &Head, live: &Live) -> bool {
    let socketio = &live.config.socketio;
    let has_version = || pairs(head.query()).any(|(name, _)| name == "EIO");
    let is_native = head.path() == "/ws" && !socketio.paths.is_empty();
    socketio.serves(head.path()) || is_native && has_version()
}

/// What the request wants, or the answer that refuses it.
///
/// # Errors
/// The answer to a request that makes no sense.
pub fn understand(head: &Head) -> Result<EngineRequest, Box<Response>> {
    let upgrades = head.has_token("upgrade", "websocket");
    let asked = EngineRequest::parse(head.query(), head.method(), upgrades);
    let asked = asked.map_err(|fault| Box::new(refusal(fault)))?;
    let content = head.header("content-type").unwrap_or_default();
    // Version 3 sent bytes so; read as text they would be something else.
    if head.method() == Method::Post && content.starts_with("application/octet-stream") {
        return Err(Box::new(refusal(PacketFault::NotUtf8.into())));
    }
    Ok(asked)
}

/// The answer to a request that is refused: the number and words of the reference server.
#[must_use]
pub fn refusal(fault: RequestFault) -> Response {
    let mut body = Vec::new();
    fault.write_body(&mut body);
    Response::raw_json(fault.status(), body.into())
}

/// The answer to a page that may not connect: what clients of Socket.IO know, and, for who looks, as
/// the API says it.
#[must_use]
pub fn forbidden(message: &str) -> Response {
    let fault = RequestFault::Forbidden;
    let error = json!({"code": Code::PermissionDenied.as_str(), "message": message});
    let body = json!({"code": fault.code(), "message": fault.message(), "error": error});
    Response::raw_json(fault.status(), body.to_string().into())
}

/// The answer to a POST.
#[must_use]
pub fn ok() -> Response {
    let mut response = Response::empty(Status::OK).header("Content-Type", "text/html");
    response.body = "ok".into();
    response
}

/// The answer to a poll whose client reads the codings of `accepts`, values of Accept-Encoding.
#[must_use]
pub fn body(packets: Vec<u8>, accepts: Option<&str>) -> Response {
    let mut response = Response::empty(Status::OK)
        .header("Content-Type", "text/plain; charset=UTF-8")
        .header("Cache-Control", "no-store");
    if accepts.is_some() {
        response = response.header("Vary", "Accept-Encoding");
    }
    let (coding, body) = content_coding::encode(accepts.into_iter(), packets);
    if let Some(coding) = coding {
        response = response.header("Content-Encoding", coding);
    }
    response.body = body.into();
    response
}

/// What a request says of the codings that its client reads, unless it says too much.
#[must_use]
pub fn accepts(head: &Head) -> Option<Box<str>> {
    let values: Vec<&str> = head.header_values("accept-encoding").collect();
    let all = values.join(",");
    (1..=ACCEPTS_BYTES).contains(&all.len()).then(|| all.into())
}

/// Bytes of that which are kept while a poll hangs; browsers send some 30.
const ACCEPTS_BYTES: usize = 256;
