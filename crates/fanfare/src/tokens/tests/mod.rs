//! Tokens that are right, and those that are not.

mod centrifugo;
mod hostile;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_protocol::{TopicName, UserName};
use serde_json::{Map, Value, json};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Seconds since 1970.
fn now() -> u64 {
    wall().0 / 1_000
}

/// Claims of `ada`, with others in their place or beside them; `null` takes one away.
fn claims(changes: &Value) -> Map<String, Value> {
    let mut claims = json!({"sub": "ada", "exp": now() + 60})
        .as_object()
        .unwrap()
        .clone();
    for (name, value) in changes.as_object().unwrap() {
        claims.insert(name.clone(), value.clone());
    }
    claims.retain(|_, value| !value.is_null());
    claims
}

fn signing() -> SigningKey {
    SigningKey::new(None, Algorithm::Hs256, SECRET.as_bytes()).unwrap()
}

fn sign(changes: &Value) -> String {
    signing().sign(&claims(changes))
}

fn hmac(secret: &[u8], text: &str) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn issuer() -> IssuerOptions {
    IssuerOptions {
        keys: vec![TokenKey::new(None, Algorithm::Hs256, SECRET.as_bytes()).unwrap()],
        ..IssuerOptions::default()
    }
}

fn tokens_of(issuers: Vec<IssuerOptions>) -> Tokens {
    Tokens::new(TokensOptions {
        issuers,
        ..TokensOptions::default()
    })
    .unwrap()
}

fn tokens() -> Tokens {
    tokens_of(vec![issuer()])
}

fn ada() -> UserName {
    UserName::parse("ada").unwrap()
}

