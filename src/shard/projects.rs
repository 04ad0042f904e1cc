//! The session's own project: the one that it joined last, which its commands mean when they name
//! none.
//!
//! Joining is membership of the project's room and no more: who has joined another one since stays
//! a member of the first, until it leaves or ends. Membership is taken first and the project is
//! looked at then. Whoever writes the store changes what is known of a project before it tells the
//! room, so what the reply says is never older than what the session hears behind it.

use std::sync::Arc;

use crate::app::chain;
use crate::app::commands::finish;
use crate::app::projects::no_project;
use crate::base::clock::Now;
use crate::base::ids::PeerId;
use crate::bus::job::Reply;
use crate::config::PublishPolicy;
use crate::dialect::native::decode::{CommandType, Correlation};
use crate::dialect::native::projects as spell;
use crate::domain::access::{self, Action, Caller};
use crate::domain::command::Command;
use crate::domain::fault::{Code, Fault};
use crate::domain::project::ProjectId;
use crate::domain::room::RoomName;
use crate::domain::run::PendingPermission;
use crate::domain::run_command::RunCommand;
use crate::shard::peer::{Peer, Session};
use crate::shard::{Hub, membership, websocket};

/// A command about projects and runs: settles which project it means; then joins, leaves, or has a
/// worker see to it.
pub(super) fn command(
    peer: &mut Peer,
    id: PeerId,
    kind: &'static CommandType,
    mut to: Correlation,
    mut command: RunCommand,
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    match command.resolve(own(session)) {
        Ok(Some(project)) => to.project_id = Some(project.to_string().into()),
        Ok(None) => {}
        Err(fault) => {
            let reply = finish(&to, Err(fault), hub.context(now));
            return websocket::reply(peer, id, &reply, hub, now);
        }
    }
    match command {
        RunCommand::Join(Some(project)) => join(peer, id, &to, project, hub, now),
        RunCommand::Leave(Some(project)) => leave(peer, id, &to, project, hub, now),
        other => websocket::offer_job(peer, id, kind.name, to, Command::Run(other), hub),
    }
}

fn join(
    peer: &mut Peer,
    id: PeerId,
    to: &Correlation,
    project: ProjectId,
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let names = hub.live.config.reply_names;
    let outcome = chain::guard("project_join", session.id, || {
        let room = project.room().ok_or_else(no_project)?;
        let (caller, policy) = (Caller::Session { is_member: false }, PublishPolicy::Grant);
        // Who may not listen learns nothing of what there is.
        access::check(&session.identity, caller, Action::Subscribe, &room, policy)?;
        hub.services
            .projects
            .project(project)
            .ok_or_else(no_project)?;
        membership::join(&room, None, session, id, hub, now.mono)?;
        let Some(known) = hub.services.projects.project(project) else {
            membership::leave(&room, session, hub);
            return Err(no_project());
        };
        session.asides.get_or_insert_default().project = Some(project);
        let (mut state, mut joined) = (Vec::new(), Vec::new());
        // The second one is the reply; whoever matches replies by their ids must not take the first
        // one for it.
        spell::state(&Correlation::default(), &known, now.wall, &mut state);
        spell::joined(to, &known, names, now.wall, &mut joined);
        Ok((state, joined))
    });
    match outcome {
        Ok((state, joined)) => {
            for json in [state, joined] {
                websocket::reply(peer, id, &Reply { json, error: None }, hub, now);
            }
        }
        Err(fault) => {
            let reply = finish(to, Err(fault), hub.context(now));
            websocket::reply(peer, id, &reply, hub, now);
        }
    }
}

fn leave(
    peer: &mut Peer,
    id: PeerId,
    to: &Correlation,
    project: ProjectId,
    hub: &mut Hub,
    now: Now,
) {
    let Some(session) = peer.open_session() else {
        return;
    };
    let names = hub.live.config.reply_names;
    let outcome = chain::guard("project_leave", session.id, || {
        let room = project.room();
        let room = room.ok_or_else(|| Fault::new(Code::InternalError, "a project has no room"))?;
        membership::leave(&room, session, hub);
        let mut json = Vec::new();
        spell::left(to, project, names, now.wall, &mut json);
        Ok(json)
    });
    let reply = finish(to, outcome, hub.context(now));
    websocket::reply(peer, id, &reply, hub, now);
}

/// The project that a session has joined last.
fn own(session: &Session) -> Option<ProjectId> {
    session.asides.as_ref()?.project
}

/// Notes that a session is no longer in a room: if it is its own project's, it has none.
pub(super) fn note_left(session: &mut Session, room: &RoomName) {
    if let Some(asides) = &mut session.asides
        && asides.project.is_some()
        && asides.project == ProjectId::of_room(room)
    {
        asides.project = None;
    }
}

/// What is to be told with a membership of this room: what the runs of its project, if it is one's,
/// ask permission for. Ask when the membership is taken.
pub(super) fn pending(room: &RoomName, hub: &Hub) -> Vec<Arc<PendingPermission>> {
    match ProjectId::of_room(room) {
        Some(project) => hub.services.projects.pending(project),
        None => Vec::new(),
    }
}
