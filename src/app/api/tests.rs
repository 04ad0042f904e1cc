//! The handlers through [`call`], with bodies and queries as clients send them.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::app::http::{call, routes};
use crate::bus::job::HttpCall;
use crate::bus::order::Outcome;
use crate::domain::access::Identity;
use crate::testkit::world::{Options, World};
use crate::wire::http::head::Head;
use crate::wire::http::response::Response;
use crate::wire::http::scan::HeadLimits;

pub(super) struct Api(pub(super) World);

impl Api {
    pub(super) fn new() -> Self {
        Self(World::new(Options::default()))
    }

    pub(super) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> (u16, Value) {
        let outcome = self.outcome(method, target, headers, body, Identity::Anonymous);
        let response = outcome.done().unwrap();
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response.status.code(), body)
    }

    /// What comes of a request.
    pub(super) fn outcome(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
        identity: Identity,
    ) -> Outcome<Response> {
        let limits = HeadLimits {
            bytes: 16 * 1024,
            headers: 20,
        };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        let head = Head::parse(request.as_bytes(), &limits).unwrap();
        let (route, parameters) = routes::resolve(head.method(), head.path()).unwrap();
        let asked = HttpCall {
            head,
            body: body.as_bytes().to_vec(),
            route,
            parameters,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            identity,
        };
        let services = &self.0.services;
        let counters = services.counters_of_workers();
        call(
            &asked,
            services.context(&services.live(), &counters, self.0.now()),
        )
    }

    fn publish(&self, body: &Value) -> (u16, Value) {
        self.ask("POST", "/api/v1/publish", "", &body.to_string())
    }
}

#[test]
fn publish_answers_with_an_id_and_every_place() {
    let api = Api::new();
    let (status, body) = api.publish(&json!({"rooms": ["b", "a"], "event": "e", "id": "key"}));
    assert_eq!((status, &body["id"]), (200, &json!("key")));
    assert_eq!(body["results"][0]["room"], "b");
    assert_eq!(body["results"][1]["offset"], 1);
    let again = api.publish(&json!({"rooms": ["b", "a"], "event": "e", "id": "key"}));
    assert_eq!(again, (200, body));
    let (_, body) = api.publish(&json!({"room": "a", "event": "e", "data_base64": "AP8="}));
    assert_eq!(body["id"].as_str().map(str::len), Some(32));
    assert_eq!(body["results"][0]["offset"], 2);
}

