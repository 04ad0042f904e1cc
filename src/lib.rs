//! kinglet: a realtime server that fits on a small machine.
//!
//! Layers, lowest first; a layer uses only those above it in this list (`tests/architecture.rs`
//! holds it): `base`, `os`, `config`, `metrics`; `wire`; `domain`, `protocol`, `dialect`, `bus`;
//! `executor`, `store`, `host`, `backplane`; `app`, `shard`; `runtime`; `testkit`, `cli`. The map with its
//! reasons is in the README.
//!
//! Everything below `runtime` is a pure core: bytes, commands and `now` go in, outputs come out.
//! Invariant: only `runtime` (and `cli`, which starts it) touches sockets, threads or clocks.

pub mod app;
pub mod backplane;
pub mod base;
pub mod bus;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod domain;
pub mod executor;
pub mod host;
pub mod metrics;
pub mod os;
pub mod protocol;
pub mod runtime;
pub mod shard;
pub mod store;
pub mod wire;

#[cfg(feature = "testkit")]
pub mod testkit;
