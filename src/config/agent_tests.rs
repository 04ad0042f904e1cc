//! What is written of agents and projects, what it means, and the lines an operator reads.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use super::agent_keys::AGENT_KEYS;
use super::{
    AgentKind, AgentLimits, AgentOptions, AuthMode, Busy, Config, Faults, Flags, ParameterKind,
    ReplyNames, Sources, StallAction, load, no_files, reload,
};

fn sources<'a>(
    text: &'a str,
    environment: &'a [(String, String)],
    flags: &'a Flags,
) -> Sources<'a> {
    Sources {
        file: Some(("kinglet.toml", text)),
        environment,
        flags,
        files: no_files,
    }
}

fn try_load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    let environment: Vec<(String, String)> = environment.iter().map(own).collect();
    let loaded = load(&sources(text, &environment, &Flags::default()));
    loaded.map(|(config, _)| config)
}

fn agent(text: &str, name: &str) -> AgentOptions {
    let config = try_load(text, &[]).unwrap();
    AgentOptions::clone(config.agents.options(name).unwrap())
}

/// The command as it was written.
fn command(agent: &AgentOptions) -> Vec<Option<&str>> {
    agent
        .command
        .iter()
        .map(|argument| argument.text())
        .collect()
}

fn check(text: &str, faults: &[&str]) {
    let found = try_load(text, &[]).err().unwrap_or_default().to_string();
    let expected: Vec<String> = faults
        .iter()
        .map(|fault| fault.replacen(':', " (kinglet.toml):", 1))
        .collect();
    assert_eq!(found, expected.join("\n"), "{text}");
}

#[test]
fn claude_is_there_from_the_start() {
    let agents = Config::default().agents;
    let names: Vec<&str> = agents.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["claude"]);
    let claude = agents.options("claude").unwrap();
    assert_eq!(claude.kind, AgentKind::Claude);
    assert_eq!(command(claude), [Some("claude")]);

    let changed = agent("[agents.claude]\ntimeout = 0\n", "claude");
    assert_eq!(changed.timeout, None);
    assert_eq!(command(&changed), [Some("claude")]);
    let second = agent("[agents.reviewer]\nkind = \"claude\"\n", "reviewer");
    assert_eq!(command(&second), [Some("claude")]);
    let other = agent("agents.claude.command = \"/opt/claude\"\n", "claude");
    assert_eq!(command(&other), [Some("/opt/claude")]);
}

#[test]
fn every_documented_default_of_an_agent_is_the_real_one() {
    let plain = agent("agents.x.command = \"x\"", "x");
    for key in AGENT_KEYS.iter().filter(|key| !key.default.is_empty()) {
        let no_effect = ["mcp_configs", "allow_dangerous"].contains(&key.name);
        let kind = if no_effect { "claude" } else { "lines" };
        let literal = key.default_literal();
        let text = format!("[agents.x]\ncommand = \"x\"\nkind = \"{kind}\"\n");
        let text = match key.name {
            "kind" => text,
            name => format!("{text}{name} = {literal}\n"),
        };
        let mut found = agent(&text, "x");
        found.kind = AgentKind::Lines;
        assert_eq!(found, plain, "{text}");
    }
}

#[test]
fn every_key_of_an_agent_reaches_its_own_field() {
    let text = r#"
        [agents.test]
        kind = "claude"
        command = ["make", "-C", "{folder}", "--jobs={jobs}"]
        params = { folder = { type = "path" }, jobs = { type = "int", min = 1, default = 2 } }
        env = { RUST_LOG = "debug" }
        timeout = "1h"
        stall_after = 0
        stall_action = "cancel"
        interactive = true
        allow_dangerous = false
        mcp_configs = { github = "/etc/mcp.json" }
        limits = { cpu = "1m", memory = "2GiB", files = 64, processes = 0 }
    "#;
    let found = agent(text, "test");
    assert_eq!(found.kind, AgentKind::Claude);
    assert_eq!(command(&found), [Some("make"), Some("-C"), None, None]);
    assert_eq!(found.params["folder"].kind, ParameterKind::Path);
    assert!(found.params["folder"].required);
    let jobs = &found.params["jobs"];
    assert_eq!((jobs.required, jobs.default.as_deref()), (false, Some("2")));
    assert_eq!(found.env.0["RUST_LOG"], "debug");
    assert_eq!(format!("{:?}", found.env), "{\"RUST_LOG\"}");
    assert_eq!(found.timeout, Some(Duration::from_secs(3600)));
    assert_eq!(found.stall_after, None);
    assert_eq!(found.stall_action, StallAction::Cancel);
    assert!(found.interactive);
    assert_eq!(found.allow_dangerous, Some(false));
    assert_eq!(found.mcp_configs["github"], PathBuf::from("/etc/mcp.json"));
    let limits = AgentLimits {
        cpu: Some(Duration::from_secs(60)),
        memory: Some(2 << 30),
        files: Some(64),
        processes: None,
    };
    assert_eq!(found.limits, limits);

    let text = "projects = { roots = [\"/a\", \"/b\"], max = 0, busy = \"queue\" }\n\
                protocol.reply_names = \"past\"\nlimits.runs = 3\n";
    let config = try_load(text, &[]).unwrap();
    assert_eq!(config.project_roots(), ["/a", "/b"].map(PathBuf::from));
    assert_eq!(config.projects.max, None);
    assert_eq!(config.projects.busy, Busy::Queue);
    assert_eq!(config.reply_names, ReplyNames::Past);
    assert_eq!(config.limits.runs, Some(3));
}

