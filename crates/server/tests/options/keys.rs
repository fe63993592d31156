//! Keys, which are never shown, and a bad value for every other option of tokens and of TLS.

use super::{ConfigFile, code, fanfare, line, printed, stderr};

/// Key, value, the same in TOML, and parts of the rule and of the way out.
pub(crate) const TOKEN_VALUES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "token_jwks_url",
        "http://id.example/keys",
        "\"http://id.example/keys\"",
        "fetched from `https://HOST/PATH`",
        "write `https://id.example/keys`",
    ),
    (
        "token_issuer",
        "a b",
        "\"a b\"",
        "without blanks",
        "write it without them",
    ),
    (
        "token_audience",
        "a b",
        "[\"a b\"]",
        "without blanks",
        "write it without them",
    ),
    (
        "token_leeway",
        "6m",
        "\"6m\"",
        "to 5m",
        "write a duration in that range",
    ),
    (
        "token_lifetime_max",
        "11years",
        "\"11years\"",
        "from 0s to",
        "write a duration in that range",
    ),
    (
        "token_claim",
        "a b",
        "[\"a b\"]",
        "without blanks",
        "write it without them",
    ),
    (
        "tls_cert",
        "certs/",
        "[\"certs/\"]",
        "name a file",
        "`/etc/fanfare/cert.pem`",
    ),
    (
        "tls_key",
        "keys/",
        "[\"keys/\"]",
        "name a file",
        "`/etc/fanfare/cert.pem`",
    ),
    (
        "tls_client_ca",
        "/",
        "[\"/\"]",
        "name a file",
        "`/etc/fanfare/cert.pem`",
    ),
    (
        "tls_client_required",
        "always",
        "\"always\"",
        "on or off",
        "`true` or `false`",
    ),
    (
        "tls_min_version",
        "1.1",
        "\"1.1\"",
        "still safe",
        "`1.2` or `1.3`",
    ),
];

#[test]
fn a_bad_key_is_refused_without_being_shown() {
    let file = ConfigFile::new("secret", "api_key = [\"tooshort\"]");
    for output in [
        fanfare(&["serve", "--api-key", "tooshort"]).output().unwrap(),
        fanfare(&["serve"])
            .env("FANFARE_API_KEY", "tooshort")
            .output()
            .unwrap(),
        fanfare(&["serve", "--config", file.path()]).output().unwrap(),
    ] {
        assert_eq!(code(&output), Some(2));
        assert!(
            stderr(&output).contains("must have 16 to 256 bytes and it has 8"),
            "{}",
            stderr(&output)
        );
        assert!(!stderr(&output).contains("tooshort"));
    }
}

#[test]
fn a_key_is_never_printed() {
    let mut command = fanfare(&[
        "serve",
        "--api-key",
        "0123456789abcdef",
        "--api-key",
        "fedcba9876543210",
    ]);
    let config = printed(&mut command);
    assert_eq!(
        line(&config, "api_key"),
        "# api_key is 2 keys that are not shown # flag --api-key"
    );
    assert!(!config.contains("0123456789abcdef"));
}

#[test]
fn a_wrong_key_is_explained_and_not_shown() {
    for (flag, key, says) in [
        ("--api-key", "hush", "16 to 256 bytes"),
        ("--api-key", "shop read sha256$hush", "`fanfare keygen api-key`"),
        ("--hook-secret", "hush", "16 to 256 bytes"),
        ("--token-key", "hs256:hush", "at least 32 bytes"),
        ("--token-key", "none:hush", "an algorithm is one of HS256"),
        ("--token-key", "rs256:hush", "no PEM file"),
    ] {
        let output = fanfare(&["serve", flag, key]).output().unwrap();
        let problem = stderr(&output);
        assert_eq!(code(&output), Some(2), "{problem}");
        assert!(problem.contains(says) && !problem.contains("hush"), "{problem}");
    }
}
