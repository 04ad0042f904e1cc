//! Whether the server is near a limit on its resources, or over one, and what follows from that.
//!
//! [`Monitor::observe`] takes readings and says what has changed. A state is left at a lower mark
//! than it was entered at, so that a reading that wavers is told of once. May not touch: where
//! readings come from, clocks, what is done. Invariant: what cannot be read limits nothing.

/// What the server needs and can have too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Memory in RAM.
    Memory,
    /// Threads.
    Threads,
    /// Open files and sockets.
    Descriptors,
    /// Room on the disk of the data directory.
    Disk,
}

impl Resource {
    /// Every one, in the order in which they are told of.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Threads, Self::Descriptors, Self::Disk];

    /// Its name in the log and on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Threads => "threads",
            Self::Descriptors => "descriptors",
            Self::Disk => "disk",
        }
    }

    /// What an operator can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Memory => "raise limits.memory_mb or the container's limit, or lower histories",
            Self::Threads => "raise limits.threads or the container's limit on processes",
            Self::Descriptors => "raise the limit of open files or lower limits.connections",
            Self::Disk => "make room on the disk of server.data_dir",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// How much of a resource is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Little enough.
    #[default]
    Normal,
    /// Nearly all: worth a warning.
    Near,
    /// More than may be.
    Over,
}

/// One look at a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What is in use; of a disk, what is free. Bytes or pieces.
    pub current: u64,
    /// What may be in use; of a disk, what is to stay free.
    pub limit: u64,
    marks: Marks,
}

/// Where states are entered and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marks {
    /// Too much is bad.
    Ceiling,
    /// Too little is bad; near the end begins here.
    Floor { near: u64 },
}

/// Free bytes below which a disk is nearly full, and below which it is full.
const DISK: (u64, u64) = (1 << 30, 64 << 20);

/// What parts of a disk these are at most, so that a small one is not always nearly full.
const DISK_PARTS: (u64, u64) = (5, 20);

impl Reading {
    /// A resource of which `limit` may be in use: near from 80 % on until below 75 %, over above the
    /// limit until below 90 %.
    #[must_use]
    pub const fn of(current: u64, limit: u64) -> Self {
        Self {
            current,
            limit,
            marks: Marks::Ceiling,
        }
    }

    /// A disk of so many bytes: near its end below 1 GiB free, or a fifth of it if that is less; over
    /// below 64 MiB, or a twentieth. Each is left when a quarter more is free.
    #[must_use]
    pub fn of_disk(free: u64, total: u64) -> Self {
        Self {
            current: free,
            limit: DISK.1.min(total / DISK_PARTS.1),
            marks: Marks::Floor {
                near: DISK.0.min(total / DISK_PARTS.0),
            },
        }
    }

    /// The level now, after one of `before`.
    fn level(&self, before: Level) -> Level {
        let percent = |of: u64, percent: u64| of / 100 * percent + of % 100 * percent / 100;
        let (is_over, is_near) = match self.marks {
            Marks::Ceiling => {
                let near = percent(self.limit, if before == Level::Normal { 80 } else { 75 });
                let is_over = match before {
                    Level::Over => self.current >= percent(self.limit, 90),
                    Level::Normal | Level::Near => self.current > self.limit,
                };
                (is_over, self.current >= near)
            }
            Marks::Floor { near } => {
                let below = |mark: u64, is_in: bool| {
                    self.current < if is_in { percent(mark, 125) } else { mark }
                };
                (
                    below(self.limit, before == Level::Over),
                    below(near, before != Level::Normal),
                )
            }
        };
        match (is_over, is_near) {
            (true, _) => Level::Over,
            (false, true) => Level::Near,
            (false, false) => Level::Normal,
        }
    }
}

/// One reading of each resource, in the order of [`Resource::ALL`]; `None` where nobody can tell, or
/// nothing is a limit.
pub type Readings = [Option<Reading>; Resource::ALL.len()];

/// How all resources stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    levels: [Level; Resource::ALL.len()],
    readings: Readings,
}

/// More of a resource is taken than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Which.
    pub resource: Resource,
    /// What is in use; of a disk, what is free.
    pub current: u64,
    /// What may be; of a disk, what is to stay free.
    pub limit: u64,
}

impl Excess {
    /// Why something is refused because of it.
    #[must_use]
    pub fn message(&self) -> String {
        let word = self.resource.word();
        format!("the server is over its limit on {word} and takes nothing new until it is below")
    }
}

impl Status {
    /// How one resource stands.
    #[must_use]
    pub fn level(&self, resource: Resource) -> Level {
        self.levels[resource.index()]
    }

    /// The last reading of one resource.
    #[must_use]
    pub fn reading(&self, resource: Resource) -> Option<Reading> {
        self.readings[resource.index()]
    }

    /// Why no new connection is taken, if none is. A full disk is no reason: rooms in memory need
    /// none, and durable ones say themselves that nothing can be written.
    #[must_use]
    pub fn refuses_connections(&self) -> Option<Excess> {
        self.excess(|resource| resource != Resource::Disk)
    }

    /// Why no new run is started, if none is.
    #[must_use]
    pub fn refuses_runs(&self) -> Option<Excess> {
        self.excess(|_| true)
    }

    /// The worst of all levels, with the first resource that has it.
    #[must_use]
    pub fn worst(&self) -> (Level, Resource) {
        let each = Resource::ALL.map(|resource| (self.level(resource), resource));
        each.into_iter()
            .fold(each[0], |worst, next| match next.0 > worst.0 {
                true => next,
                false => worst,
            })
    }

    /// Bytes of memory to give back until the server is well below the limit; `None` unless it is
    /// over.
    #[must_use]
    pub fn memory_to_release(&self) -> Option<u64> {
        let reading = self.reading(Resource::Memory)?;
        let is_over = self.level(Resource::Memory) == Level::Over;
        is_over.then(|| reading.current.saturating_sub(reading.limit / 4 * 3))
    }

    fn excess(&self, counts: impl Fn(Resource) -> bool) -> Option<Excess> {
        let mut all = Resource::ALL.into_iter();
        let is_over = |resource: &Resource| self.level(*resource) == Level::Over;
        let resource = all.find(|resource| is_over(resource) && counts(*resource))?;
        let Reading { current, limit, .. } = self.reading(resource)?;
        Some(Excess {
            resource,
            current,
            limit,
        })
    }
}

/// That a resource stands otherwise than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub resource: Resource,
    /// How it stood.
    pub from: Level,
    /// How it stands.
    pub to: Level,
    /// What was read; `None` if nothing can be, any more.
    pub reading: Option<Reading>,
}

/// Remembers how things stood.
#[derive(Debug, Default)]
pub struct Monitor {
    status: Status,
}

impl Monitor {
    /// Takes new readings and returns what has changed, each resource at most once.
    pub fn observe(&mut self, readings: Readings) -> Vec<Change> {
        self.status.readings = readings;
        let mut changes = Vec::new();
        for (resource, level) in Resource::ALL.into_iter().zip(&mut self.status.levels) {
            let reading = readings[resource.index()];
            let from = *level;
            *level = reading.map_or(Level::Normal, |reading| reading.level(from));
            if *level != from {
                changes.push(Change {
                    resource,
                    from,
                    to: *level,
                    reading,
                });
            }
        }
        changes
    }

    /// How everything stands.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
