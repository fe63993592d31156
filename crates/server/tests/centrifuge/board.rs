//! The example `centrifugo_board`, an application that was written for Centrifugo: its own backend and page, and a
//! configuration that was taken over.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fanfare_testing::{Browsers, Program, Screen};

use crate::sdk::Sdk;

const FILES: [(&str, &str); 5] = [
    (
        "centrifugo.json",
        include_str!("../../../../examples/centrifugo_board/centrifugo.json"),
    ),
    (
        "server.js",
        include_str!("../../../../examples/centrifugo_board/server.js"),
    ),
    (
        "index.html",
        include_str!("../../../../examples/centrifugo_board/index.html"),
    ),
    (
        "page.js",
        include_str!("../../../../examples/centrifugo_board/page.js"),
    ),
    (
        "package.json",
        include_str!("../../../../examples/centrifugo_board/package.json"),
    ),
];

/// The application's backend. It ends with the value.
struct Backend {
    child: Child,
    address: String,
}

impl Backend {
    fn start(folder: &Path, server: SocketAddr) -> Self {
        let mut child = Command::new("node")
            .arg(folder.join("server.js"))
            .env("SERVER", format!("http://{server}"))
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut address).unwrap();
        Self {
            child,
            address: address.trim_end().to_owned(),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_application_for_centrifugo_runs_after_changing_the_address() {
    let library = Sdk::JavaScript.install();
    let folder = library.join("board");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in FILES {
        fs::write(folder.join(name), text).unwrap();
    }
    // Found from the folder below it, and by the page too.
    let modules = folder.join("node_modules");
    if !modules.exists() {
        std::os::unix::fs::symlink(library.join("node_modules"), &modules).unwrap();
    }
    let configuration = folder.join("fanfare.toml");
    let imported = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(["import", "centrifugo", "centrifugo.json", "--force", "--output"])
        .arg(&configuration)
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "{told}");
    let program = Program::start_by(move |address: SocketAddr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command
            .env_clear()
            .args(["serve", "--listen", &address.to_string(), "--config"])
            .arg(&configuration);
        command
    });
    // The port of the page is the system's choice here; on a loopback address all pages of this machine may connect.
    let backend = Backend::start(&folder, program.address());
    let browsers = Browsers::start();
    let (ada, bob) = (
        browsers.open(Screen::Desktop).await,
        browsers.open(Screen::Desktop).await,
    );
    for (tab, user) in [(&ada, "ada"), (&bob, "bob")] {
        tab.go(&format!("{}/?user={user}", backend.address)).await;
        let state = "return document.getElementById('state').textContent";
        tab.until_found(state, &format!("connected as {user}")).await;
    }
    for (tab, score) in [(&ada, "1 : 0"), (&bob, "2 : 0")] {
        let _: serde_json::Value = tab
            .read("document.querySelector('[data-team=home]').click(); return null")
            .await;
        for tab in [&ada, &bob] {
            tab.until_found("return document.getElementById('score').textContent", score)
                .await;
            tab.until_found(
                "return document.getElementById('online').textContent",
                "2 watching",
            )
            .await;
        }
    }
}
