//! The two rules of the upgrade about `Sec-WebSocket-Key`; the rest of the handshake is the HTTP server's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455, section 4.2.2, step 5.4).
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

/// Whether a `Sec-WebSocket-Key` is the base64 of 16 bytes (section 4.1), without white space around it.
pub fn is_valid_key(key: &str) -> bool {
    let mut nonce = [0; KEY_CHARS];
    key.len() == KEY_CHARS && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// The constant every WebSocket server appends to the key before hashing (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The base64 of 16 bytes, padding included.
const KEY_CHARS: usize = 24;

#[cfg(test)]
mod tests {
    use super::{accept_key, is_valid_key};

    #[test]
    fn accept_key_is_that_of_the_rfc() {
        assert_eq!(
            accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn key_is_the_base64_of_sixteen_bytes() {
        assert!(is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(is_valid_key("AQIDBAUGBwgJCgsMDQ4PEA=="));
        let wrong = [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZSE=",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25j ZQ==",
            " dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25jZSEhISE=",
            "ééééééééééé==",
        ];
        for key in wrong {
            assert!(!is_valid_key(key), "{key:?}");
        }
    }
}
