//! One source file as tokens and paths, for the rules in `architecture.rs`.
//!
//! Not a Rust parser: it knows comments, strings, `use` trees and where the tests begin, which is
//! all the rules ask. May not touch the file system.

/// A source file of the package.
pub struct Source {
    /// Relative to the package, with `/`.
    pub path: String,
    pub text: String,
    /// The module, from the crate's root: `["wire", "websocket", "frame"]`; empty for `lib.rs`.
    pub module: Vec<String>,
    tokens: Vec<Token>,
    /// Index of the first token that belongs to the tests.
    tests: usize,
}

struct Token {
    line: usize,
    text: String,
}

/// A path as used somewhere: `["std", "net", "TcpStream"]`.
pub struct UsedPath {
    pub line: usize,
    pub segments: Vec<String>,
    pub in_test: bool,
    /// Named by a `use` declaration, where a crate can stand alone.
    pub in_use: bool,
}

impl UsedPath {
    /// Whether this path begins with `front`, whose last segment may end in `*`.
    pub fn starts_with(&self, front: &str) -> bool {
        let mut segments = self.segments.iter();
        // In an expression, a crate's name alone is a variable.
        let enough = self.in_use || self.segments.len() > 1;
        enough
            && front.split("::").all(|wanted| {
                let Some(segment) = segments.next() else {
                    return false;
                };
                match wanted.strip_suffix('*') {
                    Some(stem) => segment.starts_with(stem),
                    None => segment == wanted,
                }
            })
    }
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let path = path.replace('\\', "/");
        let stem = path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = stem
            .split('/')
            .filter(|part| !matches!(*part, "mod" | "lib" | "main" | "tests"))
            .map(str::to_owned)
            .collect();
        let tokens = tokens(text);
        // A file of tests is tests from its first line on.
        let tests = if stem.ends_with("/tests") || stem.ends_with("_tests") {
            0
        } else {
            tests_begin(&tokens)
        };
        Self {
            text: text.to_owned(),
            path,
            module,
            tokens,
            tests,
        }
    }

    /// Every path in the code, with the lists of `use` spelt out.
    pub fn paths(&self) -> Vec<UsedPath> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let before = found.len();
            let in_use = self.text_at(at) == "use";
            at += usize::from(in_use);
            at += usize::from(in_use && self.text_at(at) == "::");
            at = match self.text_at(at) {
                "{" if in_use => self.list_at(at + 1, &[], &mut found),
                word if is_word(word) => self.path_at(at, &[], &mut found),
                _ => at + 1,
            };
            found[before..]
                .iter_mut()
                .for_each(|used| used.in_use = in_use);
        }
        found
    }

    /// Reads the path that begins at `at` behind `front`; returns where it ends.
    fn path_at(&self, mut at: usize, front: &[String], found: &mut Vec<UsedPath>) -> usize {
        let line = self.tokens[at].line;
        let in_test = at >= self.tests;
        let mut segments = front.to_vec();
        while is_word(self.text_at(at)) {
            segments.push(self.text_at(at).to_owned());
            at += 1;
            if self.text_at(at) != "::" {
                break;
            }
            at += 1;
            if self.text_at(at) == "{" {
                return self.list_at(at + 1, &segments, found);
            }
        }
        found.push(UsedPath {
            line,
            segments,
            in_test,
            in_use: false,
        });
        at
    }

    /// Reads the list of paths that begins at `at`, up to its `}`.
    fn list_at(&self, mut at: usize, front: &[String], found: &mut Vec<UsedPath>) -> usize {
        loop {
            match self.text_at(at) {
                "" => return at,
                "}" => return at + 1,
                // `{a as b}`: the new name is no path.
                "as" => at += 2,
                word if is_word(word) => at = self.path_at(at, front, found),
                _ => at += 1,
            }
        }
    }

    /// The layer that `used` reaches into by `crate::` or `super::`, if it does.
    pub fn layer_of<'a>(&self, used: &'a UsedPath) -> Option<&'a str> {
        let mut segments = used.segments.iter().map(String::as_str).peekable();
        if segments.next_if_eq(&"crate").is_some() {
            return segments.next();
        }
        // The tests stand in a module of their own, one deeper.
        let mut depth = self.module.len() + usize::from(used.in_test);
        segments.next_if_eq(&"self");
        while segments.next_if_eq(&"super").is_some() {
            depth = depth.saturating_sub(1);
        }
        let climbed = used.segments.iter().any(|segment| segment == "super");
        if climbed && depth == 0 {
            segments.next()
        } else {
            None
        }
    }

    /// The lines where the tokens of `wanted` follow each other, and whether that is in the tests.
    pub fn lines_with<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = (usize, bool)> {
        let windows = self.tokens.windows(wanted.len()).enumerate();
        windows
            .filter(move |(_, window)| window.iter().map(|token| &token.text).eq(wanted))
            .map(|(at, window)| (window[0].line, at >= self.tests))
    }

    fn text_at(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Where `#[cfg(test)]` stands before a module; the tests are the last thing in a file.
fn tests_begin(tokens: &[Token]) -> usize {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    (0..texts.len())
        .filter(|at| texts[*at..].starts_with(&attribute))
        .find(|at| {
            // Other attributes may stand between; the next item decides.
            let items = ["mod", "fn", "use", "impl", "struct", "enum", "const", "let"];
            let mut rest = texts[at + attribute.len()..].iter();
            rest.find(|text| items.contains(text)) == Some(&"mod")
        })
        .unwrap_or(texts.len())
}

/// Words, `::` and single characters; comments, literals and white space are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let word = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let length = match word.unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                length => length,
            };
            tokens.push(Token {
                line,
                text: rest[..length].to_owned(),
            });
            length
        });
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// How much of the front of `rest` is a comment, a literal or white space, if it is one.
fn skipped(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let raw = rest[..prefix].ends_with('r');
    let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
    if prefix <= 2 && raw && rest[prefix + hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let body = prefix + hashes + 1;
        let end = rest[body..].find(&close);
        return Some(end.map_or(rest.len(), |end| body + end + close.len()));
    }
    if prefix <= 1 && rest[prefix..].starts_with('"') {
        return Some(prefix + quoted(&rest[prefix..], '"'));
    }
    // A character, and not a lifetime: its quote closes after one letter or an escape.
    let mut letters = rest[prefix..].chars();
    let quote = letters.next() == Some('\'');
    let escaped = letters.next() == Some('\\');
    if prefix <= 1 && quote && (escaped || letters.next() == Some('\'')) {
        return Some(prefix + quoted(&rest[prefix..], '\''));
    }
    None
}

/// The length of the literal at the front of `rest`, which opens and closes with `quote`.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at + letter.len_utf8();
        }
        escaped = letter == '\\' && !escaped;
    }
    rest.len()
}
