use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::*;
use crate::{
    Change, Context, Handler, Header, Json, Metadata, Outcome, Raw, RetryPolicy, Routes, TypedJson, done,
    erased::ErasedHandler,
    pipeline::{Gate, RouteSettings},
    telemetry::Metrics,
    testing,
};

macro_rules! handler {
    ($type:ident, $name:literal, $event:ty, $key:expr) => {
        struct $type;
        impl Handler for $type {
            const NAME: &'static str = $name;
            type Event = $event;
            fn dedupe_key(&self, event: &$event, meta: &Metadata) -> DedupeKey {
                let key: fn(&$event, &Metadata) -> DedupeKey = $key;
                key(event, meta)
            }
            async fn handle(&self, _: &$event, _: &Context) -> Outcome {
                done()
            }
        }
    };
}

#[derive(Deserialize)]
struct Order {
    id: String,
}

#[derive(Deserialize)]
enum OrderEvent {
    #[serde(rename = "order.created")]
    Created(Order),
}

handler!(Store, "store", Order, |order, _| DedupeKey::of(&order.id));
handler!(Cancel, "cancel", Order, |order, _| DedupeKey::of(&order.id));
handler!(Panic, "panic", Order, |_, _| panic!("4111"));
handler!(Any, "any", OrderEvent, |OrderEvent::Created(order), _| DedupeKey::of(&order.id));
handler!(Named, "named", Order, |_, meta| DedupeKey::cloud_event(meta));
handler!(Mirror, "mirror", Change<Order>, |change, meta| match change {
    Change::Value(order) => DedupeKey::of(&order.id),
    Change::Deleted => DedupeKey::record(meta),
});
handler!(Keep, "keep", Bytes, |_, meta| DedupeKey::record(meta));

/// What comes of a record on the topic `orders` of these routes: the handler, and the event's key or the reason.
fn outcome(routes: Routes, record: Record) -> (Option<&'static str>, String) {
    routes.check().unwrap();
    let route = |handler: Arc<dyn ErasedHandler>| Route {
        metrics: Metrics::new().handler("test", "orders", handler.name()),
        settings: RouteSettings {
            retry: RetryPolicy::default(),
            lease: Duration::ZERO,
            ttl: Duration::ZERO,
            max_deliveries: 1,
            timeout: Duration::ZERO,
            first_delay: Duration::ZERO,
        },
        gate: Gate::new(
            handler.name(),
            Default::default(),
            None,
            Metrics::new().breaker("test", handler.name()),
            Default::default(),
        ),
        keys: crate::store::KeySpace::new("oncewise", "test", handler.name()),
        handler,
    };
    let table = routes.tables().remove("orders").unwrap().map(|handler| Arc::new(route(handler)));
    let limits = Limits::of(&crate::config::WorkerSettings { max_record_bytes: 1000, ..Default::default() });
    let (found, decoded) = decode(&table, limits, &Arc::new(record));
    let name = found.map(|route| route.handler.name());
    let outcome = match decoded {
        Decoded::Event(event) => {
            assert_eq!(Some(event.route.handler.name()), name);
            format!("key {}", event.key())
        }
        Decoded::Unwanted(what) => format!("unwanted: {what}"),
        Decoded::Unfit(disposition, why) => {
            format!("{}: {why}", crate::telemetry::metrics::Label::as_str(disposition))
        }
    };
    (name, outcome)
}

fn record(value: Option<&'static str>, headers: &[(&'static str, &'static str)]) -> Record {
    Record {
        topic: "orders".into(),
        offset: 42,
        value: value.map(Bytes::from),
        headers: headers.iter().map(|(name, value)| Header::text(*name, *value)).collect(),
        ..testing::record()
    }
}

