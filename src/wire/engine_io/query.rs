//! What a request to an Engine.IO path asks for: its method, its query, and whether it upgrades.
//!
//! `t` keeps caches away and `b64` asks for what version 4 does anyway; both are ignored, as is any
//! other parameter. Invariant: a request is understood as one thing or refused, whatever stands in
//! its query and however often.

use std::borrow::Cow;

use crate::base::ids::SessionId;
use crate::wire::engine_io::fault::{BadRequest, RequestFault};
use crate::wire::engine_io::handshake::Transport;
use crate::wire::http::head::Method;
use crate::wire::http::query::pairs;

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineRequest {
    /// To begin a session; over a WebSocket if that is what it upgrades to.
    Handshake(Transport),
    /// To hear what is new.
    Poll(SessionId),
    /// To say what its body holds.
    Post(SessionId),
    /// To bring a session that was polled onto the WebSocket that it becomes.
    Attach(SessionId),
}

impl EngineRequest {
    /// Understands a request; preflights (OPTIONS) are answered before. `upgrades` says whether it
    /// asks to become a WebSocket.
    ///
    /// # Errors
    /// A [`RequestFault`] that is to be answered; its session, if it has one, stays as it is.
    pub fn parse(query: &str, method: Method, upgrades: bool) -> Result<Self, RequestFault> {
        let fields = Fields::read(query)?;
        let transport = fields.transport.as_deref().and_then(Transport::parse);
        let transport = transport.ok_or(RequestFault::TransportUnknown)?;
        if fields.version.as_deref() != Some("4") {
            return Err(RequestFault::UnsupportedVersion);
        }
        if fields.jsonp.is_some() {
            return Err(RequestFault::BadRequest(BadRequest::Jsonp));
        }
        let is_websocket = transport == Transport::WebSocket;
        let not_an_upgrade = RequestFault::BadRequest(BadRequest::NotAnUpgrade);
        let Some(id) = fields.session else {
            return match method {
                Method::Get if upgrades == is_websocket => Ok(Self::Handshake(transport)),
                Method::Get => Err(not_an_upgrade),
                Method::Post
                | Method::Head
                | Method::Put
                | Method::Patch
                | Method::Delete
                | Method::Options
                | Method::Other => Err(RequestFault::HandshakeMethod),
            };
        };
        // No session has an id of another form.
        let id = SessionId::parse(&id).ok_or(RequestFault::SessionUnknown)?;
        if upgrades != is_websocket {
            return Err(not_an_upgrade);
        }
        match method {
            Method::Get if is_websocket => Ok(Self::Attach(id)),
            Method::Get => Ok(Self::Poll(id)),
            Method::Post if !is_websocket => Ok(Self::Post(id)),
            Method::Post
            | Method::Head
            | Method::Put
            | Method::Patch
            | Method::Delete
            | Method::Options
            | Method::Other => Err(RequestFault::BadRequest(BadRequest::Method)),
        }
    }
}

/// The parameters that have a meaning.
#[derive(Default)]
struct Fields<'a> {
    version: Option<Cow<'a, str>>,
    transport: Option<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    jsonp: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn read(query: &'a str) -> Result<Self, RequestFault> {
        let mut fields = Self::default();
        for (name, value) in pairs(query) {
            let field = match &*name {
                "EIO" => &mut fields.version,
                "transport" => &mut fields.transport,
                "sid" => &mut fields.session,
                "j" => &mut fields.jsonp,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(RequestFault::BadRequest(BadRequest::Repeated));
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "0123456789abcdef0123456789abcdef";
    const ID: SessionId = SessionId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

    fn check(query: &str, method: Method, upgrades: bool, expected: Result<EngineRequest, u8>) {
        let query = query.replace("SID", SID);
        let found = EngineRequest::parse(&query, method, upgrades).map_err(RequestFault::code);
        assert_eq!(found, expected, "{method:?} {query} {upgrades}");
    }

    #[test]
    fn each_kind_of_request_is_understood() {
        let polling = Ok(EngineRequest::Handshake(Transport::Polling));
        check("EIO=4&transport=polling", Method::Get, false, polling);
        let noise = "t=N8hyd6w&b64=1&transport=polling&x&EIO=4&token=sid";
        check(noise, Method::Get, false, polling);
        let websocket = Ok(EngineRequest::Handshake(Transport::WebSocket));
        check("EIO=4&transport=websocket", Method::Get, true, websocket);
        let of_session = "EIO=4&transport=polling&sid=SID";
        let poll = Ok(EngineRequest::Poll(ID));
        check(of_session, Method::Get, false, poll);
        let post = Ok(EngineRequest::Post(ID));
        check(of_session, Method::Post, false, post);
        let over = "EIO=4&transport=websocket&sid=SID";
        check(over, Method::Get, true, Ok(EngineRequest::Attach(ID)));
    }

    #[test]
    fn every_method_transport_and_session_is_one_thing_or_refused() {
        const METHODS: [Method; 5] = [
            Method::Get,
            Method::Post,
            Method::Put,
            Method::Head,
            Method::Delete,
        ];
        for method in METHODS {
            for (transport, is_websocket) in [("polling", false), ("websocket", true)] {
                for upgrades in [false, true] {
                    let fits = upgrades == is_websocket;
                    let query = format!("EIO=4&transport={transport}");
                    let expected = match method {
                        Method::Get if fits => {
                            let transport = Transport::parse(transport);
                            transport.map(EngineRequest::Handshake).ok_or(0)
                        }
                        Method::Get => Err(3),
                        _ => Err(2),
                    };
                    check(&query, method, upgrades, expected);
                    let expected = match (method, is_websocket) {
                        (Method::Get, true) if fits => Ok(EngineRequest::Attach(ID)),
                        (Method::Get, false) if fits => Ok(EngineRequest::Poll(ID)),
                        (Method::Post, false) if fits => Ok(EngineRequest::Post(ID)),
                        _ => Err(3),
                    };
                    check(&format!("{query}&sid=SID"), method, upgrades, expected);
                    check(&format!("{query}&sid=other"), method, upgrades, Err(1));
                }
            }
        }
    }

    #[test]
    fn what_is_missing_unknown_or_said_twice_is_refused() {
        let get = |query: &str, code: u8| check(query, Method::Get, false, Err(code));
        get("", 0);
        get("EIO=4", 0);
        get("EIO=4&transport=abc", 0);
        get("EIO=4&transport=__proto__", 0);
        get("EIO=4&transport=webtransport", 0);
        get("transport=polling", 5);
        get("EIO=abc&transport=polling", 5);
        get("EIO=3&transport=polling", 5);
        get("EIO=04&transport=polling", 5);
        get("EIO=4&transport=polling&sid=", 1);
        get("EIO=4&transport=polling&sid=SIDa", 1);
        get("EIO=4&transport=polling&sid=%ff", 1);
        get("EIO=4&transport=polling&j=0", 3);
        get("EIO=4&transport=polling&transport=websocket", 3);
        get("EIO=4&EIO=4&transport=polling", 3);
        get("EIO=4&transport=polling&sid=SID&sid=SID", 3);
    }
}
