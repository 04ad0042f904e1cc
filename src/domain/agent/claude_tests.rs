//! Options of clients, and the flags that the Claude CLI gets.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Agent, CommandLine, Request};
use crate::base::rng::Rng;
use crate::config::{AgentKind, AgentOptions, Config};
use crate::domain::fault::{Code, Fault};

fn claude(allows_dangerous: bool, interactive: bool) -> Agent {
    let config = Config::default();
    let mut options = AgentOptions::clone(config.agents.options("claude").unwrap());
    assert_eq!(options.kind, AgentKind::Claude);
    options.interactive = interactive;
    let path = "/etc/mcp.json".into();
    options.mcp_configs.insert("github".to_owned(), path);
    Agent {
        name: "claude".to_owned(),
        options: Arc::new(options),
        allows_dangerous,
    }
}

fn made(agent: &Agent, options: &Value) -> Result<CommandLine, Fault> {
    agent.command_line(&Request {
        prompt: "hi",
        options: Some(options),
        ..Request::default()
    })
}

fn arguments(agent: &Agent, options: &Value) -> Vec<String> {
    made(agent, options).unwrap().arguments
}

const PLAIN: [&str; 4] = ["claude", "-p", "--verbose", "--output-format=stream-json"];

#[test]
fn flags_stand_in_their_order_joined_to_their_values() {
    let options = json!({
        "strict_mcp_config": true,
        "add_dirs": ["/a", "/b c"],
        "fallback_model": "haiku,opus",
        "model": "sonnet[1m]",
        "permission_mode": "bypassPermissions",
        "append_system_prompt": "- be brief\n--verbose",
        "mcp_config": "github",
        "disallowed_tools": ["Bash(rm *)", "mcp__github__*"],
        "allowed_tools": ["Read", "Bash(git log:*, git show)"],
        "dangerously_skip_permissions": true,
    });
    let agent = claude(true, false);
    let found = agent.command_line(&Request {
        prompt: "--help\n",
        options: Some(&options),
        session: Some("fcdc582d-6c66-45a4-b8ae-4210ed20096f"),
        params: None,
    });
    let found = found.unwrap();
    let expected = [
        "claude",
        "--resume=fcdc582d-6c66-45a4-b8ae-4210ed20096f",
        "-p",
        "--dangerously-skip-permissions",
        "--allowed-tools=Read,Bash(git log:*, git show)",
        "--disallowed-tools=Bash(rm *),mcp__github__*",
        "--mcp-config=/etc/mcp.json",
        "--append-system-prompt=- be brief\n--verbose",
        "--permission-mode=bypassPermissions",
        "--model=sonnet[1m]",
        "--fallback-model=haiku,opus",
        "--add-dir=/a",
        "--add-dir=/b c",
        "--strict-mcp-config",
        "--verbose",
        "--output-format=stream-json",
    ];
    assert_eq!(found.arguments, expected);
    assert_eq!(found.paths, ["/a", "/b c"].map(std::path::PathBuf::from));
    assert_eq!(found.input, b"--help\n");
    assert!(!found.stays_open);
}

#[test]
fn without_options_there_are_no_flags_for_them() {
    let agent = claude(false, false);
    for options in [
        json!(null),
        json!({}),
        json!({"model": "", "allowed_tools": [], "mcp_config": null, "add_dirs": null,
            "strict_mcp_config": false, "dangerously_skip_permissions": false}),
    ] {
        assert_eq!(arguments(&agent, &options), PLAIN, "{options}");
    }
    let mut spoken = PLAIN.to_vec();
    spoken.extend([
        "--input-format=stream-json",
        "--permission-prompt-tool=stdio",
    ]);
    let interactive = made(&claude(false, true), &json!({})).unwrap();
    assert_eq!(interactive.arguments, spoken);
    assert!(interactive.stays_open);
    assert!(interactive.input.starts_with(b"{\"type\":\"user\""));
}

#[test]
fn what_turns_checks_off_needs_the_agents_consent() {
    let (strict, lax) = (claude(false, false), claude(true, false));
    for options in [
        json!({"dangerously_skip_permissions": true}),
        json!({"permission_mode": "bypassPermissions"}),
        json!({"mcp_config": "/tmp/mine.json"}),
        json!({"mcp_config": "{\"mcpServers\":{}}"}),
        json!({"mcp_config": {"mcpServers": {}}}),
        json!({"mcp_config": "gitHub"}),
    ] {
        let fault = made(&strict, &options).unwrap_err();
        assert_eq!(fault.code, Code::PermissionDenied, "{options}");
        assert!(fault.message.contains("agents.claude.allow_dangerous"));
        assert!(made(&lax, &options).is_ok(), "{options}");
    }
    for mode in ["default", "acceptEdits", "plan", "auto", "dontAsk"] {
        let found = arguments(&strict, &json!({"permission_mode": mode}));
        assert!(found.contains(&format!("--permission-mode={mode}")));
    }
    let found = arguments(&lax, &json!({"mcp_config": {"mcpServers": {"a": 1}}}));
    assert!(found.contains(&"--mcp-config={\"mcpServers\":{\"a\":1}}".to_owned()));
}

