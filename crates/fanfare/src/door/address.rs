//! Addresses of clients: which one a connection has, what it counts as, and which networks are believed about others.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::str::FromStr;

use axum::http::HeaderMap;

/// Where a request really comes from, put into its extensions by a host that knows better than
/// [`ConnectInfo`](axum::extract::ConnectInfo). Nothing else is looked at then, `X-Forwarded-For` least of all.
///
/// ```
/// use axum::extract::Request;
/// use axum::middleware::Next;
/// use axum::response::Response;
/// use fanfare::ClientAddress;
///
/// /// For a proxy that has a header of its own, and lets nobody else send it.
/// async fn address(mut request: Request, next: Next) -> Response {
///     let told = request.headers().get("x-real-address");
///     if let Some(address) = told.and_then(|value| value.to_str().ok()?.parse().ok()) {
///         request.extensions_mut().insert(ClientAddress(address));
///     }
///     next.run(request).await
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

/// A network such as `10.0.0.0/8` or `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Why a text is not a network. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part in front of the slash is no address.
    #[error(
        "it must be an IP address with or without a prefix length; write `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`"
    )]
    Address,
    /// The part behind the slash is no length for that family.
    #[error("behind the slash stands a number of bits, at most {0} here; write `/{0}` for the address alone")]
    Prefix(u32),
    /// The address has bits behind the prefix, so one of the two is wrong.
    #[error("it names an address inside a network; write `{0}` for the network")]
    Inside(Network),
}

impl Network {
    /// Whether an address lies in it. An IPv4 address and the IPv6 one that maps it are the same.
    pub fn contains(&self, address: IpAddr) -> bool {
        let in_common = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        in_common >= self.prefix
    }

