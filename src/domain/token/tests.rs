//! Tokens that are accepted and, mostly, those that must not be.

#![allow(clippy::unwrap_used)]

mod authority;
mod claims;

use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::config::{Algorithm, Secret, TokenKey};
use crate::domain::access::{Action, Caller, Identity, UserId, check};
use crate::domain::room::RoomName;

const SECRET: &str = "a secret of the tests, which guards nothing; 64 bytes are needed";

const RSA: &str = include_str!("../../../tests/keys/rsa.public.pem");
const RSA_PKCS1: &str = include_str!("../../../tests/keys/rsa.pkcs1.public.pem");
const RSA_1024: &str = include_str!("../../../tests/keys/rsa1024.public.pem");
const P256: &str = include_str!("../../../tests/keys/p256.public.pem");
const P384: &str = include_str!("../../../tests/keys/p384.public.pem");
const ED25519: &str = include_str!("../../../tests/keys/ed25519.public.pem");
const RSA_PRIVATE: &str = include_str!("../../../tests/keys/rsa.private.pem");
const P256_PRIVATE: &str = include_str!("../../../tests/keys/p256.private.pem");
const ED25519_PRIVATE: &str = include_str!("../../../tests/keys/ed25519.private.pem");
const PYJWT: &str = include_str!("../../../tests/keys/pyjwt.txt");

/// Seconds since 1970; all tokens here are shown then.
const NOW: u64 = 2_000_000_000;

fn now() -> Wall {
    Wall::from_millis(NOW * 1000)
}

fn token_key(algorithm: Algorithm, key: &str) -> TokenKey {
    TokenKey {
        algorithm,
        key: Secret::new(key.as_bytes()),
        place: "auth.keys, entry 1".to_owned(),
    }
}

fn auth(keys: &[(Algorithm, &str)]) -> Auth {
    Auth {
        keys: keys
            .iter()
            .map(|(algorithm, key)| token_key(*algorithm, key))
            .collect(),
        ..Auth::default()
    }
}

fn authority(keys: &[(Algorithm, &str)]) -> Authority {
    Authority::new(&auth(keys)).unwrap()
}

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token with this header and these claims as they stand, signed by HMAC with SHA-256.
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encode(signature))
}

fn hs256(claims: &str) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, claims, SECRET.as_bytes())
}

fn verify(token: &str) -> Result<Arc<User>, TokenFault> {
    let found = authority(&[(Algorithm::Hs256, SECRET)]).verify_token(token, now());
    if let Err(fault) = found {
        assert!(
            token.len() < 20 || !fault.to_string().contains(token),
            "{fault}"
        );
    }
    found
}

#[test]
fn tokens_of_another_library_are_accepted() {
    let keys = [
        (Algorithm::Hs256, SECRET),
        (Algorithm::Hs384, SECRET),
        (Algorithm::Hs512, SECRET),
        (Algorithm::Rs256, RSA),
        (Algorithm::Es256, P256),
        (Algorithm::EdDsa, ED25519),
    ];
    let all = authority(&keys);
    for (line, key) in PYJWT.lines().zip(keys) {
        let (name, token) = line.split_once(' ').unwrap();
        assert_eq!(name, key.0.name());
        for authority in [&all, &authority(&[key])] {
            let user = authority.verify_token(token, now()).unwrap();
            assert_eq!((user.id.as_str(), user.role.name()), ("ada", "user"));
            assert_eq!(user.expires, Wall::from_millis(4_102_444_800_000));
        }
        for other in keys.into_iter().filter(|other| other.0 != key.0) {
            let found = authority(&[other]).verify_token(token, now());
            assert_eq!(found, Err(TokenFault::Algorithm), "{name} {other:?}");
        }
        // One letter of the signature or the claims, and it is another's.
        for at in [token.len() - 2, token.find('.').unwrap() + 3] {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            let found = all.verify_token(&forged, now());
            assert_eq!(found, Err(TokenFault::Signature), "{name} {at}");
        }
    }
    assert_eq!(PYJWT.lines().count(), keys.len());
    let pkcs1 = authority(&[(Algorithm::Rs256, RSA_PKCS1)]);
    let token = PYJWT.lines().nth(3).unwrap().split_once(' ').unwrap().1;
    assert!(pkcs1.verify_token(token, now()).is_ok());
}

