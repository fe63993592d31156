//! The definition of done, step by step; the first that fails ends it.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::command::run_command;
use crate::{conformance, docs, fuzz, packages, structure};

/// Runs everything that must hold before a change is done.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    step("format", || cargo(root, &["fmt", "--all", "--check"]))?;
    step("structure", || structure::check(root))?;
    step("documents", || match docs::stale(root)? {
        stale if stale.is_empty() => Ok(()),
        stale => Err(format!("stale, run `cargo xtask docs`: {}", stale.join(", "))),
    })?;
    step("lints", || {
        cargo(
            root,
            &[
                "clippy",
                "--workspace",
                "--features",
                HTTP2,
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ],
        )
    })?;
    provide()?;
    step("tests", || {
        cargo(root, &["test", "--workspace", "--features", HTTP2])
    })?;
    // Of the whole workspace, as all tests: for a single package the dependencies would be built anew, because fewer of
    // their features are asked for.
    step("faults", || {
        cargo(
            root,
            &[
                "test",
                "--workspace",
                "--test",
                "faults",
                "--features",
                &format!("{HTTP2},fanfare/fault-injection,fanfare-server/fault-injection"),
            ],
        )
    })?;
    step("conformance", || conformance::run(root))?;
    step("fuzz", || fuzz::run(root, &fuzz::Plan::default()))?;
    step("rustdoc", || {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(root)
            .args(["doc", "--workspace", "--features", HTTP2, "--no-deps"])
            .env("RUSTDOCFLAGS", "--deny warnings");
        run_command(command)
    })
}

/// What tests need beside Rust.
fn provide() -> Result<(), String> {
    step("browser", || {
        let is_there = || ["chromium", "chromedriver"].into_iter().all(packages::runs);
        packages::provide(
            "the browser tests need Chromium and its driver",
            is_there,
            &["chromium", "chromium-driver"],
        )
    })?;
    step("curl", || {
        packages::provide("streams are read with curl", || packages::runs("curl"), &["curl"])
    })?;
    step("strace", || {
        packages::provide(
            "a disk that fails is made with strace",
            || packages::runs("strace"),
            &["strace"],
        )
    })?;
    step("python", || {
        packages::provide(
            "the libraries of Centrifuge and of Centrifugo's API need Python with `venv`",
            conformance::has_venv,
            &["python3", "python3-venv"],
        )
    })?;
    step("node", || {
        packages::provide(
            "a library of Centrifuge needs Node with npm",
            || ["node", "npm"].into_iter().all(packages::runs),
            &["nodejs", "npm"],
        )
    })
}

/// What the program has no use for, and embedders may. Everything is built with it: without, some dependencies would be
/// built once more, because fewer of their features are asked for.
pub(crate) const HTTP2: &str = "fanfare/http2";

fn step(name: &str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    println!("== {name}");
    let began = Instant::now();
    work().map_err(|error| format!("{name}: {error}"))?;
    println!("== {name}: done in {} s", began.elapsed().as_secs());
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(arguments);
    if std::env::var_os(TEST_THREADS).is_none() {
        command.env(TEST_THREADS, (2 * cores()).to_string());
    }
    run_command(command)
}

/// How many tests of a program run at a time. Most wait for a browser, a program or a deadline, so a core has time for two.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
