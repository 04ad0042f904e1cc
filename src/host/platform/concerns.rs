//! What of the machine the operator should know before anything goes wrong.

use super::Platform;

/// Something that works, and that somebody will be surprised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// What it is about, in one or two words.
    pub about: &'static str,
    /// How it is, and what to do.
    pub message: &'static str,
}

impl Platform {
    /// All that there is to warn of.
    #[must_use]
    pub fn concerns(&self) -> Vec<Concern> {
        let all = [
            (
                self.security.is_root,
                "user",
                "kinglet is root, and so is every run; give it a user of its own (User= in the unit)",
            ),
            (
                !self.has_shell,
                "shell",
                "no sh on PATH; agents that are scripts, and the tools of the Claude CLI, need one",
            ),
            (
                !self.has_temporary,
                "temporary files",
                "/tmp cannot be written to; most agents need it (PrivateTmp=yes in the unit, a \
                 tmpfs in a container)",
            ),
        ];
        let found = all.into_iter().filter(|(is_so, _, _)| *is_so);
        found
            .map(|(_, about, message)| Concern { about, message })
            .collect()
    }
}
