//! Proxies, which are hooks here: one URL for each kind of question.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfare::tokens::{Algorithm, NewKey};

use super::draft::{Draft, Place};
use super::settings::Settings;
use crate::options::{OPTIONS, refusal};

/// What is asked, for those who make rules.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    subscribe: Option<String>,
    publish: Option<String>,
    /// A connect proxy decides who comes in, and nobody does here.
    pub(super) is_connect_lost: bool,
}

/// How a namespace leaves a question to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It does not.
    No,
    /// The hook is asked.
    Yes,
    /// Somebody would have to be asked whom no hook asks.
    Lost,
}

/// Carries proxies over that hooks take the place of.
pub(super) fn map(settings: &Settings, draft: &mut Draft) -> Hooks {
    let connect = of_connection(settings, draft, "connect", "hook_connect_url");
    let is_connect_lost = settings.switch("client.proxy.connect.enabled") && connect.is_none();
    of_connection(settings, draft, "refresh", "hook_refresh_url");
    let hooks = Hooks {
        subscribe: of_channels(settings, draft, "subscribe", "hook_subscribe_url"),
        publish: of_channels(settings, draft, "publish", "hook_publish_url"),
        is_connect_lost,
    };
    map_renewals(settings, draft);
    map_calls(settings, draft);
    if OPTIONS
        .iter()
        .any(|spec| draft.has(spec.key) && spec.section == "Hooks")
    {
        map_all(settings, draft);
    }
    hooks
}

impl Hooks {
    /// Whether the hook of a kind is asked about the channels of a namespace.
    pub(super) fn asked(&self, settings: &Settings, at: &str, kind: &str) -> Asked {
        let carried = if kind == "subscribe" {
            &self.subscribe
        } else {
            &self.publish
        };
        match Endpoint::of_channels(settings, at, kind) {
            Endpoint::Unasked => Asked::No,
            Endpoint::At(url) if carried.as_ref() == Some(&url) => Asked::Yes,
            Endpoint::At(_) | Endpoint::Missing => Asked::Lost,
        }
    }
}

/// Where a question goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Endpoint {
    /// It is not asked.
    Unasked,
    /// It would be, and nobody is there.
    Missing,
    /// To this URL.
    At(String),
}

impl Endpoint {
    /// That of a question about the channels of a namespace.
    fn of_channels(settings: &Settings, at: &str, kind: &str) -> Self {
        let names = (
            format!("{at}.{kind}_proxy_enabled"),
            format!("{at}.{kind}_proxy_name"),
        );
        Self::of(settings, &names, &format!("channel.proxy.{kind}"))
    }

    /// That of the calls of a namespace.
    fn of_calls(settings: &Settings, at: &str) -> Self {
        let names = (format!("{at}.proxy_enabled"), format!("{at}.proxy_name"));
        Self::of(settings, &names, "rpc.proxy")
    }

    /// The endpoint of the proxy that is on and has a name, by default that of its kind.
    fn of(settings: &Settings, (switch, name): &(String, String), default: &str) -> Self {
        if !settings.switch(switch) {
            return Self::Unasked;
        }
        let proxy = match settings.text_or(name, DEFAULT).as_str() {
            DEFAULT => Some(default.to_owned()),
            name => settings.named("proxies", name),
        };
        let url = proxy.and_then(|proxy| settings.text(&format!("{proxy}.endpoint")));
        url.map_or(Self::Missing, Self::At)
    }

    /// The URL that an option takes.
    fn url_for(&self, option: &str) -> Option<&String> {
        match self {
            Self::At(url) => Some(url).filter(|url| refusal(option, &url.as_str().into()).is_none()),
            Self::Unasked | Self::Missing => None,
        }
    }
}

