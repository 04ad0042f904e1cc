//! A connection to Redis that listens.
//!
//! May not touch: what messages mean. Invariants: every wait has an end, but for the resolution of
//! names, which the system does as it likes; nothing that is told of a fault holds a password.

use std::fmt;
use std::time::Duration;

use redis::{
    Client, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Msg, PubSub,
    RedisError, Value,
};

use crate::backplane::emitter::Writer;

/// How long Redis may take to let us in, and to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Where a Redis is, and how to get in.
#[derive(Clone, Debug)]
pub struct Target(ConnectionInfo);

/// What went wrong between Redis and us.
#[derive(Debug, thiserror::Error)]
// Quotation marks would end the quotation that the log puts it in.
#[error("{}", .0.to_string().replace('"', ""))]
pub struct LinkFault(#[from] RedisError);

impl Target {
    /// Takes a URL: `redis://` or `rediss://`, with a user, a password, a port and a database if
    /// need be.
    ///
    /// # Errors
    /// What is wrong with the URL, which is not repeated.
    pub fn parse(url: &str) -> Result<Self, LinkFault> {
        Ok(Self(url.into_connection_info()?))
    }

    /// Connects, and says who we are.
    fn connect(&self) -> Result<Connection, LinkFault> {
        let client = Client::open(self.0.clone())?;
        Ok(client.get_connection_with_timeout(ANSWER)?)
    }

    /// Whether there is a Redis that lets us in and answers.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), LinkFault> {
        let mut connection = self.connect()?;
        connection.set_read_timeout(Some(ANSWER))?;
        redis::cmd("PING").query::<Value>(&mut connection)?;
        Ok(())
    }
}

/// The host and port, without what lets us in.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                write!(f, "{host}:{port}")
            }
            other => other.fmt(f),
        }
    }
}

/// A connection.
pub struct Link(Connection);

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn open(target: &Target) -> Result<Self, LinkFault> {
        let connection = target.connect()?;
        connection.set_write_timeout(Some(ANSWER))?;
        Ok(Self(connection))
    }

    /// Listens to each of `channels`: to itself, where python-socketio publishes, and to what
    /// begins with it and `#`, where Node's emitters do. [`Listener::hear`] waits `wait` at most.
    ///
    /// # Errors
    /// When the connection does not stand.
    pub fn listen(
        &mut self,
        channels: &[String],
        wait: Duration,
    ) -> Result<Listener<'_>, LinkFault> {
        self.0.set_read_timeout(Some(ANSWER))?;
        let mut messages = self.0.as_pubsub();
        for channel in channels {
            messages.subscribe(channel)?;
            messages.psubscribe(prefixed(channel))?;
        }
        messages.set_read_timeout(Some(wait))?;
        Ok(Listener { messages, wait })
    }
}

/// The pattern of the channels that begin with `name` and `#`.
fn prefixed(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "#*"
}

/// A connection that listens.
pub struct Listener<'a> {
    messages: PubSub<'a>,
    wait: Duration,
}

