//! `[redis]`: where the claims are kept.

use std::time::Duration;

use super::plaintext;
use crate::config::{Reader, Secret};

/// How to reach Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/database]`, `rediss://` with TLS.
    pub url: Secret,
    /// Whether a server beyond this machine may be spoken to without encryption.
    pub allow_plaintext: bool,
    /// What stands behind the URL.
    pub mode: RedisMode,
    /// How long one round trip may take before it counts as a fault.
    pub response_timeout: Duration,
}

/// What kind of Redis it is. Only standalone works today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisMode {
    /// One server, with or without replicas.
    Standalone,
    /// Redis Cluster.
    Cluster,
    /// A primary that Sentinel names.
    Sentinel,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("redis://localhost:6379"),
            allow_plaintext: false,
            mode: RedisMode::Standalone,
            response_timeout: Duration::from_secs(1),
        }
    }
}

impl RedisSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        let modes = [
            ("standalone", RedisMode::Standalone),
            ("cluster", RedisMode::Cluster),
            ("sentinel", RedisMode::Sentinel),
        ];
        let mode = reader.choice("redis.mode", default.mode, &modes);
        if mode != RedisMode::Standalone {
            reader.problem("redis.mode", "is not supported yet; allowed is \"standalone\"");
        }
        let url = reader.secret_url("redis.url", default.url.reveal(), &["redis", "rediss", "unix"]);
        let allow_plaintext = reader.flag("redis.allow_plaintext", default.allow_plaintext);
        plaintext::redis(reader, url.reveal(), allow_plaintext);
        Self {
            url,
            allow_plaintext,
            mode,
            response_timeout: reader.duration("redis.response_timeout", default.response_timeout),
        }
    }
}
