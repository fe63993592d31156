//! Several who publish in every way, and several who listen, while the server goes and comes: what each was told, and
//! whether it was true.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, DEADLINE, TEXT, masked, upgrade_request};
use crate::house::{connect, kept, publish, stands, try_post};
use crate::process::Server;

/// Topics that are published to.
const TOPICS: [&str; 4] = ["red", "green", "blue", "white"];

/// The load, as long as the server is there or comes back.
pub(crate) struct Load {
    shared: Arc<Shared>,
    publishers: Vec<JoinHandle<()>>,
    listeners: Vec<JoinHandle<Vec<Name>>>,
}

/// What is known by a publication: who made it, and the number it has there.
type Name = (usize, u64);

struct Shared {
    address: SocketAddr,
    is_enough: AtomicBool,
    told: Mutex<Told>,
}

/// What publishers were told.
#[derive(Default)]
struct Told {
    /// What was published, by its topic and offset.
    taken: BTreeMap<(usize, u64), Name>,
    /// What was refused, and not taken at another time.
    refused: HashSet<Name>,
    /// Those that were sent again after the line had broken, and were found to be there already.
    repeated: u64,
}

/// What a load came to.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
pub(crate) struct Sum {
    /// Publications that were answered.
    pub(crate) acknowledged: usize,
    /// Those that were refused and never taken.
    pub(crate) refused: usize,
    /// Answers that said that it was there already.
    pub(crate) repeated: u64,
    /// What is there and was never answered.
    pub(crate) unanswered: usize,
}

/// How somebody publishes.
#[derive(Clone, Copy)]
struct Way {
    /// Over a WebSocket, many at once; else over the HTTP API, one by one.
    is_socket: bool,
    /// With keys, and again until there is an answer.
    is_keyed: bool,
}

const WAYS: [Way; 5] = [
    Way {
        is_socket: true,
        is_keyed: false,
    },
    Way {
        is_socket: true,
        is_keyed: true,
    },
    Way {
        is_socket: true,
        is_keyed: true,
    },
    Way {
        is_socket: false,
        is_keyed: false,
    },
    Way {
        is_socket: false,
        is_keyed: true,
    },
];

impl Load {
    /// Begins, on a server that is there.
    pub(crate) fn start(server: &Server) -> Self {
        let shared = Arc::new(Shared {
            address: server.address,
            is_enough: AtomicBool::new(false),
            told: Mutex::default(),
        });
        let listening = |topic: usize| {
            assert_eq!(publish(server, TOPICS[topic], "the first"), 1);
            let (epoch, _) = stands(server, TOPICS[topic]);
            let listener = Listener {
                topic,
                epoch,
                heard: Vec::new(),
            };
            let address = shared.address;
            thread::spawn(move || listener.run(address))
        };
        let listeners = (0..TOPICS.len()).map(listening).collect();
        let publishing = |(number, way)| {
            let publisher = Publisher::new(number, way, Arc::clone(&shared));
            thread::spawn(move || publisher.run())
        };
        let publishers = WAYS.into_iter().enumerate().map(publishing).collect();
        Self {
            shared,
            publishers,
            listeners,
        }
    }

    /// Ends it, and compares what everybody was told with what is there. On a server that is there.
    pub(crate) fn end(self, server: &Server) -> Sum {
        self.shared.is_enough.store(true, Ordering::Relaxed);
        self.publishers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        for topic in TOPICS {
            publish(server, topic, "the last");
        }
        let heard: Vec<Vec<Name>> = self
            .listeners
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        for (topic, heard) in TOPICS.iter().zip(&heard) {
            let stored = kept(server, topic).into_iter();
            let stored: Vec<(u64, Name)> = stored.map(|(offset, data)| (offset, name_of(&data))).collect();
            let expected: Vec<(u64, Name)> = (1..).zip(heard.iter().copied()).collect();
            assert!(
                stored == expected,
                "what is kept of {topic} is not what was heard"
            );
        }
        let told = std::mem::take(&mut *self.shared.told.lock().unwrap());
        told.check(&heard);
        Sum {
            acknowledged: told.taken.len(),
            refused: told.refused.len(),
            repeated: told.repeated,
            unanswered: heard.iter().flatten().filter(|name| **name != EDGE).count() - told.taken.len(),
        }
    }
}