impl Listener<'_> {
    /// The next message; `None` if none came.
    ///
    /// # Errors
    /// When the connection does not stand any more.
    pub fn hear(&mut self) -> Result<Option<Heard>, LinkFault> {
        match self.messages.get_message() {
            Ok(message) => Ok(Some(Heard(message))),
            Err(fault) if fault.is_timeout() => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Has Redis show that it is there.
    ///
    /// # Errors
    /// When it does not.
    pub fn ping(&mut self) -> Result<(), LinkFault> {
        self.messages.set_read_timeout(Some(ANSWER))?;
        self.messages.ping::<Value>()?;
        self.messages.set_read_timeout(Some(self.wait))?;
        Ok(())
    }
}

/// A message.
pub struct Heard(Msg);

impl Heard {
    /// Whose channel it came in.
    #[must_use]
    pub fn writer(&self) -> Writer {
        match self.0.from_pattern() {
            true => Writer::Node,
            false => Writer::Python,
        }
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.0.get_channel_name()
    }

    /// What was published there.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.get_payload_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::config::{Flags, Sources, load, no_files};

    const WAIT: Duration = Duration::from_millis(20);

    /// A Redis that answers `serve` says what; gives its target.
    fn redis(serve: impl FnOnce(Script) + Send + 'static) -> (Target, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://user:geheim@{}/0", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            serve(Script(BufReader::new(stream)));
        });
        (Target::parse(&url).unwrap(), thread)
    }

    struct Script(BufReader<TcpStream>);

    impl Script {
        /// Reads one command; `None` when the peer is gone.
        fn command(&mut self) -> Option<Vec<String>> {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            let count: usize = line.strip_prefix('*')?.trim_end().parse().ok()?;
            let word = |_| {
                let mut line = String::new();
                self.0.read_line(&mut line).ok()?;
                let length: usize = line.strip_prefix('$')?.trim_end().parse().ok()?;
                let mut word = vec![0; length + 2];
                self.0.read_exact(&mut word).ok()?;
                word.truncate(length);
                String::from_utf8(word).ok()
            };
            (0..count).map(word).collect()
        }

        fn say(&mut self, text: &str) {
            self.0.get_mut().write_all(text.as_bytes()).unwrap();
        }

        /// Lets the peer in and has it subscribe; gives what it subscribed to.
        fn let_in(&mut self, subscriptions: usize) -> Vec<String> {
            let mut names = Vec::new();
            while names.len() < subscriptions {
                let command = self.command().unwrap();
                match command[0].as_str() {
                    "SUBSCRIBE" | "PSUBSCRIBE" => {
                        let kind = command[0].to_lowercase();
                        let name = &command[1];
                        let lengths = (kind.len(), name.len());
                        self.say(&format!(
                            "*3\r\n${}\r\n{kind}\r\n${}\r\n{name}\r\n:1\r\n",
                            lengths.0, lengths.1
                        ));
                        names.push(name.clone());
                    }
                    _ => self.say("+OK\r\n"),
                }
            }
            names
        }
    }

    #[test]
    fn a_message_that_comes_in_pieces_with_pauses_is_whole() {
        let (target, server) = redis(|mut script| {
            script.let_in(2);
            let message = "*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$2\r\nhi\r\n";
            for piece in message.as_bytes().chunks(3) {
                script.0.get_mut().write_all(piece).unwrap();
                // Longer than the listener waits, so that it is in the middle of it.
                thread::sleep(WAIT + WAIT / 2);
            }
            while script.command().is_some() {}
        });
        let mut link = Link::open(&target).unwrap();
        let mut listener = link.listen(&["socketio".to_owned()], WAIT).unwrap();
        let mut pauses = 0;
        let heard = loop {
            match listener.hear().unwrap() {
                Some(heard) => break heard,
                None => pauses += 1,
            }
        };
        assert!(pauses > 5, "{pauses}");
        assert_eq!((heard.channel(), heard.bytes()), ("socketio", &b"hi"[..]));
        assert_eq!(heard.writer(), Writer::Python);
        drop(listener);
        drop(link);
        server.join().unwrap();
    }

    #[test]
    fn a_name_is_a_channel_and_the_beginning_of_others() {
        let (target, server) = redis(|mut script| {
            let names = script.let_in(4);
            assert_eq!(names, ["a*b", "a\\*b#*", "c", "c#*"]);
            script.say("*4\r\n$8\r\npmessage\r\n$3\r\nc#*\r\n$6\r\nc#/#r#\r\n$1\r\nx\r\n");
            assert_eq!(script.command().unwrap(), ["PING"]);
            script.say("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        });
        let mut link = Link::open(&target).unwrap();
        let channels = ["a*b".to_owned(), "c".to_owned()];
        let mut listener = link.listen(&channels, ANSWER).unwrap();
        let heard = listener.hear().unwrap().unwrap();
        assert_eq!((heard.channel(), heard.writer()), ("c#/#r#", Writer::Node));
        listener.ping().unwrap();
        assert!(listener.hear().is_err(), "the server is gone");
        server.join().unwrap();
    }

    #[test]
    fn a_configured_url_is_a_target() {
        for (url, shown) in [
            ("redis://localhost", "localhost:6379"),
            ("redis://127.0.0.1:1/", "127.0.0.1:1"),
            (
                "rediss://user:geheim@redis.example/15",
                "redis.example:6379",
            ),
            ("redis://:geheim%2F%23@[::1]:6380", "::1:6380"),
        ] {
            let text = format!("emitters.redis_url = {url:?}");
            let sources = Sources {
                file: Some(("kinglet.toml", &text)),
                environment: &[],
                flags: &Flags::default(),
                files: no_files,
            };
            let (config, _) = load(&sources).unwrap();
            let target = Target::parse(config.emitters.url().unwrap()).unwrap();
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn nothing_that_is_told_holds_the_password() {
        let (target, server) = redis(|mut script| {
            script.command().unwrap();
            script.say("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
            while script.command().is_some() {
                script.say("-NOAUTH Authentication required.\r\n");
            }
        });
        let fault = target.check().unwrap_err().to_string();
        for told in [fault, format!("{target}"), format!("{target:?}")] {
            assert!(!told.contains("geheim"), "{told}");
        }
        server.join().unwrap();
        let fault = Target::parse("redis://user:geheim@:1:2/0").unwrap_err();
        assert!(!fault.to_string().contains("geheim"), "{fault}");
    }
}
