//! L4: the shell: sockets, threads, signals, the clock. It puts the cores together and performs
//! what they ask for; it decides nothing that a core could decide.

mod children;
mod claude;
mod emitters;
mod host;
pub mod keeper;
mod listening;
pub mod logging;
pub mod manager;
mod monitor;
mod platform;
mod publisher;
mod reactor;
pub mod reload;
pub mod server;
mod store;
pub mod tls;
pub(crate) mod workers;
