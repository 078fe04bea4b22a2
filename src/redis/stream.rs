//! What carries bytes to a server and back: TCP, TLS over it, or a socket in the file system.

use std::io;

use ::redis::ConnectionAddr;
use ::redis::io::tcp::socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::target::Target;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Connects; with TLS after the server has shown who it is.
pub(super) async fn open(target: &Target) -> io::Result<Box<dyn Stream>> {
    match target.info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            let (socket, settings) = (SockRef::from(&stream), target.info.tcp_settings());
            socket.set_tcp_nodelay(settings.nodelay())?;
            if let Some(keepalive) = settings.keepalive() {
                socket.set_tcp_keepalive(keepalive)?;
            }
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(settings.user_timeout())?;
            match &target.tls {
                Some(tls) => Ok(Box::new(tls.over(stream, host).await?)),
                None => Ok(Box::new(stream)),
            }
        }
        ConnectionAddr::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "this kind of address is not supported")),
    }
}
