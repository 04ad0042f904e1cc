//! The keys of each agent's table, one row each.
//!
//! As in `keys.rs`. What the rows call tables, and the rules between keys, are in
//! `agent_tables.rs`.

use super::agents::{AgentKind, AgentOptions, StallAction};
use super::argument::Argument;
use super::key::{Key, Kind};
use super::keys::{GIB, MIB, choice, key};

/// The keys of each `[agents.<agent>]`.
pub(super) static AGENT_KEYS: &[Key<AgentOptions>] = &[
    key(
        "kind",
        Kind::Choice(&[
            choice("lines", |o: &mut AgentOptions| o.kind = AgentKind::Lines),
            choice("claude", |o| o.kind = AgentKind::Claude),
        ]),
        "lines",
        "How it is spoken with. `claude`: as the Claude CLI, with its options, its stream-json and \
         its requests for permission; `lines`: any command, which gets the prompt on its standard \
         input and writes lines.",
    ),
    key(
        "command",
        Kind::List(
            |text| Argument::parse(text).map(|_| text.to_owned()),
            |o, v| {
                o.command = v
                    .iter()
                    .filter_map(|text| Argument::parse(text).ok())
                    .collect();
            },
        ),
        "",
        "The program, or a list of it and its arguments; no shell reads them. The program is a \
         name, looked for in `PATH`, or an absolute path. `{name}` in an argument is replaced by \
         the parameter's value, which stays in that argument and never begins a flag; an argument \
         whose parameter has no value is left out; `{{` is a brace. `claude` for the kind of that \
         name, which adds the CLI's own flags.",
    ),
    key(
        "params",
        Kind::Tables("tables by name"),
        "{}",
        "What clients may set, each `{type, required, default}`, and for `\"string\"` `max_bytes` \
         (4,096) and `multi_line`, for `\"int\"` `min` and `max`, for `\"choice\"` `choices`; a \
         `\"path\"` must lie under `projects.roots`. Required unless there is a default or \
         `required = false`.",
    ),
    key(
        "env",
        Kind::Tables("texts by name"),
        "{}",
        "Variables that it gets beside `HOME`, `PATH`, `LANG`, `LC_*`, `TZ`, `TMPDIR`, `USER`, \
         `LOGNAME`, `SHELL`, `PWD` and `NO_COLOR=1`; the kind `claude` gets the server's \
         `ANTHROPIC_*` and `CLAUDE_*`, too. No others pass.",
    ),
    key(
        "timeout",
        Kind::TimeLimit(|o, v| o.timeout = v),
        "30m",
        "How long a run may take before it is ended.",
    ),
    key(
        "stall_after",
        Kind::TimeLimit(|o, v| o.stall_after = v),
        "5m",
        "After how long without output a run counts as stalled, which its viewers are told.",
    ),
    key(
        "stall_action",
        Kind::Choice(&[
            choice("none", |o: &mut AgentOptions| {
                o.stall_action = StallAction::None;
            }),
            choice("cancel", |o| o.stall_action = StallAction::Cancel),
        ]),
        "none",
        "What happens then. `none`: nothing more; `cancel`: the run is ended.",
    ),
    key(
        "interactive",
        Kind::Flag(|o, v| o.interactive = v),
        "false",
        "Whether its standard input stays open for what clients say while it runs; the kind \
         `claude` then asks them for permission to use its tools.",
    ),
    key(
        "allow_dangerous",
        Kind::Flag(|o, v| o.allow_dangerous = Some(v)),
        "",
        "Whether clients may use `dangerously_skip_permissions`, `permission_mode = \
         \"bypassPermissions\"` and any `mcp_config`. By default in the open mode on loopback \
         addresses only.",
    ),
    key(
        "mcp_configs",
        Kind::Tables("paths by name"),
        "{}",
        "Files that every client may choose, by name, as the option `mcp_config`.",
    ),
    key(
        "limits.cpu",
        Kind::TimeLimit(|o, v| o.limits.cpu = v),
        "0",
        "Processor time of each of its processes, in whole seconds (`RLIMIT_CPU`).",
    ),
    key(
        "limits.memory",
        Kind::SizeLimit(MIB, GIB.saturating_mul(1024), |o, v| o.limits.memory = v),
        "0",
        "Address space of each of its processes (`RLIMIT_AS`). Node and its like reserve far more \
         than they use.",
    ),
    key(
        "limits.files",
        Kind::Limit(|o, v| o.limits.files = v),
        "0",
        "Open files of each of its processes (`RLIMIT_NOFILE`).",
    ),
    key(
        "limits.processes",
        Kind::Limit(|o, v| o.limits.processes = v),
        "0",
        "Processes and threads of the server's user in all, its others included \
         (`RLIMIT_NPROC`).",
    ),
];