#[test]
fn a_wrong_body_is_told_what_is_wrong() {
    let api = Api::new();
    let check = |body: &str, headers: &str, status: u16, message: &str| {
        let (found, answer) = api.ask("POST", "/api/v1/publish", headers, body);
        assert_eq!(found, status, "{body}");
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(told.contains(message), "{body}: {told}");
    };
    check("", "", 400, "a JSON object is expected");
    check("[\"a\"]", "", 400, "a JSON object is expected");
    check("{\"room\":", "", 400, "the body is wrong");
    check(r#"{"event":"e"}"#, "", 400, "no room named");
    check(
        r#"{"room":"a","rooms":["b"],"event":"e"}"#,
        "",
        400,
        "not both",
    );
    check(r#"{"room":"a"}"#, "", 400, "event is missing");
    check(r#"{"room":"a","event":"subscribe"}"#, "", 400, "");
    check(
        r#"{"room":"a","event":"e","data":1,"data_base64":""}"#,
        "",
        400,
        "not both",
    );
    check(
        r#"{"room":"a","event":"e","data_base64":"?"}"#,
        "",
        400,
        "base64",
    );
    let both = r#"{"room":"a","event":"e","id":"x"}"#;
    check(both, "Idempotency-Key: y\r\n", 400, "differ");
    assert_eq!(api.0.services.rooms.count(), 0);
    assert_eq!(
        api.ask("POST", "/api/v1/publish", "Idempotency-Key: x\r\n", both)
            .0,
        200
    );
    check(r#"{"room":"b","event":"e","id":"x"}"#, "", 422, "key");
}

#[test]
fn each_command_of_a_batch_has_its_own_answer() {
    let api = Api::new();
    let body = json!({"commands": [
        {"publish": {"room": "a", "event": "e"}},
        {"publish": {"room": "*", "event": "e"}},
        {"nonsense": {}},
        {"publish": {"room": "a", "event": "e"}},
    ]});
    let (status, answer) = api.ask("POST", "/api/v1/batch", "", &body.to_string());
    assert_eq!(status, 200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results[0]["results"][0]["offset"], 1);
    assert_eq!(results[1]["error"]["code"], "VALIDATION_FAILED");
    assert_eq!(results[2]["error"]["code"], "VALIDATION_FAILED");
    assert_eq!(results[3]["results"][0]["offset"], 2);
    let many = json!({"commands": vec![json!({}); 101]}).to_string();
    for wrong in [&many, "{\"commands\":[]}", "{}"] {
        assert_eq!(api.ask("POST", "/api/v1/batch", "", wrong).0, 400);
    }
}

#[test]
fn history_is_paged_and_knows_its_epoch() {
    let api = Api::new();
    for number in 0..5 {
        api.publish(&json!({"room": "a", "event": "e", "data": number}));
    }
    let page = |query: &str| {
        let (status, body) = api.ask("GET", &format!("/api/v1/rooms/a/history{query}"), "", "");
        let offsets = body["publications"].as_array().cloned().unwrap_or_default();
        let offsets: Vec<_> = offsets
            .iter()
            .filter_map(|p| p["offset"].as_u64())
            .collect();
        (status, offsets, body["more"].as_bool())
    };
    assert_eq!(page(""), (200, vec![1, 2, 3, 4, 5], Some(false)));
    assert_eq!(page("?since=1&limit=2"), (200, vec![2, 3], Some(true)));
    assert_eq!(
        page("?since=4&limit=2&reverse=true"),
        (200, vec![3, 2], Some(true))
    );
    assert_eq!(page("?epoch=other").0, 409);
    for wrong in [
        "?limit=0",
        "?limit=301",
        "?since=x",
        "?reverse=perhaps",
        "?epoch=no%20way",
    ] {
        assert_eq!(page(wrong).0, 400, "{wrong}");
    }
    assert_eq!(api.ask("GET", "/api/v1/rooms/none/history", "", "").0, 404);
    assert_eq!(api.ask("DELETE", "/api/v1/rooms/a/history", "", "").0, 200);
    assert_eq!(page(""), (200, vec![], Some(false)));
    assert_eq!(
        api.ask("DELETE", "/api/v1/rooms/none/history", "", "").0,
        404
    );
}

#[test]
fn rooms_and_health_tell_what_there_is() {
    let api = Api::new();
    api.publish(&json!({"rooms": ["a", "b:1", "b:2"], "event": "e"}));
    let (_, body) = api.ask("GET", "/api/v1/rooms?prefix=b&limit=1", "", "");
    assert_eq!(
        (&body["rooms"][0]["room"], &body["more"]),
        (&json!("b:1"), &json!(true))
    );
    let (_, body) = api.ask("GET", "/api/v1/rooms?prefix=b&after=b:1", "", "");
    assert_eq!(
        (&body["rooms"][0]["room"], &body["more"]),
        (&json!("b:2"), &json!(false))
    );
    let (_, body) = api.ask("GET", "/api/v1/rooms/b%3A1", "", "");
    assert_eq!((&body["members"], &body["offset"]), (&json!(0), &json!(1)));
    assert_eq!(api.ask("GET", "/api/v1/rooms/none", "", "").0, 404);
    let health = |path| {
        let (status, body) = api.ask("GET", path, "", "");
        (status, body["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(health("/health/ready"), (200, "healthy".to_owned()));
    api.0.services.begin_drain();
    assert_eq!(health("/health/ready"), (503, "degraded".to_owned()));
    assert_eq!(health("/health"), (200, "degraded".to_owned()));
    assert_eq!(health("/health/live"), (200, "healthy".to_owned()));
    assert_eq!(health("/"), (200, "ok".to_owned()));
}