/// A proxy of connections, if it is on and could be carried over.
fn of_connection(settings: &Settings, draft: &mut Draft, kind: &str, option: &'static str) -> Option<String> {
    let at = format!("client.proxy.{kind}");
    if !settings.switch(&format!("{at}.enabled")) {
        return None;
    }
    let path = format!("{at}.endpoint");
    let subject = settings.shown(&path);
    let Some(endpoint) = settings.text(&path) else {
        draft.lost(
            Place::Hooks,
            &subject,
            &format!("the proxy is on and has none; set {option}"),
        );
        return None;
    };
    draft
        .set(Place::Hooks, option, endpoint.clone(), &subject)
        .then_some(endpoint)
}

/// The one URL for a question about channels: the first that is needed and can be asked.
fn of_channels(settings: &Settings, draft: &mut Draft, kind: &str, option: &'static str) -> Option<String> {
    let named = (0..settings.elements(NAMESPACES)).map(|index| format!("{NAMESPACES}[{index}]"));
    let places = std::iter::once(WITHOUT.to_owned()).chain(named);
    let needed: Vec<_> = places
        .map(|at| (Endpoint::of_channels(settings, &at, kind), at))
        .filter(|(endpoint, _)| *endpoint != Endpoint::Unasked)
        .collect();
    let asked = needed
        .iter()
        .find_map(|(endpoint, _)| endpoint.url_for(option))
        .cloned();
    for (endpoint, at) in &needed {
        let why = match endpoint {
            Endpoint::At(url) if asked.as_ref() == Some(url) => continue,
            Endpoint::At(url) => match refusal(option, &url.as_str().into()) {
                Some(why) => format!("its proxy cannot be asked: {why}"),
                None => format!("another namespace has another proxy, and {option} is one URL"),
            },
            Endpoint::Unasked | Endpoint::Missing => "its proxy has no endpoint".to_owned(),
        };
        let text = match kind {
            RENEWALS => format!(
                "{why}; its subscriptions end with their `expire_at` until you let one backend answer for all, at {option}"
            ),
            _ => format!(
                "{why}; nobody may until you let one backend answer for all, at {option}, and say `{kind} = \"hook\"`"
            ),
        };
        draft.lost(
            place_of(at),
            &settings.shown(&format!("{at}.{kind}_proxy_enabled")),
            &text,
        );
    }
    if let Some(url) = &asked {
        draft.set(
            Place::Hooks,
            option,
            url.clone(),
            &format!("channel.proxy.{kind}.endpoint"),
        );
    }
    asked
}

/// Subscriptions are renewed by one URL, whatever namespace they are of.
fn map_renewals(settings: &Settings, draft: &mut Draft) {
    if of_channels(settings, draft, RENEWALS, "hook_sub_refresh_url").is_none() {
        return;
    }
    let named = (0..settings.elements(NAMESPACES)).map(|index| format!("{NAMESPACES}[{index}]"));
    let mut places = std::iter::once(WITHOUT.to_owned()).chain(named);
    let is_unasked = |at: &String| {
        let endpoint = |kind| Endpoint::of_channels(settings, at, kind);
        endpoint(RENEWALS) == Endpoint::Unasked && endpoint("subscribe") != Endpoint::Unasked
    };
    if places.any(|at| is_unasked(&at)) {
        let text = "subscriptions of all namespaces are asked about when the `expire_at` has come that the subscribe proxy gave";
        draft.note(
            Place::Hooks,
            &settings.shown("channel.proxy.sub_refresh.endpoint"),
            text,
        );
    }
}

fn place_of(at: &str) -> Place {
    let index = at
        .strip_prefix("channel.namespaces[")
        .and_then(|rest| rest.strip_suffix(']')?.parse().ok());
    index.map_or(Place::WithoutNamespace, Place::Namespace)
}

