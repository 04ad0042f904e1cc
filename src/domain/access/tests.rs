//! Who may do what: the tables of open and token mode, and patterns against a naive oracle.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::base::clock::Wall;
use crate::base::rng::Rng;

const MEMBER: Caller = Caller::Session { is_member: true };
const STRANGER: Caller = Caller::Session { is_member: false };

const POLICIES: [PublishPolicy; 3] = [
    PublishPolicy::Grant,
    PublishPolicy::Members,
    PublishPolicy::Server,
];

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn grant(pattern: &str, allow: &[Action]) -> Grant {
    Grant::parse(pattern, allow.iter().map(|action| action.word())).unwrap()
}

fn role(name: &str) -> Arc<Role> {
    let roles: BTreeMap<Box<str>, Arc<Role>> = Role::built_in();
    Arc::clone(roles.get(name).unwrap())
}

fn user(id: &str, role: Arc<Role>, grants: &[Grant]) -> Identity {
    Identity::User(Arc::new(User {
        id: UserId::parse(id).unwrap(),
        role,
        grants: grants.into(),
        expires: Wall::default(),
        info: None,
    }))
}

fn key(role: Arc<Role>) -> Identity {
    let name = "backend".into();
    Identity::Key(Arc::new(ApiKey { name, role }))
}

/// A user with these grants and no role's.
fn granted(id: &str, grants: &[Grant]) -> Identity {
    user(id, Arc::new(Role::new("none", Vec::new())), grants)
}

fn may(identity: &Identity, action: Action, name: &str) -> bool {
    check(
        identity,
        Caller::Api,
        action,
        &room(name),
        PublishPolicy::Grant,
    )
    .is_ok()
}

#[test]
fn open_mode_refuses_only_publishes_against_the_policy() {
    let room = room("project:a");
    let not_member = || Err(Denied::NotMember { room: room.clone() });
    let server_only = || Err(Denied::ServerOnly { room: room.clone() });
    for (policy, caller, expected) in [
        (PublishPolicy::Grant, STRANGER, Ok(())),
        (PublishPolicy::Grant, MEMBER, Ok(())),
        (PublishPolicy::Grant, Caller::Api, Ok(())),
        (PublishPolicy::Members, STRANGER, not_member()),
        (PublishPolicy::Members, MEMBER, Ok(())),
        (PublishPolicy::Members, Caller::Api, Ok(())),
        (PublishPolicy::Server, STRANGER, server_only()),
        (PublishPolicy::Server, MEMBER, server_only()),
        (PublishPolicy::Server, Caller::Api, Ok(())),
    ] {
        let decide = |action| check(&Identity::Anonymous, caller, action, &room, policy);
        assert_eq!(decide(Action::Publish), expected, "{policy:?} {caller:?}");
        for action in [
            Action::Subscribe,
            Action::History,
            Action::Presence,
            Action::Run,
        ] {
            assert_eq!(decide(action), Ok(()), "{action:?} {policy:?} {caller:?}");
        }
    }
}

#[test]
fn who_has_not_shown_a_token_may_do_nothing() {
    assert_eq!(Identity::default(), Identity::Pending);
    let room = room("global");
    for action in Action::ALL {
        for caller in [MEMBER, STRANGER, Caller::Api] {
            for policy in POLICIES {
                let denied = check(&Identity::Pending, caller, action, &room, policy);
                assert_eq!(denied, Err(Denied::Pending { room: room.clone() }));
            }
        }
    }
}

