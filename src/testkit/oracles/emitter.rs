//! The oracle of what emitters put into Redis: hostile bytes, and a writer of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::backplane::emitter::publication::publication;
use crate::backplane::emitter::{Message, Writer, read};
use crate::base::limits;
use crate::domain::command::Payload;
use crate::testkit::choices::Choices;
use crate::wire::json::raw::compact;

/// Bytes of a message; few, so that what grows shows soon.
const LIMIT: usize = 16 * 1024;

/// The first byte chooses. What hostile bytes make of themselves publishes valid JSON on one line,
/// no deeper and no longer than may be; values that are written as a pickle and as msgpack come back
/// as the same JSON, and no part of what was written does.
///
/// # Panics
/// If that does not hold.
pub fn emitter(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    match first % 3 {
        0 => hostile(Writer::Python, rest),
        1 => hostile(Writer::Node, rest),
        _ => round_trip(&mut Choices::new(rest)),
    }
}

fn hostile(writer: Writer, message: &[u8]) {
    let Ok(message) = read(writer, "socket.io#/#a#", message, LIMIT) else {
        return;
    };
    let Message::Emit(emit) = message else { return };
    let namespace = emit.namespace.clone();
    if let Payload::Json(text) = &emit.payload {
        judge(text);
    }
    if let Ok(publish) = publication(emit, [&*namespace]) {
        assert!(!publish.rooms.is_empty());
        if let Payload::Json(text) = &publish.payload {
            judge(text);
        }
    }
}

fn judge(text: &str) {
    serde_json::from_str::<&serde_json::value::RawValue>(text).expect("it is JSON");
    assert!(text.len() <= LIMIT, "{} bytes", text.len());
    assert!(!text.contains(['\n', '\r']));
    compact(text, limits::JSON_DEPTH).expect("it is not too deep");
}

/// What an emitter might publish.
#[derive(Debug)]
enum Model {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Tuple(Vec<Self>),
    Map(Vec<Self>),
}

impl Model {
    fn choose(choices: &mut Choices<'_>, depth: usize) -> Self {
        let several = |choices: &mut Choices<'_>| {
            let count = choices.below(6);
            (0..count)
                .map(|_| Self::choose(choices, depth - 1))
                .collect()
        };
        match choices.below(if depth == 0 { 6 } else { 9 }) {
            0 => Self::Null,
            1 => Self::Bool(choices.one_in(2)),
            2 => {
                let mut bytes = [0; 8];
                let some = choices.one_of(&[1, 2, 4, 8]);
                let taken = choices.take(some);
                bytes[..taken.len()].copy_from_slice(taken);
                let number = i64::from_le_bytes(bytes);
                Self::Integer(if choices.one_in(2) { !number } else { number })
            }
            3 => Self::Float(f64::from(choices.byte()) / 8.0 + 0.0625),
            4 => {
                let text = String::from_utf8_lossy(choices.take(3)).into_owned();
                let times = choices.one_of(&[1, 1, 1, 90]);
                Self::Text(text.repeat(times))
            }
            5 => Self::Bytes(choices.take(5).repeat(choices.one_of(&[1, 60]))),
            6 => Self::List(several(choices)),
            7 => Self::Tuple(several(choices)),
            _ => Self::Map(several(choices)),
        }
    }

    fn json(&self) -> Value {
        let list = |items: &[Self]| items.iter().map(Self::json).collect();
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Integer(value) => json!(value),
            Self::Float(value) => json!(value),
            Self::Text(value) => json!(value),
            Self::Bytes(value) => json!({ "base64": STANDARD.encode(value) }),
            Self::List(items) | Self::Tuple(items) => list(items),
            Self::Map(items) => {
                let named = items.iter().enumerate();
                let members = named.map(|(index, item)| (key(index), item.json()));
                Value::Object(Map::from_iter(members))
            }
        }
    }
}

fn key(index: usize) -> String {
    format!("k{index}")
}

fn round_trip(choices: &mut Choices<'_>) {
    // Inside a list, because a tuple would be the arguments, and bytes alone are no JSON.
    let data = Model::List(vec![Model::choose(choices, 5)]);
    let expected = data.json();
    if expected.to_string().len() > LIMIT {
        return;
    }
    let mut message = b"\x93\xa1u\x82\xa4type\x02\xa4data\x92\xa1e".to_vec();
    pack(&data, &mut message);
    message.push(0x80);
    comes_back(Writer::Node, &message, &expected, choices.byte());
    let cut = choices.byte();
    let pickle = Pickler::pickle(&data, choices);
    comes_back(Writer::Python, &pickle, &expected, cut);
}

