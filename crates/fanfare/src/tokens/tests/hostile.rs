//! The table of hostile tokens, and what each is refused for.

use super::*;

type Case = (&'static str, String, TokenRefusal);

/// A token with any header and claims, signed with the secret.
fn forge(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(hmac(SECRET.as_bytes(), &signed))
    )
}

/// Tokens that are none, or are changed.
fn bad_forms() -> Vec<Case> {
    use TokenRefusal::{Format, Signature, Size};
    let good = sign(&json!({}));
    let (header, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[31] ^= 1;
    let flipped = URL_SAFE_NO_PAD.encode(flipped);
    let root = URL_SAFE_NO_PAD.encode(r#"{"sub":"root","exp":4102444800}"#);
    vec![
        ("empty", String::new(), Format),
        ("one part", "x".to_owned(), Format),
        ("two parts", format!("{header}.{payload}"), Format),
        ("four parts", format!("{good}.{signature}"), Format),
        ("two tokens", format!("{good} {good}"), Format),
        ("two tokens joined", format!("{good}.{good}"), Format),
        ("padded", format!("{header}.{payload}.{signature}="), Format),
        ("white space", format!(" {good}"), Format),
        (
            "standard alphabet",
            format!("{header}.{payload}.+/{}", &signature[2..]),
            Format,
        ),
        ("no signature", format!("{header}.{payload}."), Signature),
        (
            "signature cut",
            format!("{header}.{payload}.{}", &signature[..40]),
            Signature,
        ),
        (
            "signature changed",
            format!("{header}.{payload}.{flipped}"),
            Signature,
        ),
        (
            "claims changed",
            format!("{header}.{root}.{signature}"),
            Signature,
        ),
        (
            "huge",
            forge(HEADER, &format!("{{\"a\":\"{}\"}}", "x".repeat(8_192))),
            Size,
        ),
    ]
}

/// Headers that lie, and claims that are no object, each signed rightly.
fn bad_parts() -> Vec<Case> {
    use TokenRefusal::{Algorithm as BadAlgorithm, Critical, Format, Key};
    let good = sign(&json!({}));
    let (_, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let body = Value::Object(claims(&json!({}))).to_string();
    let with = |header: &str| forge(header, &body);
    vec![
        (
            "alg none, no signature",
            format!("{none}.{payload}."),
            BadAlgorithm,
        ),
        (
            "alg none, with one",
            format!("{none}.{payload}.{signature}"),
            BadAlgorithm,
        ),
        ("alg None", with(r#"{"alg":"None"}"#), BadAlgorithm),
        ("alg in lower case", with(r#"{"alg":"hs256"}"#), BadAlgorithm),
        ("alg unknown", with(r#"{"alg":"HS1"}"#), BadAlgorithm),
        ("alg of no key", with(r#"{"alg":"HS512"}"#), Key),
        ("alg of another kind", with(r#"{"alg":"RS256"}"#), Key),
        ("no alg", with("{}"), Format),
        ("alg a list", with(r#"{"alg":["HS256"]}"#), Format),
        ("alg twice", with(r#"{"alg":"none","alg":"HS256"}"#), Format),
        ("kid a number", with(r#"{"alg":"HS256","kid":1}"#), Format),
        ("header a list", with("[]"), Format),
        ("header no JSON", with("alg"), Format),
        (
            "crit",
            with(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#),
            Critical,
        ),
        ("claims no JSON", forge(HEADER, "x"), Format),
        ("claims a list", forge(HEADER, "[]"), Format),
        (
            "claims twice",
            forge(HEADER, r#"{"sub":"ada","sub":"root","exp":1}"#),
            Format,
        ),
        (
            "claims deep",
            forge(HEADER, &format!("{{\"a\":{}", "[".repeat(2_000))),
            Format,
        ),
    ]
}

/// Claims that do not hold, each signed rightly, and what becomes of them.
fn unholding() -> Vec<(Value, TokenRefusal)> {
    use TokenRefusal::{Audience, Claims, Expired, Lifetime, NotYet, Purpose, Subject};
    let many: Map<String, Value> = (0..33).map(|at| (format!("c{at}"), json!("v"))).collect();
    vec![
        (json!({"exp": now() - 31}), Expired),
        (json!({"exp": 0}), Expired),
        (json!({"exp": null}), Claims),
        (json!({"exp": "4102444800"}), Claims),
        (json!({"exp": -1}), Claims),
        (json!({"exp": true}), Claims),
        (json!({"exp": [now() + 60]}), Claims),
        (json!({"exp": now() + 31 * 24 * 3_600}), Lifetime),
        (json!({"exp": u64::MAX}), Lifetime),
        (json!({"exp": 1e300}), Lifetime),
        (json!({"nbf": now() + 40}), NotYet),
        (json!({"nbf": "0"}), Claims),
        (json!({"iat": now() + 40}), NotYet),
        (json!({"iat": {}}), Claims),
        (json!({"sub": 7}), Subject),
        (json!({"sub": ["ada"]}), Subject),
        (json!({"sub": "a*"}), Subject),
        (json!({"sub": "x".repeat(201)}), Subject),
        (json!({"aud": "others"}), Audience),
        (json!({"aud": ["others"]}), Audience),
        (json!({"aud": 1}), Claims),
        (json!({"jti": 1}), Claims),
        (json!({"jti": ""}), Claims),
        (json!({"jti": "x".repeat(256)}), Claims),
        (json!({"topic": "news"}), Purpose),
        (json!({"topics": ["news"]}), Purpose),
        (json!({"topics": "news"}), Claims),
        (json!({"fanfare": []}), Claims),
        (json!({"fanfare": {"topics": "news"}}), Claims),
        (json!({"fanfare": {"topics": ["a b"]}}), Claims),
        (json!({"fanfare": {"topics": vec!["t"; 129]}}), Claims),
        (json!({"fanfare": {"publish": ["*********"]}}), Claims),
        (json!({"fanfare": {"publish": vec!["t"; 65]}}), Claims),
        (json!({"fanfare": {"pubilsh": ["t"]}}), Claims),
        (json!({"fanfare": {"info": "Ada"}}), Claims),
        (json!({"fanfare": {"info": {"a": "x".repeat(1_024)}}}), Claims),
        (json!({"team": vec!["t"; 33]}), Claims),
        (Value::Object(many), Claims),
    ]
}

/// The same in Centrifugo's words.
fn unholding_of_centrifugo() -> Vec<(Value, TokenRefusal)> {
    use TokenRefusal::{Claims, Expired, Purpose};
    vec![
        (json!({"channel": "news"}), Purpose),
        (json!({"channel": "news", "topic": "news"}), Claims),
        (json!({"channel": 1}), Claims),
        (json!({"channel": ""}), Claims),
        (json!({"channels": "news"}), Claims),
        (json!({"channels": [1]}), Claims),
        (json!({"channels": [""]}), Claims),
        (json!({"channels": ["x".repeat(256)]}), Claims),
        (
            json!({"channels": (0..129).map(|at| at.to_string()).collect::<Vec<_>>()}),
            Claims,
        ),
        (json!({"subs": ["news"]}), Claims),
        (
            json!({"subs": {"news": {"override": {"presence": {"value": false}}}}}),
            Claims,
        ),
        (
            json!({"subs": {"news": {"override": {"join_leave": {}}}}}),
            Claims,
        ),
        (json!({"subs": {"": {}}}), Claims),
        (json!({"info": "x".repeat(1_023)}), Claims),
        (json!({"b64info": 1}), Claims),
        (json!({"b64info": "?"}), Claims),
        (json!({"b64info": "AP8="}), Claims),
        (json!({"info": {}, "fanfare": {"info": {}}}), Claims),
        (json!({"channels": ["a"], "fanfare": {"topics": ["a"]}}), Claims),
        (json!({"subs": {"a": {}}, "fanfare": {"topics": ["a"]}}), Claims),
        (json!({"expire_at": now() - 31}), Expired),
        (json!({"expire_at": 1, "exp": now() + 60}), Expired),
        (json!({"expire_at": 0, "exp": now() - 31}), Expired),
        (json!({"expire_at": -1}), Claims),
        (json!({"expire_at": "0"}), Claims),
    ]
}

#[tokio::test]
async fn hostile_tokens_are_refused_each_for_its_cause() {
    let tokens = tokens();
    let cases = [bad_forms(), bad_parts()].concat();
    for (name, token, cause) in &cases {
        assert_eq!(tokens.authenticate(token).await, Err(*cause), "{name}");
    }
    let claims = [unholding(), unholding_of_centrifugo()].concat();
    for (changes, cause) in &claims {
        let outcome = tokens.authenticate(&sign(changes)).await;
        assert_eq!(outcome, Err(*cause), "{changes}");
    }
    assert!(tokens.authenticate(&sign(&json!({}))).await.is_ok());
    assert_eq!(tokens.accepted(), 1);
    let refused: u64 = TokenRefusal::ALL.iter().map(|&cause| tokens.refused(cause)).sum();
    assert_eq!(refused as usize, cases.len() + claims.len());
}

/// A key's address or the key itself in a header leads nowhere.
#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_looked_at() {
    let own = NewKey::generate(Algorithm::Hs256).unwrap();
    let secret = URL_SAFE_NO_PAD.encode(own.private());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let body = Value::Object(claims(&json!({"iss": url}))).to_string();
    for header in [
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": secret}}),
        json!({"alg": "HS256", "jku": url}),
        json!({"alg": "HS256", "x5u": url}),
        json!({"alg": "HS256", "kid": url}),
    ] {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(&header.to_string()), encode(&body));
        let signature = URL_SAFE_NO_PAD.encode(hmac(own.private().as_bytes(), &signed));
        let outcome = tokens().authenticate(&format!("{signed}.{signature}")).await;
        assert_eq!(outcome, Err(TokenRefusal::Signature), "{header}");
    }
    assert!(listener.accept().is_err(), "nobody came for keys");
}

const HEADER: &str = r#"{"alg":"HS256"}"#;
