//! One value per option from all places that may set it: flag, then environment, then file, then default.

use std::ffi::OsString;
use std::fmt;

use fanfare::{Action, Who};

use super::file::ConfigFile;
use super::suggest::nearest;
use super::table::{ENVELOPE_BYTES_MAX, OPTIONS, OptionSpec, READ_BYTES, ServeOptions};
use super::topic_rule::TopicRuleOption;
use super::value::{size_text, time_text};
use crate::hooks::HookFormat;

/// Everything an operator said, as text.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Keys with the values of their flags.
    pub(crate) flags: Vec<(&'static str, Vec<String>)>,
    /// The process's environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The configuration file, when there is one.
    pub(crate) file: Option<ConfigFile>,
}

/// The configuration and where each value came from.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The configuration.
    pub(crate) options: ServeOptions,
    /// The source of each option, in the order of the table.
    pub(super) sources: Vec<Source>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File(String),
    /// A variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

/// Decides every option, and checks the ones that must fit each other.
///
/// # Errors
/// Every problem found, each naming the value, the rule and the way out.
pub(crate) fn resolve(inputs: &Inputs) -> Result<Resolved, Vec<String>> {
    let mut options = ServeOptions::default();
    let (mut sources, mut problems) = (Vec::with_capacity(OPTIONS.len()), Vec::new());
    for spec in OPTIONS {
        match decide(spec, inputs, &mut options) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        problems.extend(misfits(&options));
    }
    if problems.is_empty() {
        Ok(Resolved { options, sources })
    } else {
        Err(problems)
    }
}

/// Stores the value of one option and tells its source.
fn decide(spec: &OptionSpec, inputs: &Inputs, options: &mut ServeOptions) -> Result<Source, String> {
    let Some((source, texts)) = said(spec, inputs)? else {
        return Ok(Source::Default);
    };
    match spec.kind.read(options, &texts) {
        Ok(()) => Ok(source),
        Err(refusal) => Err(format!(
            "{} is {}: {refusal}",
            source.subject(spec),
            shown(spec, &texts)
        )),
    }
}

/// What the highest source that speaks of an option says.
fn said(spec: &OptionSpec, inputs: &Inputs) -> Result<Option<(Source, Vec<String>)>, String> {
    if let Some((_, texts)) = inputs.flags.iter().find(|(key, _)| *key == spec.key) {
        return Ok(Some((Source::Flag(format!("--{}", spec.flag())), texts.clone())));
    }
    if let Some(text) = variable(&spec.variable(), &inputs.environment)? {
        let texts = if spec.kind.is_of_tables() {
            split_tables(&text)
        } else if spec.kind.is_list() {
            split_list(&text)
        } else {
            vec![text]
        };
        return Ok(Some((Source::Environment(spec.variable()), texts)));
    }
    let entry = inputs
        .file
        .as_ref()
        .and_then(|file| Some((file, file.entry(spec.key)?)));
    Ok(entry.map(|(file, entry)| (Source::File(file.place(entry.place)), entry.texts.clone())))
}

/// The value of a variable; an empty one counts as not set.
fn variable(name: &str, environment: &[(OsString, OsString)]) -> Result<Option<String>, String> {
    let Some((_, value)) = environment.iter().find(|(known, _)| known == name) else {
        return Ok(None);
    };
    match value.to_str() {
        Some(text) => Ok(Some(text.to_owned()).filter(|text| !text.is_empty())),
        None => Err(format!(
            "{name} is not UTF-8: every option is text; set it to text or unset it"
        )),
    }
}

/// The parts of a list in a variable.
fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// The tables of a list in a variable, which is written as in the file, or with one table only.
fn split_tables(text: &str) -> Vec<String> {
    let listed = toml::from_str::<toml::Table>(&format!("list = {text}")).ok();
    match listed.as_ref().and_then(|line| line.get("list")) {
        Some(toml::Value::Array(tables)) => tables.iter().map(ToString::to_string).collect(),
        _ => vec![text.to_owned()],
    }
}

