//! Every room's stream, and the lock under which its publications get their order.
//!
//! Publishing takes the locks of all rooms named, assigns the offsets, keeps the publication in
//! each stream and puts one piece of mail into the mailbox of every shard that has members; nothing
//! is encoded there. Joining notes the membership under the same lock, and reads there what the
//! member missed up to that position.
//!
//! Order of the locks: a stripe of the table, then rooms in byte order of their names, then one of
//! `left`, `rules`, `registered`, `rng`, `durable_epoch`, a room's options and the mailboxes, under
//! which no other is taken.
//!
//! Invariants: mail of one room enters each mailbox in the order of offsets; a room is in the table
//! from its first member or publication until it has neither members nor history and
//! [`Rooms::sweep`] or the want of a place for another room drops it.

mod durable;
#[cfg(any(test, feature = "testkit"))]
mod invariants;
mod locked;
mod presence;
mod projects;
mod reading;
mod releasing;
mod watch;

pub use presence::{Reading, Settled};
pub use reading::RoomTotals;
pub use watch::Watch;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};

use crate::base::clock::{Mono, Now, Wall};
use crate::base::locks::{lock, read, write};
use crate::base::rng::Rng;
use crate::bus::mail::Mail;
use crate::bus::mailbox::Mailbox;
use crate::bus::presence::{Changes, Entrant};
use crate::bus::room::{Missed, Room, RoomState, Wanted};
use crate::bus::rooms::locked::{Locked, lock_all};
use crate::config::{NamespaceOptions, Namespaces};
use crate::dialect::delivery::Delivery;
use crate::dialect::publication::{Placement, Publication};
use crate::domain::command::Publish;
use crate::domain::position::{Epoch, Position};
use crate::domain::room::RoomName;

/// Locks over the table of rooms; a power of two, so that threads seldom meet.
const STRIPES: usize = 64;

/// Rooms remembered as left; those beyond are dropped by age alone.
const LEFT: usize = 1024;

type Stripe = HashMap<RoomName, Arc<Room>>;

/// All rooms of the server.
pub struct Rooms {
    stripes: Vec<Mutex<Stripe>>,
    hasher: RandomState,
    count: AtomicUsize,
    /// Rooms that were seen with neither members nor history, each once, oldest first; at most
    /// [`LEFT`]. Locked after a room, never before one.
    left: Mutex<VecDeque<RoomName>>,
    rules: RwLock<Arc<Rules>>,
    /// The rooms of projects.
    registered: RwLock<HashSet<RoomName>>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    rng: Mutex<Rng>,
    /// The epoch of durable rooms of which nothing is stored.
    durable_epoch: Mutex<Option<Epoch>>,
    /// Publications so far, in all rooms; moves under the locks of a publication's rooms.
    sequence: AtomicU64,
    /// Members of the room `system`.
    listeners: AtomicUsize,
    /// Whether it retains anything.
    system_keeps: AtomicBool,
    watch: OnceLock<Watch>,
}

impl std::fmt::Debug for Rooms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rooms({})", self.count())
    }
}

/// What the configuration says of rooms.
#[derive(Debug)]
struct Rules {
    namespaces: Namespaces,
    /// Of registered projects' rooms.
    projects: Arc<NamespaceOptions>,
    rooms_max: Option<usize>,
}

impl Rules {
    fn new(namespaces: Namespaces, rooms_max: Option<usize>) -> Self {
        Self {
            projects: Arc::new(namespaces.of_projects()),
            namespaces,
            rooms_max,
        }
    }
}

/// Why a room cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomFault {
    /// `strict_rooms` is on and the namespace has no table in the config.
    #[error("no namespace \"{namespace}\" is configured; known are {known}")]
    UnknownNamespace {
        /// The namespace asked for.
        namespace: String,
        /// The configured ones.
        known: String,
    },
    /// The server has as many rooms as `limits.rooms` allows.
    #[error("the server has {limit} rooms, which is its limit (limits.rooms)")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A shard's mailbox is full: try again soon.
    #[error("the server is busy; try again in a second")]
    Busy,
}

