//! What is left of the chain, to the number.

use std::collections::{BTreeMap, BTreeSet};

use handlers::event::{OrderCreated, PaymentSettled};
use handlers::sample::{SampleKind, SampleOrders};
use serde_json::Value;

use super::{Call, Dead, Death, Outside, PARTITIONS, outside::sender};
use crate::{
    ledger::Ledger,
    setup::{SERVICES, Sent, Shop, expected_letters},
    support::kafka::{ReadRecord, TestTopic},
};

/// What was sent, who died, and where to look.
pub(super) struct Audit<'a> {
    pub(super) sent: Vec<Sent>,
    shop: &'a Shop,
    dead: &'a [Dead],
    opening_credit_cents: i64,
    /// The traces that the deliveries of each event began, by its id.
    traces: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Audit<'a> {
    /// Finds each record of these recipes in the topic.
    pub(super) async fn of(shop: &'a Shop, recipes: &[SampleOrders], dead: &'a [Dead]) -> Audit<'a> {
        let records = shop.topic.read().await;
        let samples: Vec<_> = recipes.iter().flat_map(SampleOrders::records).collect();
        let mut traces = BTreeMap::<_, BTreeSet<_>>::new();
        let mut places = BTreeMap::<_, Vec<_>>::new();
        for record in &records {
            let what = (record.key.as_deref(), record.value.as_deref());
            places.entry(what).or_default().push((record.partition, record.offset));
            if let Some(event) = record.header("ce_id") {
                traces.entry(event).or_default().insert(trace(record));
            }
        }
        let sent = samples.iter().map(|record| {
            let what = (Some(&*record.key), Some(&*record.value));
            let place = places.get_mut(&what).and_then(Vec::pop).expect("it was produced");
            Sent { record: record.clone(), place }
        });
        let sent: Vec<Sent> = sent.collect();
        assert_eq!(sent.len(), records.len(), "and nothing else was");
        Audit { sent, shop, dead, opening_credit_cents: recipes[0].opening_credit_cents, traces }
    }

    /// Compares everything; answers the figures.
    pub(super) async fn everything(&self, outside: &Outside) -> String {
        let ledger = self.shop.ledger().await;
        ledger.must_be(&Ledger::expected(&self.sent, self.opening_credit_cents));
        let told = self.orders(&[SampleKind::Order, SampleKind::Unaffordable]);
        let mails = self.mails(&told, outside);
        self.texts(&told, outside);
        let (settled, again) = self.settled().await;
        assert_eq!(outside.payments.effects().len(), settled.len(), "only what is paid is authorised, once");
        self.money(&ledger, &settled).await;
        let letters = self.letters().await;
        format!(
            "{} records, {} orders, {} paid, {} deaths: {mails} e-mails came twice, {again} events out came again, \
             and {letters:?} dead letters of {SERVICES:?}",
            self.sent.len(),
            told.len(),
            settled.len(),
            self.dead.len(),
        )
    }

    /// The orders of these kinds, by their ids.
    fn orders(&self, kinds: &[SampleKind]) -> BTreeMap<String, OrderCreated> {
        let records = self.sent.iter().map(|sent| &sent.record);
        let orders = records.filter(|record| kinds.contains(&record.kind)).map(|record| {
            let order: OrderCreated = serde_json::from_slice(&record.value).unwrap();
            (order.order_id.clone(), order)
        });
        orders.collect()
    }

    fn deaths(&self, service: &str) -> usize {
        self.dead.iter().filter(|dead| dead.service == service).count()
    }

    /// One e-mail for each order, and one more for those whose acknowledgement a pod did not live to see: of these,
    /// each pod had one at most. Answers how many.
    fn mails(&self, told: &BTreeMap<String, OrderCreated>, outside: &Outside) -> usize {
        let mails = outside.mail.mails();
        let (mut copies, mut last) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for mail in &mails {
            let order = mail.header("Subject").strip_prefix("Your order ").unwrap();
            copies.entry(order).or_default().push(mail);
            last.insert(sender(mail), order);
        }
        assert!(copies.keys().copied().eq(told.keys()), "everybody has a mail, and nobody else");
        let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
        assert_eq!(
            ids.len(),
            told.len(),
            "every mail of an order has the same id, and none of another order"
        );

        let last_of = |dead: &Dead| last.get(dead.name.as_str()).copied();
        let unknown = |order: &str| self.dead.iter().filter(|dead| last_of(dead) == Some(order)).count();
        for (order, copies) in &copies {
            assert!(copies.iter().all(|mail| mail.to == told[*order].email), "{copies:?}");
            assert!(copies.len() <= 1 + unknown(order), "{} copies: {copies:?}", copies.len());
        }
        for dead in self.dead.iter().filter(|dead| dead.death == Death::Asking(Call::Mail)) {
            let order = last_of(dead).unwrap();
            assert!(copies[order].len() > 1, "{order}: nobody knew that it was sent");
        }
        mails.len() - told.len()
    }

    /// One SMS for each order with a number, however often the gateway was asked.
    fn texts(&self, told: &BTreeMap<String, OrderCreated>, outside: &Outside) {
        let effects = outside.sms.effects();
        let text = |sms: &Value| {
            let text = sms["text"].as_str().unwrap();
            let order = text.split([' ', ':']).find(|word| word.starts_with("order-")).unwrap();
            (order.to_owned(), sms["to"].as_str().unwrap().to_owned())
        };
        let mut texts: Vec<_> = effects.values().map(text).collect();
        texts.sort();
        let numbers = told.iter().filter_map(|(id, order)| Some((id.clone(), order.phone.clone()?)));
        assert!(texts.iter().cloned().eq(numbers), "{} SMS", texts.len());
        assert!(outside.sms.requests().len() > texts.len(), "some were asked for again");
    }

    /// The payments that the topic tells of, one for each order that can be paid, in the trace of its order. Each pod
    /// that died may have left one record of each of its partitions that was sent and not yet known to be. Answers how
    /// many came again.
    async fn settled(&self) -> (Vec<PaymentSettled>, usize) {
        let records = self.shop.settled.read().await;
        let mut events = BTreeMap::<_, Vec<_>>::new();
        for record in &records {
            let id = ["ce_source", "ce_id"].map(|name| record.header(name).unwrap());
            events.entry(id).or_default().push(record);
        }
        let paid = self.orders(&[SampleKind::Order]);
        let mut payments = BTreeMap::new();
        for copies in events.values() {
            let payment: PaymentSettled = serde_json::from_slice(copies[0].value.as_ref().unwrap()).unwrap();
            assert!(copies.iter().all(|copy| copy.value == copies[0].value), "repeated word by word");
            let traces = &self.traces[&paid[&payment.order_id].event_id];
            assert!(copies.iter().all(|copy| traces.contains(&trace(copy))), "{payment:?} {traces:?}");
            assert!(payments.insert(payment.order_id.clone(), payment).is_none(), "one id for each payment");
        }
        assert!(payments.keys().eq(paid.keys()), "{} of {} payments are told", payments.len(), paid.len());

        let again = records.len() - events.len();
        let certain = self.dead.iter().filter(|dead| {
            dead.service == "payments"
                && matches!(dead.death, Death::At(point) if point.starts_with("after_publish"))
        });
        let possible = self.deaths("payments") * PARTITIONS[0] as usize / 2;
        assert!((certain.count()..=possible).contains(&again), "{again} came again, of {possible} that may");
        (payments.into_values().collect(), again)
    }

    /// For every user: what there was is what is left and what was paid, in whichever book one looks.
    async fn money(&self, ledger: &Ledger, settled: &[PaymentSettled]) {
        let books = self.shop.spent().await;
        let topic = settled.iter().map(|payment| (payment.user_id.clone(), payment.amount_cents));
        for spent in books.into_iter().chain([topic.collect()]) {
            let mut credit = ledger.wallets.clone();
            for (user, cents) in spent {
                *credit.get_mut(&user).expect("a wallet") += cents;
            }
            let wrong: Vec<_> =
                credit.iter().filter(|(_, cents)| **cents != self.opening_credit_cents).collect();
            assert_eq!(wrong, [], "opening credit = balance + paid");
        }
    }

    /// The letters that must be there and no others, some of them again: behind a death, and what has no key also when
    /// its partition changes hands, as nobody remembers it. Answers how many of each service came again.
    async fn letters(&self) -> [usize; 3] {
        let mut again = [0; 3];
        for (service, again) in SERVICES.into_iter().zip(&mut again) {
            let mut copies = BTreeMap::<_, usize>::new();
            for letter in self.shop.letters(service, &self.sent).await {
                *copies.entry(letter).or_default() += 1;
            }
            *again = copies.values().sum::<usize>() - copies.len();
            let with_key = copies.iter().filter(|((_, disposition), _)| disposition == "rejected");
            let twice: usize = with_key.map(|(_, copies)| copies - 1).sum();
            assert!(twice <= self.deaths(service), "{service}: what has a key is remembered");
            let letters: Vec<_> = copies.into_keys().collect();
            assert!(
                letters == expected_letters(&self.sent, service),
                "the dead letters of {service} are others"
            );
        }
        let receipts = format!("{}.{}.dlt", self.shop.settled.name(), self.shop.group("notifications"));
        assert_eq!(TestTopic::named(&receipts).read().await.len(), 0, "every receipt could be written");
        again
    }
}

/// The trace that a record belongs to.
fn trace(record: &ReadRecord) -> String {
    let parent = record.header("traceparent").unwrap();
    parent.split('-').nth(1).unwrap().to_owned()
}
