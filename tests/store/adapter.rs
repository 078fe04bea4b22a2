//! The Redis store with the back doors of the conformance suite, which reach around it into the server.

use std::collections::BTreeMap;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use oncewise::redis::RedisStore;
use oncewise::store::conformance::TestStore;
use oncewise::store::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, Forget, Forgotten, Inspected,
    Layout, Release, Released, Renewal, Renewed, StoreFault, StoreKey, StoreReport,
};
use redis::aio::MultiplexedConnection;

/// Takes an event that is not over out of its batch, of which nothing is left then but what is on its own.
const ALONE: &str = r"
local old = redis.pcall('GET', KEYS[1])
if type(old) ~= 'string' then return 0 end
local number, place = string.match(old, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)([2-9]%d%d)$')
local name = number and string.match(KEYS[1], '^(.-):{%d+}:') .. ':batch:' .. number
local batch = number and redis.call('GET', name)
local token, deadline, head, tails = string.match(batch or '', '^1[PS](%d+):(%d+):([%w._-]*):([%w._,-]*)$')
if token then
  local all = {}
  for tail in string.gmatch(tails, '[^,]+') do all[#all + 1] = tail end
  old = '1P' .. token .. ':' .. head .. all[place - 199] .. ':' .. deadline .. ':0:0:0::W:N:'
  redis.call('SET', KEYS[1], old, 'KEEPTTL')
  redis.call('SETRANGE', name, 1, 'S')
end
";

/// Rewrites the deadline of a leased or free record to 0 and keeps its retention.
const EXPIRE: &str = r"
local before, after = string.match(old, '^([12][PF]%d+:[%w._-]*:)%d+(:%d+:%d+:%d+:%-?%d*:[WTS]:[NCA]:[%x:]*)$')
if before then redis.call('SET', KEYS[1], before .. '0' .. after, 'KEEPTTL') end
return 0";

#[derive(Debug)]
pub(crate) struct Adapter {
    /// Which of them is asked is left to chance, as between workers.
    stores: Vec<RedisStore>,
    /// So is how an end is kept.
    layouts: &'static [Layout],
    claims_together: bool,
    raw: Raw,
    corrupted: AtomicUsize,
}

/// To the server, or to every node.
struct Raw(Vec<MultiplexedConnection>);

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raw")
    }
}

impl Adapter {
    pub(crate) async fn new(store: RedisStore, url: &str) -> Self {
        Self::of_nodes(store, &[url.to_owned()]).await
    }

    pub(crate) async fn of_nodes(store: RedisStore, urls: &[String]) -> Self {
        let mut raw = Vec::new();
        for url in urls {
            let client = redis::Client::open(&**url).unwrap();
            raw.push(client.get_multiplexed_async_connection().await.unwrap());
        }
        Self {
            stores: vec![store],
            layouts: &[Layout::Keys],
            claims_together: false,
            raw: Raw(raw),
            corrupted: AtomicUsize::new(0),
        }
    }

    pub(crate) fn keeping(mut self, layouts: &'static [Layout]) -> Self {
        self.layouts = layouts;
        self
    }

    /// Some of its stores claim events together.
    pub(crate) fn claiming_together(mut self) -> Self {
        self.claims_together = true;
        self
    }

    pub(crate) fn beside(mut self, store: RedisStore) -> Self {
        self.stores.push(store);
        self
    }

    fn store(&self) -> &RedisStore {
        &self.stores[rand::random_range(0..self.stores.len())]
    }
}

impl Raw {
    /// Asks whoever has the key.
    async fn run(&self, command: &redis::Cmd) {
        for raw in &self.0 {
            match command.exec_async(&mut raw.clone()).await {
                Err(error) if error.kind() == redis::ServerErrorKind::Moved.into() => {}
                answered => return answered.unwrap(),
            }
        }
        panic!("no node has the key");
    }
}

#[async_trait]
impl TestStore for Adapter {
    async fn expire_lease(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.raw.run(redis::cmd("EVAL").arg(format!("{ALONE}{EXPIRE}")).arg(1).arg(key.name())).await;
        Ok(())
    }

    async fn lose(&self, key: &StoreKey) -> Result<(), StoreFault> {
        self.raw.run(redis::cmd("EVAL").arg(ALONE).arg(1).arg(key.name())).await;
        self.raw.run(redis::cmd("DEL").arg(key.name())).await;
        // Without its key, what is left of it is an end in short.
        if let [Inspected::Known(known)] = &self.stores[0].inspect(std::slice::from_ref(key)).await?[..] {
            let forget = Forget { key: key.clone(), stamp: known.stamp.clone() };
            assert_eq!(self.stores[0].forget(&[forget]).await?, [Forgotten::Forgotten]);
        }
        Ok(())
    }

    fn adds_the_lease(&self) -> bool {
        self.claims_together
    }

    fn keeps_short(&self) -> bool {
        self.layouts.contains(&Layout::Compact)
    }

    async fn corrupt(&self, key: &StoreKey) -> Result<(), StoreFault> {
        let values = [
            "",
            "garbage",
            "1M17:1",
            "2P17",
            "-17001",
            "17301",
            "17001:",
            "17001:x",
            "1P17:1",
            "1F17::0:0:0:0::W:X:",
            "{list}",
        ];
        let value = values[self.corrupted.fetch_add(1, Ordering::Relaxed) % values.len()];
        self.raw.run(redis::cmd("DEL").arg(key.name())).await;
        let put = if value == "{list}" { "RPUSH" } else { "SET" };
        self.raw.run(redis::cmd(put).arg(key.name()).arg(value)).await;
        Ok(())
    }
}

#[async_trait]
impl DedupeStore for Adapter {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        self.store().claim(requests).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        self.store().renew(renewals).await
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        let mut completions = completions.to_vec();
        for completion in &mut completions {
            completion.layout = self.layouts[rand::random_range(0..self.layouts.len())];
        }
        self.store().complete(&completions).await
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        self.store().release(releases).await
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        self.store().inspect(keys).await
    }

    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault> {
        self.store().forget(requests).await
    }

    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault> {
        self.store().anchors(group, topic).await
    }

    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault> {
        self.store().anchor(group, topic, partitions, started).await
    }

    async fn accept(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        position: Accepted,
    ) -> Result<(), StoreFault> {
        self.store().accept(group, topic, partition, position).await
    }

    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault> {
        self.store().lost(group, topic, partition, from).await
    }

    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault> {
        self.store().begun(group, topic, partition, topic_id).await
    }

    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault> {
        self.store().notes(kind).await
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        self.store().note(kind, name, text).await
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        self.store().describe().await
    }
}
