//! Which web pages may connect. Browsers send `Origin` and do not keep pages from opening WebSockets to other hosts;
//! so the server must look (RFC 6455 section 10.2).

use std::net::IpAddr;

/// Which origins may connect, beside the server's own and loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginRule {
    allowed: Vec<String>,
}

/// Why a text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{origin}` is not an origin, write scheme://host or scheme://host:port, without path and wildcard")]
pub struct OriginRuleError {
    origin: String,
}

impl OriginRule {
    /// Allows these origins too, each exactly: `https://example.org`, `http://example.org:8080`.
    ///
    /// # Errors
    /// When one is not an origin as browsers write it.
    pub fn allow(origins: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, OriginRuleError> {
        let check = |origin: String| match Origin::parse(&origin) {
            Some(parsed) => Ok(parsed.to_string()),
            None => Err(OriginRuleError { origin }),
        };
        let allowed = origins
            .into_iter()
            .map(Into::into)
            .map(check)
            .collect::<Result<_, _>>()?;
        Ok(Self { allowed })
    }

    /// Whether a request with this `Origin` and `Host` may connect. One without `Origin` is not a browser's.
    pub(crate) fn admits(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        origin.is_loopback() && host.is_some_and(is_loopback_host)
            || host.is_some_and(|host| origin.is_of(host))
            || self.allowed.iter().any(|allowed| *allowed == origin.to_string())
    }
}

/// An origin taken apart, in lower case.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    /// None only where the scheme has no port of its own, as those of packaged applications.
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
            return None;
        }
        if matches!(&*scheme, "ws" | "wss") {
            // An operator's slip: a page comes from http or https whatever it connects with.
            return None;
        }
        let (host, port) = split_port(rest)?;
        let is_host = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        };
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        Some(Self {
            host: host.to_ascii_lowercase(),
            port: port.or_else(|| standard_port(&scheme)),
            scheme,
        })
    }

    /// Whether it is that of the host that the request names. The scheme is not compared: a proxy may have ended
    /// TLS before this server.
    fn is_of(&self, host: &str) -> bool {
        let Some((name, port)) = split_port(host) else {
            return false;
        };
        let port = port.or_else(|| standard_port(&self.scheme));
        self.is_web() && self.host.eq_ignore_ascii_case(name) && port == self.port
    }

    fn is_loopback(&self) -> bool {
        self.is_web() && is_loopback_name(&self.host)
    }

    fn is_web(&self) -> bool {
        standard_port(&self.scheme).is_some()
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
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
    match text[after_brackets..].find(':') {
        None => Some((text, None)),
        Some(at) => {
            let (host, port) = text.split_at(after_brackets + at);
            let digits = &port[1..];
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number
                .then(|| digits.parse().ok())
                .flatten()
                .map(|port| (host, Some(port)))
        }
    }
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
}
