//! Values as pickles and msgpack describe them, kept flat: what is shared stays shared.
//!
//! A pickle may name the same list a thousand times, each of which names another one a thousand
//! times. So values refer to each other by number and are never copied; what is written of them is
//! bounded in depth and in bytes, and with that the work is. Invariant: a document has at most
//! [`VALUES`] values, each of them at most 64 bytes here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::backplane::emitter::fault::EmitterFault;
use crate::base::clock::Wall;
use crate::base::limits;
use crate::domain::command::Payload;
use crate::wire::json::object;

/// Values that one message may have.
pub const VALUES: usize = 1 << 18;

/// One value, or the number of what holds several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// None, nil.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Another number, or none.
    Float(f64),
    /// A point in time.
    Time(Wall),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// What holds several values.
    Node(Id),
}

/// The number of a [`Node`] in its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(usize);

/// What holds several values.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// A list.
    List(Vec<Item<'a>>),
    /// A tuple: a list whose length means something.
    Tuple(Vec<Item<'a>>),
    /// Values by key.
    Map(Vec<(Item<'a>, Item<'a>)>),
}

/// The values of one message.
#[derive(Debug, Default)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
    /// How many values were counted.
    values: usize,
    root: Option<Item<'a>>,
}

impl<'a> Document<'a> {
    /// Counts one more value.
    ///
    /// # Errors
    /// [`EmitterFault::TooMany`].
    pub fn count(&mut self) -> Result<(), EmitterFault> {
        self.values += 1;
        match self.values {
            0..=VALUES => Ok(()),
            _ => Err(EmitterFault::TooMany),
        }
    }

