//! L0: what is counted and measured, under which name, where the numbers are kept and how they are
//! written down; and the last things that went wrong.
//!
//! May not touch: sockets, clocks, configuration. Gauges (connections open, sessions, rooms) are
//! not kept here: whoever shows them derives them from what exists.

pub mod counters;
pub mod exposition;
pub mod gauges;
pub mod histograms;
pub mod names;
pub mod reading;
pub mod recent;
pub mod runs;
pub mod statsd;
pub mod table;
pub mod throughput;
