//! Where a connection leads: to one address, or to whichever server Sentinel calls the primary.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use ::redis::aio::MultiplexedConnection;

use super::fault::fault;
use super::sentinel::Sentinels;
use super::target::Target;
use crate::store::StoreFault;

#[derive(Debug, Clone)]
pub(super) enum Place {
    Fixed(Box<Target>),
    Primary(Arc<Sentinels>),
}

impl Place {
    /// The server to connect to, asked anew each time.
    pub(super) async fn target(&self) -> Result<Target, StoreFault> {
        match self {
            Self::Fixed(target) => Ok(Target::clone(target)),
            Self::Primary(sentinels) => sentinels.primary().await,
        }
    }

    /// False when a connection to this address leads to a server that is the primary no more.
    pub(super) fn is_still(&self, address: &str) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Primary(sentinels) => sentinels.still_name(address),
        }
    }

    /// Whether a server has to say that it is the primary before it is used.
    pub(super) fn asks_for_role(&self) -> bool {
        matches!(self, Self::Primary(_))
    }

    /// Refuses a server that is to be the primary and is not.
    pub(super) async fn look_at(
        &self,
        connection: &mut MultiplexedConnection,
        target: &Target,
    ) -> Result<(), StoreFault> {
        if !self.asks_for_role() {
            return Ok(());
        }
        let said: Result<Vec<Value>, _> = ::redis::cmd("ROLE").query_async(connection).await;
        let said = said.map_err(|error| fault(&target.address, &error))?;
        let role = said.into_iter().next().map(::redis::from_redis_value::<String>);
        is_primary(role.and_then(Result::ok).as_deref(), &target.address)
    }

    /// Host and port, without user and password; of a primary the last that is known.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Fixed(target) => target.address.clone(),
            Self::Primary(sentinels) => sentinels.address(),
        }
    }

    /// The fault when nothing came back while connecting.
    pub(super) fn silent(&self) -> StoreFault {
        match self {
            Self::Fixed(target) => target.silent(),
            Self::Primary(_) => {
                StoreFault::unavailable(format!("Redis at {} did not answer in time", self.address()))
            }
        }
    }

    pub(super) fn response_timeout(&self) -> Duration {
        self.any().response_timeout
    }

    /// With Sentinel two round trips come first.
    pub(super) fn connect_timeout(&self) -> Duration {
        match self {
            Self::Fixed(target) => target.connect_timeout,
            Self::Primary(sentinels) => sentinels.any().connect_timeout * 2,
        }
    }

    fn any(&self) -> &Target {
        match self {
            Self::Fixed(target) => target,
            Self::Primary(sentinels) => sentinels.any(),
        }
    }
}

/// # Errors
/// Unavailable when this is another role: a failover may be under way.
pub(super) fn is_primary(role: Option<&str>, address: &str) -> Result<(), StoreFault> {
    match role {
        Some("master") => Ok(()),
        role => {
            let role = role.unwrap_or("nothing that is known");
            let said = format!("Redis at {address} is named as the primary and says it is {role}");
            Err(StoreFault::unavailable(said))
        }
    }
}
