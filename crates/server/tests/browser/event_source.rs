//! A browser's own `EventSource`, which connects again by itself: over lines that break off anywhere it shows everything,
//! once and in order.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fanfare_testing::Screen;

use crate::{House, serve_once};

/// A line to the server on which the answer to each connection breaks off behind so many bytes, the later ones never.
struct Line {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
}

impl Line {
    fn to(server: SocketAddr, lengths: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        std::thread::spawn(move || {
            let mut lengths = lengths.into_iter();
            while let Ok((client, _)) = listener.accept() {
                let (length, counted) = (lengths.next().unwrap_or(usize::MAX), Arc::clone(&counted));
                std::thread::spawn(move || {
                    carry(client, server, length);
                    counted.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, cuts }
    }

    fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Carries a request to the server, and so many bytes of the answer back.
fn carry(mut client: TcpStream, server: SocketAddr, mut left: usize) {
    let Ok(mut upstream) = TcpStream::connect(server) else {
        return;
    };
    let (mut asking, mut asked) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut asking, &mut asked);
        let _ = asked.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 4096];
    while left > 0 {
        let count = upstream.read(&mut bytes).unwrap_or(0).min(left);
        if count == 0 || client.write_all(&bytes[..count]).is_err() {
            break;
        }
        left -= count;
    }
    for end in [&client, &upstream] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// A page that shows what it is sent of two topics, and how each beginning was.
pub(crate) fn page(address: SocketAddr) -> String {
    format!(
        r#"<!doctype html><title>Events</title><script>
        const seen = {{ a: [], b: [] }}, begun = [], goodbyes = [];
        const source = new EventSource("http://{address}/sse?topic=b&topic=a");
        source.onmessage = ({{ data }}) => {{
            const message = JSON.parse(data);
            seen[message.topic].push(message.data);
        }};
        source.addEventListener("subscribed", ({{ data }}) => {{
            begun.push(JSON.parse(data).topics.map((topic) => topic.recovered ?? "new").join());
        }});
        source.addEventListener("goodbye", ({{ data }}) => goodbyes.push(JSON.parse(data).code));
        </script>"#
    )
}

pub(crate) fn publish(house: &House, topic: &str, number: usize) {
    let path = format!("/api/publish?topic={topic}");
    let answer = house.program.request("POST", &path, &[], &number.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn several_topics_go_on_where_they_were_wherever_the_line_breaks() {
    let house = House::with(&["--history-frames", "10000"]);
    // Somebody keeps the topics, however long the browser is away.
    let _keeper = fanfare_testing::Socket::open(&house.program, "/ws?topic=a&topic=b");
    // Within ids and data, and between events: an id of two topics has 30 bytes or so, its data 100.
    let lengths = vec![1_300, 1_311, 1_333, 1_352, 1_374, 1_402];
    let line = Line::to(house.program.address(), lengths);
    let tab = house.browsers.open(Screen::Desktop).await;
    tab.go(&serve_once(page(line.address))).await;
    tab.until_found("return begun.join(' ')", "new,new").await;
    let (mut count, deadline) = (0, Instant::now() + 3 * crate::DEADLINE);
    while line.cuts() < 6 {
        assert!(
            Instant::now() < deadline,
            "it does not come back, {} cuts",
            line.cuts()
        );
        count += 1;
        publish(&house, "a", count);
        publish(&house, "b", count);
        tokio::time::sleep(crate::LOOK_AGAIN).await;
    }
    let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    for topic in ["a", "b"] {
        tab.until_found(&format!("return seen.{topic}.join()"), &numbers.join(","))
            .await;
    }
    tab.until_found(
        "return String(begun.length > 3 && begun.slice(1).every((how) => how == 'true,true'))",
        "true",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_stops_or_is_killed_is_come_back_to() {
    let mut house = House::with(&["--history-frames", "10000", "--shutdown-window", "1s"]);
    let tab = house.browsers.open(Screen::Desktop).await;
    tab.go(&serve_once(page(house.program.address()))).await;
    tab.until_found("return begun.join(' ')", "new,new").await;
    publish(&house, "a", 1);
    tab.until_found("return seen.a.join()", "1").await;
    house.program.terminate();
    tab.until_found("return goodbyes.join()", "3000").await;
    house.program.start_again();
    // Its history is gone with it, and that is said.
    tab.until_found("return begun.join(' ')", "new,new false,false")
        .await;
    publish(&house, "a", 2);
    tab.until_found("return seen.a.join()", "1,2").await;
    house.program.kill();
    house.program.start_again();
    tab.until_found("return begun.join(' ')", "new,new false,false false,false")
        .await;
}

#[tokio::test]
async fn a_topic_that_is_not_allowed_ends_it_for_good() {
    let house = House::with(&["--topic-rule", r#"{ pattern = "a", subscribe = "nobody" }"#]);
    let tab = house.browsers.open(Screen::Desktop).await;
    tab.go(&serve_once(page(house.program.address()))).await;
    tab.until_found("return String(source.readyState)", "2").await;
    assert_eq!(tab.read::<usize>("return begun.length").await, 0);
}
