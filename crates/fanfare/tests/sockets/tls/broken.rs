//! What TLS says about itself on an open connection: new keys, negotiation anew, and parts of messages, which no decent
//! client sends. Those records are sealed here, with the keys of a handshake that was done decently.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use fanfare::Payload;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS13_AES_256_GCM_SHA384,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::{ClientConfig, ConnectionTrafficSecrets, ProtocolVersion};

use super::Secured;
use crate::client::{Client, PING, eventually, masked};

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A ClientHello of TLS 1.2, which asks to negotiate anew.
const CLIENT_HELLO: [u8; 45] = {
    let mut hello = [0; 45];
    (hello[0], hello[3], hello[4], hello[5]) = (1, 41, 3, 3);
    // Behind 32 random bytes: no session, one suite, no compression.
    (hello[40], hello[41], hello[42], hello[43]) = (2, 0xC0, 0x2C, 1);
    hello
};

/// The sending half of a client that seals whatever it is told to.
struct Sealer {
    stream: TcpStream,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    version: ProtocolVersion,
}

impl Sealer {
    /// A client of the raw dialect that receives the topic `a`.
    fn connect(secured: &Secured, version: ProtocolVersion) -> Self {
        let suites = vec![TLS13_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384];
        let provider = CryptoProvider {
            cipher_suites: suites
                .into_iter()
                .filter(|suite| suite.version().version == version)
                .collect(),
            ..provider::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(secured.authority.trusted())
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        let Client { stream, tls, .. } = secured.connect_as(config).upgraded("/ws?dialect=raw&topic=a");
        eventually("it is subscribed", || {
            secured.server.fanfare.subscribers("a") == 1
        });
        let secrets = tls.unwrap().dangerous_extract_secrets().unwrap();
        let (sequence, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else {
            panic!("another suite was agreed on");
        };
        Self {
            stream,
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap()),
            iv: iv.as_ref().try_into().unwrap(),
            sequence,
            version,
        }
    }

    /// Sends one record; false when the server is gone.
    fn send(&mut self, kind: u8, content: &[u8]) -> bool {
        let sequence = self.sequence.to_be_bytes();
        let mut nonce = self.iv;
        let (mut head, mut sealed) = (vec![kind, 3, 3], content.to_vec());
        let associated = if self.version == ProtocolVersion::TLSv1_3 {
            nonce[4..]
                .iter_mut()
                .zip(sequence)
                .for_each(|(byte, other)| *byte ^= other);
            sealed.push(kind);
            head[0] = APPLICATION_DATA;
            head.extend((sealed.len() as u16 + 16).to_be_bytes());
            head.clone()
        } else {
            nonce[4..].copy_from_slice(&sequence);
            let associated = [&sequence[..], &head, &(content.len() as u16).to_be_bytes()].concat();
            head.extend((content.len() as u16 + 24).to_be_bytes());
            head.extend(sequence);
            associated
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(associated), &mut sealed)
            .unwrap();
        self.sequence += 1;
        self.stream.write_all(&[head, sealed].concat()).is_ok()
    }

    /// How many bytes come before the end, or in a moment.
    fn received(&mut self) -> usize {
        let moment = std::time::Duration::from_millis(300);
        self.stream.set_read_timeout(Some(moment)).unwrap();
        let mut bytes = [0; 1 << 13];
        std::io::Read::read(&mut self.stream, &mut bytes).unwrap_or(0)
    }
}

fn publish(secured: &Secured) {
    let publish = secured.server.fanfare.publish("a", Payload::text("hello"));
    secured.server.runtime.block_on(publish).unwrap();
}

#[test]
fn new_keys_of_the_client_are_used() {
    let secured = Secured::start();
    let mut client = secured.open_json("/ws");
    client.subscribe(&["a"]);
    for n in 0..5 {
        client.tls.as_mut().unwrap().refresh_traffic_keys().unwrap();
        client.send_json(serde_json::json!({"type": "publish", "topic": "a", "data": n}));
        assert_eq!(client.expect("message")["data"], n);
    }
}

/// rustls keeps places in bytes that it was shown and did not want to have discarded: whoever writes must show them again.
#[test]
fn a_message_of_tls_in_pieces_does_not_disturb_what_is_written() {
    for (version, message) in [
        (ProtocolVersion::TLSv1_3, &[24, 0, 0, 1, 0][..]),
        (ProtocolVersion::TLSv1_2, &CLIENT_HELLO),
    ] {
        let secured = Secured::start();
        let mut sealer = Sealer::connect(&secured, version);
        assert!(sealer.send(HANDSHAKE, &message[..2]));
        assert!(sealer.send(HANDSHAKE, &message[2..4]));
        eventually("the pieces are held", || {
            secured.metric("fanfare_receiving_bytes ") > 0
        });
        publish(&secured);
        assert!(sealer.received() > 0, "what is published goes out meanwhile");
        assert!(sealer.send(HANDSHAKE, &message[4..]));
        eventually("nothing is held", || {
            secured.metric("fanfare_receiving_bytes ") == 0
        });
        publish(&secured);
        assert!(sealer.received() > 0);
        drop(sealer);
        secured.server.assert_empty();
        assert_eq!(secured.metric("fanfare_tls_errors_total "), 0);
        assert_eq!(secured.server.fanfare.stats().panics, []);
    }
}

#[test]
fn what_breaks_tls_ends_that_connection_and_no_other() {
    type Breaking = fn(&mut Sealer);
    let breakings: [(ProtocolVersion, Breaking); 5] = [
        // Data between the pieces of a message.
        (ProtocolVersion::TLSv1_3, |sealer| {
            sealer.send(HANDSHAKE, &[24, 0]);
            sealer.send(APPLICATION_DATA, &masked(PING, b""));
        }),
        // A message that says it is longer than all that is held for it.
        (ProtocolVersion::TLSv1_3, |sealer| {
            while sealer.send(HANDSHAKE, &[24, 0, 0xFF, 0xFF].repeat(2_000)) {}
        }),
        // Records with nothing in them, without end.
        (ProtocolVersion::TLSv1_3, |sealer| {
            while sealer.send(APPLICATION_DATA, &[]) {}
        }),
        // New keys, over and over, in one breath.
        (ProtocolVersion::TLSv1_3, |sealer| {
            sealer.send(HANDSHAKE, &[24, 0, 0, 1, 0].repeat(1_000));
        }),
        // To negotiate anew, again and again.
        (ProtocolVersion::TLSv1_2, |sealer| {
            while sealer.send(HANDSHAKE, &CLIENT_HELLO) {}
        }),
    ];
    for (at, (version, breaking)) in breakings.into_iter().enumerate() {
        let secured = Secured::start();
        let mut other = secured.open_json("/ws");
        breaking(&mut Sealer::connect(&secured, version));
        eventually(&format!("breaking {at} is counted"), || {
            secured.metric("fanfare_tls_errors_total ") == 1
        });
        eventually("it is gone", || secured.server.fanfare.connection_count() == 1);
        assert_eq!(secured.server.fanfare.stats().panics, []);
        assert_eq!(other.close(1000), 1000);
        secured.server.assert_empty();
    }
}
