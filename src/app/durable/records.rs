//! What follows for [`Projects`](crate::app::projects::Projects) when a record was written, or was
//! not.

use crate::app::durable::clerk::Ruling;
use crate::app::services::Context;
use crate::app::statistics::note_record;
use crate::bus::execution::Record;
use crate::bus::order::Step;
use crate::store::commit::Done;

/// Notes what is on disk now of projects, runs and pending permissions.
pub(super) fn note(step: &Step, ruling: &Ruling, context: Context<'_>) {
    let services = context.services;
    match (step, ruling) {
        (Step::Record(record), Ruling::Done(Done::Recorded(offset), _)) => {
            note_record(record, *offset, context);
        }
        (Step::Record(Record::Project(project)), Ruling::Refused(_)) => {
            // It was to be a project's room and is none.
            if services.projects.project(project.id).is_none()
                && let Some(room) = project.id.room()
            {
                let fresh = services.rooms.random_epoch();
                services.rooms.unregister(&room, fresh);
            }
        }
        _ => {}
    }
}
