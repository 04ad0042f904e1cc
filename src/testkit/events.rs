//! What a browser makes of an event stream: a reader of its own, written from the HTML Standard
//! (section 9.2.6), so that it shares no mistake with what is tested.

#![allow(clippy::expect_used)]

use serde_json::Value;

/// An event that was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `lastEventId`.
    pub id: String,
    /// The type; `message` unless the stream says otherwise.
    pub name: String,
    /// The data.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data is JSON")
    }
}

/// One stream, with the head of its answer.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The head of the answer, once it is whole.
    pub head: Option<String>,
    /// The last event id, which a client shows when it comes back.
    pub last_id: String,
    /// The time before it does, in milliseconds.
    pub retry: Option<u64>,
    /// Comments so far.
    pub comments: Vec<String>,
    unread: Vec<u8>,
    id: String,
    name: String,
    data: String,
}

impl EventReader {
    /// Reads on; returns the events that are complete.
    ///
    /// # Panics
    /// If the stream is not UTF-8.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.unread.extend_from_slice(bytes);
        if self.head.is_none() {
            let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") else {
                return Vec::new();
            };
            let rest = self.unread.split_off(end + 4);
            let head = std::mem::replace(&mut self.unread, rest);
            self.head = Some(String::from_utf8(head).expect("a head is text"));
        }
        let mut events = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', &self.unread) {
            let rest = self.unread.split_off(end + 1);
            let line = std::mem::replace(&mut self.unread, rest);
            let line = String::from_utf8(line).expect("lines are text");
            events.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments.push(value.to_owned()),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "retry" => self.retry = value.parse().ok(),
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.id);
        let (mut data, name) = (
            std::mem::take(&mut self.data),
            std::mem::take(&mut self.name),
        );
        if data.is_empty() {
            return None;
        }
        data.pop();
        let name = if name.is_empty() {
            "message".to_owned()
        } else {
            name
        };
        let id = self.last_id.clone();
        Some(Event { id, name, data })
    }
}
