//! `fanfare token`: makes tokens, and tells what is in one and whether this server would accept it.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use fanfare::tokens::TokenPurpose;
use fanfare::{TopicName, TopicPattern, UserName};
use serde_json::{Map, Value, json};

use crate::endpoint_flags::runtime;
use crate::failure::{Failure, print};
use crate::options::{ConfigFile, Inputs, resolve, signing_key};
use crate::serve;

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("token")
        .about("Make and inspect tokens (JWT)")
        .subcommand_required(true)
        .subcommand(make_command())
        .subcommand(inspect_command())
}

fn make_command() -> Command {
    let repeated = |name: &'static str, value, help| {
        let arg = Arg::new(name)
            .long(name)
            .value_name(value)
            .action(ArgAction::Append);
        arg.help(help)
    };
    let one = |name: &'static str, value, help| Arg::new(name).long(name).value_name(value).help(help);
    Command::new("make")
        .about("Make a token")
        .arg(
            one(
                KEY,
                "KEY",
                "Key that signs: `hs256:SECRET`, or `kid=ID:es256:@FILE` with a private key in PEM",
            )
            .env("FANFARE_SIGNING_KEY")
            .hide_env_values(true)
            .required(true),
        )
        .arg(one(USER, "NAME", "User (`sub`)").value_parser(|text: &str| UserName::parse(text)))
        .arg(
            one(EXPIRES_IN, "DURATION", "How long it holds (`exp`)")
                .default_value("1h")
                .value_parser(|text: &str| humantime::parse_duration(text)),
        )
        .arg(
            repeated(
                FOR_TOPIC,
                "TOPIC",
                "Make a subscription token for this topic; repeatable",
            )
            .value_parser(|text: &str| TopicName::parse(text).map(|topic| topic.to_string())),
        )
        .arg(
            repeated(
                TOPIC,
                "TOPIC",
                "Topic that the client is subscribed to; repeatable",
            )
            .value_parser(|text: &str| TopicName::parse(text).map(|topic| topic.to_string())),
        )
        .args(GRANTS.map(|(name, help)| {
            repeated(name, "PATTERN", help)
                .value_parser(|text: &str| text.parse::<TopicPattern>().map(|pattern| pattern.to_string()))
        }))
        .arg(one(INFO, "JSON", "What others may see of the client: an object"))
        .arg(repeated(
            CLAIM,
            "NAME=VALUE",
            "Claim of text, or of JSON where VALUE is that; repeatable",
        ))
        .arg(one(ISSUER, "NAME", "Issuer (`iss`)"))
        .arg(one(AUDIENCE, "NAME", "Whom it is for (`aud`)"))
        .arg(one(ID, "ID", "Id, to revoke it by (`jti`)"))
}

fn inspect_command() -> Command {
    Command::new("inspect")
        .about("Print what a token says and whether it is accepted")
        .long_about(
            "Print what a token says, whoever signed it, and whether it is accepted with the keys and rules of the \
             configuration: of the file, the environment and the flags below. Exits with 1 when it is not.",
        )
        .arg(
            Arg::new(TOKEN)
                .value_name("TOKEN")
                .required(true)
                .help("The token; `-` reads it from standard input"),
        )
        .arg(
            Arg::new(CONFIG)
                .long("config")
                .value_name("FILE")
                .env("FANFARE_CONFIG")
                .value_parser(value_parser!(PathBuf))
                .help("TOML file as for `fanfare serve --config`"),
        )
        .arg(
            Arg::new(TOKEN_KEY)
                .long("token-key")
                .value_name("KEY")
                .action(ArgAction::Append)
                .help("Key that verifies tokens, as for `fanfare serve`"),
        )
}

/// Makes or inspects.
///
/// # Errors
/// The key or a claim is wrong, or the token is not accepted.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("make", matches)) => make(matches),
        Some(("inspect", matches)) => inspect(matches),
        _ => print(&command().render_help().to_string()),
    }
}

fn make(matches: &ArgMatches) -> Result<(), Failure> {
    let usage = |problem: String| Failure::Usage(vec![problem]);
    let key = matches.get_one::<String>(KEY).map_or("", String::as_str);
    let key = signing_key(key).map_err(|problem| usage(format!("--key: {problem}")))?;
    let claims = claims(matches).map_err(usage)?;
    print(&format!("{}\n", key.sign(&claims)))
}

