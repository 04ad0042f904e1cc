//! What the server's words mean: who comes back, when, and who is shown.

use std::time::{Duration, Instant};

use crate::fake::{Fake, Step};
use crate::process::{Ended, ended, kinglet};
use crate::subscribe;

/// Plays `script` to a subscriber and checks the code and the words of its last line.
fn check(script: &[Step], words: &[&str]) -> Ended {
    let fake = Fake::start(script);
    let found = ended(&["subscribe", "chat", "--url", &fake.url], &[]);
    assert_eq!((found.code, found.output.as_str()), (Some(1), ""));
    let last = found.errors.lines().last().unwrap();
    assert!(last.starts_with("error: "), "{last}");
    for word in words {
        assert!(last.contains(word), "{word} in {last}");
    }
    found
}

#[test]
fn a_close_that_invites_is_followed_by_another_connection() {
    for code in [1000, 1001, 1011, 1012, 1013, 4000, 4001, 4002, 4003, 4499] {
        let found = check(
            &[Step::Close(Some(code)), Step::Close(Some(4501))],
            &["closed the connection: 4501 says the script"],
        );
        let first = found.errors.lines().next().unwrap();
        let start = format!("warning: the server closed the connection: {code} says the script; ");
        assert!(first.starts_with(&start), "{first}");
        assert_eq!(found.errors.lines().count(), 3, "{}", found.errors);
    }
    for step in [Step::Cut, Step::Close(None)] {
        check(&[step, Step::Close(Some(4500))], &["4500"]);
    }
}

#[test]
fn a_close_for_good_ends_with_the_reason() {
    for code in [1002, 1003, 1007, 1008, 1009, 1010, 4500, 4501, 4502, 4999] {
        let found = check(&[Step::Close(Some(code))], &[&code.to_string()]);
        assert_eq!(found.errors.lines().count(), 1, "{}", found.errors);
    }
}

const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n\
    {\"error\":{\"code\":\"UNAUTHORIZED\",\"message\":\"no such token\"}}";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
const BUSY_FOR_LONG: &str = "HTTP/1.1 503 Busy\r\nRetry-After: 900\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_refusal_ends_with_the_servers_words() {
    let words = ["error: UNAUTHORIZED: no such token"];
    check(&[Step::Answer(UNAUTHORIZED)], &words);
    check(
        &[Step::Close(Some(4001)), Step::Answer(UNAUTHORIZED)],
        &words,
    );
    for status in ["403", "404", "421", "426"] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        let answer = Step::Answer(answer.leak());
        check(&[Step::Cut, answer], &["the server answered", status]);
    }
}

#[test]
fn the_first_attempt_fails_at_once() {
    check(&[Step::Answer(BUSY_FOR_LONG)], &["the server answered 503"]);
    check(
        &[Step::Answer("")],
        &["ended the connection without a word"],
    );
}

#[test]
fn an_error_on_the_socket_ends_unless_it_may_pass() {
    const FORBIDDEN: &str =
        r#"{"type":"error","data":{"code":"PERMISSION_DENIED","message":"not yours"}}"#;
    const BUSY: &str = r#"{"type":"error","data":{"code":"SERVER_BUSY","message":"later"}}"#;
    let found = check(
        &[Step::Say(BUSY), Step::Say(FORBIDDEN)],
        &["error: PERMISSION_DENIED: not yours"],
    );
    assert!(found.errors.starts_with("warning: SERVER_BUSY: later; "));
}