/// What was written means what it should, and is refused without its end.
fn comes_back(writer: Writer, message: &[u8], expected: &Value, cut: u8) {
    let part = message.len() * usize::from(cut) / 256;
    assert!(read(writer, "c", &message[..part], LIMIT).is_err());
    if message.len() > LIMIT {
        return;
    }
    let Ok(Message::Emit(emit)) = read(writer, "c", message, LIMIT) else {
        panic!("{writer:?} is not understood: {message:?}");
    };
    let Payload::Json(text) = &emit.payload else {
        panic!("a list is JSON");
    };
    judge(text);
    let found: Value = serde_json::from_str(text).expect("it is JSON");
    assert_eq!(&found, expected);
}

/// Writes pickles in all the ways in which picklers do.
struct Pickler<'a, 'b> {
    protocol: u8,
    /// How to write what can be written in several ways.
    choices: &'a mut Choices<'b>,
    out: Vec<u8>,
    /// What was remembered: the text, or nothing for all else.
    memo: Vec<Option<String>>,
}

impl<'a, 'b> Pickler<'a, 'b> {
    fn pickle(data: &Model, choices: &'a mut Choices<'b>) -> Vec<u8> {
        let protocol = choices.one_of(&[3, 4, 5]);
        let mut pickler = Self {
            protocol,
            choices,
            out: vec![0x80, protocol],
            memo: Vec::new(),
        };
        pickler.out.push(b'}');
        pickler.remember(None);
        pickler.out.push(b'(');
        for (name, value) in [("method", "emit"), ("event", "e")] {
            pickler.text(name);
            pickler.text(value);
        }
        pickler.text("data");
        pickler.value(data);
        pickler.out.extend(b"u.");
        pickler.out
    }

    fn remember(&mut self, text: Option<&str>) {
        let index = u32::try_from(self.memo.len()).expect("few are remembered");
        match self.choices.below(4) {
            0 if self.protocol < 4 => return,
            _ if self.protocol >= 4 => self.out.push(0x94),
            1 => {
                self.out.push(b'r');
                self.out.extend(index.to_le_bytes());
            }
            _ => match u8::try_from(index) {
                Ok(index) => self.out.extend([b'q', index]),
                Err(_) => return,
            },
        }
        self.memo.push(text.map(str::to_owned));
    }

    fn text(&mut self, text: &str) {
        let known = self.memo.iter();
        let known = known
            .map(Option::as_deref)
            .position(|known| known == Some(text));
        if let Some(index) = known {
            match u8::try_from(index) {
                Ok(index) => self.out.extend([b'h', index]),
                Err(_) => {
                    self.out.push(b'j');
                    self.out
                        .extend(u32::try_from(index).expect("few").to_le_bytes());
                }
            }
            return;
        }
        self.counted(text.as_bytes(), [0x8c, b'X', 0x8d]);
        self.remember(Some(text));
    }

    /// Bytes after their length in 1, 4 or 8 bytes, which one of `instructions` says.
    fn counted(&mut self, bytes: &[u8], instructions: [u8; 3]) {
        let short = u8::try_from(bytes.len()).ok();
        match (short, self.choices.below(4)) {
            (_, 0) => {
                self.out.push(instructions[2]);
                self.out.extend((bytes.len() as u64).to_le_bytes());
            }
            (Some(length), 1 | 2) => self.out.extend([instructions[0], length]),
            _ => {
                self.out.push(instructions[1]);
                let length = u32::try_from(bytes.len()).expect("it is short");
                self.out.extend(length.to_le_bytes());
            }
        }
        self.out.extend(bytes);
    }

