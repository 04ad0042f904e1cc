//! Lines as Claude Code 2.1 writes them, and whatever else may stand there.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::base::rng::Rng;

fn parsed(line: &str) -> ClaudeLine<'_> {
    read(line).unwrap_or_else(|| unreachable!("{line} is an object"))
}

#[test]
fn every_type_is_told_apart() {
    let check = |kind: &str, expected: LineKind| {
        let line = format!("{{\"type\":{kind}}}");
        assert_eq!(parsed(&line).kind, expected, "{kind}");
    };
    check("\"system\"", LineKind::System);
    check("\"assistant\"", LineKind::Assistant);
    check("\"user\"", LineKind::User);
    check("\"result\"", LineKind::Result);
    check("\"error\"", LineKind::Error);
    check("\"stream_event\"", LineKind::Partial);
    check("\"content_block_delta\"", LineKind::Partial);
    check("\"control_request\"", LineKind::ControlRequest);
    check("\"control_response\"", LineKind::ControlResponse);
    check("\"control_cancel_request\"", LineKind::ControlCancel);
    for other in ["\"rate_limit_event\"", "\"System\"", "\"\"", "7", "null"] {
        check(other, LineKind::Other);
    }
    assert_eq!(parsed("{}").kind, LineKind::Other);
    assert!(parsed("{\"type\":\"message_delta\"}").is_partial());
    assert!(!parsed("{\"type\":\"assistant\"}").is_partial());
}

#[test]
fn the_session_is_that_of_whole_messages() {
    let check = |kind: &str, id: &str, expected: Option<&str>| {
        let line = format!("{{\"session_id\":{id},\"type\":\"{kind}\"}}");
        assert_eq!(parsed(&line).session_id.as_deref(), expected, "{line}");
    };
    let id = "\"fcdc582d-6c66-45a4-b8ae-4210ed20096f\"";
    for kind in ["system", "assistant", "user", "result"] {
        check(kind, id, Some("fcdc582d-6c66-45a4-b8ae-4210ed20096f"));
    }
    for kind in ["stream_event", "error", "control_request", "else"] {
        check(kind, id, None);
    }
    for bad in ["7", "null", "\"\"", "\"-c\"", "\"a b\"", "\"a\\u0000\""] {
        check("system", bad, None);
    }
}

#[test]
fn a_result_is_read_member_by_member() {
    let line = parsed(
        r#"{"type":"result","subtype":"error_during_execution","duration_ms":4011,"is_error":true,
        "num_turns":2,"session_id":"s","total_cost_usd":0.25,"usage":{ "input_tokens" : 1 }}"#,
    );
    let result = line.result.unwrap();
    assert_eq!(result.cost_usd, Some(0.25));
    assert_eq!(result.turns, Some(2));
    assert!(result.is_error);
    assert_eq!(result.subtype.as_deref(), Some("error_during_execution"));
    assert_eq!(result.usage.unwrap().get(), "{ \"input_tokens\" : 1 }");

    let odd = r#"{"type":"result","is_error":"yes","num_turns":-1,"total_cost_usd":1e999}"#;
    let odd = parsed(odd).result.unwrap();
    assert_eq!((odd.cost_usd, odd.turns, odd.is_error), (None, None, false));
    assert!(odd.usage.is_none() && odd.subtype.is_none());
    assert!(parsed("{\"type\":\"assistant\"}").result.is_none());
}

