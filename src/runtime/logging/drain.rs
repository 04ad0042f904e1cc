//! The log thread: takes lines from the queue and writes them to standard error or a file.
//!
//! The only place where logging waits for a disk. May not use the `log` macros: its own lines
//! would go around in a circle.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;

use crate::base::clock::Clock;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;

/// Lines that wait for the log thread: at some 4 KiB each, 16 MiB at the very most.
pub const QUEUE_LINES: usize = 4096;

/// What the log thread owns.
pub struct Drain {
    lines: Receiver<Message>,
    wanted: Arc<Wanted>,
    counters: Arc<Counters>,
    output: BufWriter<Output>,
    /// Dropped lines that a summary has told of.
    told: u64,
    /// Lines written since the last summary.
    since_told: usize,
    clock: Clock,
}

impl Drain {
    /// A drain for `lines`, told what to do by `wanted`; counts in `counters` what it cannot write.
    pub fn new(
        lines: Receiver<Message>,
        output: Output,
        wanted: Arc<Wanted>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            lines,
            wanted,
            counters,
            output: BufWriter::new(output),
            told: 0,
            since_told: 0,
            clock: Clock::start(),
        }
    }

    /// Writes lines until [`Wanted::finish`] is set and the queue is empty.
    pub fn run(mut self) {
        while let Ok(message) = self.lines.recv() {
            if let Message::Line(line) = message {
                self.write(&line);
                self.since_told += 1;
            }
            if self.wanted.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            // Read before the queue is looked at: what was logged before `finish` is then in sight,
            // however long writing takes.
            let finishing = self.wanted.finish.load(Ordering::Acquire);
            let empty = self.lines.is_empty();
            // Under a flood that never lets up, one summary per queueful.
            if empty || self.since_told >= QUEUE_LINES {
                self.tell_dropped();
            }
            if empty {
                self.flush();
                if finishing {
                    return;
                }
            }
        }
    }

    fn write(&mut self, line: &str) {
        if self.output.write_all(line.as_bytes()).is_err() {
            self.counters.increment(Counter::LogLinesDropped);
        }
    }

    /// A disk that is full keeps the buffer; it is tried again with the next line.
    fn flush(&mut self) {
        let _ = self.output.flush();
    }

    fn tell_dropped(&mut self) {
        let dropped = self.counters.read(Counter::LogLinesDropped);
        if dropped > self.told {
            let count = dropped - self.told;
            self.told = dropped;
            self.since_told = 0;
            self.write_own(&format!("log_lines_dropped count={count}"));
        }
    }

    fn reopen(&mut self) {
        self.flush();
        let Output::File(path, file) = self.output.get_mut() else {
            return;
        };
        match open(path) {
            Ok(opened) => *file = opened,
            Err(error) => {
                let message = format!("log_reopen_failed error={:?}", error.to_string());
                self.write_own(&message);
            }
        }
    }

    /// A line of the log's own, spelt as simplelog spells the others.
    fn write_own(&mut self, message: &str) {
        let time = self.clock.now().wall.to_rfc3339();
        self.write(&format!("{time} [WARN] {message}\n"));
    }
}

/// Where lines end up.
pub enum Output {
    /// The process's standard error.
    StandardError,
    /// A file, with the name that it is opened again by.
    File(PathBuf, File),
    /// Whatever a test looks into.
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

/// Opens the file at `path` to append to it; makes it if need be.
///
/// # Errors
/// What the operating system answered.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::StandardError => io::stderr().write(bytes),
            Self::File(_, file) => file.write(bytes),
            #[cfg(test)]
            Self::Test(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Neither standard error nor a file buffers anything in this process.
        Ok(())
    }
}

/// What travels in the queue.
#[derive(Debug)]
pub enum Message {
    /// A whole line, with its newline.
    Line(String),
    /// Look at [`Wanted`]; sent only so that a sleeping thread wakes up.
    Wake,
}

/// What the log thread is asked for beside lines; it looks after each message.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Open the file again by name.
    pub reopen: AtomicBool,
    /// End once the queue is empty.
    pub finish: AtomicBool,
}
