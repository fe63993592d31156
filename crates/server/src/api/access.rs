//! Who may call the API.
//!
//! With keys, whoever presents one. Without, only programs on this machine that speak to a loopback address by its
//! name: pages of other origins, names that were rebound to loopback and whatever came through a proxy are refused,
//! because a browser or a proxy on this machine would lend its place to strangers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::answer::{Code, Problem};
use super::scope::{Caller, Scope};
use crate::options::{ApiKey, hash};

/// The rule of who may call, and as whom. Of the keys it keeps only hashes. Clones are the same rule: keys that are set in one are set
/// in all.
#[derive(Clone)]
pub(crate) struct Access {
    rule: Arc<RwLock<Rule>>,
    scheme: &'static str,
    listen: SocketAddr,
}

enum Rule {
    /// The hash of each key, and whose it is.
    Keys(Vec<([u8; 32], Caller)>),
    /// No key is set; the listener is bound to this address.
    Local(SocketAddr),
}

impl Rule {
    fn of(keys: &[ApiKey], listen: SocketAddr) -> Self {
        if keys.is_empty() {
            return Self::Local(listen);
        }
        let caller = |key: &ApiKey| Caller {
            key: Arc::from(&*key.name),
            scopes: Arc::new(key.scopes.clone()),
        };
        Self::Keys(keys.iter().map(|key| (key.hash, caller(key))).collect())
    }
}

impl Access {
    /// The rule for a listener that speaks `scheme`, http or https, bound to `listen`. With no keys it is for this
    /// machine alone.
    pub(crate) fn new(keys: &[ApiKey], (scheme, listen): (&'static str, SocketAddr)) -> Self {
        Self {
            rule: Arc::new(RwLock::new(Rule::of(keys, listen))),
            scheme,
            listen,
        }
    }

    /// From now on these are the keys.
    pub(crate) fn set_keys(&self, keys: &[ApiKey]) {
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = Rule::of(keys, self.listen);
    }

    fn rule(&self) -> RwLockReadGuard<'_, Rule> {
        self.rule.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts this rule before all of `router`, for pages with figures outside the API.
    pub(crate) fn guard(self, router: Router) -> Router {
        router.layer(from_fn(move |mut request: Request, next: Next| {
            let checked = self.check(&request);
            async move {
                match checked {
                    Ok(caller) => {
                        request.extensions_mut().insert(caller);
                        Scope::Stats.let_in(request, next).await
                    }
                    Err(problem) => problem.into_response(),
                }
            }
        }))
    }

    /// Who sends a request.
    ///
    /// # Errors
    /// A key in the address, where logs would keep it, or no right to call.
    pub(super) fn check(&self, request: &Request) -> Result<Caller, Problem> {
        refuse_key_in_query(request.uri().query().unwrap_or_default())?;
        match &*self.rule() {
            Rule::Keys(keys) => holder_of_key(keys, request.headers()),
            Rule::Local(listen) => check_local((self.scheme, *listen), request).map(|()| Caller::local()),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.rule() {
            Rule::Keys(keys) => write!(formatter, "Access({} keys)", keys.len()),
            Rule::Local(listen) => write!(formatter, "Access(local, {listen})"),
        }
    }
}

fn refuse_key_in_query(query: &str) -> Result<(), Problem> {
    let is_key = |name: &str| KEY_PARAMETERS.iter().any(|key| name.eq_ignore_ascii_case(key));
    match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| is_key(name)) {
        Some((name, _)) => Err(Problem::new(
            Code::KeyInQuery,
            format!(
                "`{name}` in the address would be kept by logs, send the key as `Authorization: Bearer KEY` or \
                 `X-API-Key: KEY`"
            ),
        )),
        None => Ok(()),
    }
}

fn holder_of_key(keys: &[([u8; 32], Caller)], headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(presented) = presented_key(headers) else {
        return Err(unauthorized(
            "a key is needed, send `Authorization: Bearer KEY` or `X-API-Key: KEY`",
        ));
    };
    let holder = find(keys, &hash(presented)).map(|(_, caller)| caller.clone());
    holder.ok_or_else(|| unauthorized("the key is not one of this server's, send one it was started with"))
}

/// The last of the keys that has this hash. Compares with every key and in constant time, so that the time taken tells
/// nothing about any of them.
fn find<'k>(keys: &'k [([u8; 32], Caller)], presented: &[u8; 32]) -> Option<&'k ([u8; 32], Caller)> {
    // One behind the last is nobody's.
    let found = keys
        .iter()
        .zip(0_u64..)
        .fold(keys.len() as u64, |found, ((key, _), at)| {
            u64::conditional_select(&found, &at, key.ct_eq(presented))
        });
    keys.get(found as usize)
}

fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let key_behind = |scheme: &[u8]| {
        let (given, key) = authorization?.split_at_checked(scheme.len())?;
        given.eq_ignore_ascii_case(scheme).then(|| key.trim_ascii_start())
    };
    key_behind(BEARER)
        .or_else(|| key_behind(APIKEY))
        .or_else(|| headers.get(API_KEY).map(HeaderValue::as_bytes))
}

fn check_local((scheme, listen): (&str, SocketAddr), request: &Request) -> Result<(), Problem> {
    let way_out = "start the server with --api-key";
    if !listen.ip().is_loopback() {
        return Err(unauthorized(format!(
            "no key is set and the server listens on {listen}, which is not loopback; {way_out}"
        )));
    }
    let headers = request.headers();
    if let Some(name) = PROXY_HEADERS.iter().find(|name| headers.contains_key(**name)) {
        return Err(unauthorized(format!(
            "no key is set and `{name}` says that the call came through a proxy; {way_out}"
        )));
    }
    // A proxy that speaks the PROXY protocol leaves no trace in the headers, but in the address.
    let remote = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if let Some(ConnectInfo(remote)) = remote.filter(|remote| !remote.0.ip().is_loopback()) {
        return Err(unauthorized(format!(
            "no key is set and the call is from {}, which is not this machine; {way_out}",
            remote.ip()
        )));
    }
    let host = only(headers, &header::HOST).unwrap_or_default();
    let authority = request
        .uri()
        .authority()
        .map_or(host, |authority| authority.as_str());
    if !is_loopback(host) || !is_loopback(authority) {
        return Err(unauthorized(format!(
            "no key is set and `Host` is {host:?}, which is not loopback; {way_out}"
        )));
    }
    if headers.contains_key(header::ORIGIN) && !is_own_origin(only(headers, &header::ORIGIN), (scheme, host))
    {
        return Err(unauthorized(format!(
            "no key is set and the call is from a page of another origin; {way_out}"
        )));
    }
    Ok(())
}