/// A refused value the way a problem may show it.
pub(super) fn shown(spec: &OptionSpec, texts: &[String]) -> String {
    if spec.kind.is_secret() {
        return "a secret that is not shown".to_owned();
    }
    let mut joined = texts.join(", ");
    if let Some((end, _)) = joined.char_indices().nth(SHOWN_CHARS_MAX) {
        joined.truncate(end);
        joined.push('…');
    }
    // What could move the cursor or hide is spelt out; quotes belong to what was written.
    let spelt = joined.chars().flat_map(|character| match character {
        '"' | '\'' => vec![character],
        other => other.escape_debug().collect(),
    });
    format!("`{}`", spelt.collect::<String>())
}

/// Problems of values that are right alone and wrong together.
fn misfits(options: &ServeOptions) -> impl Iterator<Item = String> {
    [
        small_outbox(options),
        unheard_proxies(options),
        small_receiving(options),
        slow_message(options),
        keyless_tokens(options),
        unsigned_hooks(options),
        unspoken_hook(options),
        lone_certificate(options),
        unsigned_clients(options),
        homeless_topics(options),
    ]
    .into_iter()
    .flatten()
    .chain(unasked_rules(options))
}

fn small_outbox(options: &ServeOptions) -> Option<String> {
    let needed = options.message_bytes_max + ENVELOPE_BYTES_MAX;
    (options.outbox_bytes_max < needed).then(|| {
        format!(
            "outbox_bytes_max is `{}`: it must hold a message of message_bytes_max (`{}`) and its frame; set \
             outbox_bytes_max to `{}` or more, or lower message_bytes_max",
            size_text(options.outbox_bytes_max),
            size_text(options.message_bytes_max),
            size_text(needed),
        )
    })
}

fn unheard_proxies(options: &ServeOptions) -> Option<String> {
    let is_unheard = options.proxy_protocol && options.trusted_proxy.is_empty();
    is_unheard.then(|| {
        "proxy_protocol is `true`: only proxies that are trusted are believed, and none is; name them with trusted_proxy"
            .to_owned()
    })
}

/// A shard whose share does not hold one message could take none that comes in pieces.
fn small_receiving(options: &ServeOptions) -> Option<String> {
    let needed = options.shards * (options.message_bytes_max + READ_BYTES);
    (1..needed).contains(&options.receiving_bytes_max).then(|| {
        format!(
            "receiving_bytes_max is `{}`: each of {} shards must hold a message of message_bytes_max (`{}`) and what is \
             read at once (`{}`); set it to `{}` or more, or lower message_bytes_max or shards",
            size_text(options.receiving_bytes_max),
            options.shards,
            size_text(options.message_bytes_max),
            size_text(READ_BYTES),
            size_text(needed),
        )
    })
}

/// A message that may not be sent in the time it is given.
fn slow_message(options: &ServeOptions) -> Option<String> {
    let (rate, time) = (options.bytes_per_second, options.message_timeout);
    let sendable = (rate as u128 * time.as_millis()) / 1_000;
    (rate > 0 && sendable < options.message_bytes_max as u128).then(|| {
        format!(
            "bytes_per_second is `{}`: a message of message_bytes_max (`{}`) cannot be sent within message_timeout (`{}`); \
             raise bytes_per_second or message_timeout, or lower message_bytes_max",
            size_text(rate),
            size_text(options.message_bytes_max),
            time_text(time),
        )
    })
}

/// A rule about tokens where none is accepted.
fn keyless_tokens(options: &ServeOptions) -> Option<String> {
    let has_keys = !options.token_key.is_empty() || options.token_jwks_url.is_some();
    let is_about_tokens = options.token_issuer.is_some()
        || !options.token_audience.is_empty()
        || !options.token_claim.is_empty();
    if is_about_tokens && !has_keys {
        let problem = "token_issuer, token_audience or token_claim is set, and no key verifies tokens; set token_key or \
                       token_jwks_url";
        return Some(problem.to_owned());
    }
    let keys = options.token_key.len();
    (keys > TOKEN_KEYS_MAX)
        .then(|| format!("token_key is {keys} keys, limit is {TOKEN_KEYS_MAX}; drop old ones"))
}

