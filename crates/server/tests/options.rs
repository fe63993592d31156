//! The program's command line and configuration, from outside: what an operator types and what comes back.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[path = "options/data_values.rs"]
mod data_values;
#[path = "options/history_values.rs"]
mod history_values;
#[path = "options/hook_values.rs"]
mod hook_values;
#[path = "options/keys.rs"]
mod keys;

use std::path::PathBuf;
use std::process::{Command, Output};

use data_values::{DATA_VALUES, HOMELESS_RULES};
use history_values::HISTORY_VALUES;
use hook_values::{HOOK_VALUES, UNASKED_RULES};
use keys::TOKEN_VALUES;

/// The program in an environment without any Fanfare variables.
fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANFARE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A configuration file that is removed with the test.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The effective configuration that `--print-config` tells of a command.
fn printed(command: &mut Command) -> String {
    let output = command.arg("--print-config").output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    stdout(&output)
}

/// The line of one key in a printed configuration.
fn line<'a>(config: &'a str, key: &str) -> &'a str {
    config
        .lines()
        .find(|line| line.trim_start_matches("# ").starts_with(&format!("{key} ")))
        .unwrap()
}

/// A printed configuration without its comments.
fn values(config: &str) -> Vec<&str> {
    config
        .lines()
        .filter_map(|line| line.split('#').next())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn without_arguments_the_help_is_shown() {
    let output = fanfare(&[]).output().unwrap();
    assert_eq!(code(&output), Some(0));
    assert!(
        stdout(&output).contains("Usage: fanfare [COMMAND]"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn every_subcommand_explains_itself() {
    for (subcommand, expected) in [
        ("serve", "--message-bytes-max <SIZE>"),
        ("pub", "<TOPIC> [DATA]"),
        ("sub", "<TOPIC>..."),
        ("completions", "<SHELL>"),
        ("import", "centrifugo"),
        ("version", "Print the version"),
    ] {
        let output = fanfare(&[subcommand, "--help"]).output().unwrap();
        assert_eq!(code(&output), Some(0));
        assert!(
            stdout(&output).contains(expected),
            "{subcommand}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn the_help_of_serve_names_default_and_variable() {
    let help = stdout(&fanfare(&["serve", "--help"]).output().unwrap());
    assert!(
        help.contains("[default: 64KiB] [env: FANFARE_MESSAGE_BYTES_MAX]"),
        "{help}"
    );
}

#[test]
fn the_version_is_told_both_ways() {
    let expected = concat!("fanfare ", env!("CARGO_PKG_VERSION"), "\n");
    for spelling in ["version", "--version"] {
        assert_eq!(stdout(&fanfare(&[spelling]).output().unwrap()), expected);
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for (shell, expected) in [
        ("bash", "_fanfare()"),
        ("zsh", "#compdef fanfare"),
        ("fish", "complete -c fanfare"),
    ] {
        let output = fanfare(&["completions", shell]).output().unwrap();
        assert_eq!(code(&output), Some(0));
        assert!(stdout(&output).contains(expected), "{shell}");
        assert!(stdout(&output).contains("message-bytes-max"), "{shell}");
    }
}

#[test]
fn wrong_usage_ends_with_code_2() {
    for arguments in [
        &["serv"][..],
        &["serve", "--lisen", "x"],
        &["completions"],
        &["completions", "cmd.exe"],
        &["import"],
        &["import", "centrifug"],
    ] {
        let output = fanfare(arguments).output().unwrap();
        assert_eq!(code(&output), Some(2), "{arguments:?}");
        assert!(!stderr(&output).is_empty());
    }
}

/// Key, bad value, the same value as TOML, what the problem says of the rule and of the way out.
const BAD_VALUES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "outbox_age_max",
        "500ms",
        "\"500ms\"",
        "from 1s to 1h",
        "write a duration in that range",
    ),
    (
        "slow_rule",
        "chat:*=drop",
        "[\"chat:*=drop\"]",
        "one of disconnect, drop_oldest, drop_newest, conflate",
        "write one of them behind the `=`",
    ),
    (
        "memory_max",
        "1MiB",
        "\"1MiB\"",
        "from 16MiB to",
        "write a size in that range",
    ),
    (
        "waiting_bytes_max",
        "1",
        "1",
        "from 1MiB to",
        "write a size in that range",
    ),
    (
        "listen",
        "localhost:80",
        "\"localhost:80\"",
        "IP address and a port",
        "`127.0.0.1:8080`",
    ),
    (
        "listen",
        "127.0.0.1",
        "\"127.0.0.1\"",
        "IP address and a port",
        "`127.0.0.1:8080`",
    ),
    (
        "shards",
        "0",
        "0",
        "from 1 to 256",
        "write a number in that range",
    ),
    (
        "shards",
        "257",
        "257",
        "from 1 to 256",
        "write a number in that range",
    ),
    (
        "shards",
        "-1",
        "-1",
        "from 1 to 256",
        "write a number in that range",
    ),
    (
        "shards",
        "2.5",
        "2.5",
        "from 1 to 256",
        "write a number in that range",
    ),
    ("dev", "maybe", "\"maybe\"", "on or off", "`true` or `false`"),
    ("open", "maybe", "\"maybe\"", "on or off", "`true` or `false`"),
    (
        "keep_presence",
        "maybe",
        "\"maybe\"",
        "on or off",
        "`true` or `false`",
    ),
    (
        "user_topic",
        "inbox",
        "\"inbox\"",
        "with one `{user}` in it",
        "such as `inbox:{user}`",
    ),
    (
        "anonymous",
        "maybe",
        "\"maybe\"",
        "on or off",
        "`true` or `false`",
    ),
    (
        "topic_rule",
        "chat:a",
        "[\"chat:a\"]",
        "write a table such as",
        "subscribe = \"anyone\"",
    ),
    (
        "compression",
        "gzip",
        "\"gzip\"",
        "on or off",
        "`true` or `false`",
    ),
    (
        "allow_origin",
        "https://a.example/",
        "[\"https://a.example/\"]",
        "no trailing slash",
        "`https://a.example`",
    ),
    ("allow_origin", "*", "[\"*\"]", "wildcards", "name each origin"),
    (
        "trusted_proxy",
        "proxy.example",
        "[\"proxy.example\"]",
        "an IP address",
        "`10.0.0.0/8`",
    ),
    (
        "trusted_proxy",
        "10.0.0.1/8",
        "[\"10.0.0.1/8\"]",
        "inside a network",
        "`10.0.0.0/8`",
    ),
    ("proxy_protocol", "v2", "\"v2\"", "on or off", "`true` or `false`"),
    (
        "connections_per_address_max",
        "-1",
        "-1",
        "from 0 to 10000000",
        "write a number in that range",
    ),
    (
        "connections_per_user_max",
        "many",
        "\"many\"",
        "from 0 to 10000000",
        "write a number in that range",
    ),
    (
        "handshakes_max",
        "10000001",
        "10000001",
        "from 0 to 10000000",
        "write a number in that range",
    ),
    (
        "handshakes_per_address_max",
        "1.5",
        "1.5",
        "from 0 to 10000000",
        "write a number in that range",
    ),
    (
        "admissions_per_second",
        "1000001",
        "1000001",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "admissions_per_address",
        "-1",
        "-1",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "message_bytes_max",
        "0",
        "0",
        "from 1B to 16MiB",
        "write a size in that range",
    ),
    (
        "message_bytes_max",
        "17MiB",
        "\"17MiB\"",
        "from 1B to 16MiB",
        "write a size in that range",
    ),
    ("message_bytes_max", "big", "\"big\"", "must be a size", "`64KiB`"),
    (
        "outbox_frames_max",
        "65537",
        "65537",
        "from 1 to 65536",
        "write a number in that range",
    ),
    (
        "outbox_bytes_max",
        "1",
        "1",
        "from 1KiB to 256MiB",
        "write a size in that range",
    ),
    (
        "subscriptions_max",
        "0",
        "0",
        "from 1 to 65536",
        "write a number in that range",
    ),
    (
        "connections_max",
        "0",
        "0",
        "from 1 to 10000000",
        "write a number in that range",
    ),
    (
        "send_buffer_bytes",
        "1",
        "1",
        "from 4KiB to 16MiB",
        "write a size in that range",
    ),
    (
        "notsent_bytes",
        "1",
        "1",
        "from 1KiB to 16MiB",
        "write a size in that range",
    ),
    (
        "topics_max",
        "100000001",
        "100000001",
        "from 0 to 100000000",
        "write a number in that range",
    ),
    (
        "receiving_bytes_max",
        "65GiB",
        "\"65GiB\"",
        "from 0B to 64GiB",
        "write a size in that range",
    ),
    (
        "subscribes_pending_max",
        "0",
        "0",
        "from 1 to 65536",
        "write a number in that range",
    ),
    (
        "commands_per_second",
        "1000001",
        "1000001",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "user_commands_per_second",
        "1000001",
        "1000001",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "publications_per_second",
        "1000001",
        "1000001",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "refusals_max",
        "1000001",
        "1000001",
        "from 0 to 1000000",
        "write a number in that range",
    ),
    (
        "bytes_per_second",
        "2GiB",
        "\"2GiB\"",
        "from 0B to 1GiB",
        "write a size in that range",
    ),
    (
        "user_bytes_per_second",
        "2GiB",
        "\"2GiB\"",
        "from 0B to 1GiB",
        "write a size in that range",
    ),
    (
        "message_timeout",
        "1ms",
        "\"1ms\"",
        "from 100ms to 1h",
        "write a duration in that range",
    ),
    ("ping_interval", "25", "25", "needs a unit", "`25s`"),
    (
        "ping_interval",
        "2h",
        "\"2h\"",
        "from 1s to 1h",
        "write a duration in that range",
    ),
    ("ping_interval", "soon", "\"soon\"", "must be a duration", "`25s`"),
    (
        "pong_timeout",
        "10ms",
        "\"10ms\"",
        "from 1s to 1h",
        "write a duration in that range",
    ),
    (
        "write_timeout",
        "1ms",
        "\"1ms\"",
        "from 100ms to 1h",
        "write a duration in that range",
    ),
    (
        "handshake_timeout",
        "1ms",
        "\"1ms\"",
        "from 100ms to 1h",
        "write a duration in that range",
    ),
    (
        "close_timeout",
        "1ms",
        "\"1ms\"",
        "from 100ms to 1h",
        "write a duration in that range",
    ),
    (
        "shutdown_window",
        "2h",
        "\"2h\"",
        "from 0s to 1h",
        "write a duration in that range",
    ),
    (
        "shutdown_timeout",
        "2h",
        "\"2h\"",
        "from 0s to 1h",
        "write a duration in that range",
    ),
    (
        "log_format",
        "xml",
        "\"xml\"",
        "one of two forms",
        "`text` or `json`",
    ),
    ("log", "inof", "\"inof\"", "not a level", "`warn,fanfare=debug`"),
];

fn bad_values() -> impl Iterator<
    Item = &'static (
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    ),
> {
    BAD_VALUES
        .iter()
        .chain(DATA_VALUES)
        .chain(HISTORY_VALUES)
        .chain(DATA_VALUES)
        .chain(HOOK_VALUES)
        .chain(TOKEN_VALUES)
}

#[test]
fn every_bad_value_is_refused_with_value_rule_and_way_out_wherever_it_stands() {
    for (key, value, toml, rule, way_out) in bad_values() {
        let file = ConfigFile::new("bad", &format!("\n{key} = {toml}\n"));
        let flag = format!("--{}", key.replace('_', "-"));
        let variable = format!("FANFARE_{}", key.to_uppercase());
        let as_flag = fanfare(&["serve", &format!("{flag}={value}")]).output().unwrap();
        let as_variable = fanfare(&["serve"]).env(&variable, value).output().unwrap();
        let in_file = fanfare(&["serve", "--config", file.path()]).output().unwrap();
        let place = format!("error: {}:2:", file.path());
        let (flag, variable) = (format!("error: {flag} is"), format!("error: {variable} is"));
        for (output, place) in [(as_flag, &flag), (as_variable, &variable), (in_file, &place)] {
            let problem = stderr(&output);
            assert_eq!(code(&output), Some(2), "{problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
            assert!(problem.starts_with(place), "{place:?} does not begin {problem}");
            for part in [&format!(" is `{value}`"), *rule, *way_out] {
                assert!(problem.contains(part), "{part:?} is not in {problem}");
            }
        }
    }
}

#[test]
fn every_option_has_a_bad_value_in_the_table_above() {
    let untested = values(&printed(&mut fanfare(&["serve"])))
        .iter()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|key| !bad_values().any(|row| row.0 == *key))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert_eq!(untested, [""; 0]);
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = ConfigFile::new(
        "precedence",
        "shards = 3\nlog = \"debug\"\noutbox_frames_max = 7\n",
    );
    let mut command = fanfare(&["serve", "--config", file.path(), "--shards", "5"]);
    let config = printed(command.env("FANFARE_SHARDS", "4").env("FANFARE_LOG", "warn"));
    assert_eq!(line(&config, "shards"), "shards = 5 # flag --shards");
    assert_eq!(line(&config, "log"), "log = \"warn\" # environment FANFARE_LOG");
    assert_eq!(
        line(&config, "outbox_frames_max"),
        format!("outbox_frames_max = 7 # file {}:3:1", file.path())
    );
    assert_eq!(
        line(&config, "subscriptions_max"),
        "subscriptions_max = 128 # default"
    );
}

#[test]
fn the_file_may_be_named_in_the_environment() {
    let file = ConfigFile::new("named", "subscriptions_max = 9");
    let config = printed(fanfare(&["serve"]).env("FANFARE_CONFIG", file.path()));
    assert!(line(&config, "subscriptions_max").starts_with("subscriptions_max = 9"));
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let output = fanfare(&["serve", "--config", "/nonexistent/fanfare.toml"])
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(2));
    assert!(
        stderr(&output).contains("/nonexistent/fanfare.toml: cannot be read"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
    let file = ConfigFile::new("unknown", "# a comment\nshards = 2\nlistne = \"127.0.0.1:0\"\n");
    let output = fanfare(&["serve", "--config", file.path()]).output().unwrap();
    assert_eq!(code(&output), Some(2));
    let expected = format!(
        "error: {}:3:1: unknown key `listne`, did you mean `listen`?\n",
        file.path()
    );
    assert_eq!(stderr(&output), expected);
}

#[test]
fn every_wrong_rule_of_topics_is_refused_where_it_stands() {
    let file = ConfigFile::new(
        "rules",
        "listen = \"127.0.0.1:0\"\n[[topic_rule]]\npattern = \"a\"\n[[topic_rule]]\npattern = \"b\"\nsubscibe = \"users\"\n\
         [[topic_rule]]\npattern = \"c\"\npublish = \"user\"\n",
    );
    for command in [&["check"][..], &["serve", "--config"]] {
        let output = fanfare(&[command, &[file.path()]].concat()).output().unwrap();
        let problems = stderr(&output);
        assert_eq!(
            (code(&output), problems.lines().count()),
            (Some(2), 2),
            "{problems}"
        );
        let path = file.path();
        for part in [
            format!("{path}:4:"),
            "unknown key `subscibe`, did you mean `subscribe`?".to_owned(),
            format!("{path}:7:"),
            "`publish` is \"user\": who may do something is one of nobody".to_owned(),
        ] {
            assert!(problems.contains(&part), "{part:?} is not in {problems}");
        }
    }
}

#[test]
fn a_configuration_that_is_right_is_said_to_be() {
    let file = ConfigFile::new("right", "shards = 2\n");
    let output = fanfare(&["check", file.path()]).output().unwrap();
    assert_eq!(code(&output), Some(0));
    assert!(stdout(&output).ends_with("is right\n"));
}

#[test]
fn any_key_is_set_by_its_name() {
    let flags = [
        "serve",
        "--set",
        "shards=3",
        "--set=topic_rule={ pattern = \"a\" }",
        "--topic-rule={ pattern = \"b\" }",
    ];
    let config = printed(&mut fanfare(&flags));
    assert!(line(&config, "shards").starts_with("shards = 3 "));
    assert_eq!(line(&config, "topic_rule").matches("pattern").count(), 2);
    let output = fanfare(&["serve", "--set", "shrads=3", "--set", "x"])
        .output()
        .unwrap();
    let problems = stderr(&output);
    assert!(
        problems.contains("did you mean `shards`?") && problems.contains("write `KEY=VALUE`"),
        "{problems}"
    );
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let output = fanfare(&["serve", "--print-config"])
        .env("FANFARE_LISTNE", "x")
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(0));
    assert_eq!(
        stderr(&output),
        "warning: unknown variable FANFARE_LISTNE is ignored, did you mean FANFARE_LISTEN?\n"
    );
}

#[test]
fn the_printed_configuration_read_back_gives_the_same() {
    let everything = [
        "serve",
        "--listen=[::1]:0",
        "--shards=3",
        "--dev",
        "--allow-origin=https://A.example",
        "--allow-origin=http://localhost:3000",
        "--message-bytes-max=100k",
        "--connections-max=1000",
        "--send-buffer-bytes=64KiB",
        "--ping-interval=1m 30s",
        "--history-frames=100",
        "--log-format=json",
        "--log=warn,fanfare=debug",
    ];
    let first = printed(&mut fanfare(&everything));
    let file = ConfigFile::new("round-trip", &first);
    let second = printed(&mut fanfare(&["serve", "--config", file.path()]));
    assert_eq!(values(&second), values(&first));
    assert!(values(&first).contains(&"allow_origin = [\"https://a.example\", \"http://localhost:3000\"]"));
    assert!(values(&first).contains(&"ping_interval = \"1m30s\""));
    assert!(values(&first).contains(&"dev = true"));
}

#[test]
fn a_switch_can_be_turned_off_again() {
    let config = printed(fanfare(&["serve", "--dev=false"]).env("FANFARE_DEV", "1"));
    assert_eq!(line(&config, "dev"), "dev = false # flag --dev");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (flags, way_out) in [
        (
            &["--message-bytes-max=1MiB"][..],
            "set outbox_bytes_max to `1028KiB` or more",
        ),
        (
            &["--shards=2", "--receiving-bytes-max=191KiB"],
            "set it to `192KiB` or more",
        ),
        (
            &["--bytes-per-second=2KiB", "--message-timeout=30s"],
            "raise bytes_per_second or message_timeout",
        ),
        (
            &["--token-issuer=https://id.example"],
            "set token_key or token_jwks_url",
        ),
        (
            &["--hook-call-url=http://localhost/"],
            "set hook_secret, for example",
        ),
    ]
    .into_iter()
    .chain(HOMELESS_RULES)
    .chain(UNASKED_RULES)
    {
        // Printed, so that what is accepted by mistake does not serve for ever.
        let mut command = fanfare(&["serve", "--print-config"]);
        let output = command.args(flags).output().unwrap();
        assert_eq!(code(&output), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(way_out), "{}", stderr(&output));
    }
}

#[test]
fn limits_of_zero_are_no_limits() {
    let flags = [
        "serve",
        "--receiving-bytes-max=0",
        "--topics-max=0",
        "--commands-per-second=0",
        "--bytes-per-second=0",
        "--user-commands-per-second=0",
        "--user-bytes-per-second=0",
        "--publications-per-second=0",
        "--refusals-max=0",
    ];
    let config = printed(&mut fanfare(&flags));
    assert_eq!(
        line(&config, "commands_per_second"),
        "commands_per_second = 0 # flag --commands-per-second"
    );
}
