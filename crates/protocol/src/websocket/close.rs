//! Close frames (RFC 6455, sections 5.5.1 and 7.4): a code, and a reason for people to read.

use super::header::{CONTROL_BYTES_MAX, Opcode, encode_header};
use super::{Violation, utf8};

/// What a close frame with a payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// The status code: 1000 to 1003, 1007 to 1014 or 3000 to 4999.
    pub code: u16,
    /// The reason; empty when the peer gave none, at most 123 bytes.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// The close frame in an unmasked payload, or none when the payload is empty.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Option<Self>, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(Violation::ShortClose),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        if !is_allowed(code) {
            return Err(Violation::CloseCode { code });
        }
        let reason = utf8::validate(reason).map_err(|position| Violation::CloseReasonNotUtf8 { position })?;
        Ok(Some(Self { code, reason }))
    }
}

/// Appends an unmasked close frame. A reason of more than 123 bytes is cut there, between two characters.
///
/// The code is the caller's: one that must not appear on the wire is a mistake of ours, not the peer's.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    debug_assert!(is_allowed(code), "close code {code} must not appear on the wire");
    let reason = cut(reason, CONTROL_BYTES_MAX - CODE_BYTES);
    encode_header(Opcode::Close, (CODE_BYTES + reason.len()) as u64, out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Whether a code may appear in a close frame: those of section 7.4.1, those registered with IANA since, and the two
/// ranges for libraries and applications (section 7.4.2). 1004 to 1006 and 1015 are reserved for use off the wire.
fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

const CODE_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::{CloseFrame, encode_close};
    use crate::websocket::Violation;

    #[test]
    fn codes_of_the_wire_are_accepted_and_others_refused() {
        let allowed = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
        ];
        for code in allowed {
            let close = CloseFrame { code, reason: "" };
            assert_eq!(CloseFrame::parse(&u16::to_be_bytes(code)), Ok(Some(close)));
        }
        for code in [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            let violation = CloseFrame::parse(&u16::to_be_bytes(code)).unwrap_err();
            assert_eq!(violation, Violation::CloseCode { code });
            assert_eq!(violation.close_code(), 1002);
        }
    }

    #[test]
    fn payload_of_one_byte_is_refused_and_none_is_fine() {
        assert_eq!(CloseFrame::parse(&[]), Ok(None));
        assert_eq!(CloseFrame::parse(&[3]), Err(Violation::ShortClose));
    }

    #[test]
    fn reason_must_be_utf8() {
        let violation = CloseFrame::parse(b"\x03\xe8ab\xff").unwrap_err();
        assert_eq!(violation, Violation::CloseReasonNotUtf8 { position: 2 });
        assert_eq!(violation.close_code(), 1007);
        assert!(CloseFrame::parse(b"\x03\xe8ab\xc3").is_err(), "a cut character");
    }

    #[test]
    fn long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        encode_close(1000, &"é".repeat(100), &mut out);
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xe8]);
        assert_eq!(out[4..], *"é".repeat(61).as_bytes());
    }

    #[test]
    fn reason_of_the_longest_length_is_kept() {
        let mut out = Vec::new();
        encode_close(4999, &"a".repeat(123), &mut out);
        assert_eq!(out.len(), 2 + 125);
        assert_eq!(CloseFrame::parse(&out[2..]).unwrap().unwrap().reason.len(), 123);
    }
}
