//! The command line.

use crate::config::{Flags, Sources, load};
use crate::runtime::logging::Logging;
use crate::runtime::server::Server;

/// Placeholder until the command line is written.
#[allow(clippy::print_stderr)]
pub fn main() -> std::process::ExitCode {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let flags = Flags::default();
    let (config, _) = match load(&Sources {
        file: None,
        environment: &environment,
        flags: &flags,
    }) {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprintln!("{faults}");
            return 2.into();
        }
    };
    let logging = Logging::start(config.log.level, None).ok();
    match Server::start(config).map(|server| {
        eprintln!("listening {:?}", server.addresses());
        server.run(logging.as_ref())
    }) {
        Ok(Ok(_)) => 0.into(),
        other => {
            eprintln!("{other:?}");
            1.into()
        }
    }
}
