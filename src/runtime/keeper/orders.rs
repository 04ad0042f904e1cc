//! What a keeper is to start, as bytes in a pipe: arguments and environments hold secrets, which
//! would stand for everybody to read in the keeper's own.
//!
//! ```text
//! length u32 | version u8 | program | directory | count u32 | argument... |
//! count u32 | (name | value)... | 4 × (0 | 1, limit u64) | grace u64 in milliseconds
//! ```
//!
//! Numbers are little endian; texts are bytes behind their length (u32), because paths and
//! arguments need not be UTF-8. Invariant: nothing here reads, starts or allocates by a declared
//! length; the format is private to one binary, which is both of its ends.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::os::resource_limits::ResourceLimits;

/// What to start, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// The program, an absolute path; also what it is told it is called.
    pub program: PathBuf,
    /// Its arguments, as they are: no shell reads them.
    pub arguments: Vec<OsString>,
    /// Its whole environment; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs: a real path, without links and `.`; nothing is started if it leads elsewhere.
    pub directory: PathBuf,
    /// What it may use, and each process that descends from it.
    pub limits: ResourceLimits,
    /// How long it may take to end after TERM, before KILL; whole milliseconds.
    pub grace: Duration,
}

/// Orders that make no sense: they come from a kinglet of another version, or from nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OrdersFault {
    /// They end early.
    #[error("the orders end early; whole ones are as long as they say")]
    Short,
    /// They go on after their end.
    #[error("{0} bytes follow the orders; nothing may")]
    Long(usize),
    /// They are of another version, or something else altogether.
    #[error("the orders are of version {0}; this is {VERSION}")]
    Version(u8),
    /// A limit is neither there nor absent.
    #[error("a limit is marked {0}; 0 is none and 1 is one")]
    Mark(u8),
    /// They are longer than [`LENGTH_MAX`].
    #[error("the orders have {0} bytes; at most {LENGTH_MAX} can be given to a program")]
    Large(usize),
}

/// What orders may have in bytes. Linux takes 6 MiB of arguments and environment at the very most
/// (execve(2)), macOS one.
pub const LENGTH_MAX: usize = 8 * 1024 * 1024;

/// Bytes that tell the length of the rest.
pub(super) const PREFIX: usize = size_of::<u32>();

/// Changes with the format.
const VERSION: u8 = 1;

impl Orders {
    /// The bytes, with their length in front.
    ///
    /// # Errors
    /// [`OrdersFault::Large`].
    pub fn encode(&self) -> Result<Vec<u8>, OrdersFault> {
        let mut bytes = vec![0; PREFIX];
        bytes.push(VERSION);
        put_text(&mut bytes, self.program.as_os_str());
        put_text(&mut bytes, self.directory.as_os_str());
        put_length(&mut bytes, self.arguments.len());
        for argument in &self.arguments {
            put_text(&mut bytes, argument);
        }
        put_length(&mut bytes, self.environment.len());
        for (name, value) in &self.environment {
            put_text(&mut bytes, name);
            put_text(&mut bytes, value);
        }
        for limit in self.limits_in_order() {
            bytes.push(limit.is_some().into());
            if let Some(limit) = limit {
                bytes.extend(limit.to_le_bytes());
            }
        }
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        bytes.extend(grace.to_le_bytes());
        let rest = bytes.len() - PREFIX;
        // Lengths that do not fit their prefix are far above this.
        if rest > LENGTH_MAX {
            return Err(OrdersFault::Large(rest));
        }
        let length = u32::try_from(rest).unwrap_or(u32::MAX).to_le_bytes();
        bytes.splice(..PREFIX, length);
        Ok(bytes)
    }

    fn limits_in_order(&self) -> [Option<u64>; 4] {
        let ResourceLimits {
            cpu_seconds,
            memory_bytes,
            open_files,
            processes,
        } = self.limits;
        [cpu_seconds, memory_bytes, open_files, processes]
    }

