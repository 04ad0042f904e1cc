//! placeholder
pub mod logging;
