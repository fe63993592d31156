//! The hooks of the configuration, in the words of their room.

use std::io;

use axum::http::HeaderName;

use crate::hooks::{HookBounds, HookFormat, HookSettings, HttpHooks};
use crate::notices::{NoticeSettings, Notices};
use crate::options::ServeOptions;

/// The hooks and notices that there are, if any.
///
/// # Errors
/// One of them goes to an `https` URL and the system has no certificates to trust.
pub(super) fn start(options: &ServeOptions) -> io::Result<Option<HttpHooks>> {
    let urls = [
        &options.hook_connect_url,
        &options.hook_refresh_url,
        &options.hook_subscribe_url,
        &options.hook_publish_url,
        &options.hook_inspect_url,
        &options.hook_call_url,
        &options.hook_sub_refresh_url,
    ];
    if urls.iter().all(|url| url.is_none()) && options.notice_url.is_none() {
        return Ok(None);
    }
    let settings = HookSettings {
        urls: urls.map(Clone::clone),
        secrets: options.hook_secret.clone(),
        headers: headers(options),
        format: options.hook_format,
        bounds: HookBounds {
            timeout: options.hook_timeout,
            concurrency: options.hook_concurrency,
            waiting_max: options.hook_waiting_max,
            answer_bytes_max: 2 * options.message_bytes_max + ENVELOPE_BYTES,
            breaker_failures: options.hook_breaker_failures as u32,
            breaker_pause: options.hook_breaker_pause,
        },
        payload_bytes_max: options.message_bytes_max,
        notices: notices(options)?,
    };
    HttpHooks::new(settings).map(Some)
}

/// Headers of clients that hooks are told.
fn headers(options: &ServeOptions) -> Vec<HeaderName> {
    let listed = options.hook_header.iter().chain(&options.hook_emulated_header);
    listed.map(|header| header.0.clone()).collect()
}

/// Headers that clients may give where their request has none of that name.
pub(super) fn emulated_headers(options: &ServeOptions) -> Vec<HeaderName> {
    let listed = options.hook_emulated_header.iter();
    listed.map(|header| header.0.clone()).collect()
}

/// Headers that are kept as long as a client is connected: those of hooks that are told them with whatever a client does.
pub(super) fn kept_headers(options: &ServeOptions) -> Vec<HeaderName> {
    let asked = [
        &options.hook_refresh_url,
        &options.hook_subscribe_url,
        &options.hook_publish_url,
        &options.hook_call_url,
        &options.hook_sub_refresh_url,
    ];
    if options.hook_format == HookFormat::Centrifugo && asked.iter().any(|url| url.is_some()) {
        headers(options)
    } else {
        Vec::new()
    }
}

fn notices(options: &ServeOptions) -> io::Result<Option<Notices>> {
    let Some(url) = options.notice_url.clone() else {
        return Ok(None);
    };
    let settings = NoticeSettings {
        url,
        secrets: options.hook_secret.clone(),
        timeout: options.hook_timeout,
        queue_max: options.notice_queue_max,
        queue_bytes_max: options.notice_queue_bytes_max,
    };
    Notices::start(settings).map(Some)
}

/// Room in an answer beside twice a message, which may be written in base64 or with escapes.
const ENVELOPE_BYTES: usize = 64 << 10;
