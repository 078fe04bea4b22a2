use std::time::SystemTime;

use oncewise::{config::Secret, testing::context};
use serde_json::json;

use super::*;
use crate::{
    outside::{GatewayError, GatewaySettings, HttpGateway},
    testing::gateway::{Gateway, Reply, Request},
};

fn client(url: impl Into<String>, timeout: Duration) -> HttpGateway {
    let token = Some(Secret::new("t0ken"));
    HttpGateway::new(&GatewaySettings { url: Secret::new(url), token, timeout }).unwrap()
}

async fn post(client: &HttpGateway, key: &str) -> Result<(), GatewayError> {
    client.post(&context(key), key, &json!({ "to": "+4912345" })).await
}

/// What becomes of an answer.
async fn answered(reply: Reply) -> (char, Option<u64>, String) {
    let gateway = Gateway::that(move |_| reply.clone()).await;
    judged(post(&client(gateway.url(), PATIENCE), "k").await.unwrap_err())
}

#[tokio::test]
async fn a_request_carries_the_key_the_trace_and_the_token() {
    let gateway = Gateway::that(|_| Reply::Do).await;
    let (client, ctx) = (client(gateway.url(), PATIENCE), context("a:é%\n1"));
    client.post(&ctx, ctx.idempotency_key(), &json!({ "to": "+4912345" })).await.unwrap();
    let [Request { key, traceparent, authorization, body, .. }] = &gateway.requests()[..] else { panic!() };
    assert_eq!(key, "a:%C3%A9%25%0A1", "readable, and in every header's alphabet");
    assert_eq!(traceparent, &ctx.traceparent());
    assert_eq!(authorization, "Bearer t0ken");
    assert_eq!(body, &json!({ "to": "+4912345" }));
}

#[tokio::test]
async fn a_connection_is_used_again_whatever_was_answered() {
    let gateway =
        Gateway::that(|request| if request.attempt == 1 { Reply::Status(503) } else { Reply::Do }).await;
    let client = client(gateway.url(), PATIENCE);
    for key in ["a", "a", "b", "b"] {
        drop(post(&client, key).await);
    }
    let peers: std::collections::BTreeSet<_> =
        gateway.requests().iter().map(|request| request.peer).collect();
    assert_eq!((peers.len(), gateway.requests().len(), gateway.effects().len()), (1, 4, 2));
}

#[tokio::test]
async fn an_answer_is_judged_by_its_status_and_never_quoted() {
    let judgement = async |statuses: &[u16]| {
        let mut judgement = String::new();
        for status in statuses {
            let (kind, after, text) = answered(Reply::Status(*status)).await;
            assert!(
                text.starts_with(&format!("the gateway answered {status}")) && !text.contains("+49"),
                "{text}"
            );
            assert_eq!(after, None);
            judgement.push(kind);
        }
        judgement
    };
    assert_eq!(judgement(&[408, 409, 425, 429, 500, 502, 503, 504]).await, "RRRRRRRR");
    assert_eq!(
        judgement(&[301, 307, 401, 403, 404, 405, 407]).await,
        "RRRRRRR",
        "wrongly configured: not the event's fault"
    );
    assert_eq!(judgement(&[400, 402, 410, 413, 422]).await, "XXXXX");
}

#[tokio::test]
async fn a_gateway_that_asks_for_patience_is_given_it() {
    let later = |patience: &str| answered(Reply::RetryAfter(429, patience.to_owned()));
    assert_eq!(later("7").await.1, Some(7));
    assert_eq!(later("999999").await.1, Some(300), "within reason");
    assert_eq!(later("whenever").await.1, None);
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    assert!(matches!(later(&date).await, ('R', Some(55..=60), _)));
    assert_eq!(answered(Reply::RetryAfter(400, "7".into())).await.0, 'X', "no patience mends a bad request");
}

#[tokio::test]
async fn silence_and_absence_are_tried_again_and_the_url_stays_secret() {
    let gateway = Gateway::that(|_| Reply::Silence).await;
    let silent = judged(post(&client(gateway.url(), IMPATIENCE), "k").await.unwrap_err());
    let absent = format!("http://me:hunter2@{}/v1", nowhere().await);
    let absent = judged(post(&client(absent, PATIENCE), "k").await.unwrap_err());
    for (kind, after, text) in [silent, absent] {
        assert_eq!((kind, after), ('R', None));
        assert!(text.starts_with("the gateway did not answer: "), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("/v1"), "{text}");
    }
}

#[tokio::test]
async fn what_was_done_and_not_answered_is_not_done_again() {
    let gateway =
        Gateway::that(|request| if request.attempt == 1 { Reply::DoBut(500) } else { Reply::Do }).await;
    let client = client(gateway.url(), PATIENCE);
    assert_eq!(judged(post(&client, "k").await.unwrap_err()).0, 'R');
    post(&client, "k").await.unwrap();
    assert_eq!((gateway.requests().len(), gateway.effects().len()), (2, 1));
}
