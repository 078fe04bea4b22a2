//! The shop's pods, and what their orders must lead to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handlers::sample::{SampleKind, SampleOrders, SampleRecord};
use tempfile::TempDir;

use crate::{
    WORKER,
    ledger::Ledger,
    metrics::Counts,
    support::{
        free_ports,
        kafka::{Record, TestTopic, committed, group_lag},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

/// The shop's services.
pub(crate) const SERVICES: [&str; 3] = ["orders", "payments", "notifications"];

/// A shop of one test: a topic, three groups and a database that nobody else uses.
pub(crate) struct Shop {
    pub(crate) topic: TestTopic,
    pods: Pods,
    folder: TempDir,
}

/// One process that runs all three services.
pub(crate) struct Pod {
    pub(crate) worker: Worker,
    pub(crate) http: SocketAddr,
}

/// A sample record, and where it is in the topic.
pub(crate) struct Sent {
    pub(crate) record: SampleRecord,
    pub(crate) place: (i32, i64),
}

impl Shop {
    pub(crate) async fn new(partitions: i32) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(partitions).await;
        let mut pods = Pods::of(topic.name(), folder.path())
            .with("DATABASE__URL", &format!("sqlite://{}", folder.path().join("shop.db").display()))
            .with("TELEMETRY__LOG_FILTER", "warn,oncewise::kafka=info,oncewise::pipeline=error");
        for service in SERVICES {
            let group = group_of(&pods, service);
            pods = pods.with(&format!("SERVICES__{}__GROUP", service.to_uppercase()), &group);
        }
        Shop { topic, pods, folder }
    }

    /// With a setting for all its pods.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Shop {
        self.pods = self.pods.with(key, value);
        self
    }

    /// Starts one pod.
    pub(crate) fn start(&self) -> Pod {
        let http = SocketAddr::from(([127, 0, 0, 1], free_ports(1)));
        let worker = self
            .pods
            .clone()
            .with("HTTP__LISTEN", &http.to_string())
            .command(WORKER, &["--topic", &format!("orders.created={}", self.topic.name()), "run"]);
        Pod { worker, http }
    }

    /// What its keys in Redis begin with.
    pub(crate) fn prefix(&self) -> String {
        self.pods.prefix()
    }

    pub(crate) fn group(&self, service: &str) -> String {
        group_of(&self.pods, service)
    }

    /// What is in the database now.
    pub(crate) async fn ledger(&self) -> Ledger {
        Ledger::read(&self.folder.path().join("shop.db")).await
    }

    /// Sends these orders; they are acknowledged when this returns.
    pub(crate) async fn produce(&self, orders: &SampleOrders) -> Vec<Sent> {
        let records: Vec<SampleRecord> = orders.records().collect();
        let places = self
            .topic
            .produce_all(records.iter().map(|record| Record::new(&record.key, &record.value)))
            .await;
        records.into_iter().zip(places).map(|(record, place)| Sent { record, place }).collect()
    }

    /// Waits until every group has committed every record.
    pub(crate) async fn finishes(&self, records: usize, deadline: Duration) {
        for service in SERVICES {
            let what = format!("{service} to commit {records} records");
            until(&what, deadline, async || {
                let committed = committed(&self.group(service), &self.topic).await;
                let sum: i64 = committed.values().map(|(offset, _)| offset).sum();
                if sum == i64::try_from(records).unwrap() { Ok(()) } else { Err(sum) }
            })
            .await;
        }
    }

    /// By Kafka's own tool: every partition of every group is committed up to its end.
    pub(crate) async fn has_no_lag(&self) {
        let partitions = usize::try_from(self.topic.partitions().await.unwrap()).unwrap();
        for service in SERVICES {
            let lag = group_lag(&self.group(service)).await;
            assert_eq!(lag.len(), partitions, "{service}: {lag:?}");
            assert!(lag.iter().all(|partition| partition.lag == Some(0)), "{service}: {lag:?}");
        }
    }

    /// What each service has dead-lettered: the record's value, and why. Each letter names a place in the topic
    /// that holds this value.
    pub(crate) async fn letters(&self, service: &str, sent: &[Sent]) -> Vec<(String, String)> {
        let topic = TestTopic::named(&format!("{}.{}.dlt", self.topic.name(), self.group(service)));
        let values: BTreeMap<_, _> = sent.iter().map(|sent| (sent.place, &sent.record.value)).collect();
        let letters = topic.read().await.into_iter().map(|letter| {
            let text = |name: &str| letter.header(&format!("oncewise-{name}")).unwrap();
            assert_eq!(text("original-topic"), self.topic.name());
            assert_eq!(text("group"), self.group(service));
            let partition = text("original-partition").parse().unwrap();
            let place = (partition, text("original-offset").parse().unwrap());
            assert_eq!(Some(values[&place]), letter.value.as_ref(), "{service}: the letter from {place:?}");
            (letter.value_text(), text("disposition"))
        });
        let mut letters: Vec<_> = letters.collect();
        letters.sort();
        letters
    }
}

fn group_of(pods: &Pods, service: &str) -> String {
    format!("{}_{service}", pods.group)
}

impl Pod {
    /// What it has counted so far.
    pub(crate) async fn counts(&self) -> Counts {
        Counts::of(self.http).await.unwrap()
    }
}

/// The letters that these records must lead to, as [`Shop::letters`] has them: one for each event that no handler
/// can use, whichever of its records came first.
pub(crate) fn expected_letters(sent: &[Sent], service: &str) -> Vec<(String, String)> {
    let disposition = |kind| match kind {
        SampleKind::Undecodable => Some("undecodable"),
        SampleKind::NoKey => Some("no-key"),
        SampleKind::Unaffordable if service == "payments" => Some("rejected"),
        SampleKind::Order | SampleKind::Unaffordable | SampleKind::Duplicate => None,
    };
    let letter = |Sent { record, .. }: &Sent| {
        let value = String::from_utf8(record.value.clone()).expect("samples are text");
        Some((value, disposition(record.kind)?.to_owned()))
    };
    let mut letters: Vec<_> = sent.iter().filter_map(letter).collect();
    letters.sort();
    letters
}

/// Waits until the pods have shared out all partitions evenly, so that what comes meets no rebalance.
pub(crate) async fn balanced(pods: &[&Pod], partitions: usize) {
    let each: BTreeMap<_, _> =
        SERVICES.iter().map(|service| ((*service).to_owned(), partitions / pods.len())).collect();
    for pod in pods {
        until("the partitions to be shared out", Duration::from_secs(60), async || {
            let assigned = Counts::of(pod.http).await.map(|counts| counts.partitions());
            if assigned.as_ref() == Ok(&each) { Ok(()) } else { Err(assigned) }
        })
        .await;
    }
}
