//! Signatures of requests: the receiver sees that they are from here, and when they were made.

use std::fmt::Write as _;

use aws_lc_rs::hmac;

use crate::options::Secret;

/// The header that carries a signature.
pub(super) const SIGNATURE_HEADER: &str = "fanfare-signature";

/// Signs with every secret that is valid, so that a receiver who knows one of them can check it while another takes its
/// place.
#[derive(Debug)]
pub(crate) struct Signer(Vec<hmac::Key>);

impl Signer {
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self(secrets.iter().map(key).collect())
    }

    /// The value of the header: `t=SECONDS`, then for every secret `v1=HEX`, the HMAC-SHA256 (RFC 2104) of the decimal
    /// seconds, a full stop and the body.
    pub(super) fn sign(&self, seconds: u64, body: &[u8]) -> String {
        let mut header = format!("t={seconds}");
        for key in &self.0 {
            let mut context = hmac::Context::with_key(key);
            context.update(seconds.to_string().as_bytes());
            context.update(b".");
            context.update(body);
            header.push_str(",v1=");
            for byte in context.sign().as_ref() {
                // Writing into a string cannot fail.
                let _ = write!(header, "{byte:02x}");
            }
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        text.parse().unwrap()
    }

    // The value is Python's: hmac.new(b"0123456789abcdef", b"1700000000.{}", "sha256").hexdigest()
    #[test]
    fn a_signature_is_the_one_that_others_compute() {
        let signer = Signer::new(&[secret("0123456789abcdef")]);
        assert_eq!(
            signer.sign(1_700_000_000, b"{}"),
            "t=1700000000,v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e"
        );
    }

    #[test]
    fn every_secret_signs() {
        let (old, new) = ("0123456789abcdef", "fedcba9876543210");
        let both = Signer::new(&[secret(new), secret(old)]).sign(1, b"x");
        let one = |text| Signer::new(&[secret(text)]).sign(1, b"x");
        let (new, old) = (one(new), one(old));
        assert_eq!(both, format!("{new},{}", old.strip_prefix("t=1,").unwrap()));
        assert_ne!(old, new);
    }
}
