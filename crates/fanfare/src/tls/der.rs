//! As much of X.509 (RFC 5280) as an operator is told: until when a certificate is valid, and whose it is. Whether it can
//! be trusted is rustls' to say; nothing is decided by what is read here but whether one of the server's own has expired.

use std::fmt::Write as _;

/// What is read of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Details {
    /// The last second in which it is valid, in Unix time.
    pub(crate) not_after: i64,
    /// Its subject in the order of the certificate, like `CN=anna,O=Example`.
    pub(crate) subject: String,
}

/// Reads a certificate in DER; `None` where it is not one.
pub(crate) fn read(certificate: &[u8]) -> Option<Details> {
    let mut whole = Reader(certificate);
    let mut certificate = Reader(whole.take(SEQUENCE)?);
    let mut fields = Reader(certificate.take(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?; // serial number
    fields.take(SEQUENCE)?; // signature algorithm
    fields.take(SEQUENCE)?; // issuer
    let mut validity = Reader(fields.take(SEQUENCE)?);
    validity.value()?;
    let (tag, time) = validity.value()?;
    Some(Details {
        not_after: time_of(tag, time)?,
        subject: subject_of(fields.take(SEQUENCE)?)?,
    })
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1E;

/// The attributes of names that have short names (RFC 4514, section 3), and the address that older certificates carry.
const ATTRIBUTES: [(&[u8], &str); 9] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0A], "O"),
    (&[0x55, 0x04, 0x0B], "OU"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x01],
        "UID",
    ),
    (
        &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01],
        "emailAddress",
    ),
];

/// What is left of some DER.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value with its tag.
    fn value(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = first as usize;
        if first & 0x80 != 0 {
            let (digits, behind) = rest.split_at_checked((first & 0x7F) as usize)?;
            // No certificate is longer than four digits of base 256 say.
            length = (1..=4).contains(&digits.len()).then(|| {
                digits
                    .iter()
                    .fold(0, |length, &digit| length << 8 | digit as usize)
            })?;
            rest = behind;
        }
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value, which must have that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.value()
            .filter(|(found, _)| *found == tag)
            .map(|(_, value)| value)
    }
}

/// The time in Unix seconds (RFC 5280 section 4.1.2.5: UTC, to the second).
fn time_of(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let field = |at: usize| number(rest.get(at..at + 2)?);
    let [month, day, hour, minute, second] = [field(0)?, field(2)?, field(4)?, field(6)?, field(8)?];
    let is_time = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && rest.len() == 10;
    is_time.then(|| days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that leap days come last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days_before_month = (153 * month + 2) / 5;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_before_month + day
        - 719_469
}

/// A name as RFC 4514 writes it, but in the order of the certificate.
fn subject_of(name: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut sets = Reader(name);
    while !sets.0.is_empty() {
        let mut set = Reader(sets.take(SET)?);
        while !set.0.is_empty() {
            let mut pair = Reader(set.take(SEQUENCE)?);
            let kind = pair.take(OBJECT_IDENTIFIER)?;
            let (tag, value) = pair.value()?;
            if !text.is_empty() {
                text.push(',');
            }
            push_kind(&mut text, kind);
            text.push('=');
            push_value(&mut text, tag, value);
        }
    }
    Some(text)
}

fn push_kind(text: &mut String, kind: &[u8]) {
    match ATTRIBUTES.iter().find(|(known, _)| *known == kind) {
        Some((_, name)) => text.push_str(name),
        None => push_hex(text, kind),
    }
}

/// What is no text is written as hexadecimal digits. Characters that separate or cannot be seen are escaped, so that no
/// subject can look like another one.
fn push_value(text: &mut String, tag: u8, value: &[u8]) {
    let Some(value) = std::str::from_utf8(value).ok().filter(|_| tag != BMP_STRING) else {
        return push_hex(text, value);
    };
    for character in value.chars() {
        match character {
            ',' | '=' | '+' | '"' | '\\' | '<' | '>' | ';' | '#' => {
                text.push('\\');
                text.push(character);
            }
            _ if character.is_control() => text.extend(character.escape_unicode()),
            _ => text.push(character),
        }
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    text.push('#');
    for byte in bytes {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let cases: [(u8, &str, Option<i64>); 9] = [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "20001329120000Z", None),
            (GENERALIZED_TIME, "20000229120000", None),
            (GENERALIZED_TIME, "2000+229120000Z", None),
            (INTEGER, "20000229120000Z", None),
        ];
        for (tag, text, seconds) in cases {
            assert_eq!(time_of(tag, text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn no_value_of_a_subject_can_pass_for_another_attribute() {
        let mut text = String::new();
        push_value(&mut text, 0x0C, "anna,CN=root\n".as_bytes());
        assert_eq!(text, "anna\\,CN\\=root\\u{a}");
    }

    #[test]
    fn a_certificate_cut_anywhere_is_none() {
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut parameters.distinguished_name;
        name.push(rcgen::DnType::CommonName, "änna");
        name.push(rcgen::DnType::OrganizationName, "A, B & Co");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let details = read(certificate.der()).unwrap();
        assert_eq!(details.subject, "CN=änna,O=A\\, B & Co");
        assert_eq!(details.not_after, 1_927_843_200);
        for end in 0..certificate.der().len() {
            assert_eq!(read(&certificate.der()[..end]), None);
        }
    }
}