#[test]
fn a_permission_is_asked_with_its_tool_and_input() {
    let line = r#"{"type":"control_request","request_id":"r-1","request":{"subtype":"can_use_tool",
        "tool_name":"Bash","input":{"command": "ls"},"tool_use_id":"t"}}"#;
    match parsed(line).request.unwrap() {
        Request::Permission {
            request_id,
            tool,
            input,
        } => {
            assert_eq!((&*request_id, &*tool), ("r-1", "Bash"));
            assert_eq!(input.get(), "{\"command\": \"ls\"}");
        }
        other @ (Request::Withdrawn { .. } | Request::Unknown { .. }) => {
            unreachable!("{other:?}")
        }
    }
    for unknown in [
        r#"{"type":"control_request","request_id":"r"}"#,
        r#"{"type":"control_request","request_id":"r","request":[]}"#,
        r#"{"type":"control_request","request_id":"r","request":{"subtype":"hook_callback"}}"#,
        r#"{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool"}}"#,
    ] {
        let request = parsed(unknown).request;
        assert!(
            matches!(request, Some(Request::Unknown { .. })),
            "{unknown}"
        );
    }
    let withdrawn = parsed(r#"{"type":"control_cancel_request","request_id":"r"}"#).request;
    assert!(matches!(withdrawn, Some(Request::Withdrawn { request_id }) if request_id == "r"));
    assert!(
        parsed(r#"{"type":"control_request","request_id":""}"#)
            .request
            .is_none()
    );
}

#[test]
fn an_error_says_what_it_can() {
    let check = |members: &str, expected: &str| {
        let line = format!("{{\"type\":\"error\"{members}}}");
        assert_eq!(parsed(&line).error.unwrap(), expected, "{line}");
    };
    check(",\"message\":\"m\",\"error\":\"e\"", "m");
    check(",\"error\":\"e\"", "e");
    check(",\"error\":{\"type\":\"x\",\"message\":\"inner\"}", "inner");
    let unsaid = "the agent reported an error without saying which";
    check("", unsaid);
    check(",\"message\":7", unsaid);
    assert!(
        parsed("{\"type\":\"result\",\"error\":\"e\"}")
            .error
            .is_none()
    );
}

#[test]
fn what_is_no_object_is_plain_text() {
    let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    for text in [
        "",
        " ",
        "plain",
        "7",
        "null",
        "\"text\"",
        "[{\"type\":\"result\"}]",
        "{",
        "{}{}",
        "{\"type\":}",
        "{\"type\":\"result\"} x",
        "\u{feff}{}",
        &deep(128),
        &deep(1_000_000),
        &"{\"a\":".repeat(100_000),
    ] {
        assert!(read(text).is_none(), "{text:.40}");
    }
    assert!(read(&deep(127)).is_some());
    assert!(read(" {\"a\": 1}\t").is_some());
}

#[test]
fn the_last_of_two_members_counts() {
    let line =
        parsed(r#"{"type":"system","\u0074ype":"result","session_id":"a","session_id":"b"}"#);
    assert_eq!(line.kind, LineKind::Result);
    assert_eq!(line.session_id.as_deref(), Some("b"));
}

#[test]
fn nothing_that_stands_there_makes_it_panic() {
    let line = r#"{"type":"control_request","request_id":"é","request":{"subtype":"can_use_tool",
        "tool_name":"Bash","input":{}},"session_id":"s","total_cost_usd":0.1,"message":{}}"#;
    for end in 0..line.len() {
        if let Some(start) = line.get(..end) {
            assert!(read(start).is_none(), "{start}");
        }
    }
    let kinds = ["result", "error", "control_request", "system"];
    let values = [
        "null",
        "[]",
        "{}",
        "\"\\ud83d\"",
        "1e400",
        "-0",
        "true",
        "\"x\"",
    ];
    let names = [
        "session_id",
        "request_id",
        "request",
        "message",
        "error",
        "usage",
        "is_error",
    ];
    for seed in 0..500 {
        let mut rng = Rng::from_seed(seed);
        let mut pick = |words: &[&'static str]| {
            let bound = u64::try_from(words.len()).unwrap();
            words[usize::try_from(rng.below(bound)).unwrap()]
        };
        let mut line = format!("{{\"type\":\"{}\"", pick(&kinds));
        for _ in 0..4 {
            line += &format!(",\"{}\":{}", pick(&names), pick(&values));
        }
        assert!(read(&(line + "}")).is_some(), "seed {seed}");
    }
}
