/// What a store says about itself. A field is `None` when the store did not say, and is then named in `unreadable`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Its clock, in milliseconds since 1970: what it remembers runs out by that one.
    pub now_ms: Option<i64>,
    /// The server's version, such as `7.0.15`.
    pub version: Option<String>,
    /// What it does when memory is full; anything but `noeviction` forgets claims.
    pub maxmemory_policy: Option<String>,
    /// Changes with every start of the server: claims may be gone.
    pub run_id: Option<String>,
    /// Changes with every failover: the last claims may be gone.
    pub replication_id: Option<String>,
    /// `master` or `slave`.
    pub role: Option<String>,
    /// How many replicas each of its masters has; empty where it does not say.
    pub replicas: Vec<u64>,
    /// Keys that it has dropped for want of memory since it was started.
    pub evicted_keys: Option<u64>,
    /// Bytes in use.
    pub used_memory: Option<u64>,
    /// Bytes allowed; 0 means no limit.
    pub maxmemory: Option<u64>,
    /// What could not be read, by the server's own names.
    pub unreadable: Vec<String>,
}
