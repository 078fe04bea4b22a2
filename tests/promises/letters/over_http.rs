//! Letters over HTTP: counted, listed, sent again and put aside, as described and with a record of who did it.

use serde_json::{Value, json};

use super::{PATIENCE, Shop, keys, letter};
use crate::{
    TEST_WORKER,
    support::{
        free_ports,
        http::{ask, get},
        schema::problems,
        wait::until,
    },
};

const TOKEN: &str = "0123456789abcdef-of-a-test";

struct Api {
    port: u16,
    description: Value,
}

impl Api {
    /// The status and the answer, which is as described.
    async fn ask(&self, shop: &Shop, method: &str, path: &str, body: Value) -> (u16, Value) {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let full = format!("/api/v1/dead-letters/{}{path}", shop.pods.group);
        let answer = ask(self.port, method, &full, &headers, &body.to_string()).await.unwrap();
        let operation =
            &self.description["paths"][format!("/dead-letters/{{service}}{path}")][method.to_lowercase()];
        if answer.status == 200 {
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let wrong = problems(&self.description, schema, &answer.json());
            assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
        }
        (answer.status, answer.json())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_counted_listed_sent_and_put_aside_over_http() {
    let letters = (0..6).map(|number| {
        let error = if number < 4 { format!("order {number} timed out") } else { "no wallet".to_owned() };
        letter(0, number, &format!("e{number}"), &error)
    });
    let shop = Shop::with_letters(1, letters).await;
    let port = free_ports(1);
    let pods =
        shop.pods.clone().with("ADMIN__LISTEN", &format!("127.0.0.1:{port}")).with("ADMIN__TOKEN", TOKEN);
    let pod = pods.start(TEST_WORKER);
    until("the admin API", PATIENCE, async || get(port, "/").await.map_err(|_| pod.output())).await;
    let bearer = format!("Bearer {TOKEN}");
    let described = ask(port, "GET", "/api/v1/openapi.json", &[("authorization", bearer.as_str())], "").await;
    let api = Api { port, description: described.unwrap().json() };

    let (status, counted) = api.ask(&shop, "GET", "", json!(null)).await;
    assert_eq!((status, &counted["topics"][0]["open"]), (200, &json!(6)), "{counted}");
    let (_, groups) = api.ask(&shop, "GET", "/groups", json!(null)).await;
    let group = &groups["groups"][0];
    assert_eq!((&group["error"], &group["count"]), (&json!("order # timed out"), &json!(4)), "{groups}");
    let filter = json!([format!("group={}", group["id"].as_str().unwrap())]);
    let (_, listed) = api.ask(&shop, "POST", "/list", json!({ "filter": filter, "max": 2 })).await;
    assert_eq!((&listed["letters"][1]["place"], &listed["more"]), (&json!("0:1"), &json!(true)), "{listed}");
    assert!(listed["letters"][0].get("value").is_none(), "hidden unless it is asked for: {listed}");
    let (_, shown) = api.ask(&shop, "POST", "/list", json!({ "one": ["0:5"], "payload": true })).await;
    assert_eq!(shown["letters"][0]["value"], r#"{"id":"e5"}"#, "{shown}");

    let order = json!({ "filter": filter, "dry_run": true });
    let (_, would) = api.ask(&shop, "POST", "/redrive", order).await;
    assert_eq!((&would["topics"][0]["redriven"], &would["act"]), (&json!(4), &json!(null)), "{would}");
    assert_eq!((shop.status().await, shop.audited().await.len()), ([6, 0, 0, 0], 0), "nothing was done");
    let (_, done) =
        api.ask(&shop, "POST", "/redrive", json!({ "filter": filter, "max": 3, "rate": 100 })).await;
    assert_eq!(done["topics"][0]["redriven"], 3, "{done}");
    let (_, done) = api.ask(&shop, "POST", "/redrive", json!({ "filter": filter })).await;
    assert_eq!((&done["topics"][0]["redriven"], &done["error"]), (&json!(1), &json!(null)), "{done}");
    let (_, done) = api.ask(&shop, "POST", "/discard", json!({ "one": ["0:4"] })).await;
    assert_eq!(done["topics"][0]["discarded"], 1, "{done}");
    assert_eq!(keys(&shop.ours("redrive").read().await), ["e0", "e1", "e2", "e3"]);
    assert_eq!(shop.status().await, [1, 4, 1, 0]);
    for (body, text) in [
        (json!({}), "say which letters"),
        (json!({ "all": true, "one": ["0:1"] }), "say which letters"),
        (json!({ "filter": ["colour=red"], "one": ["1"] }), "is no condition; allowed are"),
        (json!({ "all": true, "topics": ["refunds"] }), "--topic refunds"),
    ] {
        let (status, refused) = api.ask(&shop, "POST", "/redrive", body).await;
        assert_eq!(status, 400, "{refused}");
        assert!(refused["error"].as_str().unwrap().contains(text), "{refused}");
    }
    let audited = shop.audited().await;
    assert_eq!(audited.len(), 6, "{audited:?}");
    assert!(
        audited.iter().all(|entry| entry["who"].as_str().unwrap().starts_with("api@127.0.0.1")),
        "{audited:?}"
    );
    let expected = (0..4).map(|number| (format!("e{number}"), 1)).collect();
    until("what was sent to take effect", PATIENCE, async || match shop.pods.effects().counts() {
        counts if counts == expected => Ok(()),
        counts => Err(counts),
    })
    .await;
}
