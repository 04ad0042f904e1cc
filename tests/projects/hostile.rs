//! What clients say stays what they said: one argument, never another one, never a flag, never read
//! by a shell, and never in the environment.
//!
//! The agent prints its own command line and its environment as the kernel has them.

use kinglet::base::rng::Rng;
use kinglet::testkit::socket::Socket;
use serde_json::{Value, json};

use crate::Host;

/// The script is the configuration's; what is behind it are the values.
const SHOWN: &str = r#"
[limits]
messages_per_second = 0
[agents.show]
kind = "lines"
command = ["/bin/sh", "-c", "od -An -v -tx1 /proc/$$/cmdline; echo =; od -An -v -tx1 /proc/$$/environ", "show", "{alone}", "--flag={flag}", "a{inside}b"]
[agents.show.params]
alone = { type = "string", required = true, max_bytes = "64KiB" }
flag = { type = "string", max_bytes = "64KiB" }
inside = { type = "string", max_bytes = "64KiB" }
[agents.claude]
command = ["/bin/sh", "-c", "od -An -v -tx1 /proc/$$/cmdline; echo =; od -An -v -tx1 /proc/$$/environ", "show"]
allow_dangerous = false
"#;

/// Arguments before the values.
const FIXED: usize = 4;

/// What the process of a run saw: its arguments behind the fixed ones, and its environment.
fn seen(host: &Host, run: &Value) -> (Vec<String>, Vec<String>) {
    let lines = host.lines(run);
    let mut parts = lines.split(|line| line == "=").map(|lines| {
        let digits = lines.iter().flat_map(|line| line.split_whitespace());
        let bytes: Vec<u8> = digits
            .map(|digits| u8::from_str_radix(digits, 16).unwrap())
            .collect();
        let bytes = bytes.strip_suffix(b"\0").unwrap();
        let parts = bytes.split(|byte| *byte == 0);
        parts
            .map(|part| String::from_utf8(part.to_vec()).unwrap())
            .collect::<Vec<_>>()
    });
    let mut arguments = parts.next().unwrap();
    (arguments.split_off(FIXED), parts.next().unwrap())
}

const HOSTILE: [&str; 28] = [
    "",
    "plain",
    "$(touch x)",
    "`touch x`",
    "; touch x #",
    "&& touch x",
    "| tee x",
    "> x",
    "'\"'\"",
    "a b\tc",
    "\\",
    "%s%n%00",
    "*",
    "~",
    "$HOME ${PATH}",
    "{alone} {{flag}}",
    "=--flag=x",
    "-",
    "--",
    "-rf",
    "--flag=x",
    "\u{2010}rf",
    "\u{2014}\u{2014}flag",
    "\u{2212}1",
    "\u{ff0d}x",
    "a\0--flag",
    "a\n--flag=x",
    "\u{1b}]0;x\u{7}",
];

#[test]
fn a_value_is_one_argument_or_refused() {
    let host = Host::start(SHOWN);
    let project = host.project("a");
    let check = |alone: &str, flag: &str, inside: &str| {
        let params = json!({ "alone": alone, "flag": flag, "inside": inside });
        let body = json!({ "agent": "show", "params": params, "prompt": "$(x)\n--y" });
        match host.start_run(&project, &body) {
            Ok(run) => {
                let run = host.ended(run["id"].as_str().unwrap());
                assert_eq!(run["state"], "exited", "{run}");
                let (arguments, _) = seen(&host, &run);
                let flag = format!("--flag={flag}");
                let inside = format!("a{inside}b");
                assert_eq!(arguments, [alone, &flag, &inside]);
                true
            }
            Err(fault) => {
                assert_eq!(fault["code"], "VALIDATION_FAILED", "{fault}");
                false
            }
        }
    };
    for value in HOSTILE {
        let is_flag = value.starts_with(['-', '\u{2010}', '\u{2014}', '\u{2212}', '\u{ff0d}']);
        let is_text = !value.contains(char::is_control) || value == "a b\tc";
        assert_eq!(check(value, "", ""), is_text && !is_flag, "{value:?}");
        assert_eq!(check("x", value, value), is_text, "{value:?}");
    }
    let long = "-x ".repeat(21_000);
    assert!(check("x", &long, "$(x)"));
    assert!(!check("x", "", &"x".repeat(65_537)));
    let letters: Vec<char> = "-=a \t{}$`;|&'\"\\%\n\0\u{2014}é".chars().collect();
    let mut rng = Rng::from_seed(7);
    for _ in 0..40 {
        let mut value = || -> String {
            let mut letter = || {
                let at = rng.below(u64::try_from(letters.len()).unwrap());
                letters[usize::try_from(at).unwrap()]
            };
            (0..5).map(|_| letter()).collect()
        };
        let _ = check(&value(), &value(), &value());
    }
}

