//! What the clients of a simulation send: commands in frames, requests over HTTP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testkit::operations::{API_KEY, Command, Framing, Manner, Request, Since};
use crate::testkit::simulation::expected::{Asked, Awaited};
use crate::testkit::simulation::ledger::{Ledger, text};
use crate::testkit::simulation::person::Person;
use crate::testkit::simulation::{Caller, Keyed, MASK, Simulation};
use crate::testkit::world::{Answer, HOST, World};
use crate::wire::http::client::encode_request;
use crate::wire::websocket::frame::{Opcode, masked_frame};

/// Sooner than an idempotency key is forgotten.
const REPEATED_WITHIN: Duration = Duration::from_secs(4 * 60);

impl Simulation {
    pub(super) fn say(&mut self, index: usize, command: Command, framing: Framing) {
        match command {
            Command::Subscribe(rooms, since) => self.subscribe(index, &rooms, since, framing),
            Command::Unsubscribe(rooms) => {
                let asked = rooms.iter().map(|room| Asked::Unsubscribe(room)).collect();
                let command = json!({"type": "unsubscribe", "rooms": rooms});
                self.command(index, command, asked, framing);
            }
            Command::Publish {
                rooms,
                times,
                filling,
                manner,
            } => {
                for _ in 0..times {
                    self.publish(index, &rooms, filling, manner, framing);
                }
            }
            Command::PublishAgain => self.publish_again(index, framing),
            Command::History {
                room,
                limit,
                reverse,
            } => {
                let command =
                    json!({"type": "history", "room": room, "limit": limit, "reverse": reverse});
                let asked = Asked::History {
                    room,
                    limit,
                    reverse,
                };
                self.command(index, command, vec![asked], framing);
            }
            Command::Ping => {
                self.command(index, json!({"type": "ping"}), vec![Asked::Ping], framing);
            }
        }
    }

