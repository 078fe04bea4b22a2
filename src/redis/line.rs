//! One connection of the hot path. A call has it to itself: commands out in one piece, replies in, no task between
//! the caller and the socket, and no allocation for a reply.

use std::io;
use std::time::Instant;

use ::redis::io::tcp::{TcpSettings, socket2::SockRef};
use ::redis::{ConnectionAddr, ConnectionInfo, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::clock::ServerClock;
use super::fault::{Remedy, fault_of, remedy_of};
use super::resp::{Commands, Replies, Reply};
use crate::store::StoreFault;

/// What one read may bring at least.
const ROOM: usize = 32 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

pub(super) struct Line {
    stream: Box<dyn Stream>,
    /// What is to be sent.
    pub(super) commands: Commands,
    pub(super) replies: Replies,
    pub(super) clock: ServerClock,
    /// When the first of the replies arrived.
    pub(super) first_reply: Instant,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Line {
    /// Connects and says who we are. The server's clock is asked at once, so that it is known from the beginning.
    pub(super) async fn connect(info: &ConnectionInfo, address: &str) -> Result<Self, StoreFault> {
        let unreachable = |error: io::Error| {
            StoreFault::unavailable(format!("Redis at {address} cannot be reached: {error}"))
        };
        let stream = open(info.addr(), info.tcp_settings()).await.map_err(unreachable)?;
        let now = Instant::now();
        let mut line = Self {
            stream,
            commands: Commands::default(),
            replies: Replies::default(),
            clock: ServerClock::new(0, now, now),
            first_reply: now,
        };
        introduce(info.redis_settings(), &mut line.commands);
        line.commands.command(&[b"TIME"]);
        let sent = Instant::now();
        line.exchange().await.map_err(unreachable)?;
        if let Some(error) = line.replies.errors().next() {
            return Err(fault_of(address, error));
        }
        let time = line.replies.all().last().and_then(time);
        let said = time.ok_or_else(|| unreachable(malformed()))?;
        line.clock = ServerClock::new(said, sent, line.first_reply);
        Ok(line)
    }

    /// Sends the commands and waits for all replies. After an error, or when this was given up half-way, the
    /// connection is of no more use: nobody knows whose replies come next.
    pub(super) async fn exchange(&mut self) -> io::Result<()> {
        self.replies.clear();
        self.stream.write_all(self.commands.bytes()).await?;
        self.stream.flush().await?;
        let mut first = true;
        loop {
            let buffer = self.replies.buffer();
            buffer.reserve(ROOM);
            if self.stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if std::mem::take(&mut first) {
                self.first_reply = Instant::now();
            }
            if self.replies.take_in(self.commands.count()).map_err(|_| malformed())? {
                return Ok(());
            }
        }
    }

    /// Whether the server said that it cannot serve, so that this connection leads to the wrong one.
    pub(super) fn is_misled(&self) -> Option<&[u8]> {
        self.replies.errors().find(|error| remedy_of(error) == Remedy::Reconnect)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what it says is no reply")
}

async fn open(address: &ConnectionAddr, settings: &TcpSettings) -> io::Result<Box<dyn Stream>> {
    match address {
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            let socket = SockRef::from(&stream);
            socket.set_tcp_nodelay(settings.nodelay())?;
            if let Some(keepalive) = settings.keepalive() {
                socket.set_tcp_keepalive(keepalive)?;
            }
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(settings.user_timeout())?;
            Ok(Box::new(stream))
        }
        ConnectionAddr::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "this kind of address is not supported")),
    }
}

fn introduce(settings: &RedisConnectionInfo, commands: &mut Commands) {
    match (settings.username(), settings.password()) {
        (Some(user), Some(password)) => commands.command(&[b"AUTH", user.as_bytes(), password.as_bytes()]),
        (None, Some(password)) => commands.command(&[b"AUTH", password.as_bytes()]),
        (_, None) => {}
    }
    if settings.db() != 0 {
        commands.command(&[b"SELECT", settings.db().to_string().as_bytes()]);
    }
}

/// What `TIME` answers, in microseconds since 1970.
pub(super) fn time(reply: Reply<'_>) -> Option<u64> {
    let Reply::Array(elements) = reply else { return None };
    let mut numbers = elements.map(|element| match element {
        Reply::Text(digits) => std::str::from_utf8(digits).ok()?.parse::<u64>().ok(),
        _ => None,
    });
    let (seconds, micros) = (numbers.next()??, numbers.next()??);
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}
