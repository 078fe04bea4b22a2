//! One connection to the server that is made when it is needed, and made anew when it is of no more use.
//!
//! The crate's own connection manager is not used: it keeps a connection on which every command times out, stays with
//! a primary that was demoted, and never repeats a command. Every call of the store may be repeated, so here it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    Value,
};

use super::fault::{Remedy, fault, remedy};
use crate::store::StoreFault;

/// The server's half of the store, for `FUNCTION LOAD`.
pub const FUNCTIONS: &str = concat!(
    "#!lua name=oncewise_v1\n-- revision 1\n",
    include_str!("compact/pages.lua"),
    include_str!("functions.lua"),
    include_str!("ends.lua")
);

const LIBRARY: &str = "oncewise_v1";
const REVISION: &str = "-- revision ";
/// A connection on which so many calls in a row found no answer is given up, unless it is told another number.
pub(super) const TIMEOUTS_IN_A_ROW: u32 = 3;
/// An idle connection is probed after this long, so that a half-open one is found before the next call needs it.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Connecting takes several round trips, so it gets at least this long.
const SHORTEST_CONNECT: Duration = Duration::from_secs(1);

/// Where a server is, and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) info: ConnectionInfo,
    /// Host and port, without user and password.
    pub(super) address: String,
    pub(super) response_timeout: Duration,
    pub(super) connect_timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    address: String,
    config: AsyncConnectionConfig,
    connect_timeout: Duration,
    /// After so many calls in a row without an answer it is given up.
    patience: u32,
    live: Mutex<Live>,
    /// Held while connecting: callers who come meanwhile share the outcome instead of queueing for time-outs.
    connecting: tokio::sync::Mutex<Option<StoreFault>>,
    attempts: AtomicU64,
}

#[derive(Default)]
struct Live {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that a late error of an old one does not end the new one.
    generation: u64,
    timeouts: u32,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("generation", &self.generation)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

impl Target {
    /// # Errors
    /// Refused when the URL cannot be used; its text is not repeated, for it may hold a password.
    pub(super) fn of(url: &str, response_timeout: Duration) -> Result<Self, StoreFault> {
        let info = url.into_connection_info().map_err(invalid)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(response_timeout.saturating_mul(TIMEOUTS_IN_A_ROW));
        let settings =
            info.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let address = info.addr().to_string();
        let info = info.set_tcp_settings(tcp).set_redis_settings(settings);
        Ok(Self { info, address, response_timeout, connect_timeout: response_timeout.max(SHORTEST_CONNECT) })
    }
}

fn invalid(error: RedisError) -> StoreFault {
    let allowed = "allowed is redis://[user:password@]host[:port][/database]";
    StoreFault::refused(format!("redis.url cannot be used ({}); {allowed}", error.category()))
}

impl Connection {
    /// Prepares a connection and makes none. After `patience` calls in a row without an answer it is given up.
    ///
    /// # Errors
    /// Refused when there cannot be such a server.
    pub(super) fn new(target: &Target, patience: u32) -> Result<Self, StoreFault> {
        let Target { info, address, response_timeout, connect_timeout } = target.clone();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(response_timeout))
            .set_connection_timeout(Some(connect_timeout));
        Ok(Self {
            client: Client::open(info).map_err(invalid)?,
            address,
            config,
            connect_timeout,
            patience,
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            attempts: AtomicU64::new(0),
        })
    }

    /// Host and port, without user and password.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns at once when there is a connection; otherwise when there is one, to a server that has the functions.
    pub(super) async fn ready(&self) -> Result<(), StoreFault> {
        if self.lock().connection.is_some() {
            return Ok(());
        }
        self.connection().await.map(drop)
    }

    /// Sends the commands in one round trip, and once more where a new connection or the functions were missing.
    pub(super) async fn query<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreFault> {
        let mut repeated = false;
        loop {
            let (generation, mut connection) = self.connection().await?;
            let error = match commands.query_async(&mut connection).await {
                Ok(reply) => {
                    self.lock().timeouts = 0;
                    return Ok(reply);
                }
                Err(error) => error,
            };
            let remedy = remedy(&error);
            self.heed(remedy, generation);
            let worth_it = matches!(remedy, Remedy::Reconnect | Remedy::LoadFunctions);
            if repeated || !worth_it {
                return Err(fault(&self.address, &error));
            }
            if remedy == Remedy::LoadFunctions {
                self.load_missing(&mut connection).await?;
            }
            repeated = true;
        }
    }

    /// Loads the functions, replacing what is there under their name, unless it is newer.
    pub(super) async fn load_functions(&self) -> Result<(), StoreFault> {
        let (_, mut connection) = self.connection().await?;
        self.load_missing(&mut connection).await
    }

