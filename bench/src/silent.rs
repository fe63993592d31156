//! `silent`: connections that connect and then send nothing, not even a request.

use crate::goal::Goal;
use crate::reading::{self, Reading};
use crate::report::{self, Spread, Table, figure, optional};
use crate::server::{self, Server};
use crate::{Common, DEFENDED, Outcome};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Options of `silent`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Connections that send nothing
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    connections: u32,
    /// Connections opened per second; faster than a server accepts, the kernel makes them wait a second and longer
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// When the server should have given a silent connection up, after it was opened
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    deadline_seconds: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    server: String,
    connections: u32,
    deadline_seconds: u64,
    before: Reading,
    /// When the last connection was let in, or no more were.
    held: Reading,
    after: Reading,
    connect_seconds: f64,
    /// Connections that were not in by the deadline, because the server did not accept.
    waiting: usize,
    /// Connections that were closed within half the deadline.
    refused: usize,
    /// Connections that were still open when the measurement gave them up.
    kept: usize,
    /// Growth over the connections that were held.
    rss_bytes_per_connection: f64,
    /// Age of those that were neither refused nor kept when they were closed, in seconds.
    age_seconds: Option<Spread>,
    goals: Vec<Goal>,
}

/// Measures the server and prints what it held and for how long.
pub(crate) fn run(options: &Options) -> io::Result<Outcome> {
    server::require_descriptors(u64::from(options.connections) + DESCRIPTORS_SPARE)?;
    server::pin(options.common.generator_core)?;
    let recipe = options.common.recipe(DEFENDED)?;
    let server = recipe.start(options.common.server_core)?;
    let report = options.measure(recipe.name, &server)?;
    server.stop()?;
    println!("{}\n{}", report.table(), Goal::table(&report.goals));
    report::write_json(options.common.json.as_deref(), &report)?;
    Ok(Outcome::of(report.is_clean()).and_goals(&report.goals))
}

impl Options {
    fn measure(&self, name: String, server: &Server) -> io::Result<Report> {
        std::thread::sleep(SETTLE);
        let before = Reading::take(server)?;
        let mut crowd = Crowd::new(self.connections as usize, self.rate)?;
        crowd.connect_all(server.address, self.deadline())?;
        let connect_seconds = crowd.begun.elapsed().as_secs_f64();
        crowd.watch(Instant::now() + SETTLE)?;
        let held = Reading::take(server)?;
        crowd.watch(Instant::now() + self.deadline() * 2)?;
        let (kept, waiting) = (crowd.open, crowd.waiting());
        let is_refusal = |age: &f64| *age < self.deadline_seconds as f64 / 2.0;
        let (refused, given_up): (Vec<f64>, Vec<f64>) = crowd.ages_seconds().partition(is_refusal);
        drop(crowd);
        reading::await_descriptors(server, before.descriptors, CLOSE_MAX)?;
        let after = Reading::take(server)?;

        let age_seconds = Spread::of(given_up);
        let held_count = held.descriptors.saturating_sub(before.descriptors).max(1);
        let rss_bytes_per_connection = held.rss_growth_bytes(&before) / held_count as f64;
        Ok(Report {
            server: name,
            connections: self.connections,
            deadline_seconds: self.deadline_seconds,
            before,
            held,
            after,
            connect_seconds,
            waiting,
            refused: refused.len(),
            kept,
            rss_bytes_per_connection,
            age_seconds,
            goals: self.goals(rss_bytes_per_connection, age_seconds),
        })
    }

    fn goals(&self, rss_bytes_per_connection: f64, age_seconds: Option<Spread>) -> Vec<Goal> {
        let memory = Goal::new(
            "memory per silent connection, KiB",
            rss_bytes_per_connection / 1024.0,
            RSS_MAX_KIB,
        );
        let age_max = self.deadline_seconds as f64 + AGE_SPARE_SECONDS;
        let age = age_seconds.map(|age| Goal::new("age of the last one when closed, s", age.max, age_max));
        [memory].into_iter().chain(age).collect()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }
}

/// The connections and what became of them.
struct Crowd {
    poll: Poll,
    events: Events,
    begun: Instant,
    count: usize,
    rate: f64,
    members: Vec<Silent>,
    /// How many of the members are not let in yet, and how many are and have not ended.
    opening: usize,
    open: usize,
}

/// One connection.
struct Silent {
    /// None when it has ended.
    stream: Option<TcpStream>,
    opened: Option<Instant>,
    /// How long after it was opened it was closed.
    age: Option<Duration>,
}

