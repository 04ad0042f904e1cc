//! The page for Prometheus: its text format, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>. Invariants: HELP and TYPE stand
//! once before the samples of their name; a name's samples stand together.

use std::env::consts::{ARCH, OS};
use std::fmt::Write;

use crate::metrics::gauges::Label;
use crate::metrics::histograms::{Distribution, Row};
use crate::metrics::reading::Reading;

/// What the page is sent as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole page.
#[must_use]
pub fn page(reading: &Reading) -> String {
    let mut page = Page::default();
    for (&(_, name, label, meaning), value) in reading.gauges.rows() {
        // One that only grows is a counter to Prometheus, whatever it is to us.
        let kind = match name.ends_with("_total") {
            true => "counter",
            false => "gauge",
        };
        page.family(name, kind, meaning);
        match label {
            Label::None => page.sample(name, &[], value),
            Label::State(state) => page.sample(name, &[("state", state)], value),
            Label::Build => {
                let version = env!("CARGO_PKG_VERSION");
                let target = format!("{ARCH}-{OS}");
                page.sample(name, &[("version", version), ("target", &target)], value);
            }
        }
    }
    for (&(_, name, meaning), count) in reading.counters() {
        page.family(name, "counter", meaning);
        page.sample(name, &[], count);
    }
    for (row, distribution) in reading.distributions() {
        page.histogram(row, distribution);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    /// The name that HELP and TYPE were written for last.
    family: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, meaning: &str) {
        if std::mem::replace(&mut self.family, name) != name {
            let meaning = escaped(meaning, false);
            self.line(format_args!("# HELP {name} {meaning}"));
            self.line(format_args!("# TYPE {name} {kind}"));
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        if labels.is_empty() {
            return self.line(format_args!("{name} {value}"));
        }
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
            .collect();
        let labels = labels.join(",");
        self.line(format_args!("{name}{{{labels}}} {value}"));
    }

    fn histogram(&mut self, row: &'static Row, distribution: &Distribution) {
        let Row { name, unit, .. } = row;
        self.family(name, "histogram", row.meaning);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in row.bounds.iter().zip(&distribution.counts) {
            below += count;
            let bound = unit.shown(*bound).to_string();
            self.sample(&bucket, &[("le", &bound)], below);
        }
        let count = distribution.count();
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], unit.shown(distribution.sum));
        self.sample(&format!("{name}_count"), &[], count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }
}

/// Backslashes and line feeds escaped; quotes, too, in the value of a label.
fn escaped(text: &str, is_label: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    match is_label {
        true => text.replace('"', "\\\""),
        false => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::counters::Counters;
    use crate::metrics::gauges::{Gauge, Gauges};
    use crate::metrics::histograms::Histogram;
    use crate::metrics::names::Counter;

    fn shown() -> String {
        let counters = Arc::new(Counters::default());
        counters.add(Counter::BytesSent, 7);
        for bytes in [1, 64, 65, 5 << 20] {
            counters.observe(Histogram::PublicationBytes, bytes);
        }
        let mut gauges = Gauges::default();
        gauges.count(Gauge::BuildInfo, 1);
        gauges.count(Gauge::ProjectsIdle, 2);
        gauges.count(Gauge::ProjectsError, 1);
        gauges.set(Gauge::ProcessCpuSecondsTotal, 0.25);
        page(&Reading::of(&[counters], gauges))
    }

    #[test]
    fn shows_gauges_counters_and_histograms() {
        let page = shown();
        let check = |lines: &str| assert!(page.contains(lines), "{lines}\nis not in\n{page}");
        check(
            "# HELP kinglet_projects Projects, by state.\n\
             # TYPE kinglet_projects gauge\n\
             kinglet_projects{state=\"idle\"} 2\n\
             kinglet_projects{state=\"error\"} 1\n",
        );
        check("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0.25\n");
        check(&format!(
            "kinglet_build_info{{version=\"{}\",target=\"",
            env!("CARGO_PKG_VERSION")
        ));
        check(
            "# HELP kinglet_bytes_sent_total Bytes written to sockets.\n\
             # TYPE kinglet_bytes_sent_total counter\n\
             kinglet_bytes_sent_total 7\n",
        );
        check(
            "# TYPE kinglet_publication_bytes histogram\n\
             kinglet_publication_bytes_bucket{le=\"64\"} 2\n\
             kinglet_publication_bytes_bucket{le=\"256\"} 3\n",
        );
        check(
            "kinglet_publication_bytes_bucket{le=\"4194304\"} 3\n\
             kinglet_publication_bytes_bucket{le=\"+Inf\"} 4\n\
             kinglet_publication_bytes_sum 5243010\n\
             kinglet_publication_bytes_count 4\n",
        );
        check("kinglet_store_commit_seconds_bucket{le=\"0.00005\"} 0\n");
        check("kinglet_store_commit_seconds_bucket{le=\"0.0025\"} 0\n");
        assert!(
            !page.contains("kinglet_rooms "),
            "what is not known is not shown"
        );
    }

    #[test]
    fn help_and_type_stand_once_before_each_name() {
        let page = shown();
        let mut names: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let helped = page.matches("# HELP ").count();
        assert_eq!(helped, names.len());
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(page.ends_with('\n'));
    }

    #[test]
    fn escapes_what_would_end_a_line_or_a_value() {
        assert_eq!(escaped("a\\b\n\"c\"", false), "a\\\\b\\n\"c\"");
        assert_eq!(escaped("a\\b\n\"c\"", true), "a\\\\b\\n\\\"c\\\"");
    }
}