#[test]
fn variables_reach_agents_too() {
    let environment = [
        ("KINGLET_AGENTS__CLAUDE__COMMAND", "/opt/claude"),
        ("KINGLET_AGENTS__CLAUDE__LIMITS__FILES", "32"),
        ("KINGLET_AGENTS__A__B__COMMAND", "[\"echo\", \"{x}\"]"),
        ("KINGLET_AGENTS__A__B__PARAMS", "{x = {type = \"string\"}}"),
        ("KINGLET_PROJECTS__ROOTS", "/srv"),
    ];
    let config = try_load("", &environment).unwrap();
    let claude = config.agents.options("claude").unwrap();
    assert_eq!(command(claude), [Some("/opt/claude")]);
    assert_eq!(claude.limits.files, Some(32));
    let other = config.agents.options("a__b").unwrap();
    assert_eq!(command(other), [Some("echo"), None]);
    assert_eq!(config.project_roots(), [PathBuf::from("/srv")]);
}

#[test]
fn defaults_depend_on_who_may_connect() {
    let home = [("HOME", "/home/me")];
    let token = "[auth]\nmode = \"token\"\n[[auth.api_keys]]\nname = \"a\"\n\
                 key = \"do-not-show-me-0123456789abcdefghijklmnop\"\n";
    let mut config = try_load("", &home).unwrap();
    let claude = config.agents.options("claude").unwrap().clone();
    assert_eq!(config.project_roots(), [PathBuf::from("/home/me")]);
    assert!(config.allows_dangerous(&claude));
    config.server.listen.push("192.0.2.1:80".parse().unwrap());
    assert!(!config.allows_dangerous(&claude), "others reach it");
    assert_eq!(
        try_load("", &[]).unwrap().project_roots(),
        [""; 0].map(PathBuf::from)
    );
    assert!(
        try_load("", &[("HOME", "here")])
            .unwrap()
            .project_roots()
            .is_empty()
    );

    let config = try_load(token, &home).unwrap();
    assert_eq!(config.auth.mode, AuthMode::Token);
    assert!(config.project_roots().is_empty());
    assert!(!config.allows_dangerous(&claude));
    let insists = format!("{token}[agents.claude]\nallow_dangerous = true\n");
    let config = try_load(&insists, &home).unwrap();
    assert!(config.allows_dangerous(config.agents.options("claude").unwrap()));
}

#[test]
fn a_command_that_a_value_could_escape_is_refused() {
    let program = "agents.x.command: the program must be a name to look for in PATH, or an \
                   absolute path, without parameters";
    let shell = "agents.x.command: a shell would run the value as code; pass it behind the code, \
                 as in [\"sh\", \"-c\", \"cat -- \\\"$1\\\"\", \"sh\", \"{file}\"]";
    let with_param = |command: &str| {
        format!("[agents.x]\ncommand = {command}\nparams = {{ v = {{ type = \"string\" }} }}\n")
    };
    check(&with_param("[\"{v}\"]"), &[program]);
    check(&with_param("[\"./build\", \"{v}\"]"), &[program]);
    check(&with_param("[\"bin/build\", \"{v}\"]"), &[program]);
    check(&with_param("[\"sh\", \"-c\", \"ls {v}\"]"), &[shell]);
    check(&with_param("[\"/bin/bash\", \"-ec\", \"{v}\"]"), &[shell]);
    check(
        &with_param("[\"sh\", \"-c\", \"ls \\\"$1\\\"\", \"sh\", \"{v}\"]"),
        &[],
    );
    check(
        &with_param("[\"ls\", \"-{v}\"]"),
        &[
            "agents.x.command: \"-{v}\" would let a value choose the flag; write \
             --flag={parameter}, or two arguments",
        ],
    );
    check("agents.x.command = \"\"", &[program]);
    check(
        "agents.x.command = []",
        &["agents.x.command: the list is empty; write the program first"],
    );
    check(
        "agents.x.timeout = \"1m\"",
        &[
            "agents.x.command: is missing: the program that the agent is, or a list of it and its \
           arguments",
        ],
    );
}

