//! Chromium and its driver, which the browser tests need.

use std::process::{Command, Stdio};

use crate::command::run_command;

const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

/// Makes sure that the browser is there: installs it where that is possible, else says what is missing.
pub(crate) fn provide() -> Result<(), String> {
    if is_complete() {
        return Ok(());
    }
    if !is_there("apt-get") || !is_root() {
        return Err(format!(
            "the browser tests need {}; on Debian: sudo apt-get install -y {}",
            PROGRAMS.join(" and "),
            PACKAGES.join(" ")
        ));
    }
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], &PACKAGES[..]].concat())?;
    if is_complete() {
        Ok(())
    } else {
        Err("the packages were installed but the browser is not there".to_owned())
    }
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    run_command(command)
}

fn is_complete() -> bool {
    PROGRAMS.iter().all(|program| is_there(program))
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}