    fn subscribe(&mut self, index: usize, rooms: &[&'static str], since: Since, framing: Framing) {
        let place = match (since, rooms) {
            (Since::Now, _) | (Since::Left, []) => None,
            (Since::Beginning, _) => Some((json!(0), 0)),
            (Since::Left, [first, ..]) => {
                let left = self.people[index].left.get(*first);
                left.map(|(epoch, offset)| (json!({"epoch": epoch, "offset": offset}), *offset))
            }
        };
        let mut command = json!({"type": "subscribe", "rooms": rooms});
        if let Some((since, _)) = &place {
            command["since"] = since.clone();
        }
        let since = place.map(|(_, offset)| offset);
        let asked = rooms.iter().map(|room| Asked::Subscribe { room, since });
        self.command(index, command, asked.collect(), framing);
    }

    fn publish(
        &mut self,
        index: usize,
        rooms: &[&'static str],
        filling: u8,
        manner: Manner,
        framing: Framing,
    ) {
        let number = self.ledger.next_number();
        let mut command = publication(number, rooms, filling);
        command["type"] = json!("publish");
        let session = self.people[index].session.clone();
        let rooms = rooms.to_vec();
        let mut is_quiet = false;
        match (manner, session) {
            (Manner::Plain, _) | (Manner::Quiet, None) => {}
            (Manner::Quiet, Some(session)) => {
                is_quiet = true;
                command["except"] = json!(session);
            }
            (Manner::Keyed, _) => {
                command["key"] = json!(format!("key {number}"));
                self.keyed = Some(Keyed {
                    number,
                    command: command.clone(),
                    rooms: rooms.clone(),
                    owner: self.people[index].owner.clone(),
                    at: self.world.now().mono,
                });
            }
        }
        let asked = Asked::Publish {
            number,
            is_quiet,
            rooms,
        };
        self.command(index, command, vec![asked], framing);
    }

    fn publish_again(&mut self, index: usize, framing: Framing) {
        let now = self.world.now().mono;
        let owner = &self.people[index].owner;
        let may_repeat =
            |keyed: &&Keyed| now.since(keyed.at) < REPEATED_WITHIN && keyed.owner == *owner;
        let Some(keyed) = self.keyed.as_ref().filter(may_repeat) else {
            return;
        };
        self.repeated.insert(keyed.number);
        let asked = Asked::Publish {
            number: keyed.number,
            is_quiet: false,
            rooms: keyed.rooms.clone(),
        };
        self.command(index, keyed.command.clone(), vec![asked], framing);
    }

    /// Sends `command`, which is answered once for each of `asked`.
    fn command(&mut self, index: usize, mut command: Value, asked: Vec<Asked>, framing: Framing) {
        self.last_id += 1;
        let id = self.last_id;
        command["id"] = json!(id);
        let person = &mut self.people[index];
        let awaited = asked.into_iter().map(|asked| Awaited { id, asked });
        person.awaited.extend(awaited);
        person.send_message(&mut self.world, command.to_string().as_bytes(), framing);
    }

    pub(super) fn request(&mut self, request: Request) {
        let client = self.world.open();
        let number = self.ledger.next_number();
        let request_of = |method: &str, target: &str, body: &str| {
            let headers = [("X-API-Key", API_KEY)];
            encode_request(method, target, HOST, &headers, body.as_bytes())
        };
        let history = |room: &str| format!("/api/v1/rooms/{room}/history");
        let bytes = match &request {
            Request::Publish(rooms) => {
                let body = publication(number, rooms, 9).to_string();
                request_of("POST", "/api/v1/publish", &body)
            }
            Request::History(room) => request_of("GET", &history(room), ""),
            Request::Clear(room) => {
                self.cleared.insert(*room);
                request_of("DELETE", &history(room), "")
            }
            Request::Nameless => encode_request("GET", &history("a"), HOST, &[], b""),
            Request::Garbage(bytes) => bytes.clone(),
        };
        self.world.client(client).send(&bytes);
        self.callers.push(Caller {
            client,
            request: Some(request),
            number,
        });
    }
}

impl Person {
    /// Sends one message.
    fn send_message(&mut self, world: &mut World, payload: &[u8], framing: Framing) {
        let halves = payload.split_at(payload.len() / 2);
        match framing {
            Framing::Text => self.send(world, &masked_frame(Opcode::Text, payload, MASK)),
            Framing::Binary => self.send(world, &masked_frame(Opcode::Binary, payload, MASK)),
            Framing::Fragments => {
                let mut frames = masked_frame(Opcode::Text, halves.0, MASK);
                // Without FIN.
                frames[0] &= 0x7f;
                frames.extend(masked_frame(Opcode::Continuation, halves.1, MASK));
                self.send(world, &frames);
            }
            Framing::Halted => {
                let mut frame = masked_frame(Opcode::Text, payload, MASK);
                let unsent = frame.split_off(frame.len() / 2);
                self.send(world, &frame);
                self.unsent = unsent;
                self.was_halted = true;
                self.may_answer(world, false);
            }
        }
    }

    /// Sends a message in one frame.
    pub(super) fn send_text(&mut self, world: &mut World, message: &Value) {
        self.send_message(world, message.to_string().as_bytes(), Framing::Text);
    }

    /// Sends bytes, after what it still owes of an earlier message.
    pub(super) fn send(&mut self, world: &mut World, bytes: &[u8]) {
        let client = world.client(self.client);
        client.send(&std::mem::take(&mut self.unsent));
        client.send(bytes);
        self.may_answer(world, true);
    }

    /// Within a frame it cannot send another of its own accord.
    fn may_answer(&self, world: &mut World, may: bool) {
        let client = world.client(self.client);
        client.answers_pings = may;
        client.answers_close = may;
    }
}

/// A publication's members but for its type.
fn publication(number: u64, rooms: &[&str], filling: u8) -> Value {
    let data = json!([number, "x".repeat(usize::from(filling))]);
    match rooms {
        [room] => json!({"room": room, "event": "said", "data": data}),
        rooms => json!({"rooms": rooms, "event": "said", "data": data}),
    }
}

/// Expects that `answer` is one to `request`, which published `number` if it did; `is_open` if
/// nobody needs a credential.
pub(super) fn answered(
    request: &Request,
    number: u64,
    answer: &Answer,
    is_open: bool,
    ledger: &mut Ledger,
) {
    if matches!(request, Request::Garbage(_)) {
        assert!((400..600).contains(&answer.status), "{answer:?}");
        return;
    }
    let is_nameless = *request == Request::Nameless && !is_open;
    match answer.status {
        200 => assert!(!is_nameless, "{answer:?}"),
        401 => return assert!(is_nameless, "{answer:?}"),
        // Too many rooms, too late, a full mailbox or a drain, no such room.
        404 | 408 | 429 | 503 => {
            if matches!(request, Request::Publish(_)) {
                ledger.refuse(number);
            }
            return;
        }
        _ => panic!("{request:?}: {answer:?}"),
    }
    let body: Value = serde_json::from_str(&answer.body).expect("an answer is JSON");
    match request {
        Request::Publish(_) => drop(ledger.accept(number, &body["results"])),
        Request::History(room) => {
            let epoch = text(&body, "epoch");
            ledger.tell_page(room, epoch, &body["publications"]);
        }
        Request::Clear(_) | Request::Nameless | Request::Garbage(_) => {}
    }
}