impl Told {
    fn check(&self, heard: &[Vec<Name>]) {
        for (&(topic, offset), name) in &self.taken {
            let there = heard[topic].get(offset as usize - 1);
            assert_eq!(there, Some(name), "{} {offset} was answered", TOPICS[topic]);
        }
        let mut once = HashSet::new();
        for name in heard.iter().flatten().filter(|name| **name != EDGE) {
            assert!(once.insert(*name), "{name:?} is there twice");
            assert!(!self.refused.contains(name), "{name:?} was refused");
        }
    }

    fn take(&mut self, topic: usize, answer: &Value, name: Name) {
        let place = (topic, answer["offset"].as_u64().unwrap());
        let before = self.taken.insert(place, name);
        assert!(
            before.is_none_or(|before| before == name),
            "{place:?} of {before:?} was given to {name:?}"
        );
        self.refused.remove(&name);
        self.repeated += u64::from(answer["repeated"] == true);
    }
}

/// The name of what stands before and behind everything.
const EDGE: Name = (usize::MAX, 0);

fn name_of(data: &Value) -> Name {
    let Some(by) = data["by"].as_u64() else {
        return EDGE;
    };
    let name = (by as usize, data["number"].as_u64().unwrap());
    assert_eq!(
        data["filling"].as_str().map(str::len),
        Some(filling(name)),
        "{name:?} is as it was"
    );
    name
}

/// How many bytes more a publication has: mostly few, at times more than one page of memory.
fn filling((by, number): Name) -> usize {
    let spread = (number * 31 + by as u64 * 7) as usize;
    if spread.is_multiple_of(13) {
        9_000
    } else {
        spread % 200
    }
}

/// Somebody who publishes.
struct Publisher {
    number: usize,
    way: Way,
    shared: Arc<Shared>,
    line: Option<Client>,
    /// What was published last and answered, with where it stands.
    last: Option<(Name, u64)>,
}

impl Publisher {
    fn new(number: usize, way: Way, shared: Arc<Shared>) -> Self {
        Self {
            number,
            way,
            shared,
            line: None,
            last: None,
        }
    }

    fn run(mut self) {
        let count = if self.way.is_socket { 16 } else { 1 };
        let mut next = 1;
        while !self.shared.is_enough.load(Ordering::Relaxed) {
            let mut names: Vec<Name> = (next..next + count).map(|number| (self.number, number)).collect();
            next += count;
            let deadline = Instant::now() + 3 * DEADLINE;
            while !names.is_empty() {
                assert!(Instant::now() < deadline, "{names:?} are not taken");
                let answers = self.say(&names);
                names = self.note(&names, &answers);
            }
        }
    }

    /// Takes note of the answers; gives what is to be said again.
    fn note(&mut self, names: &[Name], answers: &[Option<Value>]) -> Vec<Name> {
        let mut again = Vec::new();
        let mut told = self.shared.told.lock().unwrap();
        for (name, answer) in names.iter().zip(answers) {
            match answer {
                Some(answer) if answer["offset"].is_u64() => {
                    told.take(topic_of(*name), answer, *name);
                    self.last = Some((*name, answer["offset"].as_u64().unwrap()));
                    continue;
                }
                Some(refusal) => {
                    let code = refusal["error"]["code"].as_str().or(refusal["code"].as_str());
                    assert!(code.is_some_and(|code| REFUSALS.contains(&code)), "{refusal}");
                    told.refused.insert(*name);
                }
                None => {}
            }
            if self.way.is_keyed {
                again.push(*name);
            }
        }
        again
    }

    /// Publishes these; the answers, as far as there are any.
    fn say(&mut self, names: &[Name]) -> Vec<Option<Value>> {
        let mut answers = vec![None; names.len()];
        if self.line.is_none() {
            thread::sleep(Duration::from_millis(10));
            self.line = self.open();
            self.repeat_last();
        }
        if let Some(mut line) = self.line.take() {
            let is_whole = if self.way.is_socket {
                self.say_together(&mut line, names, &mut answers)
            } else {
                self.say_one(&mut line, names[0], &mut answers[0])
            };
            self.line = is_whole.map(|()| line);
        }
        answers
    }

    fn open(&self) -> Option<Client> {
        let line = connect(self.shared.address)?;
        if self.way.is_socket {
            upgraded(line)
        } else {
            Some(line)
        }
    }