/// Calls go to one URL, all or none: a method that was not meant for the backend would reach it.
fn map_calls(settings: &Settings, draft: &mut Draft) {
    let named = (0..settings.elements("rpc.namespaces")).map(|index| format!("rpc.namespaces[{index}]"));
    let places = std::iter::once("rpc.without_namespace".to_owned()).chain(named);
    let endpoints: Vec<_> = places.map(|at| Endpoint::of_calls(settings, &at)).collect();
    let subject = settings.shown("rpc.proxy.endpoint");
    match &endpoints[..] {
        all if all.iter().all(|endpoint| *endpoint == Endpoint::Unasked) => {}
        [Endpoint::At(url), others @ ..] if others.iter().all(|other| *other == endpoints[0]) => {
            if draft.set(Place::Hooks, "hook_call_url", url.clone(), &subject) {
                let text = "methods of namespaces that were not configured reach the backend too, which must refuse what it does \
                            not know";
                draft.note(Place::Hooks, &subject, text);
            }
        }
        _ => draft.lost(
            Place::Hooks,
            &subject,
            "not all methods go to the same proxy, and hook_call_url gets all, so that there are no procedures; set it if the backend \
             refuses what it does not know",
        ),
    }
}

/// What holds for all hooks together.
fn map_all(settings: &Settings, draft: &mut Draft) {
    draft.set(Place::Hooks, "hook_format", "centrifugo", "proxies");
    match NewKey::generate(Algorithm::Hs256) {
        Ok(key) => {
            let secret = toml::Value::Array(vec![key.private().into()]);
            draft.set(Place::Hooks, "hook_secret", secret, "hook_secret");
            draft.note(
                Place::Hooks,
                "hook_secret",
                "new: requests are signed with it, which a backend may check",
            );
        }
        Err(error) => draft.lost(
            Place::Hooks,
            "hook_secret",
            &format!("{error}; set it to the output of `openssl rand -hex 32`"),
        ),
    }
    let timeouts = PROXIES
        .iter()
        .filter_map(|at| settings.time(&format!("{at}.timeout")));
    let named = (0..settings.elements("proxies"))
        .filter_map(|index| settings.time(&format!("proxies[{index}].timeout")));
    let longest = timeouts.chain(named).max().filter(|time| *time > Duration::ZERO);
    if let Some(longest) = longest {
        draft.set(Place::Hooks, "hook_timeout", super::written(longest), "timeout");
    }
    map_headers(settings, draft, "http_headers", "hook_header");
    map_headers(settings, draft, "emulated_headers", "hook_emulated_header");
}

/// Headers of clients, which all hooks are told: those that any of the proxies was.
fn map_headers(settings: &Settings, draft: &mut Draft, key: &str, option: &'static str) {
    let named = (0..settings.elements("proxies")).map(|index| format!("proxies[{index}]"));
    let places = PROXIES.iter().map(|at| (*at).to_owned()).chain(named);
    let places = std::iter::once("proxy".to_owned()).chain(places);
    let list = |at: String| {
        let path = format!("{at}.{key}");
        let names: BTreeSet<String> = settings.texts(&path).into_iter().collect();
        (!names.is_empty()).then_some((path, names))
    };
    let lists: Vec<_> = places.filter_map(list).collect();
    let Some((subject, _)) = lists.first() else {
        return;
    };
    let subject = settings.shown(subject);
    let all: BTreeSet<String> = lists.iter().flat_map(|(_, names)| names).cloned().collect();
    let names = all.iter().map(|name| toml::Value::from(name.as_str())).collect();
    draft.set(Place::Hooks, option, toml::Value::Array(names), &subject);
    if lists.iter().any(|(_, names)| *names != all) {
        let text = "proxies have different lists; all hooks are told the headers of all of them";
        draft.note(Place::Hooks, &subject, text);
    }
}

/// The kind of the proxy that is asked whether a subscription goes on.
const RENEWALS: &str = "sub_refresh";

/// What the default proxies are called.
const DEFAULT: &str = "default";

const WITHOUT: &str = "channel.without_namespace";
const NAMESPACES: &str = "channel.namespaces";

/// The proxies that are not in a list, and that hooks take the place of.
const PROXIES: [&str; 6] = [
    "client.proxy.connect",
    "client.proxy.refresh",
    "channel.proxy.subscribe",
    "channel.proxy.publish",
    "channel.proxy.sub_refresh",
    "rpc.proxy",
];