impl RoomFault {
    /// The refusal of a room whose namespace is none of `namespaces`.
    #[must_use]
    pub fn unknown_namespace(room: &RoomName, namespaces: &Namespaces) -> Self {
        Self::UnknownNamespace {
            namespace: room.namespace().to_owned(),
            known: namespaces.names().collect::<Vec<_>>().join(", "),
        }
    }
}

/// A room joined, and where its stream stood at that moment.
#[derive(Debug)]
pub struct Joined {
    /// The room.
    pub room: Arc<Room>,
    /// What the member knows of the stream from its start.
    pub position: Position,
    /// A publication with a greater sequence is live for the new member.
    pub sequence: u64,
    /// What the member missed, if it asked and all of it is still in memory.
    pub missed: Missed,
    /// It is not, but the store may have all of it: what came after this offset.
    pub stored_after: Option<u64>,
}

impl Rooms {
    /// No rooms yet; `mailboxes` are the shards' in order.
    #[must_use]
    pub fn new(
        namespaces: Namespaces,
        rooms_max: Option<usize>,
        mailboxes: Arc<[Arc<Mailbox>]>,
        rng: Rng,
    ) -> Self {
        let rules = Rules::new(namespaces, rooms_max);
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(HashMap::new())).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            left: Mutex::default(),
            listeners: AtomicUsize::new(0),
            system_keeps: AtomicBool::new(presence::keeps_system(&rules)),
            rules: RwLock::new(Arc::new(rules)),
            registered: RwLock::default(),
            mailboxes,
            rng: Mutex::new(rng),
            durable_epoch: Mutex::default(),
            sequence: AtomicU64::new(0),
            watch: OnceLock::new(),
        }
    }

    /// Goes by other options from now on. Rooms that exist take theirs at once; one whose
    /// namespace is not known any more keeps what it has until it is dropped.
    pub fn reconfigure(&self, namespaces: Namespaces, rooms_max: Option<usize>) {
        let rules = Arc::new(Rules::new(namespaces, rooms_max));
        // Whoever makes a room reads the rules under its stripe, so none is missed below.
        *write(&self.rules) = Arc::clone(&rules);
        self.configure_system(&rules);
        for stripe in &self.stripes {
            for room in lock(stripe).values() {
                if let Some(options) = self.options_of(&room.name, &rules.namespaces) {
                    room.set_options(options);
                }
            }
        }
    }

    /// How many rooms exist.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether every mailbox takes mail; if not, publishing answers [`RoomFault::Busy`].
    #[must_use]
    pub fn has_room_for_mail(&self) -> bool {
        self.mailboxes.iter().all(|mailbox| mailbox.has_room())
    }

    /// Publishes to all rooms of `publish` at once.
    ///
    /// # Errors
    /// Nothing was published when it fails: an unknown namespace, too many rooms, or a full
    /// mailbox.
    pub fn publish(&self, publish: Publish, now: Now) -> Result<Arc<Publication>, RoomFault> {
        loop {
            let rooms = publish.rooms.iter().map(|name| self.find_or_make(name));
            let rooms = rooms.collect::<Result<Vec<_>, _>>()?;
            let mut locked = lock_all(&rooms);
            if locked.iter().any(|room| room.state.dropped) {
                continue;
            }
            let targets = self.targets(&locked);
            if !targets.iter().all(|mailbox| mailbox.has_room()) {
                return Err(RoomFault::Busy);
            }
            let uid = self.rng().next_u128();
            let entered = Entered { publish, uid };
            let publication = self.append(entered, &mut locked, now);
            push_to(targets, &publication);
            return Ok(publication);
        }
    }

    /// Puts a publication into the streams of its rooms.
    fn append(&self, entered: Entered, locked: &mut [Locked<'_>], now: Now) -> Arc<Publication> {
        let publication = Arc::new(self.number(entered, locked, now.wall));
        let bytes = publication.retained_bytes();
        for room in locked {
            let retention = room.room.retention(&room.options);
            let publication = Arc::clone(&publication);
            let stream = &mut room.state.stream;
            stream.append(publication, bytes, &retention, now.mono);
        }
        publication
    }

    /// The mailboxes of the shards that have members in some room.
    fn targets(&self, rooms: &[Locked<'_>]) -> Vec<&Arc<Mailbox>> {
        let has_members = |shard: usize| {
            let counts = rooms.iter().map(|room| room.state.members.get(shard));
            counts.flatten().any(|count| *count > 0)
        };
        let mailboxes = self.mailboxes.iter().enumerate();
        mailboxes
            .filter(|(shard, _)| has_members(*shard))
            .map(|(_, mailbox)| mailbox)
            .collect()
    }

    /// Gives what is published its places: a number among all publications, an offset in each room.
    fn number(&self, entered: Entered, rooms: &[Locked<'_>], now: Wall) -> Publication {
        let Entered { publish, uid } = entered;
        let placements = rooms.iter().map(|locked| Placement {
            room: locked.room.name.clone(),
            offset: locked.state.stream.next_offset(),
            epoch: *locked.state.stream.epoch(),
            slow_consumer: locked.options.slow_consumer,
        });
        Publication {
            event: publish.event,
            payload: publish.payload,
            source: publish.source,
            timestamp: now,
            uid,
            has_copies: rooms.len() > 1,
            placements: placements.collect(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            except: publish.except.into(),
        }
    }

    /// Makes `who` a member of a room, making the room if need be.
    ///
    /// # Errors
    /// An unknown namespace or too many rooms.
    pub fn join(
        &self,
        name: &RoomName,
        who: Entrant<'_>,
        wanted: Option<Wanted<'_>>,
        changes: &mut Changes,
        now: Mono,
    ) -> Result<Joined, RoomFault> {
        loop {
            let room = self.find_or_make(name)?;
            let mut state = room.state();
            if state.dropped {
                continue;
            }
            if let Some(count) = state.members.get_mut(who.shard.index()) {
                *count += 1;
            }
            state.unused_since = None;
            self.note_presence(&room, &mut state, who, true, changes);
            let position = state.position();
            let (missed, stored_after) = state.missed(wanted, &room, now);
            let sequence = self.sequence.load(Ordering::Relaxed);
            drop(state);
            return Ok(Joined {
                room,
                position,
                sequence,
                missed,
                stored_after,
            });
        }
    }

    /// What [`Rooms::join`] tells, for one who is a member already.
    pub fn look(&self, room: &Arc<Room>, wanted: Option<Wanted<'_>>, now: Mono) -> Joined {
        let mut state = room.state();
        let (missed, stored_after) = state.missed(wanted, room, now);
        Joined {
            room: Arc::clone(room),
            position: state.position(),
            sequence: self.sequence.load(Ordering::Relaxed),
            missed,
            stored_after,
        }
    }

    /// Takes `who` out of a room. The room stays until [`Rooms::sweep`] drops it.
    pub fn leave(&self, room: &Arc<Room>, who: Entrant<'_>, changes: &mut Changes) {
        let mut state = room.state();
        if let Some(count) = state.members.get_mut(who.shard.index()) {
            debug_assert!(*count > 0, "nobody leaves who did not join");
            *count = count.saturating_sub(1);
        }
        self.note_presence(room, &mut state, who, false, changes);
        if state.is_unused() {
            self.remember_left(room, &mut state);
        }
    }

    /// Notes that an unused room may make place for another.
    fn remember_left(&self, room: &Room, state: &mut RoomState) {
        let mut left = lock(&self.left);
        if !state.is_left && left.len() < LEFT {
            state.is_left = true;
            left.push_back(room.name.clone());
        }
    }

    /// Drops the unused rooms of one stripe (`turn` picks which): those that have had neither
    /// members nor history for as long as they would keep history. A member who lost its
    /// connection before the first publication finds the same stream when it comes back. Returns
    /// how many retained publications had aged out.
    pub fn sweep(&self, turn: usize, now: Mono) -> usize {
        let Some(stripe) = self.stripes.get(turn % STRIPES) else {
            return 0;
        };
        let rooms: Vec<Arc<Room>> = lock(stripe).values().cloned().collect();
        let mut expired = 0;
        for room in rooms {
            let retention = room.retention(&room.options());
            expired += room.state().stream.expire(&retention, now);
            self.age(&room, now);
        }
        expired
    }

    /// Drops a room that has been unused for long enough.
    fn age(&self, room: &Room, now: Mono) {
        let mut stripe = lock(self.stripe(&room.name));
        let mut state = room.state();
        if state.dropped || !state.is_unused() {
            state.unused_since = None;
            return;
        }
        self.remember_left(room, &mut state);
        let since = *state.unused_since.get_or_insert(now);
        if now.since(since) >= room.options().history_age {
            self.drop_room(&room.name, &mut state, &mut stripe);
        }
    }

    /// Counts a new room, or says what the limit is.
    fn count_one_more(&self) -> Result<(), usize> {
        let limit = self.rules().rooms_max.unwrap_or(usize::MAX);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < limit).then_some(count + 1)
            })
            .map(drop)
            .map_err(|_| limit)
    }

    /// Makes place when the server has as many rooms as it may: drops one that was left unused,
    /// however shortly. False if none is known.
    fn drop_one_left(&self) -> bool {
        let next = || lock(&self.left).pop_front();
        while let Some(name) = next() {
            let mut stripe = lock(self.stripe(&name));
            let Some(room) = stripe.get(&name).map(Arc::clone) else {
                continue;
            };
            let mut state = room.state();
            state.is_left = false;
            if state.is_unused() {
                self.drop_room(&name, &mut state, &mut stripe);
                return true;
            }
        }
        false
    }

    fn drop_room(&self, name: &RoomName, state: &mut RoomState, stripe: &mut Stripe) {
        state.dropped = true;
        stripe.remove(name);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn find(&self, name: &RoomName) -> Option<Arc<Room>> {
        lock(self.stripe(name)).get(name).cloned()
    }

    fn find_or_make(&self, name: &RoomName) -> Result<Arc<Room>, RoomFault> {
        let mut stripe = lock(self.stripe(name));
        if let Some(room) = stripe.get(name) {
            return Ok(Arc::clone(room));
        }
        let rules = self.rules();
        let Some(options) = self.options_of(name, &rules.namespaces) else {
            return Err(RoomFault::unknown_namespace(name, &rules.namespaces));
        };
        if self.is_registered(name) {
            // A project that is there has its room, whatever the limit says.
            self.count.fetch_add(1, Ordering::Relaxed);
        } else if let Err(limit) = self.count_one_more() {
            drop(stripe);
            if self.drop_one_left() {
                return self.find_or_make(name);
            }
            return Err(RoomFault::TooMany { limit });
        }
        let stored = options.durable.then(|| *lock(&self.durable_epoch));
        let stored = stored.flatten();
        let epoch = stored.unwrap_or_else(|| Epoch::random(&mut self.rng()));
        Ok(self.insert(name, options, epoch, &mut stripe))
    }

    fn insert(
        &self,
        name: &RoomName,
        options: Arc<NamespaceOptions>,
        epoch: Epoch,
        stripe: &mut Stripe,
    ) -> Arc<Room> {
        let shards = self.mailboxes.len();
        let room = Arc::new(Room::new(name.clone(), options, epoch, shards));
        stripe.insert(name.clone(), Arc::clone(&room));
        room
    }

    fn stripe(&self, name: &RoomName) -> &Mutex<Stripe> {
        let index = usize::try_from(self.hasher.hash_one(name) % STRIPES as u64).unwrap_or(0);
        &self.stripes[index]
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&read(&self.rules))
    }

    fn rng(&self) -> MutexGuard<'_, Rng> {
        lock(&self.rng)
    }
}

/// What is published, with the mark of its copies.
struct Entered {
    publish: Publish,
    uid: u128,
}

/// Puts one piece of mail into each of the mailboxes.
fn push_to(targets: Vec<&Arc<Mailbox>>, publication: &Arc<Publication>) {
    let delivery = Arc::new(Delivery::new(Arc::clone(publication)));
    for mailbox in targets {
        mailbox.push(Mail::Deliver(Arc::clone(&delivery)));
    }
}

#[cfg(test)]
mod tests;
