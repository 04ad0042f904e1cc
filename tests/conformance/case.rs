//! What a case is: what a client sends, what must come back and when, how it must end.
//!
//! May not touch: the server, or any of its code. Frames are made here by hand, so that a fault in
//! the server's own encoder cannot hide one in its decoder.

use std::borrow::Cow;

/// Opcodes of RFC 6455 section 5.2.
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const FIN: u8 = 0x80;

/// Any key will do that would show if it were applied at the wrong place.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One section of the suite.
pub struct Section {
    pub number: &'static str,
    pub title: &'static str,
    /// What is to be known of the section beside its rows; empty for nothing.
    pub note: &'static str,
    pub cases: Vec<Case>,
}

/// One case.
pub struct Case {
    /// That of the suite.
    pub number: String,
    /// What is sent, in words.
    pub sent: String,
    pub steps: Vec<Step>,
    /// What comes back behind that of the waits, in order; a Close is the last.
    pub answers: Vec<Answer>,
    pub verdict: Verdict,
    pub pieces: Pieces,
}

/// What a client does.
#[derive(Clone)]
pub enum Step {
    /// Sends a frame with this first byte.
    Frame(u8, Payload),
    /// Sends a message of this opcode in fragments of at most so many bytes.
    Fragments(u8, Payload, usize),
    /// Sends octets as they are.
    Octets(Vec<u8>),
    /// Waits; exactly this has come by then.
    Wait(Vec<Answer>),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Text(Payload),
    Binary(Payload),
    Pong(Payload),
    /// A Close with this code and any reason, and the end of the connection.
    Close(u16),
}

/// What a frame or a message carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a pattern that begins anew whenever it ends; made when it is needed.
    Pattern(&'static [u8], usize),
}

impl Payload {
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Pattern(_, length) => *length,
        }
    }

    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Bytes(bytes) => bytes.into(),
            Self::Pattern(pattern, length) => {
                let mut bytes = pattern.repeat(length.div_ceil(pattern.len()));
                bytes.truncate(*length);
                bytes.into()
            }
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Payload {}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// What the suite calls an implementation that answers as the row says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes, and where there is a lenient way to pass it took the other.
    Strict,
    /// The suite only notes what happens.
    Informational,
}

/// How the octets of a case are cut on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// Played three times: whole up to each wait, frame by frame, byte by byte.
    All,
    /// Whole up to each wait; too large for single bytes.
    Whole,
    /// In pieces of exactly so many bytes.
    Of(usize),
    /// Each step waits for the answer to the one before.
    RoundTrips,
}

impl Case {
    /// A case that goes well: the client closes with 1000 at its end, and so does the server.
    pub fn passes(number: &str, sent: &str, steps: Vec<Step>, answers: Vec<Answer>) -> Self {
        let mut steps = steps;
        steps.push(close(1000));
        Self::closes(number, sent, steps, answers, 1000)
    }

    /// A case that ends with a Close of the server, whether it is an answer or a verdict.
    pub fn closes(
        number: &str,
        sent: &str,
        steps: Vec<Step>,
        answers: Vec<Answer>,
        code: u16,
    ) -> Self {
        let mut answers = answers;
        answers.push(Answer::Close(code));
        Self {
            number: number.to_owned(),
            sent: sent.to_owned(),
            steps,
            answers,
            verdict: Verdict::Strict,
            pieces: Pieces::All,
        }
    }

    /// The same, of which the suite only notes what happens.
    pub fn informational(self) -> Self {
        let verdict = Verdict::Informational;
        Self { verdict, ..self }
    }

    /// The same, cut otherwise.
    pub fn cut(self, pieces: Pieces) -> Self {
        Self { pieces, ..self }
    }
}

impl Answer {
    /// The answer in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Text(bytes) => format!("text of {}", count(bytes.len(), "byte")),
            Self::Binary(bytes) => format!("binary of {}", count(bytes.len(), "byte")),
            Self::Pong(bytes) => format!("pong of {}", count(bytes.len(), "byte")),
            Self::Close(code) => format!("close {code}"),
        }
    }
}

/// `1 byte`, `2 bytes`, `65,536 bytes`.
pub fn count(number: usize, name: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let plural = if number == 1 { "" } else { "s" };
    format!("{grouped} {name}{plural}")
}

/// A whole message, or a control frame.
pub fn frame(opcode: u8, payload: impl Into<Payload>) -> Step {
    Step::Frame(FIN | opcode, payload.into())
}

/// A fragment that is not the last.
pub fn part(opcode: u8, payload: impl Into<Payload>) -> Step {
    Step::Frame(opcode, payload.into())
}

/// A frame with reserved bits, 1 to 7.
pub fn reserved(bits: u8, opcode: u8, payload: impl Into<Payload>) -> Step {
    Step::Frame(FIN | bits << 4 | opcode, payload.into())
}

/// A Close with a code and no reason.
pub fn close(code: u16) -> Step {
    frame(CLOSE, &code.to_be_bytes())
}

/// A Close with a code and a reason.
pub fn close_because(code: u16, reason: &[u8]) -> Step {
    frame(CLOSE, [&code.to_be_bytes(), reason].concat())
}

/// One frame of which each part is a step of its own: the header goes with the first.
pub fn in_parts(opcode: u8, parts: [&[u8]; 3]) -> [Step; 3] {
    let whole = parts.concat();
    let mut bytes = Vec::new();
    encode(FIN | opcode, &whole, &mut bytes);
    let mut header = bytes.len() - whole.len();
    parts.map(|part| {
        let length = part.len() + std::mem::take(&mut header);
        Step::Octets(bytes.drain(..length).collect())
    })
}

impl Step {
    /// Appends what is sent.
    pub fn send(&self, out: &mut Vec<u8>) {
        match self {
            Self::Frame(first, payload) => encode(*first, &payload.bytes(), out),
            Self::Fragments(opcode, payload, size) => {
                let payload = payload.bytes();
                let count = payload.len().div_ceil(*size);
                for (number, piece) in (1..).zip(payload.chunks(*size)) {
                    let opcode = if number == 1 { *opcode } else { CONTINUATION };
                    let fin = if number == count { FIN } else { 0 };
                    encode(fin | opcode, piece, out);
                }
            }
            Self::Octets(octets) => out.extend_from_slice(octets),
            Self::Wait(_) => {}
        }
    }
}

/// A masked frame with the shortest length there is (RFC 6455 sections 5.2 and 5.3).
fn encode(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    out.extend(masked.map(|(byte, key)| byte ^ key));
}
