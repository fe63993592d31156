//! What the checks need beside Rust: installed where that is possible, else named.

use std::process::{Command, Stdio};

use crate::command::run_command;

/// Makes sure that something is there, if need be with Debian's packages; fails with what is missing.
pub(crate) fn provide(need: &str, is_there: impl Fn() -> bool, packages: &[&str]) -> Result<(), String> {
    if is_there() {
        return Ok(());
    }
    if !runs("apt-get") || !is_root() {
        return Err(format!(
            "{need}; on Debian: sudo apt-get install -y {}",
            packages.join(" ")
        ));
    }
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    if is_there() {
        Ok(())
    } else {
        Err(format!(
            "{need}; the packages were installed and it still is not there"
        ))
    }
}

/// Whether a program can be run.
pub(crate) fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    run_command(command)
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}