#[tokio::test]
async fn a_weak_secret_verifies_what_it_signed() {
    let issuer = IssuerOptions {
        keys: vec![TokenKey::of_weak_secret(None, Algorithm::Hs256, b"secret").unwrap()],
        ..IssuerOptions::default()
    };
    let tokens = tokens_of(vec![issuer]);
    let token = |secret: &[u8]| {
        let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
        let claims = encode(Value::Object(claims(&json!({}))).to_string());
        let signed = format!("{}.{claims}", encode(r#"{"alg":"HS256"}"#.to_owned()));
        let signature = URL_SAFE_NO_PAD.encode(hmac(secret, &signed));
        format!("{signed}.{signature}")
    };
    let admission = tokens.authenticate(&token(b"secret")).await.unwrap();
    assert_eq!(admission.identity.user, Some(ada()));
    assert_eq!(
        tokens.authenticate(&token(b"secreT")).await,
        Err(TokenRefusal::Signature)
    );
    assert!(TokenKey::of_weak_secret(None, Algorithm::Hs256, b"").is_err());
    assert!(TokenKey::of_weak_secret(None, Algorithm::Rs256, b"secret").is_err());
}

#[tokio::test]
async fn what_a_token_says_is_who_shows_it() {
    let claims = json!({
        "jti": "one",
        "iat": now(),
        "nbf": now(),
        "team": ["red", "blue"],
        "org": "acme",
        "age": 36,
        "fanfare": {
            "topics": ["news", "team:red"],
            "subscribe": ["chat:*"],
            "publish": ["chat:ada"],
            "presence": ["chat:*"],
            "history": ["news"],
            "info": {"name": "Ada"},
        },
    });
    let Admission { identity, topics, .. } = tokens().authenticate(&sign(&claims)).await.unwrap();
    assert_eq!(identity.user.as_ref().map(UserName::as_str), Some("ada"));
    assert_eq!(identity.info.as_deref(), Some(r#"{"name":"Ada"}"#));
    assert_eq!(identity.token_id.as_deref(), Some("one"));
    assert_eq!(
        topics,
        ["news", "team:red"].map(|name| TopicName::parse(name).unwrap())
    );
    let values = |name: &str| identity.claims.get(name).map(|values| values.join(","));
    assert_eq!(
        (values("team"), values("org")),
        (Some("red,blue".to_owned()), Some("acme".to_owned()))
    );
    assert_eq!(
        identity.claims.len(),
        2,
        "numbers and what has a meaning of its own are left out"
    );
    assert_eq!(identity.grants.publish, ["chat:ada".parse().unwrap()]);
    let ends_at = identity.expires_at.unwrap().0;
    assert!(
        (now() + 60) * 1_000 <= ends_at && ends_at <= (now() + 91) * 1_000,
        "{ends_at}"
    );
}

#[tokio::test]
async fn every_algorithm_signs_and_verifies_with_a_key_of_its_own_alone() {
    for &algorithm in Algorithm::ALL {
        let (pair, other) = (
            NewKey::generate(algorithm).unwrap(),
            NewKey::generate(algorithm).unwrap(),
        );
        let issuer = |key: &NewKey| IssuerOptions {
            keys: vec![TokenKey::new(Some("k"), algorithm, key.public().as_bytes()).unwrap()],
            ..IssuerOptions::default()
        };
        let signing = SigningKey::new(Some("k"), algorithm, pair.private().as_bytes()).unwrap();
        let token = signing.sign(&claims(&json!({})));
        let outcome = tokens_of(vec![issuer(&pair)]).authenticate(&token).await;
        assert!(outcome.is_ok(), "{algorithm}: {outcome:?}");
        let outcome = tokens_of(vec![issuer(&other)]).authenticate(&token).await;
        assert_eq!(outcome, Err(TokenRefusal::Signature), "{algorithm}");
    }
}

#[tokio::test]
async fn what_the_client_is_told_does_not_say_why() {
    let words: std::collections::BTreeSet<String> = TokenRefusal::ALL
        .iter()
        .filter(|cause| ![TokenRefusal::KeysUnavailable, TokenRefusal::Expired].contains(cause))
        .map(|cause| format!("{:?}", cause.denial()))
        .collect();
    assert_eq!(words.len(), 1, "{words:?}");
}

/// An end, and whose something is, can be told of what was signed rightly alone.
#[tokio::test]
async fn nothing_is_told_of_a_token_whose_signature_is_wrong() {
    let tokens = tokens();
    let forged = |changes: &Value| {
        let token = sign(changes);
        let (rest, _) = token.rsplit_once('.').unwrap();
        format!("{rest}.{}", URL_SAFE_NO_PAD.encode([0; 32]))
    };
    let ended = tokens.authenticate(&forged(&json!({"exp": 1}))).await;
    assert_eq!(ended, Err(TokenRefusal::Signature));
    let topics = [TopicName::parse("a").unwrap()];
    let whose = (None, ConnectionId::new(0, 1, 2));
    let others = tokens
        .authorise(&forged(&json!({"topic": "a"})), whose, &topics)
        .await;
    assert_eq!(others, Err(TokenRefusal::Signature));
}

#[tokio::test]
async fn clocks_may_differ_a_little_and_never_much() {
    let late = sign(&json!({"exp": now() - 10}));
    assert!(tokens().authenticate(&late).await.is_ok());
    let generous = Tokens::new(TokensOptions {
        issuers: vec![issuer()],
        limits: TokenLimits {
            leeway_ms: u64::MAX,
            ..TokenLimits::default()
        },
        ..TokensOptions::default()
    })
    .unwrap();
    let outcome = generous.authenticate(&sign(&json!({"exp": now() - 302}))).await;
    assert_eq!(outcome, Err(TokenRefusal::Expired));
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let pair = NewKey::generate(Algorithm::Rs256).unwrap();
    let public = pair.public().as_bytes();
    let rsa = IssuerOptions {
        keys: vec![TokenKey::new(None, Algorithm::Rs256, public).unwrap()],
        ..IssuerOptions::default()
    };
    // Signed with what everybody knows, as if it were a secret.
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let body = Value::Object(claims(&json!({}))).to_string();
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#.to_owned()), encode(body));
    let confused = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac(public, &signed)));
    let outcome = tokens_of(vec![rsa]).authenticate(&confused).await;
    assert_eq!(outcome, Err(TokenRefusal::Key));
    let configured = TokenKey::new(None, Algorithm::Hs256, public);
    assert_eq!(
        configured,
        Err(TokenKeyError::Pem {
            algorithm: Algorithm::Hs256
        })
    );
}

#[test]
fn what_is_no_whole_key_of_its_algorithm_is_refused() {
    for &algorithm in Algorithm::ALL {
        let key = NewKey::generate(algorithm).unwrap();
        let public = key.public();
        for material in ["", "x", &public[..public.len() / 4]] {
            assert!(
                TokenKey::new(None, algorithm, material.as_bytes()).is_err(),
                "{algorithm}: {material:?}"
            );
            assert!(
                SigningKey::new(None, algorithm, material.as_bytes()).is_err(),
                "{algorithm}"
            );
        }
        if let NewKey::Pair { private, public } = &key {
            assert!(
                TokenKey::new(None, algorithm, private.as_bytes()).is_err(),
                "{algorithm}"
            );
            assert!(
                SigningKey::new(None, algorithm, public.as_bytes()).is_err(),
                "{algorithm}"
            );
        }
    }
    let (p256, p384) = (
        NewKey::generate(Algorithm::Es256),
        NewKey::generate(Algorithm::Es384),
    );
    for (algorithm, key) in [(Algorithm::Es384, p256), (Algorithm::Es256, p384)] {
        let key = key.unwrap();
        assert!(
            TokenKey::new(None, algorithm, key.public().as_bytes()).is_err(),
            "{algorithm}"
        );
    }
}

#[tokio::test]
async fn a_token_is_held_to_the_key_that_it_names() {
    let key = |id: &str, secret: &str| TokenKey::new(Some(id), Algorithm::Hs256, secret.as_bytes()).unwrap();
    let other = "fedcba9876543210fedcba9876543210";
    let two = IssuerOptions {
        keys: vec![key("old", other), key("new", SECRET)],
        ..IssuerOptions::default()
    };
    let tokens = tokens_of(vec![two]);
    let sign = |id: Option<&str>| {
        let key = SigningKey::new(id, Algorithm::Hs256, SECRET.as_bytes()).unwrap();
        key.sign(&claims(&json!({})))
    };
    assert!(tokens.authenticate(&sign(Some("new"))).await.is_ok());
    assert!(tokens.authenticate(&sign(None)).await.is_ok());
    assert_eq!(
        tokens.authenticate(&sign(Some("old"))).await,
        Err(TokenRefusal::Signature)
    );
    assert_eq!(
        tokens.authenticate(&sign(Some("../new"))).await,
        Err(TokenRefusal::Key)
    );
    // Another set of keys, while it runs.
    let new = IssuerOptions {
        keys: vec![key("newer", SECRET)],
        ..IssuerOptions::default()
    };
    tokens.set_issuers(vec![new]).unwrap();
    assert_eq!(
        tokens.authenticate(&sign(Some("new"))).await,
        Err(TokenRefusal::Key)
    );
    assert!(tokens.authenticate(&sign(Some("newer"))).await.is_ok());
}

#[tokio::test]
async fn an_issuers_keys_are_for_its_own_tokens() {
    let other = "fedcba9876543210fedcba9876543210";
    let of = |name: &str, secret: &str| IssuerOptions {
        name: Some(name.to_owned()),
        audiences: vec!["fanfare".to_owned()],
        keys: vec![TokenKey::new(Some("k"), Algorithm::Hs256, secret.as_bytes()).unwrap()],
        ..IssuerOptions::default()
    };
    let tokens = tokens_of(vec![of("a", SECRET), of("b", other)]);
    for (changes, expected) in [
        (json!({"iss": "a", "aud": "fanfare"}), None),
        (json!({"iss": "a", "aud": ["x", "fanfare"]}), None),
        (
            json!({"iss": "b", "aud": "fanfare"}),
            Some(TokenRefusal::Signature),
        ),
        (json!({"iss": "c", "aud": "fanfare"}), Some(TokenRefusal::Issuer)),
        (json!({"iss": null, "aud": "fanfare"}), Some(TokenRefusal::Issuer)),
        (
            json!({"iss": ["a"], "aud": "fanfare"}),
            Some(TokenRefusal::Claims),
        ),
        (json!({"iss": "A", "aud": "fanfare"}), Some(TokenRefusal::Issuer)),
        (json!({"iss": "a"}), Some(TokenRefusal::Audience)),
        (json!({"iss": "a", "aud": []}), Some(TokenRefusal::Audience)),
        (
            json!({"iss": "a", "aud": "Fanfare"}),
            Some(TokenRefusal::Audience),
        ),
    ] {
        let outcome = tokens.authenticate(&sign(&changes)).await.err();
        assert_eq!(outcome, expected, "{changes}");
    }
    let twice = Tokens::new(TokensOptions {
        issuers: vec![of("a", SECRET), of("a", other)],
        ..TokensOptions::default()
    });
    assert_eq!(twice.err(), Some(TokensError::Twice));
}

#[tokio::test]
async fn a_subscription_token_is_for_its_user_and_its_topics() {
    let tokens = tokens();
    let topics = |names: &[&str]| -> Vec<TopicName> {
        names.iter().map(|name| TopicName::parse(name).unwrap()).collect()
    };
    let bob = UserName::parse("bob").unwrap();
    let (one, two) = (json!({"topic": "a"}), json!({"topics": ["a", "b"]}));
    let nobodys = json!({"topic": "a", "sub": null});
    for (changes, user, names, expected) in [
        (&one, Some(&ada()), &["a"][..], None),
        (&two, Some(&ada()), &["b", "a"], None),
        (&nobodys, None, &["a"], None),
        (&one, Some(&ada()), &["a", "b"], Some(TokenRefusal::Purpose)),
        (&one, Some(&bob), &["a"], Some(TokenRefusal::Subject)),
        (&one, None, &["a"], Some(TokenRefusal::Subject)),
        (&nobodys, Some(&ada()), &["a"], Some(TokenRefusal::Subject)),
        (
            &json!({"topic": "*"}),
            Some(&ada()),
            &["a"],
            Some(TokenRefusal::Claims),
        ),
        (&json!({}), Some(&ada()), &["a"], Some(TokenRefusal::Purpose)),
        (
            &json!({"topic": "a", "exp": 1}),
            Some(&ada()),
            &["a"],
            Some(TokenRefusal::Expired),
        ),
    ] {
        let whose = (user, ConnectionId::new(0, 1, 2));
        let outcome = tokens
            .authorise(&sign(changes), whose, &topics(names))
            .await
            .err();
        assert_eq!(outcome, expected, "{changes} {user:?} {names:?}");
    }
}

#[tokio::test]
async fn revoked_tokens_are_refused() {
    let tokens = tokens();
    let one = sign(&json!({"jti": "one", "iat": now() - 5}));
    let two = sign(&json!({"jti": "two", "iat": now() - 5}));
    tokens.revoke_token("one", None).unwrap();
    assert_eq!(tokens.authenticate(&one).await, Err(TokenRefusal::Revoked));
    assert!(tokens.authenticate(&two).await.is_ok());
    tokens.revoke_user(&ada()).unwrap();
    assert_eq!(tokens.authenticate(&two).await, Err(TokenRefusal::Revoked));
    assert_eq!(
        tokens.authenticate(&sign(&json!({}))).await,
        Err(TokenRefusal::Revoked)
    );
    let bobs = sign(&json!({"sub": "bob"}));
    assert!(tokens.authenticate(&bobs).await.is_ok());
    let newer = sign(&json!({"iat": now() + 2}));
    assert!(tokens.authenticate(&newer).await.is_ok());
    assert_eq!(tokens.revoked(), 2);
}

#[tokio::test]
async fn only_the_claims_that_are_wanted_count() {
    let mut many: Map<String, Value> = (0..60).map(|at| (format!("c{at}"), json!("v"))).collect();
    many.insert("team".to_owned(), json!(["red", "x".repeat(256), ""]));
    let tokens = Tokens::new(TokensOptions {
        issuers: vec![issuer()],
        claims: vec!["team".to_owned()],
        ..TokensOptions::default()
    })
    .unwrap();
    let admission = tokens.authenticate(&sign(&Value::Object(many))).await.unwrap();
    let claims: Vec<_> = admission.identity.claims.iter().collect();
    assert_eq!(claims, [(&Box::from("team"), &vec![Box::from("red")])]);
}
