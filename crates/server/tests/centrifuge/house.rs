//! A server for the clients of one story.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::Command;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fanfare_testing::Program;
use serde_json::{Value, json};

use crate::client::Client;
use crate::way::Way;

/// A running server. It knows tokens that are signed with [`SECRET`], keeps what is published, and lets everyone do
/// everything but with what is `private:` and `closed:`; nothing is kept of what is `passing:`.
pub(crate) struct House {
    pub(crate) program: Program,
}

impl House {
    pub(crate) fn open() -> Self {
        Self::with(&[])
    }

    /// One whose server has these flags beside.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let serve = move |address: SocketAddr| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
            command
                .env_clear()
                .env("FANFARE_TOKEN_KEY", format!("hs256:{SECRET}"))
                .envs(SETTINGS)
                .args(["serve", "--listen", &address.to_string()])
                // The first rule that matches decides, so those of a story go before.
                .args(&flags)
                .args(RULES.iter().flat_map(|rule| ["--topic-rule", rule]));
            command
        };
        Self {
            program: Program::start_by(serve),
        }
    }

    /// A client of every way, none of which is connected yet.
    pub(crate) fn clients(&self) -> Vec<Client> {
        self.clients_with(&json!({}))
    }

    /// The same with options.
    pub(crate) fn clients_with(&self, options: &Value) -> Vec<Client> {
        let address = self.program.address();
        Way::all().map(|way| Client::new(way, address, options)).collect()
    }

    /// Publishes as many numbers to a channel, from 1 on.
    pub(crate) fn fill(&self, channel: &str, count: u64) {
        self.publish_numbers(channel, 1..=count);
    }

    /// Publishes numbers, one after another.
    pub(crate) fn publish_numbers(&self, channel: &str, numbers: RangeInclusive<u64>) {
        for number in numbers {
            self.api("publish", &json!({"topic": channel, "data": number}));
        }
    }

    /// What the application's backend asks of the server.
    pub(crate) fn api(&self, method: &str, body: &Value) -> Value {
        let headers = ["Content-Type: application/json"];
        let answer = self
            .program
            .request("POST", &format!("/api/{method}"), &headers, &body.to_string());
        assert_eq!(answer.status, 200, "{method} {body}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

/// A token with these claims beside an end in an hour, if they have none.
pub(crate) fn token(mut claims: Value) -> String {
    if claims.get("exp").is_none() {
        claims["exp"] = json!(in_seconds(3_600));
    }
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

/// The time in so many seconds, in seconds since 1970.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_secs().cast_signed() + seconds
}

const SECRET: &str = "the secret of the application and its server";

const SETTINGS: [(&str, &str); 9] = [
    ("FANFARE_LOG", "error"),
    ("FANFARE_ANONYMOUS", "true"),
    ("FANFARE_HISTORY_FRAMES", "1000"),
    ("FANFARE_HISTORY_AGE", "1h"),
    ("FANFARE_KEEP_PRESENCE", "true"),
    ("FANFARE_TOKEN_LEEWAY", "1s"),
    ("FANFARE_COMMANDS_PER_SECOND", "0"),
    ("FANFARE_PUBLICATIONS_PER_SECOND", "0"),
    ("FANFARE_SHUTDOWN_WINDOW", "50ms"),
];

const RULES: [&str; 5] = [
    r#"{ pattern = "private:*", history = "subscribers", presence = "subscribers", publish = "subscribers" }"#,
    r#"{ pattern = "passing:*", history_frames = 0, subscribe = "anyone", publish = "anyone" }"#,
    r#"{ pattern = "%23*", publish = "subscribers", tell_presence = true }"#,
    r#"{ pattern = "closed:*", subscribe = "nobody", publish = "nobody", presence = "nobody", history = "nobody" }"#,
    r#"{ pattern = "*", subscribe = "anyone", publish = "anyone", presence = "anyone", history = "anyone", deltas = true }"#,
];
