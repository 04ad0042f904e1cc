//! Writes JSON objects member by member into a byte buffer.
//!
//! Publications and replies are written in a fixed member order with raw JSON (`data`) in the
//! middle; going through `serde_json::Value` would parse and re-spell what somebody else wrote.
//! Invariant: what is written is valid JSON if every `raw` value given is.

/// An object being written; [`Object::end`] closes it.
#[derive(Debug)]
#[must_use = "an object that is not ended lacks its closing brace"]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Writes a member whose value is the string `value`, escaped as needed.
    pub fn string(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        string(value, self.out);
        self
    }

    /// Writes a member whose value is an unsigned number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value;
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out
            .extend_from_slice(digits.get(at..).unwrap_or_default());
        self
    }

    /// Writes a member whose value is `true` or `false`.
    pub fn boolean(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Writes a member whose value is `json` as it stands, which must be valid JSON.
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// Writes a member whose value `write` appends; it must append exactly one JSON value.
    pub fn value(mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.name(name);
        write(self.out);
        self
    }

    /// Writes a string member if there is a value.
    pub fn string_if(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(name, value),
            None => self,
        }
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        string(name, self.out);
        self.out.push(b':');
    }
}

/// Writes an array with one value per item of `items`; `write` appends exactly one JSON value.
pub fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Writes `text` as a JSON string, escaped as needed.
pub fn string(text: &str, out: &mut Vec<u8>) {
    // Most strings here (types, rooms) need no escape; one scan and one copy serve them.
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to a Vec cannot fail and a str always has a JSON spelling.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_members_in_order_and_escapes_strings() {
        let mut out = Vec::new();
        Object::begin(&mut out)
            .string("a", "x\"\n\u{1}")
            .number("n", 9_007_199_254_740_991)
            .number("zero", 0)
            .boolean("t", true)
            .raw("r", "[1]")
            .string_if("none", None)
            .value("list", |out| {
                array(out, [1u8, 2], |out, n| out.push(b'0' + n));
            })
            .end();
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"a":"x\"\n\u0001","n":9007199254740991,"zero":0,"t":true,"r":[1],"list":[1,2]}"#
        );
    }
}