#[test]
fn a_room_that_is_taken_away_stays_away_and_the_last_one_ends_it() {
    const CHAT: &str = r#"{"type":"unsubscribed","room":"chat","timestamp":"t"}"#;
    const OTHER: &str = r#"{"type":"unsubscribed","room":"other","timestamp":"t"}"#;
    check(
        &[Step::Say(CHAT)],
        &["error: chat: the server took this room away"],
    );
    // One that is not followed is none of ours.
    check(&[Step::Say(OTHER), Step::Close(Some(4500))], &["4500"]);

    let fake = Fake::start(&[Step::Say(CHAT), Step::Say(CHAT), Step::Say(OTHER)]);
    let mut reader = subscribe(&fake.url, &["chat", "other"]);
    let warning = reader.error();
    let start = "warning: chat: the server took this room away; ";
    assert!(warning.starts_with(start), "{warning}");
    let targets = [(); 3].map(|()| fake.request().0);
    let follows = |room: &str| targets.each_ref().map(|head| head.contains(room));
    assert_eq!(follows("room=chat"), [true, false, false], "{targets:?}");
    assert_eq!(follows("room=other"), [true; 3], "{targets:?}");
    assert_eq!(reader.exit_code(), Some(1));
}

#[test]
fn retry_after_is_waited_for() {
    let fake = Fake::start(&[Step::Cut, Step::Answer(BUSY), Step::Close(Some(4500))]);
    let mut reader = subscribe(&fake.url, &["chat"]);
    fake.request();
    let (_, refused) = fake.request();
    let (_, came_back) = fake.request();
    // The times are taken when the client has gone, which it does at once.
    assert!(came_back - refused > Duration::from_millis(900));
    assert_eq!(reader.exit_code(), Some(1));
}

#[test]
fn an_interrupt_ends_a_wait_at_once() {
    let fake = Fake::start(&[Step::Cut, Step::Answer(BUSY_FOR_LONG)]);
    let mut reader = subscribe(&fake.url, &["chat"]);
    reader.error();
    let said = reader.error();
    assert!(said.contains("connecting again in 90"), "{said}");
    let interrupted = Instant::now();
    reader.signal("INT");
    assert_eq!(reader.exit_code(), None, "ended by the signal");
    assert!(interrupted.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_token_is_sent_as_a_header_and_never_printed() {
    const TOKEN: &str = "s3cret.t0ken";
    let check = |arguments: &[&str], environment: &[(&str, &str)], expected: Option<&str>| {
        let fake = Fake::start(&[Step::Answer(UNAUTHORIZED)]);
        let arguments = [arguments, &["--url", &fake.url]].concat();
        let found = ended(&arguments, environment);
        assert_eq!(found.code, Some(1), "{}", found.errors);
        assert!(!found.errors.contains("s3cret"), "{}", found.errors);
        let (head, _) = fake.request();
        let mut lines = head.lines();
        let sent = lines.find_map(|line| line.strip_prefix("authorization: bearer "));
        assert_eq!(sent, expected, "{arguments:?}");
    };
    let variable = [("KINGLET_TOKEN", TOKEN)];
    for command in [&["publish", "chat", "said"][..], &["subscribe", "chat"]] {
        check(&[command, &["--token", TOKEN]].concat(), &[], Some(TOKEN));
        check(command, &variable, Some(TOKEN));
        check(
            &[command, &["--token", "other"]].concat(),
            &variable,
            Some("other"),
        );
        check(command, &[("KINGLET_TOKEN", "")], None);
    }
    let broken = ended(&["subscribe", "chat", "--token", "s3cret\r\nX: y"], &[]);
    assert_eq!(broken.code, Some(2));
    assert!(
        broken.errors.starts_with("error: the token has "),
        "{}",
        broken.errors
    );
    let help = ended(&["subscribe", "--help"], &variable);
    for text in [&broken.errors, &help.output] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(help.output.contains("KINGLET_TOKEN"), "{}", help.output);
}

#[test]
fn nobody_reading_ends_it_though_it_would_come_back() {
    let publication = r#"{"type":"n","room":"chat","offset":1,"timestamp":"t","data":1}"#;
    let fake = Fake::start(&[Step::Say(publication)]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = kinglet(folder.path(), &["subscribe", "chat", "--url", &fake.url]);
    let closed = std::io::pipe().unwrap().1;
    assert_eq!(command.stdout(closed).status().unwrap().code(), Some(0));
}
