//! A run as the tests hold it.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kinglet::os::process::{Pid, Used};
use kinglet::os::resource_limits::ResourceLimits;
use kinglet::runtime::keeper::orders::Orders;
use kinglet::runtime::keeper::status::{Record, StatusReader};
use kinglet::runtime::keeper::{Lifeline, MARK, reap, spawn};
use kinglet::testkit::processes::living;
use kinglet::testkit::server::until;
use mio::unix::pipe::{Receiver, Sender};

/// Orders for a script, with a mark of their own in the environment.
pub fn sh(script: &str) -> Orders {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mark = format!("test-{}-{count}", std::process::id());
    let path = std::env::var_os("PATH").unwrap_or_default();
    Orders {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), path), (MARK.into(), mark.into())],
        directory: "/".into(),
        limits: ResourceLimits::default(),
        grace: Duration::from_secs(60),
    }
}

pub fn mark_of(orders: &Orders) -> OsString {
    let mut entries = orders.environment.iter();
    let mark = entries.find(|(name, _)| name == MARK);
    mark.expect("a mark").1.clone()
}

/// A run, and what was told of it so far.
pub struct Run {
    pub keeper: Pid,
    pub stdin: Option<Sender>,
    pub stdout: Receiver,
    pub stderr: Receiver,
    pub lifeline: Option<Lifeline>,
    pub records: Vec<Record>,
    pub mark: OsString,
    status: Receiver,
    reader: StatusReader,
    is_over: bool,
}

impl Run {
    pub fn start(orders: &Orders) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_kinglet"));
        let spawned = spawn(program, orders).expect("a keeper");
        Self {
            keeper: spawned.keeper,
            stdin: Some(spawned.stdin),
            stdout: spawned.stdout,
            stderr: spawned.stderr,
            lifeline: Some(spawned.lifeline),
            status: spawned.status,
            records: Vec::new(),
            mark: mark_of(orders),
            reader: StatusReader::default(),
            is_over: false,
        }
    }

    pub fn cancel(&mut self) {
        self.lifeline.as_mut().expect("a lifeline").cancel();
    }

    pub fn kill(&mut self) {
        self.lifeline.as_mut().expect("a lifeline").kill();
    }

    /// Reads the status as far as it goes, and says whether that was its end.
    pub fn listen(&mut self) -> bool {
        let mut bytes = [0; 256];
        while !self.is_over {
            match self.status.read(&mut bytes) {
                Ok(0) => self.is_over = true,
                Ok(count) => self.reader.feed(bytes.get(..count).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
            while let Some(record) = self.reader.next_record().unwrap() {
                self.records.push(record);
            }
        }
        true
    }

    /// Waits until the agent runs.
    pub fn agent(&mut self) -> Pid {
        let mut agent = None;
        until("the agent runs", || {
            self.listen();
            agent = self.records.iter().find_map(|record| match record {
                Record::Started(pid) => Some(*pid),
                Record::Failed(..) | Record::Exited(..) | Record::Gone => None,
            });
            agent.is_some()
        });
        agent.unwrap()
    }

    /// Waits until the agent has ended.
    pub fn exited(&mut self) -> (ExitStatus, Used) {
        let mut exited = None;
        until("the agent ends", || {
            self.listen();
            exited = self.records.iter().find_map(|record| match record {
                Record::Exited(status, used) => Some((*status, *used)),
                Record::Failed(..) | Record::Started(_) | Record::Gone => None,
            });
            exited.is_some()
        });
        exited.unwrap()
    }

    /// Waits until the keeper has told all and ended; nothing may be left then.
    pub fn finish(&mut self) {
        until("the status ends", || self.listen());
        reap(self.keeper).unwrap();
        assert_eq!(self.records.last(), Some(&Record::Gone));
        assert_eq!(living(&self.mark), [0; 0]);
    }

    /// Standard output to its end.
    pub fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        until("standard output ends", || {
            read(&mut self.stdout, &mut output)
        });
        output
    }

    /// Waits until this line stands in standard output.
    pub fn says(&mut self, line: &str) {
        let mut output = Vec::new();
        until(&format!("it says {line}"), || {
            let ended = read(&mut self.stdout, &mut output);
            let text = String::from_utf8_lossy(&output);
            let said = text.lines().any(|said| said == line);
            assert!(said || !ended, "ended, having said {text:?}");
            said
        });
    }
}

/// Reads as far as it goes; says whether that was the end.
fn read(from: &mut Receiver, into: &mut Vec<u8>) -> bool {
    match from.read_to_end(into) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}
