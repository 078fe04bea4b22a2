//! One connection of the hot path. A call has it to itself: commands out in one piece, replies in, no task between
//! the caller and the socket, and no allocation for a reply.

use std::io;
use std::time::Instant;

use ::redis::RedisConnectionInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::clock::ServerClock;
use super::fault::{Remedy, fault_of, remedy_of, unreachable};
use super::place::is_primary;
use super::resp::{Commands, Replies, Reply};
use super::stream::{Stream, open};
use super::target::Target;
use crate::store::StoreFault;

/// What one read may bring at least.
const ROOM: usize = 32 * 1024;

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
    /// Connects and says who we are. The server's clock is asked at once, so that it is known from the beginning; and
    /// whether it is the primary, where it has to be.
    pub(super) async fn connect(target: &Target, asks_for_role: bool) -> Result<Self, StoreFault> {
        let mut line = Self::open(target).await?;
        line.commands.clear();
        line.commands.command(&[b"TIME"]);
        if asks_for_role {
            line.commands.command(&[b"ROLE"]);
        }
        let sent = Instant::now();
        line.send(target).await?;
        if let Some(error) = line.replies.errors().next() {
            return Err(fault_of(&target.address, error));
        }
        let mut replies = line.replies.all();
        let (said, role) = (replies.next().and_then(time), replies.next().and_then(role));
        drop(replies);
        if asks_for_role {
            is_primary(role.as_deref(), &target.address)?;
        }
        let said = said.ok_or_else(|| unreachable(&target.address, &malformed()))?;
        line.clock = ServerClock::new(said, sent, line.first_reply);
        Ok(line)
    }

    /// Connects and says who we are, to any server that speaks the protocol.
    pub(super) async fn open(target: &Target) -> Result<Self, StoreFault> {
        let stream = open(target).await.map_err(|error| unreachable(&target.address, &error))?;
        let now = Instant::now();
        let mut line = Self {
            stream,
            commands: Commands::default(),
            replies: Replies::default(),
            clock: ServerClock::new(0, now, now),
            first_reply: now,
        };
        introduce(target.info.redis_settings(), &mut line.commands);
        if line.commands.count() > 0 {
            line.send(target).await?;
            if let Some(error) = line.replies.errors().next() {
                return Err(fault_of(&target.address, error));
            }
        }
        Ok(line)
    }

    /// Sends one command and waits for its reply.
    pub(super) async fn say(&mut self, words: &[&[u8]], target: &Target) -> Result<(), StoreFault> {
        self.commands.clear();
        self.commands.command(words);
        self.send(target).await
    }

    /// [`exchange`](Self::exchange), with a fault that names the server.
    pub(super) async fn send(&mut self, target: &Target) -> Result<(), StoreFault> {
        self.exchange().await.map_err(|error| unreachable(&target.address, &error))
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

/// The first that `ROLE` answers.
fn role(reply: Reply<'_>) -> Option<String> {
    let Reply::Array(mut elements) = reply else { return None };
    match elements.next()? {
        Reply::Text(role) => Some(String::from_utf8_lossy(role).into_owned()),
        _ => None,
    }
}