/// What the token is to say.
fn claims(matches: &ArgMatches) -> Result<Map<String, Value>, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let lifetime = matches
        .get_one::<Duration>(EXPIRES_IN)
        .copied()
        .unwrap_or_default();
    let mut claims = Map::new();
    for text in matches.get_many::<String>(CLAIM).into_iter().flatten() {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("--claim is `{}`: write NAME=VALUE", text.escape_debug()))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        claims.insert(name.to_owned(), value);
    }
    for (name, flag) in [("iss", ISSUER), ("aud", AUDIENCE), ("jti", ID)] {
        if let Some(text) = matches.get_one::<String>(flag) {
            claims.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(user) = matches.get_one::<UserName>(USER) {
        claims.insert("sub".to_owned(), json!(user.as_str()));
    }
    claims.insert("iat".to_owned(), json!(now.as_secs()));
    claims.insert("exp".to_owned(), json!(now.saturating_add(lifetime).as_secs()));
    if let Some(topics) = all(matches, FOR_TOPIC) {
        claims.insert("topics".to_owned(), topics);
    }
    let own = own_claims(matches)?;
    if !own.is_empty() {
        claims.insert("fanfare".to_owned(), Value::Object(own));
    }
    Ok(claims)
}

/// What is Fanfare's own in it.
fn own_claims(matches: &ArgMatches) -> Result<Map<String, Value>, String> {
    let mut own = Map::new();
    own.extend(all(matches, TOPIC).map(|topics| ("topics".to_owned(), topics)));
    for (grant, _) in GRANTS {
        own.extend(all(matches, grant).map(|patterns| (grant.to_owned(), patterns)));
    }
    if let Some(text) = matches.get_one::<String>(INFO) {
        let info: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            format!(
                "--info is `{}`: it is no JSON object: {error}",
                text.escape_debug()
            )
        })?;
        own.insert("info".to_owned(), Value::Object(info));
    }
    Ok(own)
}

fn all(matches: &ArgMatches, name: &str) -> Option<Value> {
    let texts: Vec<&String> = matches.get_many::<String>(name)?.collect();
    Some(json!(texts))
}

fn inspect(matches: &ArgMatches) -> Result<(), Failure> {
    let token = token(matches)?;
    let mut parts = token.split('.');
    for name in ["header", "claims"] {
        let shown = parts.next().and_then(shown);
        let shown = shown.ok_or_else(|| {
            Failure::failed(format!("this is no token: its {name} is no JSON in base64url"))
        })?;
        print(&format!("{name} {shown}\n"))?;
    }
    let inputs = inputs(matches)?;
    let options = resolve(&inputs).map_err(Failure::Usage)?.options;
    let Some(tokens) = serve::tokens(&options).map_err(Failure::failed)? else {
        return print("not checked: no key verifies tokens, name one with --token-key or in --config\n");
    };
    let outcome = runtime()?.block_on(tokens.read(&token));
    let purpose = outcome
        .map_err(|cause| Failure::failed(format!("it is not accepted, the cause is `{}`", cause.name())))?;
    print(&format!("accepted, {}\n", said(&purpose)))
}

/// The token that is named, or on standard input.
fn token(matches: &ArgMatches) -> Result<String, Failure> {
    let given = matches.get_one::<String>(TOKEN).map_or("-", String::as_str);
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut token = String::new();
    let read = std::io::stdin()
        .lock()
        .take(TOKEN_BYTES_MAX)
        .read_to_string(&mut token);
    read.map_err(|error| Failure::failed(format!("standard input cannot be read: {error}")))?;
    Ok(token.trim().to_owned())
}

/// The configuration as far as it is told here.
fn inputs(matches: &ArgMatches) -> Result<Inputs, Failure> {
    let file = matches
        .get_one::<PathBuf>(CONFIG)
        .filter(|path| !path.as_os_str().is_empty());
    let file = file.map(|path| ConfigFile::read(path)).transpose();
    let keys = matches.get_many::<String>(TOKEN_KEY);
    Ok(Inputs {
        flags: keys
            .map(|keys| ("token_key", keys.cloned().collect()))
            .into_iter()
            .collect(),
        environment: std::env::vars_os().collect(),
        file: file.map_err(Failure::Usage)?,
    })
}

/// A part of a token, in a form that is safe to print.
fn shown(part: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    let mut text = String::new();
    for character in format!("{json:#}").chars() {
        match character {
            '\n' => text.push('\n'),
            // JSON leaves some of them as they are, and a terminal would obey.
            character if character.is_control() => text.extend(character.escape_unicode()),
            character => text.push(character),
        }
    }
    Some(text)
}

fn said(purpose: &TokenPurpose) -> String {
    match purpose {
        TokenPurpose::User(admission) => {
            let user = admission
                .identity
                .user
                .as_ref()
                .map_or("nobody", UserName::as_str);
            format!("for {user}")
        }
        TokenPurpose::Subscription {
            user,
            connection,
            topics,
            ..
        } => {
            let user = user.as_ref().map_or("anonymous clients", UserName::as_str);
            let which = connection.map_or(String::new(), |connection| format!(" on connection {connection}"));
            let topics: Vec<&str> = topics.iter().map(TopicName::as_str).collect();
            format!("for {user}{which} to receive {}", topics.join(", "))
        }
    }
}

const KEY: &str = "key";
const USER: &str = "user";
const EXPIRES_IN: &str = "expires-in";
const FOR_TOPIC: &str = "for-topic";
const TOPIC: &str = "topic";
const INFO: &str = "info";
const CLAIM: &str = "claim";
const ISSUER: &str = "issuer";
const AUDIENCE: &str = "audience";
const ID: &str = "id";
const TOKEN: &str = "token";
const CONFIG: &str = "config";
const TOKEN_KEY: &str = "token-key";

/// Permissions, as they are named in a token.
const GRANTS: [(&str, &str); 4] = [
    ("subscribe", "Topics that it may receive; repeatable"),
    ("publish", "Topics that it may publish to; repeatable"),
    ("presence", "Topics of which it may see who is there; repeatable"),
    (
        "history",
        "Topics of which it may read what was published; repeatable",
    ),
];

/// More than any token has.
const TOKEN_BYTES_MAX: u64 = 64 << 10;
