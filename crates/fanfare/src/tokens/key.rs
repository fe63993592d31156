//! Keys: those that verify tokens, and those that sign them.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};

use super::Algorithm;

/// A key that verifies tokens of one algorithm, and no other. `Debug` does not show it.
#[derive(Clone)]
pub struct TokenKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl TokenKey {
    /// The key of `algorithm` in `material`: the secret itself for HS, else a public key as PEM. Tokens that name another
    /// `kid` than `id` are not verified with it; one without an id is tried for every token of its algorithm.
    ///
    /// # Errors
    /// The material is no such key, or too short for one.
    pub fn new(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Result<Self, TokenKeyError> {
        let key = match algorithm.of_library().family() {
            AlgorithmFamily::Hmac => secret(algorithm, material).map(DecodingKey::from_secret)?,
            AlgorithmFamily::Rsa => of_pem(algorithm, DecodingKey::from_rsa_pem(material))?,
            AlgorithmFamily::Ec => of_pem(algorithm, DecodingKey::from_ec_pem(material))?,
            AlgorithmFamily::Ed => of_pem(algorithm, DecodingKey::from_ed_pem(material))?,
        };
        let key = Self {
            id: id.map(Box::from),
            algorithm,
            key,
        };
        key.check()
    }

    /// The key of `algorithm` in a secret of any length. Who sees one token can try secrets until one of them fits, and is
    /// anybody then: for trials, and for what another server took.
    ///
    /// # Errors
    /// There is no secret, it is a PEM file, or the algorithm has none.
    pub fn of_weak_secret(
        id: Option<&str>,
        algorithm: Algorithm,
        secret: &[u8],
    ) -> Result<Self, TokenKeyError> {
        if algorithm.of_library().family() != AlgorithmFamily::Hmac {
            return Err(TokenKeyError::Weak { algorithm });
        }
        if secret.is_empty() {
            return Err(TokenKeyError::Empty { algorithm });
        }
        Ok(Self {
            id: id.map(Box::from),
            algorithm,
            key: DecodingKey::from_secret(of_length(algorithm, secret, 1)?),
        })
    }

    /// Whether it is a secret that is shorter than its algorithm demands, so that it can be guessed.
    pub fn is_weak(&self) -> bool {
        self.algorithm.of_library().family() == AlgorithmFamily::Hmac
            && matches!(self.key.kind(), DecodingKeyKind::SecretOrDer(secret)
                if secret.len() < secret_bytes_min(self.algorithm))
    }

    /// The public key of a set (RFC 7517), if it is one that verifies. Its algorithm is the one that it names, else the
    /// one of its kind: RS256 for RSA.
    pub(super) fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let is_to_sign = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let operations = common.key_operations.as_ref();
        let is_to_verify = operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !is_to_sign || !is_to_verify {
            return None;
        }
        let key = Self {
            id: common.key_id.as_deref().map(Box::from),
            algorithm: algorithm_of(jwk)?,
            key: DecodingKey::from_jwk(jwk).ok()?,
        };
        key.check().ok()
    }

    /// The `kid` of tokens that it verifies.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The only algorithm of tokens that it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's for `signed`.
    pub(super) fn verifies(&self, signed: &str, signature: &[u8]) -> bool {
        // Named, not the one of the process: there may be two in one build, and then there is none.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.of_library(), &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(signed.as_bytes(), &signature.to_vec()).is_ok())
    }

    /// Holds a public key to what its algorithm says about it, so that a truncated one is found here and not by users.
    fn check(self) -> Result<Self, TokenKeyError> {
        let scheme: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return Ok(self),
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDsa => &ED25519,
            _ => &RSA_PKCS1_2048_8192_SHA256,
        };
        let is_right = match self.key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) if self.key.family() == AlgorithmFamily::Rsa => {
                (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(bytes)
                    .is_ok_and(|(modulus, _)| modulus.len() >= RSA_BYTES_MIN)
            }
            DecodingKeyKind::SecretOrDer(bytes) => ParsedPublicKey::new(scheme, bytes).is_ok(),
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len() >= RSA_BYTES_MIN,
        };
        let algorithm = self.algorithm;
        is_right
            .then_some(self)
            .ok_or(TokenKeyError::Public { algorithm })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({:?}, {})", self.id, self.algorithm)
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |key: &Self| match key.key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => bytes.clone(),
            DecodingKeyKind::RsaModulusExponent { n, e } => [&n[..], &e[..]].concat(),
        };
        (&self.id, self.algorithm) == (&other.id, other.algorithm) && bytes(self) == bytes(other)
    }
}

impl Eq for TokenKey {}

