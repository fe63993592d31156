//! Whose certificate a client has shown.

/// The certificate of a client. Where [`Fanfare::serve`](crate::Fanfare::serve) speaks TLS and a client shows a
/// certificate that is accepted, it is in every request's extensions as `Arc<ClientCertificate>`, and hooks find it in
/// [`Entrant`](crate::Entrant). A host that ends TLS itself may put it there, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject as RFC 4514 writes it, the last of the certificate's attributes first, like `CN=anna,O=Example`: what
    /// separates attributes is escaped in their values, so that none can pass for another. Empty where it has none.
    pub subject: String,
    /// The certificate in DER, for a host that wants to know more of it.
    pub der: Vec<u8>,
}
