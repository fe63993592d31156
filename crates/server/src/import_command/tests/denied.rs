//! Settings that cannot be carried over, which end up denied; and a model of who could do what.

use super::*;

/// A file, what is lost, and lines that are or are not in the output: `!` stands before those that are not.
const TABLE: &[(&str, &str, &[&str])] = &[
    (
        r#"{"client_insecure": true, "proxy_connect_endpoint": "grpc://b"}"#,
        "lost: client_insecure: a proxy decided",
        &["!open = true", "!anonymous = true"],
    ),
    (
        r#"{"api_insecure": true}"#,
        "lost: api_insecure: nobody may call without a key, but",
        &["!api_key"],
    ),
    (
        r#"{"http_api": {"key": "k", "disabled": true}}"#,
        "",
        &["sha256$0000", "!centrifugo admin"],
    ),
    (
        r#"{"allowed_origins": ["*"]}"#,
        "lost: allowed_origins: `*` is not carried over",
        &["!allow_origin"],
    ),
    (
        r#"{"tls_autocert": true}"#,
        "lost: tls_autocert: certificates are not fetched",
        &["listen = \"127.0.0.1:8000\""],
    ),
    (
        r#"{"tls": true, "tls_cert_pem": "-----BEGIN CERTIFICATE-----", "tls_key": "/k.pem"}"#,
        "lost: tls_cert_pem: the PEM itself",
        &["listen = \"127.0.0.1:8000\"", "!BEGIN"],
    ),
    (
        r#"{"tls": true, "tls_cert": "/c.pem", "tls_key": "/k.pem", "tls_client_ca_pem": "-----BEGIN CERTIFICATE-----"}"#,
        "lost: tls_client_ca_pem: the PEM itself",
        &["listen = \"127.0.0.1:8000\""],
    ),
    (
        r#"{"tls": true}"#,
        "lost: tls: not all of TLS",
        &["listen = \"127.0.0.1:8000\""],
    ),
    (
        r#"{"token_hmac_secret_key": "0123456789abcdef0123456789abcdef", "token_issuer_regex": "^https://"}"#,
        "lost: token_issuer_regex: tokens cannot be held to it",
        &["!token_key"],
    ),
    (
        r#"{"token_hmac_secret_key": "0123456789abcdef0123456789abcdef", "token_audience_regex": "a"}"#,
        "lost: token_audience_regex",
        &["!token_key"],
    ),
    (
        r#"{"token_hmac_secret_key": "0123456789abcdef0123456789abcdef", "token_user_id_claim": "uid"}"#,
        "lost: token_user_id_claim",
        &["!token_key"],
    ),
    (
        r#"{"token_hmac_secret_key": "0123456789abcdef0123456789abcdef", "token_issuer": "a b"}"#,
        "lost: token_issuer: not carried over",
        &["!token_key"],
    ),
    (
        r#"{"token_hmac_secret_key": "-----BEGIN PUBLIC KEY-----"}"#,
        "lost: token_hmac_secret_key: no algorithm takes it",
        &["!token_key", "!BEGIN"],
    ),
    (
        r#"{"token_hmac_secret_key": "@23456789abcdef0123456789abcdef@"}"#,
        "lost: token_hmac_secret_key: no algorithm takes it",
        &["!token_key"],
    ),
    (
        r#"{"token_rsa_public_key": "no key"}"#,
        "lost: token_rsa_public_key: no algorithm takes it",
        &["!token_key"],
    ),
    (
        r#"{"token_hmac_secret_key": "0123456789abcdef0123456789abcdef", "separate_subscription_token_config": true}"#,
        "lost: separate_subscription_token_config",
        &["token_key = ", "!\"granted\"\npublish", "subscribe = \"nobody\""],
    ),
    (
        r#"{"client_insecure_skip_token_signature_verify": true}"#,
        "lost: client_insecure_skip_token_signature_verify",
        &["!open = true"],
    ),
    (
        r#"{"client_user_id_http_header": "X-User"}"#,
        "lost: client_user_id_http_header",
        &["!hook_"],
    ),
    (
        r#"{"allow_anonymous_connect_without_token": true, "proxy_connect_endpoint": "grpc://b"}"#,
        "lost: allow_anonymous_connect_without_token: a proxy decided",
        &["!anonymous = true", "!hook_connect_url"],
    ),
    (
        r#"{"proxy_subscribe": true, "allow_subscribe_for_client": true}"#,
        "lost: proxy_subscribe: its proxy has no endpoint",
        &["subscribe = \"nobody\"", "!subscribe = \"users\""],
    ),
    (
        r#"{"proxy_publish": true, "proxy_publish_endpoint": "grpc://b", "allow_publish_for_client": true}"#,
        "lost: proxy_publish: its proxy cannot be asked",
        &["publish = \"nobody\"", "!publish = \"users\""],
    ),
    (
        r#"{"proxy_sub_refresh": true, "proxy_sub_refresh_endpoint": "grpc://b"}"#,
        "lost: proxy_sub_refresh: its proxy cannot be asked",
        &["!hook_sub_refresh_url"],
    ),
    (
        r#"{"rpc": {"proxy": {"endpoint": "http://b/r"}, "without_namespace": {"proxy_enabled": true}, "namespaces": [{"name": "x"}]}}"#,
        "lost: rpc.proxy.endpoint: not all methods go to the same proxy",
        &["!hook_call_url"],
    ),
    (
        r#"{"channel_regex": "^[a-z]+$", "allow_subscribe_for_client": true}"#,
        "lost: channel_regex: names are not held to it",
        &["!\"users\""],
    ),
    (
        r#"{"proxy_subscribe_stream": true}"#,
        "lost: proxy_subscribe_stream: streams",
        &["!\"granted\""],
    ),
    (
        r#"{"channel": {"without_namespace": {"subscription_type": "map", "allow_subscribe_for_client": true}}}"#,
        "lost: channel.without_namespace.subscription_type",
        &["!\"users\""],
    ),
    (
        r#"{"channel": {"publication_data_format": "json", "without_namespace": {"allow_publish_for_client": true}}}"#,
        "lost: channel.publication_data_format: payloads are not held to `json`",
        &["publish = \"nobody\"", "!publish = \"users\""],
    ),
    (
        r#"{"allow_anonymous_connect_without_token": true, "allow_publish_for_subscriber": true}"#,
        "lost: allow_publish_for_subscriber: subscribers without a name",
        &["anonymous = true", "!publish = \"subscribers\""],
    ),
    (
        r#"{"channel": {"user_boundary": "~", "without_namespace": {"allow_user_limited_channels": true, "allow_subscribe_for_client": true}}}"#,
        "lost: channel.without_namespace.allow_user_limited_channels",
        &["pattern = \"*~*\"\nsubscribe = \"granted\"", "!\"named\""],
    ),
    (
        r#"{"channel": {"namespace_boundary": "{", "without_namespace": {"allow_subscribe_for_client": true}}}"#,
        "lost: channel.namespace_boundary: a brace",
        &["pattern = \"*\"\nsubscribe = \"nobody\"", "!\"users\""],
    ),
    (
        r#"{"client_channel_limit": 1000000}"#,
        "lost: client_channel_limit: not carried over to subscriptions_max",
        &["!subscriptions_max"],
    ),
    (r#"{"engine": "redis"}"#, "lost: engine: there is one server", &[]),
    (
        r#"{"broker": {"enabled": true, "type": "nats"}}"#,
        "lost: broker.type",
        &[],
    ),
    (
        r#"{"force_recovery_mode": "cache"}"#,
        "lost: force_recovery_mode",
        &[],
    ),
    (
        r#"{"user_subscribe_to_personal": true, "user_personal_single_connection": true}"#,
        "lost: user_personal_single_connection: older connections",
        &["user_topic = \"%23{user}\""],
    ),
    (
        r#"{"grpc_api": true, "grpc_api_port": 1}"#,
        "lost: grpc_api: ",
        &[],
    ),
    (
        r#"{"consumers": [{"name": "k", "enabled": true, "type": "kafka"}]}"#,
        "lost: consumers[k].enabled",
        &[],
    ),
    (r#"{"internal_port": "9000"}"#, "lost: internal_port", &[]),
    (r#"{"api_handler_prefix": "/x"}"#, "lost: api_handler_prefix", &[]),
    (
        r#"{"allowed_origin": []}"#,
        "lost: allowed_origin: unknown, and passed over; did you mean `allowed_origins`?",
        &[],
    ),
    (
        r#"{"client": {"allowed_origin": []}}"#,
        "lost: client.allowed_origin: unknown, and passed over; did you mean `client.allowed_origins`?",
        &[],
    ),
    (
        r#"{"xyzzy": 1}"#,
        "lost: xyzzy: unknown, and passed over; take it away",
        &[],
    ),
];

#[test]
fn what_cannot_be_carried_over_is_denied_and_told() {
    for (file, says, lines) in TABLE {
        let (text, draft) = imported(serde_json::from_str(file).unwrap());
        let lost = lost(&draft);
        assert!(
            says.is_empty() || lost.iter().any(|lost| lost.starts_with(says)),
            "{file}: {lost:?}"
        );
        let bare: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| [line, "\n"])
            .collect();
        for line in *lines {
            match line.strip_prefix('!') {
                Some(line) => assert!(!bare.contains(line), "{file}: {line} in\n{bare}"),
                None => assert!(bare.contains(line), "{file}: {line} in\n{bare}"),
            }
        }
    }
}

#[test]
fn notes_alone_are_no_loss() {
    let (_, draft) = imported(json!({
        "admin": true, "prometheus": true, "swagger": true, "debug": true, "pid_file": "/run/c.pid", "usage_stats_disable": true,
        "name": "node", "websocket_disable": true, "graphite": true, "channel_max_length": 100,
    }));
    assert_eq!(lost(&draft), [""; 0]);
    assert!(draft.findings().len() > 5);
}

/// A configuration of Centrifugo of which it is known who may do what.
#[derive(Clone, Debug)]
struct Model {
    without: Value,
    chat: Value,
    lets_anonymous_in: bool,
    takes_no_anonymous_tokens: bool,
}

/// What Centrifugo says to somebody without a subscription token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    No,
    Yes,
    AskBackend,
}

impl Model {
    fn file(&self) -> Value {
        let mut chat = self.chat.clone();
        chat["name"] = json!("chat");
        json!({
            "client": {"allow_anonymous_connect_without_token": self.lets_anonymous_in,
                       "disallow_anonymous_connection_tokens": self.takes_no_anonymous_tokens},
            "channel": {"without_namespace": self.without, "namespaces": [chat],
                        "proxy": {"subscribe": {"endpoint": "http://b/s"}, "publish": {"endpoint": "http://b/p"}}},
        })
    }

    fn says(&self, user: &str, is_subscribed: bool, action: Action, channel: &str) -> Says {
        let trimmed = channel.strip_prefix('$').unwrap_or(channel);
        let (options, rest) = match trimmed.split_once(':') {
            None => (&self.without, channel),
            Some(("chat", rest)) => (&self.chat, rest),
            Some(_) => return Says::No,
        };
        let on = |key: &str| options[key] == json!(true);
        let is_named = rest.bytes().all(|byte| byte.is_ascii_lowercase()) && !rest.is_empty();
        if options["channel_regex"] == json!("^[a-z]+$") && !is_named {
            return Says::No;
        }
        let may = |action: &str| {
            let is_somebody = !user.is_empty() || on(&format!("allow_{action}_for_anonymous"));
            let is_one_of = on(&format!("allow_{action}_for_client"))
                || (is_subscribed && on(&format!("allow_{action}_for_subscriber")));
            if is_somebody && is_one_of {
                Says::Yes
            } else {
                Says::No
            }
        };
        match action {
            Action::Subscribe => {
                let is_limited = on("allow_user_limited_channels") && channel.contains('#');
                if channel.starts_with('$') {
                    Says::No
                } else if is_limited {
                    let is_allowed = channel
                        .rsplit('#')
                        .next()
                        .unwrap()
                        .split(',')
                        .any(|name| name == user);
                    if is_allowed { Says::Yes } else { Says::No }
                } else if on("subscribe_proxy_enabled") {
                    Says::AskBackend
                } else {
                    may("subscribe")
                }
            }
            Action::Publish if on("publish_proxy_enabled") => Says::AskBackend,
            Action::Publish => may("publish"),
            Action::Presence => may("presence"),
            // Who may recover gets what is kept.
            Action::History if is_subscribed && on("force_recovery") && on("keeps") => Says::Yes,
            Action::History => may("history"),
        }
    }
}

/// Switches of a namespace, any of them on.
fn namespaces() -> impl Strategy<Value = Value> {
    const SWITCHES: [&str; 16] = [
        "allow_subscribe_for_client",
        "allow_subscribe_for_anonymous",
        "allow_publish_for_client",
        "allow_publish_for_subscriber",
        "allow_publish_for_anonymous",
        "allow_presence_for_client",
        "allow_presence_for_subscriber",
        "allow_presence_for_anonymous",
        "allow_history_for_client",
        "allow_history_for_subscriber",
        "allow_history_for_anonymous",
        "allow_user_limited_channels",
        "subscribe_proxy_enabled",
        "publish_proxy_enabled",
        "force_recovery",
        "presence",
    ];
    let switches = prop::collection::vec(any::<bool>(), SWITCHES.len());
    (switches, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(on, keeps, is_limited)| {
        let mut namespace: Value = SWITCHES
            .iter()
            .zip(on)
            .map(|(key, on)| ((*key).to_owned(), Value::Bool(on)))
            .collect();
        if keeps {
            namespace["history_size"] = json!(10);
            namespace["history_ttl"] = json!("1m");
        }
        if is_limited {
            namespace["channel_regex"] = json!("^[a-z]+$");
        }
        namespace
    })
}

fn models() -> impl Strategy<Value = Model> {
    (namespaces(), namespaces(), any::<bool>(), any::<bool>()).prop_map(
        |(without, chat, lets_in, takes_none)| Model {
            without,
            chat,
            lets_anonymous_in: lets_in,
            takes_no_anonymous_tokens: takes_none,
        },
    )
}

/// What the rules say to somebody to whom nothing was granted.
fn verdict(rules: &TopicRules, user: &str, is_subscribed: bool, action: Action, channel: &str) -> Verdict {
    let identity = if user.is_empty() {
        Identity::default()
    } else {
        Identity::of_user(UserName::parse(user).unwrap())
    };
    let topic = TopicName::parse(&fanfare::centrifuge::topic_of(channel)).unwrap();
    let subject = Subject::Client {
        identity: Some(&identity),
        is_subscribed,
    };
    rules.decide(subject, action, &topic)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_may_do_what_was_not_allowed(model in models(), asked in prop::collection::vec(
        (select(vec!["", "ada", "bob", "a%", "ada,bob"]), any::<bool>(), select(Action::ALL.to_vec()),
         "\\$?(chat:|other:|chat:chat:)?[abx]{1,2}(#(ada|bob|a%|,|#){0,3})?(:x)?"), 64,
    )) {
        let options = options(model.file());
        let retention = options.retention();
        let rules = TopicRules {
            by_pattern: options.topic_rule.iter().map(|rule| rule.to_rule(retention)).collect(),
            ..TopicRules::default()
        };
        prop_assert_eq!(options.anonymous, model.lets_anonymous_in);
        let mut keeping = model.clone();
        for namespace in [&mut keeping.without, &mut keeping.chat] {
            namespace["keeps"] = json!(namespace.get("history_size").is_some());
        }
        for (user, is_subscribed, action, channel) in asked {
            // Clients without a name that come in by a token alone have what the backend grants them.
            let is_granted = user.is_empty() && !model.lets_anonymous_in && is_subscribed;
            if is_granted {
                continue;
            }
            let says = keeping.says(user, is_subscribed, action, &channel);
            match verdict(&rules, user, is_subscribed, action, &channel) {
                Verdict::Allowed => prop_assert!(
                    says == Says::Yes || is_as_good(&keeping, user, action, &channel),
                    "{user:?} {is_subscribed} {action:?} {channel}"
                ),
                Verdict::Ask => prop_assert_eq!(says, Says::AskBackend, "{:?} {:?} {}", user, action, channel),
                Verdict::Denied => {}
            }
        }
    }
}

/// Whether a user could have subscribed, and then done it.
fn is_as_good(model: &Model, user: &str, action: Action, channel: &str) -> bool {
    action != Action::Subscribe
        && model.says(user, false, Action::Subscribe, channel) == Says::Yes
        && model.says(user, true, action, channel) == Says::Yes
}

#[test]
fn rules_that_were_not_there_before_are_no_wider() {
    // Of what the model has not: who was nobody is nobody.
    let file = json!({"disallow_anonymous_connection_tokens": true, "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true});
    let options = options(file);
    let access = options.topic_rule.iter().map(|rule| rule.rule.access.subscribe);
    assert!(access.into_iter().all(|who| who != Who::Anyone));
}
