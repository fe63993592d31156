//! Files for a server with TLS, and clients that trust it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustls::pki_types::CertificateDer;

use crate::authority::{Authority, EITHER, Made, with_tls};
use crate::client::{Client, Response};
use crate::process::{API_KEY, Server, serve};

/// A directory with a certificate for `localhost`; it goes with the value.
pub(crate) struct Files {
    directory: PathBuf,
    pub(crate) authority: Authority,
}

impl Files {
    pub(crate) fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("fanfare-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let files = Self {
            directory,
            authority: Authority::new(),
        };
        files.put(&files.authority.sign("localhost"));
        files.write("ca.pem", &files.authority.pem);
        files
    }

    pub(crate) fn put(&self, made: &Made) {
        self.write("cert.pem", &made.chain);
        self.write("key.pem", &made.key);
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    pub(crate) fn serve(&self, arguments: &[&str]) -> Command {
        let mut command = serve(arguments);
        command
            .arg("--tls-cert")
            .arg(self.path("cert.pem"))
            .arg("--tls-key")
            .arg(self.path("key.pem"))
            .env("FANFARE_API_KEY", API_KEY);
        command
    }

    pub(crate) fn connect(&self, server: &Server) -> Client {
        let client = Client::connect(server.address);
        with_tls(client, self.authority.client(EITHER), "localhost")
    }

    pub(crate) fn get(&self, server: &Server, target: &str) -> Response {
        crate::process::get(&mut self.connect(server), target)
    }

    /// The certificate that a new client is given.
    pub(crate) fn certificate(&self, server: &Server) -> CertificateDer<'static> {
        let mut client = self.connect(server);
        crate::process::get(&mut client, "/health");
        client.tls.unwrap().peer_certificates().unwrap()[0].clone()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
