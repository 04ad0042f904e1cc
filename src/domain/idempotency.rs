//! Answers that are remembered, so that a command sent twice is carried out once.
//!
//! The table only decides; who waits for a command in flight, and where a durable room keeps its
//! keys, is up to the caller. Invariant: keys are compared field by field and never joined into one
//! text, so no choice of owner and key can meet another's.

use std::net::IpAddr;
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use crate::base::clock::Mono;
use crate::base::limits::{IDEMPOTENCY_AGE, IDEMPOTENCY_KEY_BYTES};
use crate::domain::aged_map::AgedMap;

/// Aged entries forgotten per call: more than a call adds, few enough to keep it short.
const FORGOTTEN_PER_CALL: usize = 4;

/// Who sent a command, as far as its key is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The credential it came with, by a name that no other credential has.
    Credential(Arc<str>),
    /// In open mode, the address it came from.
    Address(IpAddr),
}

/// Where an idempotency key is valid: with its owner only.
// The key is private because its length is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    owner: Owner,
    key: Arc<str>,
}

impl Scope {
    /// The scope of `key`, which has 1 to 255 bytes.
    ///
    /// # Errors
    /// A [`KeyFault`] that says what was wrong with the key.
    pub fn new(owner: Owner, key: &str) -> Result<Self, KeyFault> {
        if key.is_empty() {
            return Err(KeyFault::Empty);
        }
        if key.len() > IDEMPOTENCY_KEY_BYTES {
            return Err(KeyFault::TooLong { bytes: key.len() });
        }
        let key = Arc::from(key);
        Ok(Self { owner, key })
    }

    /// Its owner as text, in which no two owners are alike.
    #[must_use]
    pub fn owner(&self) -> String {
        match &self.owner {
            Owner::Credential(name) => format!("credential {name}"),
            Owner::Address(address) => format!("address {address}"),
        }
    }

    /// The key as it was given.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Why a text is no idempotency key; the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The key has no bytes.
    #[error("an idempotency key is empty; it needs 1 to {IDEMPOTENCY_KEY_BYTES} bytes")]
    Empty,
    /// The key has too many bytes.
    #[error("an idempotency key has {bytes} bytes; it may have 1 to {IDEMPOTENCY_KEY_BYTES}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
}

/// What a command says, reduced to what can be compared: SHA-256.
pub type Fingerprint = [u8; 32];

/// The fingerprint of `parts`. Each is preceded by its length, so `["ab", "c"]` and `["a", "bc"]`
/// differ.
#[must_use]
pub fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

/// What to do with a command that carries a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin<A> {
    /// Carry it out, then call [`IdempotencyTable::finish`] or [`IdempotencyTable::abandon`].
    New,
    /// The first of this key is being carried out: wait for it, then begin again.
    InFlight,
    /// It was carried out before, and this was the answer.
    Repeat(A),
    /// The key was used for another command: refuse with IDEMPOTENCY_MISMATCH.
    Mismatch,
}

