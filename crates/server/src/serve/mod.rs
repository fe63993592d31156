//! Serving: from checked options to a running server, and back down again.
//!
//! The library does the messaging; this room starts it, opens the listener, mounts what is served over HTTP, says on
//! standard output where everything is, and waits for a signal.

mod descriptors;
mod fault;
mod health;
mod hooks;
mod memory;
mod pages;
mod reload;
pub(crate) mod tls;
mod tokens;

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use fanfare::tokens::Tokens;
use fanfare::{
    Application, CentrifugeTransport, DoorLimits, Fanfare, Limits, ListenerOptions, SlowRules,
    StorageOptions, Tls, TopicRules, UserTopic,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::{self, Access};
use crate::failure::{Failure, print};
use crate::hooks::HttpHooks;
use crate::logging::Log;
use crate::notices::Notices;
use crate::options::ServeOptions;
use crate::panics;
pub(crate) use descriptors::Descriptors;
use reload::ReadAgain;
pub(crate) use reload::{Reload, Reloaded, tell};
pub(crate) use tokens::tokens;

/// Serves until the process is told to stop. At SIGHUP the configuration is read again with `read_again`.
///
/// # Errors
/// The address cannot be bound, the shards cannot be started, or one of them or the listener failed for good.
pub(crate) fn run(options: ServeOptions, read_again: Box<ReadAgain>, log: &Log) -> Result<(), Failure> {
    let descriptors = Descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime cannot be started: {error}")))?;
    let outcome = runtime.block_on(serve(&options, read_again, &descriptors, log));
    // HTTP requests that are still under way have had the shutdown's deadline.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    options: &ServeOptions,
    read_again: Box<ReadAgain>,
    descriptors: &Descriptors,
    log: &Log,
) -> Result<(), Failure> {
    // Before anyone is told that the server is there: who reads that may stop it at once.
    let mut signals = Signals::new().map_err(Failure::failed)?;
    let hangups = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    let tls = tls::start(options)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| Failure::failed(format!("cannot listen on {}: {error}", options.listen)))?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    let connections_max = descriptors.connections(options);
    let tokens = tokens(options).map_err(Failure::failed)?;
    let hooks = hooks::start(options).map_err(|error| {
        Failure::failed(format!(
            "a hook has an https URL and nobody is trusted for it: {error}; name a file of certificates in SSL_CERT_FILE"
        ))
    })?;
    let has_tokens = tokens.is_some();
    let application = application(hooks.clone(), tokens, options.user_topic.clone());
    warn_if_nobody_may_connect(options, has_tokens);
    warn_of_weak_keys(options);
    let fanfare = Fanfare::start(library_options(options, connections_max, application))
        .map_err(|error| Failure::failed(format!("the server cannot be started: {error}")))?;
    let listening = ListenerOptions {
        handshake_timeout: options.handshake_timeout,
        proxy_protocol: options.proxy_protocol,
        tls: tls.clone(),
        ..ListenerOptions::default()
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let access = Access::new(&options.api_key, (scheme, address));
    let reload = Arc::new(Reload::new(
        fanfare.clone(),
        (access.clone(), tls.clone()),
        options.clone(),
        read_again,
    ));
    tokio::spawn(reload::at_each(hangups, Arc::clone(&reload)));
    let router = router(&fanfare, access, reload, hooks.clone(), log);
    say_where((scheme, address), connections_max, descriptors)?;
    begin_chores(options, &fanfare, tls);
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let serving = fanfare.clone();
    let mut accepting = tokio::spawn(async move {
        let mut stopped = pin!(stopped.notified());
        let stopped = poll_fn(|context| {
            fault::trip(fault::Place::Listener);
            stopped.as_mut().poll(context)
        });
        serving.serve(listener, router, listening, stopped).await;
    });
    let signal = tokio::select! {
        signal = signals.next() => signal,
        shard = fanfare.failed() => {
            return fail(&format!("shard {shard} failed for good, the log says why"));
        }
        _ = &mut accepting => return fail("the listener failed, nobody could connect any more"),
    };
    stop.notify_one();
    drain(signal, signals, &fanfare, hooks.as_ref(), options).await;
    accepting.abort();
    Ok(())
}

/// What is looked after beside serving, for as long as the program runs.
fn begin_chores(options: &ServeOptions, fanfare: &Fanfare, tls: Option<Tls>) {
    if let Some(tls) = tls {
        tokio::spawn(tls::watch_expiry(tls));
    }
    // Always: rules that are read again may keep something, and there may be idempotency keys.
    tokio::spawn(expire_history(fanfare.clone()));
    if let Some(ceiling) = options.memory_max.or_else(memory::ceiling) {
        tokio::spawn(memory::watch(fanfare.clone(), ceiling));
    }
}

/// Ends at once: half a server is worse than none, and whoever watches over it starts a new one.
fn fail(problem: &str) -> Result<(), Failure> {
    tracing::error!(problem, "the server ends");
    Err(Failure::failed(problem))
}

/// Everything that is served over HTTP.
fn router(
    fanfare: &Fanfare,
    access: Access,
    reload: Arc<Reload>,
    hooks: Option<HttpHooks>,
    log: &Log,
) -> Router {
    let router = Router::new()
        .route("/ws", fanfare.websocket())
        .route("/sse", fanfare.sse())
        .merge(centrifuge(fanfare))
        .merge(api::router(fanfare.clone(), access.clone(), reload))
        .merge(access.guard(health::metrics(fanfare.clone(), hooks, log.clone())))
        .merge(health::router(fanfare.clone()))
        .merge(pages::router());
    fault::mount(router).layer(from_fn(panics::answer))
}

/// Everything that clients of Centrifuge use.
fn centrifuge(fanfare: &Fanfare) -> Router {
    let websocket = Router::new().route("/connection/websocket", fanfare.centrifuge());
    CentrifugeTransport::ALL
        .iter()
        .fold(websocket, |router, &transport| {
            router.route(transport.path(), fanfare.centrifuge_over(transport))
        })
}

/// The program's options in the words of the library.
fn library_options(
    options: &ServeOptions,
    connections_max: usize,
    application: Option<Application>,
) -> fanfare::Options {
    let millis = |duration: Duration| duration.as_millis() as u64;
    fanfare::Options {
        shards: options.shards,
        limits: Limits {
            message_bytes_max: options.message_bytes_max as u32,
            outbox_frames_max: options.outbox_frames_max as u32,
            outbox_bytes_max: options.outbox_bytes_max as u32,
            outbox_age_max_ms: millis(options.outbox_age_max),
            slow_rules: SlowRules {
                by_pattern: options
                    .slow_rule
                    .iter()
                    .map(|slow| (slow.pattern.clone(), slow.rule))
                    .collect(),
                ..SlowRules::default()
            },
            waiting_bytes_max: options.waiting_bytes_max,
            subscriptions_max: options.subscriptions_max as u32,
            ping_interval_ms: millis(options.ping_interval),
            pong_timeout_ms: millis(options.pong_timeout),
            write_timeout_ms: millis(options.write_timeout),
            close_timeout_ms: millis(options.close_timeout),
            message_timeout_ms: millis(options.message_timeout),
            receiving_bytes_max: options.receiving_bytes_max,
            commands_per_second: options.commands_per_second as u32,
            bytes_per_second: options.bytes_per_second as u32,
            user_commands_per_second: options.user_commands_per_second as u32,
            user_bytes_per_second: options.user_bytes_per_second as u32,
            publications_per_second: options.publications_per_second as u32,
            topics_max: options.topics_max,
            history_total_bytes_max: options.history_total_bytes_max,
            idempotency_window_ms: millis(options.idempotency_window),
            idempotency_keys_per_topic_max: options.idempotency_keys_per_topic_max as u32,
            idempotency_keys_max: options.idempotency_keys_max,
            refusals_max: options.refusals_max as u32,
            subscribes_pending_max: options.subscribes_pending_max as u32,
            ..Limits::default()
        },
        rules: Arc::new(topic_rules(options)),
        anonymous: options.anonymous || options.open,
        application,
        kept_headers: hooks::kept_headers(options),
        emulated_headers: hooks::emulated_headers(options),
        notices: options.notice_url.is_some(),
        door: door_limits(options, connections_max),
        trusted_proxies: options.trusted_proxy.clone(),
        is_development: options.dev,
        compression: options.compression,
        origins: options.allow_origin.iter().cloned().collect(),
        history: options.retention(),
        storage: storage(options),
        notsent_bytes: options.notsent_bytes as u32,
        send_buffer_bytes: options.send_buffer_bytes,
    }
}

/// Where what is kept is durable.
fn storage(options: &ServeOptions) -> Option<StorageOptions> {
    let directory = options.data.as_ref()?;
    Some(StorageOptions {
        fsync: options.fsync.0,
        bytes_max: options.data_bytes_max as u64,
        topics_max: options.data_topics_max,
        accepts_missing: options.data_accept_missing,
        ..StorageOptions::new(directory)
    })
}

/// What is left to the operator's backend and its tokens.
fn application(
    hooks: Option<HttpHooks>,
    tokens: Option<Tokens>,
    user_topic: Option<UserTopic>,
) -> Option<Application> {
    let application = match (hooks.map(HttpHooks::into_application), tokens) {
        (Some(hooks), Some(tokens)) => Some(hooks.with_tokens(tokens)),
        (None, Some(tokens)) => Some(Application::of_tokens(tokens)),
        (hooks, None) => hooks,
    };
    match user_topic {
        Some(topic) => Some(application.unwrap_or_default().with_user_topic(topic)),
        None => application,
    }
}

/// Nothing is allowed that nobody allowed, and who forgot to is told.
fn warn_if_nobody_may_connect(options: &ServeOptions, has_tokens: bool) {
    let is_somebody_asked = has_tokens || options.hook_connect_url.is_some();
    let may_somebody = options.dev || options.open || options.anonymous || is_somebody_asked;
    if !may_somebody {
        tracing::warn!(
            "nobody may connect: set token_key or hook_connect_url, or anonymous, or open; --dev is for trying it out"
        );
    }
}

/// Who has a key that can be guessed is told.
fn warn_of_weak_keys(options: &ServeOptions) {
    if options.token_key.iter().any(|key| key.0.is_weak()) {
        tracing::warn!(
            "a token_key is weak: who sees one token can guess its secret, and is anybody then; make one with `fanfare keygen HS256`"
        );
    }
}

/// Who may do what.
fn topic_rules(options: &ServeOptions) -> TopicRules {
    let open = if options.open || options.dev {
        TopicRules::open()
    } else {
        TopicRules::default()
    };
    let retention = options.retention();
    let rules = options.topic_rule.iter();
    TopicRules {
        by_pattern: rules.map(|rule| rule.to_rule(retention)).collect(),
        keeps_presence: options.keep_presence || open.keeps_presence,
        sends_deltas: open.sends_deltas,
        otherwise: open.otherwise,
    }
}

/// The bounds on who may connect; 0 is none.
fn door_limits(options: &ServeOptions, connections_max: usize) -> DoorLimits {
    let bound = |count: usize| NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX));
    DoorLimits {
        connections_max: bound(connections_max),
        connections_per_address_max: bound(options.connections_per_address_max),
        connections_per_user_max: bound(options.connections_per_user_max),
        handshakes_max: bound(options.handshakes_max),
        handshakes_per_address_max: bound(options.handshakes_per_address_max),
        admissions_per_second: bound(options.admissions_per_second),
        admissions_per_address: bound(options.admissions_per_address),
        ..DoorLimits::DEFAULT
    }
}

