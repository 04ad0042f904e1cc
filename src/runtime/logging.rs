//! The log: one line per record, written by a thread of its own.
//!
//! ```text
//! log::info! -> Logger (one line, no control characters) -> simplelog -> LineQueue
//!            -> queue of 4,096 lines -> the "log" thread -> standard error or a file
//! ```
//!
//! Invariants: whoever logs never waits for the disk (a full queue drops the line and counts it);
//! a peer's text cannot forge a line; the thread starts in [`Logging::start`] only. Records of
//! other crates are left out, because theirs may hold payloads.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, LevelPadding, WriteLogger};

use crate::base::clock::{Clock, Mono};
use crate::base::one_line::on_one_line;
use crate::metrics::counters::Counters;
use crate::metrics::names::Counter;
use crate::metrics::recent::{Line, Recent, Severity};
use crate::runtime::logging::drain::{Drain, Message, Output, QUEUE_LINES, Wanted, open};

mod drain;

/// Bytes of one message before it is cut; the longest of ours has a few hundred.
const MESSAGE_BYTES: usize = 4096;

/// How long [`Logging::finish`] waits for a disk or terminal that does not take the last lines.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The running log. Dropping it leaves the log running; [`Logging::finish`] ends it.
#[derive(Debug)]
pub struct Logging {
    queue: Sender<Message>,
    wanted: Arc<Wanted>,
    counters: Arc<Counters>,
    recent: Arc<Recent>,
    thread: thread::JoinHandle<()>,
    /// Disconnects when the thread is done.
    done: Receiver<()>,
}

impl Logging {
    /// Makes this the process's log, at `level` and above, appending to `file` or, without one, to
    /// standard error. `log::set_max_level` changes the level later.
    ///
    /// # Errors
    /// When the file cannot be opened, the thread cannot start, or the process has a logger.
    pub fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<Self> {
        let output = match file {
            Some(path) => Output::File(path.to_owned(), open(path)?),
            None => Output::StandardError,
        };
        let (logger, logging) = spawn(output)?;
        log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
        log::set_max_level(level);
        Ok(logging)
    }

    /// Asks the log thread to open its file again by name, after a rotation moved the old one away.
    /// Returns at once; a file that cannot be opened is said in the old one, which stays in use.
    pub fn reopen(&self) {
        self.wanted.reopen.store(true, Ordering::Release);
        // A full queue needs no waking: the thread looks after each line.
        let _ = self.queue.try_send(Message::Wake);
    }

    /// The counters in which the log counts the lines that it dropped; to be added to the others.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What it warned of lately.
    #[must_use]
    pub fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.recent)
    }

    /// Writes what is queued and ends the thread. Waits two seconds at most, so that a terminal
    /// that is stopped cannot stop the shutdown. What is logged afterwards is dropped.
    pub fn finish(self) {
        self.wanted.finish.store(true, Ordering::Release);
        let _ = self.queue.try_send(Message::Wake);
        let done = self.done.recv_timeout(FINISH_TIMEOUT);
        if done == Err(crossbeam_channel::RecvTimeoutError::Disconnected) {
            let _ = self.thread.join();
        }
    }
}

fn spawn(output: Output) -> io::Result<(Logger, Logging)> {
    let (queue, lines) = bounded(QUEUE_LINES);
    let (done_guard, done) = bounded(0);
    let wanted = Arc::new(Wanted::default());
    let counters = Arc::new(Counters::default());
    let drain = Drain::new(lines, output, Arc::clone(&wanted), Arc::clone(&counters));
    let thread = thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            drain.run();
            drop(done_guard);
        })?;
    let recent = Arc::default();
    let lines = LineQueue {
        queue: queue.clone(),
        counters: Arc::clone(&counters),
        line: Vec::new(),
    };
    let logger = Logger::new(lines, Arc::clone(&recent));
    let logging = Logging {
        queue,
        wanted,
        counters,
        recent,
        thread,
        done,
    };
    Ok((logger, logging))
}

/// Turns a record into one line before simplelog adds time and level, and remembers it if it warns.
struct Logger {
    lines: Box<WriteLogger<LineQueue>>,
    recent: Arc<Recent>,
    clock: Clock,
}

impl Logger {
    fn new(lines: LineQueue, recent: Arc<Recent>) -> Self {
        let config = ConfigBuilder::new()
            .set_time_format_rfc3339()
            .set_level_padding(LevelPadding::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .add_filter_allow_str(OURS)
            .build();
        // The level in force is `log::max_level`, which can change; this one cannot.
        Self {
            lines: WriteLogger::new(LevelFilter::Trace, config, lines),
            recent,
            clock: Clock::start(),
        }
    }

    /// Keeps a warning or an error of ours; another crate's may hold payloads.
    fn remember(&self, metadata: &Metadata<'_>, message: &str) {
        let severity = match metadata.level() {
            Level::Error => Severity::Error,
            Level::Warn => Severity::Warning,
            Level::Info | Level::Debug | Level::Trace => return,
        };
        if metadata.target().starts_with(OURS) {
            self.recent.push(Line {
                at: self.clock.now().wall,
                severity,
                message: message.into(),
            });
        }
    }
}

/// The crate whose records are logged.
const OURS: &str = "kinglet";

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.lines.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let message = one_line(record.args().to_string());
        self.remember(record.metadata(), &message);
        self.lines.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{message}"))
                .build(),
        );
    }

    fn flush(&self) {}
}

