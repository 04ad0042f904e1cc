//! Tables of claims: what a signed token may say.

use super::*;

/// Checks what becomes of a well-signed token with these claims.
fn check_claims(claims: &str, expected: Result<&str, TokenFault>) {
    let found = verify(&hs256(claims));
    let id = found.as_ref().map(|user| user.id.as_str());
    assert_eq!(id.map_err(|fault| *fault), expected, "{claims}");
}

#[test]
fn exp_is_required_and_a_number_of_seconds() {
    let exp = |exp: &str| format!(r#"{{"sub":"ada","exp":{exp}}}"#);
    let at = |seconds: u64| Wall::from_millis(seconds * 1000);
    let expired = |seconds: u64| Err(TokenFault::Expired { at: at(seconds) });
    let no_time = Err(TokenFault::Time { claim: "exp" });
    check_claims(r#"{"sub":"ada"}"#, Err(TokenFault::NoExpiry));
    check_claims(&exp("null"), Err(TokenFault::NoExpiry));
    check_claims(&exp(&NOW.to_string()), Ok("ada"));
    check_claims(&exp(&(NOW - 29).to_string()), Ok("ada"));
    check_claims(&exp(&(NOW - 30).to_string()), expired(NOW - 30));
    check_claims(&exp("0"), expired(0));
    check_claims(&exp("-1"), expired(0));
    check_claims(&exp("-1e300"), expired(0));
    check_claims(&exp("2000000000.5"), Ok("ada"));
    check_claims(&exp("2e9"), Ok("ada"));
    check_claims(&exp("253402300799"), Ok("ada"));
    for exp_text in [
        "2000000000000",
        "253402300800",
        "1e300",
        "1e400",
        "18446744073709551616",
        "\"2000000000\"",
        "true",
        "[2000000000]",
        "{}",
    ] {
        check_claims(&exp(exp_text), no_time);
    }
    // A session ends when the token does: the leeway is for clocks, not for users.
    let user = verify(&hs256(&exp(&(NOW - 29).to_string()))).unwrap();
    assert_eq!(user.expires, at(NOW - 29));
}

#[test]
fn nbf_is_honoured() {
    let nbf = |nbf: String| format!(r#"{{"sub":"ada","exp":{},"nbf":{nbf}}}"#, NOW + 60);
    let from = |seconds: u64| {
        Err(TokenFault::NotYetValid {
            from: Wall::from_millis(seconds * 1000),
        })
    };
    check_claims(&nbf((NOW - 5).to_string()), Ok("ada"));
    check_claims(&nbf((NOW + 30).to_string()), Ok("ada"));
    check_claims(&nbf((NOW + 31).to_string()), from(NOW + 31));
    check_claims(&nbf("null".to_owned()), Ok("ada"));
    check_claims(&nbf("-5".to_owned()), Ok("ada"));
    for text in ["\"0\"", "false", "1e300", &format!("{NOW}000")] {
        check_claims(
            &nbf(text.to_owned()),
            Err(TokenFault::Time { claim: "nbf" }),
        );
    }
}

#[test]
fn each_claim_stands_there_once() {
    let exp = format!(r#""exp":{NOW}"#);
    for (claim, value) in [
        ("sub", r#""eve""#),
        ("exp", "9999999999"),
        ("nbf", "0"),
        ("role", r#""admin""#),
        ("rooms", "[]"),
        ("token_type", r#""access""#),
        ("info", "{}"),
    ] {
        let rest = [r#""sub":"ada""#, &exp].map(str::to_owned);
        let rest: Vec<String> = rest
            .into_iter()
            .filter(|other| !other.starts_with(&format!("\"{claim}\"")))
            .chain([
                format!("\"{claim}\":{value}"),
                format!("\"{claim}\":{value}"),
            ])
            .collect();
        check_claims(&format!("{{{}}}", rest.join(",")), Err(TokenFault::Claims));
    }
    // Escapes spell the same name.
    let claims = format!(r#"{{"sub":"ada",{exp},"role":"user","\u0072ole":"admin"}}"#);
    check_claims(&claims, Err(TokenFault::Claims));
    for claims in ["", "null", "[]", "\"x\"", "{", "{}}", &"[".repeat(4000)] {
        check_claims(claims, Err(TokenFault::Claims));
    }
    check_claims(
        &format!(r#"{{"sub":"ada",{exp},"x":1,"x":2,"aud":"a","iss":7}}"#),
        Ok("ada"),
    );
}

#[test]
fn sub_is_fit_for_a_room() {
    let sub = |sub: &str| format!(r#"{{"sub":{sub},"exp":{NOW}}}"#);
    check_claims(&format!(r#"{{"exp":{NOW}}}"#), Err(TokenFault::NoSubject));
    for text in [
        "null",
        "true",
        "[]",
        "{}",
        "1.5",
        "1e3",
        "18446744073709551616",
    ] {
        check_claims(&sub(text), Err(TokenFault::NoSubject));
    }
    for (text, id) in [
        ("42", "42"),
        ("-1", "-1"),
        ("18446744073709551615", "18446744073709551615"),
        ("\"42\"", "42"),
        ("\"auth0|42\"", "auth0|42"),
        ("\"\\u0061\"", "a"),
    ] {
        check_claims(&sub(text), Ok(id));
    }
    let long = format!("{:?}", "x".repeat(251));
    for text in [
        "\"\"",
        "\"a b\"",
        "\"*\"",
        "\"a*\"",
        "\"\\u0000\"",
        "\"a\\n\"",
        "\"\u{e9}\"",
        &long,
    ] {
        check_claims(&sub(text), Err(TokenFault::Subject(UserIdFault)));
    }
}

#[test]
fn role_token_type_and_rooms_mean_something_or_are_refused() {
    let with = |more: &str| format!(r#"{{"sub":"ada","exp":{NOW},{more}}}"#);
    for good in [
        r#""role":"user""#,
        r#""role":"admin""#,
        r#""role":null"#,
        r#""token_type":"access""#,
        r#""token_type":null"#,
        r#""rooms":[]"#,
        r#""rooms":null"#,
        r#""rooms":[{"pattern":"a","allow":["run"]},{"pattern":"user:{sub}","allow":["publish"]}]"#,
        r#""scopes":["a"],"email":"a@b.c""#,
    ] {
        check_claims(&with(good), Ok("ada"));
    }
    for role in ["\"\"", "\"Admin\"", "\"root\"", "7", "[\"admin\"]", "{}"] {
        check_claims(&with(&format!("\"role\":{role}")), Err(TokenFault::Role));
    }
    for kind in ["\"refresh\"", "\"Access\"", "\"\"", "1"] {
        check_claims(
            &with(&format!("\"token_type\":{kind}")),
            Err(TokenFault::TokenType),
        );
    }
    for rooms in [
        "{}",
        "\"*\"",
        "[\"*\"]",
        r#"[{"pattern":"*"}]"#,
        r#"[{"allow":["publish"]}]"#,
        r#"[{"pattern":"*","allow":"publish"}]"#,
        r#"[{"pattern":["*"],"allow":["publish"]}]"#,
        r#"[{"pattern":"*","allow":["publish"],"deny":["a"]}]"#,
        r#"[{"pattern":"a","pattern":"*","allow":["publish"]}]"#,
    ] {
        check_claims(&with(&format!("\"rooms\":{rooms}")), Err(TokenFault::Rooms));
    }
    for (rooms, fault) in [
        (
            r#"{"pattern":"a*b","allow":["publish"]}"#,
            GrantFault::Asterisk,
        ),
        (r#"{"pattern":"a","allow":[]}"#, GrantFault::NoAction),
        (r#"{"pattern":"a","allow":["all"]}"#, GrantFault::Action),
    ] {
        let rooms = format!(r#""rooms":[{{"pattern":"a","allow":["run"]}},{rooms}]"#);
        check_claims(&with(&rooms), Err(TokenFault::Grant { entry: 2, fault }));
    }
}

#[test]
fn info_is_a_small_object() {
    let info = |info: &str| format!(r#"{{"sub":"ada","exp":{NOW},"info":{info}}}"#);
    let check = |text: &str, expected: Option<&str>| {
        let user = verify(&hs256(&info(text))).unwrap();
        let found = user.info.as_ref().map(|info| info.as_str());
        assert_eq!(found, expected, "{text}");
    };
    check("null", None);
    check("{}", Some("{}"));
    check("{ \"a\": [1, 2] }", Some("{ \"a\": [1, 2] }"));
    check("{\n \"a b\":\t\"c d\"}", Some("{\"a b\":\"c d\"}"));
    let filled = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    check(&filled(1024), Some(&filled(1024)));
    let deep =
        |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1), "{}") + &"}".repeat(depth - 1);
    check(&deep(16), Some(&deep(16)));
    for text in [&filled(1025), &deep(17), "7", "\"{}\"", "[{}]", "true"] {
        let refused = verify(&hs256(&info(text))).unwrap_err();
        let said = refused.to_string();
        assert!(
            said.contains("a JSON object of at most 1024 bytes"),
            "{said}"
        );
    }
}
