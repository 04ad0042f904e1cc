//! What a keeper tells of its run, as records in a pipe.
//!
//! ```text
//! failed | started            then, unless it failed,
//! exited                      once the agent has ended; what it started may live on
//! gone                        once nothing of the run is left
//! ```
//!
//! A record is shorter than PIPE_BUF, so those of two processes never mix. A pipe that ends without
//! `gone` says that both processes of the keeper were killed. Invariant: pure; both ends are one
//! binary.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use crate::os::process::{Pid, Used};

/// One thing that happened to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The agent runs, as this process, which leads a process group of the same number.
    Started(Pid),
    /// The agent could not be started, and why, as an errno.
    Failed(Stage, i32),
    /// The agent ended; what it started may still live and write.
    Exited(ExitStatus, Used),
    /// Nothing of the run is left. Without an [`Record::Exited`] before it nobody knows how the
    /// agent ended, because the process that waited for it was killed, or the lifeline dropped.
    Gone,
}

/// What of a start did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The keeper's own part: processes, sessions, groups.
    Process,
    /// A limit.
    Limits,
    /// The directory.
    Directory,
    /// The directory's path leads to another one, because a part of it is a link now.
    Elsewhere,
    /// The program.
    Program,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Process,
        Self::Limits,
        Self::Directory,
        Self::Program,
        Self::Elsewhere,
    ];

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Process => 0,
            Self::Limits => 1,
            Self::Directory => 2,
            Self::Program => 3,
            Self::Elsewhere => 4,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        let mut stages = Self::ALL.into_iter();
        stages.find(|stage| stage.code() == code)
    }
}

/// Records that make no sense: whoever wrote them was no keeper of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a record of a keeper starts with byte {0:#04x} and holds what none may")]
pub struct StatusFault(u8);

const STARTED: u8 = b'S';
const FAILED: u8 = b'F';
const EXITED: u8 = b'X';
const GONE: u8 = b'G';

impl Record {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Started(pid) => {
                bytes.push(STARTED);
                bytes.extend(pid.number().to_le_bytes());
            }
            Self::Failed(stage, errno) => {
                bytes.extend([FAILED, stage.code()]);
                bytes.extend(errno.to_le_bytes());
            }
            Self::Exited(status, used) => {
                bytes.push(EXITED);
                bytes.extend(status.into_raw().to_le_bytes());
                for time in [used.user, used.system] {
                    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                    bytes.extend(micros.to_le_bytes());
                }
                bytes.extend(used.resident_bytes_max.to_le_bytes());
            }
            Self::Gone => bytes.push(GONE),
        }
        bytes
    }

    /// Reads one record from the front, if it is there in full, and how long it was.
    fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, StatusFault> {
        let Some((tag, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let fault = StatusFault(*tag);
        let length = match *tag {
            STARTED => 4,
            FAILED => 5,
            EXITED => 28,
            GONE => 0,
            _ => return Err(fault),
        };
        let Some(mut rest) = rest.get(..length) else {
            return Ok(None);
        };
        let record = match *tag {
            STARTED => {
                let pid = Pid::new(i32::from_le_bytes(take(&mut rest)));
                Self::Started(pid.ok_or(fault)?)
            }
            FAILED => {
                let [stage] = take(&mut rest);
                let stage = Stage::from_code(stage).ok_or(fault)?;
                Self::Failed(stage, i32::from_le_bytes(take(&mut rest)))
            }
            EXITED => {
                let status = ExitStatus::from_raw(i32::from_le_bytes(take(&mut rest)));
                let used = Used {
                    user: Duration::from_micros(u64::from_le_bytes(take(&mut rest))),
                    system: Duration::from_micros(u64::from_le_bytes(take(&mut rest))),
                    resident_bytes_max: u64::from_le_bytes(take(&mut rest)),
                };
                Self::Exited(status, used)
            }
            _ => Self::Gone,
        };
        Ok(Some((record, 1 + length)))
    }
}

/// The next bytes; the caller has seen to it that there are so many.
fn take<const COUNT: usize>(rest: &mut &[u8]) -> [u8; COUNT] {
    let Some((taken, tail)) = rest.split_first_chunk() else {
        debug_assert!(false, "the length of a record is that of its parts");
        return [0; COUNT];
    };
    *rest = tail;
    *taken
}

/// Turns what comes out of the status pipe into records, in whatever pieces it comes.
#[derive(Debug, Default)]
pub struct StatusReader {
    bytes: Vec<u8>,
}

impl StatusReader {
    /// Takes what was read; then call [`StatusReader::next_record`] until it has none.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next record that is there in full.
    ///
    /// # Errors
    /// When no keeper could have written this; there is no going on after it.
    pub fn next_record(&mut self) -> Result<Option<Record>, StatusFault> {
        let Some((record, length)) = Record::decode(&self.bytes)? else {
            return Ok(None);
        };
        self.bytes.drain(..length);
        Ok(Some(record))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let used = Used {
            user: Duration::from_micros(1_234_567),
            system: Duration::from_micros(89),
            resident_bytes_max: 1 << 40,
        };
        vec![
            Record::Started(Pid::new(0x0102_0304).unwrap()),
            Record::Failed(Stage::Program, 2),
            Record::Exited(ExitStatus::from_raw(0x0300), used),
            Record::Exited(ExitStatus::from_raw(9), Used::default()),
            Record::Gone,
        ]
    }

    #[test]
    fn records_arrive_as_they_were_told_whole_and_byte_by_byte() {
        let bytes: Vec<u8> = records().iter().flat_map(Record::encode).collect();
        for size in [1, 2, 3, 7, bytes.len()] {
            let mut reader = StatusReader::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                reader.feed(piece);
                while let Some(record) = reader.next_record().unwrap() {
                    found.push(record);
                }
            }
            assert_eq!(found, records(), "{size}");
        }
    }

    #[test]
    fn a_record_that_is_not_there_in_full_is_none() {
        for record in records() {
            let bytes = record.encode();
            for cut in 0..bytes.len() {
                let mut reader = StatusReader::default();
                reader.feed(bytes.get(..cut).unwrap());
                assert_eq!(reader.next_record(), Ok(None), "{record:?} {cut}");
            }
        }
    }

    #[test]
    fn what_no_keeper_writes_is_a_fault() {
        let check = |bytes: &[u8]| {
            let mut reader = StatusReader::default();
            reader.feed(bytes);
            assert_eq!(
                reader.next_record(),
                Err(StatusFault(bytes[0])),
                "{bytes:?}"
            );
        };
        check(b"?");
        check(b"S\0\0\0\0");
        check(b"S\xff\xff\xff\xff");
        check(b"F\x05\0\0\0\0");
    }

    #[test]
    fn stages_have_codes_of_their_own() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_code(stage.code()), Some(stage));
        }
        assert_eq!(Stage::from_code(5), None);
    }
}
