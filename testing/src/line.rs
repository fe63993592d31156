//! A bad line between clients and a program.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A line that can be cut, and that breaks by itself where it is told to. What is connected through it ends with it.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    carried: Arc<Carried>,
}

/// What is connected through a line; none while it is cut.
#[derive(Debug)]
struct Carried(Mutex<Option<Vec<TcpStream>>>);

impl Line {
    /// A line to a program that holds until it is cut.
    pub fn to(program: SocketAddr) -> Self {
        Self::that_breaks(program, || u64::MAX)
    }

    /// A line whose connections break after as many bytes of the program as are drawn for each, and be it in the middle
    /// of a frame.
    pub fn that_breaks(program: SocketAddr, mut bytes_max: impl FnMut() -> u64 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::new(Carried(Mutex::new(Some(Vec::new()))));
        let carrying = Arc::downgrade(&carried);
        thread::spawn(move || {
            while let (Ok((near, _)), Some(carried)) = (listener.accept(), carrying.upgrade()) {
                let _ = carried.carry(near, program, bytes_max());
            }
        });
        Self { address, carried }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address of a WebSocket.
    pub fn websocket_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Breaks every connection, and lets none through until it is mended.
    pub fn cut(&self) {
        for stream in self.carried.lock().take().unwrap_or_default() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        *self.carried.lock() = Some(Vec::new());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        // Somebody must knock for the door to be closed.
        let _ = TcpStream::connect(self.address);
    }
}

impl Carried {
    /// Carries both ways until one of them ends.
    fn carry(&self, near: TcpStream, program: SocketAddr, bytes_max: u64) -> io::Result<()> {
        let far = TcpStream::connect(program)?;
        let mut streams = self.lock();
        let Some(streams) = streams.as_mut() else {
            return Ok(());
        };
        streams.extend([near.try_clone()?, far.try_clone()?]);
        let (up, down) = (near.try_clone()?.take(u64::MAX), far.try_clone()?.take(bytes_max));
        thread::spawn(move || pass(up, far));
        thread::spawn(move || pass(down, near));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<TcpStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on what comes until it ends, and ends both then.
fn pass(mut from: io::Take<TcpStream>, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = from.get_ref().shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
