//! What a run says at its end: a table for people, or one JSON object with the same figures.
//!
//! May not touch: clocks, processes, standard output. Invariant: a figure has one key, whose end is
//! its unit, and is left out if it was not measured.

use std::fmt::Write;
use std::time::Duration;

use crate::cli::bench::latency::Summary;
use crate::cli::bench::meter::Spent;
use crate::cli::bench::reason::Tally;
use crate::wire::json::object::Object;

/// Figures in the order in which they are told.
#[derive(Debug)]
pub(super) struct Report {
    scenario: &'static str,
    target: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    key: &'static str,
    label: String,
    figure: Figure,
}

#[derive(Debug)]
enum Figure {
    Count(u64),
    PerSecond(f64),
    Time(Duration),
    /// A fraction of a microsecond matters.
    Micros(f64),
    Latency(Summary),
    Bytes(u64),
    Percent(f64),
    Tally(Tally),
}

impl Report {
    /// A report of `scenario` on `target`.
    pub(super) fn new(scenario: &'static str, target: String) -> Self {
        Self {
            scenario,
            target,
            rows: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, key: &'static str, label: &str, count: u64) {
        self.row(key, label, Figure::Count(count));
    }

    /// `count` of something in `time`, as a rate.
    pub(super) fn per_second(
        &mut self,
        key: &'static str,
        label: &str,
        count: u64,
        time: Duration,
    ) {
        if !time.is_zero() {
            let rate = count as f64 / time.as_secs_f64();
            self.row(key, label, Figure::PerSecond(rate));
        }
    }

    pub(super) fn time(&mut self, key: &'static str, label: &str, time: Duration) {
        self.row(key, label, Figure::Time(time));
    }

    pub(super) fn micros(&mut self, key: &'static str, label: &str, time: Duration) {
        let micros = time.as_secs_f64() * 1e6;
        self.row(key, label, Figure::Micros(micros));
    }

    pub(super) fn latency(&mut self, key: &'static str, label: &str, latency: Option<Summary>) {
        if let Some(summary) = latency {
            self.row(key, label, Figure::Latency(summary));
        }
    }

    pub(super) fn bytes(&mut self, key: &'static str, label: &str, bytes: u64) {
        self.row(key, label, Figure::Bytes(bytes));
    }

    pub(super) fn tally(&mut self, key: &'static str, label: &str, tally: &Tally) {
        self.row(key, label, Figure::Tally(tally.clone()));
    }

    /// Processor time: the server's for each of `count` operations, and how busy both were.
    pub(super) fn spent(&mut self, spent: &Spent, operation: &str, count: u64) {
        if spent.wall.is_zero() {
            return;
        }
        let share = |time: Duration| 100.0 * time.as_secs_f64() / spent.wall.as_secs_f64();
        if let Some(server) = spent.server {
            if count > 0 {
                let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
                let label = format!("server CPU per {operation}");
                let all = each(server.user + server.system);
                self.row("server_cpu_us", &label, Figure::Micros(all));
                let user = Figure::Micros(each(server.user));
                self.row("server_cpu_user_us", "  of that, user", user);
            }
            let busy = Figure::Percent(share(server.user + server.system));
            self.row("server_cpu_percent", "server CPU", busy);
            self.bytes(
                "server_resident_bytes",
                "server memory",
                server.resident_bytes,
            );
        }
        let busy = Figure::Percent(share(spent.own));
        self.row("generator_cpu_percent", "generator CPU", busy);
    }

    fn row(&mut self, key: &'static str, label: &str, figure: Figure) {
        debug_assert!(
            self.rows.iter().all(|row| row.key != key),
            "{key} is told twice"
        );
        let label = label.to_owned();
        self.rows.push(Row { key, label, figure });
    }

    /// A title and one line for each figure.
    pub(super) fn to_text(&self) -> String {
        let widths = self.rows.iter().map(|row| row.label.chars().count());
        let width = widths.max().unwrap_or(0);
        let mut text = format!("{}: {}", self.scenario, self.target);
        for row in &self.rows {
            // Writing to a String does not fail.
            let _ = write!(text, "\n  {:width$}  ", row.label);
            row.figure.write_text(&mut text);
        }
        text
    }

    /// One JSON object on one line.
    pub(super) fn to_json(&self) -> String {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out)
            .string("scenario", self.scenario)
            .string("target", &self.target);
        for row in &self.rows {
            object = row.figure.write_json(object, row.key);
        }
        object.end();
        // Everything put in was text.
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Figure {
    fn write_text(&self, out: &mut String) {
        // Writing to a String does not fail.
        let _ = match self {
            Self::Count(count) => write!(out, "{}", grouped(*count)),
            Self::PerSecond(rate) if *rate < 100.0 => write!(out, "{rate:.1} /s"),
            Self::PerSecond(rate) => write!(out, "{} /s", grouped(rate.round() as u64)),
            Self::Time(time) => write!(out, "{}", spelt(*time)),
            Self::Micros(micros) => write!(out, "{micros:.2} µs"),
            Self::Latency(Summary { p50, p90, p99, max }) => write!(
                out,
                "p50 {}, p90 {}, p99 {}, max {}",
                spelt(*p50),
                spelt(*p90),
                spelt(*p99),
                spelt(*max)
            ),
            Self::Bytes(bytes) if *bytes < 100_000 => write!(out, "{} bytes", grouped(*bytes)),
            Self::Bytes(bytes) => write!(out, "{:.1} MB", *bytes as f64 / 1e6),
            Self::Percent(percent) => write!(out, "{percent:.0} % of a core"),
            Self::Tally(tally) if tally.total() == 0 => write!(out, "0"),
            Self::Tally(tally) => {
                let each = tally.iter();
                let each = each.map(|(reason, count)| format!("{} {reason}", grouped(count)));
                write!(out, "{}", each.collect::<Vec<_>>().join("; "))
            }
        };
    }

    fn write_json<'a>(&self, object: Object<'a>, key: &str) -> Object<'a> {
        let micros = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
        match self {
            Self::Count(count) | Self::Bytes(count) => object.number(key, *count),
            Self::PerSecond(number) | Self::Percent(number) => {
                object.raw(key, &format!("{number:.1}"))
            }
            Self::Micros(micros) => object.raw(key, &format!("{micros:.3}")),
            Self::Time(time) => object.raw(key, &format!("{:.6}", time.as_secs_f64())),
            Self::Latency(Summary { p50, p90, p99, max }) => object.value(key, |out| {
                Object::begin(out)
                    .raw("p50", &micros(p50))
                    .raw("p90", &micros(p90))
                    .raw("p99", &micros(p99))
                    .raw("max", &micros(max))
                    .end();
            }),
            Self::Tally(tally) => object.value(key, |out| {
                let mut object = Object::begin(out);
                for (reason, count) in tally.iter() {
                    object = object.number(&reason.to_string(), count);
                }
                object.end();
            }),
        }
    }
}

