//! The shop that the pages speak of, in topics, groups and a database that nobody else uses.

use std::time::{Duration, SystemTime};

use handlers::sample::{SampleKind, SampleOrders};

use crate::{
    shell::Shell,
    support::{
        kafka::{Record, TestTopic, all_committed, brokers},
        redis::shared_url,
        unique,
    },
};

/// The partition that has the orders nobody can pay, so that the first letter about one is 3:0.
const UNAFFORDABLE: i32 = 3;
/// The one that has what nobody can read.
const BROKEN: i32 = 0;
const SERVICES: [&str; 3] = ["orders", "payments", "notifications"];

/// Where its shell looks.
pub(crate) struct Shop {
    topics: [TestTopic; 2],
    name: String,
    settings: Vec<(String, String)>,
}

impl Shop {
    /// With nothing in its topics.
    pub(crate) async fn new() -> Shop {
        let shop = Shop::without_topics();
        for topic in &shop.topics {
            topic.create(6, &[]).await;
        }
        shop
    }

    /// Before its topics are made.
    pub(crate) fn without_topics() -> Shop {
        let name = unique("guide").replace('-', "_");
        let topics = ["orders", "settled"].map(|topic| TestTopic::named(&format!("{name}.{topic}")));
        let [orders, settled] = topics.each_ref().map(|topic| topic.name().to_owned());
        let mut settings = vec![
            ("KAFKA__BROKERS".to_owned(), brokers()),
            ("REDIS__URL".to_owned(), shared_url()),
            ("DEDUPE__PREFIX".to_owned(), format!("t.{name}")),
            ("TOPICS__NAMES__ORDERS__CREATED".to_owned(), orders),
            ("TOPICS__NAMES__PAYMENTS__SETTLED".to_owned(), settled),
            ("TOPICS__AUDIT".to_owned(), format!("{name}.audit")),
            ("TOPICS__CONTROL".to_owned(), format!("{name}.control")),
        ];
        for service in SERVICES {
            let key = format!("SERVICES__{}__GROUP", service.to_uppercase());
            settings.push((key, format!("{name}_{service}")));
        }
        Shop { topics, name, settings }
    }

    /// What its topics are called.
    pub(crate) fn topics(&self) -> [&str; 2] {
        self.topics.each_ref().map(TestTopic::name)
    }

    /// With another setting.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Shop {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A shell in which `worker` is the shop's.
    pub(crate) fn shell(&self) -> Shell {
        let settings: Vec<_> = self.settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        Shell::new(&settings)
    }

    /// Orders of so many minutes ago, of which some cannot be paid and some are broken.
    pub(crate) async fn past(&self, count: u64, minutes: u64) {
        let then = SystemTime::now() - Duration::from_secs(minutes * 60);
        let then = then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
        let orders = SampleOrders { count, poison: 0.03, ..SampleOrders::default() };
        let records = orders.records().map(|record| {
            let sent = Record::new(&record.key, &record.value).stamped(then);
            match record.kind {
                SampleKind::Unaffordable => sent.to(UNAFFORDABLE),
                SampleKind::Undecodable | SampleKind::NoKey => sent.to(BROKEN),
                SampleKind::Order | SampleKind::Duplicate => sent,
            }
        });
        self.topics[0].produce_all(records).await;
    }

    /// Waits until every service has settled and committed all there is.
    pub(crate) async fn is_done(&self) {
        for service in SERVICES {
            all_committed(&format!("{}_{service}", self.name), &self.topics[0], Duration::from_secs(60))
                .await;
        }
    }
}
