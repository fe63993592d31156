//! TLS of the host's own, which the hub knows nothing of.

use std::sync::Arc;

use fanfare::Payload;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::{Authority, EITHER, Made, with_tls};
use crate::client::{Client, eventually};
use crate::hosts::{bridges, play, speak};
use crate::server::{Server, options};

fn config_of(made: &Made) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(made.chain.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(EITHER)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap()
}

#[test]
fn tls_of_the_host_goes_over_a_bridge() {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(config_of(&authority.sign("localhost"))));
    let server = Server::hosted(options(), |fanfare, listener| async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), fanfare.websocket_service());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    speak(stream, service).await;
                }
            });
        }
    });
    let connect = || {
        let config = authority.client(EITHER);
        with_tls(Client::connect(server.address), config, "localhost").upgraded("/ws")
    };
    play(&server, &mut connect(), 1);
    let mut reader = connect();
    reader.expect("welcome");
    reader.subscribe(&["a"]);
    let payload = "x".repeat(100_000);
    for offset in 1..=20 {
        let published = server.fanfare.publish("a", Payload::text(&*payload));
        server.runtime.block_on(published).unwrap();
        let message = reader.expect("message");
        assert_eq!(
            (&message["offset"], &message["data"]),
            (&json!(offset), &json!(payload))
        );
    }
    // Without a word of TLS.
    reader.reset();
    server.assert_empty();
    eventually("no bridge is left", || bridges(&server) == 0);
}