#[test]
fn every_way_in_has_the_same_validator() {
    let host = Host::start(SHOWN);
    let project = host.project("a");
    let address = host.server.address();
    let mut plain = Socket::open(address, "/ws");
    let connection = host.server.connect();
    let own = Socket::handshake(connection, "/ws", &["kinglet.v1"], &[]);
    let mut own = own.map_err(|answer| answer.status()).unwrap();
    assert_eq!(own.message()["type"], "connected");
    let hostile = [
        json!({ "dangerously_skip_permissions": true }),
        json!({ "permission_mode": "bypassPermissions" }),
        json!({ "permission_mode": "--resume" }),
        json!({ "mcp_config": "{\"mcpServers\":{}}" }),
        json!({ "mcp_config": { "mcpServers": {} } }),
        json!({ "allowed_tools": ["Read,Bash"] }),
        json!({ "allowed_tools": ["Read --dangerously-skip-permissions"] }),
        json!({ "disallowed_tools": ["-x"] }),
        json!({ "model": "opus --resume=x" }),
        json!({ "fallback_model": "-p" }),
        json!({ "append_system_prompt": "a\u{0}b" }),
        json!({ "add_dirs": ["/"] }),
        json!({ "add_dirs": ["../x"] }),
        json!({ "add_dirs": ["--x"] }),
        json!({ "resume": "x" }),
        json!({ "--resume": "x" }),
        json!({ "env": { "LD_PRELOAD": "x" } }),
        json!({ "cwd": "/" }),
    ];
    for options in hostile {
        let body = json!({ "prompt": "x", "options": options });
        let fault = host.start_run(&project, &body).unwrap_err();
        let code = fault["code"].as_str().unwrap();
        assert!(
            ["VALIDATION_FAILED", "PERMISSION_DENIED", "INVALID_PATH"].contains(&code),
            "{fault}"
        );
        // So many errors in a row would end the session.
        assert_eq!(plain.ask(&json!({ "type": "ping" }))["type"], "pong");
        assert_eq!(own.ask(&json!({ "type": "ping" }))["type"], "pong");
        let reply = plain.ask(&json!({ "type": "execute", "project_id": project,
            "data": { "prompt": "x", "options": options } }));
        assert_eq!(error_code(&reply), code, "{options} {reply}");
        let reply = own.ask(&json!({ "type": "run.start", "request_id": "r",
            "project_id": project, "prompt": "x", "options": options }));
        assert_eq!(error_code(&reply), code, "{options} {reply}");
    }
}

fn error_code(reply: &Value) -> String {
    let places = ["/error/code", "/data/code", "/data/error/code", "/code"];
    let mut found = places.iter().filter_map(|place| reply.pointer(place));
    found.next().unwrap_or(reply).to_string().replace('"', "")
}

#[test]
fn a_prompt_is_no_argument_and_nothing_of_the_server_or_a_client_is_in_the_environment() {
    let host = Host::start(SHOWN);
    let project = host.project("a");
    let text = "--dangerously-skip-permissions $(x)\nA=b";
    let options = json!({ "append_system_prompt": text, "allowed_tools": ["Bash(git log:*)"] });
    let body = json!({ "agent": "claude", "prompt": text, "options": options });
    let run = host.carry_out(&project, &body);
    let (arguments, environment) = seen(&host, &run);
    let appended = format!("--append-system-prompt={text}");
    assert_eq!(
        arguments,
        [
            "-p",
            "--allowed-tools=Bash(git log:*)",
            &appended,
            "--verbose",
            "--output-format=stream-json",
        ]
    );
    let mut names: Vec<&str> = environment
        .iter()
        .map(|pair| pair.split_once('=').unwrap().0)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "KINGLET_RUN", "NO_COLOR", "PATH", "PWD"]);
    let log = host.server.stderr();
    for secret in ["dangerously-skip", "a secret of the server"] {
        assert!(!log.contains(secret), "{log}");
    }
}
