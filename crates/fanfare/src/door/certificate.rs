//! Whose certificate a client has shown.

/// The certificate of a client. Where [`Fanfare::serve`](crate::Fanfare::serve) speaks TLS and a client shows a
/// certificate that is accepted, it is in every request's extensions as `Arc<ClientCertificate>`, and hooks find it in
/// [`Entrant`](crate::Entrant). A host that ends TLS itself may put it there, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject in the order of the certificate, like `CN=anna,O=Example`: short names of RFC 4514 section 3, other
    /// attributes by their object identifier in hexadecimal digits, and every separator in a value escaped. Empty where
    /// it has none.
    pub subject: String,
    /// The certificate in DER, for a host that wants to know more of it.
    pub der: Vec<u8>,
}
