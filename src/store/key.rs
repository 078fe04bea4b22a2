use std::sync::Arc;

/// Enough to spread over the nodes of a cluster, few enough that a batch stays a handful of calls there.
const BUCKETS: u8 = 64;

/// The name under which the store knows one dedupe key: `<prefix>:{<bucket>}:<32 hex digits>`.
///
/// The digits are the first 128 bits of BLAKE3 over the length-prefixed group, handler and dedupe key: no choice of
/// names makes two handlers share a record, and nothing of the key itself is stored. The bucket, 0 to 63, is taken
/// from the same hash and stands in braces, so that Redis Cluster keeps a bucket on one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey(Arc<str>);

impl StoreKey {
    /// Names the record of `key` for one handler of one group. The prefix holds no braces (the configuration refuses
    /// them), because the first pair decides where a cluster keeps the key.
    pub fn new(prefix: &str, group: &str, handler: &str, key: impl AsRef<[u8]>) -> Self {
        Self::of_parts(prefix, &[group.as_bytes(), handler.as_bytes(), key.as_ref()])
    }

    /// The same for a run over everything that is remembered apart from all others, under a name of its own.
    pub fn in_epoch(epoch: &str, prefix: &str, group: &str, handler: &str, key: impl AsRef<[u8]>) -> Self {
        Self::of_parts(prefix, &[epoch.as_bytes(), group.as_bytes(), handler.as_bytes(), key.as_ref()])
    }

    fn of_parts(prefix: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let hash = hasher.finalize();
        let bucket = hash.as_bytes()[0] % BUCKETS;
        Self(format!("{prefix}:{{{bucket}}}:{}", &hash.to_hex()[..32]).into())
    }

    /// The 32 digits as a number. The prefix is no part of it.
    pub(crate) fn digest(&self) -> u128 {
        let digits = self.0.bytes().rev().take(32).enumerate();
        let value =
            |digit: u8| u128::from(if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 });
        digits.fold(0, |number, (place, digit)| number | value(digit) << (4 * place))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_never_changes() {
        // Workers of all versions and replays of old records have to find the same record.
        let key = StoreKey::new("oncewise", "payments", "charge", "order-1");
        assert_eq!(key.as_str(), "oncewise:{63}:7f4335a78b5a1d33372b1fe886e5278b");
    }

    #[test]
    fn no_two_names_run_into_each_other() {
        let one = StoreKey::new("p", "ab", "c", "d");
        assert_ne!(one, StoreKey::new("p", "a", "bc", "d"));
        assert_ne!(one, StoreKey::new("p", "ab", "", "cd"));
        assert_ne!(one, StoreKey::new("p", "ab", "cd", ""));
    }

    #[test]
    fn all_buckets_are_used_and_none_beyond() {
        let buckets: std::collections::BTreeSet<u8> = (0..4_000)
            .map(|n| StoreKey::new("p", "g", "h", n.to_string()))
            .map(|key| key.as_str().split(['{', '}']).nth(1).unwrap().parse().unwrap())
            .collect();
        assert_eq!(buckets, (0..BUCKETS).collect());
    }
}
