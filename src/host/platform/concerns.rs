//! What of the machine the operator should know before anything goes wrong.

use super::Platform;

/// Bytes of memory below which a busy server and its runs are too tight; P0's figure. One run of the
/// Claude CLI takes some 300 MiB.
const MEMORY_ENOUGH: u64 = 512 << 20;

/// Something that works, and that somebody will be surprised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// What it is about, in one or two words.
    pub about: &'static str,
    /// How it is, and what to do.
    pub message: String,
}

impl Platform {
    /// All that there is to warn of.
    #[must_use]
    pub fn concerns(&self) -> Vec<Concern> {
        let mut concerns = Vec::new();
        let mut tell = |about, message: String| concerns.push(Concern { about, message });
        if self.security.is_root {
            let message = "kinglet is root, and so is every run; give it a user of its own (User= \
                           in the unit)";
            tell("user", message.to_owned());
        }
        if !self.has_shell {
            let message = "no sh on PATH; agents that are scripts, and the tools of the Claude \
                           CLI, need one";
            tell("shell", message.to_owned());
        }
        if !self.has_temporary {
            let message = "/tmp cannot be written to; most agents need it (PrivateTmp=yes in the \
                           unit, a tmpfs in a container)";
            tell("temporary files", message.to_owned());
        }
        if let Some(bytes) = self.memory_max().filter(|bytes| *bytes < MEMORY_ENOUGH) {
            let message = format!(
                "{} MiB at most, which is little for a server with runs; give it 512 MiB \
                 (MemoryMax= in the unit, the container's limit), or lower limits.runs",
                bytes >> 20
            );
            tell("memory", message);
        }
        if let Some(cpus) = self.group.cpus.filter(|cpus| *cpus < 1.0) {
            let message = format!(
                "{cpus} of a processor at most, so that a run makes every client wait; give it \
                 one (CPUQuota= in the unit, the container's limit)"
            );
            tell("processors", message);
        }
        concerns
    }
}