#[test]
fn the_policy_decides_what_a_publisher_needs() {
    let reader = || user("u", role("user"), &[]);
    let writer = || granted("u", &[grant("project:a", &[Action::Publish])]);
    let admin = || user("u", role("admin"), &[]);
    let reading_key = || key(role("user"));
    let writing_key = || key(role("agent"));
    let (grant, members, server) = (
        PublishPolicy::Grant,
        PublishPolicy::Members,
        PublishPolicy::Server,
    );
    let room = room("project:a");
    let allowed = None;
    let no_grant = Some("no grant");
    let not_member = Some("only members");
    let server_only = Some("only the server");
    for (identity, caller, policy, expected) in [
        (reader(), MEMBER, grant, no_grant),
        (reader(), MEMBER, members, allowed),
        (reader(), STRANGER, members, not_member),
        (reader(), MEMBER, server, server_only),
        (reader(), Caller::Api, grant, no_grant),
        (reader(), Caller::Api, members, no_grant),
        (reader(), Caller::Api, server, server_only),
        (writer(), STRANGER, grant, allowed),
        (writer(), STRANGER, members, not_member),
        (writer(), MEMBER, server, server_only),
        (writer(), Caller::Api, grant, allowed),
        (writer(), Caller::Api, members, allowed),
        (writer(), Caller::Api, server, server_only),
        (admin(), STRANGER, members, allowed),
        (admin(), STRANGER, server, allowed),
        (admin(), Caller::Api, server, allowed),
        (reading_key(), Caller::Api, grant, no_grant),
        (reading_key(), Caller::Api, server, no_grant),
        (writing_key(), Caller::Api, grant, allowed),
        (writing_key(), Caller::Api, members, allowed),
        (writing_key(), Caller::Api, server, allowed),
    ] {
        let found = check(&identity, caller, Action::Publish, &room, policy);
        let text = found.map_err(|denied| denied.to_string());
        match expected {
            None => assert_eq!(text, Ok(()), "{identity:?} {caller:?} {policy:?}"),
            Some(part) => {
                let text = text.unwrap_err();
                assert!(text.contains(part), "{text}: {caller:?} {policy:?}");
                assert!(text.contains("\"project:a\""), "{text}");
            }
        }
    }
}

#[test]
fn a_user_reads_global_and_its_own_room_and_writes_neither() {
    for id in ["42", "auth0|42", "a:b", "x".repeat(250).as_str()] {
        let identity = granted(id, &[]);
        let own = format!("user:{id}");
        for action in Action::ALL {
            for name in ["global", &own] {
                assert_eq!(may(&identity, action, name), action.is_reading(), "{name}");
            }
            for name in [
                "global:1",
                "user",
                "user:",
                "user:4",
                "user:42:a",
                "User:42",
                "a:b",
            ] {
                assert!(!may(&identity, action, name), "{id} {action} {name}");
            }
        }
    }
    assert!(!may(&key(role("user")), Action::Subscribe, "global"));
}

#[test]
fn built_in_roles_reach_as_far_as_documented() {
    use Action::{History, Presence, Publish, Run, Subscribe};
    let reads: &[Action] = &[Subscribe, History, Presence];
    let all: &[Action] = &Action::ALL;
    for (name, rooms, actions) in [
        (
            "user",
            &["project:1", "board:1", "agent:1", "metrics", "metrics:cpu"][..],
            reads,
        ),
        (
            "user",
            &["chat:1", "system", "project", "metricsx", "user:other"],
            &[],
        ),
        ("readonly", &["project:1", "metrics"], reads),
        ("agent", &["project:1", "agent:1"], all),
        ("agent", &["board:1", "metrics"], reads),
        ("agent", &["chat:1", "user:other"], &[]),
        (
            "admin",
            &["project:1", "chat:1", "system", "user:other", "user"],
            all,
        ),
    ] {
        let identity = user("u", role(name), &[]);
        assert_eq!(identity.is_admin(), name == "admin");
        for room in rooms {
            for action in Action::ALL {
                let expected = actions.contains(&action);
                assert_eq!(
                    may(&identity, action, room),
                    expected,
                    "{name} {room} {action}"
                );
            }
        }
    }
    assert!(Identity::Anonymous.is_admin() && !Identity::Pending.is_admin());
    assert!([Publish, Run].iter().all(|action| !action.is_reading()));
}

#[test]
fn rooms_of_other_users_need_a_pattern_that_says_user() {
    let check = |pattern: &str, name: &str, expected: bool| {
        let identity = granted("me", &[grant(pattern, &[Action::Subscribe])]);
        assert_eq!(
            may(&identity, Action::Subscribe, name),
            expected,
            "{pattern} {name}"
        );
        // A key has no room of its own and is bound likewise.
        let role = Role::new("none", vec![grant(pattern, &[Action::Subscribe])]);
        let identity = key(Arc::new(role));
        assert_eq!(
            may(&identity, Action::Subscribe, name),
            expected,
            "{pattern} {name}"
        );
    };
    for pattern in ["*", "u*", "user*"] {
        check(pattern, "user:other", false);
        check(pattern, "user", pattern != "user:*");
        check(pattern, "users:1", true);
    }
    for pattern in ["user:*", "user:oth*", "user:other"] {
        check(pattern, "user:other", true);
        check(pattern, "user:o", pattern == "user:*");
    }
}