const TOMBSTONE: &str = "unwanted: a tombstone, which its handler does not ask for";
const SKIPPED: &str = "unwanted: of a type that nobody takes";
const VALUE: Option<&str> = Some(r#"{"id":"7"}"#);

fn typed() -> Routes {
    Routes::new().on_type("orders", "order.created", Store).on_type("orders", "order.cancelled", Cancel)
}

fn of(handler: &'static str, outcome: &str) -> (Option<&'static str>, String) {
    (Some(handler), outcome.to_owned())
}

fn nobody(outcome: &str) -> (Option<&'static str>, String) {
    (None, outcome.to_owned())
}

#[test]
fn the_type_chooses_the_handler() {
    let created = record(VALUE, &[("ce_type", "order.created")]);
    assert_eq!(outcome(typed(), created), of("store", "key 7"));
    let last_counts = record(VALUE, &[("ce_type", "order.created"), ("ce_type", "order.cancelled")]);
    assert_eq!(outcome(typed(), last_counts), of("cancel", "key 7"));
}

#[test]
fn unknown_types_follow_the_policy_of_their_topic() {
    let unknown = || record(VALUE, &[("ce_type", "order.4111")]);
    let none = "no-handler: the type in the header `ce_type` is none of `order.cancelled`, `order.created`";
    assert_eq!(outcome(typed(), unknown()), nobody(none));
    let nameless = "no-handler: the record has no header `ce_type` to name its type";
    assert_eq!(outcome(typed(), record(VALUE, &[])), nobody(nameless));
    let tombstone = nobody("unwanted: a tombstone of no type");
    assert_eq!(outcome(typed(), record(None, &[])), tombstone, "compaction has no word for types");
    assert_eq!(outcome(typed(), record(None, &[("ce_type", "order.4111")])), nobody(none));
    let skipping = || typed().unknown("orders", Unknown::Skip);
    assert_eq!(outcome(skipping(), unknown()), nobody(SKIPPED));
    assert_eq!(outcome(skipping(), record(VALUE, &[])), nobody(SKIPPED));
}

#[test]
fn unknown_variants_follow_the_same_policy() {
    let routes = || Routes::new().on_with("orders", TypedJson::new(), Any);
    let unknown = || record(VALUE, &[("ce_type", "order.4111")]);
    assert_eq!(outcome(routes(), record(VALUE, &[("ce_type", "order.created")])), of("any", "key 7"));
    let none = "no-handler: the type in the header `ce_type` is none of `order.created`";
    assert_eq!(outcome(routes(), unknown()), of("any", none));
    assert_eq!(outcome(routes().unknown("orders", Unknown::Skip), unknown()), of("any", SKIPPED));
    let broken = record(Some("4111"), &[("ce_type", "order.created")]);
    let skipping = routes().unknown("orders", Unknown::Skip);
    let (_, undecodable) = outcome(skipping, broken);
    assert!(undecodable.starts_with("undecodable: "), "{undecodable}");
}

#[test]
fn tombstones_reach_who_asks_for_them() {
    let routes = || Routes::new().on("orders", Mirror);
    assert_eq!(outcome(routes(), record(None, &[])), of("mirror", "key orders/0/42@-1"));
    assert_eq!(outcome(routes(), record(VALUE, &[])), of("mirror", "key 7"));
    assert_eq!(outcome(Routes::new().on("orders", Store), record(None, &[])), of("store", TOMBSTONE));
    let by_type = Routes::new().on_type("orders", "order", Mirror).on_type("orders", "order.created", Store);
    let tombstone = |event_type| record(None, &[("ce_type", event_type)]);
    assert_eq!(outcome(by_type.clone(), tombstone("order")), of("mirror", "key orders/0/42@-1"));
    assert_eq!(outcome(by_type, tombstone("order.created")), of("store", TOMBSTONE));
}

#[test]
fn a_structured_event_is_routed_and_decoded_by_its_content() {
    let envelope =
        r#"{"specversion":"1.0","id":"e-1","source":"/shop","type":"order.cancelled","data":{"id":"7"}}"#;
    let headers = [("content-type", "application/cloudevents+json"), ("ce_type", "order.created")];
    assert_eq!(outcome(typed(), record(Some(envelope), &headers)), of("cancel", "key 7"));
    let routes = Routes::new().on("orders", Named);
    assert_eq!(outcome(routes.clone(), record(Some(envelope), &headers)), of("named", "key 5:/shop:e-1"));
    let binary = [("ce_id", "e-1"), ("ce_source", "/shop"), ("ce_type", "x"), ("ce_specversion", "1.0")];
    assert_eq!(outcome(routes, record(VALUE, &binary)), of("named", "key 5:/shop:e-1"));
    let raw = Routes::new().on_with("orders", Raw, Keep);
    assert_eq!(outcome(raw, record(Some(envelope), &headers)), of("keep", "key orders/0/42@-1"));
}

#[test]
fn a_malformed_structured_event_is_undecodable() {
    let batch = || record(Some("[]"), &[("content-type", "application/cloudevents-batch+json")]);
    let why = "undecodable: a batch of CloudEvents: send each as a record of its own";
    assert_eq!(outcome(typed(), batch()), nobody(why));
    assert_eq!(outcome(Routes::new().on("orders", Store), batch()), of("store", why));
}

#[test]
fn without_a_key_the_letter_says_what_would_have_made_one() {
    let routes = Routes::new().on("orders", Named);
    let headers = [("ce_id", "e-1"), ("ce_type", "x"), ("ce_specversion", "1.0")];
    let why = "no-key: the dedupe key is empty: the record is no CloudEvent of version 1.0: look at its header `ce_source`";
    assert_eq!(outcome(routes, record(VALUE, &headers)), of("named", why));
    let empty = record(Some(r#"{"id":""}"#), &[]);
    assert_eq!(
        outcome(Routes::new().on("orders", Store), empty),
        of("store", "no-key: the dedupe key is empty")
    );
}

#[test]
fn a_panic_is_an_answer() {
    let routes = Routes::new().on_with("orders", Json, Panic);
    assert_eq!(outcome(routes, record(VALUE, &[])), of("panic", "undecodable: the decoder panicked"));
}

#[test]
fn what_is_too_large_is_not_decoded() {
    let large: &str = "4".repeat(1001).leak();
    let routes = || Routes::new().on("orders", Panic);
    let why = "too-large: it has 1001 bytes; `worker.max_record_bytes` allows 1000";
    let key = record(None, &[]).key.map_or(0, |key| key.len());
    assert_eq!(outcome(routes(), record(Some(&large[key..]), &[])), of("panic", why));
    assert_eq!(outcome(typed(), record(Some(&large[key..]), &[])), nobody(why), "nor is its type looked for");
}
