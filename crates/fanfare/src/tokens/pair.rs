//! New keys.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _,
};
use aws_lc_rs::{rand, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Algorithm;

/// A new key as text. `Debug` is not there, so that it is not shown by mistake.
pub enum NewKey {
    /// For HS: it signs and verifies.
    Secret(String),
    /// For the others, as PEM files.
    Pair {
        /// What signs (PKCS #8). It stays where tokens are made.
        private: String,
        /// What verifies.
        public: String,
    },
}

impl NewKey {
    /// A key for an algorithm: a secret of as many bits as its hash, RSA of 2048 bits, or one on the algorithm's curve.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, NewKeyError> {
        let key = match algorithm {
            Algorithm::Hs256 => secret(32).map(Self::Secret),
            Algorithm::Hs384 => secret(48).map(Self::Secret),
            Algorithm::Hs512 => secret(64).map(Self::Secret),
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDsa => ed25519(),
            _ => rsa(),
        };
        key.map_err(|_| NewKeyError)
    }

    /// The part that signs.
    pub fn private(&self) -> &str {
        match self {
            Self::Secret(secret) => secret,
            Self::Pair { private, .. } => private,
        }
    }

    /// The part that verifies.
    pub fn public(&self) -> &str {
        match self {
            Self::Secret(secret) => secret,
            Self::Pair { public, .. } => public,
        }
    }
}

/// A key could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness, so no key can be made")]
pub struct NewKeyError;

/// Random bytes as text.
fn secret(bytes: usize) -> Result<String, Unspecified> {
    let mut random = vec![0; bytes];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<NewKey, Unspecified> {
    let key = EcdsaKeyPair::generate(algorithm)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    Ok(pair(key.to_pkcs8v1()?.as_ref(), public.as_ref()))
}

fn ed25519() -> Result<NewKey, Unspecified> {
    let key = Ed25519KeyPair::generate()?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    Ok(pair(key.to_pkcs8v1()?.as_ref(), public.as_ref()))
}

fn rsa() -> Result<NewKey, Unspecified> {
    let key = rsa::KeyPair::generate(KeySize::Rsa2048)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    let private: Pkcs8V1Der<'_> = key.as_der()?;
    Ok(pair(private.as_ref(), public.as_ref()))
}

fn pair(private: &[u8], public: &[u8]) -> NewKey {
    NewKey::Pair {
        private: pem("PRIVATE KEY", private),
        public: pem("PUBLIC KEY", public),
    }
}

/// The textual encoding of RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        text += line;
        text.push('\n');
        rest = behind;
    }
    text + &format!("-----END {label}-----\n")
}
