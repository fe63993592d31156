//! Keys of the HTTP API as an operator writes them: the key itself, or its name, what it may do, and its hash.

use std::fmt;
use std::str::FromStr;

use fanfare::KeyScopes;
use sha2::{Digest as _, Sha256};

use super::secret::Secret;

/// A key of the HTTP API, of which only the hash is kept. `NAME SCOPE… sha256$HEX`, or the key itself: then it may do
/// everything.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// What problems call it.
    pub(crate) name: Box<str>,
    /// What it may do.
    pub(crate) scopes: KeyScopes,
    /// The SHA-256 of the key. Keys are random and long, so no salt and no slow hash is needed.
    pub(crate) hash: [u8; 32],
}

/// The hash of a key.
pub(crate) fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// A hash as the configuration has it.
pub(crate) fn hash_text(hash: &[u8; 32]) -> String {
    hash.iter().fold(HASH.to_owned(), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        text
    })
}

/// What a list of scopes lets its key do.
///
/// # Errors
/// None is given, or one is no scope.
pub(crate) fn scopes<'t>(texts: impl Iterator<Item = &'t str>) -> Result<KeyScopes, String> {
    let mut scopes = KeyScopes::default();
    for text in texts {
        match (text, text.strip_prefix("publish:")) {
            ("admin", _) => scopes.admin = true,
            ("stats", _) => scopes.stats = true,
            (_, Some(pattern)) => scopes.publish.push(
                pattern
                    .parse()
                    .map_err(|error| format!("scope {text:?}: {error}"))?,
            ),
            _ => return Err(format!("{text:?} is no scope; {SCOPES}")),
        }
    }
    if scopes == KeyScopes::default() {
        return Err(format!("it may do nothing; {SCOPES}"));
    }
    Ok(scopes)
}

impl ApiKey {
    /// A key that is set as itself.
    fn of_itself(text: &str) -> Result<Self, String> {
        let secret: Secret = text.parse()?;
        let scopes = KeyScopes {
            admin: true,
            ..KeyScopes::default()
        };
        Ok(Self {
            name: Box::from("without a name"),
            scopes,
            hash: hash(secret.expose().as_bytes()),
        })
    }
}

impl FromStr for ApiKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [name, scoped @ .., hashed] = &words[..] else {
            return Self::of_itself(text);
        };
        let hash = hashed.strip_prefix(HASH).and_then(unhex).ok_or_else(|| {
            format!("it has no hash behind its scopes; write `{EXAMPLE}`, as `fanfare keygen api-key` does")
        })?;
        Ok(Self {
            name: Box::from(*name),
            scopes: scopes(scoped.iter().copied())?,
            hash,
        })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({}, {:?})", self.name, self.scopes)
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|digit| char::from(digit).to_digit(16).map(|value| value as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    bytes.try_into().ok().filter(|_| digits.len() == 64)
}

const HASH: &str = "sha256$";
const HEX: &[u8; 16] = b"0123456789abcdef";
const SCOPES: &str = "a scope is `publish:PATTERN`, `stats` or `admin`";
const EXAMPLE: &str = "NAME publish:orders:* stats sha256$HEX";

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        text.parse::<ApiKey>().unwrap_err()
    }

    #[test]
    fn a_key_is_written_as_itself_or_with_its_scopes_and_hash() {
        let plain: ApiKey = "0123456789abcdef".parse().unwrap();
        assert!(plain.scopes.admin);
        let line = format!(
            "shop publish:orders:* publish:$user:* stats {}",
            hash_text(&plain.hash)
        );
        let scoped: ApiKey = line.parse().unwrap();
        assert_eq!((&*scoped.name, scoped.hash), ("shop", plain.hash));
        assert_eq!(scoped.scopes.publish.len(), 2);
        assert!(scoped.scopes.stats && !scoped.scopes.admin);
        assert!(!format!("{plain:?}{scoped:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_is_no_key_is_explained_without_it() {
        let hash = hash_text(&[7; 32]);
        for (text, says) in [
            ("short".to_owned(), "16 to 256 bytes"),
            ("shop stats".to_owned(), "no hash"),
            (format!("shop {hash}"), "may do nothing"),
            (format!("shop read {hash}"), "\"read\" is no scope"),
            (format!("shop publish:a? {hash}"), "publish:a?"),
            (format!("shop stats {}", &hash[..70]), "no hash"),
            (format!("shop stats {hash}0"), "no hash"),
            (format!("shop stats {}", hash.replace("07", "0x")), "no hash"),
        ] {
            assert!(problem(&text).contains(says), "{text}: {}", problem(&text));
        }
        assert!(!problem("0123456789 abcdef").contains("abcdef"));
    }
}