/// Says where the server is. Scripts rely on the first line.
fn say_where(
    (scheme, address): (&str, std::net::SocketAddr),
    connections_max: usize,
    descriptors: &Descriptors,
) -> Result<(), Failure> {
    let websocket = if scheme == "https" { "wss" } else { "ws" };
    print(&format!(
        "listening on {scheme}://{address}\n\
         chat page     {scheme}://{address}/\n\
         WebSocket     {websocket}://{address}/ws\n\
         descriptors   {descriptors}, room for {connections_max} connections\n"
    ))
}

/// Drops old history once a second.
async fn expire_history(fanfare: Fanfare) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        panics::outlive(|| {
            fault::trip(fault::Place::History);
            fanfare.expire_history();
        });
    }
}

/// The signals that end the program.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Lets everybody go; a second signal ends that at once.
async fn drain(
    signal: &str,
    mut signals: Signals,
    fanfare: &Fanfare,
    hooks: Option<&HttpHooks>,
    options: &ServeOptions,
) {
    let deadline = Instant::now() + options.shutdown_timeout;
    let connections = fanfare.connection_count();
    tracing::info!(
        signal,
        connections,
        "stopping: clients are told to reconnect, a second signal ends at once"
    );
    let ended = async {
        let left = fanfare
            .shutdown(options.shutdown_window, options.shutdown_timeout)
            .await;
        if left > 0 {
            tracing::warn!(left, "the shutdown timeout is over, connections were cut off");
        }
        if let Some(notices) = hooks.and_then(HttpHooks::notices) {
            flush(notices, deadline).await;
        }
    };
    tokio::select! {
        () = ended => {}
        signal = signals.next() => tracing::warn!(signal, "told twice, ending at once"),
    }
    tracing::info!("stopped");
}

/// Delivers what waits, as far as there is time.
async fn flush(notices: &Notices, deadline: Instant) {
    let left = notices.flush(deadline).await;
    if left > 0 {
        tracing::warn!(left, "the shutdown timeout is over, notices were not delivered");
    }
}
