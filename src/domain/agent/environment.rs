//! What a run knows of the server's environment: what is listed here, and nothing else.
//!
//! Invariant: neither a secret of the server (`KINGLET_`, `JWT_`) nor the mark of an enclosing Claude
//! Code (`CLAUDECODE`, with which the CLI refuses to start) passes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::config::{AgentKind, AgentOptions};

/// Variables that pass to every agent.
const PASSING: [&str; 8] = [
    "HOME", "PATH", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL",
];

/// The environment of a run in `directory`.
pub(super) fn of_run(
    options: &AgentOptions,
    server: impl IntoIterator<Item = (OsString, OsString)>,
    directory: &Path,
) -> BTreeMap<OsString, OsString> {
    let passing = server.into_iter().filter(|(name, _)| {
        let name = name.to_str();
        name.is_some_and(|name| passes(name, options.kind))
    });
    let mut environment: BTreeMap<OsString, OsString> = passing.collect();
    environment.insert("NO_COLOR".into(), "1".into());
    let own = options.env.0.iter();
    environment.extend(own.map(|(name, text)| (name.into(), text.into())));
    environment.insert("PWD".into(), directory.into());
    environment
}

fn passes(name: &str, kind: AgentKind) -> bool {
    let with = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let of_kind = match kind {
        // Keys of an account are for the program that they were meant for.
        AgentKind::Claude => with(&["ANTHROPIC_", "CLAUDE_"]),
        AgentKind::Lines => false,
    };
    of_kind || PASSING.contains(&name) || with(&["LC_"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Variables;

    fn names(kind: AgentKind, env: &[(&str, &str)], server: &[(&str, &str)]) -> Vec<String> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let options = AgentOptions {
            kind,
            env: Variables(env.iter().map(own).collect()),
            ..AgentOptions::default()
        };
        let server = server.iter().map(|(name, text)| (name.into(), text.into()));
        let found = of_run(&options, server, Path::new("/project"));
        let pair = |(name, text): (OsString, OsString)| {
            format!("{}={}", name.to_string_lossy(), text.to_string_lossy())
        };
        found.into_iter().map(pair).collect()
    }

    const SERVER: [(&str, &str); 16] = [
        ("ANTHROPIC_API_KEY", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("CLAUDECODE", "1"),
        ("CLAUDE_CONFIG_DIR", "/c"),
        ("HOME", "/h"),
        ("JWT_SECRET_KEY", "s"),
        ("KINGLET_TOKEN", "s"),
        ("KINGLET_AUTH__KEYS", "s"),
        ("LC_ALL", "C"),
        ("LD_PRELOAD", "x"),
        ("NODE_OPTIONS", "x"),
        ("PATH", "/bin"),
        ("PATHS", "x"),
        ("PWD", "/elsewhere"),
        ("REDIS_URL", "s"),
        ("home", "x"),
    ];

    #[test]
    fn only_what_is_listed_passes() {
        let common = [
            "HOME=/h",
            "LC_ALL=C",
            "NO_COLOR=1",
            "PATH=/bin",
            "PWD=/project",
        ];
        assert_eq!(names(AgentKind::Lines, &[], &SERVER), common);
        let mut claude = vec!["ANTHROPIC_API_KEY=k", "CLAUDE_CONFIG_DIR=/c"];
        claude.extend(common);
        assert_eq!(names(AgentKind::Claude, &[], &SERVER), claude);
        assert_eq!(
            names(AgentKind::Claude, &[], &[]),
            ["NO_COLOR=1", "PWD=/project"]
        );
    }

    #[test]
    fn the_agents_own_variables_win() {
        let env = [("PATH", "/own"), ("NO_COLOR", ""), ("A", "b")];
        let found = names(AgentKind::Lines, &env, &[("PATH", "/bin")]);
        assert_eq!(found, ["A=b", "NO_COLOR=", "PATH=/own", "PWD=/project"]);
    }
}
