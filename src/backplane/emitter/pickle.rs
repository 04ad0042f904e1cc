//! Pickles of plain data: the part of the format that `pickle.dumps` uses for what JSON could say,
//! in protocols 2 to 5.
//!
//! A pickle is a program for a machine with a stack and a memo (`Lib/pickletools.py` of CPython
//! describes each instruction). Here it has 35 instructions, none of which looks up a name, calls
//! anything or makes an object; the first other one refuses the pickle whole, so what Python would
//! run is at most read past here, never run.
//!
//! ```text
//!   80 04   95 0b…   7d  94   8c 05 "event"  94   8c 01 "x"  94   73   2e
//!   PROTO   FRAME    {}  memo        text    memo     text   memo set  STOP
//! ```
//!
//! Invariants: the memo grows by one at a time, as picklers number it; the marks on the stack are
//! as many as values may nest; every value is one that [`Document`] counts.

use crate::backplane::emitter::document::{Document, Item, Node};
use crate::backplane::emitter::fault::EmitterFault;
use crate::base::limits;

/// The instruction that every pickle since protocol 2 begins with.
pub const PROTO: u8 = 0x80;

/// Marks that may be open: those of the published value and of the message around it.
const MARKS: usize = limits::JSON_DEPTH + 2;

/// Bytes of a whole number; those of JSON have 8.
const LONG_BYTES: usize = 16;

/// Reads a pickle.
///
/// # Errors
/// [`EmitterFault`]; nothing is executed either way.
pub fn read(pickle: &[u8]) -> Result<Document<'_>, EmitterFault> {
    let mut machine = Machine {
        input: pickle,
        at: 0,
        document: Document::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    machine.begin()?;
    loop {
        let begins = machine.at;
        let instruction = machine.byte()?;
        match machine.step(instruction)? {
            Step::Done => {}
            Step::Refused => {
                return Err(EmitterFault::Instruction {
                    at: begins,
                    instruction,
                });
            }
            Step::Over(root) if machine.at == pickle.len() => {
                return Ok(machine.document.rooted(root));
            }
            Step::Over(_) => return Err(EmitterFault::Trailing { at: machine.at }),
        }
    }
}

/// What came of an instruction.
enum Step<'a> {
    Done,
    /// It is none of ours, or there is nothing on the stack that it could work on.
    Refused,
    /// The pickle is over; this is what it describes.
    Over(Item<'a>),
}

impl<'a> Step<'a> {
    fn of(done: Option<()>) -> Self {
        done.map_or(Self::Refused, |()| Self::Done)
    }
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    document: Document<'a>,
    stack: Vec<Item<'a>>,
    /// How high the stack was at each mark that is open.
    marks: Vec<usize>,
    memo: Vec<Item<'a>>,
}

impl<'a> Machine<'a> {
    fn begin(&mut self) -> Result<(), EmitterFault> {
        let instruction = self.byte()?;
        let is_known = instruction == PROTO && matches!(self.byte()?, 2..=5);
        match is_known {
            true => Ok(()),
            false => Err(EmitterFault::Instruction { at: 0, instruction }),
        }
    }