#[test]
fn the_signer_makes_what_the_authority_takes() {
    let (user, rooms) = (
        UserId::parse("ada").unwrap(),
        [("chat:*".to_owned(), vec!["publish".to_owned()])],
    );
    let info = serde_json::json!({"name": "Ada"});
    let new = NewToken {
        user: &user,
        role: Some("agent"),
        rooms: &rooms,
        info: Some(&info),
        issued: now(),
        expires: now(),
    };
    for (key, private) in [
        ((Algorithm::Hs256, SECRET), None),
        ((Algorithm::Hs384, SECRET), None),
        ((Algorithm::Hs512, SECRET), None),
        ((Algorithm::Rs256, RSA), Some(RSA_PRIVATE)),
        ((Algorithm::Es256, P256), Some(P256_PRIVATE)),
        ((Algorithm::EdDsa, ED25519), Some(ED25519_PRIVATE)),
    ] {
        let private = private.map(|pem| Secret::new(pem.as_bytes()));
        let signer = Signer::new(&auth(&[key]), private.as_ref()).unwrap();
        let token = signer.sign(&new).unwrap();
        let found = authority(&[key]).verify_token(&token, now()).unwrap();
        assert_eq!(
            (&found.id, found.role.name(), found.expires),
            (&user, "agent", now())
        );
        let told = found.info.as_ref().map(|info| info.as_str());
        assert_eq!(told, Some(r#"{"name":"Ada"}"#));
        let room = RoomName::parse("chat:1").unwrap();
        let may = |action| {
            let identity = Identity::User(Arc::clone(&found));
            check(
                &identity,
                Caller::Api,
                action,
                &room,
                config::PublishPolicy::Grant,
            )
            .is_ok()
        };
        assert!(may(Action::Publish) && !may(Action::Subscribe));
    }
}

#[test]
fn the_signer_says_what_it_lacks() {
    let check = |keys: &[(Algorithm, &str)], private: Option<&str>, expected: SignerFault| {
        let private = private.map(|pem| Secret::new(pem.as_bytes()));
        let found = Signer::new(&auth(keys), private.as_ref());
        assert_eq!(found.err(), Some(expected), "{keys:?}");
    };
    check(&[], None, SignerFault::NoKey);
    check(&[], Some(RSA_PRIVATE), SignerFault::NoKey);
    check(&[(Algorithm::Rs256, RSA)], None, SignerFault::PublicOnly);
    check(
        &[(Algorithm::Hs256, SECRET)],
        Some(RSA_PRIVATE),
        SignerFault::SecretsOnly,
    );
    check(
        &[(Algorithm::Es256, P256)],
        Some(RSA_PRIVATE),
        SignerFault::PrivateKey,
    );
    check(
        &[(Algorithm::EdDsa, ED25519)],
        Some("no key"),
        SignerFault::PrivateKey,
    );
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let claims = format!(r#"{{"sub":"ada","exp":{NOW}}}"#);
    let check = |keys: &[(Algorithm, &str)], token: &str, expected: TokenFault| {
        let found = authority(keys).verify_token(token, now());
        assert_eq!(found, Err(expected), "{token}");
    };
    let hs256 = [(Algorithm::Hs256, SECRET)];
    for none in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "RS256",
    ] {
        let header = format!(r#"{{"alg":"{none}"}}"#);
        let unsigned = format!("{}.{}.", encode(&header), encode(&claims));
        check(&hs256, &unsigned, TokenFault::Algorithm);
        let signed = signed(&header, &claims, SECRET.as_bytes());
        check(&hs256, &signed, TokenFault::Algorithm);
    }
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"HS256"}"#), encode(&claims));
    check(&hs256, &unsigned, TokenFault::Signature);
    // An HMAC whose secret is the public key, as PEM and as DER.
    let der = jsonwebtoken::DecodingKey::from_rsa_pem(RSA.as_bytes()).unwrap();
    for secret in [
        RSA.as_bytes(),
        RSA.trim().as_bytes(),
        der.try_get_as_bytes().unwrap(),
    ] {
        for (alg, expected) in [
            ("HS256", TokenFault::Algorithm),
            ("RS256", TokenFault::Signature),
        ] {
            let token = signed(&format!(r#"{{"alg":"{alg}"}}"#), &claims, secret);
            check(&[(Algorithm::Rs256, RSA)], &token, expected);
        }
    }
    // A signature of one key pair under the name of another's algorithm.
    let rs256 = PYJWT.lines().nth(3).unwrap().split_once(' ').unwrap().1;
    let (_, rest) = rs256.split_once('.').unwrap();
    let claimed = format!("{}.{rest}", encode(r#"{"alg":"ES256"}"#));
    let both = [(Algorithm::Rs256, RSA), (Algorithm::Es256, P256)];
    check(&both, &claimed, TokenFault::Signature);
    check(&[], &self::hs256(&claims), TokenFault::Algorithm);
}

#[test]
fn a_header_names_no_place_to_look_for_a_key() {
    let claims = format!(r#"{{"sub":"ada","exp":{NOW}}}"#);
    let check = |header: &str, expected: Result<(), TokenFault>| {
        let found = verify(&signed(header, &claims, SECRET.as_bytes())).map(|_| ());
        assert_eq!(found, expected, "{header}");
    };
    for kid in [
        "../../../../dev/null",
        "x' UNION SELECT 'secret",
        "",
        "\\u0000",
    ] {
        check(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), Ok(()));
    }
    check(
        r#"{"alg":"HS256","kid":7,"jku":"http://evil","jwk":{"kty":"oct","k":"AA"}}"#,
        Ok(()),
    );
    check(
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        Err(TokenFault::Critical),
    );
    check(r#"{"alg":"HS256","crit":[]}"#, Err(TokenFault::Critical));
    for header in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"alg":1}"#,
        r#"{"alg":null}"#,
        r#"{"alg":"HS256""#,
    ] {
        check(header, Err(TokenFault::Malformed));
    }
    check(
        r#"{"alg":"none","alg":"HS256"}"#,
        Err(TokenFault::Malformed),
    );
}

#[test]
fn what_is_no_token_is_refused_before_anything_is_done() {
    let good = hs256(&format!(r#"{{"sub":"ada","exp":{NOW}}}"#));
    assert!(verify(&good).is_ok());
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "secret",
        "Bearer x",
        "\u{0}",
        "\u{e9}.\u{e9}.\u{e9}",
        &format!("{good}.x"),
        &format!(".{good}"),
        &good.replace('.', ""),
        &format!(" {good}"),
    ] {
        assert_eq!(verify(bad), Err(TokenFault::Malformed), "{bad:?}");
    }
    for forged in [format!("{good}="), format!("{good} "), format!("{good}\n")] {
        assert_eq!(verify(&forged), Err(TokenFault::Signature));
    }
    for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
        assert!(verify(&good[..end]).is_err(), "{end}");
    }
    let padded = |bytes: usize| {
        let letters = "x".repeat(bytes);
        hs256(&format!(r#"{{"sub":"ada","exp":{NOW},"x":"{letters}"}}"#))
    };
    assert!(padded(6000).len() < TOKEN_BYTES && verify(&padded(6000)).is_ok());
    assert_eq!(verify(&padded(9000)), Err(TokenFault::TooLong));
    assert_eq!(verify(&"a".repeat(50 << 20)), Err(TokenFault::TooLong));
}
