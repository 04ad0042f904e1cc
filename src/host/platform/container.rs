//! Whether this is a container, and which kind: by what those who make them leave in it.
//!
//! The most telling is asked first. systemd's names are those of systemd-detect-virt(1); the paths
//! of control groups are those of Docker, Podman, containerd, Kubernetes and LXC.

use super::Place;

/// A kind of container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Container {
    /// A pod of Kubernetes, whatever runs it.
    Kubernetes,
    /// Docker.
    Docker,
    /// Podman, and what else is made with libpod.
    Podman,
    /// containerd without one of the above.
    Containerd,
    /// LXC, Incus and LXD.
    Lxc,
    /// systemd-nspawn(1).
    Nspawn,
    /// The Windows Subsystem for Linux.
    Wsl,
    /// It says that it is one, and this is how it calls itself.
    Other(String),
}

impl Container {
    /// The name in the log, in `doctor` and over HTTP.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Lxc => "lxc",
            Self::Nspawn => "systemd-nspawn",
            Self::Wsl => "wsl",
            Self::Other(name) => name,
        }
    }

    /// The kind that calls itself `name`.
    fn named(name: &str) -> Option<Self> {
        let known = match name {
            "docker" => Self::Docker,
            "podman" => Self::Podman,
            "containerd" => Self::Containerd,
            "lxc" | "lxc-libvirt" => Self::Lxc,
            "systemd-nspawn" => Self::Nspawn,
            "wsl" => Self::Wsl,
            _ => return other(name).map(Self::Other),
        };
        Some(known)
    }

    /// The kind in which a process of this cgroups(7) file is. By whole parts of its paths: the
    /// service `docker.service` is in no container.
    fn of_groups(text: &str) -> Option<Self> {
        let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let parts: Vec<&str> = paths.flat_map(|path| path.split('/')).collect();
        let any = |starts: &[&str]| {
            let mut parts = parts.iter();
            parts.any(|part| starts.iter().any(|start| part.starts_with(start)))
        };
        if any(&["kubepods"]) {
            Some(Self::Kubernetes)
        } else if parts.contains(&"docker") || any(&["docker-"]) {
            Some(Self::Docker)
        } else if any(&["libpod-", "libpod_parent"]) {
            Some(Self::Podman)
        } else if any(&["cri-containerd", "nerdctl-"]) {
            Some(Self::Containerd)
        } else if parts.contains(&"lxc") || any(&["lxc.payload"]) {
            Some(Self::Lxc)
        } else {
            None
        }
    }
}

/// A name that may be shown: letters, digits and `-_.`, 32 at most.
fn other(name: &str) -> Option<String> {
    let shown = |one: &char| one.is_ascii_alphanumeric() || "-_.".contains(*one);
    let name: String = name.chars().filter(shown).take(32).collect();
    (!name.is_empty()).then_some(name)
}

/// Which kind of container `place` is.
pub(super) fn detect(place: Place<'_>) -> Option<Container> {
    if place.variable("KUBERNETES_SERVICE_HOST").is_some()
        || place.exists("run/secrets/kubernetes.io")
    {
        return Some(Container::Kubernetes);
    }
    // systemd writes what it was told; others set the variable for all that they start.
    let told = place
        .text("run/systemd/container")
        .or_else(|| place.variable("container"))
        .and_then(|name| Container::named(&name));
    // What runs in WSL 2 may be told of that, and be in another one all the same.
    let is_vague = |kind: &&Container| matches!(kind, Container::Other(_) | Container::Wsl);
    if let Some(kind) = told.as_ref().filter(|kind| !is_vague(kind)) {
        return Some(kind.clone());
    }
    marked(place)
        .or_else(|| grouped(place))
        .or_else(|| of_first_process(place))
        .or(told)
        .or_else(|| is_wsl(place).then_some(Container::Wsl))
}

/// By the files that two of them put into the root.
fn marked(place: Place<'_>) -> Option<Container> {
    let marks = [
        ("run/.containerenv", Container::Podman),
        (".dockerenv", Container::Docker),
    ];
    let found = marks.into_iter().find(|(path, _)| place.exists(path));
    found.map(|(_, kind)| kind)
}

fn grouped(place: Place<'_>) -> Option<Container> {
    let files = ["proc/self/cgroup", "proc/1/cgroup"];
    let mut texts = files.into_iter().filter_map(|path| place.text(path));
    texts.find_map(|text| Container::of_groups(&text))
}

/// By the variable that the first process was started with, which only root may read.
fn of_first_process(place: Place<'_>) -> Option<Container> {
    let environment = place.bytes("proc/1/environ")?;
    let mut lines = environment.split(|byte| *byte == 0);
    let name = lines.find_map(|line| line.strip_prefix(b"container="))?;
    Container::named(&String::from_utf8_lossy(name))
}

/// Its kernel is Microsoft's.
fn is_wsl(place: Place<'_>) -> bool {
    let kernel = place.text("proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.to_ascii_lowercase();
    kernel.contains("microsoft") || kernel.contains("wsl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_name_whoever_made_them() {
        let check = |text: &str, expected: Option<Container>| {
            assert_eq!(Container::of_groups(text), expected, "{text}");
        };
        check("0::/", None);
        check("0::/system.slice/docker.service", None);
        check("0::/system.slice/containerd.service\n", None);
        check("12:pids:/docker/0123abcd\n", Some(Container::Docker));
        check(
            "0::/system.slice/docker-0123abcd.scope",
            Some(Container::Docker),
        );
        check(
            "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope",
            Some(Container::Kubernetes),
        );
        check("0::/machine.slice/libpod-12.scope", Some(Container::Podman));
        check("0::/lxc.payload.web", Some(Container::Lxc));
        check(
            "0::/system.slice/cri-containerd-9.scope",
            Some(Container::Containerd),
        );
        check("", None);
        check("rubbish\n::::\n0:docker", None);
    }

    #[test]
    fn a_name_that_nobody_knows_is_shown_without_what_could_harm() {
        let name = |written: &str| Container::named(written).map(|kind| kind.name().to_owned());
        assert_eq!(name("oci").as_deref(), Some("oci"));
        assert_eq!(name("x\u{1b}[2J y").as_deref(), Some("x2Jy"));
        assert_eq!(name(&"a".repeat(99)).map(|name| name.len()), Some(32));
        assert_eq!(name("\u{7}"), None);
    }
}