#[test]
fn what_is_said_of_parameters_must_hold_together() {
    let params = |params: &str| {
        format!("[agents.x]\ncommand = [\"ls\", \"{{v}}\"]\nparams = {{ {params} }}\n")
    };
    for (written, faults) in [
        ("v = { type = \"string\", max_bytes = \"1KiB\" }", vec![]),
        ("v = { type = \"int\", required = false }", vec![]),
        (
            "",
            vec!["agents.x.command: {v} is no parameter; declare params.v"],
        ),
        (
            "v = { type = \"path\" }, w = { type = \"path\" }",
            vec!["agents.x.params.w: has no effect: the command has no {w}"],
        ),
        (
            "v = { type = \"text\" }",
            vec!["agents.x.params.v: needs a type: \"string\", \"int\", \"choice\" or \"path\""],
        ),
        (
            "v = { type = \"int\", max_bytes = 1 }",
            vec![
                "agents.x.params.v: \"max_bytes\" is unknown for a int; there are type, required, \
                 default, min, max",
            ],
        ),
        (
            "v = { type = \"int\", min = 2, max = 1 }",
            vec!["agents.x.params.v: min 2 is above max 1"],
        ),
        (
            "v = { type = \"int\", max = 1, default = 2 }",
            vec![
                "agents.x.params.v: default: must be a whole number from -9223372036854775808 to 1",
            ],
        ),
        (
            "v = { type = \"choice\" }",
            vec!["agents.x.params.v: needs choices, a list of strings"],
        ),
        (
            "v = { type = \"choice\", choices = [\"a\"], default = \"b\" }",
            vec!["agents.x.params.v: default: must be one of a"],
        ),
        (
            "v = { type = \"string\", default = \"a\", required = true }",
            vec!["agents.x.params.v: has a default, so it is not required; choose one"],
        ),
        (
            "v = 1",
            vec!["agents.x.params.v: 1 is not a table, {type = \"string\"}"],
        ),
        (
            "V = { type = \"string\" }",
            vec![
                "agents.x.params.V: a parameter is called by 1 to 64 of a-z 0-9 _, first a letter",
            ],
        ),
    ] {
        check(&params(written), &faults);
    }
}

#[test]
fn what_has_no_effect_or_no_meaning_is_refused() {
    let lines = "[agents.x]\ncommand = \"x\"\n";
    for (more, faults) in [
        (
            "allow_dangerous = true\nmcp_configs = { a = \"/a\" }",
            vec![
                "agents.x.mcp_configs: has an effect only with kind = \"claude\"",
                "agents.x.allow_dangerous: has an effect only with kind = \"claude\"",
            ],
        ),
        (
            "limits.cpu = \"10ms\"",
            vec!["agents.x.limits.cpu: must be a second or more, or 0 for no limit"],
        ),
        (
            "limits.memory = 1000",
            vec!["agents.x.limits.memory: 1000 is not from 1 MiB to 1024 GiB"],
        ),
        (
            "limits.cpus = 1",
            vec!["agents.x.limits.cpus: unknown key; did you mean agents.x.limits.cpu?"],
        ),
        (
            "limits = 1",
            vec!["agents.x.limits: must be a table with one of cpu, memory, files, processes"],
        ),
        (
            "env = { PWD = \"/\", A = 7 }",
            vec![
                "agents.x.env.A: must be a text without zero bytes",
                "agents.x.env.PWD: is no variable that can be set: a name has no =, PWD is the \
                 project's, KINGLET_ the server's own",
            ],
        ),
        ("env = 1", vec!["agents.x.env: 1 is not a table"]),
        (
            "stall_acton = \"none\"",
            vec!["agents.x.stall_acton: unknown key; did you mean agents.x.stall_action?"],
        ),
    ] {
        check(&format!("{lines}{more}\n"), &faults);
    }
    check(
        "agents.command = \"x\"",
        &["agents.command: must be in a table of its agent, such as [agents.claude]"],
    );
    check(
        "[agents.\"a b\"]",
        &["agents.a b: an agent is called by 1 to 64 of A-Z a-z 0-9 _ . -"],
    );
    check(
        "[agent.x]\ncommand = \"x\"",
        &["agent.x: unknown key; did you mean agents.x?"],
    );
    check(
        "projects.roots = [\"~/src\", \"/ok\"]",
        &[
            "projects.roots: \"~/src\" is not an absolute path; write all of it, such as \
           \"/home/me/src\"",
        ],
    );
}

#[test]
fn a_running_server_takes_all_of_it() {
    let flags = Flags::default();
    let old = "projects.roots = \"/a\"\n[agents.gone]\ncommand = \"gone\"\n";
    let new = "projects.busy = \"queue\"\nlimits.runs = 1\nprotocol.reply_names = \"past\"\n\
               [agents.claude]\ninteractive = true\n[agents.new]\ncommand = \"new\"\n";
    let current = load(&sources(old, &[], &flags)).unwrap().0;
    let found = reload(&current, &sources(new, &[], &flags)).unwrap();
    let mut applied = found.applied;
    applied.sort_unstable();
    let expected = [
        "agents.claude",
        "agents.gone",
        "agents.new",
        "limits.runs",
        "projects.busy",
        "projects.roots",
        "protocol.reply_names",
    ];
    assert_eq!(applied, expected);
    assert_eq!(found.needs_restart, [""; 0]);
    assert_eq!(found.config, found.written);
    let again = reload(&found.config, &sources(new, &[], &flags)).unwrap();
    assert_eq!(again.applied, [""; 0]);
}
