//! The connection under a WebSocket: TCP, with TLS where the URL asks for it.

use std::fmt;
#[cfg(not(feature = "tls"))]
use std::future::{Ready, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connect_options::ConnectOptions;
use crate::endpoint::Endpoint;
use crate::error::Error;

/// What bytes go over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug> Stream for T {}

/// Connects.
pub(crate) async fn connect(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Box<dyn Stream>, Error> {
    let socket = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    socket.set_nodelay(true)?;
    if endpoint.is_secure {
        return secure(socket, endpoint, options).await;
    }
    Ok(Box::new(socket))
}

#[cfg(feature = "tls")]
async fn secure(
    socket: TcpStream,
    endpoint: &Endpoint,
    options: &ConnectOptions,
) -> Result<Box<dyn Stream>, Error> {
    let config = crate::tls::config(&options.authorities)?;
    let name = rustls::pki_types::ServerName::try_from(endpoint.host.clone());
    let name = name.map_err(|error| Error::Tls(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(config);
    Ok(Box::new(connector.connect(name, socket).await?))
}

/// Never asked for: such URLs are refused.
#[cfg(not(feature = "tls"))]
fn secure(_: TcpStream, _: &Endpoint, _: &ConnectOptions) -> Ready<Result<Box<dyn Stream>, Error>> {
    ready(Err(Error::Io(std::io::ErrorKind::Unsupported.into())))
}
