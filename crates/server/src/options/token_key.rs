//! Keys that verify tokens as an operator writes them: `[kid=ID:]ALGORITHM:KEY`, where `@FILE` is the key in a file, and
//! `weak-` stands before the algorithm of a secret that is too short for it.

use std::fs::File;
use std::io::Read as _;
use std::str::FromStr;

use fanfare::tokens::{Algorithm, SigningKey, TokenKey};

/// A key that verifies tokens, read from its file if it is in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenKeyOption(pub(crate) TokenKey);

impl FromStr for TokenKeyOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Written {
            id,
            is_weak,
            algorithm,
            material,
        } = Written::read(text)?;
        let key = if is_weak {
            TokenKey::of_weak_secret(id, algorithm, &material)
        } else {
            TokenKey::new(id, algorithm, &material)
        };
        key.map(Self).map_err(|error| error.to_string())
    }
}

/// The key that signs, written likewise.
///
/// # Errors
/// What is wrong with it, and the way out.
pub(crate) fn signing_key(text: &str) -> Result<SigningKey, String> {
    let Written {
        id,
        is_weak,
        algorithm,
        material,
    } = Written::read(text)?;
    if is_weak {
        return Err("what signs is never weak; make another secret with `fanfare keygen HS256`".to_owned());
    }
    SigningKey::new(id, algorithm, &material).map_err(|error| error.to_string())
}

/// A key in its parts.
struct Written<'t> {
    id: Option<&'t str>,
    /// The operator knows that it can be guessed.
    is_weak: bool,
    algorithm: Algorithm,
    material: Vec<u8>,
}

impl<'t> Written<'t> {
    fn read(text: &'t str) -> Result<Self, String> {
        let (id, rest) = match text.strip_prefix("kid=").map(|rest| rest.split_once(':')) {
            None => (None, text),
            Some(Some((id, rest))) if !id.is_empty() => (Some(id), rest),
            Some(_) => return Err(format!("a `kid` stands before an algorithm; {WAY_OUT}")),
        };
        let (algorithm, key) = rest
            .split_once(':')
            .ok_or_else(|| format!("an algorithm stands before the key; {WAY_OUT}"))?;
        let strong = algorithm.strip_prefix(WEAK);
        let (algorithm, is_weak) = (strong.unwrap_or(algorithm), strong.is_some());
        let algorithm = algorithm.parse().map_err(|error| format!("{error}; {WAY_OUT}"))?;
        let material = match key.strip_prefix('@') {
            Some(path) => read_file(path)?,
            None => key.as_bytes().to_vec(),
        };
        Ok(Self {
            id,
            is_weak,
            algorithm,
            material,
        })
    }
}

/// A key in a file, without the end of its last line.
fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let mut key = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut key))
        .map_err(|error| {
            format!("the file {path:?} cannot be read: {error}; name a readable one behind the `@`")
        })?;
    if key.len() as u64 > FILE_BYTES_MAX {
        return Err(format!(
            "the file {path:?} is larger than any key, limit is {FILE_BYTES_MAX} bytes"
        ));
    }
    let end = key.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    key.truncate(end.map_or(0, |last| last + 1));
    Ok(key)
}

/// What stands before the algorithm of a secret that is too short for it.
const WEAK: &str = "weak-";

const WAY_OUT: &str = "write `hs256:SECRET` or `kid=2026:rs256:@public.pem`";

/// No key is longer.
const FILE_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn problem(text: &str) -> String {
        text.parse::<TokenKeyOption>().unwrap_err()
    }

    #[test]
    fn a_key_has_an_algorithm_and_maybe_an_id() {
        let TokenKeyOption(key) = format!("hs256:{SECRET}").parse().unwrap();
        assert_eq!((key.id(), key.algorithm()), (None, Algorithm::Hs256));
        let TokenKeyOption(key) = format!("kid=2026:HS256:{SECRET}").parse().unwrap();
        assert_eq!(key.id(), Some("2026"));
    }

    #[test]
    fn a_secret_is_short_only_where_it_is_called_weak() {
        let TokenKeyOption(key) = "kid=a:weak-hs256:secret".parse().unwrap();
        assert_eq!((key.id(), key.algorithm()), (Some("a"), Algorithm::Hs256));
        assert!(key.is_weak());
        let TokenKeyOption(key) = format!("weak-hs256:{SECRET}").parse().unwrap();
        assert!(!key.is_weak());
        assert!(signing_key("weak-hs256:secret").is_err());
    }

    #[test]
    fn a_key_in_a_file_ends_before_its_line_does() {
        let path = std::env::temp_dir().join(format!("fanfare-key-{}", std::process::id()));
        std::fs::write(&path, format!("{SECRET}\n")).unwrap();
        let in_file: TokenKeyOption = format!("hs256:@{}", path.display()).parse().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(in_file, format!("hs256:{SECRET}").parse().unwrap());
        assert!(problem(&format!("hs256:@{}", path.display())).contains("cannot be read"));
        assert!(problem("hs256:@/dev/zero").contains("larger than any key"));
    }

    #[test]
    fn what_is_no_key_is_explained_without_it() {
        for (text, says) in [
            (SECRET.to_owned(), "an algorithm stands before the key"),
            (format!("none:{SECRET}"), "an algorithm is one of"),
            (format!("kid=:hs256:{SECRET}"), "a `kid` stands before"),
            ("kid=a".to_owned(), "a `kid` stands before"),
            ("hs256:0123456789abcdef".to_owned(), "has at least 32 bytes"),
            (format!("hs512:{SECRET}"), "has at least 64 bytes"),
            ("weak-hs256:".to_owned(), "there is no secret"),
            (format!("weak-rs256:{SECRET}"), "cannot be weak"),
            (
                "weak-hs256:-----BEGIN PUBLIC KEY-----".to_owned(),
                "is no PEM file",
            ),
            (format!("rs256:{SECRET}"), "no PEM file"),
            (
                "hs256:-----BEGIN PUBLIC KEY-----".to_owned(),
                "a secret for HS256 is no PEM file",
            ),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(says), "{text}: {problem}");
            assert!(!problem.contains("0123456789abcdef"), "{problem}");
        }
    }
}
