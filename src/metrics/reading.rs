//! All that is measured, read at one moment, for whoever shows it.

use std::sync::Arc;

use crate::metrics::counters::{Counters, distribution, total};
use crate::metrics::gauges::Gauges;
use crate::metrics::histograms::{Distribution, HISTOGRAMS};
use crate::metrics::names::Counter;
use crate::metrics::table::COUNTERS;

/// One reading.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// In the order of [`COUNTERS`].
    counters: Vec<u64>,
    /// In the order of [`HISTOGRAMS`].
    distributions: Vec<Distribution>,
    /// What was looked at.
    pub gauges: Gauges,
}

impl Reading {
    /// What all of `counters` counted together, and these gauges.
    #[must_use]
    pub fn of(counters: &[Arc<Counters>], gauges: Gauges) -> Self {
        let totals = COUNTERS.iter().map(|row| total(counters, row.0));
        let rows = HISTOGRAMS.iter();
        Self {
            counters: totals.collect(),
            distributions: rows
                .map(|row| distribution(counters, row.histogram))
                .collect(),
            gauges,
        }
    }

    /// Every counter, its name, its meaning and what was counted.
    pub fn counters(&self) -> impl Iterator<Item = (&(Counter, &'static str, &'static str), u64)> {
        COUNTERS.iter().zip(self.counters.iter().copied())
    }

    /// Every histogram and what was observed.
    pub fn distributions(
        &self,
    ) -> impl Iterator<Item = (&'static crate::metrics::histograms::Row, &Distribution)> {
        HISTOGRAMS.iter().zip(&self.distributions)
    }
}