    /// Reads what followed the length.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, OrdersFault> {
        let mut rest = Rest(bytes);
        let [version] = rest.take()?;
        if version != VERSION {
            return Err(OrdersFault::Version(version));
        }
        let program = rest.text()?.into();
        let directory = rest.text()?.into();
        let mut arguments = Vec::new();
        for _ in 0..rest.length()? {
            arguments.push(rest.text()?);
        }
        let mut environment = Vec::new();
        for _ in 0..rest.length()? {
            environment.push((rest.text()?, rest.text()?));
        }
        let limits = ResourceLimits {
            cpu_seconds: rest.limit()?,
            memory_bytes: rest.limit()?,
            open_files: rest.limit()?,
            processes: rest.limit()?,
        };
        let grace = Duration::from_millis(u64::from_le_bytes(rest.take()?));
        if !rest.0.is_empty() {
            return Err(OrdersFault::Long(rest.0.len()));
        }
        Ok(Self {
            program,
            arguments,
            environment,
            directory,
            limits,
            grace,
        })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    bytes.extend(length.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &OsStr) {
    put_length(bytes, text.len());
    bytes.extend(text.as_bytes());
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], OrdersFault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(OrdersFault::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn length(&mut self) -> Result<usize, OrdersFault> {
        let length = u32::from_le_bytes(self.take()?);
        usize::try_from(length).map_err(|_| OrdersFault::Short)
    }

    fn text(&mut self) -> Result<OsString, OrdersFault> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(OrdersFault::Short)?;
        self.0 = rest;
        Ok(OsString::from_vec(text.to_vec()))
    }

    fn limit(&mut self) -> Result<Option<u64>, OrdersFault> {
        match self.take()? {
            [0] => Ok(None),
            [1] => Ok(Some(u64::from_le_bytes(self.take()?))),
            [other] => Err(OrdersFault::Mark(other)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn orders() -> Orders {
        Orders {
            program: "/bin/a b".into(),
            arguments: vec![
                "".into(),
                "two words\n$(x)".into(),
                OsString::from_vec(vec![0xff, 0xfe]),
            ],
            environment: vec![("A".into(), "=1".into()), ("B".into(), "".into())],
            directory: "/".into(),
            limits: ResourceLimits {
                cpu_seconds: Some(0x0102_0304_0506_0708),
                memory_bytes: None,
                open_files: Some(u64::MAX),
                processes: None,
            },
            grace: Duration::from_secs(5),
        }
    }

    #[test]
    fn orders_arrive_as_they_were_given() {
        let bytes = orders().encode().unwrap();
        let (length, rest) = bytes.split_first_chunk::<PREFIX>().unwrap();
        assert_eq!(u32::from_le_bytes(*length) as usize, rest.len());
        assert_eq!(Orders::decode(rest), Ok(orders()));
    }

    #[test]
    fn orders_cut_anywhere_are_short_and_none_may_be_longer() {
        let bytes = orders().encode().unwrap();
        let rest = bytes.get(PREFIX..).unwrap();
        for cut in 0..rest.len() {
            let part = rest.get(..cut).unwrap();
            assert_eq!(Orders::decode(part), Err(OrdersFault::Short), "{cut}");
        }
        let longer = [rest, b"xy"].concat();
        assert_eq!(Orders::decode(&longer), Err(OrdersFault::Long(2)));
    }

    #[test]
    fn every_changed_byte_gives_other_orders_or_a_fault() {
        let bytes = orders().encode().unwrap();
        let rest = bytes.get(PREFIX..).unwrap();
        for index in 0..rest.len() {
            for change in [1, 0x7f, 0xff] {
                let mut changed = rest.to_vec();
                *changed.get_mut(index).unwrap() ^= change;
                assert_ne!(Orders::decode(&changed), Ok(orders()), "{index} {change}");
            }
        }
        let mut changed = rest.to_vec();
        *changed.first_mut().unwrap() = 9;
        assert_eq!(Orders::decode(&changed), Err(OrdersFault::Version(9)));
        let mark = rest.len() - 8 - 1;
        let mut changed = rest.to_vec();
        *changed.get_mut(mark).unwrap() = 2;
        assert_eq!(Orders::decode(&changed), Err(OrdersFault::Mark(2)));
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut bytes = vec![VERSION];
        for _ in 0..2 {
            bytes.extend(0u32.to_le_bytes());
        }
        bytes.extend(u32::MAX.to_le_bytes());
        assert_eq!(Orders::decode(&bytes), Err(OrdersFault::Short));
    }

    #[test]
    fn orders_that_no_system_takes_are_refused() {
        let mut large = orders();
        large
            .arguments
            .push(OsString::from_vec(vec![b'x'; LENGTH_MAX]));
        assert!(matches!(large.encode(), Err(OrdersFault::Large(_))));
    }
}
