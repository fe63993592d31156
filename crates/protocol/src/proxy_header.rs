//! The PROXY protocol, versions 1 and 2: the header that a proxy sends in front of a connection to say whose it is.
//! The rules are those of <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.
//!
//! Whether the one who sent it may be believed is not decided here.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Where the client connects from; none when the proxy speaks for itself, as in its health checks, or does not
    /// know.
    pub source: Option<SocketAddr>,
}

/// Why bytes are no header of the PROXY protocol. The connection cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// They begin like neither version.
    #[error("the first bytes are no PROXY header, version 1 or 2")]
    NotAHeader,
    /// Version 1 has no end within its 107 bytes.
    #[error("the PROXY header has no end within {V1_BYTES_MAX} bytes")]
    LineTooLong,
    /// Version 2 announces more than is read here.
    #[error("the PROXY header announces {0} bytes, limit is {V2_BODY_BYTES_MAX}")]
    BodyTooLong(u16),
    /// It begins well and breaks a rule.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
}

/// Reads one header, in whatever pieces it comes. Holds at most [`HEADER_BYTES_MAX`] bytes, all of them received.
///
/// ```
/// use fanfare_protocol::proxy_header::ProxyHeaderDecoder;
///
/// let mut decoder = ProxyHeaderDecoder::default();
/// assert_eq!(decoder.take(b"PROXY TCP4 192.0.2.1 192.0.2.9 50"), Ok((33, None)));
/// let (used, header) = decoder.take(b"000 80\r\nGET / HTTP/1.1").unwrap();
/// assert_eq!(used, 8, "the request is left");
/// assert_eq!(header.unwrap().source, Some("192.0.2.1:50000".parse().unwrap()));
/// ```
#[derive(Debug, Default)]
pub struct ProxyHeaderDecoder {
    bytes: Vec<u8>,
}

impl ProxyHeaderDecoder {
    /// Takes what belongs to the header from the front of `input`: how many bytes that is, and the header once it is
    /// whole. Costs the same for a header in one piece and in single bytes.
    ///
    /// # Errors
    /// What came so far is no header and cannot become one.
    pub fn take(&mut self, input: &[u8]) -> Result<(usize, Option<ProxyHeader>), ProxyHeaderError> {
        for (at, &byte) in input.iter().enumerate() {
            self.bytes.push(byte);
            if self.is_whole()? {
                let header = if self.bytes[0] == V2_SIGNATURE[0] {
                    read_v2(&self.bytes)
                } else {
                    read_v1(&self.bytes)
                };
                return Ok((at + 1, Some(header?)));
            }
        }
        Ok((input.len(), None))
    }

    /// Whether the byte at hand is the last one.
    fn is_whole(&self) -> Result<bool, ProxyHeaderError> {
        let bytes = &self.bytes[..];
        if begins(bytes, V1_BEGINNING) {
            return match bytes.last() {
                Some(b'\n') => Ok(true),
                _ if bytes.len() == V1_BYTES_MAX => Err(ProxyHeaderError::LineTooLong),
                _ => Ok(false),
            };
        }
        if !begins(bytes, V2_SIGNATURE) {
            return Err(ProxyHeaderError::NotAHeader);
        }
        let Some(&[high, low]) = bytes.get(14..16) else {
            return Ok(false);
        };
        let length = u16::from_be_bytes([high, low]);
        if length > V2_BODY_BYTES_MAX {
            return Err(ProxyHeaderError::BodyTooLong(length));
        }
        Ok(bytes.len() == V2_HEAD_BYTES + length as usize)
    }
}

/// The longest header that is read, in bytes.
pub const HEADER_BYTES_MAX: usize = V2_HEAD_BYTES + V2_BODY_BYTES_MAX as usize;

/// Version 1 with the end of its line: the worst case that the specification counts out.
const V1_BYTES_MAX: usize = 107;

const V1_BEGINNING: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length of the rest.
const V2_HEAD_BYTES: usize = 16;

