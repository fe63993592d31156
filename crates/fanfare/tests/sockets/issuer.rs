//! An HTTP server that publishes keys, and what can be wrong with one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare::tokens::{Algorithm, NewKey};
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A server on a port of the system's choice; it ends with the value.
pub(crate) struct KeyServer {
    pub(crate) url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    body: Mutex<String>,
    location: Mutex<Option<String>>,
    delay_ms: AtomicU64,
    fetches: AtomicU64,
    is_over: AtomicBool,
}

impl KeyServer {
    pub(crate) fn start(body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            body: Mutex::new(body),
            ..Shared::default()
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.answer(stream));
            }
        });
        Self {
            url: format!("http://{address}/keys"),
            address,
            shared,
        }
    }

    /// From now on this is what is fetched.
    pub(crate) fn set(&self, body: String) {
        *self.shared.body.lock().unwrap() = body;
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.shared
            .delay_ms
            .store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// From now on whoever comes is sent elsewhere.
    pub(crate) fn redirect_to(&self, location: &str) {
        *self.shared.location.lock().unwrap() = Some(location.to_owned());
    }

    pub(crate) fn fetches(&self) -> u64 {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    /// Nobody listens there any more.
    pub(crate) fn stop(&self) {
        if !self.shared.is_over.swap(true, Ordering::SeqCst) {
            // To have it look.
            drop(TcpStream::connect(self.address));
        }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut chunk = [0; 1_024];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(count @ 1..) => request.extend_from_slice(&chunk[..count]),
                _ => return,
            }
        }
        self.fetches.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst)));
        let head = match &*self.location.lock().unwrap() {
            Some(location) => format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n"),
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        let body = self.body.lock().unwrap().clone();
        let head = format!(
            "{head}Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // Who asked may have given up.
        let _ = stream.write_all((head + &body).as_bytes());
    }
}

/// A new key for ES256: the private one as PEM, and the public one as an issuer publishes it.
pub(crate) fn jwk(id: &str) -> (String, Value) {
    let key = NewKey::generate(Algorithm::Es256).unwrap();
    let base64: String = key
        .public()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = STANDARD.decode(base64).unwrap();
    // The point ends the structure (RFC 5480): 0x04, x, y.
    let (x, y) = der[der.len() - 64..].split_at(32);
    let part = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let public = json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": part(x), "y": part(y)});
    (key.private().to_owned(), public)
}
