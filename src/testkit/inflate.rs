//! An inflater of its own (RFC 1951), slow and plain: what the compressor in use is held against.
//!
//! It remembers exactly as much as the window that was agreed on, in a ring of that size, as a small
//! device does; the inflaters of others often remember more than they were told to. Accepts what
//! zlib accepts. Invariant: shares no code with `flate2`.

/// What ends a message and is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Codes of lengths and distances: what they begin at, and their further bits.
const LENGTHS: [(u16, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// In this order come the lengths of the codes that the codes' lengths are written in.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It ends inside a block.
    Cut,
    /// It breaks RFC 1951, or refers to what the window does not hold.
    Invalid,
    /// It is longer than the limit.
    TooLong,
}

/// What one connection's messages may refer to.
#[derive(Debug)]
pub struct PlainInflater {
    ring: Vec<u8>,
    /// Bytes in all, of which the last are in the ring.
    written: usize,
}

impl PlainInflater {
    /// An inflater with a window of 2^`bits` bytes.
    #[must_use]
    pub fn new(bits: u8) -> Self {
        Self {
            ring: vec![0; 1 << bits],
            written: 0,
        }
    }

    /// What a message expands to, at most `limit` bytes. It must end where its tail, which is not
    /// sent, is an empty stored block (RFC 7692 section 7.2.2).
    ///
    /// # Errors
    /// Why it does not. The inflater must not be used afterwards.
    pub fn expand(&mut self, message: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
        let whole = [message, &TAIL].concat();
        let mut bits = Bits {
            bytes: &whole,
            at: 0,
        };
        let mut out = Output {
            window: self,
            bytes: Vec::new(),
            limit,
        };
        while bits.at < 8 * whole.len() {
            let is_last = bits.take(1)? == 1;
            let kind = bits.take(2)?;
            let is_tail = kind == 0 && bits.at.div_ceil(8) == message.len();
            match kind {
                0 if is_tail => {}
                0 => stored(&mut bits, &mut out)?,
                1 => fixed(&mut bits, &mut out)?,
                2 => dynamic(&mut bits, &mut out)?,
                _ => return Err(Refusal::Invalid),
            }
            if is_last {
                // Another stream may follow, at a byte of its own.
                bits.align();
                out.window.written = 0;
            }
            if is_tail {
                return Ok(out.bytes);
            }
        }
        Err(Refusal::Cut)
    }

    fn push(&mut self, byte: u8) {
        let at = self.written % self.ring.len();
        self.ring[at] = byte;
        self.written += 1;
    }

    fn back(&self, distance: usize) -> Result<u8, Refusal> {
        if distance > self.written.min(self.ring.len()) {
            return Err(Refusal::Invalid);
        }
        Ok(self.ring[(self.written - distance) % self.ring.len()])
    }
}

/// What a message has expanded to so far.
struct Output<'a> {
    window: &'a mut PlainInflater,
    bytes: Vec<u8>,
    limit: usize,
}

impl Output<'_> {
    fn push(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.bytes.len() == self.limit {
            return Err(Refusal::TooLong);
        }
        self.bytes.push(byte);
        self.window.push(byte);
        Ok(())
    }

    fn copy(&mut self, distance: usize, length: usize) -> Result<(), Refusal> {
        for _ in 0..length {
            let byte = self.window.back(distance)?;
            self.push(byte)?;
        }
        Ok(())
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits taken.
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<usize, Refusal> {
        let end = self.at + count as usize;
        if end > 8 * self.bytes.len() {
            return Err(Refusal::Cut);
        }
        let mut word = 0;
        for (place, byte) in self.bytes[self.at / 8..].iter().take(3).enumerate() {
            word |= usize::from(*byte) << (8 * place);
        }
        let value = word >> (self.at % 8) & ((1 << count) - 1);
        self.at = end;
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Output<'_>) -> Result<(), Refusal> {
    bits.align();
    let (length, check) = (bits.take(16)?, bits.take(16)?);
    if length != !check & 0xffff {
        return Err(Refusal::Invalid);
    }
    for _ in 0..length {
        out.push(bits.take(8)? as u8)?;
    }
    Ok(())
}

/// A canonical Huffman code: how many codes of each length, and their symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// The code of these lengths. One that leaves something over must be a single code of one bit
    /// or none at all, and `may_be_partial`.
    fn new(lengths: &[usize], may_be_partial: bool) -> Result<Self, Refusal> {
        let mut counts = [0; 16];
        for length in lengths {
            counts[*length] += 1;
        }
        counts[0] = 0;
        let mut left: isize = 1;
        for count in &counts[1..] {
            left = 2 * left - *count as isize;
            if left < 0 {
                return Err(Refusal::Invalid);
            }
        }
        let has_longer = counts[2..].iter().any(|count| *count > 0);
        let is_empty = !has_longer && counts[1] == 0;
        if left > 0 && !is_empty && (has_longer || !may_be_partial) {
            return Err(Refusal::Invalid);
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|at| lengths[*at] > 0).collect();
        symbols.sort_by_key(|at| lengths[*at]);
        Ok(Self { counts, symbols })
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Refusal> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Refusal::Invalid)
    }
}

fn fixed(bits: &mut Bits<'_>, out: &mut Output<'_>) -> Result<(), Refusal> {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    codes(
        bits,
        out,
        &Code::new(&lengths, false)?,
        &Code::new(&[5; 32], false)?,
    )
}

fn dynamic(bits: &mut Bits<'_>, out: &mut Output<'_>) -> Result<(), Refusal> {
    let (literals, distances) = (bits.take(5)? + 257, bits.take(5)? + 1);
    let codes_of_lengths = bits.take(4)? + 4;
    if literals > 286 || distances > 30 {
        return Err(Refusal::Invalid);
    }
    let mut lengths = [0; 19];
    for at in ORDER.iter().take(codes_of_lengths) {
        lengths[*at] = bits.take(3)?;
    }
    let code = Code::new(&lengths, false)?;
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.symbol(bits)? {
            16 => (*lengths.last().ok_or(Refusal::Invalid)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    if lengths.len() > literals + distances || lengths[256] == 0 {
        return Err(Refusal::Invalid);
    }
    let (literals, distances) = lengths.split_at(literals);
    codes(
        bits,
        out,
        &Code::new(literals, true)?,
        &Code::new(distances, true)?,
    )
}

/// The symbols of a block up to its end.
fn codes(
    bits: &mut Bits<'_>,
    out: &mut Output<'_>,
    literals: &Code,
    distances: &Code,
) -> Result<(), Refusal> {
    loop {
        match literals.symbol(bits)? {
            256 => return Ok(()),
            literal @ 0..256 => out.push(literal as u8)?,
            code => {
                let (base, more) = *LENGTHS.get(code - 257).ok_or(Refusal::Invalid)?;
                let length = usize::from(base) + bits.take(more)?;
                let code = distances.symbol(bits)?;
                let distance = match code {
                    0..4 => code + 1,
                    4..30 => {
                        let more = (code / 2 - 1) as u32;
                        ((2 + code % 2) << more) + 1 + bits.take(more)?
                    }
                    _ => return Err(Refusal::Invalid),
                };
                out.copy(distance, length)?;
            }
        }
    }
}
