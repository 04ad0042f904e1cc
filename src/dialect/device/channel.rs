//! Channels and the rooms that they stand for.
//!
//! Clients may name any channel; those that stand for no room never get anything.

use crate::domain::room::RoomName;

/// The channel that every client is in from the start.
pub const FIRST: &str = "metrics";

/// The channels that get something, each with its room.
const FED: [(&str, &str); 4] = [
    (FIRST, "metrics"),
    ("system-info", "metrics:system-info"),
    ("processes", "metrics:processes"),
    ("network-interfaces", "metrics:network-interfaces"),
];

/// The room of a channel; `None` if it never gets anything.
#[must_use]
pub fn room(channel: &str) -> Option<RoomName> {
    let (_, room) = FED.iter().find(|(name, _)| *name == channel)?;
    RoomName::parse(room).ok()
}

/// The channel of a room; `None` if no channel stands for it.
#[must_use]
pub fn name(room: &RoomName) -> Option<&'static str> {
    let fed = FED.iter().find(|(_, name)| *name == room.as_str());
    fed.map(|(channel, _)| *channel)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_and_its_room_name_each_other() {
        for (channel, spelt) in FED {
            let room = room(channel).unwrap();
            assert_eq!((room.as_str(), name(&room)), (spelt, Some(channel)));
        }
    }

    #[test]
    fn other_names_stand_for_nothing() {
        for channel in ["", "Metrics", "logs", "metrics:processes", "global", "a b"] {
            assert_eq!(room(channel), None, "{channel}");
        }
        for spelt in ["global", "system-info", "metrics:logs"] {
            assert_eq!(name(&RoomName::parse(spelt).unwrap()), None, "{spelt}");
        }
    }
}
