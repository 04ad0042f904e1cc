//! JSON text as it travels: what is checked and changed without building a value.
//!
//! May not touch: message types and their fields; those belong to the dialects.

pub mod object;
pub mod raw;
