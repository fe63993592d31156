//! The chat page in real browsers against the real program, as the stories of people who use it.
//!
//! `fanfare_testing` runs the program and the browsers, `page` is one open chat page as a person sees and uses it. Everything else is stories. Nothing here waits for a fixed time: a story looks at a page again until it
//! shows what is expected, and fails with what it shows instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod page;

mod accessibility;
mod conversation;
mod durable;
mod entry;
mod event_source;
mod history;
mod hostile_text;
mod keyboard;
mod looks;
mod publications;
mod restart;
mod rooms;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use fanfare_testing::{Browsers, DEADLINE, LOOK_AGAIN, Program, Screen, Socket};
use page::Page;

/// One server and the browsers of everyone in a story. The browsers end before the server does.
struct House {
    browsers: Browsers,
    program: Program,
}

impl House {
    fn open() -> Self {
        Self::with(&[])
    }

    /// A house whose server has these flags.
    fn with(flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let serve = move |address: SocketAddr| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
            let listen = address.to_string();
            command.env_clear().env("FANFARE_OPEN", "true");
            command
                .args(["serve", "--log", "error", "--listen", &listen])
                .args(&flags);
            command
        };
        Self {
            browsers: Browsers::start(),
            program: Program::start_by(serve),
        }
    }

    /// A client of the raw dialect in the lobby.
    fn raw_client(&self) -> Socket {
        Socket::open(&self.program, "/ws?dialect=raw&topic=lobby")
    }

    /// Somebody new comes to the lobby in a browser of their own and gives a name.
    async fn welcome(&self, name: &str) -> Page {
        self.welcome_to("", name).await
    }

    /// The same by an address such as `#/ROOM`.
    async fn welcome_to(&self, address: &str, name: &str) -> Page {
        let page = self.stranger(address, Screen::Desktop).await;
        page.introduce(name).await;
        page
    }

    /// The page of the README, from a web server of its own on this machine, with this server's address in it.
    async fn ten_lines(&self) -> Page {
        let html = include_str!("../../../../examples/ten_lines/index.html");
        let html = html.replace("localhost:8080", &self.program.address().to_string());
        let tab = self.browsers.open(Screen::Desktop).await;
        tab.go(&serve_once(html)).await;
        Page::new(tab)
    }

    /// Somebody new stands before the question for a name.
    async fn stranger(&self, address: &str, screen: Screen) -> Page {
        let page = Page::new(self.browsers.open(screen).await);
        page.go(&self.program.url(&format!("/{address}"))).await;
        page
    }
}

/// Serves one page to whoever comes next; gives its address.
fn serve_once(html: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
            html.len()
        );
        stream.write_all(format!("{head}{html}").as_bytes()).unwrap();
    });
    address
}