#[test]
fn sub_stands_for_the_whole_id_and_nothing_else() {
    let check = |pattern: &str, id: &str, name: &str, expected: bool| {
        let identity = granted(id, &[grant(pattern, &[Action::Publish])]);
        assert_eq!(
            may(&identity, Action::Publish, name),
            expected,
            "{pattern} {id} {name}"
        );
    };
    check("user:{sub}", "42", "user:42", true);
    check("user:{sub}", "42", "user:421", false);
    check("user:{sub}", "42", "user:43", false);
    check("user:{sub}", "42", "user:{sub}", false);
    check("inbox:{sub}:*", "42", "inbox:42:", true);
    check("inbox:{sub}:*", "42", "inbox:42:a:b", true);
    check("inbox:{sub}:*", "42", "inbox:42", false);
    check("inbox:{sub}:*", "42", "inbox:421:a", false);
    check("pair:{sub}:{sub}", "a", "pair:a:a", true);
    check("pair:{sub}:{sub}", "a", "pair:a:b", false);
    check("{sub}", "a", "a", true);
    check("{sub}:*", "a", "a:x", true);
    // An id is never a pattern of its own, and never reaches into another's rooms.
    check("inbox:{sub}", "{sub}", "inbox:{sub}", true);
    check("inbox:{sub}", "{sub}", "inbox:a", false);
    check("inbox:{sub}:*", "a:b", "inbox:a:b:c", false);
    check("inbox:{sub}", "a:b", "inbox:a:b", false);
    check("{sub}:*", "user:other", "user:other:x", false);
    check("{sub}", "user:other", "user:other", false);
    assert!(UserId::parse("*").is_err() && UserId::parse("a*").is_err());
    // A key is nobody's, so {sub} stands for nothing.
    let role = Role::new("none", vec![grant("inbox:{sub}", &[Action::Publish])]);
    let identity = key(Arc::new(role));
    assert!(!may(&identity, Action::Publish, "inbox:"));
    assert!(!may(&identity, Action::Publish, "inbox:{sub}"));
}

#[test]
fn rooms_are_never_confused() {
    let identity = granted(
        "u",
        &[grant("dialog#42", &Action::ALL), grant("p:1", &Action::ALL)],
    );
    for name in ["dialog#42", "p:1"] {
        assert!(may(&identity, Action::Subscribe, name));
    }
    for name in [
        "dialog#43",
        "dialog#4",
        "dialog#423",
        "dialog",
        "Dialog#42",
        "dialog#42:",
        "p:10",
        "p:",
        "p",
        "P:1",
        "p::1",
        "p:1:",
        "p/1",
        "p%3A1",
    ] {
        assert!(!may(&identity, Action::Subscribe, name), "{name}");
    }
    // What could look like another name is no name at all.
    for name in [
        "dialog#42,43",
        "p:1 ",
        "p:\u{0}1",
        "p\u{ff1a}1",
        "\u{440}:1",
        "p:*",
        "",
    ] {
        assert!(RoomName::parse(name).is_err(), "{name:?}");
    }
}

#[test]
fn grants_are_checked_when_they_are_read() {
    let check = |pattern: &str, expected: Result<(), GrantFault>| {
        let found = Grant::parse(pattern, ["publish"]).map(|_| ());
        assert_eq!(found, expected, "{pattern}");
    };
    for pattern in [
        "*",
        "a",
        "a:*",
        "a*",
        "{sub}",
        "{sub}:*",
        "a:{sub}:b:{sub}",
        "{su}",
        "}{sub}",
    ] {
        check(pattern, Ok(()));
    }
    check(&format!("{}*", "x".repeat(254)), Ok(()));
    check(&format!("{}*", "x".repeat(255)), Err(GrantFault::Length));
    check("", Err(GrantFault::Length));
    for pattern in ["**", "a*b", "*a", "a*:*"] {
        check(pattern, Err(GrantFault::Asterisk));
    }
    for pattern in ["a b", "a,b", "\u{e9}*", "a\n", "a\\"] {
        check(pattern, Err(GrantFault::Character));
    }
    for pattern in ["{sub}*", "a{sub}b", "{sub}{sub}", "{sub}.*"] {
        check(pattern, Err(GrantFault::AfterSub));
    }
    assert_eq!(Grant::parse("a", []), Err(GrantFault::NoAction));
    for word in ["", "Publish", "all", "*", "write", "publish "] {
        assert_eq!(Grant::parse("a", [word]), Err(GrantFault::Action), "{word}");
    }
}