/// A time with three digits or so, in the unit that fits.
fn spelt(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..100.0 => format!("{micros:.1} µs"),
        ..1e3 => format!("{micros:.0} µs"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::cli::bench::meter::ServerSpent;
    use crate::cli::bench::reason::Reason;

    fn full() -> Report {
        let mut report = Report::new("echo", "ws://a:1/ws, 2 connections".to_owned());
        let time = Duration::from_secs(10);
        report.count("messages", "messages", 1_234_567);
        report.per_second("messages_per_second", "rate", 1_234_567, time);
        let summary = Summary {
            p50: Duration::from_nanos(12_345),
            p90: Duration::from_micros(456),
            p99: Duration::from_micros(7_891),
            max: Duration::from_millis(1_500),
        };
        report.latency("latency_us", "latency", Some(summary));
        report.latency("other_us", "not measured", None);
        let mut failures = Tally::default();
        failures.add(Reason::Status(429));
        failures.add(Reason::Connect(ErrorKind::ConnectionRefused));
        failures.add(Reason::Status(429));
        report.tally("failures", "failures", &failures);
        report.tally("ended", "ended", &Tally::default());
        let server = ServerSpent {
            user: Duration::from_millis(500),
            system: Duration::from_millis(4_500),
            resident_bytes: 4_321_000,
        };
        let spent = Spent {
            wall: time,
            server: Some(server),
            own: Duration::from_secs(8),
        };
        report.spent(&spent, "message", 1_000_000);
        report
    }

    #[test]
    fn people_get_a_table() {
        let expected = "\
echo: ws://a:1/ws, 2 connections
  messages                1,234,567
  rate                    123,457 /s
  latency                 p50 12.3 µs, p90 456 µs, p99 7.89 ms, max 1.50 s
  failures                1 not connected: connection refused; 2 the answer was 429
  ended                   0
  server CPU per message  5.00 µs
    of that, user         0.50 µs
  server CPU              50 % of a core
  server memory           4.3 MB
  generator CPU           80 % of a core";
        assert_eq!(full().to_text(), expected);
    }

    #[test]
    fn programs_get_one_object() {
        let expected = concat!(
            r#"{"scenario":"echo","target":"ws://a:1/ws, 2 connections","messages":1234567,"#,
            r#""messages_per_second":123456.7,"#,
            r#""latency_us":{"p50":12.3,"p90":456.0,"p99":7891.0,"max":1500000.0},"#,
            r#""failures":{"not connected: connection refused":1,"the answer was 429":2},"#,
            r#""ended":{},"server_cpu_us":5.000,"server_cpu_user_us":0.500,"#,
            r#""server_cpu_percent":50.0,"server_resident_bytes":4321000,"#,
            r#""generator_cpu_percent":80.0}"#
        );
        assert_eq!(full().to_json(), expected);
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let mut report = Report::new("echo", "ws://a:1/ws".to_owned());
        report.spent(&Spent::default(), "message", 0);
        report.per_second("rate", "rate", 0, Duration::ZERO);
        let own = r#"{"scenario":"echo","target":"ws://a:1/ws"}"#;
        assert_eq!(report.to_json(), own);
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |number: u64, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(u64::MAX, "18,446,744,073,709,551,615");
    }
}
