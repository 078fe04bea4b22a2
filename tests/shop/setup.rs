//! The shop's pods, and what their orders must lead to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handlers::sample::{SampleKind, SampleOrders, SampleRecord};
use tempfile::TempDir;

use crate::{
    WORKER,
    database::Reader,
    ledger::Ledger,
    metrics::Counts,
    support::{
        free_ports,
        kafka::{Record, TestTopic, all_committed, committed, group_lag},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

/// The shop's services.
pub(crate) const SERVICES: [&str; 3] = ["orders", "payments", "notifications"];

/// A shop of one test: two topics, three groups and a database that nobody else uses.
pub(crate) struct Shop {
    /// `orders.created`, which all services read.
    pub(crate) topic: TestTopic,
    /// `payments.settled`, from payments to notifications.
    pub(crate) settled: TestTopic,
    pods: Pods,
    database: String,
    _folder: TempDir,
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
    /// On SQLite.
    pub(crate) async fn new(partitions: i32) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", folder.path().join("shop.db").display());
        Shop::at([partitions; 2], database, folder).await
    }

    /// On this database.
    pub(crate) async fn on(partitions: i32, database: String) -> Shop {
        Shop::with_partitions([partitions; 2], database).await
    }

    /// On this database, with so many partitions of `orders.created` and of `payments.settled`.
    pub(crate) async fn with_partitions(partitions: [i32; 2], database: String) -> Shop {
        Shop::at(partitions, database, tempfile::tempdir().unwrap()).await
    }

    async fn at(partitions: [i32; 2], database: String, folder: TempDir) -> Shop {
        let [orders, payments] = partitions;
        let [topic, settled] = [TestTopic::new(orders).await, TestTopic::new(payments).await];
        let mut pods = Pods::of(topic.name(), folder.path())
            .soon_missed()
            .with("DATABASE__URL", &database)
            .with("TELEMETRY__LOG_FILTER", "warn,oncewise::kafka=info,oncewise::pipeline=error");
        for service in SERVICES {
            let group = group_of(&pods, service);
            pods = pods.with(&format!("SERVICES__{}__GROUP", service.to_uppercase()), &group);
        }
        Shop { topic, settled, pods, database, _folder: folder }
    }

    /// What this service reads.
    fn topics(&self, service: &str) -> Vec<&TestTopic> {
        if service == "notifications" { vec![&self.topic, &self.settled] } else { vec![&self.topic] }
    }

    /// With a setting for all its pods.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Shop {
        self.pods = self.pods.with(key, value);
        self
    }

    /// Starts one pod.
    pub(crate) fn start(&self) -> Pod {
        self.start_other(|pods| pods, &[])
    }

    /// Starts one pod that is made otherwise, with these arguments after `run`.
    pub(crate) fn start_other(&self, make: impl FnOnce(Pods) -> Pods, args: &[&str]) -> Pod {
        let http = SocketAddr::from(([127, 0, 0, 1], free_ports(1)));
        let [orders, settled] = [("orders.created", &self.topic), ("payments.settled", &self.settled)]
            .map(|(name, topic)| format!("{name}={}", topic.name()));
        let run = ["--topic", &orders, "--topic", &settled, "run"];
        let worker = make(self.pods.clone().with("HTTP__LISTEN", &http.to_string()))
            .command(WORKER, &[&run, args].concat());
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
        Ledger::read(&self.database).await
    }

    /// Who has spent what, first as payments has it, then as the receipts do.
    pub(crate) async fn spent(&self) -> [Vec<(String, i64)>; 2] {
        let mut db = Reader::connect(&self.database).await;
        [
            db.rows("SELECT user_id, amount_cents FROM payments").await,
            db.rows("SELECT user_id, amount_cents FROM receipts").await,
        ]
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

    /// Has `worker produce` send these orders, which must be of a kind that its flags can tell.
    pub(crate) async fn produce_by_worker(&self, orders: &SampleOrders) {
        let SampleOrders { count, duplicates, poison, seed, .. } = orders;
        let recipe = [("count", count.to_string()), ("seed", seed.to_string())]
            .into_iter()
            .chain([("duplicates", duplicates.to_string()), ("poison", poison.to_string())])
            .flat_map(|(flag, value)| [format!("--{flag}"), value]);
        let args: Vec<String> = recipe.chain(["--topic".to_owned(), self.topic.name().to_owned()]).collect();
        let args: Vec<&str> = std::iter::once("produce").chain(args.iter().map(String::as_str)).collect();
        let mut producer = self.pods.command(WORKER, &args);
        let ended = producer.wait(Duration::from_secs(120)).await;
        assert!(ended.success(), "{ended}: {}", producer.output());
    }

    /// Waits until every group has committed every record, those that payments has published too.
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
        // What payments has committed is published.
        all_committed(&self.group("notifications"), &self.settled, deadline).await;
    }

    /// By Kafka's own tool: every partition of every group is committed up to its end.
    pub(crate) async fn has_no_lag(&self) {
        for service in SERVICES {
            let lag = group_lag(&self.group(service)).await;
            let mut partitions = 0;
            for topic in self.topics(service) {
                partitions += usize::try_from(topic.partitions().await.unwrap()).unwrap();
            }
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
        self.try_counts().await.unwrap()
    }

    /// The same of a pod that may not be there yet.
    pub(crate) async fn try_counts(&self) -> Result<Counts, String> {
        Counts::of(self.http).await
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
    let topics = |service: &str| if service == "notifications" { 2 } else { 1 };
    let each: BTreeMap<_, _> = SERVICES
        .iter()
        .map(|service| ((*service).to_owned(), partitions * topics(service) / pods.len()))
        .collect();
    for pod in pods {
        until("the partitions to be shared out", Duration::from_secs(60), async || {
            let assigned = Counts::of(pod.http).await.map(|counts| counts.partitions());
            if assigned.as_ref() == Ok(&each) { Ok(()) } else { Err(assigned) }
        })
        .await;
    }
}
