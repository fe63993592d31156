//! Whose tokens are accepted.

use super::draft::{Draft, Place};
use super::settings::Settings;
use crate::options::refusal;

/// Carries the keys over, and what tokens must say.
///
/// Where one of the things that a token must say cannot be carried over, no key is: more tokens would be accepted than before.
pub(super) fn map(settings: &Settings, draft: &mut Draft) {
    let unsaid: Vec<_> = UNSAID
        .iter()
        .map(|key| format!("client.token.{key}"))
        .filter(|path| settings.text(path).is_some())
        .collect();
    for path in &unsaid {
        draft.lost(
            Place::Tokens,
            &settings.shown(path),
            "tokens cannot be held to it, so that no key is carried over and all are refused; set token_issuer and token_audience to \
             exact values and name the user in `sub`, then set token_key",
        );
    }
    if !unsaid.is_empty() {
        return;
    }
    let demands = [("audience", "token_audience"), ("issuer", "token_issuer")];
    let refused = demands
        .iter()
        .any(|(key, option)| !is_sayable(settings, draft, key, option));
    if refused {
        return;
    }
    carry_keys(settings, draft);
    if draft.has("token_key") || draft.has("token_jwks_url") {
        carry_demands(settings, draft);
    }
    if settings.switch("client.subscription_token.enabled") {
        draft.lost(
            Place::Tokens,
            &settings.shown("client.subscription_token.enabled"),
            "keys verify both kinds of tokens here, so that rules which left channels to subscription tokens say `nobody`; sign them \
             with the key of connection tokens, and say `granted` in those rules",
        );
    }
}

/// Whether an option takes what tokens must say; if not, no key is carried over.
fn is_sayable(settings: &Settings, draft: &mut Draft, key: &str, option: &'static str) -> bool {
    let path = format!("client.token.{key}");
    let why = settings
        .text(&path)
        .and_then(|text| refusal(option, &text.into()));
    if let Some(why) = &why {
        let text = format!(
            "not carried over to {option}, and neither is any key, so that all tokens are refused: {why}"
        );
        draft.lost(Place::Tokens, &settings.shown(&path), &text);
    }
    why.is_none()
}

fn carry_demands(settings: &Settings, draft: &mut Draft) {
    let subject = settings.shown("client.token");
    draft.note(
        Place::Tokens,
        &subject,
        "tokens may end at any time, or never, as before: bound that with token_lifetime_max; one with an empty `sub` lets a client \
         in without a name, which is one of the subscribers where another token lets it subscribe",
    );
    draft.set(Place::Tokens, "token_lifetime_max", "0s", &subject);
    // Who comes with a token that is just over is told so, and asks the backend for another.
    draft.set(Place::Tokens, "token_leeway", "0s", &subject);
    if let Some(issuer) = settings.text("client.token.issuer") {
        draft.set(
            Place::Tokens,
            "token_issuer",
            issuer,
            &settings.shown("client.token.issuer"),
        );
    }
    let subject = settings.shown("client.token.audience");
    match settings.text("client.token.audience") {
        Some(audience) => {
            let audience = toml::Value::Array(vec![audience.into()]);
            draft.set(Place::Tokens, "token_audience", audience, &subject);
        }
        None => draft.note(Place::Tokens, &subject, "there is none, so that tokens for anyone in particular (`aud`) are refused; name it in token_audience"),
    }
}

fn carry_keys(settings: &Settings, draft: &mut Draft) {
    let mut keys: Vec<toml::Value> = Vec::new();
    for (key, algorithms, rule) in KEYS {
        let path = format!("client.token.{key}");
        let Some(material) = settings.text(&path) else {
            continue;
        };
        // What begins so is the name of a file here.
        let candidates = algorithms.iter().filter(|_| !material.starts_with('@'));
        let texts = candidates.map(|algorithm| toml::Value::from(format!("{algorithm}:{material}")));
        let taken: Vec<_> = texts
            .filter(|text| refusal("token_key", text).is_none())
            .collect();
        let weak = toml::Value::from(format!("weak-hs256:{material}"));
        let is_short = *key == "hmac_secret_key" && !material.starts_with('@');
        if taken.is_empty() && is_short && refusal("token_key", &weak).is_none() {
            let text = "it is so short that who sees one token can guess it, and is anybody then, as before; it verifies HS256 alone; \
                        make another with `fanfare keygen HS256`, and give it to the backend";
            draft.note(Place::Tokens, &settings.shown(&path), text);
            keys.push(weak);
        } else if taken.is_empty() {
            draft.lost(
                Place::Tokens,
                &settings.shown(&path),
                &format!("no algorithm takes it, so that tokens which it signed are refused; {rule}"),
            );
        } else if taken.len() < algorithms.len() && *key == "hmac_secret_key" {
            let untaken = algorithms[taken.len()..].join(", ").to_uppercase();
            let text = format!("it is too short for {untaken}, whose tokens are refused");
            draft.note(Place::Tokens, &settings.shown(&path), &text);
        }
        keys.extend(taken);
    }
    if !keys.is_empty() {
        draft.set(
            Place::Tokens,
            "token_key",
            toml::Value::Array(keys),
            &settings.shown("client.token"),
        );
    }
    if let Some(url) = settings.text("client.token.jwks_public_endpoint") {
        draft.set(
            Place::Tokens,
            "token_jwks_url",
            url,
            &settings.shown("client.token.jwks_public_endpoint"),
        );
    }
}

/// What a token must say and no option does.
const UNSAID: [&str; 3] = ["audience_regex", "issuer_regex", "user_id_claim"];

/// Keys, what they may verify, and what to do where they verify nothing.
const KEYS: &[(&str, &[&str], &str)] = &[
    (
        "hmac_secret_key",
        &["hs256", "hs384", "hs512"],
        "a secret has at least 32 bytes and no `@` in front; make one with `fanfare keygen HS256`, and give it to the backend",
    ),
    (
        "rsa_public_key",
        &["rs256", "rs384", "rs512"],
        "name a public key of at least 2048 bits in PEM with token_key",
    ),
    (
        "ecdsa_public_key",
        &["es256", "es384"],
        "name a public key of P-256 or P-384 in PEM with token_key",
    ),
];
