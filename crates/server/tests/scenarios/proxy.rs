//! A TCP proxy that does what networks do: it delays, slows down, stalls, splits, cuts and resets, each way on its own
//! and at the byte it was told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

/// A proxy in front of one server. Its faults hold for all connections through it, those that are open included.
pub(crate) struct Proxy {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// One of the two directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What happens at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing is forwarded any more, and both sockets stay open.
    Stall,
    /// Both sockets are closed.
    Cut,
    /// Both sockets are reset.
    Reset,
}

/// What the network does to one direction. The default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// Time between reading bytes and forwarding them.
    pub(crate) delay: Duration,
    /// The most bytes forwarded in a second.
    pub(crate) bytes_per_second: Option<usize>,
    /// The most bytes in a segment.
    pub(crate) segment_bytes: Option<usize>,
    /// What happens when so many bytes of a connection were forwarded; at 0 it happens at once.
    pub(crate) after: Option<(usize, Then)>,
}

struct Shared {
    faults: [Mutex<Fault>; 2],
    links: Mutex<Vec<Weak<Link>>>,
    is_over: AtomicBool,
}

/// One connection through the proxy.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// 0 while it lives, or how it ends.
    ending: AtomicU8,
}

const CUT: u8 = 1;
const RESET: u8 = 2;

/// Time between two looks at what changed.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What the proxy takes in while it forwards nothing: a stall shall be felt soon.
const BUFFER_BYTES: usize = 8 << 10;

impl Proxy {
    /// A proxy to a server, without faults.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            faults: Default::default(),
            links: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(&listener, server))
        };
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Sets what happens one way from now on.
    pub(crate) fn set(&self, way: Way, fault: Fault) {
        *self.shared.faults[way as usize].lock().unwrap() = fault;
    }

    /// Forwards nothing more, either way, and keeps all sockets open: what a power cut looks like from the other end.
    pub(crate) fn stall(&self) {
        for way in [Way::Up, Way::Down] {
            self.set(way, Fault::then(0, Then::Stall));
        }
    }

    /// Goes on as if nothing had happened.
    pub(crate) fn heal(&self) {
        for way in [Way::Up, Way::Down] {
            self.set(way, Fault::default());
        }
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.shared.end_links(CUT);
    }

    /// Resets all connections.
    pub(crate) fn reset(&self) {
        self.shared.end_links(RESET);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.cut();
        // The acceptor looks up when somebody comes.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Fault {
    /// Something happens when so many bytes of a connection were forwarded.
    pub(crate) fn then(bytes: usize, then: Then) -> Self {
        Self {
            after: Some((bytes, then)),
            ..Self::default()
        }
    }

    /// The most bytes to forward next, when so many were forwarded already.
    fn room(&self, forwarded: usize) -> usize {
        let until_then = self
            .after
            .map_or(BUFFER_BYTES, |(bytes, _)| bytes.saturating_sub(forwarded));
        // A share of a second at a time, so that a slow line is slow all the time and not in bursts.
        let share = self
            .bytes_per_second
            .map_or(BUFFER_BYTES, |bytes| (bytes / 50).max(1));
        let segment = self.segment_bytes.unwrap_or(BUFFER_BYTES);
        until_then.min(share).min(segment).min(BUFFER_BYTES)
    }

    /// How long so many bytes take.
    fn time_for(&self, bytes: usize) -> Duration {
        let on_the_line = self.bytes_per_second.map_or(Duration::ZERO, |per_second| {
            Duration::from_secs(1) * bytes as u32 / per_second as u32
        });
        self.delay + on_the_line
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener, server: SocketAddr) {
        let mut pumps = Vec::new();
        for client in listener.incoming() {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            // Whoever sees the connection at the other end finds it among the links.
            let mut links = self.links.lock().unwrap();
            // The server may refuse; then the client finds its connection closed.
            let Ok(server) = TcpStream::connect(server) else {
                continue;
            };
            let link = Arc::new(Link::new(client.unwrap(), server));
            links.push(Arc::downgrade(&link));
            drop(links);
            for way in [Way::Up, Way::Down] {
                let (shared, link) = (Arc::clone(self), Arc::clone(&link));
                pumps.push(thread::spawn(move || {
                    link.pump(way, &shared.faults[way as usize]);
                }));
            }
        }
        self.end_links(CUT);
        for pump in pumps {
            let _ = pump.join();
        }
    }

    fn end_links(&self, ending: u8) {
        let links = std::mem::take(&mut *self.links.lock().unwrap());
        for link in links.iter().filter_map(Weak::upgrade) {
            link.end(ending);
        }
    }
}

impl Link {
    fn new(client: TcpStream, server: TcpStream) -> Self {
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            SockRef::from(stream).set_recv_buffer_size(BUFFER_BYTES).unwrap();
        }
        Self {
            client,
            server,
            ending: AtomicU8::new(0),
        }
    }

    /// Ends it; its sockets close with the last pump.
    fn end(&self, ending: u8) {
        if ending == RESET {
            for stream in [&self.client, &self.server] {
                // It fails where the other end has gone already, which is just as well.
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
        }
        self.ending.store(ending, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.ending.load(Ordering::Relaxed) != 0
    }

    /// Forwards one way until that way or the link ends.
    fn pump(&self, way: Way, fault: &Mutex<Fault>) {
        let (mut from, to) = match way {
            Way::Up => (&self.client, &self.server),
            Way::Down => (&self.server, &self.client),
        };
        let mut buffer = [0; BUFFER_BYTES];
        let mut forwarded = 0;
        while !self.is_over() {
            // It is locked while bytes are taken, so that a fault holds for the next byte once it is set.
            let locked = fault.lock().unwrap();
            let fault = *locked;
            let room = fault.room(forwarded);
            let taken = (room > 0).then(|| from.read(&mut buffer[..room]));
            drop(locked);
            match taken {
                None => self.happen(fault),
                Some(Ok(0)) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Some(Ok(count)) => {
                    thread::sleep(fault.time_for(count));
                    self.forward(to, &buffer[..count]);
                    forwarded += count;
                }
                Some(Err(error)) if is_for_later(&error) => thread::sleep(LOOK_AGAIN),
                Some(Err(_)) => self.end(RESET),
            }
        }
    }

    /// The byte is reached at which something happens.
    fn happen(&self, fault: Fault) {
        match fault.after {
            Some((_, Then::Cut)) => self.end(CUT),
            Some((_, Then::Reset)) => self.end(RESET),
            Some((_, Then::Stall)) | None => thread::sleep(LOOK_AGAIN),
        }
    }

    fn forward(&self, mut to: &TcpStream, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_over() {
            match to.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_for_later(&error) => thread::sleep(LOOK_AGAIN),
                Err(_) => self.end(RESET),
            }
        }
    }
}

fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
