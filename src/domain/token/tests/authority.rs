//! Roles, API keys, and the keys that are refused.

use super::*;

fn room_grant(pattern: &str, allow: &[&str]) -> RoomGrant {
    RoomGrant {
        pattern: pattern.to_owned(),
        allow: allow.iter().map(|word| (*word).to_owned()).collect(),
        place: "auth.roles, editor, entry 1".to_owned(),
    }
}

fn editor(name: &str, rooms: Vec<RoomGrant>) -> (String, config::Role) {
    let place = "auth.roles, editor".to_owned();
    (name.to_owned(), config::Role { rooms, place })
}

fn api_key(name: &str, key: &str, grants: Option<KeyGrants>) -> config::ApiKey {
    config::ApiKey {
        name: name.to_owned(),
        key: Secret::new(key.as_bytes()),
        grants,
        place: format!("auth.api_keys, {name}"),
    }
}

#[test]
fn configured_roles_join_the_built_in_ones_and_replace_them() {
    let mut auth = auth(&[(Algorithm::Hs256, SECRET)]);
    auth.roles = [
        editor("editor", vec![room_grant("doc:*", &["publish"])]),
        editor("user", vec![room_grant("doc:1", &["subscribe"])]),
    ]
    .into();
    let authority = Authority::new(&auth).unwrap();
    let may = |role: &str, action, room: &str| {
        let claims = json!({"sub": "ada", "exp": NOW, "role": role}).to_string();
        let user = authority.verify_token(&hs256(&claims), now()).unwrap();
        let room = RoomName::parse(room).unwrap();
        let policy = config::PublishPolicy::Grant;
        check(&Identity::User(user), Caller::Api, action, &room, policy).is_ok()
    };
    assert!(may("editor", Action::Publish, "doc:1"));
    assert!(!may("editor", Action::Subscribe, "doc:1"));
    assert!(may("user", Action::Subscribe, "doc:1"));
    assert!(!may("user", Action::Subscribe, "project:1"));
    assert!(may("readonly", Action::Subscribe, "project:1"));
}

#[test]
fn api_keys_are_found_whole_and_have_their_grants_only() {
    let (all, some) = ("k".repeat(40), "s".repeat(20));
    let api_keys = vec![
        api_key("all", &all, None),
        api_key("some", &some, Some(KeyGrants::Role("agent".to_owned()))),
        api_key(
            "room",
            &"r".repeat(20),
            Some(KeyGrants::Rooms(vec![room_grant("a", &["publish"])])),
        ),
    ];
    let auth = Auth {
        api_keys,
        ..Auth::default()
    };
    let authority = Authority::new(&auth).unwrap();
    let found = authority.verify_key(&all).unwrap();
    assert!(&*found.name == "all" && Identity::Key(found).is_admin());
    let found = authority.verify_key(&some).unwrap();
    assert!(found.role.name() == "agent" && !Identity::Key(found).is_admin());
    for wrong in [
        "",
        "k",
        &all[1..],
        &(all.clone() + "k"),
        &all.to_uppercase(),
        " ",
        "kinglet",
    ] {
        assert_eq!(authority.verify_key(wrong), None, "{wrong}");
    }
    assert_eq!(
        Authority::new(&Auth::default()).unwrap().verify_key(""),
        None
    );
}

#[test]
fn keys_that_would_not_protect_are_refused() {
    let check = |algorithm, key: &str, part: &str| {
        let faults = Authority::new(&auth(&[(algorithm, key)]))
            .unwrap_err()
            .to_string();
        assert!(faults.starts_with("auth.keys, entry 1: "), "{faults}");
        assert!(
            faults.contains(part) && faults.lines().count() == 1,
            "{faults}"
        );
        assert!(key.is_empty() || !faults.contains(key), "{faults}");
    };
    check(Algorithm::Hs256, "", "shorter than 32 bytes");
    check(Algorithm::Hs256, &SECRET[..31], "shorter than 32 bytes");
    check(Algorithm::Hs384, &SECRET[..47], "shorter than 48 bytes");
    check(Algorithm::Hs512, &SECRET[..63], "shorter than 64 bytes");
    assert!(Authority::new(&auth(&[(Algorithm::Hs256, &SECRET[..32])])).is_ok());
    for known in keys::KNOWN_SECRETS {
        check(Algorithm::Hs256, known, "everybody knows");
    }
    for pem in [RSA, ED25519, RSA_PRIVATE] {
        check(Algorithm::Hs256, pem, "PEM");
    }
    check(Algorithm::Rs256, RSA_PRIVATE, "private key");
    check(Algorithm::Es256, P256_PRIVATE, "private key");
    check(Algorithm::Rs256, RSA_1024, "2048 bits");
    check(Algorithm::Es256, P384, "P-256");
    for (algorithm, others) in [
        (Algorithm::Rs256, [P256, ED25519]),
        (Algorithm::Es256, [RSA, ED25519]),
        (Algorithm::EdDsa, [RSA, P256]),
    ] {
        for other in others {
            check(algorithm, other, "needs");
        }
        check(algorithm, "", "no public key");
        check(algorithm, SECRET, "no public key");
        let cut = RSA.replace("MII", "AAA");
        check(algorithm, &cut, "needs");
    }
}

#[test]
fn all_faults_of_a_configuration_come_at_once() {
    let mut auth = auth(&[(Algorithm::Hs256, "short"), (Algorithm::Rs256, SECRET)]);
    let key = "k".repeat(20);
    auth.api_keys = vec![
        api_key("a", &key, Some(KeyGrants::Role("root".to_owned()))),
        api_key("b", &key, None),
        api_key("b", &key, None),
        api_key("c", "short", None),
    ];
    auth.roles = [
        editor("admin", Vec::new()),
        editor("editor", vec![room_grant("a*b", &["publish"])]),
    ]
    .into();
    let faults = Authority::new(&auth).unwrap_err().to_string();
    for part in [
        "auth.roles, editor: admin may do everything and cannot be configured",
        "auth.roles, editor, entry 1: a pattern may have one *, at its end",
        "auth.keys, entry 1: the secret is shorter",
        "auth.keys, entry 1: the file holds no public key",
        "auth.api_keys, a: \"root\" is no role; there are admin, agent, editor, readonly, user",
        "auth.api_keys, b: another API key has this name",
        "auth.api_keys, b: another API key is the same",
        "auth.api_keys, c: the key is shorter than 20 bytes",
    ] {
        assert!(faults.contains(part), "{part}\n{faults}");
    }
    assert_eq!(faults.lines().count(), 8, "{faults}");
}

#[test]
fn nothing_secret_is_shown() {
    let mut auth = auth(&[(Algorithm::Hs256, SECRET)]);
    auth.api_keys = vec![api_key("a", SECRET, None)];
    let signer = Signer::new(&auth, None).unwrap();
    let shown = format!("{auth:?} {:?} {signer:?}", Authority::new(&auth).unwrap());
    let bytes: Value = SECRET.as_bytes().into();
    let bytes = bytes.to_string().replace(',', ", ");
    assert!(
        !shown.contains(SECRET) && !shown.contains(&bytes[1..20]),
        "{shown}"
    );
}