    fn value(&mut self, value: &Model) {
        match value {
            Model::Null => self.out.push(b'N'),
            Model::Bool(value) => self.out.push(if *value { 0x88 } else { 0x89 }),
            Model::Integer(value) => self.integer(*value),
            Model::Float(value) => {
                self.out.push(b'G');
                self.out.extend(value.to_be_bytes());
            }
            Model::Text(value) => self.text(value),
            Model::Bytes(value) => {
                self.counted(value, [b'C', b'B', 0x8e]);
                self.remember(None);
            }
            Model::List(items) => {
                self.out.push(b']');
                self.remember(None);
                let named = items.iter().map(|item| (None, item));
                self.fill(named.collect(), *b"ae");
            }
            Model::Tuple(items) => {
                let is_short = items.len() < 4 && self.choices.one_in(2);
                if !is_short {
                    self.out.push(b'(');
                }
                items.iter().for_each(|item| self.value(item));
                self.out.push(match items.len() {
                    _ if !is_short => b't',
                    0 => b')',
                    short => 0x84 + u8::try_from(short).expect("it is short"),
                });
                self.remember(None);
            }
            Model::Map(items) => {
                self.out.push(b'}');
                self.remember(None);
                let named = items.iter().enumerate();
                let named = named.map(|(index, item)| (Some(key(index)), item));
                self.fill(named.collect(), *b"su");
            }
        }
    }

    /// What is in a list or a map: each by the first instruction, or all by the second.
    fn fill(&mut self, entries: Vec<(Option<String>, &Model)>, [each, all]: [u8; 2]) {
        let is_marked = self.choices.one_in(2);
        if is_marked {
            self.out.push(b'(');
        }
        for (name, item) in entries {
            if let Some(name) = name {
                self.text(&name);
            }
            self.value(item);
            if !is_marked {
                self.out.push(each);
            }
        }
        if is_marked {
            self.out.push(all);
        }
    }

    fn integer(&mut self, value: i64) {
        let style = self.choices.below(4);
        if let (Ok(small), 0) = (u8::try_from(value), style) {
            self.out.extend([b'K', small]);
        } else if let (Ok(small), 1) = (u16::try_from(value), style) {
            self.out.push(b'M');
            self.out.extend(small.to_le_bytes());
        } else if let (Ok(small), 2) = (i32::try_from(value), style) {
            self.out.push(b'J');
            self.out.extend(small.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(value.to_le_bytes());
        }
    }
}

/// Writes msgpack as notepack does.
fn pack(value: &Model, out: &mut Vec<u8>) {
    match value {
        Model::Null => out.push(0xc0),
        Model::Bool(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Model::Integer(value) => pack_integer(*value, out),
        Model::Float(value) => {
            out.push(0xcb);
            out.extend(value.to_be_bytes());
        }
        Model::Text(value) => {
            pack_length(value.len(), [0xa0, 0x20], [Some(0xd9), Some(0xda)], out);
            out.extend(value.as_bytes());
        }
        Model::Bytes(value) => {
            pack_length(value.len(), [0, 0], [Some(0xc4), Some(0xc5)], out);
            out.extend(value);
        }
        Model::List(items) | Model::Tuple(items) => {
            pack_length(items.len(), [0x90, 0x10], [None, Some(0xdc)], out);
            items.iter().for_each(|item| pack(item, out));
        }
        Model::Map(items) => {
            pack_length(items.len(), [0x80, 0x10], [None, Some(0xde)], out);
            for (index, item) in items.iter().enumerate() {
                pack(&Model::Text(key(index)), out);
                pack(item, out);
            }
        }
    }
}

/// A length in the first byte, if it is below the second of `fixed`, or in one or two bytes.
fn pack_length(length: usize, fixed: [u8; 2], wider: [Option<u8>; 2], out: &mut Vec<u8>) {
    match (u8::try_from(length), wider) {
        (Ok(length), _) if length < fixed[1] => out.push(fixed[0] | length),
        (Ok(length), [Some(first), _]) => out.extend([first, length]),
        (_, [_, first]) => {
            out.extend(first);
            let length = u16::try_from(length).expect("it is short");
            out.extend(length.to_be_bytes());
        }
    }
}

fn pack_integer(value: i64, out: &mut Vec<u8>) {
    if let Ok(value) = u8::try_from(value) {
        match value {
            0..0x80 => out.push(value),
            _ => out.extend([0xcc, value]),
        }
    } else if let Ok(value) = i8::try_from(value) {
        match value {
            -0x20.. => out.extend(value.to_be_bytes()),
            _ => out.extend([0xd0, value.cast_unsigned()]),
        }
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend(value.to_be_bytes());
    } else if let Ok(value) = u64::try_from(value) {
        out.push(0xcf);
        out.extend(value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend(value.to_be_bytes());
    }
}
