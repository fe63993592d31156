//! Web origins (RFC 6454): scheme, host and port, compared exactly.

use std::fmt;
use std::str::FromStr;

/// A web origin as a browser sends it: `scheme://host[:port]` in lower case, without the scheme's own port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('*') {
            return Err(
                "origins are matched exactly and wildcards are not; name each origin, such as \
                        `https://app.example.org`"
                    .to_owned(),
            );
        }
        if text.contains(',') {
            return Err(
                "it must be one origin; repeat the flag, or write an array in the file, for several"
                    .to_owned(),
            );
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!(
                "an origin begins with its scheme; write `https://{}`",
                bare_host(text)
            ));
        };
        if !is_scheme(scheme) {
            return Err("its scheme is not one; write `https://example.org`".to_owned());
        }
        if let Some(end) = rest.find(['/', '?', '#']) {
            return Err(format!(
                "an origin has no path and no trailing slash; write `{}://{}`",
                scheme.to_ascii_lowercase(),
                rest[..end].to_ascii_lowercase()
            ));
        }
        let Some((host, port)) = split_authority(rest) else {
            return Err(
                "behind `://` stands a host name and perhaps a port from 1 to 65535; write \
                        `https://example.org` or `http://localhost:3000`"
                    .to_owned(),
            );
        };
        Ok(Self::new(
            &scheme.to_ascii_lowercase(),
            &host.to_ascii_lowercase(),
            port,
        ))
    }
}

impl Origin {
    /// Puts the parts together the way browsers do, which leave the scheme's own port out.
    fn new(scheme: &str, host: &str, port: Option<u16>) -> Self {
        match (scheme, port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => Self(format!("{scheme}://{host}")),
            (_, Some(port)) => Self(format!("{scheme}://{host}:{port}")),
        }
    }

    /// The origin as browsers send it in the `Origin` header.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The part of a text that lacks a scheme which may be meant as the host.
fn bare_host(text: &str) -> &str {
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() { "example.org" } else { host }
}

/// Whether `text` is a scheme by RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Host and port; an IPv6 host keeps its brackets.
fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let host_end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, port) = text.split_at(host_end);
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|p| *p > 0)?)
        }
        Some(_) => return None,
        None if port.is_empty() => None,
        None => return None,
    };
    is_host(host).then_some((host, port))
}

/// Whether `text` is a host name in ASCII, or an address.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        for (text, kept) in [
            ("https://Example.ORG", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:80", "http://[::1]"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), kept);
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
            ("", "`https://example.org`"),
        ] {
            let refusal = text.parse::<Origin>().unwrap_err();
            assert!(refusal.contains(way_out), "{text:?}: {refusal}");
        }
    }
}
