//! Tokens as backends make them for Centrifugo.

use fanfare_hub::{Denial, Leave, RenewedBy};
use fanfare_protocol::Payload;
use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::dialect::centrifuge;

use super::*;

async fn admitted(changes: Value) -> Admission {
    tokens().authenticate(&sign(&changes)).await.unwrap()
}

fn names(topics: &[TopicName]) -> Vec<&str> {
    topics.iter().map(TopicName::as_str).collect()
}

#[tokio::test]
async fn a_connection_token_says_who_shows_it_and_what_it_receives() {
    let Admission {
        identity, topics, ..
    } = admitted(json!({
        "info": {"name": "Ada"},
        "channels": ["news", "$private", "news"],
        "subs": {"news": {"data": {}}, "dialog#ada,bob": {"info": {"a": 1}, "override": {"presence": {"value": true}}}},
        "meta": {"plan": "gold"},
        "team": "red",
        "caps": [],
    }))
    .await;
    assert_eq!(identity.user, Some(ada()));
    assert_eq!(identity.info.as_deref(), Some(r#"{"name":"Ada"}"#));
    assert_eq!(identity.meta.as_deref(), Some(r#"{"plan":"gold"}"#));
    assert_eq!(names(&topics), ["news", "%24private", "dialog%23ada,bob"]);
    let claims: Vec<_> = identity.claims.keys().map(AsRef::as_ref).collect();
    assert_eq!(claims, ["team"], "what has a meaning is none for templates");
}

#[tokio::test]
async fn what_says_nothing_is_as_if_it_was_not_there() {
    let nothing =
        json!({"info": null, "b64info": "", "channels": [], "subs": {}, "expire_at": null, "channel": null});
    let mut claims = claims(&json!({"fanfare": {"info": {"a": 1}, "topics": ["t"]}}));
    claims.extend(nothing.as_object().unwrap().clone());
    claims.remove("expire_at");
    let admission = tokens().authenticate(&signing().sign(&claims)).await.unwrap();
    assert_eq!(admission.identity.info.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(names(&admission.topics), ["t"]);
}

#[tokio::test]
async fn info_in_base64_goes_before_the_other() {
    // {"a":1}
    let admission = admitted(json!({"b64info": "eyJhIjoxfQ==", "info": {"b": 2}})).await;
    assert_eq!(admission.identity.info.as_deref(), Some(r#"{"a":1}"#));
}

#[tokio::test]
async fn an_empty_subject_is_nobody_in_particular() {
    let admission = admitted(json!({"sub": null, "info": {"guest": 1}})).await;
    assert_eq!(admission.identity.user, None, "as one that is absent");
    let admission = admitted(json!({"sub": "", "info": {"guest": 1}})).await;
    assert_eq!(admission.identity.user, None);
    assert_eq!(admission.identity.info.as_deref(), Some(r#"{"guest":1}"#));
}

#[tokio::test]
async fn a_connection_ends_when_the_token_says_and_else_with_it() {
    let end = async |changes| admitted(changes).await.identity.expires_at;
    let leeway = TokenLimits::default().leeway_ms;
    let at = now() + 7_000;
    let expected = Some(Timestamp(at * 1_000 + leeway));
    assert_eq!(end(json!({"exp": at})).await, expected);
    assert_eq!(end(json!({"expire_at": at})).await, expected);
    assert_eq!(end(json!({"expire_at": 0})).await, None);
    let far = now() + 40 * 24 * 3_600;
    assert_eq!(
        end(json!({"expire_at": far})).await,
        Some(Timestamp(far * 1_000 + leeway)),
        "what is bounded is the token"
    );
}

#[tokio::test]
async fn tokens_without_an_end_are_for_those_who_ask_for_them() {
    let endless = Tokens::new(TokensOptions {
        issuers: vec![issuer()],
        limits: TokenLimits {
            lifetime_max_ms: 0,
            ..TokenLimits::default()
        },
        ..TokensOptions::default()
    })
    .unwrap();
    let token = sign(&json!({"exp": null, "jti": "one"}));
    assert_eq!(tokens().authenticate(&token).await, Err(TokenRefusal::Claims));
    let admission = endless.authenticate(&token).await.unwrap();
    assert_eq!(admission.identity.expires_at, None);
    let far = sign(&json!({"exp": now() + 4_000_000_000}));
    assert!(endless.authenticate(&far).await.is_ok());
    let ended = sign(&json!({"exp": now() - 31}));
    assert_eq!(endless.authenticate(&ended).await, Err(TokenRefusal::Expired));
    endless.revoke_token("one", None).unwrap();
    endless.revoke_user(&ada()).unwrap();
    assert_eq!(endless.authenticate(&token).await, Err(TokenRefusal::Revoked));
    let again = sign(&json!({"exp": null, "jti": "two"}));
    assert_eq!(endless.authenticate(&again).await, Err(TokenRefusal::Revoked));
}

/// What becomes of a subscription token for the channel `$a` with these claims beside, shown by a user on `here`.
async fn shown(changes: &Value, user: Option<&UserName>, here: ConnectionId) -> Option<ErrorCode> {
    let mut all = json!({"channel": "$a"});
    all.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    let topics = [TopicName::parse("%24a").unwrap()];
    let outcome = tokens().authorise(&sign(&all), (user, here), &topics).await;
    outcome
        .err()
        .map(|refusal| code_of(refusal.denial_to_subscribe()))
}

#[tokio::test]
async fn a_subscription_token_is_for_its_user_its_channel_and_its_client() {
    let (here, there) = (ConnectionId::new(0, 1, 2), ConnectionId::new(0, 1, 3));
    let client = |connection| json!({"client": centrifuge::client_of(connection)});
    let (ada, bob) = (ada(), UserName::parse("bob").unwrap());
    for (changes, user) in [
        (json!({}), Some(&ada)),
        (client(here), Some(&ada)),
        (
            json!({"client": "", "info": {}, "data": 1, "expire_at": 0}),
            Some(&ada),
        ),
        (json!({"override": {"presence": {"value": true}}}), Some(&ada)),
        (json!({"sub": null}), None),
        (json!({"sub": ""}), None),
    ] {
        assert_eq!(shown(&changes, user, here).await, None, "{changes} {user:?}");
    }
    for (changes, user) in [
        (json!({"channel": "$b"}), Some(&ada)),
        (json!({"channel": "%24a"}), Some(&ada)),
        (json!({"channel": null}), Some(&ada)),
        (json!({}), Some(&bob)),
        (json!({}), None),
        (json!({"sub": ""}), Some(&ada)),
        (client(there), Some(&ada)),
        (json!({"client": "somebody"}), Some(&ada)),
    ] {
        let code = shown(&changes, user, here).await;
        assert_eq!(code, Some(ErrorCode::TokenMismatch), "{changes} {user:?}");
    }
    for (changes, expected) in [
        (json!({"exp": now() - 31}), ErrorCode::TokenExpired),
        (json!({"expire_at": now() - 31}), ErrorCode::TokenExpired),
        (json!({"client": 7}), ErrorCode::Unauthenticated),
        (json!({"nbf": now() + 60}), ErrorCode::Unauthenticated),
        (
            json!({"override": {"join_leave": {"value": false}}}),
            ErrorCode::Unauthenticated,
        ),
    ] {
        assert_eq!(
            shown(&changes, Some(&ada), here).await,
            Some(expected),
            "{changes}"
        );
    }
}

#[tokio::test]
async fn an_end_is_told_from_every_other_fault() {
    for (changes, expected) in [
        (json!({"exp": now() - 31}), ErrorCode::TokenExpired),
        (json!({"expire_at": now() - 31}), ErrorCode::TokenExpired),
        (json!({"nbf": now() + 60}), ErrorCode::Unauthenticated),
        (json!({"aud": "others"}), ErrorCode::Unauthenticated),
        (json!({"channel": "a"}), ErrorCode::Unauthenticated),
    ] {
        let refusal = tokens().authenticate(&sign(&changes)).await.unwrap_err();
        assert_eq!(code_of(refusal.denial()), expected, "{changes}");
    }
}

/// What comes with a subscription by a token with these claims, for the topic `a`.
async fn leave(claims: Value) -> Result<Leave, TokenRefusal> {
    let whose = (Some(&ada()), ConnectionId::new(0, 1, 2));
    let topics = [TopicName::parse("a").unwrap()];
    tokens().authorise(&sign(&claims), whose, &topics).await
}

#[tokio::test]
async fn a_subscription_ends_when_its_token_says_and_else_with_it() {
    let at = now() + 7_000;
    let end = Some(Timestamp(at * 1_000 + TokenLimits::default().leeway_ms));
    for (claims, expected) in [
        (json!({"channel": "a", "exp": at}), end),
        (json!({"channel": "a", "expire_at": at}), end),
        (json!({"channel": "a", "expire_at": 0}), None),
        (json!({"topic": "a", "exp": at}), None),
        (json!({"topics": ["b", "a"], "expire_at": at}), end),
    ] {
        let leave = leave(claims.clone()).await.unwrap();
        assert_eq!(leave.expires_at, expected, "{claims}");
        assert_eq!(leave.renewed_by, RenewedBy::Client, "{claims}");
    }
}

#[tokio::test]
async fn data_and_info_come_with_a_subscription() {
    let json = |value: Value| Payload::serialize(&value).unwrap();
    for (words, data, info) in [
        (
            json!({"data": {"a": 1}, "info": [1]}),
            Some(json(json!({"a": 1}))),
            Some("[1]"),
        ),
        (
            json!({"data": null, "info": null, "b64data": "", "b64info": ""}),
            None,
            None,
        ),
        // {"a":1}, and bytes that are no JSON.
        (
            json!({"data": 1, "info": 1, "b64data": "eyJhIjoxfQ==", "b64info": "eyJhIjoxfQ=="}),
            Some(json(json!({"a": 1}))),
            Some(r#"{"a":1}"#),
        ),
        (
            json!({"b64data": "AP8="}),
            Some(Payload::binary(&b"\x00\xff"[..])),
            None,
        ),
    ] {
        let mut claims = words.clone();
        claims["channel"] = json!("a");
        let leave = leave(claims).await.unwrap();
        assert_eq!((&leave.data, leave.info.as_deref()), (&data, info), "{words}");
        let admission = admitted(json!({"subs": {"$a": words, "b": {}}})).await;
        let (topic, leave) = &admission.leaves[0];
        assert_eq!(topic.as_str(), "%24a");
        assert_eq!((&leave.data, leave.info.as_deref()), (&data, info), "{words}");
        assert_eq!(admission.leaves[1].1, Leave::default());
    }
    for wrong in [
        json!({"b64data": 7}),
        json!({"b64data": "?"}),
        json!({"b64info": "AP8="}),
        json!({"info": "x".repeat(1_024)}),
    ] {
        let mut claims = wrong.clone();
        claims["channel"] = json!("a");
        assert_eq!(leave(claims).await, Err(TokenRefusal::Claims), "{wrong}");
        let outcome = tokens().authenticate(&sign(&json!({"subs": {"a": wrong}}))).await;
        assert_eq!(outcome.err(), Some(TokenRefusal::Claims), "{wrong}");
    }
}

/// Every family of algorithms: what is said in Centrifugo's words holds under each.
#[tokio::test]
async fn every_algorithm_carries_them() {
    for &algorithm in Algorithm::ALL {
        let pair = NewKey::generate(algorithm).unwrap();
        let issuer = IssuerOptions {
            keys: vec![TokenKey::new(None, algorithm, pair.public().as_bytes()).unwrap()],
            ..IssuerOptions::default()
        };
        let tokens = tokens_of(vec![issuer]);
        let signing = SigningKey::new(None, algorithm, pair.private().as_bytes()).unwrap();
        let token = signing.sign(&claims(&json!({"channels": ["$a"]})));
        let admission = tokens.authenticate(&token).await.unwrap();
        assert_eq!(names(&admission.topics), ["%24a"], "{algorithm}");
        let ended = signing.sign(&claims(&json!({"exp": 1})));
        assert_eq!(
            tokens.authenticate(&ended).await,
            Err(TokenRefusal::Expired),
            "{algorithm}"
        );
        let token = signing.sign(&claims(&json!({"channel": "$a"})));
        let whose = (Some(&ada()), ConnectionId::new(0, 1, 2));
        let outcome = tokens.authorise(&token, whose, &admission.topics).await;
        assert!(outcome.is_ok(), "{algorithm}");
    }
}

fn code_of(denial: Denial) -> ErrorCode {
    match denial {
        Denial::Refused { code, .. } => code,
        Denial::Closed(cause) => panic!("{cause:?}"),
    }
}
