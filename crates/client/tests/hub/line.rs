//! A bad line between clients and a hub: it can be cut, and it breaks by itself wherever it is told to.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The line. What is connected through it ends with it.
pub(crate) struct Line {
    address: SocketAddr,
    is_up: watch::Sender<bool>,
    carrying: JoinHandle<()>,
}

/// How many bytes of the hub a connection carries until it breaks, and be it in the middle of a frame.
type BytesMax = Arc<dyn Fn() -> u64 + Send + Sync>;

impl Line {
    /// A line to a hub that holds.
    pub(crate) async fn to(hub: SocketAddr) -> Self {
        Self::that_breaks(hub, || u64::MAX).await
    }

    /// A line to a hub whose connections break after as many bytes as are drawn for each.
    pub(crate) async fn that_breaks(
        hub: SocketAddr,
        bytes_max: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_up, up) = watch::channel(true);
        let carrying = tokio::spawn(carry_all(listener, hub, up, Arc::new(bytes_max)));
        Self {
            address,
            is_up,
            carrying,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Breaks every connection, and lets none through until it is mended.
    pub(crate) fn cut(&self) {
        self.is_up.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_up.send_replace(true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        self.carrying.abort();
    }
}

async fn carry_all(listener: TcpListener, hub: SocketAddr, up: watch::Receiver<bool>, bytes_max: BytesMax) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if *up.borrow() {
            tokio::spawn(carry(near, hub, up.clone(), bytes_max()));
        }
    }
}

async fn carry(mut near: TcpStream, hub: SocketAddr, mut up: watch::Receiver<bool>, bytes_max: u64) {
    let Ok(mut far) = TcpStream::connect(hub).await else {
        return;
    };
    let (mut near_reader, mut near_writer) = near.split();
    let (far_reader, mut far_writer) = far.split();
    let mut bounded = far_reader.take(bytes_max);
    tokio::select! {
        _ = copy(&mut bounded, &mut near_writer) => {}
        _ = copy(&mut near_reader, &mut far_writer) => {}
        _ = up.wait_for(|is_up| !is_up) => {}
    }
}
