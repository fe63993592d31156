//! Which web pages may connect. Browsers send `Origin` and do not keep pages from opening WebSockets to other hosts;
//! so the server must look (RFC 6455 section 10.2).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Which origins may connect, beside the server's own and loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginRule {
    allowed: Vec<Origin>,
}

/// Which text of a list is not an origin, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an origin: {reason}")]
pub struct OriginRuleError {
    text: String,
    reason: OriginError,
}

impl OriginRule {
    /// Allows these origins too, each exactly: `https://example.org`, `http://example.org:8080`.
    ///
    /// # Errors
    /// When one is not an origin as browsers write it.
    pub fn allow(origins: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, OriginRuleError> {
        let parse = |text: String| match text.parse::<Origin>() {
            Ok(origin) => Ok(origin),
            Err(reason) => Err(OriginRuleError { text, reason }),
        };
        origins.into_iter().map(Into::into).map(parse).collect()
    }

    /// Whether a request with this `Origin` and `Host` may connect. One without `Origin` is not a browser's.
    pub(crate) fn admits(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let Ok(origin) = origin.parse::<Origin>() else {
            return false;
        };
        origin.is_loopback() && host.is_some_and(is_loopback_host)
            || host.is_some_and(|host| origin.is_of(host))
            || self.allowed.contains(&origin)
    }
}

impl FromIterator<Origin> for OriginRule {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Self {
            allowed: origins.into_iter().collect(),
        }
    }
}

/// A web origin (RFC 6454): scheme, host and port, in lower case. Shown as browsers send it: `scheme://host[:port]`,
/// without the scheme's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// None where it is the scheme's own.
    port: Option<u16>,
}

/// Why a text is not an origin. Says the rule and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// A wildcard.
    #[error(
        "origins are matched exactly and wildcards are not; name each origin, such as `https://app.example.org`"
    )]
    Wildcard,
    /// Several origins in one text.
    #[error("it must be one origin; repeat the flag, or write an array in the file, for several")]
    Several,
    /// No `://`; with the host that seems to be meant.
    #[error("an origin begins with its scheme; write `https://{0}`")]
    SchemeMissing(String),
    /// What stands in front of `://` is no scheme that a page can have; `ws` is not.
    #[error("its scheme is not one of a page; write `https://example.org`")]
    Scheme,
    /// Something follows host and port; with what stands in front of it.
    #[error("an origin has no path and no trailing slash; write `{0}`")]
    Path(String),
    /// Host or port are not as they should be.
    #[error(
        "behind `://` stands a host name and perhaps a port from 1 to 65535; write `https://example.org` or \
         `http://localhost:3000`"
    )]
    Host,
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.contains('*') {
            return Err(OriginError::Wildcard);
        }
        if text.contains(',') {
            return Err(OriginError::Several);
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| OriginError::SchemeMissing(bare_host(text).to_owned()))?;
        if !is_scheme(scheme) {
            return Err(OriginError::Scheme);
        }
        let scheme = scheme.to_ascii_lowercase();
        if let Some(end) = rest.find(['/', '?', '#']) {
            let meant = rest[..end].to_ascii_lowercase();
            return Err(OriginError::Path(format!("{scheme}://{meant}")));
        }
        let (host, port) = split_port(rest)
            .filter(|(host, _)| is_host(host))
            .ok_or(OriginError::Host)?;
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: port.filter(|_| port != standard_port(&scheme)),
            scheme,
        })
    }
}

impl Origin {
    /// Whether it is that of the host that the request names. The scheme is not compared: a proxy may have ended
    /// TLS before this server.
    fn is_of(&self, host: &str) -> bool {
        let Some((name, port)) = split_port(host) else {
            return false;
        };
        let port = port.filter(|_| port != standard_port(&self.scheme));
        self.is_web() && self.host.eq_ignore_ascii_case(name) && port == self.port
    }

    fn is_loopback(&self) -> bool {
        self.is_web() && is_loopback_name(&self.host)
    }