/// Whoever is asked must be able to see who asks.
fn unsigned_hooks(options: &ServeOptions) -> Option<String> {
    let urls = [
        ("hook_connect_url", &options.hook_connect_url),
        ("hook_refresh_url", &options.hook_refresh_url),
        ("hook_subscribe_url", &options.hook_subscribe_url),
        ("hook_publish_url", &options.hook_publish_url),
        ("hook_inspect_url", &options.hook_inspect_url),
        ("hook_call_url", &options.hook_call_url),
        ("hook_sub_refresh_url", &options.hook_sub_refresh_url),
        ("notice_url", &options.notice_url),
    ];
    let (url, _) = urls.into_iter().find(|(_, url)| url.is_some())?;
    options.hook_secret.is_empty().then(|| {
        format!(
            "{url} is set and hook_secret is not: requests to it are signed; set hook_secret, for example to the output of \
             `openssl rand -hex 32`"
        )
    })
}

/// A question for which there are no words.
fn unspoken_hook(options: &ServeOptions) -> Option<String> {
    let is_unspoken = options.hook_format == HookFormat::Centrifugo && options.hook_inspect_url.is_some();
    is_unspoken.then(|| {
        "hook_inspect_url is set and hook_format is `centrifugo`, which has no such question; take one of them away, and say in \
         topic_rule who may read and see who is there"
            .to_owned()
    })
}

/// Each certificate has its key.
fn lone_certificate(options: &ServeOptions) -> Option<String> {
    let (certificates, keys) = (options.tls_cert.len(), options.tls_key.len());
    (certificates != keys).then(|| {
        format!(
            "tls_cert names {certificates} files and tls_key {keys}: each certificate needs its key; name as many, in the \
             same order"
        )
    })
}

/// Rules that leave something to a hook which there is not.
fn unasked_rules(options: &ServeOptions) -> impl Iterator<Item = String> {
    Action::ALL.iter().filter_map(|&action| {
        let (key, url) = match action {
            Action::Subscribe => ("hook_subscribe_url", &options.hook_subscribe_url),
            Action::Publish => ("hook_publish_url", &options.hook_publish_url),
            Action::Presence | Action::History => ("hook_inspect_url", &options.hook_inspect_url),
        };
        let asks = |option: &&TopicRuleOption| option.rule.access.of(action) == Who::Hook;
        let TopicRuleOption { rule, .. } = options.topic_rule.iter().find(asks).filter(|_| url.is_none())?;
        Some(format!(
            "topic_rule of `{}` says `{} = \"hook\"` and nobody can be asked; set {key}, or say who may without a hook",
            rule.topics,
            action.name(),
        ))
    })
}

/// A rule that wants durable topics where there is no data directory, or where nothing is kept.
fn homeless_topics(options: &ServeOptions) -> Option<String> {
    let wants_it = |option: &&TopicRuleOption| option.rule.is_durable == Some(true);
    let retention = options.retention();
    let keeps = |option: &TopicRuleOption| option.to_rule(retention).retention.unwrap_or(retention).keeps();
    let mut wanting = options.topic_rule.iter().filter(wants_it);
    let needs = |option| match (&options.data, keeps(option)) {
        (None, _) => Some((option, "there is no data directory; set data")),
        (Some(_), false) => Some((option, "nothing is kept of its topics; set history_frames in it")),
        (Some(_), true) => None,
    };
    let (option, needed) = wanting.find_map(needs)?;
    Some(format!(
        "topic_rule of `{}` says `durable = true`: {needed}, or take it away",
        option.rule.topics
    ))
}

/// Certificates of clients need somebody who vouches for them.
fn unsigned_clients(options: &ServeOptions) -> Option<String> {
    let needed = if !options.tls_client_ca.is_empty() && options.tls_cert.is_empty() {
        (
            "tls_client_ca",
            "without TLS clients show no certificates",
            "tls_cert and tls_key",
        )
    } else if options.tls_client_required && options.tls_client_ca.is_empty() {
        (
            "tls_client_required",
            "no certificate of a client could be accepted",
            "tls_client_ca",
        )
    } else {
        return None;
    };
    let (key, rule, way_out) = needed;
    Some(format!("{key} is set: {rule}; set {way_out}, too"))
}