#[test]
fn wrong_options_are_told_what_would_be_right() {
    let agent = claude(true, false);
    let long = "x".repeat(65 * 1024);
    for (options, words) in [
        (json!([]), "options must be an object"),
        (
            json!({"modle": "x"}),
            "options.modle is unknown; did you mean model?",
        ),
        (
            json!({"x\n": 1}),
            "options.x\\n is unknown; there are dangerously_skip",
        ),
        (json!({"model": 7}), "options.model must be a string"),
        (json!({"model": "-x"}), "\"-x\" is not the name of a model"),
        (json!({"model": "a b"}), "the name of a model"),
        (json!({"model": "a\u{0}"}), "zero byte"),
        (
            json!({"permission_mode": "always"}),
            "one of default, acceptEdits",
        ),
        (json!({"strict_mcp_config": "yes"}), "must be true or false"),
        (
            json!({"allowed_tools": "Read"}),
            "list of at most 128 strings",
        ),
        (
            json!({"allowed_tools": vec!["A"; 129]}),
            "list of at most 128 strings",
        ),
        (json!({"allowed_tools": [7]}), "strings only"),
        (json!({"allowed_tools": ["--model=x"]}), "is not a tool"),
        (json!({"allowed_tools": ["Read,Bash"]}), "is not a tool"),
        (json!({"allowed_tools": ["Read Bash"]}), "is not a tool"),
        (
            json!({"allowed_tools": ["Read(a),Bash(b)"]}),
            "is not a tool",
        ),
        (json!({"allowed_tools": ["Read(a"]}), "is not a tool"),
        (json!({"allowed_tools": ["(a)"]}), "is not a tool"),
        (json!({"disallowed_tools": [""]}), "is not a tool"),
        (json!({"add_dirs": ["a"]}), "an absolute path"),
        (json!({"add_dirs": ["/a/../b"]}), "an absolute path"),
        (json!({"add_dirs": ["/a\nb"]}), "an absolute path"),
        (
            json!({"mcp_config": 7}),
            "options.mcp_config must be a string",
        ),
        (json!({"mcp_config": "--x"}), "a name, a path or an object"),
        (json!({"append_system_prompt": long}), "at most 65536 bytes"),
    ] {
        let fault = made(&agent, &options).unwrap_err();
        assert_eq!(fault.code, Code::ValidationFailed, "{options:.80}");
        assert!(fault.message.contains(words), "{fault}");
    }
    for id in ["", "-c", "a b", "../x"] {
        let request = Request {
            prompt: "hi",
            session: Some(id),
            ..Request::default()
        };
        assert!(agent.command_line(&request).is_err(), "{id}");
    }
    for prompt in ["", " \n\t"] {
        let request = Request {
            prompt,
            ..Request::default()
        };
        let fault = agent.command_line(&request).unwrap_err();
        assert_eq!(fault.code, Code::ValidationFailed);
    }
}

#[test]
fn no_option_becomes_another_argument_or_flag() {
    let agent = claude(true, false);
    let texts = [
        "--dangerously-skip-permissions",
        "-c",
        "a",
        "Read",
        "/a",
        "/a --x",
        "x,y",
        "\u{2014}x",
        "=",
        "$(id)",
        "`id`",
        "a;b",
        "a\nb",
        "%41",
        "/ -p",
        "Bash(a)",
        "\u{ff0d}-x",
    ];
    let flags = [
        "allowed-tools",
        "disallowed-tools",
        "mcp-config",
        "append-system-prompt",
        "model",
        "permission-mode",
        "fallback-model",
        "add-dir",
    ];
    for seed in 0..2000 {
        let mut rng = Rng::from_seed(seed);
        let mut text = || {
            let bound = u64::try_from(texts.len()).unwrap();
            texts[usize::try_from(rng.below(bound)).unwrap()]
        };
        let options = match seed % 7 {
            0 => json!({"allowed_tools": [text(), text()], "model": text()}),
            1 => json!({"disallowed_tools": [text()], "fallback_model": text()}),
            2 => json!({"append_system_prompt": text(), "mcp_config": text()}),
            3 => json!({"add_dirs": [text(), text()]}),
            4 => json!({"permission_mode": text()}),
            5 => json!({"model": text()}),
            _ => json!({"append_system_prompt": text()}),
        };
        let Ok(made) = made(&agent, &options) else {
            continue;
        };
        for argument in made
            .arguments
            .iter()
            .filter(|one| !PLAIN.contains(&one.as_str()))
        {
            let flag = argument
                .strip_prefix("--")
                .and_then(|rest| rest.split_once('='));
            let flag = flag.map(|(flag, _)| flag);
            assert!(
                flag.is_some_and(|flag| flags.contains(&flag)),
                "{seed} {argument:?}"
            );
        }
    }
}
