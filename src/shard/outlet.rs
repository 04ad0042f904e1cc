//! The way of publications to one open session: what they are spelt as, and the outbox they go to.
//!
//! The one place that knows that some sessions get WebSocket frames, others lines of an event
//! stream or packets of Socket.IO. Invariant: what is queued is shared with all others of the same [`Form`], but for the
//! few bytes that say how far a stream of several rooms has got.

use std::sync::Arc;

use crate::dialect::Dialect;
use crate::dialect::delivery::{Delivery, Wording};
use crate::dialect::events::{EventForm, Track};
use crate::dialect::frame::Frame;
use crate::dialect::publication::{Publication, RoomSet};
use crate::dialect::socket_io::encode::PacketForm;
use crate::shard::compression::{Compressing, Party};
use crate::shard::engine::recovery::Recovery;
use crate::shard::outbox::{Keep, Outbox};
use crate::wire::websocket::extension::Agreement;

/// An open session's outbox with what is needed to fill it.
#[derive(Debug)]
pub(super) struct Outlet<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) spelling: Spelling<'a>,
}

/// How one session is spelt to.
#[derive(Debug)]
pub(super) enum Spelling<'a> {
    /// In frames, compressed as was agreed on.
    Frames(Party),
    /// In lines of an event stream.
    Lines(&'a mut Track),
    /// In packets of Socket.IO, which may be kept for a client that comes back.
    Packets(PacketForm, Option<&'a mut Recovery>),
}

/// What sessions have in common that share the bytes of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Frame(Wording, Option<Agreement>),
    Lines(EventForm),
    Packets(PacketForm),
}

impl Outlet<'_> {
    /// The form of a publication for a session of this dialect.
    #[inline]
    pub(super) fn form(&self, delivery: &Delivery, dialect: &Dialect) -> Form {
        match &self.spelling {
            Spelling::Frames(party) => Form::Frame(delivery.wording(dialect), party.agreement),
            Spelling::Lines(track) => Form::Lines(track.form()),
            Spelling::Packets(form, _) => Form::Packets(*form),
        }
    }

    /// Bytes at most that queueing `frame` takes.
    pub(super) fn bytes(&self, frame: &Frame) -> usize {
        let mark = match &self.spelling {
            Spelling::Frames(_) | Spelling::Packets(..) => 0,
            Spelling::Lines(track) => track.mark_bytes(),
        };
        frame.bytes().len() + mark
    }

    /// Queues a publication that the session hears in the rooms of `set`; `frame` is that of
    /// [`Form::frame`].
    pub(super) fn push(
        &mut self,
        publication: &Publication,
        set: RoomSet,
        frame: Arc<Frame>,
        keep: Keep,
        compressing: &mut Compressing,
    ) {
        match &mut self.spelling {
            // Nothing to be looked up: the hot path.
            Spelling::Frames(Party {
                agreement: None, ..
            }) => self.outbox.push_shared(frame, keep),
            Spelling::Frames(to) => compressing.push_shared(self.outbox, *to, frame, keep),
            Spelling::Packets(_, None) => self.outbox.push_shared(frame, keep),
            Spelling::Packets(_, Some(recovery)) => {
                recovery.ring.push(&frame);
                if !recovery.is_detached {
                    self.outbox.push_shared(frame, keep);
                }
            }
            Spelling::Lines(track) => match track.advance(publication, set) {
                None => self.outbox.push_shared(frame, keep),
                Some(mark) => self.outbox.push_marked(mark, frame, keep),
            },
        }
    }
}

impl Form {
    /// The bytes of a publication that are shared by all sessions of this form that hear it in the
    /// rooms of `set`. Ask once for all of them.
    pub(super) fn frame(
        self,
        delivery: &Delivery,
        set: RoomSet,
        compressing: &mut Compressing,
    ) -> Arc<Frame> {
        match self {
            Self::Frame(wording, agreement) => {
                compressing.shared_frame(delivery, wording, set, agreement)
            }
            Self::Lines(form) => delivery.lines(set, form),
            Self::Packets(form) => delivery.packets(form),
        }
    }
}
