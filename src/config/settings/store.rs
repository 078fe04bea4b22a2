//! `[redis]`: where the claims are kept.

use std::time::Duration;

use super::plaintext;
use crate::config::{Reader, Secret};

/// How to reach Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/database]`, `rediss://` with TLS. With Sentinel its host is not used, all
    /// the rest is; with a cluster it is one of the nodes.
    pub url: Secret,
    /// Whether a server beyond this machine may be spoken to without encryption.
    pub allow_plaintext: bool,
    /// What stands behind the URL.
    pub mode: RedisMode,
    /// How long one round trip may take before it counts as a fault.
    pub response_timeout: Duration,
    /// The user, where the URL names none.
    pub username: Option<String>,
    /// The user's password, where the URL holds none.
    pub password: Option<Secret>,
    /// PEM: the authorities whose certificates are believed; without it those that the machine believes.
    pub ca_file: Option<String>,
    /// PEM: the certificate that is shown to servers which ask for one.
    pub certificate_file: Option<String>,
    /// PEM: its private key.
    pub key_file: Option<String>,
    /// Further nodes of the cluster that may be asked for the others, as `host:port`.
    pub nodes: Vec<String>,
    /// The Sentinels, as `host:port`.
    pub sentinels: Vec<String>,
    /// What the Sentinels call the primary.
    pub master_name: String,
    /// The user of the Sentinels themselves.
    pub sentinel_username: Option<String>,
    /// The password of the Sentinels themselves.
    pub sentinel_password: Option<Secret>,
    /// So many replicas have to have what ended before its record is settled; all of them, or a failover may promote
    /// one that has not.
    pub wait_replicas: u32,
    /// How long a round trip may wait for them.
    pub wait_timeout: Duration,
}

/// What kind of Redis it is.
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
            username: None,
            password: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            nodes: Vec::new(),
            sentinels: Vec::new(),
            master_name: "mymaster".to_owned(),
            sentinel_username: None,
            sentinel_password: None,
            wait_replicas: 0,
            wait_timeout: Duration::from_millis(500),
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
        let settings = Self {
            url: reader.secret_url("redis.url", default.url.reveal(), &["redis", "rediss", "unix"]),
            allow_plaintext: reader.flag("redis.allow_plaintext", default.allow_plaintext),
            mode: reader.choice("redis.mode", default.mode, &modes),
            response_timeout: reader.duration("redis.response_timeout", default.response_timeout),
            username: reader.optional_text("redis.username"),
            password: reader.secret("redis.password"),
            ca_file: reader.optional_text("redis.ca_file"),
            certificate_file: reader.optional_text("redis.certificate_file"),
            key_file: reader.optional_text("redis.key_file"),
            nodes: reader.list("redis.nodes", &[]),
            sentinels: reader.list("redis.sentinels", &[]),
            master_name: reader.text("redis.master_name", &default.master_name),
            sentinel_username: reader.optional_text("redis.sentinel_username"),
            sentinel_password: reader.secret("redis.sentinel_password"),
            wait_replicas: reader.integer_in("redis.wait_replicas", default.wait_replicas, 0..=16),
            wait_timeout: reader.duration("redis.wait_timeout", default.wait_timeout),
        };
        settings.look_at_the_whole(reader);
        settings
    }

    fn look_at_the_whole(&self, reader: &mut Reader) {
        let others = match self.mode {
            RedisMode::Standalone => ("redis.url", &[][..]),
            RedisMode::Sentinel => ("redis.sentinels", &self.sentinels[..]),
            RedisMode::Cluster => ("redis.nodes", &self.nodes[..]),
        };
        plaintext::redis(reader, self.url.reveal(), others, self.allow_plaintext);
        if self.mode == RedisMode::Sentinel && self.sentinels.is_empty() {
            reader.problem("redis.sentinels", "mode \"sentinel\" needs them; allowed is a list of host:port");
        }
        for (key, places) in [("redis.sentinels", &self.sentinels), ("redis.nodes", &self.nodes)] {
            for place in places.iter().filter(|place| host_and_port(place).is_none()) {
                reader.problem(key, format!("{place:?} is no place of a server; allowed is host:port"));
            }
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            let key = if self.key_file.is_some() { "redis.key_file" } else { "redis.certificate_file" };
            reader.problem(key, "`certificate_file` and `key_file` belong together; allowed is both or none");
        }
        if self.wait_replicas > 0 && self.wait_timeout >= self.response_timeout {
            let longest =
                format!("allowed is less than `redis.response_timeout` ({:?})", self.response_timeout);
            reader.problem("redis.wait_timeout", longest);
        }
    }
}

/// `host:port`, where the host may be an IPv6 address in brackets.
pub(crate) fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = place.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}
