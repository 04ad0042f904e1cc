//! Who may do what with projects and runs in token mode, by role and by grant.

use std::fs;

use kinglet::testkit::client::Answer;
use kinglet::testkit::tokens::{CONFIG, Token};
use serde_json::{Value, json};

use crate::Host;

fn ask(host: &Host, token: &Token, method: &str, target: &str, body: &Value) -> Answer {
    let bearer = token.bearer();
    let headers = [("Authorization", bearer.as_str())];
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut connection = host.server.connect();
    connection.request(method, target, &headers, body.as_bytes())
}

fn create(host: &Host, token: &Token, name: &str) -> Answer {
    let path = host.root.join(name);
    fs::create_dir_all(&path).unwrap();
    let body = json!({ "path": path });
    ask(host, token, "POST", "/api/v1/projects", &body)
}

#[test]
fn roles_and_grants_say_who_makes_reads_and_runs() {
    let agent = "[agents.tell]\nkind = \"lines\"\ncommand = [\"sleep\", \"30\"]\n";
    let host = Host::start(&format!(
        "{agent}{CONFIG}[auth.roles.nothing]\nrooms = []\n"
    ));
    let admin = Token::of("admin").role("admin");
    let ids: Vec<String> = ["a", "b"]
        .iter()
        .map(|name| {
            let answer = create(&host, &admin, name);
            answer.json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let [a, b] = [&ids[0], &ids[1]];
    let of_a = format!("project:{a}");
    let runner = Token::of("runner").role("nothing").room(&of_a, &["run"]);
    let reader = Token::of("reader")
        .role("nothing")
        .room(&of_a, &["subscribe"]);
    // Who: may make one; sees so many; reads a and b; starts in a and b, and cancels.
    let check = |token: &Token, makes: bool, sees: usize, reads: [bool; 2], runs: [bool; 2]| {
        let made = create(&host, token, "c");
        assert_eq!(made.status(), if makes { 201 } else { 403 });
        if makes {
            let target = format!("/api/v1/projects/{}", made.json()["id"].as_str().unwrap());
            assert_eq!(
                ask(&host, token, "DELETE", &target, &Value::Null).status(),
                200
            );
        }
        let list = ask(&host, token, "GET", "/api/v1/projects", &Value::Null).json();
        assert_eq!(list["projects"].as_array().unwrap().len(), sees, "{list}");
        for (id, (reads, runs)) in ids.iter().zip(reads.into_iter().zip(runs)) {
            let target = format!("/api/v1/projects/{id}");
            let answer = ask(&host, token, "GET", &target, &Value::Null);
            assert_eq!(answer.status(), if reads { 200 } else { 403 });
            assert_eq!(answer.json().to_string().contains("/projects/"), reads);
            let target = format!("/api/v1/projects/{id}/runs");
            let answer = ask(&host, token, "POST", &target, &json!({ "agent": "tell" }));
            assert_eq!(answer.status(), if runs { 202 } else { 403 });
            if runs {
                let run = answer.json()["run"]["id"].as_str().unwrap().to_owned();
                let target = format!("/api/v1/runs/{run}");
                let cancel = |token: &Token| {
                    let answer = ask(&host, token, "DELETE", &target, &Value::Null);
                    answer.status()
                };
                // Whoever may read of it may not end it, and to others it is not there.
                let stranger = Token::of("stranger").role("nothing");
                assert_eq!(cancel(&stranger), 404);
                assert_eq!(cancel(&reader), if id == a { 403 } else { 404 });
                assert_eq!(cancel(token), 202);
                kinglet::testkit::server::until("the run is over", || {
                    let run = ask(&host, token, "GET", &target, &Value::Null).json();
                    run.get("ended_at").is_some()
                });
            }
        }
    };
    assert_ne!(a, b);
    check(&admin, true, 2, [true; 2], [true; 2]);
    check(
        &Token::of("agent").role("agent"),
        true,
        2,
        [true; 2],
        [true; 2],
    );
    check(
        &Token::of("user").role("user"),
        false,
        2,
        [true; 2],
        [false; 2],
    );
    check(
        &Token::of("reads").role("readonly"),
        false,
        2,
        [true; 2],
        [false; 2],
    );
    check(&runner, false, 1, [true, false], [true, false]);
    check(&reader, false, 1, [true, false], [false; 2]);
    let deleting = ask(
        &host,
        &reader,
        "DELETE",
        &format!("/api/v1/projects/{a}"),
        &Value::Null,
    );
    assert_eq!(deleting.status(), 403);
}
