//! Who asks to be let in, and what is kept of that.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{ConnectionId, Greeting};

use crate::door::ClientCertificate;

/// Somebody at the door.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// Where it comes from.
    pub remote: SocketAddr,
    /// What it asked for: the path and query of its request.
    pub target: String,
    /// The dialect that it is to speak.
    pub dialect: Dialect,
    /// The headers of its request, and those of its hello that [may go along](crate::Options::emulated_headers).
    pub headers: HeaderMap,
    /// What it says of itself, where it speaks first.
    pub greeting: Option<Box<Greeting>>,
    /// Its connection, if it has one by now: where it speaks first.
    pub connection: Option<ConnectionId>,
    /// The certificate that it has shown, if it did and TLS ends here.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Entrant {
    /// A parameter of the address that it asked for, decoded; the first of that name.
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, query) = self.target.split_once('?')?;
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        parameters
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// Puts headers of its hello, of these names, to those of its request, which go before them. What is no header is passed
    /// over.
    pub(crate) fn emulate(&mut self, names: &[HeaderName]) {
        let given = self.greeting.iter().flat_map(|greeting| &greeting.headers);
        for (name, value) in given {
            let name = names
                .iter()
                .find(|listed| listed.as_str().eq_ignore_ascii_case(name));
            let (Some(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
                continue;
            };
            if !self.headers.contains_key(name) {
                self.headers.insert(name, value);
            }
        }
    }

    /// What is kept of it for its connection's life: the headers of these names; nothing where there are none.
    pub(crate) fn kept(&self, names: &[HeaderName]) -> Option<Arc<Self>> {
        if names.is_empty() {
            return None;
        }
        let is_kept = |name: &HeaderName| names.contains(name);
        let kept = self.headers.iter().filter(|(name, _)| is_kept(name));
        Some(Arc::new(Self {
            headers: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
            greeting: None,
            target: self.target.clone(),
            certificate: self.certificate.clone(),
            ..*self
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const N: usize>(names: [&'static str; N]) -> [HeaderName; N] {
        names.map(HeaderName::from_static)
    }

    fn entrant(headers: &[(&'static str, &str)], said: &[(&str, &str)]) -> Entrant {
        let greeting = Greeting {
            headers: said
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Greeting::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Entrant {
            remote: "192.0.2.1:5".parse().unwrap(),
            target: "/connection/websocket".to_owned(),
            dialect: Dialect::CentrifugeJson,
            headers: map,
            greeting: Some(Box::new(greeting)),
            connection: None,
            certificate: None,
        }
    }

    fn values<'e>(entrant: &'e Entrant, name: &str) -> Vec<&'e str> {
        let values = entrant.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn what_a_hello_has_in_place_of_headers_is_listed_and_replaces_none() {
        let said = [
            ("X-Device", "phone"),
            ("COOKIE", "session=8"),
            ("x-secret", "1"),
            ("x-broken", "a\nb"),
        ];
        let mut entrant = entrant(&[("cookie", "session=7")], &said);
        entrant.emulate(&names(["x-device", "cookie", "x-broken", "x-none"]));
        for (name, expected) in [
            ("x-device", &["phone"][..]),
            ("cookie", &["session=7"]),
            ("x-secret", &[]),
            ("x-broken", &[]),
        ] {
            assert_eq!(values(&entrant, name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_kept_are_the_headers_that_are_listed() {
        let headers = [
            ("cookie", "a"),
            ("cookie", "b"),
            ("x-tenant", "red"),
            ("accept", "*"),
        ];
        let entrant = entrant(&headers, &[]);
        assert!(entrant.kept(&[]).is_none());
        let kept = entrant.kept(&names(["cookie", "x-tenant", "x-none"])).unwrap();
        assert_eq!(
            (
                values(&kept, "cookie"),
                values(&kept, "x-tenant"),
                kept.headers.len()
            ),
            (vec!["a", "b"], vec!["red"], 3)
        );
        assert!(kept.greeting.is_none());
    }
}
