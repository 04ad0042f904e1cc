//! What stands around every handler, on sockets and over HTTP alike.
//!
//! In order: the message or request has been validated by its table row before it comes here;
//! access is checked by the handler with the room at hand; the rate is taken by the shard, which
//! can pause a reader. Here: one line at debug before and after, and a panic becomes an
//! INTERNAL_ERROR for the one who asked.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::dialect::native::decode::{Correlation, Decoded, decode};
use crate::domain::fault::{Code, Fault};

/// Runs one handler.
///
/// # Errors
/// The handler's own fault, or INTERNAL_ERROR if it panicked. State that a panicking handler
/// shares is only ever changed under locks whose holders leave it valid (`bus::rooms`).
pub fn guard<T>(
    name: &str,
    who: impl Display,
    handler: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    log::debug!("handle name={name} who={who}");
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(fault)) => {
            log::debug!("refused name={name} who={who} code={}", fault.code.as_str());
            Err(fault)
        }
        Err(_) => {
            log::error!("handler_panic name={name} who={who}");
            Err(our_fault())
        }
    }
}

/// Takes a message apart; a panic there is answered like one in a handler.
#[must_use]
pub fn validate(text: &str, who: impl Display) -> Decoded {
    catch_unwind(|| decode(text)).unwrap_or_else(|_| {
        log::error!("decoder_panic who={who}");
        Decoded {
            correlation: Correlation::default(),
            command: Err(our_fault()),
        }
    })
}

fn our_fault() -> Fault {
    Fault::new(
        Code::InternalError,
        "the server failed to handle this; it is our fault and has been logged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_becomes_an_internal_error() {
        let outcome: Result<(), Fault> = guard("test", "nobody", || panic!("on purpose"));
        assert_eq!(
            outcome.map_err(|fault| fault.code),
            Err(Code::InternalError)
        );
    }
}
