//! The commands against the bare loop, as a user runs them, with little load and on one core.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs a command that ends well with `--server bare` and gives back its output and its JSON report.
fn measure(name: &str, arguments: &str) -> (Output, Value) {
    measure_with(name, arguments, &[0])
}

/// The same, for a command that ends with one of these exit codes; goals depend on the machine.
fn measure_with(name: &str, arguments: &str, exits: &[i32]) -> (Output, Value) {
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare-bench"))
        .args(arguments.split_whitespace())
        .args([
            "--server",
            "bare",
            "--server-core",
            "0",
            "--generator-core",
            "0",
            "--json",
        ])
        .arg(&json)
        .output()
        .unwrap();
    assert!(
        output.status.code().is_some_and(|code| exits.contains(&code)),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    (
        output,
        serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap(),
    )
}

#[test]
fn fanout_counts_every_delivery_and_one_write_for_each() {
    let (output, report) = measure(
        "fanout",
        "fanout --subscribers 20 --rate 100 --burst 4 --seconds 1 --runs 1",
    );
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        let feed = &run["feeds"][0];
        assert_eq!(
            (feed["published"].as_u64(), feed["deliveries"].as_u64()),
            (Some(100), Some(2000))
        );
        assert_eq!(
            (feed["lost"].as_u64(), feed["duplicated"].as_u64()),
            (Some(0), Some(0))
        );
        assert_eq!(run["writes_per_delivery"].as_f64(), Some(1.0));
        assert!(run["cpu_us_per_delivery"].as_f64().unwrap() > 0.0);
        assert!(feed["latency"]["max_ms"].as_f64() >= feed["latency"]["p50_ms"].as_f64());
    }
    assert!(runs[0]["cpu_ratio"].is_f64() && runs[1]["cpu_ratio"].is_null());
    assert!(String::from_utf8_lossy(&output.stdout).contains("bare (baseline)"));
}

#[test]
fn room_measures_both_phases() {
    let arguments = "room --baseline none --big 50 --rate 20 --room 4 --seconds 1 --runs 1";
    let (_, report) = measure("room", arguments);
    let run = &report["runs"][0];
    let deliveries = |phase: &str, feed: usize| run[phase]["feeds"][feed]["deliveries"].as_u64();
    assert_eq!(
        (deliveries("quiet", 0), deliveries("quiet", 1)),
        (Some(200), Some(0))
    );
    assert_eq!(
        (deliveries("busy", 0), deliveries("busy", 1)),
        (Some(200), Some(1000))
    );
}

#[test]
fn idle_sees_connections_come_and_go() {
    let (_, report) = measure(
        "idle",
        "idle --dialect raw --connections 300 --rounds 2 --settle-ms 100",
    );
    let descriptors = |reading: &Value| reading["descriptors"].as_u64().unwrap();
    let before = descriptors(&report["before"]);
    for round in report["rounds"].as_array().unwrap() {
        assert_eq!(descriptors(&round["connected"]), before + 300);
        assert_eq!(descriptors(&round["disconnected"]), before);
    }
}

