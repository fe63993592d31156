//! Tokens as backends make them for Centrifugo.

use fanfare_hub::Denial;
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
    let Admission { identity, topics } = admitted(json!({
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

#[tokio::test]
async fn a_subscription_token_is_for_its_user_its_channel_and_its_client() {
    let tokens = tokens();
    let (here, there) = (ConnectionId::new(0, 1, 2), ConnectionId::new(0, 1, 3));
    let client = |connection| centrifuge::client_of(connection);
    let bob = UserName::parse("bob").unwrap();
    let (ada, bob) = (Some(ada()), Some(bob));
    let mismatch = Some(ErrorCode::TokenMismatch);
    for (changes, user, topic, expected) in [
        (json!({"channel": "$a"}), &ada, "%24a", None),
        (
            json!({"channel": "$a", "client": client(here)}),
            &ada,
            "%24a",
            None,
        ),
        (
            json!({"channel": "$a", "client": "", "info": {}, "data": 1}),
            &ada,
            "%24a",
            None,
        ),
        (json!({"channel": "$a", "expire_at": 0}), &ada, "%24a", None),
        (json!({"channel": "$a", "sub": null}), &None, "%24a", None),
        (json!({"channel": "$a", "sub": ""}), &None, "%24a", None),
        (json!({"channel": "$b"}), &ada, "%24a", mismatch),
        (json!({"channel": "%24a"}), &ada, "%24a", mismatch),
        (json!({"channel": "$a"}), &bob, "%24a", mismatch),
        (json!({"channel": "$a"}), &None, "%24a", mismatch),
        (json!({"channel": "$a", "sub": ""}), &ada, "%24a", mismatch),
        (
            json!({"channel": "$a", "client": client(there)}),
            &ada,
            "%24a",
            mismatch,
        ),
        (
            json!({"channel": "$a", "client": "somebody"}),
            &ada,
            "%24a",
            mismatch,
        ),
        (json!({}), &ada, "%24a", mismatch),
        (
            json!({"channel": "$a", "exp": now() - 31}),
            &ada,
            "%24a",
            Some(ErrorCode::TokenExpired),
        ),
        (
            json!({"channel": "$a", "expire_at": now() - 31}),
            &ada,
            "%24a",
            Some(ErrorCode::TokenExpired),
        ),
        (
            json!({"channel": "$a", "client": 7}),
            &ada,
            "%24a",
            Some(ErrorCode::Unauthenticated),
        ),
        (
            json!({"channel": "$a", "override": {"join_leave": {"value": false}}}),
            &ada,
            "%24a",
            Some(ErrorCode::Unauthenticated),
        ),
    ] {
        let topics = [TopicName::parse(topic).unwrap()];
        let outcome = tokens
            .authorise(&sign(&changes), (user.as_ref(), here), &topics)
            .await;
        let code = outcome
            .err()
            .map(|refusal| code_of(refusal.denial_to_subscribe()));
        assert_eq!(code, expected, "{changes} {user:?}");
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
        assert_eq!(outcome, Ok(()), "{algorithm}");
    }
}

fn code_of(denial: Denial) -> ErrorCode {
    match denial {
        Denial::Refused { code, .. } => code,
        Denial::Closed(cause) => panic!("{cause:?}"),
    }
}