    async fn load_missing(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreFault> {
        let there = self.loaded(connection).await.ok().flatten();
        if is_current(there.as_deref()) { Ok(()) } else { self.load(connection).await }
    }

    fn heed(&self, remedy: Remedy, generation: u64) {
        let mut live = self.lock();
        if live.generation != generation {
            return;
        }
        live.timeouts = if remedy == Remedy::CountTimeout { live.timeouts + 1 } else { 0 };
        if remedy == Remedy::Reconnect || live.timeouts >= self.patience {
            tracing::warn!(address = self.address, ?remedy, "giving up a connection to Redis");
            live.connection = None;
            live.timeouts = 0;
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StoreFault> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let seen = self.attempts.load(Ordering::Acquire);
        let mut last = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        if let Some(fault) = last.as_ref()
            && self.attempts.load(Ordering::Acquire) != seen
        {
            return Err(fault.clone());
        }
        let made = tokio::time::timeout(self.connect_timeout, self.connect()).await;
        let made = made.unwrap_or_else(|_| {
            Err(StoreFault::unavailable(format!("Redis at {} did not answer in time", self.address)))
        });
        self.attempts.fetch_add(1, Ordering::AcqRel);
        *last = made.as_ref().err().cloned();
        let connection = made?;
        let mut live = self.lock();
        *live = Live { connection: Some(connection.clone()), generation: live.generation + 1, timeouts: 0 };
        Ok((live.generation, connection))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, StoreFault> {
        let made = self.client.get_multiplexed_async_connection_with_config(&self.config).await;
        let mut connection = made.map_err(|error| fault(&self.address, &error))?;
        match self.loaded(&mut connection).await {
            Ok(code) if is_current(code.as_deref()) => {}
            Ok(_) => self.load(&mut connection).await?,
            // Who may not look may still call, when another user has loaded them.
            Err(error) if error.kind() == ::redis::ServerErrorKind::NoPerm.into() => {
                let mut probe = ::redis::cmd("FCALL");
                probe.arg("oncewise_v1_inspect").arg(0);
                probe.exec_async(&mut connection).await.map_err(|error| fault(&self.address, &error))?;
            }
            Err(error) => return Err(fault(&self.address, &error)),
        }
        Ok(connection)
    }

    /// The code of the library as the server has it.
    async fn loaded(&self, connection: &mut MultiplexedConnection) -> Result<Option<String>, RedisError> {
        let mut list = ::redis::cmd("FUNCTION");
        list.arg("LIST").arg("LIBRARYNAME").arg(LIBRARY).arg("WITHCODE");
        let mut libraries: Vec<HashMap<String, Value>> = list.query_async(connection).await?;
        let code = libraries.pop().and_then(|mut library| library.remove("library_code"));
        Ok(code.map(::redis::from_redis_value).transpose()?)
    }

    async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreFault> {
        let mut load = ::redis::cmd("FUNCTION");
        load.arg("LOAD").arg("REPLACE").arg(FUNCTIONS);
        load.exec_async(connection).await.map_err(|error| fault(&self.address, &error))
    }

    fn live(&self) -> Option<(u64, MultiplexedConnection)> {
        let live = self.lock();
        live.connection.clone().map(|connection| (live.generation, connection))
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        // Whoever held it has assigned whole values only.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this code of the library, as a server has it, is ours or newer: a worker of an older version, or one that
/// only looks, must not take away what newer ones rely on.
fn is_current(code: Option<&str>) -> bool {
    code.is_some_and(|code| code == FUNCTIONS || revision(code) > revision(FUNCTIONS))
}

fn revision(code: &str) -> u64 {
    let line = code.lines().find_map(|line| line.strip_prefix(REVISION));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_functions_are_left_alone_and_older_ones_replaced() {
        assert!(is_current(Some(FUNCTIONS)));
        let of = |revision: &str| FUNCTIONS.replace("-- revision 1\n", revision);
        assert!(is_current(Some(&of("-- revision 2\n"))));
        for older in [of("-- revision 0\n"), of(""), of("-- revision 1\n-- changed\n")] {
            assert!(!is_current(Some(&older)));
        }
        assert!(!is_current(None));
    }

    #[test]
    fn whoever_changes_the_functions_raises_their_revision() {
        let digest = blake3::hash(FUNCTIONS.as_bytes()).to_hex();
        assert_eq!(
            (revision(FUNCTIONS), &digest[..16]),
            (1, "4b5b07e13d5b32f1"),
            "a new revision, and then its digest here"
        );
    }
}
