//! Who somebody in a simulation is, and what they may do: the promises of `docs/access.md`, said
//! without grants and patterns.

use crate::base::clock::Wall;
use crate::config::Auth;
use crate::domain::access::UserId;
use crate::domain::token::{NewToken, Signer};
use crate::testkit::operations::{Claims, Flaw, MEMBERS_ONLY, Rights};

/// How long ago a stale token ended; longer than clocks may differ.
const STALE_MS: u64 = 120_000;

/// On whose behalf somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody is asked.
    Open,
    /// No token was accepted yet.
    Pending,
    /// A user, with a token that ends.
    User { rights: Rights, expires: Wall },
}

/// What somebody does with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Subscribe,
    History,
    Publish { is_member: bool },
}

impl Standing {
    /// Whether `user`, who stands so, may do `deed` in `room`.
    pub(super) fn may(self, deed: Deed, room: &str, user: &str) -> bool {
        let for_members = room == MEMBERS_ONLY;
        let rights = match (self, deed) {
            (Self::Pending, _) => return false,
            (
                Self::User {
                    rights: Rights::Admin,
                    ..
                },
                _,
            ) => return true,
            (Self::Open | Self::User { .. }, Deed::Publish { is_member }) if for_members => {
                return is_member;
            }
            (Self::Open, _) => return true,
            (Self::User { rights, .. }, _) => rights,
        };
        let is_reading = matches!(deed, Deed::Subscribe | Deed::History);
        if let Some(owner) = room.strip_prefix("user:") {
            return is_reading && owner == user;
        }
        match rights {
            Rights::Wide | Rights::Admin => true,
            Rights::Reader => deed == Deed::Subscribe,
            Rights::Narrow if room == "a" || room.starts_with("lag:") => true,
            Rights::Narrow => {
                let is_covered = room.starts_with("latest:") || for_members;
                is_covered && deed == Deed::Subscribe
            }
        }
    }

    /// When its token ends, if it has one.
    pub(super) fn expires(self) -> Option<Wall> {
        match self {
            Self::Open | Self::Pending => None,
            Self::User { expires, .. } => Some(expires),
        }
    }
}

/// A token with what it says.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) rights: Rights,
    pub(super) expires: Wall,
    /// It must be refused whenever it comes.
    pub(super) is_bad: bool,
}

/// The key of the one who lets people log in; none in open mode.
#[derive(Debug)]
pub(super) struct Desk(Option<Signer>);

impl Desk {
    pub(super) fn new(auth: &Auth) -> Self {
        Self(Signer::new(auth, None).ok())
    }

    /// Whether nobody is asked for a token.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Signs a token, at `now`.
    pub(super) fn token(&self, user: &str, claims: Claims, now: Wall) -> Token {
        let millis = match claims.flaw {
            Some(Flaw::Stale) => now.as_millis() - STALE_MS,
            Some(Flaw::Forged | Flaw::Stranger) | None => {
                now.as_millis() + u64::from(claims.seconds) * 1000
            }
        };
        // Tokens count in seconds.
        let expires = Wall::from_millis(millis / 1000 * 1000);
        let role = match claims.rights {
            Rights::Wide => "wide",
            Rights::Narrow => "narrow",
            Rights::Reader => "reader",
            Rights::Admin => "admin",
        };
        let text = self.0.as_ref().map(|signer| {
            let user = UserId::parse(user).expect("the id of a user");
            let token = NewToken {
                user: &user,
                role: Some(role),
                rooms: &[],
                info: None,
                issued: now,
                expires,
            };
            signer.sign(&token).expect("a secret signs")
        });
        let mut text = text.unwrap_or_else(|| "anything".to_owned());
        if claims.flaw == Some(Flaw::Forged) {
            let first = text.rfind('.').map_or(0, |dot| dot + 1);
            let other = if text[first..].starts_with('A') {
                "B"
            } else {
                "A"
            };
            text.replace_range(first..=first, other);
        }
        Token {
            text,
            rights: claims.rights,
            expires,
            is_bad: claims.flaw.is_some() && !self.is_open(),
        }
    }
}