impl Crowd {
    fn new(count: usize, rate: u32) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            begun: Instant::now(),
            count,
            rate: f64::from(rate),
            members: Vec::with_capacity(count),
            opening: 0,
            open: 0,
        })
    }

    /// Opens all at the rate, `OPENING_MAX` at a time; what is not open after `length` is left waiting.
    fn connect_all(&mut self, address: SocketAddr, length: Duration) -> io::Result<()> {
        let deadline = Instant::now() + length;
        while (self.members.len() < self.count || self.opening > 0) && Instant::now() < deadline {
            while self.members.len() < self.due() && self.opening < OPENING_MAX {
                self.connect_one(address)?;
            }
            self.turn(Duration::from_millis(1))?;
        }
        Ok(())
    }

    /// How many should have been begun by now.
    fn due(&self) -> usize {
        let due = self.begun.elapsed().as_secs_f64() * self.rate;
        (due as usize).saturating_add(1).min(self.count)
    }

    /// How many were never let in.
    fn waiting(&self) -> usize {
        self.count - self.members.len() + self.opening
    }

    fn connect_one(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let (token, interest) = (Token(self.members.len()), Interest::READABLE | Interest::WRITABLE);
        self.poll.registry().register(&mut stream, token, interest)?;
        self.members.push(Silent {
            stream: Some(stream),
            opened: None,
            age: None,
        });
        self.opening += 1;
        Ok(())
    }

    /// Watches until all have ended, at most until `deadline`.
    fn watch(&mut self, deadline: Instant) -> io::Result<()> {
        while let Some(wait) = deadline.checked_duration_since(Instant::now()) {
            if self.open + self.opening == 0 {
                return Ok(());
            }
            self.turn(wait)?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = Instant::now();
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            if member.opened.is_none() && member.is_through() {
                member.opened = Some(now);
                self.opening -= 1;
                self.open += 1;
            }
            if member.has_ended() {
                member.stream = None;
                member.age = member.opened.map(|opened| now - opened);
                self.open -= 1;
            }
        }
        Ok(())
    }

    fn ages_seconds(&self) -> impl Iterator<Item = f64> {
        self.members
            .iter()
            .filter_map(|member| Some(member.age?.as_secs_f64()))
    }
}

impl Silent {
    /// Whether the attempt to connect is over, with success or without.
    fn is_through(&self) -> bool {
        let Some(stream) = &self.stream else {
            return false;
        };
        let error = stream.peer_addr().err();
        error.is_none_or(|error| error.kind() != io::ErrorKind::NotConnected)
    }

    /// Whether an open connection is closed by now; what the server says first is passed over.
    fn has_ended(&mut self) -> bool {
        let (Some(stream), Some(_)) = (&mut self.stream, self.opened) else {
            return false;
        };
        loop {
            match stream.read(&mut [0; 1024]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

impl Report {
    /// Whether nothing of the silent connections was left.
    fn is_clean(&self) -> bool {
        self.kept == 0 && self.after.descriptors <= self.before.descriptors
    }

    fn table(&self) -> String {
        let mut readings = Table::new(&[self.server.as_str(), "RSS MiB", "anonymous MiB", "descriptors"]);
        let moments = [
            ("before", self.before),
            ("connected", self.held),
            ("gone", self.after),
        ];
        for (name, reading) in moments {
            readings.push([name.to_owned()].into_iter().chain(reading.cells()).collect());
        }
        let mut fates = Table::new(&[
            "connections",
            "waiting",
            "refused",
            "kept",
            "B/connection",
            "first gone s",
            "median s",
            "last s",
            "connecting s",
        ]);
        let age = |value: fn(Spread) -> f64| optional(self.age_seconds.map(value));
        fates.push(vec![
            self.connections.to_string(),
            self.waiting.to_string(),
            self.refused.to_string(),
            self.kept.to_string(),
            format!("{:.0}", self.rss_bytes_per_connection),
            age(|ages| ages.min),
            age(|ages| ages.median),
            age(|ages| ages.max),
            figure(self.connect_seconds),
        ]);
        format!("{readings}\n{fates}")
    }
}

/// Below the 128 waiting connections that many servers give their listener.
const OPENING_MAX: usize = 100;
const SETTLE: Duration = Duration::from_millis(500);
const CLOSE_MAX: Duration = Duration::from_secs(15);
/// Descriptors this program needs beside those of the connections.
const DESCRIPTORS_SPARE: u64 = 16;
const RSS_MAX_KIB: f64 = 32.0;
/// How much later than its deadline a server may be: it looks now and then, and accepts after the kernel does.
const AGE_SPARE_SECONDS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn those_that_are_closed_have_an_age_with_or_without_an_answer_and_others_have_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::new(3, 1000).unwrap();
        crowd
            .connect_all(listener.local_addr().unwrap(), Duration::from_secs(10))
            .unwrap();
        assert_eq!((crowd.waiting(), crowd.open), (0, 3));
        let mut answered = listener.accept().unwrap().0;
        answered
            .write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            .unwrap();
        drop(answered);
        drop(listener.accept().unwrap());
        let kept = listener.accept().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while crowd.open > 1 && Instant::now() < deadline {
            crowd.turn(Duration::from_millis(10)).unwrap();
        }
        assert_eq!((crowd.open, crowd.ages_seconds().count()), (1, 2));
        drop(kept);
        crowd.watch(deadline).unwrap();
        assert_eq!((crowd.open, crowd.ages_seconds().count()), (0, 3));
    }
}
