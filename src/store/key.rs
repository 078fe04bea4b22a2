use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Enough to spread over the nodes of a cluster, few enough that a batch stays a handful of calls there.
pub(crate) const BUCKETS: u8 = 64;

/// What is hashed fits into so much in all but strange cases.
const USUAL: usize = 256;

/// The name under which the store knows one dedupe key: a prefix, a bucket of 0 to 63, and a digest of 128 bits.
///
/// The digest is the beginning of BLAKE3 over the length-prefixed group, handler and dedupe key: no choice of names
/// makes two handlers share a record, and nothing of the key itself is stored. The bucket is taken from the same hash.
///
/// For people it is written `<prefix>:{<bucket>}:<32 hex digits>`. In Redis the digest stands as its 16 bytes, see
/// [`name`](Self::name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreKey {
    digest: [u8; 16],
    bucket: u8,
    prefix: &'static str,
}

/// All keys of one handler of one group: what they have in common is prepared once.
#[derive(Debug, Clone)]
pub struct KeySpace {
    prefix: &'static str,
    /// What is hashed before the key.
    head: Box<[u8]>,
}

impl KeySpace {
    /// The prefix holds no braces (the configuration refuses them), because the first pair decides where a cluster
    /// keeps the key.
    pub fn new(prefix: &str, group: &str, handler: &str) -> Self {
        Self::of_parts(prefix, &[group, handler])
    }

    /// The same for a run over everything that is remembered apart from all others, under a name of its own.
    pub fn in_epoch(epoch: &str, prefix: &str, group: &str, handler: &str) -> Self {
        Self::of_parts(prefix, &[epoch, group, handler])
    }

    fn of_parts(prefix: &str, parts: &[&str]) -> Self {
        let mut head = Vec::new();
        for part in parts {
            head.extend_from_slice(&length(part.as_bytes()));
            head.extend_from_slice(part.as_bytes());
        }
        Self { prefix: kept(prefix), head: head.into() }
    }

    /// The name of the record of one dedupe key.
    pub fn key(&self, key: impl AsRef<[u8]>) -> StoreKey {
        let key = key.as_ref();
        let parts = [&self.head, &length(key)[..], key];
        let whole: usize = parts.iter().map(|part| part.len()).sum();
        let mut usual = [0; USUAL];
        let hash = match usual.get_mut(..whole) {
            // Hashing in one piece costs half of hashing part by part.
            Some(bytes) => {
                let mut at = 0;
                for part in parts {
                    bytes[at..at + part.len()].copy_from_slice(part);
                    at += part.len();
                }
                blake3::hash(bytes)
            }
            None => blake3::hash(&parts.concat()),
        };
        let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *hash.as_bytes();
        StoreKey { digest, bucket: digest[0] % BUCKETS, prefix: self.prefix }
    }
}

/// The same text, for ever. A process has few prefixes and keys without number: counting who uses them would cost each
/// of these a write that all processors see.
fn kept(prefix: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(prefix) {
        return known;
    }
    let new: &'static str = Box::leak(prefix.into());
    all.insert(new);
    new
}

fn length(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_le_bytes()
}

impl StoreKey {
    /// Names the record of `key` for one handler of one group; [`KeySpace`] does it for many keys.
    pub fn new(prefix: &str, group: &str, handler: &str, key: impl AsRef<[u8]>) -> Self {
        KeySpace::new(prefix, group, handler).key(key)
    }

    /// The same for a run over everything that is remembered apart from all others, under a name of its own.
    pub fn in_epoch(epoch: &str, prefix: &str, group: &str, handler: &str, key: impl AsRef<[u8]>) -> Self {
        KeySpace::in_epoch(epoch, prefix, group, handler).key(key)
    }

    /// The digest as a number. The prefix is no part of it.
    pub(crate) fn digest(&self) -> u128 {
        u128::from_be_bytes(self.digest)
    }

    /// The name in Redis: `<prefix>:{<bucket>}:` and the 16 bytes of the digest. The bucket stands in braces, so that
    /// Redis Cluster keeps a bucket on one node.
    pub fn name(&self) -> Vec<u8> {
        let mut name = Vec::with_capacity(self.name_len());
        self.write_name(&mut name);
        name
    }

    pub(crate) fn prefix(&self) -> &str {
        self.prefix
    }

    pub(crate) fn bucket(&self) -> u8 {
        self.bucket
    }

    /// How many bytes the name in Redis has.
    pub(crate) fn name_len(&self) -> usize {
        self.prefix.len() + if self.bucket < 10 { 5 } else { 6 } + self.digest.len()
    }

    /// Appends the name in Redis.
    pub(crate) fn write_name(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.prefix.as_bytes());
        let [tens, ones] = [self.bucket / 10, self.bucket % 10].map(|digit| b'0' + digit);
        match tens {
            b'0' => to.extend_from_slice(&[b':', b'{', ones, b'}', b':']),
            _ => to.extend_from_slice(&[b':', b'{', tens, ones, b'}', b':']),
        }
        to.extend_from_slice(&self.digest);
    }
}

// The digest alone is as good as random.
impl std::hash::Hash for StoreKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.digest);
    }
}

impl std::fmt::Display for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{{{}}}:{:032x}", self.prefix, self.bucket, self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_never_changes() {
        // Workers of all versions and replays of old records have to find the same record.
        let key = StoreKey::new("oncewise", "payments", "charge", "order-1");
        assert_eq!(key.to_string(), "oncewise:{63}:7f4335a78b5a1d33372b1fe886e5278b");
        let digest = b"\x7f\x43\x35\xa7\x8b\x5a\x1d\x33\x37\x2b\x1f\xe8\x86\xe5\x27\x8b";
        assert_eq!(key.name(), [&b"oncewise:{63}:"[..], digest].concat());
        assert_eq!(key.digest().to_be_bytes(), *digest);
    }

    #[test]
    fn both_names_say_the_same() {
        for n in 0..1_000 {
            let key = StoreKey::new("p", "g", "h", n.to_string());
            let name = key.name();
            assert_eq!(name.len(), key.name_len());
            let (head, digest) = name.split_at(name.len() - 16);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(key.to_string(), format!("{}{hex}", std::str::from_utf8(head).unwrap()));
        }
    }

    #[test]
    fn no_two_names_run_into_each_other() {
        let one = StoreKey::new("p", "ab", "c", "d");
        assert_ne!(one, StoreKey::new("p", "a", "bc", "d"));
        assert_ne!(one, StoreKey::new("p", "ab", "", "cd"));
        assert_ne!(one, StoreKey::new("p", "ab", "cd", ""));
        assert_ne!(one, StoreKey::new("q", "ab", "c", "d"));
    }

    #[test]
    fn a_long_key_is_hashed_like_a_short_one() {
        for length in [0, 1, USUAL - 19, USUAL - 18, USUAL, 10_000] {
            let key = "k".repeat(length);
            let mut hasher = blake3::Hasher::new();
            for part in ["g", "h", &key] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
            let hex = StoreKey::new("p", "g", "h", &key).to_string();
            assert!(hex.ends_with(&hasher.finalize().to_hex()[..32]), "{length}");
        }
    }

    #[test]
    fn all_buckets_are_used_and_none_beyond() {
        let buckets: std::collections::BTreeSet<u8> =
            (0..4_000).map(|n| StoreKey::new("p", "g", "h", n.to_string()).bucket).collect();
        assert_eq!(buckets, (0..BUCKETS).collect());
    }
}
