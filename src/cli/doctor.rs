//! `doctor`: whether a server with this configuration would do well on this machine, and what to do
//! where it would not.
//!
//! `facts` asks the machine and `guarded` looks who can reach what nobody should; `checks` and
//! `platform` judge what they said. May not touch: what serve does with it.
//! Invariant: nothing is left behind, and no server that runs is disturbed.

mod checks;
#[cfg(test)]
mod checks_tests;
mod facts;
mod guarded;
mod platform;

use serde::Serialize;

use crate::cli::arguments::DoctorArguments;
use crate::cli::{Exit, Failure, output};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Nothing is to be done.
    Ok,
    /// The server works, but the operator should know.
    Warning,
    /// The server does not start, or not everything of it works.
    Failure,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at, such as `listen 127.0.0.1:8080`.
    check: String,
    verdict: Verdict,
    /// How it is, and what to do unless it is well.
    message: String,
}

impl Finding {
    fn new(check: impl Into<String>, verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            verdict,
            message: message.into(),
        }
    }

    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failure => "failure",
        };
        format!("{verdict:<7}  {}: {}", self.check, self.message)
    }
}

/// Prints what every check found; fails if one of them did.
pub(super) fn run(asked: DoctorArguments) -> Result<Exit, Failure> {
    let findings = checks::all(&facts::gather(asked.serve));
    for finding in &findings {
        let line = match asked.json {
            true => serde_json::to_string(finding)
                .map_err(|fault| Failure::Failed(format!("cannot write JSON: {fault}")))?,
            false => finding.line(),
        };
        output::line(&output::one_line(&line))?;
    }
    let worst = findings.iter().map(|finding| finding.verdict).max();
    Ok(match worst {
        Some(Verdict::Failure) => Exit::Failed,
        Some(Verdict::Ok | Verdict::Warning) | None => Exit::Done,
    })
}
