//! `proxy_header`: headers of the PROXY protocol, cut anywhere, against a second, naive reading.
//!
//! The first two bytes are the seed of the cuts, the rest is what a proxy sends. Checked: the same header or the same
//! error whatever the cuts; a header exactly where the specification has one, with its source; nothing taken behind it;
//! memory within the longest header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fanfare_protocol::proxy_header::{HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderDecoder, ProxyHeaderError};
use fastrand::Rng;

use crate::bounds::bounded;
use crate::stream::pieces;

/// What became of the bytes: how many were taken, and the header, if there was one.
type Outcome = Result<(usize, Option<ProxyHeader>), ProxyHeaderError>;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((&seed, stream)) = bytes.split_first_chunk() else {
        return;
    };
    let mut rng = Rng::with_seed(u16::from_be_bytes(seed).into());
    let cuts = pieces(stream, &mut rng);
    bounded(4 * HEADER_BYTES_MAX, || {
        let whole = decode([stream]);
        assert_eq!(decode(stream.chunks(1)), whole, "byte by byte");
        assert_eq!(decode(cuts.iter().copied()), whole, "in pieces");
        let header = whole.ok().and_then(|(used, header)| Some((used, header?.source)));
        assert_eq!(header, expected(stream));
    });
}

fn decode<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut decoder = ProxyHeaderDecoder::default();
    let mut taken = 0;
    for piece in pieces {
        let (used, header) = decoder.take(piece)?;
        taken += used;
        if header.is_some() {
            return Ok((taken, header));
        }
        assert_eq!(used, piece.len(), "input was left without a header");
    }
    Ok((taken, None))
}

/// The length of the header that the stream begins with and the source that it names.
fn expected(stream: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    if let Some(rest) = stream.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n") {
        return expected_v2(rest).map(|(length, source)| (length + 12, source));
    }
    let end = stream.iter().take(107).position(|&byte| byte == b'\n')?;
    let line = std::str::from_utf8(&stream[..end]).ok()?.strip_suffix('\r')?;
    let words: Vec<&str> = line.split(' ').collect();
    if words[0] != "PROXY" {
        return None;
    }
    let source = match words[1..] {
        ["UNKNOWN", ..] => None,
        [family, source, destination, port, to] => {
            let ends: [IpAddr; 2] = [source.parse().ok()?, destination.parse().ok()?];
            let ports: [u16; 2] = [port.parse().ok()?, to.parse().ok()?];
            let is_plain = [port, to] == ports.map(|port| port.to_string());
            let is_family = match family {
                "TCP4" => ends.iter().all(IpAddr::is_ipv4),
                "TCP6" => ends.iter().all(IpAddr::is_ipv6),
                _ => false,
            };
            (is_plain && is_family).then_some(Some(SocketAddr::new(ends[0], ports[0])))?
        }
        _ => return None,
    };
    Some((end + 1, source))
}

/// The same for what follows the signature of version 2.
fn expected_v2(rest: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    let (&[command, family, high, low], rest) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let body = rest.get(..length).filter(|_| length <= 4_096)?;
    let port = |at: usize| Some(u16::from_be_bytes(*body.get(at..at + 2)?.first_chunk()?));
    let source = match (command, family) {
        (0x20, _) | (0x21, 0x00 | 0x31) => None,
        (0x21, 0x11) if length >= 12 => {
            let address: [u8; 4] = *body.first_chunk()?;
            Some(SocketAddr::new(Ipv4Addr::from(address).into(), port(8)?))
        }
        (0x21, 0x21) if length >= 36 => {
            let address: [u8; 16] = *body.first_chunk()?;
            Some(SocketAddr::new(Ipv6Addr::from(address).into(), port(32)?))
        }
        _ => return None,
    };
    Some((4 + length, source))
}
