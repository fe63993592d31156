//! A disk without room. FAULTS 60.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, eventually};
use crate::house::{House, LIVE, end, post, publish, publish_by_socket, stands, texts};
use crate::process::Server;

/// A disk of 8 MiB in memory, which only this and who is run on it sees. It goes with the value.
struct SmallDisk {
    keeper: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// None on a machine that lets nobody mount.
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut keeper = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs -o size=8m tmpfs \"$0\" && echo mounted && exec cat")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(keeper.stdout.take()?)
            .read_line(&mut line)
            .unwrap();
        let disk = Self {
            keeper,
            folder: folder.to_owned(),
        };
        (line == "mounted\n").then_some(disk)
    }

    fn start(&self, house: &mut House) -> Server {
        let keeper = self.keeper.id().to_string();
        house.start_by(|house| {
            let runner = [
                "nsenter",
                "--target",
                &keeper,
                "--user",
                "--preserve-credentials",
                "--mount",
            ];
            house.run_by(&runner, &house.command_in(&self.folder.join("data")))
        })
    }

    /// The way to a file on it from outside.
    fn path(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper.id());
        Path::new(&root)
            .join(self.folder.strip_prefix("/").unwrap())
            .join(name)
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut ballast = File::create(self.path("ballast")).unwrap();
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.path("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Publishes what does not fit, in both ways.
fn assert_full(server: &Server) {
    let large = "x".repeat(20_000);
    let answer = publish_by_socket(server, "a", &large);
    assert_eq!(
        (&answer["code"], &answer["temporary"]),
        (&json!("storage_full"), &json!(true)),
        "{answer}"
    );
    let (status, answer) = post(server, &json!({"topic": "a", "data": large}));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (507, &json!("storage_full")),
        "{answer}"
    );
    assert_eq!(server.metric("fanfare_log_full"), 1);
}

#[test]
fn a_full_disk_refuses_what_is_durable_and_nothing_else_until_there_is_room() {
    let mut house = House::new("full", &LIVE);
    let Some(disk) = SmallDisk::mount(&house.path("disk")) else {
        // Where the log itself is full is told below.
        return println!("nobody can mount a disk on this machine: a full one is not looked at");
    };
    let server = disk.start(&mut house);
    for number in 1..=20 {
        publish(&server, "a", &format!("text {number}"));
    }
    let place = stands(&server, "a");
    let (mut subscriber, _) = Client::open_json(server.address, "/ws?topic=a&topic=live");
    subscriber.expect("subscribed");
    disk.fill();
    assert_full(&server);
    house.await_log("durable topics take nothing now");
    publish(&server, "live", "still here");
    assert_eq!(subscriber.expect("message")["data"], "still here");
    assert_eq!(texts(&server, "a").len(), 20);
    assert_eq!(server.get("/ready").status, 200);
    // The end of the process in this state leaves nothing torn, and the next one can begin in it.
    end(server, Signal::KILL);
    let before = house.log().len();
    let server = disk.start(&mut house);
    assert_eq!(stands(&server, "a"), place);
    assert_full(&server);
    let (mut subscriber, _) = Client::open_json(server.address, "/ws?topic=a");
    subscriber.expect("subscribed");
    disk.make_room();
    assert_eq!(
        publish(&server, "a", "text 21"),
        21,
        "what was refused has no place"
    );
    assert_eq!(subscriber.expect("message")["offset"], 21);
    assert_eq!(server.metric("fanfare_log_full"), 0);
    assert_eq!(server.metric("fanfare_log_failed"), 0);
    let expected: Vec<String> = (1..=21).map(|number| format!("text {number}")).collect();
    assert_eq!(texts(&server, "a"), expected);
    end(server, Signal::TERM);
    let log = &house.log()[before..];
    assert!(!log.contains("cut off"), "{log}");
}

#[test]
fn a_data_directory_that_may_take_no_more_is_full_until_less_is_kept() {
    const MIB: usize = 1 << 20;
    let limits = [
        "--data-bytes-max",
        "128MiB",
        "--message-bytes-max",
        "2MiB",
        "--outbox-bytes-max",
        "8MiB",
        "--fsync",
        "never",
    ];
    let mut house = House::new("bounded", &[&limits[..], &LIVE].concat());
    let server = house.start();
    publish(&server, "small", "is kept");
    let large = "x".repeat(MIB);
    let mut caller = Client::connect(server.address);
    let request = format!(
        "POST /api/publish?topic=large HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MIB}\r\n\r\n{large}"
    );
    let refused = (0..).find_map(|number| {
        caller.send(request.as_bytes());
        let response = caller.response().unwrap();
        (response.status != 200).then_some((number, response))
    });
    let (number, response) = refused.unwrap();
    assert!((100..=128).contains(&number), "{number}");
    assert_eq!(response.status, 507, "{response:?}");
    assert_full(&server);
    publish(&server, "live", "still here");
    end(server, Signal::KILL);
    house.add_argument("--history-bytes-max");
    house.add_argument("16MiB");
    let server = house.start();
    eventually("what is kept no more makes room", || {
        post(&server, &json!({"topic": "a", "data": "again"})).0 == 200
    });
    assert_eq!(server.metric("fanfare_log_full"), 0);
    assert_eq!(texts(&server, "small"), ["is kept"]);
}
