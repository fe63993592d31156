//! Where hooks are asked, and which headers go along, as an operator writes them.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderName, Uri};

/// The URL of a hook: `http` or `https`, with a host, and without user and password, which the signature replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookUrl(Uri);

impl HookUrl {
    /// Whether it asks for TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    pub(crate) fn into_uri(self) -> Uri {
        self.0
    }
}

impl FromStr for HookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let way_out = "write one such as `https://backend.example/fanfare`";
        if text.contains('#') {
            return Err(format!("a URL of a hook has no fragment; {way_out}"));
        }
        let uri: Uri = text.parse().map_err(|_| format!("it is no URL; {way_out}"))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        match authority {
            Some(authority) if authority.as_str().contains('@') => Err(format!(
                "a URL of a hook has no user and no password, requests are signed; {way_out}"
            )),
            Some(_) if is_http => Ok(Self(uri)),
            _ => Err(format!(
                "it must be an `http` or `https` URL with a host; {way_out}"
            )),
        }
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a header that goes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookHeader(pub(crate) HeaderName);

impl FromStr for HookHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.parse().map(Self);
        name.map_err(|_| "it is no name of a header; write one such as `cookie`".to_owned())
    }
}

impl fmt::Display for HookHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host_and_nothing_that_is_secret() {
        for text in [
            "http://localhost:9000/hooks?a=b",
            "https://backend.example/",
            "http://[::1]:80/",
        ] {
            let url: HookUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
        }
        for text in [
            "",
            "/hooks",
            "backend.example",
            "ftp://backend.example/",
            "https://user:password@backend.example/",
            "https://backend.example/#there",
            "https:///x",
            "https://a b/",
        ] {
            assert!(text.parse::<HookUrl>().is_err(), "{text}");
        }
    }
}
