//! What the application is told of connections, topics and users, over all shards.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare::{
    Admission, Application, Denial, Disconnect, Fanfare, Happening, Hooks, Identity, Notice, Options,
    Selector, UserName,
};
use serde_json::json;

use crate::client::{Client, eventually};
use crate::server::{Server, options};

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<Notice>>>);

impl Hooks for Diary {
    async fn authenticate(&self, token: &str) -> Result<Admission, Denial> {
        let user = UserName::parse(token).map_err(|_| Denial::unauthenticated("who is that?"))?;
        Ok(Admission {
            identity: Arc::new(Identity::of_user(user)),
            ..Admission::default()
        })
    }

    async fn notice(&self, _: &Fanfare, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }
}

impl Diary {
    fn server(&self, is_anonymous: bool) -> Server {
        Server::with(Options {
            application: Some(Application::new(self.clone())),
            notices: true,
            is_development: is_anonymous,
            ..options()
        })
    }

    /// What was written down, in short.
    fn lines(&self) -> Vec<String> {
        let notices = self.0.lock().unwrap();
        notices.iter().map(|notice| line(&notice.happening)).collect()
    }

    /// The lines of a kind, once there are so many.
    fn await_lines(&self, count: usize) -> Vec<String> {
        eventually("it was told", || self.lines().len() >= count);
        self.lines()
    }
}

fn line(happening: &Happening) -> String {
    let name = |identity: &Option<Arc<Identity>>| {
        let user = identity.as_ref().and_then(|identity| identity.user.clone());
        user.map_or("nobody".to_owned(), |user| user.to_string())
    };
    match happening {
        Happening::Connected { identity, .. } => format!("{} connected", name(identity)),
        Happening::Disconnected { identity, code, .. } => format!("{} disconnected {code}", name(identity)),
        Happening::Occupied { topic } => format!("{} occupied", topic.as_str()),
        Happening::Vacated { topic } => format!("{} vacated", topic.as_str()),
        Happening::Online { user } => format!("{user} online"),
        Happening::Offline { user } => format!("{user} offline"),
    }
}

#[test]
fn a_topic_that_has_only_consumers_is_vacant() {
    let diary = Diary::default();
    let server = diary.server(true);
    let consumer = server.runtime.block_on(server.fanfare.subscribe("a")).unwrap();
    let (mut client, _) = Client::open_json(server.address, "/ws?user=ada&topic=a");
    assert_eq!(client.close(1000), 1000);
    eventually("it was told", || diary.lines().contains(&"a vacated".to_owned()));
    drop(consumer);
    server.assert_empty();
    let of_topic: Vec<_> = diary
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("a "))
        .collect();
    assert_eq!(of_topic, ["a occupied", "a vacated"]);
}

#[test]
fn a_user_and_a_topic_are_told_of_once_whatever_the_number_of_shards() {
    let diary = Diary::default();
    let server = diary.server(true);
    let (mut first, _) = server.open_in(0, "/ws?user=ada&topic=a");
    let (second, _) = server.open_in(1, "/ws?user=ada&topic=a");
    eventually("both are there", || server.fanfare.subscribers("a") == 2);
    assert_eq!(first.close(1000), 1000);
    // The topic goes on in the other shard, and so does the user.
    eventually("one is left", || server.fanfare.subscribers("a") == 1);
    let is_told_too_early = |line: &String| line.ends_with("vacated") || line.ends_with("offline");
    assert!(!diary.lines().iter().any(is_told_too_early));
    second.reset();
    server.assert_empty();
    eventually("all of it was told", || {
        let lines = diary.lines();
        let count = |end: &str| lines.iter().filter(|line| line.contains(end)).count();
        count("ada connected") == count("ada disconnected") && count("vacated") == 1 && count("offline") == 1
    });
    let lines = diary.lines();
    let place = |wanted: &str| -> usize {
        let places: Vec<_> = (0..lines.len()).filter(|&at| lines[at] == wanted).collect();
        assert_eq!(places.len(), 1, "{wanted} once in {lines:?}");
        places[0]
    };
    assert!(place("ada online") < place("ada offline"));
    assert!(place("a occupied") < place("a vacated"));
    assert!(lines.contains(&"ada disconnected 1000".to_owned()), "{lines:?}");
    assert!(lines.contains(&"ada disconnected 1006".to_owned()), "{lines:?}");
    let told = diary.0.lock().unwrap();
    assert!(told.iter().zip(1..).all(|(notice, at)| notice.sequence == at));
    assert!(told.is_sorted_by_key(|notice| notice.time));
}

#[test]
fn whoever_never_said_who_it_is_was_never_there() {
    let diary = Diary::default();
    let server = diary.server(false);
    let (silent, _) = Client::open_json(server.address, "/ws?topic=a");
    let (mut ada, _) = Client::open_json(server.address, "/ws");
    assert_eq!(
        ada.ask(json!({"type": "auth", "token": "ada"}))["type"],
        "authenticated"
    );
    assert_eq!(
        ada.ask(json!({"type": "auth", "token": "ada"}))["type"],
        "authenticated"
    );
    silent.reset();
    let ada_is = Selector::User(UserName::parse("ada").unwrap());
    let closing = server.fanfare.disconnect(ada_is, Disconnect::Reconnect);
    assert_eq!(server.runtime.block_on(closing), Ok(1));
    drop(ada);
    server.assert_empty();
    let lines = diary.await_lines(4);
    let expected = [
        "ada connected",
        "ada online",
        "ada offline",
        "ada disconnected 3006",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_shutdown_ends_when_everything_was_told() {
    let diary = Diary::default();
    let server = diary.server(true);
    let clients: Vec<_> = (0..20)
        .map(|user| Client::open_json(server.address, &format!("/ws?user=u{user}&topic=a")))
        .collect();
    let ending = server.fanfare.shutdown(Duration::ZERO, Duration::from_secs(10));
    std::thread::spawn(move || {
        for (mut client, _) in clients {
            client.ending();
        }
    });
    server.runtime.block_on(ending);
    let lines = diary.lines();
    let count = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!(
        (
            count(" connected"),
            count("disconnected 3000"),
            count("online"),
            count("offline")
        ),
        (20, 20, 20, 20)
    );
    assert_eq!((count("a occupied"), count("a vacated")), (1, 1));
}

#[test]
fn nobody_is_told_who_has_not_asked() {
    let diary = Diary::default();
    let server = Server::with(Options {
        application: Some(Application::new(diary.clone())),
        ..options()
    });
    drop(Client::open_json(server.address, "/ws?topic=a"));
    server.assert_empty();
    server
        .runtime
        .block_on(server.fanfare.shutdown(Duration::ZERO, Duration::from_secs(10)));
    assert_eq!(diary.lines(), [""; 0]);
}