/// A key that signs tokens: for the backend that makes them, for `fanfare token`, and for tests. `Debug` does not show
/// it.
pub struct SigningKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    /// The key of `algorithm` in `material`: the secret itself for HS, else a private key as PEM (PKCS #8; for RSA also
    /// PKCS #1). Tokens that it signs name `id` as their `kid`.
    ///
    /// # Errors
    /// The material is no such key, or too short for one.
    pub fn new(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Result<Self, TokenKeyError> {
        let private = |key: jsonwebtoken::errors::Result<EncodingKey>| {
            key.map_err(|_| TokenKeyError::Private { algorithm })
        };
        let key = match algorithm.of_library().family() {
            AlgorithmFamily::Hmac => EncodingKey::from_secret(secret(algorithm, material)?),
            AlgorithmFamily::Rsa => private(EncodingKey::from_rsa_pem(material))?,
            AlgorithmFamily::Ec => private(EncodingKey::from_ec_pem(material))?,
            AlgorithmFamily::Ed => private(EncodingKey::from_ed_pem(material))?,
        };
        let id = id.map(Box::from);
        let key = Self { id, algorithm, key };
        // What is no private key of the algorithm shows when it is to sign.
        key.signature("").ok_or(TokenKeyError::Private { algorithm })?;
        Ok(key)
    }

    /// A token with these claims (RFC 7519), which are not looked at.
    pub fn sign(&self, claims: &serde_json::Map<String, serde_json::Value>) -> String {
        let mut header = serde_json::json!({"alg": self.algorithm.name(), "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = (&**id).into();
        }
        let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
        let claims = serde_json::Value::Object(claims.clone());
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.signature(&signed).unwrap_or_default();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, signed: &str) -> Option<Vec<u8>> {
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm.of_library(), &self.key).ok()?;
        signer.try_sign(signed.as_bytes()).ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {})", self.id, self.algorithm)
    }
}

/// Why there is no key in what was given as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeyError {
    /// A secret is shorter than what its algorithm gives out (RFC 7518 section 3.2).
    #[error(
        "a secret for {algorithm} has at least {min} bytes and this has {bytes}, make one with `fanfare keygen`"
    )]
    Short {
        /// What it is for.
        algorithm: Algorithm,
        /// What it must have at least.
        min: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A public or private key is given as a secret: who has the public one could sign with it.
    #[error("a secret for {algorithm} is no PEM file, name the algorithm of the key in that file")]
    Pem {
        /// What it is for.
        algorithm: Algorithm,
    },
    /// There is no secret at all.
    #[error("there is no secret for {algorithm}, make one with `fanfare keygen`")]
    Empty {
        /// What it would be for.
        algorithm: Algorithm,
    },
    /// Only a secret can be weak.
    #[error("a key for {algorithm} is no secret, and cannot be weak; name it with its algorithm alone")]
    Weak {
        /// What it is for.
        algorithm: Algorithm,
    },
    /// It is no whole public key.
    #[error("this is no PEM file with a whole public key for {algorithm} (RSA: 2048 bits or more)")]
    Public {
        /// What it is for.
        algorithm: Algorithm,
    },
    /// It is no whole private key.
    #[error("this is no PEM file with a whole private key for {algorithm} (PKCS #8; RSA: 2048 bits or more)")]
    Private {
        /// What it is for.
        algorithm: Algorithm,
    },
}

fn secret(algorithm: Algorithm, material: &[u8]) -> Result<&[u8], TokenKeyError> {
    of_length(algorithm, material, secret_bytes_min(algorithm))
}

/// What a secret has at least: as many bytes as its algorithm gives out.
fn secret_bytes_min(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Hs512 => 64,
        Algorithm::Hs384 => 48,
        _ => 32,
    }
}

fn of_length(algorithm: Algorithm, material: &[u8], min: usize) -> Result<&[u8], TokenKeyError> {
    if material.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Err(TokenKeyError::Pem { algorithm });
    }
    let bytes = material.len();
    if bytes < min {
        return Err(TokenKeyError::Short {
            algorithm,
            min,
            bytes,
        });
    }
    Ok(material)
}

fn of_pem(
    algorithm: Algorithm,
    key: jsonwebtoken::errors::Result<DecodingKey>,
) -> Result<DecodingKey, TokenKeyError> {
    key.map_err(|_| TokenKeyError::Public { algorithm })
}

/// The algorithm of a key in a set; never one with a secret.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    let of_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::Rs256,
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
        ],
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => &[Algorithm::Es256],
            EllipticCurve::P384 => &[Algorithm::Es384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDsa]
        }
        _ => &[],
    };
    match jwk.common.key_algorithm {
        None => of_kind.first().copied(),
        Some(named) => {
            let mut known = of_kind.iter().copied();
            known.find(|known| KeyAlgorithm::from(known.of_library()) == named)
        }
    }
}

/// 2048 bits.
const RSA_BYTES_MIN: usize = 256;