/// The value of a header that is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Whether `host` or `host:port` names this machine for every reader of it.
fn is_loopback(host: &str) -> bool {
    if host
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback())
    {
        return true;
    }
    let (name, port) = host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    if port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
    {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.is_some_and(|bare| bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

/// Whether a page's origin is the server itself as the request names it. The port of the scheme may be left out on both
/// sides.
fn is_own_origin(origin: Option<&str>, (scheme, host): (&str, &str)) -> bool {
    let port = if scheme == "https" { ":443" } else { ":80" };
    let without_port = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    origin
        .and_then(|origin| origin.strip_prefix(scheme)?.strip_prefix("://"))
        .is_some_and(|page| without_port(page) == without_port(host))
}

fn unauthorized(message: impl Into<String>) -> Problem {
    Problem::new(Code::Unauthorized, message)
}

const BEARER: &[u8] = b"bearer ";
/// The scheme of callers that were written for Centrifugo.
const APIKEY: &[u8] = b"apikey ";
const API_KEY: &str = "x-api-key";

/// Names that callers give a key in an address.
const KEY_PARAMETERS: &[&str] = &[
    "key",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "token",
    "access_token",
];

/// Headers that only a proxy writes.
const PROXY_HEADERS: &[&str] = &[
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::body::Body;

    use super::*;

    const KEY: &str = "0123456789abcdef";
    const OTHER_KEY: &str = "fedcba9876543210";

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn access(keys: &[&str], listen: &str) -> Access {
        let keys: Vec<ApiKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
        Access::new(&keys, ("http", listen.parse().unwrap()))
    }

    fn code(access: &Access, request: &Request) -> Option<&'static str> {
        access.check(request).err().map(|problem| problem.code().name())
    }

    #[test]
    fn any_of_the_keys_opens_from_anywhere() {
        let access = access(&[KEY, OTHER_KEY], "0.0.0.0:80");
        for (name, value) in [
            ("authorization", format!("Bearer {KEY}")),
            ("authorization", format!("bearer  {OTHER_KEY}")),
            ("authorization", format!("apikey {KEY}")),
            ("authorization", format!("ApiKey  {OTHER_KEY}")),
            ("x-api-key", KEY.to_owned()),
        ] {
            let headers = [(name, value.as_str()), ("origin", "https://example.org")];
            assert_eq!(code(&access, &request("/", &headers)), None, "{name}: {value}");
        }
        let headers = [("authorization", "Basic eDp5"), ("x-api-key", KEY)];
        assert_eq!(code(&access, &request("/", &headers)), None);
    }

    #[test]
    fn each_key_is_its_holders() {
        let hash = |key: &str| crate::options::hash_text(&hash(key.as_bytes()));
        let (reader, writer) = (
            format!("reader stats {}", hash(KEY)),
            format!("writer publish:a {}", hash(OTHER_KEY)),
        );
        let access = access(&[&reader, &writer, "0123456789abcdeg"], "0.0.0.0:80");
        let holder = |key: &str| access.check(&request("/", &[("x-api-key", key)])).unwrap();
        assert_eq!((&*holder(KEY).key, holder(KEY).scopes.stats), ("reader", true));
        assert_eq!(
            (&*holder(OTHER_KEY).key, holder(OTHER_KEY).scopes.publish.len()),
            ("writer", 1)
        );
        assert!(holder("0123456789abcdeg").scopes.admin);
        assert_eq!(
            code(&access, &request("/", &[("x-api-key", &hash(KEY))])),
            Some("unauthorized")
        );
    }

    #[test]
    fn without_a_right_key_nothing_opens() {
        let access = access(&[KEY], "127.0.0.1:80");
        for (name, value) in [
            ("host", "localhost"),
            ("authorization", "Bearer"),
            ("authorization", "Bearer "),
            ("authorization", KEY),
            ("authorization", "Bearer 0123456789abcdeg"),
            ("authorization", "Bearer 0123456789abcde"),
            ("authorization", "Bearer 0123456789abcdef0"),
            ("authorization", "Basic 0123456789abcdef"),
            ("authorization", "apikey"),
            ("authorization", "apikey 0123456789abcde"),
            ("authorization", "apikey0123456789abcdef"),
            ("x-api-key", OTHER_KEY),
            ("x-api-key", ""),
        ] {
            let request = request("/", &[("host", "localhost"), (name, value)]);
            assert_eq!(code(&access, &request), Some("unauthorized"), "{name}: {value}");
        }
    }

    #[test]
    fn a_key_in_the_address_is_refused_even_with_one_in_the_header() {
        let access = access(&[KEY], "127.0.0.1:80");
        for name in KEY_PARAMETERS.iter().copied().chain(["API_KEY", "%6bey"]) {
            let request = request(&format!("/?topic=a&{name}={KEY}"), &[("x-api-key", KEY)]);
            assert_eq!(code(&access, &request), Some("key_in_query"), "{name}");
        }
    }

    #[test]
    fn without_keys_this_machine_may_call_a_loopback_listener() {
        for listen in ["127.0.0.1:8080", "[::1]:8080"] {
            let access = access(&[], listen);
            for host in [
                "127.0.0.1:8080",
                "127.0.0.2",
                "localhost",
                "LOCALHOST:8080",
                "[::1]:8080",
                "[::1]",
            ] {
                assert_eq!(code(&access, &request("/", &[("host", host)])), None, "{host}");
                let origin = format!("http://{}", host.to_lowercase());
                let request = request("/", &[("host", host), ("origin", &origin)]);
                assert_eq!(code(&access, &request), None, "{origin}");
            }
        }
    }

    #[test]
    fn without_keys_nobody_else_may() {
        let local = access(&[], "127.0.0.1:8080");
        let host = ("host", "localhost:8080");
        for headers in [
            &[][..],
            &[("host", "")],
            &[("host", "fanfare.example")],
            &[("host", "localhost.evil.example")],
            &[("host", "localhost:8080.evil.example")],
            &[("host", "127.0.0.1.evil.example:8080")],
            &[("host", "evil.example@127.0.0.1")],
            &[("host", "[::1].evil.example")],
            &[("host", "10.0.0.1:8080")],
            &[host, ("host", "localhost:8080")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "null")],
            &[host, ("origin", "")],
            &[host, ("origin", "http://localhost:3000")],
            &[host, ("origin", "http://127.0.0.1:8080")],
            &[host, ("origin", "https://localhost:8080")],
            &[
                host,
                ("origin", "http://localhost:8080"),
                ("origin", "http://localhost:8080"),
            ],
            &[host, ("x-forwarded-for", "10.0.0.1")],
            &[host, ("forwarded", "for=10.0.0.1")],
            &[host, ("via", "1.1 proxy")],
            &[
                host,
                ("authorization", "Bearer 0123456789abcdef"),
                ("origin", "null"),
            ],
        ] {
            assert_eq!(
                code(&local, &request("/", headers)),
                Some("unauthorized"),
                "{headers:?}"
            );
        }
        let absolute = request("http://evil.example/api/stats", &[host]);
        assert_eq!(code(&local, &absolute), Some("unauthorized"));
        for listen in ["0.0.0.0:8080", "[::]:8080", "192.168.0.2:8080"] {
            assert_eq!(
                code(&access(&[], listen), &request("/", &[host])),
                Some("unauthorized"),
                "{listen}"
            );
        }
    }

    #[test]
    fn without_keys_nobody_elses_connection_may_call_whatever_it_says() {
        let local = access(&[], "127.0.0.1:8080");
        for (remote, code_of_answer) in [("127.0.0.1:5", None), ("192.0.2.1:5", Some("unauthorized"))] {
            let remote: SocketAddr = remote.parse().unwrap();
            let mut request = request("/", &[("host", "localhost:8080")]);
            request.extensions_mut().insert(ConnectInfo(remote));
            assert_eq!(code(&local, &request), code_of_answer, "{remote}");
        }
    }

    #[test]
    fn a_refusal_without_keys_says_the_way_out() {
        let problem = access(&[], "0.0.0.0:8080").check(&request("/", &[])).unwrap_err();
        assert_eq!(
            problem,
            unauthorized(
                "no key is set and the server listens on 0.0.0.0:8080, which is not loopback; start the server with \
                 --api-key"
            )
        );
    }

    // After dudect (Reparaz, Balasch, Verbauwhede 2017): classes of input in turns, their times compared. A search that
    // ends at the first match takes a hundredth for the first of these keys, and one that ends at the first byte that
    // differs a fraction for the stranger.
    #[test]
    fn the_time_that_a_search_takes_does_not_tell_what_was_found() {
        let caller = Caller::local();
        let hash_of = |at: u32| {
            let mut key = [7; 32];
            key[28..].copy_from_slice(&at.to_be_bytes());
            key
        };
        let keys: Vec<([u8; 32], Caller)> = (0..500).map(|at| (hash_of(at), caller.clone())).collect();
        let classes = [hash_of(0), hash_of(499), hash_of(500), [0; 32]];
        let mut times = classes.map(|_| Vec::new());
        for _ in 0..401 {
            for (class, times) in classes.iter().zip(&mut times) {
                let began = Instant::now();
                std::hint::black_box(find(&keys, std::hint::black_box(class)));
                times.push(began.elapsed());
            }
        }
        let medians = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2].as_nanos()
        });
        let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
        assert!(most * 2 < least * 3, "{medians:?} ns");
    }

    #[test]
    fn debug_output_does_not_show_a_key() {
        assert_eq!(format!("{:?}", access(&[KEY], "127.0.0.1:80")), "Access(1 keys)");
    }

    #[test]
    fn a_page_is_the_servers_own_by_the_scheme_that_the_server_speaks() {
        for (scheme, origin, is_own) in [
            ("https", "https://localhost:8443", true),
            ("https", "http://localhost:8443", false),
            ("http", "https://localhost:8443", false),
            ("http", "http://localhost:8443", true),
        ] {
            let access = Access::new(&[], (scheme, "127.0.0.1:8443".parse().unwrap()));
            let headers = [("host", "localhost:8443"), ("origin", origin)];
            let is_refused = access.check(&request("/", &headers)).is_err();
            assert_eq!(!is_refused, is_own, "{origin} of a server that speaks {scheme}");
        }
        for (origin, host) in [
            ("https://localhost", "localhost:443"),
            ("https://localhost:443", "localhost"),
        ] {
            assert!(is_own_origin(Some(origin), ("https", host)));
            assert!(!is_own_origin(Some(origin), ("http", host)));
        }
    }
}