    /// Takes what holds several values, which may get more of them later.
    pub fn add(&mut self, node: Node<'a>) -> Item<'a> {
        self.nodes.push(node);
        Item::Node(Id(self.nodes.len() - 1))
    }

    /// What `item` holds, if it holds several values.
    #[must_use]
    pub fn node(&self, item: Item<'a>) -> Option<&Node<'a>> {
        match item {
            Item::Node(Id(at)) => self.nodes.get(at),
            _ => None,
        }
    }

    /// The same, to be given more.
    pub fn node_mut(&mut self, item: Item<'a>) -> Option<&mut Node<'a>> {
        match item {
            Item::Node(Id(at)) => self.nodes.get_mut(at),
            _ => None,
        }
    }

    /// The value that is the whole.
    #[must_use]
    pub fn root(&self) -> Item<'a> {
        self.root.unwrap_or(Item::Null)
    }

    /// The same, whose whole is this value.
    #[must_use]
    pub fn rooted(mut self, root: Item<'a>) -> Self {
        self.root = Some(root);
        self
    }

    /// The value under a key of a map; null if it is none, or has no such key.
    #[must_use]
    pub fn member(&self, map: Item<'a>, key: &str) -> Item<'a> {
        let Some(Node::Map(entries)) = self.node(map) else {
            return Item::Null;
        };
        let found = entries
            .iter()
            .rfind(|(name, _)| matches!(name, Item::Text(name) if *name == key));
        found.map_or(Item::Null, |(_, value)| *value)
    }

    /// The values of a list or tuple; `None` if it is neither.
    #[must_use]
    pub fn items(&self, item: Item<'a>) -> Option<&[Item<'a>]> {
        match self.node(item)? {
            Node::List(items) | Node::Tuple(items) => Some(items),
            Node::Map(_) => None,
        }
    }

    /// The names in a value that is a text, a number, or a list of these; none in null.
    ///
    /// # Errors
    /// [`EmitterFault::Shape`], saying `wrong`.
    pub fn names(&self, item: Item<'a>, wrong: &'static str) -> Result<Vec<String>, EmitterFault> {
        let name = |item: &Item<'a>| match item {
            Item::Text(text) => Ok((*text).to_owned()),
            Item::Integer(number) => Ok(number.to_string()),
            _ => Err(EmitterFault::Shape(wrong)),
        };
        match (item, self.items(item)) {
            (Item::Null, _) => Ok(Vec::new()),
            (_, Some(items)) if items.len() > limits::ROOMS_PER_PUBLISH => Err(
                EmitterFault::Shape("it names more than 100 rooms or sessions"),
            ),
            (_, Some(items)) => items.iter().map(name).collect(),
            (item, None) => name(&item).map(|name| vec![name]),
        }
    }

    /// Appends `item` as JSON on one line: bytes as `{"base64":"…"}`, points in time as RFC 3339,
    /// numbers that are none as null, keys as Python's `json` spells those that are no text.
    ///
    /// # Errors
    /// [`EmitterFault::TooDeep`], which values that hold themselves are, too;
    /// [`EmitterFault::TooLarge`] when `out` gets longer than `limit`; [`EmitterFault::Shape`] for a
    /// key that JSON has no spelling for.
    pub fn write(
        &self,
        item: Item<'a>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EmitterFault> {
        self.write_within(item, limits::JSON_DEPTH, limit, out)
    }

    /// What a publication of these arguments carries: nothing is null, one is itself, several are a
    /// list.
    ///
    /// # Errors
    /// As [`Document::write`].
    pub fn payload(&self, arguments: &[Item<'a>], limit: usize) -> Result<Payload, EmitterFault> {
        let mut out = Vec::new();
        match arguments {
            [] => return Ok(Payload::Json("null".into())),
            [Item::Bytes(bytes)] => return Ok(Payload::Bytes(Bytes::copy_from_slice(bytes))),
            [one] => self.write(*one, limit, &mut out)?,
            several => self.write_list(several, limits::JSON_DEPTH - 1, limit, &mut out)?,
        }
        // Everything written is made of text.
        let text = String::from_utf8(out).unwrap_or_default();
        Ok(Payload::Json(text.into()))
    }

    fn write_within(
        &self,
        item: Item<'a>,
        depth: usize,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EmitterFault> {
        if out.len() > limit {
            return Err(EmitterFault::TooLarge { limit });
        }
        match item {
            Item::Null | Item::Bool(_) | Item::Integer(_) | Item::Float(_) => scalar(item, out),
            Item::Time(time) => object::string(&time.to_rfc3339(), out),
            Item::Text(text) => object::string(text, out),
            Item::Bytes(_) if depth == 0 => return Err(EmitterFault::TooDeep),
            Item::Bytes(bytes) => write_bytes(bytes, out),
            Item::Node(_) => {
                let depth = depth.checked_sub(1).ok_or(EmitterFault::TooDeep)?;
                self.write_node(item, depth, limit, out)?;
            }
        }
        match out.len() {
            length if length > limit => Err(EmitterFault::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    fn write_node(
        &self,
        item: Item<'a>,
        depth: usize,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EmitterFault> {
        match self.node(item) {
            Some(Node::List(items) | Node::Tuple(items)) => {
                self.write_list(items, depth, limit, out)?;
            }
            Some(Node::Map(entries)) => {
                out.push(b'{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_key(*key, out)?;
                    out.push(b':');
                    self.write_within(*value, depth, limit, out)?;
                }
                out.push(b'}');
            }
            None => out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    fn write_list(
        &self,
        items: &[Item<'a>],
        depth: usize,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EmitterFault> {
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write_within(*item, depth, limit, out)?;
        }
        out.push(b']');
        Ok(())
    }
}

/// Appends bytes as every JSON dialect spells them.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    object::Object::begin(out)
        .string("base64", &STANDARD.encode(bytes))
        .end();
}

fn write_key(key: Item<'_>, out: &mut Vec<u8>) -> Result<(), EmitterFault> {
    match key {
        Item::Text(text) => object::string(text, out),
        Item::Null | Item::Bool(_) | Item::Integer(_) | Item::Float(_) => {
            out.push(b'"');
            scalar(key, out);
            out.push(b'"');
        }
        Item::Time(_) | Item::Bytes(_) | Item::Node(_) => {
            return Err(EmitterFault::Shape(
                "a key in its data is neither a text nor a number",
            ));
        }
    }
    Ok(())
}

fn scalar(item: Item<'_>, out: &mut Vec<u8>) {
    let written = match item {
        Item::Bool(value) => serde_json::to_writer(out, &value),
        Item::Integer(value) => serde_json::to_writer(out, &value),
        Item::Float(value) => serde_json::to_writer(out, &value),
        Item::Null | Item::Time(_) | Item::Text(_) | Item::Bytes(_) | Item::Node(_) => {
            serde_json::to_writer(out, &())
        }
    };
    debug_assert!(written.is_ok(), "a Vec takes every byte");
}
