//! The oracle of the HTTP/1.1 reader: heads and bodies, one request after the other.
//!
//! May not touch: `protocol`, whose answers decide how long a connection lives; here every request
//! that arrives is read.

use std::iter;

use crate::testkit::oracles::piece_ends;
use crate::wire::http::body::BodyReader;
use crate::wire::http::fault::HttpFault;
use crate::wire::http::fields::{BodyFraming, Version};
use crate::wire::http::head::Head;
use crate::wire::http::scan::{HeadLimits, HeadScanner};

const HEAD_LIMITS: HeadLimits = HeadLimits {
    bytes: 16 * 1024,
    headers: 100,
};
const BODY_BYTES_MAX: usize = 64 * 1024;

/// For every input: read whole, byte by byte, or in pieces as long as its own bytes say, it gives
/// the same requests and the same fault; a request that is accepted has exactly one framing in any
/// reading of its head, and one body in any reading of its chunks, ends with the byte that
/// completes it, and takes memory only for bytes that have arrived.
///
/// # Panics
/// If that does not hold.
pub fn http_head(input: &[u8]) {
    let whole = read(input, iter::once(input.len()));
    let single = read(input, 1..=input.len());
    assert_eq!(single, whole, "byte by byte");
    for (request, complete_at) in single.requests.iter().zip(&single.complete_at) {
        assert_eq!(
            request.end, *complete_at,
            "ends with the byte completing it"
        );
    }
    let pieces = read(input, piece_ends(input.len(), input).into_iter());
    assert_eq!(pieces, whole, "in pieces");
}

/// A request as it was understood.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    head: String,
    body: Vec<u8>,
    /// Where in the input it ends.
    end: usize,
}

/// What an input led to.
#[derive(Debug, Default)]
struct Reading {
    requests: Vec<Request>,
    /// The head and the body so far of a request that did not end.
    unfinished: Option<(String, Vec<u8>)>,
    /// Bytes that belong to messages, heads that did not end not counted.
    taken: usize,
    fault: Option<HttpFault>,
    /// How much had arrived when each request was complete.
    complete_at: Vec<usize>,
}

/// All but `complete_at`, and `taken` beside a fault: both depend on the pieces.
impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        let end = |reading: &Self| match reading.fault {
            None => Ok(reading.taken),
            Some(fault) => Err(fault),
        };
        end(self) == end(other)
            && self.requests == other.requests
            && self.unfinished == other.unfinished
    }
}

/// What is read next.
enum State {
    Head(HeadScanner),
    Body(Message),
}

/// A request whose body is read.
struct Message {
    head: Head,
    /// Where in the input the body begins.
    start: usize,
    reader: BodyReader,
    body: Vec<u8>,
}

/// Reads `input`, which arrives in pieces that end at `ends`.
fn read(input: &[u8], ends: impl Iterator<Item = usize>) -> Reading {
    let mut reading = Reading::default();
    let mut state = State::Head(HeadScanner::default());
    for end in ends {
        let arrived = &input[..end];
        loop {
            match advance(state, arrived, &mut reading) {
                Ok((next, true)) => state = next,
                Ok((next, false)) => {
                    state = next;
                    break;
                }
                Err(fault) => {
                    reading.fault = Some(fault);
                    return reading;
                }
            }
        }
    }
    if let State::Body(message) = state {
        reading.unfinished = Some((spell(&message.head), message.body));
    }
    reading
}