/// Warnings about variables that look like options and are none.
///
/// Names that Kubernetes makes for a service called `fanfare` are passed over.
pub(crate) fn unknown_variables(environment: &[(OsString, OsString)]) -> Vec<String> {
    let known: Vec<String> = OPTIONS
        .iter()
        .map(OptionSpec::variable)
        .chain(OTHERS.map(str::to_owned))
        .collect();
    let mut warnings: Vec<String> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.to_string_lossy())))
        .filter(|(name, _)| name.starts_with("FANFARE_") && !known.iter().any(|known| known == name))
        .filter(|(name, value)| !is_made_by_kubernetes(name, value))
        .map(
            |(name, _)| match nearest(name, known.iter().map(String::as_str)) {
                Some(meant) => format!("unknown variable {name} is ignored, did you mean {meant}?"),
                None => {
                    format!("unknown variable {name} is ignored; `fanfare serve --help` lists the variables")
                }
            },
        )
        .collect();
    warnings.sort();
    warnings
}

/// Whether a variable is one of those that announce a service's address to every pod.
fn is_made_by_kubernetes(name: &str, value: &str) -> bool {
    name.starts_with("FANFARE_SERVICE_")
        || name.starts_with("FANFARE_PORT_")
        || (name == "FANFARE_PORT" && value.contains("://"))
}

impl Source {
    /// How a problem names the value's place.
    fn subject(&self, spec: &OptionSpec) -> String {
        match self {
            Self::Default => spec.key.to_owned(),
            Self::File(place) => format!("{place}: {}", spec.key),
            Self::Environment(name) | Self::Flag(name) => name.clone(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(place) => write!(formatter, "file {place}"),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// Variables that are no options of `serve`.
const OTHERS: [&str; 4] = [
    "FANFARE_CA",
    "FANFARE_CONFIG",
    "FANFARE_SIGNING_KEY",
    "FANFARE_URL",
];
const TOKEN_KEYS_MAX: usize = 16;
const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let inputs = Inputs {
            environment: environment(&[("FANFARE_SHARDS", "")]),
            ..Inputs::default()
        };
        assert_eq!(resolve(&inputs).unwrap().options, ServeOptions::default());
    }

    #[test]
    fn lists_in_variables_are_separated_by_commas() {
        let variables = environment(&[("FANFARE_ALLOW_ORIGIN", "https://a.example, https://b.example,")]);
        let options = resolve(&Inputs {
            environment: variables,
            ..Inputs::default()
        })
        .unwrap()
        .options;
        let origins: Vec<_> = options.allow_origin.iter().map(ToString::to_string).collect();
        assert_eq!(origins, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let variables = environment(&[("FANFARE_SHARDS", "many"), ("FANFARE_LISTEN", "here")]);
        let problems = resolve(&Inputs {
            environment: variables,
            ..Inputs::default()
        })
        .unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn an_outbox_that_cannot_hold_a_message_is_refused() {
        let variables = environment(&[("FANFARE_OUTBOX_BYTES_MAX", "64KiB")]);
        let problems = resolve(&Inputs {
            environment: variables,
            ..Inputs::default()
        })
        .unwrap_err();
        assert!(problems[0].contains("`68KiB` or more"), "{problems:?}");
    }

    #[test]
    fn a_proxy_header_that_nobody_may_send_is_refused() {
        let alone = environment(&[("FANFARE_PROXY_PROTOCOL", "true")]);
        let problems = resolve(&Inputs {
            environment: alone,
            ..Inputs::default()
        })
        .unwrap_err();
        assert!(problems[0].contains("trusted_proxy"), "{problems:?}");
    }

    #[test]
    fn variables_that_kubernetes_makes_are_passed_over() {
        let made = environment(&[
            ("FANFARE_SERVICE_HOST", "10.0.0.1"),
            ("FANFARE_PORT", "tcp://10.0.0.1:80"),
            ("FANFARE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ]);
        assert_eq!(unknown_variables(&made), [""; 0]);
        let slips = environment(&[("FANFARE_SHRADS", "1"), ("FANFARE_CONFIG", "x"), ("PATH", "x")]);
        assert_eq!(
            unknown_variables(&slips),
            ["unknown variable FANFARE_SHRADS is ignored, did you mean FANFARE_SHARDS?"]
        );
    }
}
