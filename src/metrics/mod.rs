//! L0: what is counted, under which name, and where the numbers are kept.
//!
//! May not touch: sockets, clocks, configuration. Gauges (connections open, sessions, rooms) are
//! not kept here: whoever shows them derives them from what exists.

pub mod counters;
pub mod names;
pub mod table;
