//! The lines of StatsD: what was counted since the last time, and how things are.
//!
//! <https://github.com/statsd/statsd/blob/master/docs/metric_types.md>. A counter that did not move
//! is not sent; of a histogram, how many came and their average. Plain StatsD has no labels, so a
//! state is part of the name. May not touch: sockets. Invariant: no packet is larger than
//! [`PACKET_BYTES`], and no line is torn apart.

use std::fmt::Display;

use crate::metrics::gauges::Label;
use crate::metrics::histograms::Distribution;
use crate::metrics::reading::Reading;

/// Bytes of one packet at most: what passes an Ethernet unfragmented, with room for a tunnel.
pub const PACKET_BYTES: usize = 1432;

/// Knows what was sent last.
#[derive(Debug, Default)]
pub struct Reporter {
    counters: Vec<u64>,
    distributions: Vec<Distribution>,
}

impl Reporter {
    /// What is to be sent of this reading, packet by packet. The first is the change since the start
    /// of the server.
    #[must_use]
    pub fn packets(&mut self, reading: &Reading) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut before = std::mem::take(&mut self.counters).into_iter();
        for (row, count) in reading.counters() {
            let grown = count.wrapping_sub(before.next().unwrap_or(0));
            if grown > 0 {
                lines.push(row.1, "", grown, 'c');
            }
            self.counters.push(count);
        }
        let mut before = std::mem::take(&mut self.distributions).into_iter();
        for (row, distribution) in reading.distributions() {
            let before = before.next().unwrap_or_default();
            let grown = distribution.count().wrapping_sub(before.count());
            let sum = distribution.sum.wrapping_sub(before.sum);
            if let Some(average) = sum.checked_div(grown) {
                lines.push(row.name, "_count", grown, 'c');
                lines.push(row.name, "_average", row.unit.shown(average), 'g');
            }
            self.distributions.push(distribution.clone());
        }
        for (&(_, name, label, _), value) in reading.gauges.rows() {
            match label {
                Label::None => lines.push(name, "", value, 'g'),
                Label::State(state) => lines.push(name, &format!("_{state}"), value, 'g'),
                // Without its labels it says nothing.
                Label::Build => {}
            }
        }
        lines.packets
    }
}

#[derive(Default)]
struct Lines {
    packets: Vec<Vec<u8>>,
}

impl Lines {
    fn push(&mut self, name: &str, suffix: &str, value: impl Display, kind: char) {
        let line = format!("{name}{suffix}:{value}|{kind}");
        match self.packets.last_mut() {
            Some(packet) if packet.len() + 1 + line.len() <= PACKET_BYTES => {
                packet.push(b'\n');
                packet.extend_from_slice(line.as_bytes());
            }
            _ => self.packets.push(line.into_bytes()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::counters::Counters;
    use crate::metrics::gauges::{GAUGES, Gauge, Gauges};
    use crate::metrics::histograms::Histogram;
    use crate::metrics::names::Counter;
    use crate::metrics::table::COUNTERS;

    fn lines(packets: &[Vec<u8>]) -> Vec<String> {
        let packets = packets.iter();
        let texts = packets.map(|packet| String::from_utf8(packet.clone()).unwrap());
        texts
            .flat_map(|text| text.split('\n').map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn counters_are_sent_as_they_grow_and_gauges_as_they_are() {
        let counters = [Arc::new(Counters::default())];
        let mut reporter = Reporter::default();
        let mut sent = |rooms: u64| {
            let mut gauges = Gauges::default();
            gauges.count(Gauge::BuildInfo, 1);
            gauges.count(Gauge::Rooms, rooms);
            gauges.count(Gauge::RunsQueued, rooms);
            lines(&reporter.packets(&Reading::of(&counters, gauges)))
        };
        counters[0].add(Counter::BytesSent, 5);
        counters[0].observe(Histogram::PublicationBytes, 10);
        counters[0].observe(Histogram::PublicationBytes, 20);
        counters[0].observe(Histogram::JobSeconds, 1_500_000);
        assert_eq!(
            sent(2),
            [
                "kinglet_bytes_sent_total:5|c",
                "kinglet_job_seconds_count:1|c",
                "kinglet_job_seconds_average:0.0015|g",
                "kinglet_publication_bytes_count:2|c",
                "kinglet_publication_bytes_average:15|g",
                "kinglet_rooms:2|g",
                "kinglet_runs_queued:2|g",
            ]
        );
        assert_eq!(sent(3), ["kinglet_rooms:3|g", "kinglet_runs_queued:3|g"]);
        counters[0].add(Counter::BytesSent, 2);
        counters[0].observe(Histogram::PublicationBytes, 40);
        assert_eq!(
            sent(0),
            [
                "kinglet_bytes_sent_total:2|c",
                "kinglet_publication_bytes_count:1|c",
                "kinglet_publication_bytes_average:40|g",
                "kinglet_rooms:0|g",
                "kinglet_runs_queued:0|g",
            ]
        );
    }

    #[test]
    fn packets_are_small_and_lines_whole() {
        let counters = Arc::new(Counters::default());
        for (counter, _, _) in COUNTERS {
            counters.add(*counter, u64::MAX);
        }
        let mut gauges = Gauges::default();
        for (gauge, ..) in GAUGES {
            gauges.set(*gauge, f64::MAX);
        }
        let packets = Reporter::default().packets(&Reading::of(&[counters], gauges));
        assert!(packets.len() > 2);
        assert!(packets.iter().all(|packet| packet.len() <= PACKET_BYTES));
        let lines = lines(&packets);
        assert_eq!(lines.len(), COUNTERS.len() + GAUGES.len() - 1);
        for line in lines {
            let (name, rest) = line.split_once(':').unwrap();
            let (value, kind) = rest.split_once('|').unwrap();
            assert!(!name.is_empty() && value.parse::<f64>().is_ok(), "{line}");
            assert!(matches!(kind, "c" | "g"), "{line}");
        }
    }
}
