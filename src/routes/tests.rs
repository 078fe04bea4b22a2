use super::*;
use crate::{Context, DedupeKey, Header, Metadata, Outcome, Record, done, testing::record};

macro_rules! handler {
    ($type:ident, $name:literal) => {
        struct $type;
        impl Handler for $type {
            const NAME: &'static str = $name;
            type Event = u32;
            fn dedupe_key(&self, event: &u32, _: &Metadata) -> DedupeKey {
                DedupeKey::of(event)
            }
            async fn handle(&self, _: &u32, _: &Context) -> Outcome {
                done()
            }
        }
    };
}
handler!(Charge, "charge");
handler!(ChargeAgain, "charge");
handler!(Refund, "refund");
handler!(Mail, "mail");
handler!(Shout, "SHOUT!");

fn texts(routes: &Routes) -> Vec<String> {
    routes.check().unwrap_err().iter().map(ToString::to_string).collect()
}

fn typed(header: &'static str, event_type: &'static str) -> Record {
    Record { headers: vec![Header::text(header, event_type)], ..record() }
}

#[test]
fn merging_keeps_every_route() {
    let routes = Routes::new().on("orders", Charge).merge(Routes::new().on("receipts", Mail));
    assert_eq!(routes.topics().collect::<Vec<_>>(), ["orders", "receipts"]);
    assert_eq!(routes.handlers().collect::<Vec<_>>(), ["charge", "mail"]);
    assert_eq!(routes.check(), Ok(()));
}

#[test]
fn every_clash_is_reported_at_once() {
    let routes =
        Routes::new().on("orders", Charge).merge(Routes::new().on("orders", ChargeAgain).on("loud", Shout));
    let problems = routes.check().unwrap_err();
    assert!(problems.contains(&RouteError::HandlerTwice("charge")), "{problems:?}");
    let twice = RouteError::TopicTwice { topic: "orders".into(), first: "charge", second: "charge" };
    assert!(problems.contains(&twice), "{problems:?}");
    assert!(problems.contains(&RouteError::BadName("SHOUT!")), "{problems:?}");
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn no_routes_is_a_problem_too() {
    assert_eq!(Routes::new().check(), Err(vec![RouteError::Empty]));
}

#[test]
fn types_of_one_topic_go_to_their_handlers() {
    let routes = Routes::new().on_type("orders", "paid", Charge).on_type("orders", "returned", Refund);
    assert_eq!(routes.check(), Ok(()));
    assert_eq!(routes.topics().collect::<Vec<_>>(), ["orders"]);
    let table = &routes.tables()["orders"];
    let find = |record: &Record| table.find(record).map(|handler| handler.name());
    assert_eq!(find(&typed("ce_type", "paid")), Some("charge"));
    assert_eq!(find(&typed("ce_type", "returned")), Some("refund"));
    let why = |record| {
        assert_eq!(find(&record), None);
        table.why_nobody(&record)
    };
    let unknown = "the type in the header `ce_type` is none of `paid`, `returned`";
    assert_eq!(why(typed("ce_type", "pai")), unknown);
    let nameless = "the record has no header `ce_type` to name its type";
    assert_eq!(why(typed("type", "paid")), nameless);
    assert_eq!(table.unknown, Unknown::DeadLetter);
    assert_eq!(table.iter().count(), 2);
}

#[test]
fn the_header_and_the_policy_are_the_topic_s() {
    let routes = Routes::new()
        .type_header("orders", "event-type")
        .unknown("orders", Unknown::Skip)
        .on_type("orders", "paid", Charge)
        .on_type("receipts", "paid", Mail);
    assert_eq!(routes.check(), Ok(()));
    let tables = routes.tables();
    assert_eq!(tables["orders"].find(&typed("event-type", "paid")).map(|h| h.name()), Some("charge"));
    assert!(tables["orders"].find(&typed("ce_type", "paid")).is_none());
    assert_eq!(tables["orders"].unknown, Unknown::Skip);
    assert_eq!(tables["receipts"].find(&typed("ce_type", "paid")).map(|h| h.name()), Some("mail"));
    assert_eq!(tables["receipts"].unknown, Unknown::DeadLetter);
}

#[test]
fn a_type_has_one_handler_and_a_topic_one_kind_of_them() {
    let routes = Routes::new()
        .on_type("orders", "paid", Charge)
        .on_type("orders", "paid", Refund)
        .on_type("orders", "", Shout)
        .on("orders", Mail);
    assert_eq!(
        texts(&routes),
        [
            "handler name `SHOUT!` is not allowed; allowed are a-z, 0-9 and _",
            "type `paid` of topic `orders` has two handlers, `charge` and `refund`; a type has one",
            "topic `orders`: the type of an event is empty",
            "topic `orders` has a handler for every record, `mail`, and one for a type, `SHOUT!`; it can have the one or the other",
        ]
    );
}

#[test]
fn settings_without_a_use_are_problems() {
    let routes = Routes::new()
        .on("orders", Charge)
        .unknown("orders", Unknown::Skip)
        .type_header("orders", "event-type")
        .type_header("nowhere", "event-type")
        .unknown("nowhere", Unknown::Skip)
        .on_type("receipts", "sent", Mail)
        .type_header("receipts", "")
        .type_header("receipts", "event-type")
        .unknown("receipts", Unknown::Skip)
        .unknown("receipts", Unknown::Skip)
        .unknown("orders", Unknown::DeadLetter);
    assert_eq!(
        texts(&routes),
        [
            "`Routes::type_header` of topic `nowhere` has no effect: the topic has no handlers told apart by type (`Routes::on_type`)",
            "`Routes::unknown` of topic `nowhere` has no effect: the topic has no handler",
            "`Routes::type_header` of topic `orders` has no effect: the topic has no handlers told apart by type (`Routes::on_type`)",
            "`Routes::unknown` of topic `orders` is called twice with different answers",
            "topic `receipts`: the header of the type is empty",
            "`Routes::type_header` of topic `receipts` is called twice with different answers",
        ]
    );
}
