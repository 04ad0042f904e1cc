//! What is wrong with a configuration, in words for its operator.
//!
//! Invariant: one fault or warning is one line of text, whatever was written in the file.

use std::fmt;

use crate::base::one_line::on_one_line;

/// One thing that keeps the configuration from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key and where it was written, or the line of the file that is not TOML.
    pub place: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// All faults of a configuration, one line each. Always the operator's to mend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes a fault of `key` as written in `origin`.
    pub(super) fn add(&mut self, key: &str, origin: &str, problem: impl Into<String>) {
        self.0.push(Fault {
            // A quoted TOML key can hold a line break.
            place: format!("{} ({})", key.escape_debug(), on_one_line(origin)),
            problem: on_one_line(&problem.into()).into_owned(),
        });
    }

    /// Notes that the file is not TOML from `line` on; lines count from 1.
    pub(super) fn add_syntax(&mut self, path: &str, line: usize, message: &str) {
        self.0.push(Fault {
            place: format!("{}:{line}", on_one_line(path)),
            problem: on_one_line(&message.trim().replace('\n', "; ")).into_owned(),
        });
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Something an operator should know that does not keep the server from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable or key it is about.
    pub variable: String,
    /// What happens to it, and why.
    pub problem: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.problem)
    }
}