/// Addresses and extensions (TLVs) of version 2. Proxies send some tens of bytes, a kilobyte or two with a client's
/// certificate; the field could say 65,535.
const V2_BODY_BYTES_MAX: u16 = 4096;

/// Whether one of the two is the beginning of the other.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

/// A line such as `PROXY TCP4 192.0.2.1 192.0.2.9 50000 80`, its end included.
fn read_v1(line: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let line = line
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or(ProxyHeaderError::Malformed(
            "version 1 is a line that ends with CR LF",
        ))?;
    let mut words = line.split(' ').skip(1);
    let source = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(read_ends::<Ipv4Addr>(words)?),
        Some("TCP6") => Some(read_ends::<Ipv6Addr>(words)?),
        _ => {
            return Err(ProxyHeaderError::Malformed(
                "version 1 names TCP4, TCP6 or UNKNOWN",
            ));
        }
    };
    Ok(ProxyHeader { source })
}

/// The source of `SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT`, where all four are as they should be.
fn read_ends<'a, A>(words: impl Iterator<Item = &'a str>) -> Result<SocketAddr, ProxyHeaderError>
where
    A: FromStr,
    SocketAddr: From<(A, u16)>,
{
    let words: Vec<&str> = words.take(5).collect();
    let [source, destination, source_port, destination_port] = words[..] else {
        return Err(ProxyHeaderError::Malformed(
            "version 1 has two addresses and two ports",
        ));
    };
    let ends = (
        source.parse::<A>(),
        destination.parse::<A>(),
        read_port(source_port),
        read_port(destination_port),
    );
    let (Ok(source), Ok(_), Some(port), Some(_)) = ends else {
        return Err(ProxyHeaderError::Malformed(
            "an address or a port is not one of the family that is named",
        ));
    };
    Ok(SocketAddr::from((source, port)))
}

/// A decimal port without a sign and without zeros in front.
fn read_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn read_v2(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let (head, body) = bytes.split_at(V2_HEAD_BYTES);
    let short = ProxyHeaderError::Malformed("version 2 is too short for its addresses");
    let source = match (head[12], head[13]) {
        // LOCAL: the proxy speaks for itself.
        (0x20, _) => None,
        // No family, or a Unix socket at the proxy: there is an address, and it says nothing here.
        (0x21, 0x00 | 0x31) => None,
        (0x21, 0x11) => Some(read_v4(body).ok_or(short)?),
        (0x21, 0x21) => Some(read_v6(body).ok_or(short)?),
        (0x21, _) => {
            return Err(ProxyHeaderError::Malformed(
                "version 2 names no stream of a known family",
            ));
        }
        _ => {
            return Err(ProxyHeaderError::Malformed(
                "version 2 is neither LOCAL nor PROXY",
            ));
        }
    };
    // What follows the addresses are extensions, of which none is needed.
    Ok(ProxyHeader { source })
}

/// Source and destination of 4 bytes each, two ports.
fn read_v4(body: &[u8]) -> Option<SocketAddr> {
    let ends: &[u8; 12] = body.first_chunk()?;
    let address: &[u8; 4] = ends.first_chunk()?;
    Some(SocketAddr::from((
        *address,
        u16::from_be_bytes([ends[8], ends[9]]),
    )))
}

