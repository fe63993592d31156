//! The fault proxy against a peer that is nothing but a socket: a fault that does not happen proves nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::client::DEADLINE;
use crate::proxy::{Fault, Proxy, Then, Way};

/// Both ends of one connection through a proxy.
struct Line {
    proxy: Proxy,
    client: TcpStream,
    server: TcpStream,
}

/// As long as it takes to be sure that nothing comes.
const A_WHILE: Duration = Duration::from_millis(150);

impl Line {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap());
        let client = TcpStream::connect(proxy.address).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        Self {
            proxy,
            client,
            server,
        }
    }
}

/// Exactly so many bytes.
fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether nothing comes for a while.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    let seen = stream.read(&mut [0]);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    seen.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn without_faults_it_is_not_there() {
    let mut line = Line::open();
    let bytes: Vec<u8> = (0..100_000).map(|number| number as u8).collect();
    line.client.write_all(&bytes).unwrap();
    assert_eq!(take(&mut line.server, bytes.len()), bytes);
    line.server.write_all(&bytes).unwrap();
    assert_eq!(take(&mut line.client, bytes.len()), bytes);
    drop(line.client);
    assert_eq!(line.server.read(&mut [0]).unwrap(), 0, "an end is passed on");
}

#[test]
fn half_an_end_is_half_an_end_on_the_other_side() {
    let mut line = Line::open();
    line.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(line.server.read(&mut [0]).unwrap(), 0);
    line.server.write_all(b"still").unwrap();
    assert_eq!(take(&mut line.client, 5), b"still");
}

#[test]
fn a_stall_is_one_way_at_its_byte_and_ends() {
    let mut line = Line::open();
    line.proxy.set(Way::Up, Fault::then(3, Then::Stall));
    line.client.write_all(b"abcdef").unwrap();
    assert_eq!(take(&mut line.server, 3), b"abc");
    assert!(is_silent(&mut line.server), "the fourth byte waits");
    line.server.write_all(b"back").unwrap();
    assert_eq!(take(&mut line.client, 4), b"back", "the other way is open");
    line.proxy.heal();
    assert_eq!(take(&mut line.server, 3), b"def", "nothing was lost");
    line.proxy.stall();
    line.client.write_all(b"x").unwrap();
    line.server.write_all(b"x").unwrap();
    assert!(is_silent(&mut line.server) && is_silent(&mut line.client));
}

#[test]
fn a_cut_closes_and_a_reset_resets_at_their_byte() {
    for (then, is_reset) in [(Then::Cut, false), (Then::Reset, true)] {
        let mut line = Line::open();
        line.proxy.set(Way::Up, Fault::then(3, then));
        line.client.write_all(b"abc").unwrap();
        assert_eq!(take(&mut line.server, 3), b"abc");
        let end = line.server.read(&mut [0]);
        let was_reset = end
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert_eq!(was_reset, is_reset, "{then:?}: {end:?}");
        assert!(is_reset || end.unwrap() == 0);
    }
}

#[test]
fn both_ends_see_a_cut_and_a_reset_by_hand() {
    let mut line = Line::open();
    line.proxy.cut();
    assert_eq!(line.client.read(&mut [0]).unwrap(), 0);
    assert_eq!(line.server.read(&mut [0]).unwrap(), 0);
    let mut line = Line::open();
    line.proxy.reset();
    for stream in [&mut line.client, &mut line.server] {
        assert_eq!(
            stream.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }
}

#[test]
fn segments_come_one_by_one() {
    let mut line = Line::open();
    let fault = Fault {
        segment_bytes: Some(2),
        delay: Duration::from_millis(20),
        ..Fault::default()
    };
    line.proxy.set(Way::Up, fault);
    line.client.write_all(b"abcdef").unwrap();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    while seen.concat().len() < 6 {
        let mut buffer = [0; 6];
        let count = line.server.read(&mut buffer).unwrap();
        seen.push(buffer[..count].to_vec());
    }
    assert!(seen.len() >= 2, "not in one piece: {seen:?}");
    assert!(seen.iter().all(|segment| segment.len() % 2 == 0), "{seen:?}");
    assert_eq!(seen.concat(), b"abcdef");
}

#[test]
fn a_delay_and_a_rate_take_their_time_one_way() {
    for fault in [
        Fault {
            delay: Duration::from_millis(200),
            ..Fault::default()
        },
        Fault {
            bytes_per_second: Some(5_000),
            ..Fault::default()
        },
    ] {
        let mut line = Line::open();
        line.proxy.set(Way::Down, fault);
        let began = Instant::now();
        line.server.write_all(&[1; 1_000]).unwrap();
        take(&mut line.client, 1_000);
        assert!(
            began.elapsed() >= Duration::from_millis(190),
            "{fault:?}: {:?}",
            began.elapsed()
        );
        line.client.write_all(&[1; 1_000]).unwrap();
        take(&mut line.server, 1_000);
    }
}
