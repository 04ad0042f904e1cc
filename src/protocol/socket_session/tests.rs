//! Sessions as scripts: what a client says, and what it means.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::base::rng::Rng;

const PLACE: &str = r#"{"_placeholder":true,"num":0}"#;

fn rules() -> Rules {
    Rules {
        namespaces: ["/", "/ws", "/custom"].map(Arc::from).into(),
        connect_timeout: Duration::from_secs(1),
        attachment_timeout: Duration::from_millis(500),
        packet_bytes: 200,
    }
}

const fn at(millis: u64) -> Mono {
    Mono::from_nanos(millis * 1_000_000)
}

/// What happens to a session.
#[derive(Clone, Copy, Debug)]
enum In<'a> {
    Say(&'a str),
    Bytes(&'a [u8]),
    Accept(&'a str),
    Refuse(&'a str),
    PutOut(&'a str),
    Ask(&'a str),
    Time(u64),
}

fn step_text(step: &Step<'_>) -> String {
    match step {
        Step::Nothing => String::new(),
        Step::Connect { namespace, auth } => {
            format!("connect {namespace} {}", auth.as_deref().unwrap_or("-"))
        }
        Step::UnknownNamespace(name) => format!("unknown {name}"),
        Step::Event {
            namespace,
            id,
            payload,
            attachments,
        } => {
            let (name, arguments) = (payload.name(), payload.arguments());
            let attachments = attachments.len();
            format!("event {namespace} {id:?} {name}({arguments}) +{attachments}")
        }
        Step::Acknowledged {
            namespace,
            id,
            payload,
            attachments,
        } => {
            let attachments = attachments.len();
            format!("ack {namespace} {id} ({}) +{attachments}", payload.inside())
        }
        Step::Left(namespace) => format!("left {namespace}"),
    }
}

/// A session at a moment.
struct World {
    session: SocketSession,
    rules: Rules,
    now: Mono,
}

impl World {
    fn new() -> Self {
        let rules = rules();
        Self {
            session: SocketSession::new(&rules, at(0)),
            rules,
            now: at(0),
        }
    }

    /// One that is in `/` and `/ws`.
    fn connected() -> Self {
        let mut world = Self::new();
        for (say, namespace) in [("0", "/"), ("0/ws,", "/ws")] {
            world.say(In::Say(say));
            assert!(world.session.connected(namespace));
        }
        world
    }

    fn say(&mut self, input: In<'_>) -> String {
        let (session, rules, now) = (&mut self.session, &self.rules, self.now);
        let found = match input {
            In::Say(text) => session.text(text, rules, now),
            In::Bytes(bytes) => session.binary(Cow::Borrowed(bytes), rules, now),
            In::Accept(namespace) => return session.connected(namespace).to_string(),
            In::Refuse(namespace) => return session.refused(namespace).to_string(),
            In::PutOut(namespace) => {
                return session.disconnect(namespace, rules, now).to_string();
            }
            In::Ask(namespace) => return format!("{:?}", session.ask(namespace)),
            In::Time(millis) => {
                self.now = at(millis);
                session.timeout(self.now).map(|()| Step::Nothing)
            }
        };
        match found {
            Ok(step) => step_text(&step),
            Err(fault) => format!("fault {fault:?}"),
        }
    }
}

fn check(mut world: World, script: &[(In<'_>, &str)]) {
    for (number, (input, expected)) in script.iter().enumerate() {
        assert_eq!(world.say(*input), *expected, "line {number}: {input:?}");
    }
}

#[test]
fn a_client_is_let_into_the_namespaces_it_asks_for() {
    check(
        World::new(),
        &[
            (In::Say("0"), "connect / -"),
            (In::Accept("/"), "true"),
            (In::Accept("/"), "false"),
            (
                In::Say(r#"0/ws,{"token":"a"}"#),
                r#"connect /ws {"token":"a"}"#,
            ),
            (In::Refuse("/ws"), "true"),
            (In::Refuse("/ws"), "false"),
            (In::Say("0/ws"), "connect /ws -"),
            (In::Accept("/ws"), "true"),
            (In::Say(r#"2/ws,7["a",1]"#), "event /ws Some(7) a(1) +0"),
            (In::Say(r#"2["b"]"#), "event / None b() +0"),
        ],
    );
}

#[test]
fn an_unknown_namespace_is_told_so_and_the_session_stays() {
    check(
        World::connected(),
        &[
            (In::Say("0/random"), "unknown /random"),
            (In::Say("0/WS,"), "unknown /WS"),
            (In::Say(r#"2["b"]"#), "event / None b() +0"),
            (In::Say(r#"2/random,["b"]"#), "fault NotConnected"),
        ],
    );
}

#[test]
fn nothing_comes_before_connect_and_connect_comes_once() {
    for say in [r#"2["a"]"#, "31[]", "1", r#"2/ws,["a"]"#] {
        check(World::new(), &[(In::Say(say), "fault NotConnected")]);
        let asked = [
            (In::Say("0"), "connect / -"),
            (In::Say(r#"2["a"]"#), "fault NotConnected"),
        ];
        check(World::new(), &asked);
    }
    let twice = "fault AlreadyConnected";
    check(World::connected(), &[(In::Say("0/ws,"), twice)]);
    check(
        World::new(),
        &[(In::Say("0"), "connect / -"), (In::Say("0"), twice)],
    );
    check(World::connected(), &[(In::Say("4{}"), "fault FromServer")]);
    check(
        World::connected(),
        &[(In::Say("abc"), "fault Packet(UnknownType)")],
    );
}

#[test]
fn a_client_may_leave_and_come_back() {
    check(
        World::connected(),
        &[
            (In::Say("1/ws,"), "left /ws"),
            (In::Say(r#"2["a"]"#), "event / None a() +0"),
            (In::Say("0/ws,"), "connect /ws -"),
            (In::Say("1/ws,"), "left /ws"),
            (In::Accept("/ws"), "false"),
            (In::Say(r#"2/ws,["a"]"#), "fault NotConnected"),
        ],
    );
}

#[test]
fn what_was_on_its_way_when_we_put_a_client_out_is_dropped() {
    check(
        World::connected(),
        &[
            (In::PutOut("/ws"), "true"),
            (In::PutOut("/ws"), "false"),
            (In::Say(r#"2/ws,["a"]"#), ""),
            (In::Say("3/ws,1[]"), ""),
            (In::Say("0/ws,"), "connect /ws -"),
            (In::Accept("/ws"), "true"),
            (In::PutOut("/ws"), "true"),
            (In::Say("1/ws,"), ""),
            (In::Say("1/ws,"), "fault NotConnected"),
        ],
    );
}

#[test]
fn a_session_in_no_namespace_has_a_deadline() {
    let fault = "fault ConnectTimeout";
    check(
        World::new(),
        &[(In::Time(999), ""), (In::Time(1000), fault)],
    );
    check(
        World::new(),
        &[
            (In::Say("0"), "connect / -"),
            (In::Refuse("/"), "true"),
            (In::Say("0/random,"), "unknown /random"),
            (In::Time(1000), fault),
        ],
    );
    check(
        World::connected(),
        &[
            (In::Time(5000), ""),
            (In::Say("1"), "left /"),
            (In::Time(7000), ""),
            (In::PutOut("/ws"), "true"),
            (In::Time(7999), ""),
            (In::Time(8000), fault),
        ],
    );
    assert_eq!(World::new().session.deadline(), Some(at(1000)));
    assert_eq!(World::connected().session.deadline(), None);
}

#[test]
fn attachments_come_behind_their_packet_in_time() {
    let event = format!(r#"51-/ws,3["a",{PLACE}]"#);
    let expected = format!("event /ws Some(3) a({PLACE}) +1");
    check(
        World::connected(),
        &[
            (In::Say(&event), ""),
            (In::Time(499), ""),
            (In::Bytes(&[1, 2]), &expected),
            (In::Time(5000), ""),
            (In::Bytes(&[1]), "fault Packet(AttachmentUnexpected)"),
        ],
    );
    check(
        World::connected(),
        &[
            (In::Say(&event), ""),
            (In::Time(500), "fault Packet(AttachmentTimeout)"),
        ],
    );
    check(
        World::connected(),
        &[
            (In::Say(&event), ""),
            (In::Say(r#"2["a"]"#), "fault Packet(AttachmentMissing)"),
        ],
    );
    check(
        World::connected(),
        &[
            (In::Say(&event), ""),
            (In::Bytes(&[0; 200]), "fault Packet(TooBig { limit: 200 })"),
        ],
    );
    // A client that is in no namespace is told so when its packet is whole.
    check(
        World::new(),
        &[
            (In::Say(&event), ""),
            (In::Bytes(&[]), "fault NotConnected"),
        ],
    );
}

#[test]
fn acknowledgements_are_taken_once_and_only_if_they_were_asked_for() {
    let binary = format!("61-2[{PLACE}]");
    let acked = format!("ack / 2 ({PLACE}) +1");
    check(
        World::connected(),
        &[
            (In::Ask("/ws"), "Some(1)"),
            (In::Ask("/"), "Some(2)"),
            (In::Ask("/custom"), "None"),
            (In::Say("31[]"), ""),
            (In::Say("3/ws,1[true]"), "ack /ws 1 (true) +0"),
            (In::Say("3/ws,1[true]"), ""),
            (In::Say(&binary), ""),
            (In::Bytes(&[9]), &acked),
            (In::Ask("/ws"), "Some(3)"),
            (In::Say("1/ws,"), "left /ws"),
            (In::Say("0/ws,"), "connect /ws -"),
            (In::Accept("/ws"), "true"),
            (In::Say("3/ws,3[]"), ""),
        ],
    );
    let mut world = World::connected();
    for id in 1..=200 {
        assert_eq!(world.session.ask("/"), Some(id));
    }
    assert_eq!(world.say(In::Say("3136[]")), "");
    assert_eq!(world.say(In::Say("3137[]")), "ack / 137 () +0");
}

#[test]
fn a_session_stays_small() {
    let bytes = size_of::<SocketSession>();
    assert!(bytes <= 88, "{bytes}");
}

#[test]
fn whatever_a_client_says_what_is_held_is_bounded() {
    const SAID: [&str; 14] = [
        "0",
        "0/ws,",
        "0/custom",
        "0/x",
        "1",
        "1/ws,",
        "2[\"a\"]",
        "2/ws,[\"a\"]",
        "31[]",
        "3/ws,2[]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "4{}",
        "",
        "2",
    ];
    for seed in 0..2000 {
        let mut rng = Rng::from_seed(seed);
        let mut world = World::new();
        for millis in 0..60 {
            let name = ["/", "/ws", "/custom"][usize::try_from(rng.below(3)).unwrap()];
            let input = match rng.below(9) {
                0..=2 => In::Say(SAID[usize::try_from(rng.below(14)).unwrap()]),
                3 => In::Bytes(&[1]),
                4..=5 => In::Accept(name),
                6 => In::PutOut(name),
                7 => In::Ask(name),
                _ => In::Time(millis * 20),
            };
            let before: Vec<Arc<str>> = world.session.namespaces().cloned().collect();
            let said = world.say(input);
            if said.starts_with("fault") {
                break;
            }
            if let Some(event) = said.strip_prefix("event ") {
                let namespace = event.split(' ').next().unwrap();
                assert!(
                    before.iter().any(|name| &**name == namespace),
                    "seed {seed}"
                );
            }
            let session = &world.session;
            assert!(session.places.len() <= world.rules.namespaces.len());
            let is_in = session.namespaces().next().is_some();
            assert_eq!(
                session.connect_due.is_none(),
                is_in,
                "seed {seed} {input:?}"
            );
        }
    }
}