    fn step(&mut self, instruction: u8) -> Result<Step<'a>, EmitterFault> {
        let item = match instruction {
            b'.' => {
                let root = self.stack.pop();
                let is_alone = self.stack.is_empty() && self.marks.is_empty();
                return Ok(root.filter(|_| is_alone).map_or(Step::Refused, Step::Over));
            }
            // How long the next instructions are together, which their own lengths say better.
            0x95 => {
                let length = self.number::<8>()?;
                let rest = (self.input.len() - self.at) as u128;
                return match length > rest {
                    true => Err(EmitterFault::Truncated {
                        at: self.input.len(),
                    }),
                    false => Ok(Step::Done),
                };
            }
            b'N' => Item::Null,
            0x88 => Item::Bool(true),
            0x89 => Item::Bool(false),
            b'K' => Item::Integer(i128::from(self.byte()?)),
            b'M' => Item::Integer(i128::from(u16::from_le_bytes(self.array()?))),
            b'J' => Item::Integer(i128::from(i32::from_le_bytes(self.array()?))),
            0x8a => match self.long()? {
                Some(number) => Item::Integer(number),
                None => return Ok(Step::Refused),
            },
            b'G' => Item::Float(f64::from_be_bytes(self.array()?)),
            0x8c => self.text::<1>()?,
            b'X' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b'C' => self.bytes::<1>()?,
            b'B' => self.bytes::<4>()?,
            0x8e | 0x96 => self.bytes::<8>()?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => return self.remember(instruction),
            _ => return self.build(instruction),
        };
        self.push(item)?;
        Ok(Step::Done)
    }

    /// The instructions of the memo.
    fn remember(&mut self, instruction: u8) -> Result<Step<'a>, EmitterFault> {
        let index = match instruction {
            b'q' | b'h' => self.number::<1>()?,
            b'r' | b'j' => self.number::<4>()?,
            _ => self.memo.len() as u128,
        };
        if matches!(instruction, b'h' | b'j') {
            let index = usize::try_from(index).ok();
            let Some(item) = index.and_then(|index| self.memo.get(index)).copied() else {
                return Ok(Step::Refused);
            };
            self.push(item)?;
            return Ok(Step::Done);
        }
        let Some(top) = self.top().filter(|_| index == self.memo.len() as u128) else {
            return Ok(Step::Refused);
        };
        self.document.count()?;
        self.memo.push(top);
        Ok(Step::Done)
    }

    /// The instructions that make lists, tuples and maps.
    fn build(&mut self, instruction: u8) -> Result<Step<'a>, EmitterFault> {
        let node = match instruction {
            b'(' if self.marks.len() == MARKS => return Err(EmitterFault::TooDeep),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(Step::Done);
            }
            b']' => Some(Node::List(Vec::new())),
            b'}' => Some(Node::Map(Vec::new())),
            b')' => Some(Node::Tuple(Vec::new())),
            0x85..=0x87 => self.pop(usize::from(instruction - 0x84)).map(Node::Tuple),
            b't' => self.pop_marked().map(Node::Tuple),
            b'a' => {
                let items = self.pop(1);
                return Ok(Step::of(items.and_then(|items| self.append(items))));
            }
            b'e' => {
                let items = self.pop_marked();
                return Ok(Step::of(items.and_then(|items| self.append(items))));
            }
            b's' => {
                let items = self.pop(2);
                return Ok(Step::of(items.and_then(|items| self.set(&items))));
            }
            b'u' => {
                let items = self.pop_marked();
                return Ok(Step::of(items.and_then(|items| self.set(&items))));
            }
            _ => None,
        };
        let Some(node) = node else {
            return Ok(Step::Refused);
        };
        let item = self.document.add(node);
        self.push(item)?;
        Ok(Step::Done)
    }

    fn push(&mut self, item: Item<'a>) -> Result<(), EmitterFault> {
        self.document.count()?;
        self.stack.push(item);
        Ok(())
    }

    /// The value on top, if it is above the last mark.
    fn top(&self) -> Option<Item<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..)?.last().copied()
    }

    /// Takes so many values from the top, none of them below the last mark.
    fn pop(&mut self, count: usize) -> Option<Vec<Item<'a>>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let from = self.stack.len().checked_sub(count)?;
        (from >= floor).then(|| self.stack.split_off(from))
    }

    /// Takes what is above the last mark, and the mark.
    fn pop_marked(&mut self) -> Option<Vec<Item<'a>>> {
        let from = self.marks.pop()?;
        Some(self.stack.split_off(from))
    }

    fn append(&mut self, new: Vec<Item<'a>>) -> Option<()> {
        match self.document.node_mut(self.top()?)? {
            Node::List(items) => items.extend(new),
            Node::Tuple(_) | Node::Map(_) => return None,
        }
        Some(())
    }

    fn set(&mut self, new: &[Item<'a>]) -> Option<()> {
        let (pairs, []) = new.as_chunks::<2>() else {
            return None;
        };
        match self.document.node_mut(self.top()?)? {
            Node::Map(entries) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            Node::List(_) | Node::Tuple(_) => return None,
        }
        Some(())
    }

    /// A whole number with its length before it, least byte first; `None` if it is too long.
    fn long(&mut self) -> Result<Option<i128>, EmitterFault> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        let is_negative = bytes.last().is_some_and(|last| *last >= 0x80);
        let mut whole = [if is_negative { 0xff } else { 0 }; LONG_BYTES];
        let Some(low) = whole.get_mut(..length) else {
            return Ok(None);
        };
        low.copy_from_slice(bytes);
        Ok(Some(i128::from_le_bytes(whole)))
    }

    /// A text after its length in `N` bytes.
    fn text<const N: usize>(&mut self) -> Result<Item<'a>, EmitterFault> {
        let bytes = self.counted::<N>()?;
        let at = self.at - bytes.len();
        let text = simdutf8::basic::from_utf8(bytes);
        text.map(Item::Text)
            .map_err(|_| EmitterFault::NotText { at })
    }

    /// Bytes after their length in `N` bytes.
    fn bytes<const N: usize>(&mut self) -> Result<Item<'a>, EmitterFault> {
        self.counted::<N>().map(Item::Bytes)
    }

    fn counted<const N: usize>(&mut self) -> Result<&'a [u8], EmitterFault> {
        let length = self.number::<N>()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// A number of `N` bytes, least first, without sign.
    fn number<const N: usize>(&mut self) -> Result<u128, EmitterFault> {
        let bytes: [u8; N] = self.array()?;
        let fold = |number, byte: &u8| number << 8 | u128::from(*byte);
        Ok(bytes.iter().rev().fold(0, fold))
    }

    fn byte(&mut self) -> Result<u8, EmitterFault> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EmitterFault> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], EmitterFault> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.input.get(self.at..end));
        let taken = taken.ok_or(EmitterFault::Truncated {
            at: self.input.len(),
        })?;
        self.at += count;
        Ok(taken)
    }
}
