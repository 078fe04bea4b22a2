//! Where a server is, and how it is reached.

use std::time::Duration;

use ::redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use super::tls::Tls;
use crate::config::{RedisMode, RedisSettings, Secret, host_and_port};
use crate::store::StoreFault;

/// An idle connection is probed after this long, so that a half-open one is found before the next call needs it.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// A connection that is silent for so many time-outs is dead.
const TIMEOUTS: u32 = 3;
/// Connecting takes several round trips, so it gets at least this long.
const SHORTEST_CONNECT: Duration = Duration::from_secs(1);

/// Where a server is, and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) info: ConnectionInfo,
    /// `None` without TLS.
    pub(super) tls: Option<Tls>,
    /// Host and port, without user and password.
    pub(super) address: String,
    pub(super) response_timeout: Duration,
    pub(super) connect_timeout: Duration,
}

impl Target {
    /// The server that the URL names.
    ///
    /// # Errors
    /// Refused when the URL or a file of keys cannot be used; the URL is not repeated, for it may hold a password.
    pub(super) fn of(settings: &RedisSettings) -> Result<Self, StoreFault> {
        let (info, is_tls) = parse(settings.url.reveal())?;
        let timeout = settings.response_timeout;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(timeout.saturating_mul(TIMEOUTS));
        let who =
            info.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let who = as_user(who, settings.username.as_deref(), settings.password.as_ref(), "redis")?;
        if settings.mode == RedisMode::Cluster && who.db() != 0 {
            let only = "a cluster has database 0 alone; leave it out";
            return Err(StoreFault::refused(format!("redis.url names a database: {only}")));
        }
        Ok(Self {
            address: info.addr().to_string(),
            info: info.set_tcp_settings(tcp).set_redis_settings(who),
            tls: if is_tls { Some(Tls::of(settings)?) } else { None },
            response_timeout: timeout,
            connect_timeout: timeout.max(SHORTEST_CONNECT),
        })
    }

    /// The fault when nothing came back while connecting.
    pub(super) fn silent(&self) -> StoreFault {
        let advice = "; does it speak TLS there? redis.url says so (rediss://)";
        let advice = if self.tls.is_some() { advice } else { "" };
        StoreFault::unavailable(format!("Redis at {} did not answer in time{advice}", self.address))
    }

    /// Another server that is reached in the same way.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        let address = ConnectionAddr::Tcp(host.to_owned(), port);
        Self { address: address.to_string(), info: self.info.clone().set_addr(address), ..self.clone() }
    }

    /// The same way with other credentials, to each of these places.
    pub(super) fn sentinels(&self, settings: &RedisSettings) -> Result<Vec<Self>, StoreFault> {
        let (user, password) = (settings.sentinel_username.as_deref(), settings.sentinel_password.as_ref());
        let who = as_user(RedisConnectionInfo::default(), user, password, "redis.sentinel")?;
        let info = self.info.clone().set_redis_settings(who);
        Ok(self
            .places(&settings.sentinels)
            .map(|place| Self { info: info.clone().set_addr(place.info.addr().clone()), ..place })
            .collect())
    }

    /// Each of these places, as `host:port`; the configuration refuses what is none.
    pub(super) fn places(&self, places: &[String]) -> impl Iterator<Item = Self> {
        places.iter().filter_map(|place| host_and_port(place)).map(|(host, port)| self.at(&host, port))
    }
}

fn parse(url: &str) -> Result<(ConnectionInfo, bool), StoreFault> {
    // The crate's own TLS is not used: which library of ciphers it takes depends on the rest of a team's program.
    let (plain, is_tls) = match url.strip_prefix("rediss://") {
        Some(rest) => (format!("redis://{rest}"), true),
        None => (url.to_owned(), false),
    };
    if url.contains('#') {
        let advice = "certificates are always looked at; `redis.ca_file` names the authority of your own";
        return Err(StoreFault::refused(format!("redis.url cannot be used (it has a fragment): {advice}")));
    }
    Ok((plain.into_connection_info().map_err(|error| invalid(&error))?, is_tls))
}

pub(super) fn invalid(error: &RedisError) -> StoreFault {
    let allowed = "allowed is redis://[user:password@]host[:port][/database], or rediss:// for TLS";
    StoreFault::refused(format!("redis.url cannot be used ({}); {allowed}", error.category()))
}

fn as_user(
    info: RedisConnectionInfo,
    user: Option<&str>,
    password: Option<&Secret>,
    section: &str,
) -> Result<RedisConnectionInfo, StoreFault> {
    if user.is_some() && info.username().is_some() || password.is_some() && info.password().is_some() {
        let both = "names a user or a password, and so do `redis.username` or `redis.password`";
        return Err(StoreFault::refused(format!("redis.url {both}: allowed is one of them")));
    }
    let info = match user {
        Some(user) => info.set_username(user),
        None => info,
    };
    let info = match password {
        Some(password) => info.set_password(password.reveal()),
        None => info,
    };
    if info.username().is_some() && info.password().is_none() {
        let keys = if section == "redis" { "redis.password" } else { "redis.sentinel_password" };
        return Err(StoreFault::refused(format!("a user of Redis is named, and no password: set `{keys}`")));
    }
    Ok(info)
}
