//! The platform as lines of the log, one for each matter.

use std::fmt::{Display, Write};

use super::{Container, Platform, SeLinux};
use crate::base::one_line::on_one_line;

impl Platform {
    /// One line for each matter of which there is something to say, as `event key=value`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.system_line(), self.limits_line(), self.security_line()];
        lines.extend(self.macos_line());
        lines
    }

    fn system_line(&self) -> String {
        let mut line = format!(
            "platform os={} arch={}",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        put(
            &mut line,
            "distribution",
            self.system.distribution.as_deref(),
        );
        put(&mut line, "version", self.system.version.as_deref());
        put(&mut line, "kernel", self.system.kernel.as_deref());
        put(&mut line, "model", self.system.model.as_deref());
        put(&mut line, "init", self.init.as_deref());
        put(&mut line, "systemd", self.systemd.as_deref());
        put(
            &mut line,
            "container",
            self.container.as_ref().map(Container::name),
        );
        line
    }

    fn limits_line(&self) -> String {
        let limits = &self.limits;
        let shown = |limit: Option<u64>| match limit {
            Some(limit) => limit.to_string(),
            None => "none".to_owned(),
        };
        let mut line = format!(
            "platform_limits open_files={} memory_bytes={} cpu_seconds={} processes={}",
            shown(limits.open_files),
            shown(limits.memory_bytes),
            shown(limits.cpu_seconds),
            shown(limits.processes)
        );
        put(&mut line, "group_memory_bytes", self.group.memory());
        put(&mut line, "group_processors", self.group.cpus);
        put(&mut line, "group_processes", self.group.pids_max);
        line
    }

    fn security_line(&self) -> String {
        let security = &self.security;
        let mut line = format!("platform_security root={}", security.is_root);
        let selinux = security.selinux.map_or("none", SeLinux::name);
        put(&mut line, "selinux", Some(selinux));
        put(
            &mut line,
            "apparmor",
            Some(security.apparmor.as_deref().unwrap_or("none")),
        );
        line
    }

    fn macos_line(&self) -> Option<String> {
        let macos = self.macos.as_ref()?;
        let mut line = "platform_macos".to_owned();
        put(
            &mut line,
            "signing",
            macos.signing.map(|signing| signing.name()),
        );
        put(&mut line, "full_disk_access", macos.full_disk_access);
        put(&mut line, "terminal", macos.terminal.as_deref());
        put(
            &mut line,
            "homebrew",
            macos.homebrew.as_ref().map(|path| path.display()),
        );
        Some(line)
    }
}

/// Appends ` key=value`, with quotes where the value has spaces, if there is a value.
fn put(line: &mut String, key: &str, value: Option<impl Display>) {
    let Some(value) = value else { return };
    let value = on_one_line(&value.to_string()).replace('"', "'");
    // Writing to a string cannot fail.
    let _ = match value.contains(' ') {
        true => write!(line, " {key}=\"{value}\""),
        false => write!(line, " {key}={value}"),
    };
}
