//! Whether to come back: what the end of a connection, or of an attempt at one, says about the
//! next attempt.
//!
//! May not touch: sockets and clocks. Invariant: who is told not to come back does not, and who is
//! told nothing comes back, because a connection that is only lost must not end a watch that
//! nobody looks at.

use std::time::Duration;

use crate::cli::Failure;
use crate::cli::transport::TransportFault;
use crate::domain::fault::Code;
use crate::wire::websocket::close;

/// The longest Retry-After that is believed: who asks for more is misconfigured, and one attempt an
/// hour harms nobody.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comeback {
    /// Yes, but not before this long from now.
    After(Duration),
    /// No: it would end the same.
    Never,
}

const AT_WILL: Comeback = Comeback::After(Duration::ZERO);

/// Why a connection is over, or was never there.
#[derive(Debug)]
pub(super) enum Ended {
    /// It failed.
    Lost(TransportFault),
    /// The server closed it; without a code if `code` is `None`.
    Closed { code: Option<u16>, reason: String },
    /// The server answered a command of ours with an error.
    Error { code: String, message: String },
    /// It is for us to end.
    Failed(Failure),
}

impl Ended {
    /// Whether to connect again.
    pub(super) fn comeback(&self) -> Comeback {
        match self {
            Self::Lost(fault) => after_fault(fault),
            Self::Closed { code, .. } => after_close(*code),
            Self::Error { code, .. } => after_error(code),
            Self::Failed(_) => Comeback::Never,
        }
    }

    /// What happened, as the start of a line.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Lost(fault) => fault.to_string(),
            Self::Closed { code: None, .. } => "the server closed the connection".to_owned(),
            Self::Closed {
                code: Some(code),
                reason,
            } => {
                let line = format!("the server closed the connection: {code} {reason}");
                let hint = match *code {
                    close::INVALID_TOKEN => "; show one with --token or KINGLET_TOKEN",
                    _ => "",
                };
                format!("{}{hint}", line.trim_end())
            }
            Self::Error { code, message } => format!("{code}: {message}"),
            Self::Failed(Failure::Misuse(reason) | Failure::Failed(reason)) => reason.clone(),
            Self::Failed(Failure::OutputClosed) => String::new(),
        }
    }
}

impl From<TransportFault> for Ended {
    fn from(fault: TransportFault) -> Self {
        Self::Lost(fault)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Failed(failure) => failure,
            Ended::Lost(fault) => fault.into(),
            Ended::Closed { .. } | Ended::Error { .. } => Self::Failed(ended.words()),
        }
    }
}

/// What a close code says. 1000 is no command of kinglet's: it comes from something in between that
/// knows nothing of the rooms, as do 3000 to 3999.
fn after_close(code: Option<u16>) -> Comeback {
    match code {
        // What we sent was wrong, and we would send it again.
        Some(1002 | 1003 | 1007..=1010) => Comeback::Never,
        Some(4500..=4999) => Comeback::Never,
        Some(_) | None => AT_WILL,
    }
}

fn after_fault(fault: &TransportFault) -> Comeback {
    match fault {
        TransportFault::Resolve { .. }
        | TransportFault::Connect { .. }
        | TransportFault::Broken(_)
        | TransportFault::Ended
        | TransportFault::Silent(_) => AT_WILL,
        TransportFault::Refused {
            status,
            retry_after,
            ..
        } => after_status(*status, *retry_after),
        TransportFault::Tls { .. }
        | TransportFault::TlsExpected
        | TransportFault::NotHttp(_)
        | TransportFault::NotWebSocket(_)
        | TransportFault::NotKinglet(_)
        | TransportFault::Random(_) => Comeback::Never,
    }
}

/// What the status of a refusal says; a proxy answers with 502 and 504 while its server restarts.
fn after_status(status: u16, retry_after: Option<Duration>) -> Comeback {
    match status {
        408 | 429 | 500..=599 => {
            Comeback::After(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
        }
        _ => Comeback::Never,
    }
}

/// What an error on the socket says: as much as the same over HTTP.
fn after_error(code: &str) -> Comeback {
    let known = Code::ALL.iter().find(|known| known.as_str() == code);
    known.map_or(Comeback::Never, |code| {
        after_status(code.http_status(), None)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn comes_back_after_each_close_code_or_does_not() {
        let check = |codes: &[u16], expected: Comeback| {
            for code in codes {
                assert_eq!(after_close(Some(*code)), expected, "{code}");
            }
        };
        assert_eq!(after_close(None), AT_WILL);
        check(&[1000, 1001, 1011, 1012, 1013, 1014, 3000, 3999], AT_WILL);
        check(&[4000, 4001, 4002, 4003, 4499], AT_WILL);
        check(&[1002, 1003, 1007, 1008, 1009, 1010], Comeback::Never);
        check(&[4500, 4501, 4502, 4503, 4999], Comeback::Never);
    }

    #[test]
    fn comes_back_after_a_refusal_that_may_pass_when_it_says() {
        let check = |status, retry_after: Option<u64>, expected: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            let expected = expected.map_or(Comeback::Never, |seconds| {
                Comeback::After(Duration::from_secs(seconds))
            });
            assert_eq!(after_status(status, retry_after), expected, "{status}");
        };
        for status in [200, 301, 400, 401, 403, 404, 409, 413, 421, 426] {
            check(status, None, None);
            check(status, Some(1), None);
        }
        for status in [408, 429, 500, 502, 503, 504] {
            check(status, None, Some(0));
            check(status, Some(7), Some(7));
            check(status, Some(u64::MAX), Some(3600));
        }
    }

    #[test]
    fn comes_back_after_what_may_heal_by_itself() {
        let check = |ended: Ended, expected| assert_eq!(ended.comeback(), expected, "{ended:?}");
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        check(TransportFault::Broken(broken()).into(), AT_WILL);
        check(TransportFault::Ended.into(), AT_WILL);
        check(TransportFault::Silent(Duration::ZERO).into(), AT_WILL);
        check(TransportFault::TlsExpected.into(), Comeback::Never);
        check(TransportFault::NotKinglet("").into(), Comeback::Never);
        check(Failure::OutputClosed.into(), Comeback::Never);
        let error = |code: &str| Ended::Error {
            code: code.to_owned(),
            message: String::new(),
        };
        check(error("SERVER_BUSY"), AT_WILL);
        check(error("RATE_LIMITED"), AT_WILL);
        check(error("PERMISSION_DENIED"), Comeback::Never);
        check(error("SOMETHING_NEW"), Comeback::Never);
    }

    #[test]
    fn says_what_happened() {
        let check = |code, reason: &str, expected: &str| {
            let reason = reason.to_owned();
            assert_eq!(Ended::Closed { code, reason }.words(), expected);
        };
        check(None, "", "the server closed the connection");
        check(Some(4000), "", "the server closed the connection: 4000");
        check(
            Some(1001),
            "bye",
            "the server closed the connection: 1001 bye",
        );
        check(
            Some(4500),
            "no token came in time",
            "the server closed the connection: 4500 no token came in time; show one with --token \
             or KINGLET_TOKEN",
        );
    }
}