/// Reads one head or one body; false if it did not end in what has arrived.
fn advance(
    state: State,
    arrived: &[u8],
    reading: &mut Reading,
) -> Result<(State, bool), HttpFault> {
    let waiting = &arrived[reading.taken..];
    match state {
        State::Head(mut scanner) => {
            let Some(length) = scanner.scan(waiting, &HEAD_LIMITS)? else {
                assert!(waiting.len() < HEAD_LIMITS.bytes, "a head is bounded");
                return Ok((State::Head(scanner), false));
            };
            assert!(length <= HEAD_LIMITS.bytes, "a head is bounded");
            let head = Head::parse(&waiting[..length], &HEAD_LIMITS)?;
            assert_one_framing(&waiting[..length], &head);
            let reader = BodyReader::new(head.body_framing(), BODY_BYTES_MAX)?;
            reading.taken += length;
            let message = Message {
                head,
                start: reading.taken,
                reader,
                body: Vec::new(),
            };
            Ok((State::Body(message), true))
        }
        State::Body(mut message) => {
            let progress = message.reader.feed(waiting, &mut message.body)?;
            reading.taken += progress.consumed;
            let body = &message.body;
            assert!(body.len() <= BODY_BYTES_MAX, "a body is bounded");
            assert!(
                body.capacity() <= 2 * body.len() + 8,
                "memory is taken for what has arrived"
            );
            if !progress.done {
                assert_eq!(progress.consumed, waiting.len(), "a body takes all it can");
                return Ok((State::Body(message), false));
            }
            assert_one_body(
                &message,
                &arrived[message.start..],
                reading.taken - message.start,
            );
            reading.complete_at.push(arrived.len());
            reading.requests.push(Request {
                head: spell(&message.head),
                body: message.body,
                end: reading.taken,
            });
            Ok((State::Head(HeadScanner::default()), true))
        }
    }
}

/// Reads the lines of `head` as leniently as any parser might, and expects that even so they name
/// one framing, the one that was understood, and one host.
fn assert_one_framing(bytes: &[u8], head: &Head) {
    let text = String::from_utf8_lossy(bytes);
    let values = |wanted: &str| -> Vec<&str> {
        text.split(['\r', '\n'])
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
            .collect()
    };
    let lengths = values("content-length");
    let encodings = values("transfer-encoding");
    match head.body_framing() {
        BodyFraming::None => assert!(lengths.is_empty() && encodings.is_empty()),
        BodyFraming::Length(length) => {
            assert!(encodings.is_empty());
            let [digits] = lengths[..] else {
                panic!("{lengths:?} is not one length");
            };
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(digits.parse(), Ok(length));
        }
        BodyFraming::Chunked => {
            assert!(lengths.is_empty());
            assert_eq!(encodings.len(), 1);
            assert!(encodings[0].eq_ignore_ascii_case("chunked"));
            assert_eq!(head.version(), Version::Http11);
        }
    }
    match head.version() {
        Version::Http11 => assert_eq!(values("host").len(), 1),
        Version::Http10 => assert!(values("host").len() <= 1),
    }
}

/// Reads the body at the front of `arrived` as leniently as any parser might, and expects the bytes
/// and the end, `length` bytes in, that were understood.
fn assert_one_body(message: &Message, arrived: &[u8], length: usize) {
    let expected = match message.head.body_framing() {
        BodyFraming::None => (Vec::new(), 0),
        BodyFraming::Length(length) => (arrived[..length as usize].to_vec(), length as usize),
        BodyFraming::Chunked => read_chunks(arrived),
    };
    assert_eq!((&message.body, length), (&expected.0, expected.1));
}

/// Chunks whose lines end with a line feed and whose sizes may have anything behind them, up to the
/// empty line behind the last; and where that ends.
pub(super) fn read_chunks(bytes: &[u8]) -> (Vec<u8>, usize) {
    let line = |start: usize| {
        let feed = bytes[start..].iter().position(|byte| *byte == b'\n');
        let end = start + feed.expect("a complete body has all its lines");
        (bytes[start..end].trim_ascii_end(), end + 1)
    };
    let mut body = Vec::new();
    let mut next = 0;
    loop {
        let (size, start) = line(next);
        let digits = size.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let size = digits.fold(0, |size, digit| {
            16 * size + char::from(*digit).to_digit(16).unwrap_or(0) as usize
        });
        next = start;
        if size == 0 {
            break;
        }
        body.extend_from_slice(&bytes[start..start + size]);
        next = line(start + size).1;
    }
    loop {
        let (trailer, end) = line(next);
        next = end;
        if trailer.is_empty() {
            return (body, next);
        }
    }
}

/// All that a head says, as one line.
fn spell(head: &Head) -> String {
    format!(
        "{} {} ?{} @{} {:?} {:?} keep={} continue={}",
        head.method().as_str(),
        head.path(),
        head.query(),
        head.host(),
        head.version(),
        head.body_framing(),
        head.keep_alive(),
        head.expects_continue(),
    )
}