#[test]
fn ids_are_fit_for_a_room() {
    for id in ["1", "-1", "auth0|42", "a:b", "a@b.c", "{sub}"] {
        let parsed = UserId::parse(id).unwrap();
        assert_eq!(parsed.as_str(), id);
        assert_eq!(parsed.room().as_str(), format!("user:{id}"));
    }
    let long = "x".repeat(251);
    for id in [
        "",
        " ",
        "a b",
        "a*",
        "a,b",
        "a\u{0}",
        "a\n",
        "\u{e9}",
        long.as_str(),
    ] {
        assert_eq!(UserId::parse(id), Err(UserIdFault), "{id:?}");
    }
}

/// Whether `pattern` covers `name`, by spelling out what the pattern means.
fn naively_covers(pattern: &str, id: &str, name: &str) -> bool {
    if name.starts_with("user:") && !pattern.starts_with("user:") {
        return false;
    }
    if pattern.contains("{sub}") && id.contains(':') {
        return false;
    }
    // A byte that no name has stands for the wildcard while the id goes in.
    let spelt = match pattern.strip_suffix('*') {
        Some(stem) => format!("{stem}\u{1}"),
        None => pattern.to_owned(),
    };
    let spelt = spelt.replace("{sub}", id);
    match spelt.strip_suffix('\u{1}') {
        Some(stem) => name.len() >= stem.len() && name.as_bytes()[..stem.len()] == *stem.as_bytes(),
        None => name == spelt,
    }
}

#[test]
fn decisions_agree_with_a_naive_oracle() {
    const PIECES: [&str; 8] = ["user:", "user", "a", "b", ":", "{sub}", "global", "1"];
    let mut rng = Rng::from_seed(22);
    let text = |most: u64, rng: &mut Rng| -> String {
        let pieces = (0..=rng.below(most)).map(|_| {
            let at = usize::try_from(rng.below(8)).unwrap();
            PIECES[at]
        });
        pieces.collect()
    };
    let (mut covered, mut all) = (0, 0);
    for _ in 0..50_000 {
        let star = if rng.below(2) == 0 { "*" } else { "" };
        let pattern = text(3, &mut rng) + star;
        let id = text(1, &mut rng);
        let name = match rng.below(3) {
            // Half of what is asked is near the pattern.
            0 => text(4, &mut rng),
            _ => {
                pattern.replace("{sub}", &id).replace('*', "")
                    + ["", "a", ":1"][rng.below(3) as usize]
            }
        };
        let Ok(grant) = Grant::parse(&pattern, ["publish"]) else {
            continue;
        };
        let identity = granted(&id, &[grant]);
        let expected = naively_covers(&pattern, &id, &name);
        // Asked twice and about another room in between: nothing is remembered.
        for _ in 0..2 {
            assert_eq!(
                may(&identity, Action::Publish, &name),
                expected,
                "{pattern} {id} {name}"
            );
            may(&identity, Action::Publish, "other");
        }
        assert!(!may(&identity, Action::Run, &name));
        covered += u32::from(expected);
        all += 1;
    }
    assert!(
        covered > 1_000 && all - covered > 1_000,
        "{covered} of {all}"
    );
}

#[test]
fn an_identity_is_two_words() {
    assert_eq!(size_of::<Identity>(), 16);
}

#[test]
fn what_a_token_says_of_a_user_costs_nothing_where_it_says_nothing() {
    // With the two counts of its Arc it fills a block of 72 bytes, which glibc rounds 64 up to.
    assert_eq!(size_of::<User>(), 56);
}
