//! Certificates of the server, of clients, and their exchange while clients are connected.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use fanfare::{
    Admission, Application, Certificate, ClientCertificate, Denial, Entrant, Hooks, Identity, Options,
    TlsError, TlsOptions, UserName,
};
use rustls::pki_types::CertificateDer;
use serde_json::json;

use super::{Authority, EITHER, Made, Secured, rest, shake_hands, with_tls};
use crate::client::{Client, eventually};
use crate::server::options;

/// The certificate that a client is given that asks for a name.
fn certificate_for(secured: &Secured, name: &str) -> CertificateDer<'static> {
    let client = Client::connect(secured.server.address);
    let mut client = with_tls(client, secured.authority.client(EITHER), name);
    // Whether it is trusted for that name is the client's own matter.
    let _ = shake_hands(&mut client);
    let tls = client.tls.unwrap();
    tls.peer_certificates()
        .map_or_else(|| CertificateDer::from(Vec::new()), |chain| chain[0].clone())
}

fn der(made: &Made) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(made.chain.as_bytes()).unwrap()
}

#[test]
fn each_name_gets_its_own_certificate() {
    let secured = Secured::start();
    let made = ["a.example", "*.b.example", "c.example"].map(|name| secured.authority.sign(name));
    let options = TlsOptions::new(made.iter().map(Made::read).collect());
    secured.tls.replace(&options).unwrap();
    for (name, of) in [("a.example", 0), ("x.b.example", 1), ("c.example", 2)] {
        assert_eq!(certificate_for(&secured, name), der(&made[of]), "{name}");
    }
    let mut stranger = with_tls(
        Client::connect(secured.server.address),
        secured.authority.client(EITHER),
        "x.y.b.example",
    );
    let refused = shake_hands(&mut stranger).unwrap_err().to_string();
    assert!(
        refused.contains("a.example"),
        "any other name gets the first: {refused}"
    );
}

#[test]
fn a_new_certificate_is_for_new_connections_and_the_open_ones_stay() {
    let secured = Secured::start();
    let mut old = secured.open_json("/ws");
    old.subscribe(&["a"]);
    let renewed = secured.authority.sign_with("localhost", |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2097, 1, 1);
    });
    for round in 0..20 {
        // Some are in the middle of their handshake.
        let mut between = secured.connect();
        let tls = between.tls.as_mut().unwrap();
        tls.write_tls(&mut between.stream).unwrap();
        secured
            .tls
            .replace(&TlsOptions::new(vec![renewed.read()]))
            .unwrap();
        let mut new = between.upgraded("/ws");
        new.expect("welcome");
        new.send_json(json!({"type": "publish", "topic": "a", "data": round}));
        assert_eq!(old.expect("message")["data"], round);
        assert_eq!(certificate_for(&secured, "localhost"), der(&renewed));
    }
    let expiry = Duration::from_secs(4_007_836_800);
    assert_eq!(secured.tls.expires_at(), UNIX_EPOCH + expiry);
    assert_eq!(
        secured.metric("fanfare_certificate_expiry_seconds "),
        expiry.as_secs()
    );
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let authority = Authority::new();
    let (one, other) = (authority.sign("one"), authority.sign("other"));
    let expired = authority.sign_with("old", |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let read = |chain: &str, key: &str| Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(read(&one.chain, &other.key), TlsError::KeyMismatch));
    assert!(matches!(read(&expired.chain, &expired.key), TlsError::Expired(subject) if subject == "CN=old"));
    for chain in ["", "nonsense", &one.key, &one.chain[..200]] {
        assert!(
            matches!(read(chain, &one.key), TlsError::CertificateUnreadable),
            "{chain}"
        );
    }
    for key in ["", "nonsense", &one.chain, &one.key[..60]] {
        assert!(matches!(read(&one.chain, key), TlsError::KeyUnreadable), "{key}");
    }
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(read(garbled, &one.key), TlsError::CertificateUnreadable));
}

/// Who is there is whose certificate says so.
#[derive(Clone, Default)]
struct ByCertificate(Arc<Mutex<Vec<Option<Arc<ClientCertificate>>>>>);

impl Hooks for ByCertificate {
    async fn connect(&self, entrant: &Entrant, _: Option<Admission>) -> Result<Option<Admission>, Denial> {
        self.0.lock().unwrap().push(entrant.certificate.clone());
        let Some(certificate) = &entrant.certificate else {
            return Ok(None);
        };
        let user = certificate.subject.strip_prefix("CN=").unwrap();
        Ok(Some(Admission {
            identity: Arc::new(Identity::of_user(UserName::parse(user).unwrap())),
            ..Admission::default()
        }))
    }
}

#[test]
fn a_client_is_known_by_its_certificate() {
    let hooks = ByCertificate::default();
    let secured = Secured::with(
        Options {
            application: Some(Application::new(hooks.clone())),
            ..options()
        },
        |_| (),
    );
    let mut asking = TlsOptions::new(vec![secured.authority.sign("localhost").read()]);
    asking.client_authorities = vec![secured.authority.pem.clone().into_bytes()];
    secured.tls.replace(&asking).unwrap();

    let anna = secured.authority.sign("anna");
    let mut client = secured
        .connect_as(secured.authority.client_showing(&anna))
        .upgraded("/ws");
    assert_eq!(client.expect("welcome")["user"], "anna");
    secured.open("/ws").expect("welcome");
    let seen: Vec<_> = hooks.0.lock().unwrap().drain(..).collect();
    assert_eq!(seen[0].as_ref().unwrap().der, der(&anna).to_vec());
    assert!(seen[1].is_none(), "nobody has to show one");

    let forged = Authority::new().sign("anna");
    let expired = secured.authority.sign_with("anna", |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    for (count, made) in [(1, forged), (2, expired)] {
        let mut refused = secured.connect_as(secured.authority.client_showing(&made));
        // In TLS 1.3 the client is done before its certificate is looked at.
        let _ = shake_hands(&mut refused);
        rest(&mut refused);
        eventually("it is counted", || {
            secured.refusals("tls_client_certificate") == count
        });
    }

    asking.requires_client_certificate = true;
    secured.tls.replace(&asking).unwrap();
    let mut without = secured.connect();
    let _ = shake_hands(&mut without);
    rest(&mut without);
    eventually("it is counted", || {
        secured.refusals("tls_client_certificate") == 3
    });
    let mut client = secured
        .connect_as(secured.authority.client_showing(&anna))
        .upgraded("/ws");
    assert_eq!(client.expect("welcome")["user"], "anna");
    assert_eq!(hooks.0.lock().unwrap().len(), 1, "the others did not come so far");
}