    /// What was answered in an earlier life of the server is known in this one.
    fn repeat_last(&mut self) {
        let Some((name, offset)) = self.last.filter(|_| self.way.is_keyed && self.line.is_some()) else {
            return;
        };
        if let Some(answer) = self
            .say(&[name])
            .remove(0)
            .filter(|answer| answer["offset"].is_u64())
        {
            assert_eq!(
                (&answer["offset"], &answer["repeated"]),
                (&json!(offset), &json!(true)),
                "{answer}"
            );
        }
    }

    fn say_together(&self, line: &mut Client, names: &[Name], answers: &mut [Option<Value>]) -> Option<()> {
        for (id, name) in names.iter().enumerate() {
            let mut command = self.publication(*name);
            command["type"] = json!("publish");
            command["id"] = json!(id);
            line.try_send(&masked(TEXT, command.to_string().as_bytes()))
                .ok()?;
        }
        while answers.iter().any(Option::is_none) {
            let answer = next_json(line)?;
            let Some(id) = answer["id"].as_u64() else {
                assert!(
                    ["welcome", "goodbye"].contains(&answer["type"].as_str().unwrap()),
                    "{answer}"
                );
                continue;
            };
            answers[id as usize] = Some(answer);
        }
        Some(())
    }

    fn say_one(&self, line: &mut Client, name: Name, answer: &mut Option<Value>) -> Option<()> {
        let (_, said) = try_post(line, &self.publication(name))?;
        *answer = Some(said);
        Some(())
    }

    fn publication(&self, name: Name) -> Value {
        let filling = "x".repeat(filling(name));
        let mut publication = json!({
            "topic": TOPICS[topic_of(name)],
            "data": {"by": name.0, "number": name.1, "filling": filling},
        });
        if self.way.is_keyed {
            publication["idempotency_key"] = json!(format!("{} of {}", name.1, name.0));
        }
        publication
    }
}

fn topic_of((_, number): Name) -> usize {
    number as usize % TOPICS.len()
}

/// What a publisher may be refused with while a server stops, or has much to write.
const REFUSALS: [&str; 3] = ["overloaded", "unavailable", "shutting_down"];

/// Somebody who hears a topic from its beginning, and comes back to where it was.
struct Listener {
    topic: usize,
    epoch: String,
    /// What was heard, in the order of the offsets.
    heard: Vec<Name>,
}

impl Listener {
    /// Until it hears the last.
    fn run(mut self, address: SocketAddr) -> Vec<Name> {
        loop {
            let line = connect(address).and_then(upgraded);
            if line.is_some_and(|mut line| self.listen(&mut line).is_some()) {
                return self.heard;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// None when the line breaks.
    fn listen(&mut self, line: &mut Client) -> Option<()> {
        let place = json!({"epoch": self.epoch, "offset": self.heard.len()});
        let command = json!({"type": "subscribe", "topic": TOPICS[self.topic], "since": place, "id": 1});
        line.try_send(&masked(TEXT, command.to_string().as_bytes()))
            .ok()?;
        loop {
            let push = next_json(line)?;
            match push["type"].as_str().unwrap() {
                "welcome" | "goodbye" => {}
                "subscribed" => {
                    let topic = &push["topics"][0];
                    let found = (&topic["recovered"], &topic["epoch"], &topic["offset"]);
                    assert_eq!(found, (&json!(true), &place["epoch"], &place["offset"]), "{push}");
                }
                "message" => {
                    assert_eq!(push["offset"], self.heard.len() + 1, "{}", TOPICS[self.topic]);
                    self.heard.push(name_of(&push["data"]));
                    if push["data"] == "the last" {
                        return Some(());
                    }
                }
                _ => panic!("{push}"),
            }
        }
    }
}

/// A WebSocket on a connection, if the server is there for long enough.
fn upgraded(mut line: Client) -> Option<Client> {
    line.try_send(upgrade_request("/ws", &[]).as_bytes()).ok()?;
    let response = line.response()?;
    (response.status == 101).then_some(line)
}

/// The next text; none when the connection is over.
fn next_json(line: &mut Client) -> Option<Value> {
    let frame = line.message().filter(|frame| frame.first == TEXT)?;
    Some(serde_json::from_slice(&frame.payload).unwrap())
}
