//! The transcripts of a document: fenced blocks, taken apart into steps.
//!
//! The syntax is described to readers at the top of `docs/protocol.md`. May not touch sockets.

use serde_json::Value;

const FENCE: &str = "```transcript";

/// One fenced block.
#[derive(Debug, Default)]
pub struct Transcript {
    /// File and line, for messages.
    pub place: String,
    /// Where the socket connects, with its query; without one there is no socket.
    pub path: Option<String>,
    /// The subprotocol that is offered and must be selected.
    pub protocol: Option<String>,
    /// Config keys that differ from their defaults.
    pub settings: Vec<(String, String)>,
    /// The server is in token mode.
    pub asks_for_tokens: bool,
    /// A program takes the place of the Claude CLI.
    pub needs_agent: bool,
    /// The user whose token the socket shows.
    pub user: Option<String>,
    /// The role of the token that requests carry.
    pub role: Option<String>,
    /// What happens, each with its line in the document.
    pub steps: Vec<(usize, Step)>,
}

/// One line of a transcript.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The client sends a text message.
    Send(String),
    /// The client sends a close frame.
    SendClose(u16),
    /// The server sends a message.
    Message(Value),
    /// The server sends a close frame.
    Close(u16),
    /// A request over another connection.
    Request(Request),
    /// The answer to the request before; null for one without a body.
    Answer(u16, Value),
}

/// An HTTP request.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Empty for none.
    pub body: String,
}

/// Every transcript of `text`, which stands in the file `path`.
///
/// # Errors
/// `file:line: fault` for what is none of the lines that a transcript may have.
pub fn transcripts(path: &str, text: &str) -> Result<Vec<Transcript>, String> {
    let mut found: Vec<Transcript> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let at = |fault: String| format!("{path}:{number}: {fault}");
        if let Some(attributes) = line.strip_prefix(FENCE) {
            found.push(opening(format!("{path}:{number}"), attributes).map_err(at)?);
            inside = true;
        } else if line.starts_with("```") {
            inside = false;
        } else if inside && !line.trim().is_empty() {
            let step = step(line).map_err(at)?;
            if let Some(transcript) = found.last_mut() {
                transcript.steps.push((number, step));
            }
        }
    }
    Ok(found)
}

fn opening(place: String, attributes: &str) -> Result<Transcript, String> {
    let mut transcript = Transcript {
        place,
        ..Transcript::default()
    };
    for attribute in attributes.split_whitespace() {
        match attribute.split_once('=') {
            Some(("path", path)) => transcript.path = Some(path.to_owned()),
            Some(("protocol", name)) => transcript.protocol = Some(name.to_owned()),
            Some(("mode", "token")) => transcript.asks_for_tokens = true,
            Some(("agent", "stand-in")) => transcript.needs_agent = true,
            Some(("user", user)) => transcript.user = Some(user.to_owned()),
            Some(("as", role)) => transcript.role = Some(role.to_owned()),
            Some(("set", setting)) => {
                let (key, value) = setting
                    .split_once('=')
                    .ok_or_else(|| format!("set={setting} has no value"))?;
                transcript.settings.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("{attribute} is no attribute of a transcript")),
        }
    }
    Ok(transcript)
}

fn step(line: &str) -> Result<Step, String> {
    let (who, what) = line
        .split_once(": ")
        .ok_or("a line begins with C:, S: or HTTP:")?;
    let code = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
    match (who, what.strip_prefix("close ")) {
        ("C", Some(text)) => Ok(Step::SendClose(code(text)?)),
        ("C", None) => Ok(Step::Send(what.to_owned())),
        ("S", Some(text)) => Ok(Step::Close(code(text)?)),
        ("S", None) => Ok(Step::Message(json(what)?)),
        ("HTTP", _) => exchange(what),
        _ => Err(format!("{who}: is not C:, S: or HTTP:")),
    }
}

fn exchange(what: &str) -> Result<Step, String> {
    let (first, rest) = what.split_once(' ').unwrap_or((what, ""));
    match first.parse() {
        Ok(status) if rest.is_empty() => return Ok(Step::Answer(status, Value::Null)),
        Ok(status) => return Ok(Step::Answer(status, json(rest)?)),
        Err(_) if rest.is_empty() => return Err("half of a line".to_owned()),
        Err(_) => {}
    }
    let (target, body) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(Step::Request(Request {
        method: first.to_owned(),
        target: target.to_owned(),
        body: body.to_owned(),
    }))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}