#[test]
fn stalled_measures_those_who_read_beside_those_who_do_not() {
    let arguments = "stalled --dialect raw --subscribers 20 --stalled 0,2 --rate 50 --seconds 1 --rounds 2";
    let (_, report) = measure_with("stalled", arguments, CLEAN_OR_MISSED);
    let runs = report["runs"].as_array().unwrap();
    let shares: Vec<u64> = runs.iter().filter_map(|run| run["stalled"].as_u64()).collect();
    assert_eq!(shares, [0, 2, 0, 2]);
    for (run, readers) in runs.iter().zip([20, 18, 20, 18]) {
        let feed = &run["feeds"][0];
        assert_eq!(
            (feed["deliveries"].as_u64(), feed["lost"].as_u64()),
            (Some(50 * readers), Some(0))
        );
        assert!(run["peak_rss_bytes"].as_u64() >= run["before"]["memory"]["rss_bytes"].as_u64());
    }
    assert!(report["summaries"][1]["p99_ratio"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(report["goals"].as_array().unwrap().len(), 2);
}

#[test]
fn stalled_counts_the_stalled_that_the_server_closes() {
    // The bare loop drops whoever cannot take a whole frame at once. The kernel keeps some 4 MiB for each, so those who
    // read may be a second late, and 9 MiB are too much for those who do not.
    let arguments =
        "stalled --dialect raw --subscribers 4 --stalled 2 --rate 50 --bytes 65536 --seconds 3 --rounds 1";
    let (_, report) = measure_with("stalled-closed", arguments, CLEAN_OR_MISSED);
    assert_eq!(report["runs"][0]["closed_stalled"].as_u64(), Some(2));
}

#[test]
fn attack_measures_the_room_and_says_what_the_server_answered() {
    let attacks = "tiny-fragments,huge-header,announced,connection-churn";
    let arguments = format!("attack --attacks {attacks} --attackers 2 --room 4 --seconds 1 --rounds 1");
    let (_, report) = measure_with("attack", &arguments, CLEAN_OR_MISSED);
    let runs = report["runs"].as_array().unwrap();
    let names: Vec<&str> = runs.iter().filter_map(|run| run["attack"].as_str()).collect();
    assert_eq!(names.join(","), attacks);
    let answers: Vec<String> = runs
        .iter()
        .map(|run| run["measured"]["findings"]["answers"].to_string())
        .collect();
    let expected = ["closed", "closed", "open at the end", "{}"];
    for ((run, answers), expected) in runs.iter().zip(&answers).zip(expected) {
        let feed = &run["measured"]["attacked"]["feeds"][0];
        assert_eq!(feed["deliveries"].as_u64(), Some(200), "{run}");
        assert!(
            run["measured"]["findings"]["connections"].as_u64() >= Some(2),
            "{run}"
        );
        assert!(answers.contains(expected), "{} got {answers}", run["attack"]);
    }
    assert_eq!(report["goals"].as_array().unwrap().len(), 8);
}

#[test]
fn an_attack_that_ends_the_server_is_shown_and_is_a_fault() {
    let arguments =
        "attack --attacks announced --room 1 --seconds 1 --rounds 1 --server-core 0 --generator-core 0";
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare-bench"))
        .args(arguments.split_whitespace())
        .args(["--server", "/bin/true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED"));
}

#[test]
fn silent_notices_a_server_that_gives_nobody_up() {
    let arguments = "silent --connections 50 --deadline-seconds 1";
    let (_, report) = measure_with("silent", arguments, &[2]);
    let count = |name: &str| report[name].as_u64();
    assert_eq!(
        (count("kept"), count("refused"), count("waiting")),
        (Some(50), Some(0), Some(0))
    );
    let descriptors = |moment: &str| report[moment]["descriptors"].as_u64().unwrap();
    assert_eq!(descriptors("held"), descriptors("before") + 50);
    assert_eq!(descriptors("after"), descriptors("before"));
}

#[test]
fn soak_sees_clients_come_and_go() {
    let arguments =
        "soak --dialect raw --minutes 0.05 --quiet-every-seconds 1 --clients 20 --actions-per-second 200";
    let (_, report) = measure_with("soak", arguments, CLEAN_OR_MISSED);
    let points = report["points"].as_array().unwrap();
    assert!(points.len() >= 2);
    let sum = |name: &str| {
        points
            .iter()
            .filter_map(|point| point["tally"][name].as_u64())
            .sum::<u64>()
    };
    assert!(sum("connected") > 0 && sum("received") > 0 && sum("left") > 0);
    assert!(points.iter().all(|point| point["is_back"] == true));
}

#[test]
fn a_server_that_does_not_serve_is_an_error() {
    for server in ["/nonexistent/fanfare", "/bin/true", ""] {
        let output = Command::new(env!("CARGO_BIN_EXE_fanfare-bench"))
            .args([
                "fanout",
                "--subscribers",
                "1",
                "--baseline",
                "none",
                "--generator-core",
                "0",
                "--server",
                server,
            ])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{server:?}");
        assert!(!output.stderr.is_empty());
    }
}

/// A goal may be missed on a busy machine; nothing else may happen.
const CLEAN_OR_MISSED: &[i32] = &[0, 3];