/// The answers of the last five minutes by scope, at most `capacity` of them.
#[derive(Debug)]
pub struct IdempotencyTable<A> {
    commands: AgedMap<Scope, Command<A>>,
    capacity: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Command<A> {
    fingerprint: Fingerprint,
    /// When it began or, once it is there, when its answer came.
    at: Mono,
    answer: Option<A>,
}

impl<A: Clone> IdempotencyTable<A> {
    /// An empty table for `capacity` keys; 0 is no limit, as in the config.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            commands: AgedMap::default(),
            capacity,
            evicted: 0,
        }
    }

    /// Decides about a command that carries a key, and notes it as being carried out if it is new.
    pub fn begin(&mut self, scope: &Scope, fingerprint: &Fingerprint, now: Mono) -> Begin<A> {
        self.forget_aged(now);
        let begin = self.recall(scope, fingerprint, now);
        if matches!(begin, Begin::New) {
            self.remember(scope, fingerprint, None, now);
        }
        begin
    }

    /// Says what [`IdempotencyTable::begin`] would, and notes nothing.
    #[must_use]
    pub fn recall(&self, scope: &Scope, fingerprint: &Fingerprint, now: Mono) -> Begin<A> {
        match self.commands.get(scope) {
            Some(command) if !command.is_aged(now) => {
                if command.fingerprint != *fingerprint {
                    return Begin::Mismatch;
                }
                match &command.answer {
                    Some(answer) => Begin::Repeat(answer.clone()),
                    None => Begin::InFlight,
                }
            }
            Some(_) | None => Begin::New,
        }
    }

    /// Remembers the answer of a command that was carried out, for five minutes from `now`.
    pub fn finish(&mut self, scope: &Scope, fingerprint: &Fingerprint, answer: A, now: Mono) {
        self.remember(scope, fingerprint, Some(answer), now);
    }

    /// Forgets a command that was begun and not carried out, so that it can be sent again.
    pub fn abandon(&mut self, scope: &Scope) {
        let in_flight = |command: &Command<A>| command.answer.is_none();
        if self.commands.get(scope).is_some_and(in_flight) {
            self.commands.remove(scope);
        }
    }

    /// Forgets what is older than five minutes, all of it, and gives its memory back. What is younger
    /// stays: it is promised.
    pub fn release(&mut self, now: Mono) {
        while self
            .commands
            .oldest()
            .is_some_and(|command| command.is_aged(now))
        {
            self.commands.pop_oldest();
        }
        self.commands.shrink();
    }

    /// How many keys were dropped before their time since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.len() == 0
    }

    fn remember(&mut self, scope: &Scope, of: &Fingerprint, answer: Option<A>, now: Mono) {
        let command = Command {
            fingerprint: *of,
            at: now,
            answer,
        };
        self.commands.insert(scope, command);
        if self.capacity > 0 && self.commands.len() > self.capacity {
            let oldest = self.commands.pop_oldest();
            self.evicted += u64::from(oldest.is_some_and(|command| !command.is_aged(now)));
        }
    }

    fn forget_aged(&mut self, now: Mono) {
        for _ in 0..FORGOTTEN_PER_CALL {
            match self.commands.oldest() {
                Some(command) if command.is_aged(now) => self.commands.pop_oldest(),
                Some(_) | None => return,
            };
        }
    }
}

