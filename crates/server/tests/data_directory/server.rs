//! The data directory between two servers. FAULTS 65.

use std::net::SocketAddr;
use std::process::Command;

use fanfare_log::INCOMPLETE_IMPORT;
use fanfare_testing::Program;

use crate::harness::*;

fn serve(directory: &str, address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command
        .env_clear()
        .args(["serve", "--open", "--history-frames", "100"]);
    command.args(["--listen", address, "--data", directory]);
    command
}

fn server(folder: &Folder) -> Program {
    let name = folder.name().to_owned();
    Program::start_by(move |address: SocketAddr| serve(&name, &address.to_string()))
}

fn history(server: &Program) -> String {
    let answer = server.request("GET", "/api/history?topic=lobby&last=10", &[], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[test]
fn a_server_goes_on_with_what_was_imported() {
    let folder = Folder::new("server");
    let copy = Folder::new("server-copy");
    let mut program = server(&folder);
    for data in [
        "\"data\":{\"n\": 1}",
        "\"data\":\"two\"",
        "\"data_base64\":\"AAEC\"",
    ] {
        let body = format!("{{\"topic\":\"lobby\",{data}}}");
        let answer = program.request("POST", "/api/publish", &["content-type: application/json"], &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let before = history(&program);
    assert!(before.contains("AAEC"), "{before}");

    let output = log(&["inspect", folder.name()]);
    assert_eq!(code(&output), 2, "{}", stdout(&output));
    assert!(
        stderr(&output).contains("is in use, by a server"),
        "{}",
        stderr(&output)
    );
    program.terminate();

    let output = log_with(&["import", copy.name()], &exported(&folder));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(history(&server(&copy)), before);
}

#[test]
fn no_server_starts_with_a_part_of_an_import() {
    let folder = Folder::written("server-part");
    std::fs::write(folder.path().join(INCOMPLETE_IMPORT), b"").unwrap();
    let output = serve(folder.name(), "127.0.0.1:0").output().unwrap();
    assert_ne!(code(&output), 0);
    let said = stderr(&output);
    assert!(said.contains("a part of an import that did not end"), "{said}");
}