    fn is_web(&self) -> bool {
        standard_port(&self.scheme).is_some()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether a page can have this scheme, by RFC 3986 section 3.1. A page comes from http or https whatever it connects
/// with, so `ws` and `wss` are an operator's slip.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !["ws", "wss"].iter().any(|slip| text.eq_ignore_ascii_case(slip))
}

fn standard_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Splits `host:port`; brackets keep the colons of an IPv6 address together.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let Some(at) = text[after_brackets..].find(':') else {
        return Some((text, None));
    };
    let (host, port) = text.split_at(after_brackets + at);
    let is_number = port[1..].bytes().all(|byte| byte.is_ascii_digit());
    let port = port[1..].parse().ok().filter(|&port| is_number && port > 0)?;
    Some((host, Some(port)))
}

/// Whether a text is a host name in ASCII, or an address.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_name)
}

/// The part of a text that lacks a scheme which may be meant as the host.
fn bare_host(text: &str) -> &str {
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() { "example.org" } else { host }
}

fn is_loopback_host(host: &str) -> bool {
    split_port(host).is_some_and(|(name, _)| is_loopback_name(name))
}

fn is_loopback_name(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_host_and_loopback_may_connect() {
        let rule = OriginRule::default();
        for (origin, host) in [
            (None, "example.org"),
            (Some("http://example.org"), "example.org"),
            (Some("https://example.org"), "example.org"),
            (Some("https://EXAMPLE.org:443"), "example.org"),
            (Some("http://example.org:8080"), "example.org:8080"),
            (Some("http://localhost:3000"), "127.0.0.1:8080"),
            (Some("http://127.0.0.1:3000"), "localhost:8080"),
            (Some("http://[::1]:8080"), "[::1]:8080"),
        ] {
            assert!(rule.admits(origin, Some(host)), "{origin:?} to {host}");
        }
    }

    #[test]
    fn other_origins_may_not() {
        let rule = OriginRule::allow(["https://good.example"]).unwrap();
        for origin in [
            "null",
            "",
            "https://evil.example",
            "https://good.example.evil",
            "https://good.example:8443",
            "http://good.example",
            "https://user@good.example",
            "https://good.example/path",
            "https://good.example, https://good.example",
            "file://",
            "javascript://good.example",
            "1http://good.example",
            "capacitor://chat.example:8080",
            "https://good.example:",
            "http://localhost.evil.example",
            "http://localhost:3000",
        ] {
            assert!(!rule.admits(Some(origin), Some("chat.example:8080")), "{origin}");
        }
    }

    #[test]
    fn listed_origins_may_connect_exactly() {
        let rule = OriginRule::allow(["https://Good.example", "http://good.example:8080"]).unwrap();
        for origin in [
            "https://good.example",
            "https://good.example:443",
            "http://good.example:8080",
        ] {
            assert!(rule.admits(Some(origin), Some("chat.example")), "{origin}");
        }
        let packaged = OriginRule::allow(["capacitor://localhost"]).unwrap();
        assert!(packaged.admits(Some("capacitor://localhost"), Some("chat.example")));
        assert!(!rule.admits(Some("capacitor://localhost"), Some("chat.example")));
        for bad in [
            "*",
            "https://*.example",
            "good.example",
            "https://good.example/",
            "ws://good.example",
        ] {
            assert!(OriginRule::allow([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        for (text, kept) in [
            ("https://Example.ORG", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:80", "http://[::1]"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), kept);
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_the_way_out() {
        for (text, way_out) in [
            ("https://example.org/", "`https://example.org`"),
            ("https://Example.org/chat?x", "`https://example.org`"),
            ("example.org/x", "`https://example.org`"),
            ("https://*.example.org", "name each origin"),
            ("*", "name each origin"),
            ("https://", "host name"),
            ("https://example.org:0", "port"),
            ("https://example.org:99999", "port"),
            ("https://example.org:", "port"),
            ("https://user@example.org", "host name"),
            ("https://a.example,https://b.example", "repeat the flag"),
            ("1http://example.org", "scheme"),
            ("wss://example.org", "`https://example.org`"),
            ("", "`https://example.org`"),
        ] {
            let refusal = text.parse::<Origin>().unwrap_err().to_string();
            assert!(refusal.contains(way_out), "{text:?}: {refusal}");
        }
    }
}