    /// The first address of the network.
    fn first(self) -> Self {
        let address = match self.address {
            IpAddr::V4(own) => {
                let kept = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                IpAddr::V4((own.to_bits() & kept).into())
            }
            IpAddr::V6(own) => {
                let kept = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                IpAddr::V6((own.to_bits() & kept).into())
            }
        };
        Self { address, ..self }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let address = written.to_canonical();
        let bits = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        // A mapped network is written with the 96 bits in front that all mapped addresses share.
        let mapped = bits(written) - bits(address);
        let prefix = match prefix {
            None => bits(address),
            Some(text) => {
                text.parse::<u32>()
                    .ok()
                    .filter(|prefix| (mapped..=bits(written)).contains(prefix))
                    .ok_or(NetworkError::Prefix(bits(written)))?
                    - mapped
            }
        };
        let network = Self { address, prefix };
        match network.first() {
            first if first == network => Ok(network),
            first => Err(NetworkError::Inside(first)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What a client's address counts as: an IPv4 address as itself, an IPv6 one as its /64, which is the least that
/// anyone is given and so as easy to change within as a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(NonZeroU64);

impl AddressKey {
    /// None for an address that stands for nobody in particular: this machine's own and the unspecified one.
    pub(crate) fn of(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return None;
        }
        let bits = match address {
            // No client has an address in 0000::/8, so no /64 looks like this.
            IpAddr::V4(address) => 1 << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        NonZeroU64::new(bits).map(Self)
    }
}

/// The same address written in one way: an IPv6 one that maps an IPv4 one becomes that.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The client behind `peer`: as long as the one at hand is a trusted proxy, whoever that says it has the request from,
/// as it appended it at the right of `X-Forwarded-For`. What stands left of the first address that is not a trusted
/// proxy was written by anyone and is not looked at. A word that is no address ends the walk at the proxy that wrote
/// it. Port 0 stands for one that is not known.
pub(crate) fn client_behind(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> SocketAddr {
    let mut client = canonical(peer);
    let hops = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut hops = hops.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
    while is_listed(trusted, client.ip()) {
        match hops.next().and_then(read_hop) {
            Some(hop) => client = canonical(hop),
            None => break,
        }
    }
    client
}

/// Whether an address is in one of the networks.
pub(crate) fn is_listed(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// An address with or without a port; one of IPv6 may have brackets.
fn read_hop(word: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(word).ok()?.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(text).parse().ok()?;
    Some(SocketAddr::new(address, 0))
}

const FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_addresses_however_they_are_written() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            assert!(network(text).contains(ip(inside)), "{inside} in {text}");
            assert!(!network(text).contains(ip(outside)), "{outside} in {text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_way_out() {
        for (text, way_out) in [
            ("", "`10.0.0.0/8`"),
            ("proxy.example", "`10.0.0.0/8`"),
            ("10.0.0.1:80", "`10.0.0.0/8`"),
            ("10.0.0/8", "`10.0.0.0/8`"),
            ("10.0.0.0/33", "`/32`"),
            ("10.0.0.0/", "`/32`"),
            ("2001:db8::/129", "`/128`"),
            ("::ffff:10.0.0.0/8", "`/128`"),
            ("10.0.0.1/8", "`10.0.0.0/8`"),
            ("2001:db8::1/32", "`2001:db8::/32`"),
        ] {
            let refusal = text.parse::<Network>().unwrap_err().to_string();
            assert!(refusal.contains(way_out), "{text}: {refusal}");
        }
        for text in ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::/0"] {
            assert_eq!(network(text).to_string(), text);
        }
    }

    #[test]
    fn an_address_counts_once_however_it_is_written_and_ipv6_by_its_network() {
        let key = |text: &str| AddressKey::of(ip(text));
        for (one, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8::1", "2001:db8:0:0:ffff::2"),
        ] {
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
        for (one, other) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1")] {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
        for nobody in [
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
        ] {
            assert_eq!(key(nobody), None, "{nobody}");
        }
    }

    /// The client of a request by way of `peer`, with these header lines, where 10/8 and fd00::/8 are trusted.
    fn client(peer: &str, lines: &[&'static str]) -> String {
        let trusted = [network("10.0.0.0/8"), network("fd00::/8")];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        client_behind(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_who_is_behind_them() {
        for (peer, lines, expected) in [
            ("192.0.2.1:5", &["203.0.113.9"][..], "192.0.2.1:5"),
            ("10.0.0.1:5", &[], "10.0.0.1:5"),
            ("10.0.0.1:5", &["203.0.113.9"], "203.0.113.9:0"),
            ("[::ffff:10.0.0.1]:5", &["203.0.113.9"], "203.0.113.9:0"),
            ("10.0.0.1:5", &["1.1.1.1, 203.0.113.9"], "203.0.113.9:0"),
            (
                "10.0.0.1:5",
                &["1.1.1.1, 203.0.113.9, 10.0.0.2,10.0.0.3"],
                "203.0.113.9:0",
            ),
            (
                "10.0.0.1:5",
                &["1.1.1.1", "203.0.113.9, fd00::2", "10.0.0.3"],
                "203.0.113.9:0",
            ),
            ("10.0.0.1:5", &["10.0.0.9, 10.0.0.2"], "10.0.0.9:0"),
            ("10.0.0.1:5", &["203.0.113.9:4711"], "203.0.113.9:4711"),
            ("10.0.0.1:5", &["2001:db8::1"], "[2001:db8::1]:0"),
            ("10.0.0.1:5", &["[2001:db8::1]"], "[2001:db8::1]:0"),
            ("10.0.0.1:5", &["[2001:db8::1]:4711"], "[2001:db8::1]:4711"),
            ("10.0.0.1:5", &["::ffff:203.0.113.9"], "203.0.113.9:0"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_word_that_is_no_address_ends_the_walk() {
        for line in [
            "unknown",
            "",
            "203.0.113.9,",
            "203.0.113.9, _hidden",
            "203.0.113.9 1.1.1.1",
        ] {
            assert_eq!(client("10.0.0.1:5", &[line]), "10.0.0.1:5", "{line}");
        }
        assert_eq!(
            client("10.0.0.1:5", &["203.0.113.9, junk, 10.0.0.2"]),
            "10.0.0.2:0"
        );
    }
}