impl<A> Command<A> {
    fn is_aged(&self, now: Mono) -> bool {
        now.since(self.at) >= IDEMPOTENCY_AGE
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Mono = Mono::from_nanos(1);

    fn scope(owner: &str, key: &str) -> Scope {
        Scope::new(Owner::Credential(owner.into()), key).unwrap()
    }

    #[test]
    fn carries_out_once_and_answers_again() {
        let mut table = IdempotencyTable::new(10);
        let (scope, body) = (scope("a", "k"), fingerprint(&[b"body"]));
        assert_eq!(table.begin(&scope, &body, START), Begin::New);
        assert_eq!(table.begin(&scope, &body, START), Begin::InFlight);
        table.finish(&scope, &body, "answer", START);
        assert_eq!(table.begin(&scope, &body, START), Begin::Repeat("answer"));
        let other = fingerprint(&[b"other"]);
        assert_eq!(table.begin(&scope, &other, START), Begin::Mismatch);
        table.abandon(&scope);
        assert_eq!(table.begin(&scope, &body, START), Begin::Repeat("answer"));
    }

    #[test]
    fn an_abandoned_command_may_be_sent_again_with_another_body() {
        let mut table = IdempotencyTable::<()>::new(10);
        let scope = scope("a", "k");
        let (first, second) = (fingerprint(&[b"1"]), fingerprint(&[b"2"]));
        assert_eq!(table.begin(&scope, &first, START), Begin::New);
        assert_eq!(table.begin(&scope, &second, START), Begin::Mismatch);
        table.abandon(&scope);
        assert!(table.is_empty());
        assert_eq!(table.begin(&scope, &second, START), Begin::New);
    }

    #[test]
    fn forgets_five_minutes_after_the_answer() {
        let mut table = IdempotencyTable::new(10);
        let (scope, body) = (scope("a", "k"), fingerprint(&[]));
        assert_eq!(table.begin(&scope, &body, START), Begin::New);
        let answered = START + Duration::from_secs(60);
        table.finish(&scope, &body, 1, answered);
        let last = answered + IDEMPOTENCY_AGE - Duration::from_nanos(1);
        assert_eq!(table.begin(&scope, &body, last), Begin::Repeat(1));
        let after = answered + IDEMPOTENCY_AGE;
        assert_eq!(table.begin(&scope, &body, after), Begin::New);
        assert_eq!(table.take_evicted(), 0);
    }

    #[test]
    fn an_aged_answer_is_not_given_though_many_aged_ones_stand_before_it() {
        let mut table = IdempotencyTable::new(0);
        let body = fingerprint(&[]);
        for n in 0..=FORGOTTEN_PER_CALL {
            table.finish(&scope("a", &n.to_string()), &body, (), START);
        }
        let last = scope("a", &FORGOTTEN_PER_CALL.to_string());
        let begun = table.begin(&last, &body, START + IDEMPOTENCY_AGE);
        assert_eq!((begun, table.len()), (Begin::New, 1));
    }

    #[test]
    fn releasing_forgets_what_is_aged_and_nothing_else() {
        let mut table = IdempotencyTable::new(0);
        let body = fingerprint(&[]);
        for n in 0..100 {
            table.finish(&scope("a", &n.to_string()), &body, n, START);
        }
        let later = START + Duration::from_secs(1);
        table.finish(&scope("b", "k"), &body, 7, later);
        table.release(START + IDEMPOTENCY_AGE);
        assert_eq!(table.len(), 1);
        assert_eq!(
            table.begin(&scope("b", "k"), &body, later),
            Begin::Repeat(7)
        );
    }

    #[test]
    fn drops_and_counts_the_oldest_when_full() {
        let mut table = IdempotencyTable::new(3);
        let body = fingerprint(&[]);
        let scopes: Vec<Scope> = (0..5).map(|n| scope("a", &n.to_string())).collect();
        for scope in &scopes {
            assert_eq!(table.begin(scope, &body, START), Begin::New);
            table.finish(scope, &body, (), START);
        }
        assert_eq!((table.len(), table.take_evicted()), (3, 2));
        assert_eq!(table.take_evicted(), 0);
        assert_eq!(table.begin(&scopes[4], &body, START), Begin::Repeat(()));
        assert_eq!(table.begin(&scopes[0], &body, START), Begin::New);
        // What has aged out is forgotten, not evicted.
        let later = START + IDEMPOTENCY_AGE;
        assert_eq!(table.begin(&scopes[1], &body, later), Begin::New);
        assert_eq!((table.len(), table.take_evicted()), (1, 1));
    }

    #[test]
    fn scopes_never_meet() {
        let address = |ip: &str| Owner::Address(ip.parse().unwrap());
        let scopes = [
            scope("a", "b:c"),
            scope("a:b", "c"),
            scope("a_b", "c"),
            scope("a", "b_c"),
            scope("a", "b\0c"),
            scope("127.0.0.1", "k"),
            Scope::new(address("127.0.0.1"), "k").unwrap(),
            Scope::new(address("::1"), "k").unwrap(),
        ];
        let mut table = IdempotencyTable::new(0);
        for (n, scope) in scopes.iter().enumerate() {
            let body = fingerprint(&[&[u8::try_from(n).unwrap()]]);
            assert_eq!(table.begin(scope, &body, START), Begin::New, "{scope:?}");
            table.finish(scope, &body, n, START);
        }
        assert_eq!(table.len(), scopes.len());
    }

    #[test]
    fn fingerprints_keep_the_borders_of_their_parts() {
        let parts: [&[&[u8]]; 6] = [
            &[],
            &[b""],
            &[b"", b""],
            &[b"abc"],
            &[b"ab", b"c"],
            &[b"a", b"bc"],
        ];
        for (i, a) in parts.iter().enumerate() {
            for (j, b) in parts.iter().enumerate() {
                assert_eq!(fingerprint(a) == fingerprint(b), i == j, "{i} {j}");
            }
        }
    }

    #[test]
    fn bounds_the_key() {
        let check = |key: &str, expected: Option<KeyFault>| {
            let owner = Owner::Credential("a".into());
            assert_eq!(Scope::new(owner, key).err(), expected);
        };
        check("k", None);
        check(&"k".repeat(255), None);
        check("", Some(KeyFault::Empty));
        check(&"k".repeat(256), Some(KeyFault::TooLong { bytes: 256 }));
    }
}
