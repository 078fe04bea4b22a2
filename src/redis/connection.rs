//! One connection to a server that is made when it is needed, and made anew when it is of no more use.
//!
//! The crate's own connection manager is not used: it keeps a connection on which every command times out, stays with
//! a primary that was demoted, and never repeats a command. Every call of the store may be repeated, so here it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, FromRedisValue, Pipeline};
use tokio::time::timeout;

use super::fault::{Remedy, fault, redirect, remedy, unreachable};
use super::library;
use super::place::Place;
use super::redirect::Redirect;
use super::rights::Rights;
use super::stream::open;
use crate::store::StoreFault;

/// A connection on which so many calls in a row found no answer is given up, unless it is told another number.
pub(super) const TIMEOUTS_IN_A_ROW: u32 = 3;

#[derive(Debug)]
pub(super) struct Connection {
    place: Place,
    /// What the user has to be allowed, looked at before the first connection is used.
    rights: Option<Rights>,
    allowed: AtomicBool,
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
    /// Where it leads.
    address: String,
    /// Counts connections, so that a late error of an old one does not end the new one.
    generation: u64,
    timeouts: u32,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("address", &self.address)
            .field("generation", &self.generation)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    Fault(StoreFault),
    /// Another node of the cluster is to be asked; the text is the server's.
    Elsewhere(Redirect, StoreFault),
}

impl Connection {
    /// Prepares a connection and makes none. After `patience` calls in a row without an answer it is given up.
    pub(super) fn new(place: Place, rights: Option<Rights>, patience: u32) -> Self {
        Self {
            place,
            rights,
            allowed: AtomicBool::new(false),
            patience,
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            attempts: AtomicU64::new(0),
        }
    }

    /// Where the server is, without user and password.
    pub(super) fn address(&self) -> String {
        self.place.address()
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
        self.ask(commands).await.map_err(|trouble| match trouble {
            Trouble::Fault(fault) | Trouble::Elsewhere(_, fault) => fault,
        })
    }

    /// The same, where another node of a cluster may be the one to ask.
    pub(super) async fn ask<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Trouble> {
        let mut repeated = false;
        loop {
            let (generation, mut connection) = self.connection().await.map_err(Trouble::Fault)?;
            let error = match commands.query_async(&mut connection).await {
                Ok(reply) => {
                    self.lock().timeouts = 0;
                    return Ok(reply);
                }
                Err(error) => error,
            };
            if let Some(redirect) = redirect(&error) {
                return Err(Trouble::Elsewhere(redirect, fault(&self.address(), &error)));
            }
            let remedy = remedy(&error);
            self.heed(remedy, generation);
            let worth_it = matches!(remedy, Remedy::Reconnect | Remedy::LoadFunctions);
            if repeated || !worth_it {
                return Err(Trouble::Fault(fault(&self.address(), &error)));
            }
            if remedy == Remedy::LoadFunctions {
                library::ensure(&mut connection, &self.address()).await.map_err(Trouble::Fault)?;
            }
            repeated = true;
        }
    }

    /// Loads the functions, replacing what is there under their name, unless it is newer.
    pub(super) async fn load_functions(&self) -> Result<(), StoreFault> {
        let (_, mut connection) = self.connection().await?;
        library::ensure(&mut connection, &self.address()).await
    }

    fn heed(&self, remedy: Remedy, generation: u64) {
        let mut live = self.lock();
        if live.generation != generation {
            return;
        }
        live.timeouts = if remedy == Remedy::CountTimeout { live.timeouts + 1 } else { 0 };
        if remedy == Remedy::Reconnect || live.timeouts >= self.patience {
            tracing::warn!(address = live.address, ?remedy, "giving up a connection to Redis");
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
        let made = timeout(self.place.connect_timeout(), self.connect()).await;
        let made = made.unwrap_or_else(|_| Err(self.place.silent()));
        self.attempts.fetch_add(1, Ordering::AcqRel);
        *last = made.as_ref().err().cloned();
        let (address, connection) = made?;
        let mut live = self.lock();
        let generation = live.generation + 1;
        *live = Live { connection: Some(connection.clone()), address, generation, timeouts: 0 };
        Ok((live.generation, connection))
    }

    async fn connect(&self) -> Result<(String, MultiplexedConnection), StoreFault> {
        let target = self.place.target().await?;
        if let Some(rights) = self.rights.as_ref().filter(|_| !self.allowed.load(Ordering::Acquire)) {
            rights.demand(&target).await?;
            self.allowed.store(true, Ordering::Release);
        }
        let stream = open(&target).await.map_err(|error| unreachable(&target.address, &error))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(target.response_timeout));
        let made = MultiplexedConnection::new_with_config(target.info.redis_settings(), stream, config).await;
        let (mut connection, driver) = made.map_err(|error| fault(&target.address, &error))?;
        tokio::spawn(driver);
        self.place.look_at(&mut connection, &target).await?;
        // A primary alone takes functions; a replica has those of its primary.
        library::ensure(&mut connection, &target.address).await?;
        Ok((target.address, connection))
    }

    fn live(&self) -> Option<(u64, MultiplexedConnection)> {
        let mut live = self.lock();
        if live.connection.is_some() && !self.place.is_still(&live.address) {
            tracing::warn!(
                address = live.address,
                "the primary is elsewhere; giving up a connection to Redis"
            );
            live.connection = None;
        }
        live.connection.clone().map(|connection| (live.generation, connection))
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        // Whoever held it has assigned whole values only.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