/// `message` without control characters (a newline would forge a line, an escape sequence would
/// command the terminal it is read in) and cut to [`MESSAGE_BYTES`].
fn one_line(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        let end = (0..=MESSAGE_BYTES).rfind(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    match on_one_line(&message) {
        Cow::Borrowed(_) => message,
        Cow::Owned(line) => line,
    }
}

/// Gathers simplelog's small writes into a line and queues it.
struct LineQueue {
    queue: Sender<Message>,
    counters: Arc<Counters>,
    line: Vec<u8>,
}

impl Write for LineQueue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            match self.queue.try_send(Message::Line(line)) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.counters.increment(Counter::LogLinesDropped);
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets a repeated log event through once per second and counts what it held back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeated {
    last: Option<Mono>,
    suppressed: u64,
}

impl Repeated {
    const INTERVAL: Duration = Duration::from_secs(1);

    /// Whether the event may be logged: then how many were held back since the last one that was.
    pub fn allow(&mut self, now: Mono) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.since(last) < Self::INTERVAL)
        {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn say(logger: &Logger, target: &str, message: &str) {
        say_at(Level::Info, logger, target, message);
    }

    fn say_at(level: Level, logger: &Logger, target: &str, message: &str) {
        let metadata = Metadata::builder().level(level).target(target).build();
        logger.log(
            &Record::builder()
                .metadata(metadata)
                .args(format_args!("{message}"))
                .build(),
        );
    }

    /// The message of each line, after its time and level were looked at.
    fn messages(text: &str) -> Vec<String> {
        text.lines()
            .map(|line| {
                let mut parts = line.splitn(3, ' ');
                let time = parts.next().unwrap();
                assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
                assert!(matches!(parts.next(), Some("[INFO]" | "[WARN]")), "{line}");
                parts.next().unwrap().to_owned()
            })
            .collect()
    }

    fn file_output(path: &Path) -> Output {
        Output::File(path.to_owned(), open(path).unwrap())
    }

    #[test]
    fn writes_one_line_per_record_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (logger, logging) = spawn(file_output(&path)).unwrap();
        say(&logger, "kinglet::shard", "session_opened id=7");
        say(&logger, "kinglet", "forged\n2026 [INFO] \u{1b}[2J");
        say(&logger, "tungstenite::protocol", "payload: secret");
        say(&logger, "kinglet", &"é".repeat(MESSAGE_BYTES));
        logging.finish();

        let text = fs::read_to_string(&path).unwrap();
        let messages = messages(&text);
        assert_eq!(messages.len(), 3, "{text}");
        assert_eq!(messages[0], "session_opened id=7");
        assert_eq!(messages[1], "forged\\n2026 [INFO] \\u{1b}[2J");
        assert_eq!(messages[2].len(), MESSAGE_BYTES + '…'.len_utf8());
    }

    #[test]
    fn remembers_warnings_and_errors_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (logger, logging) = spawn(file_output(&folder.path().join("log"))).unwrap();
        say_at(Level::Info, &logger, "kinglet", "listening");
        say_at(
            Level::Warn,
            &logger,
            "kinglet::shard",
            "queue_full\n2026 [INFO]",
        );
        say_at(Level::Error, &logger, "rustls::conn", "payload: secret");
        say_at(Level::Error, &logger, "kinglet", "broken");
        let (recent, more) = logging.recent().newest(10);
        logging.finish();

        let told = recent.iter().map(|line| (line.severity, &*line.message));
        let expected = [
            (Severity::Error, "broken"),
            (Severity::Warning, "queue_full\\n2026 [INFO]"),
        ];
        assert_eq!((told.collect::<Vec<_>>(), more), (expected.to_vec(), false));
    }

    #[test]
    fn reopens_its_file_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let (logger, logging) = spawn(file_output(&path)).unwrap();
        say(&logger, "kinglet", "before");
        fs::rename(&path, &moved).unwrap();
        logging.reopen();
        while logging.wanted.reopen.load(Ordering::Acquire) {
            thread::yield_now();
        }
        say(&logger, "kinglet", "after");
        logging.finish();

        assert_eq!(messages(&fs::read_to_string(&moved).unwrap()), ["before"]);
        assert_eq!(messages(&fs::read_to_string(&path).unwrap()), ["after"]);
    }

    /// Takes nothing until its gate is dropped, then everything.
    struct Gated {
        gate: Receiver<()>,
        into: Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.gate.recv();
            let _ = self.into.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many_afterwards() {
        const SAID: usize = 3 * QUEUE_LINES;
        let (gate_guard, gate) = bounded(0);
        let (into, written) = crossbeam_channel::unbounded();
        let (logger, logging) = spawn(Output::Test(Box::new(Gated { gate, into }))).unwrap();
        for number in 0..SAID {
            say(&logger, "kinglet", &format!("line number={number}"));
        }
        let dropped = logging.counters().read(Counter::LogLinesDropped);
        drop(gate_guard);
        logging.finish();
        say(&logger, "kinglet", "too late");

        assert!(dropped > 0);
        let text = written.try_iter().flatten().collect::<Vec<u8>>();
        let messages = messages(std::str::from_utf8(&text).unwrap());
        let (summaries, lines): (Vec<_>, Vec<_>) = messages
            .iter()
            .partition(|message| message.starts_with("log_lines_dropped"));
        assert_eq!(summaries, [&format!("log_lines_dropped count={dropped}")]);
        assert_eq!(lines.len() as u64 + dropped, SAID as u64);
        assert_eq!(lines[0], "line number=0");
    }

    #[test]
    fn a_repeated_event_passes_once_per_second() {
        let mut repeated = Repeated::default();
        let at = |millis: u64| Mono::from_nanos(millis * 1_000_000);
        assert_eq!(repeated.allow(at(0)), Some(0));
        assert_eq!(repeated.allow(at(1)), None);
        assert_eq!(repeated.allow(at(999)), None);
        assert_eq!(repeated.allow(at(1000)), Some(2));
        assert_eq!(repeated.allow(at(5000)), Some(0));
    }
}
