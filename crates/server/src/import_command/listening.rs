//! Where it listens, with which certificates, and who calls the API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::draft::{Draft, Place};
use super::settings::Settings;
use crate::options::{hash, hash_text, refusal};

/// Carries the listener and its certificates over.
pub(super) fn map(settings: &Settings, draft: &mut Draft) {
    let address = address(settings, draft);
    let is_served = tls(settings, draft);
    let listen = if is_served {
        address
    } else {
        // In place of TLS there is nothing in clear that strangers could reach.
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    };
    draft.set(
        Place::Listening,
        "listen",
        listen.to_string(),
        &settings.shown("http_server.port"),
    );
}

fn address(settings: &Settings, draft: &mut Draft) -> SocketAddr {
    let port = settings.count("http_server.port").unwrap_or(PORT);
    let port = u16::try_from(port).unwrap_or_else(|_| {
        settings.refuse(
            "http_server.port",
            "a port is a number from 0 to 65535; write one such as `8000`",
        );
        0
    });
    let host = match settings.text("http_server.address").as_deref() {
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(host) => host.trim_matches(['[', ']']).parse().unwrap_or_else(|_| {
            draft.lost(
                Place::Listening,
                &settings.shown("http_server.address"),
                "it is no IP address, so that it listens on this machine alone; set listen to the address of the interface",
            );
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }),
    };
    SocketAddr::new(host, port)
}

/// Whether it may be listened as the configuration says: TLS is not wanted, or could be carried over.
fn tls(settings: &Settings, draft: &mut Draft) -> bool {
    if settings.switch("http_server.tls_autocert.enabled") {
        draft.lost(
            Place::Listening,
            &settings.shown("http_server.tls_autocert.enabled"),
            "certificates are not fetched, so that it listens on this machine alone; let a program such as certbot fetch them, name \
             them with tls_cert and tls_key, reload with SIGHUP after each renewal, and set listen",
        );
        return false;
    }
    if !settings.switch("http_server.tls.enabled") {
        return true;
    }
    let (mut named, mut is_whole) = (Vec::new(), true);
    for (key, option, is_needed) in FILES {
        match file(settings, draft, key, option) {
            File::Named(path) => named.push((*option, path)),
            File::Unusable => is_whole = false,
            File::Unsaid => is_whole &= !is_needed,
        }
    }
    let subject = settings.shown("http_server.tls.enabled");
    if !is_whole {
        draft.lost(
            Place::Listening,
            &subject,
            "not all of TLS could be carried over, so that it listens on this machine alone; write the certificate and its key into \
             files, name them with tls_cert and tls_key (and whose certificates clients show with tls_client_ca), and set listen",
        );
        return false;
    }
    for (option, path) in named {
        draft.set(
            Place::Listening,
            option,
            toml::Value::Array(vec![path.into()]),
            &subject,
        );
        if option == "tls_client_ca" {
            draft.set(Place::Listening, "tls_client_required", true, &subject);
        }
    }
    true
}

/// Where a part of TLS is.
enum File {
    /// In this file.
    Named(String),
    /// Where it cannot be used from, which is told.
    Unusable,
    /// Nowhere.
    Unsaid,
}

fn file(settings: &Settings, draft: &mut Draft, key: &str, option: &str) -> File {
    let path = format!("http_server.tls.{key}");
    let places = [format!("{path}_file"), path.clone(), format!("{path}_b64")];
    let said = places
        .iter()
        .find_map(|place| Some((place, settings.text(place)?)));
    let Some((place, value)) = said else {
        return File::Unsaid;
    };
    let why = if place.ends_with("_b64") || is_pem(&value) {
        Some("the PEM itself stands in it, and files are read".to_owned())
    } else {
        refusal(option, &toml::Value::Array(vec![value.as_str().into()]))
    };
    let Some(why) = why else {
        return File::Named(value);
    };
    let text = format!("{why}; write it into a file that {option} names");
    draft.lost(Place::Listening, &settings.shown(place), &text);
    File::Unusable
}

/// Whether it is PEM, plain or in base64, and not the name of a file.
fn is_pem(value: &str) -> bool {
    let is_encoded = || {
        let decoded = BASE64_STANDARD.decode(value.trim());
        decoded.is_ok_and(|bytes| bytes.starts_with(b"-----BEGIN"))
    };
    value.contains("-----BEGIN") || is_encoded()
}

/// Carries the key of the API over, as its hash. Without one nobody may call, as with Centrifugo; where everybody might, no
/// key is set.
pub(super) fn map_api(settings: &Settings, draft: &mut Draft) {
    let is_off = settings.switch("http_api.disabled");
    let key = settings.text("http_api.key").filter(|_| !is_off);
    let subject = settings.shown("http_api.key");
    if !is_off && settings.switch("http_api.insecure") {
        let text = "nobody may call without a key, but programs of this machine where it listens on that alone; make one with \
                    `fanfare keygen api-key`, and give it to the backend";
        draft.lost(Place::Access, &settings.shown("http_api.insecure"), text);
        return;
    }
    let entry = match key {
        None => {
            draft.note(Place::Access, &subject, NO_KEY);
            format!("nobody stats {}", hash_text(&[0; 32]))
        }
        Some(key) => {
            if key.len() < KEY_BYTES_MIN {
                let text =
                    "it is short enough to be guessed; make a longer one with `fanfare keygen api-key`";
                draft.note(Place::Access, &subject, text);
            }
            format!("centrifugo admin {}", hash_text(&hash(key.as_bytes())))
        }
    };
    let keys = toml::Value::Array(vec![entry.into()]);
    draft.set(Place::Access, "api_key", keys, &subject);
}

/// The parts of TLS, the options that name their files, and whether there is no TLS without.
const FILES: &[(&str, &str, bool)] = &[
    ("cert_pem", "tls_cert", true),
    ("key_pem", "tls_key", true),
    ("client_ca_pem", "tls_client_ca", false),
];

/// The port of Centrifugo.
const PORT: i64 = 8_000;

/// A shorter key is remarked.
const KEY_BYTES_MIN: usize = 16;

const NO_KEY: &str = "there is none, or the API is turned off, so that nobody may call it: the hash below is of no key; put the line of \
                      `fanfare keygen api-key` in its place to call it";
