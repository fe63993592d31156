//! The commands against the bare loop, as a user runs them, with little load and on one core.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs a command with `--server bare` and gives back its output and its JSON report.
fn measure(name: &str, arguments: &str) -> (Output, Value) {
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
        output.status.success(),
        "{}",
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