/// Source and destination of 16 bytes each, two ports.
fn read_v6(body: &[u8]) -> Option<SocketAddr> {
    let ends: &[u8; 36] = body.first_chunk()?;
    let address: &[u8; 16] = ends.first_chunk()?;
    Some(SocketAddr::from((
        *address,
        u16::from_be_bytes([ends[32], ends[33]]),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// Addresses and ports of version 2, with an extension behind them.
    fn body(source: &[u8], destination: &[u8]) -> Vec<u8> {
        [
            source,
            destination,
            &[0xC3, 0x50, 0, 80],
            &[0x04, 0, 2, 0xFF, 0xFF],
        ]
        .concat()
    }

    fn v6_body() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
        body(&source.octets(), &Ipv6Addr::LOCALHOST.octets())
    }

    /// The source in a header that is right.
    fn source(bytes: &[u8]) -> Option<String> {
        let (used, header) = ProxyHeaderDecoder::default().take(bytes).unwrap();
        assert_eq!(used, bytes.len());
        header.unwrap().source.map(|source| source.to_string())
    }

    #[test]
    fn both_versions_say_where_the_client_is() {
        let v4 = body(&[192, 0, 2, 1], &[192, 0, 2, 9]);
        for (bytes, expected) in [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.9 50000 80\r\n".to_vec(),
                "192.0.2.1:50000",
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 50000 80\r\n".to_vec(),
                "[2001:db8::1]:50000",
            ),
            (
                b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n".to_vec(),
                "255.255.255.255:65535",
            ),
            (v2(0x21, 0x11, &v4), "192.0.2.1:50000"),
            (v2(0x21, 0x11, &v4[..12]), "192.0.2.1:50000"),
            (v2(0x21, 0x21, &v6_body()), "[2001:db8::1]:50000"),
        ] {
            assert_eq!(source(&bytes).as_deref(), Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        for bytes in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ff:ff::1 1 whatever\xC2\xA0 \r\n".to_vec(),
            v2(0x20, 0x00, &[]),
            v2(0x20, 0x11, &body(&[192, 0, 2, 1], &[192, 0, 2, 9])),
            v2(0x21, 0x00, &[1, 2, 3]),
            v2(0x21, 0x31, &[b'/'; 216]),
        ] {
            assert_eq!(source(&bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX));
        for bytes in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXYTCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
            b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
            b"PROXY TCP4\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n".to_vec(),
            b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n".to_vec(),
            b"PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(),
            b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
            b"PROXY TCP4 \xFF.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
            long.into_bytes(),
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x12, &[0; 12]),
            v2(0x21, 0x41, &[0; 36]),
            v2(0x21, 0x00, &[0; V2_BODY_BYTES_MAX as usize + 1]),
            [&V2_SIGNATURE[..11], b"x"].concat(),
        ] {
            let refused = ProxyHeaderDecoder::default().take(&bytes);
            assert!(refused.is_err(), "{}: {refused:?}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_header_may_be_as_long_as_the_bound_and_no_longer() {
        let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX - 16));
        assert_eq!(line.len(), V1_BYTES_MAX);
        assert_eq!(source(line.as_bytes()), None);
        let endless = [b'x'; 1 << 10];
        let mut decoder = ProxyHeaderDecoder::default();
        assert_eq!(decoder.take(b"PROXY "), Ok((6, None)));
        assert_eq!(decoder.take(&endless), Err(ProxyHeaderError::LineTooLong));
        assert_eq!(source(&v2(0x21, 0x00, &[0; V2_BODY_BYTES_MAX as usize])), None);
    }

    #[test]
    fn a_header_may_be_split_anywhere_and_what_follows_is_left() {
        for header in [
            b"PROXY TCP4 192.0.2.1 192.0.2.9 50000 80\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            v2(0x20, 0x00, &[]),
            v2(0x21, 0x21, &v6_body()),
        ] {
            let whole = ProxyHeaderDecoder::default().take(&header).unwrap().1;
            let stream = [&header, &b"GET /"[..]].concat();
            for at in 0..header.len() {
                let mut decoder = ProxyHeaderDecoder::default();
                assert_eq!(decoder.take(&stream[..at]), Ok((at, None)));
                assert_eq!(decoder.take(&stream[at..]), Ok((header.len() - at, whole)));
            }
            let mut decoder = ProxyHeaderDecoder::default();
            let last = header.iter().map(|&byte| decoder.take(&[byte]).unwrap()).last();
            assert_eq!(last, Some((1, whole)), "byte by byte");
        }
    }
}
