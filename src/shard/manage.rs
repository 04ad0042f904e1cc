//! What an operator sees of this shard's sessions and does with them.
//!
//! Sessions are looked for among all peers: operators ask seldom, and an index by user would cost
//! every session memory.

use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::bus::mail::{Manage, Managed, SessionPage, SessionSummary, Who};
use crate::metrics::names::Counter;
use crate::shard::peer::{Peer, Session};
use crate::shard::{Shard, membership, session};

impl Shard {
    /// A page of the sessions here.
    pub(super) fn sessions(&self, page: &SessionPage) -> Vec<SessionSummary> {
        let mut found: Vec<(&Peer, &Session)> = self
            .peers
            .iter()
            .filter_map(|(_, peer)| Some((peer, session_of(peer)?)))
            .filter(|(_, session)| page.after.is_none_or(|after| session.id > after))
            .filter(|(_, session)| is_of(session, page.user.as_deref()))
            .collect();
        if found.len() > page.limit {
            found.select_nth_unstable_by_key(page.limit, |(_, session)| session.id);
            found.truncate(page.limit);
        }
        let summaries = found.into_iter().map(|(peer, session)| SessionSummary {
            id: session.id,
            user: session.identity.user_id().map(|user| user.as_str().into()),
            expires: session.identity.expires(),
            address: peer.address,
            connected_at: session.connected_at,
            dialect: session.dialect,
            rooms: session
                .memberships
                .iter()
                .filter_map(|membership| self.hub.rooms.room(*membership))
                .map(|room| room.name.clone())
                .collect(),
            channels: session
                .asides
                .as_ref()
                .map_or_else(Vec::new, |asides| asides.channels.clone()),
        });
        summaries.collect()
    }

    /// Does something with the sessions that are meant.
    pub(super) fn manage(&mut self, who: &Who, what: &Manage, now: Now) -> Managed {
        let meant = |session: &Session| match who {
            Who::Session(id) => session.id == *id,
            Who::User(user) => is_of(session, Some(user)),
        };
        let ids: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| session_of(peer).is_some_and(meant))
            .map(|(id, _)| id)
            .collect();
        let mut managed = Managed::default();
        for id in ids {
            let is_done = self.on_peer(id, false, |peer, hub| {
                let is_done = match what {
                    Manage::Disconnect { code, reason } => {
                        hub.counters.increment(Counter::SessionsDisconnected);
                        session::close(peer, id, *code, reason, hub, now);
                        true
                    }
                    Manage::Subscribe(room) => membership::put_in(peer, id, room, hub, now),
                    Manage::Unsubscribe(room) => membership::take_out(peer, id, room, hub, now),
                };
                hub.touch(peer, id);
                hub.arm(peer, id);
                is_done
            });
            match (is_done, what) {
                (true, _) => managed.done += 1,
                (false, Manage::Subscribe(_)) => managed.refused += 1,
                // It was not in there, or is gone.
                (false, Manage::Unsubscribe(_) | Manage::Disconnect { .. }) => {}
            }
        }
        managed
    }
}

/// The session on a peer while both sides are open.
fn session_of(peer: &Peer) -> Option<&Session> {
    peer.session().filter(|_| peer.has_open_session())
}

fn is_of(session: &Session, user: Option<&str>) -> bool {
    user.is_none_or(|user| {
        let id = session.identity.user_id();
        id.is_some_and(|id| id.as_str() == user)
    })
}
