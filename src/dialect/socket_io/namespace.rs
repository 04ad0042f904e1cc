//! The namespaces that sessions of Socket.IO are in, as values to copy and to compare.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::base::locks::lock;
use crate::dialect::Dialect;

/// The namespace of P3's clients.
pub const ENVELOPED: &str = "/ws";

/// A namespace by its name. Equal names are one name in memory, which stays there for good: make
/// one only of names that the configuration has, so that there are no more than it ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(&'static str);

impl Namespace {
    /// The namespace of this name, which begins with `/` and has no comma.
    #[must_use]
    pub fn named(name: &str) -> Self {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut names = lock(&NAMES);
        if let Some(known) = names.get(name) {
            return Self(known);
        }
        let kept = Box::leak(Box::from(name));
        names.insert(kept);
        Self(kept)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether its events carry one argument, P3's envelope.
    #[must_use]
    pub fn is_enveloped(self) -> bool {
        self.0 == ENVELOPED
    }

    /// How sessions in it are spelt to.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self.is_enveloped() {
            true => Dialect::SocketIoEnveloped,
            false => Dialect::SocketIo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_name_in_memory() {
        let twice = ["/", "/"].map(|name| Namespace::named(&String::from(name)));
        assert!(std::ptr::eq(twice[0].as_str(), twice[1].as_str()));
        assert_eq!(twice[0], twice[1]);
        assert_ne!(twice[0], Namespace::named("/admin"));
    }

    #[test]
    fn only_the_namespace_of_p3_has_envelopes() {
        for (name, dialect) in [
            ("/ws", Dialect::SocketIoEnveloped),
            ("/", Dialect::SocketIo),
            ("/ws/", Dialect::SocketIo),
            ("/WS", Dialect::SocketIo),
            ("/admin", Dialect::SocketIo),
        ] {
            assert_eq!(Namespace::named(name).dialect(), dialect, "{name}");
        }
    }
}
