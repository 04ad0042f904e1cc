//! Who may do what: the tables of open and token mode, and patterns against a naive oracle.

#![allow(clippy::unwrap_used)]

use super::*;
