//! Where to connect to: a `ws://` or `wss://` URL taken apart.

use std::fmt;

use crate::limits::URL_BYTES_MAX;

/// The parts of a URL (RFC 6455 section 3). `Debug` leaves the query out: there may be a token in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether TLS is asked for.
    pub(crate) is_secure: bool,
    /// Host name or address to connect to, without brackets.
    pub(crate) host: String,
    /// Port to connect to.
    pub(crate) port: u16,
    /// Host and port as the `Host` header names them.
    pub(crate) authority: String,
    /// Path and query, as the request line names them.
    pub(crate) target: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        let path = without_query(&self.target);
        write!(formatter, "Endpoint({scheme}://{}{path})", self.authority)
    }
}

/// Why a text is no URL to connect to. Its query is not shown: there may be a token in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The URL asks for TLS, and this build has none.
    #[error(
        "`{0}` asks for TLS, which this client is built without; switch its feature `tls` on, or use a ws:// URL"
    )]
    Tls(String),
    /// The URL is of neither scheme.
    #[error("`{0}` is not a WebSocket URL; write one such as ws://127.0.0.1:8080/ws or wss://example.org/ws")]
    Scheme(String),
    /// The authority is not a host and perhaps a port.
    #[error("`{0}` names no host to connect to, or a wrong port; write one such as ws://127.0.0.1:8080/ws")]
    Authority(String),
    /// There is a character that must be escaped, or a fragment.
    #[error("URL has `{character}`, which a request cannot carry; write it percent-encoded")]
    Character {
        /// The first such character.
        character: char,
    },
    /// The URL is too long.
    #[error("URL is {bytes} bytes, limit is {URL_BYTES_MAX}; shorten it")]
    Long {
        /// Its length.
        bytes: usize,
    },
}

impl Endpoint {
    /// Takes a URL apart.
    pub(crate) fn parse(url: &str) -> Result<Self, EndpointError> {
        if url.len() > URL_BYTES_MAX {
            return Err(EndpointError::Long { bytes: url.len() });
        }
        if let Some(character) = url.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            return Err(EndpointError::Character { character });
        }
        let (is_secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => (true, rest),
            _ => return Err(EndpointError::Scheme(without_query(url))),
        };
        if is_secure && !cfg!(feature = "tls") {
            return Err(EndpointError::Tls(without_query(url)));
        }
        let port_of_scheme = if is_secure { 443 } else { 80 };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority, port_of_scheme)
            .ok_or_else(|| EndpointError::Authority(without_query(url)))?;
        Ok(Self {
            is_secure,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority: if port == port_of_scheme {
                host.to_owned()
            } else {
                format!("{host}:{port}")
            },
            target: if target.starts_with('/') {
                target.to_owned()
            } else {
                format!("/{target}")
            },
        })
    }
}

/// A URL as it may be shown.
fn without_query(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// Host, with the brackets of an IPv6 address, and port, which may be left to the scheme.
fn split_authority(authority: &str, port_of_scheme: u16) -> Option<(&str, u16)> {
    let host_end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    let is_host = !host.is_empty() && !host.contains('@');
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => port_of_scheme,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    (is_host && port > 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, host, port, authority, target) in [
            (
                "ws://127.0.0.1:8080/ws",
                "127.0.0.1",
                8080,
                "127.0.0.1:8080",
                "/ws",
            ),
            ("WS://example.org", "example.org", 80, "example.org", "/"),
            (
                "ws://example.org:80?topic=a",
                "example.org",
                80,
                "example.org",
                "/?topic=a",
            ),
            (
                "ws://[::1]:9/ws?topic=a%20b",
                "::1",
                9,
                "[::1]:9",
                "/ws?topic=a%20b",
            ),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(
                (
                    endpoint.host.as_str(),
                    endpoint.port,
                    endpoint.authority.as_str(),
                    endpoint.target.as_str()
                ),
                (host, port, authority, target)
            );
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn the_port_of_tls_is_another_one() {
        for (url, is_secure, port, authority) in [
            ("wss://example.org", true, 443, "example.org"),
            ("WSS://example.org:443/ws", true, 443, "example.org"),
            ("wss://example.org:80", true, 80, "example.org:80"),
            ("ws://example.org:443", false, 443, "example.org:443"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            let found = (endpoint.is_secure, endpoint.port, endpoint.authority.as_str());
            assert_eq!(found, (is_secure, port, authority));
        }
    }

    #[test]
    fn a_token_in_the_query_is_not_shown() {
        let endpoint = Endpoint::parse("ws://a/ws?token=secret").unwrap();
        assert_eq!(format!("{endpoint:?}"), "Endpoint(ws://a/ws)");
        for url in [
            "http://a/?token=secret",
            "ws://:1/?token=secret",
            "ws://a:x?secret",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_is_refused_by_name() {
        let refused = Endpoint::parse("wss://example.org");
        assert!(matches!(refused, Err(EndpointError::Tls(_))));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "example.org", "http://example.org", "/ws"] {
            assert!(
                matches!(Endpoint::parse(url), Err(EndpointError::Scheme(_))),
                "{url}"
            );
        }
        for url in [
            "ws://",
            "ws:///ws",
            "ws://:80",
            "ws://a:0",
            "ws://a:65536",
            "ws://a:",
            "ws://me@a",
            "ws://[::1",
            "ws://a:+1",
        ] {
            assert!(
                matches!(Endpoint::parse(url), Err(EndpointError::Authority(_))),
                "{url}"
            );
        }
        for url in ["ws://a/\r\nX: y", "ws://a/ b", "ws://a/#top", "ws://ä/"] {
            assert!(
                matches!(Endpoint::parse(url), Err(EndpointError::Character { .. })),
                "{url}"
            );
        }
        assert!(matches!(
            Endpoint::parse(&"x".repeat(9000)),
            Err(EndpointError::Long { .. })
        ));
    }
}
