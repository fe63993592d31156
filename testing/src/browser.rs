//! Headless Chromium, steered by chromedriver: one driver for a story, one browser with an empty profile per person.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use fantoccini::ClientBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use crate::{LOOK_AGAIN, Tab};

/// The size and kind of a window.
#[derive(Debug, Clone, Copy)]
pub enum Screen {
    /// 1200 by 760 CSS pixels, with a mouse.
    Desktop,
    /// [`PHONE`], with a finger.
    Phone,
}

/// A running chromedriver. Dropping it ends all its browsers and deletes their profiles.
#[derive(Debug)]
pub struct Browsers {
    driver: Child,
    address: SocketAddr,
    chromium: PathBuf,
    profiles: PathBuf,
    opened: AtomicUsize,
    _stdout: BufReader<ChildStdout>,
}

impl Browsers {
    /// Starts the driver.
    ///
    /// # Panics
    /// One of the programs is not installed: the page cannot be tested without, and untested is not passed.
    pub fn start() -> Self {
        let chromium = installed("chromium");
        let (driver, stdout, port) = (0..DRIVER_STARTS)
            .find_map(|_| start_driver())
            .expect("chromedriver says why it does not start");
        Self {
            driver,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            chromium,
            profiles: new_folder(),
            opened: AtomicUsize::new(0),
            _stdout: stdout,
        }
    }

    /// A new browser that shares nothing with the others.
    pub async fn open(&self, screen: Screen) -> Tab {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let profile = self.profiles.join(number.to_string());
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.into()).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let mut options = json!({"binary": self.chromium});
        match screen {
            Screen::Desktop => arguments.push(MOUSE.into()),
            Screen::Phone => options["mobileEmulation"] = json!({"deviceMetrics": PHONE.metrics()}),
        }
        options["args"] = json!(arguments);
        let mut capabilities = Map::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        // The certificates of these tests are signed by nobody.
        capabilities.insert("acceptInsecureCerts".into(), json!(true));
        capabilities.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{}", self.address))
            .await;
        Tab::new(client.unwrap())
    }

    /// Asks the driver to end its browsers and itself.
    fn shut_down(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, END_TIMEOUT)?;
        stream.set_read_timeout(Some(END_TIMEOUT))?;
        write!(
            stream,
            "GET /shutdown HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_TIMEOUT;
        if self.shut_down().is_ok() {
            while Instant::now() < deadline && matches!(self.driver.try_wait(), Ok(None)) {
                thread::sleep(LOOK_AGAIN);
            }
        }
        // Each fails when it is done already, which is just as well.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profiles);
    }
}

/// The window of a phone, in CSS pixels.
#[derive(Debug)]
pub struct Phone {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

impl Phone {
    fn metrics(&self) -> Value {
        json!({"width": self.width, "height": self.height, "pixelRatio": 2.0, "touch": true, "mobile": true})
    }
}

/// The phone of these tests.
pub const PHONE: Phone = Phone {
    width: 390,
    height: 780,
};

/// Where a program of the browser's packages is.
fn installed(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{program} is not installed, and pages are tested in a real browser: \
                 apt-get install -y chromium chromium-driver"
            )
        })
}

/// Starts a driver, unless it does not find a port: it looks for one that is free for IPv6 and takes the same for IPv4.
fn start_driver() -> Option<(Child, BufReader<ChildStdout>, u16)> {
    let mut driver = Command::new(installed("chromedriver"))
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(driver.stdout.take().unwrap());
    if let Some(port) = read_port(&mut stdout) {
        return Some((driver, stdout, port));
    }
    driver.wait().unwrap();
    None
}

/// The port in the line by which chromedriver says that it has started.
fn read_port(stdout: &mut impl BufRead) -> Option<u16> {
    let mut line = String::new();
    while stdout.read_line(&mut line).unwrap() > 0 {
        let port = line.trim_end().split("successfully on port ").nth(1);
        if let Some(port) = port.and_then(|port| port.trim_end_matches('.').parse().ok()) {
            return Some(port);
        }
        line.clear();
    }
    None
}

/// A new folder for the profiles of one driver.
fn new_folder() -> PathBuf {
    static FOLDERS: AtomicUsize = AtomicUsize::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("fanfare-browser-{}-{number}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// How often to start a driver until one has found a port.
const DRIVER_STARTS: usize = 5;

const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A mouse that hovers and points exactly, which a machine without a screen does not have.
const MOUSE: &str =
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4";

/// English, one fixed window, and nothing that would leave this machine.
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--lang=en-US",
    "--hide-scrollbars",
    "--window-size=1200,760",
];
