//! L2: how a session's commands and publications are spelt on the wire.
//!
//! One internal event, one encoder per dialect; what is encoded is shared by every recipient. May
//! not touch: sockets, sessions, rooms' state.

pub mod delivery;
pub mod device;
pub mod events;
pub mod frame;
pub mod native;
pub mod publication;
pub mod records;
pub mod socket_io;

/// The spelling a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/ws` without a subprotocol: no hello.
    Native,
    /// `/ws` with the subprotocol `kinglet.v1`: hello first.
    NativeV1,
    /// `/ws/echo`: every message comes back; in no room, and charged to no message rate, because
    /// it is there to be measured.
    Echo,
    /// `/ws/metrics`: P4's channels; in the rooms of its channels alone.
    Device,
    /// A stream of Server-Sent Events: it listens, in the rooms that its address names.
    Events,
    /// A namespace of Socket.IO: an event is its name and its data.
    SocketIo,
    /// Socket.IO's namespace `/ws`, where P3's clients are: an event is its name and an envelope.
    SocketIoEnveloped,
}

impl Dialect {
    /// The name in statistics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::NativeV1 => "kinglet.v1",
            Self::Echo => "echo",
            Self::Device => "device",
            Self::Events => "sse",
            Self::SocketIo => "socket.io",
            Self::SocketIoEnveloped => "socket.io/ws",
        }
    }

    /// Whether a user's session is in the user's own room by itself.
    #[must_use]
    pub const fn joins_own_room(self) -> bool {
        match self {
            Self::Native
            | Self::NativeV1
            | Self::Events
            | Self::SocketIo
            | Self::SocketIoEnveloped => true,
            Self::Echo | Self::Device => false,
        }
    }
}
