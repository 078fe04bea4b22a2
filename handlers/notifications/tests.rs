use std::{pin::pin, time::Duration};

use oncewise::{
    prelude::*,
    testing::{Disposition, Harness, How, TestRecord, context},
};
use tokio::time::timeout;

use super::*;
use crate::{
    config::ShopConfig,
    outside::{EmailSettings, GatewaySettings, MailServer as Place, MailTls},
    testing::{
        Home, database,
        gateway::{Gateway, Reply, Request},
        is_reject, is_retry,
        mail_server::{Answer, MailServer},
        order, text_of, until,
    },
};

/// The handler, and what its messages arrive at.
struct Shop {
    handler: SendConfirmation,
    mail: MailServer,
    sms: Gateway,
    _home: Home,
}

impl Shop {
    async fn with(
        mail: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
        sms: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Shop {
        let (mail, sms) = (MailServer::that(mail).await, Gateway::that(sms).await);
        let timeout = Duration::from_secs(10);
        let (host, port) = (mail.address.ip().to_string(), mail.address.port());
        let config = ShopConfig {
            email: Some(EmailSettings {
                server: Place { host, port, tls: MailTls::None, login: None },
                from: "shop@example.com".parse().unwrap(),
                timeout,
                reply_timeout: timeout,
            }),
            sms: Some(GatewaySettings {
                url: oncewise::config::Secret::new(sms.url()),
                token: None,
                timeout,
            }),
            ..ShopConfig::default()
        };
        let (database, _home) = database().await;
        let channels = Channels::new(&config).unwrap();
        Shop { handler: SendConfirmation { postbox: Postbox { database, channels } }, mail, sms, _home }
    }

    async fn handle(&self, event_id: &str) -> Outcome {
        self.handler.handle(&order(event_id), &context(event_id)).await
    }

    async fn was_applied(&self, event_id: &str) -> bool {
        self.handler.was_applied(&order(event_id), &context(event_id)).await.unwrap()
    }

    /// E-mails and SMS that arrived, and marks.
    async fn counts(&self) -> (usize, usize, i64) {
        let marks = self.handler.postbox.database.number("SELECT count(*) FROM notifications").await;
        (self.mail.mails().len(), self.sms.effects().len(), marks)
    }
}

#[tokio::test]
async fn an_order_that_comes_twice_is_confirmed_once_by_each_channel() {
    let shop = Shop::with(|_, _| Answer::Take, |_| Reply::Do).await;
    assert!(!shop.was_applied("e1").await);
    for _ in 0..2 {
        assert_eq!(shop.handle("e1").await.unwrap(), Handled::Done);
    }
    assert!(shop.was_applied("e1").await);
    assert_eq!(shop.counts().await, (1, 1, 2));
    let text = "We have received your order o-e1: 2 items, 19.99 EUR";
    let [mail] = &shop.mail.mails()[..] else { panic!() };
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("ann@example.com", "Your order o-e1"));
    assert!(mail.text.ends_with(&format!("\r\n\r\n{text}\r\n.\r\n")), "{mail:?}");
    assert_eq!(mail.header("Message-ID"), "<e1%3Aemail@example.com>");
    let [sms] = &shop.sms.requests()[..] else { panic!() };
    assert_eq!(
        (sms.key.as_str(), &sms.body),
        ("e1:sms", &serde_json::json!({ "to": "+4912345", "text": text }))
    );
}

#[tokio::test]
async fn an_order_of_another_event_is_the_same_order() {
    let handler = Shop::with(|_, _| Answer::Take, |_| Reply::Do).await.handler;
    let key = |order_id: &str| {
        let order = OrderCreated { order_id: order_id.into(), ..order("e1") };
        handler.dedupe_key(&order, context("e1").meta()).to_string()
    };
    assert_eq!(key("o-7"), "notification:orders:o-7");
    assert_eq!(key(""), "", "is dead-lettered: `notification:orders:` would be one order for all");
    assert_eq!(handler.ttl(), Some(Duration::from_secs(86_400)));
    assert!(handler.ttl() > Some(handler.retry_policy().budget));
}

#[tokio::test]
async fn a_failing_sms_does_not_send_the_mail_again() {
    let shop = Shop::with(
        |_, _| Answer::Take,
        |request| match request.attempt {
            1 => Reply::Status(500),
            2 => Reply::DoBut(503),
            _ => Reply::Do,
        },
    )
    .await;
    for _ in 0..2 {
        assert!(is_retry(&shop.handle("e1").await));
        assert!(!shop.was_applied("e1").await);
    }
    shop.handle("e1").await.unwrap();
    assert_eq!(shop.counts().await, (1, 1, 2));
    assert_eq!(shop.sms.requests().len(), 3);
}

#[tokio::test]
async fn a_failing_mail_does_not_hold_the_sms_back_nor_send_it_again() {
    let shop = Shop::with(
        |_, asked| if asked == 0 { Answer::ToMessage("451 later") } else { Answer::Take },
        |_| Reply::Do,
    )
    .await;
    assert!(is_retry(&shop.handle("e1").await));
    assert_eq!(shop.counts().await, (0, 1, 1));
    shop.handle("e1").await.unwrap();
    assert_eq!((shop.counts().await, shop.sms.requests().len()), ((1, 1, 2), 1));
}

#[tokio::test]
async fn what_can_succeed_is_tried_before_what_cannot_is_given_up() {
    let shop = Shop::with(
        |_, _| Answer::ToRecipient("550 no such user"),
        |request| if request.attempt == 1 { Reply::Status(503) } else { Reply::Do },
    )
    .await;
    let first = shop.handle("e1").await;
    assert!(is_retry(&first), "{first:?}: the SMS may still be sent");
    let second = shop.handle("e1").await;
    assert!(is_reject(&second));
    assert_eq!(text_of(&second.unwrap_err()), "the mail server answered 550");
    assert_eq!(shop.counts().await, (0, 1, 1));
    assert!(!shop.was_applied("e1").await);
}

/// The one effect that may double: the server has it, and the mark was never written.
#[tokio::test]
async fn a_mail_whose_acknowledgement_got_lost_comes_again_under_the_same_id() {
    let shop =
        Shop::with(|_, asked| if asked == 0 { Answer::Silence } else { Answer::Take }, |_| Reply::Do).await;
    let (order, ctx) = (order("e1"), context("e1"));
    tokio::select! {
        outcome = shop.handler.handle(&order, &ctx) => panic!("{outcome:?}"),
        () = until("a mail to arrive", async || !shop.mail.mails().is_empty()) => (),
    }
    shop.handle("e1").await.unwrap();
    let ids: Vec<_> = shop.mail.mails().iter().map(|mail| mail.header("Message-ID").to_owned()).collect();
    assert_eq!(ids, ["<e1%3Aemail@example.com>"; 2]);
    assert_eq!(shop.counts().await, (2, 1, 2));
}

#[tokio::test]
async fn a_mail_that_was_sent_is_marked_as_soon_as_the_database_lets_it() {
    let shop = Shop::with(|_, _| Answer::Late(2 * SHORT), |_| Reply::Do).await;
    let (order, ctx, database) = (order("e1"), context("e1"), shop.handler.postbox.database.clone());
    let mut handled = pin!(shop.handler.handle(&order, &ctx));
    let arrives = async {
        until("a mail to arrive", async || !shop.mail.mails().is_empty()).await;
        database.execute("ALTER TABLE notifications RENAME TO away").await.unwrap();
    };
    tokio::select! {
        outcome = &mut handled => panic!("{outcome:?}"),
        () = arrives => (),
    }
    let nothing = timeout(4 * SHORT, &mut handled).await;
    assert!(nothing.is_err(), "{nothing:?}: nobody may send it again");
    database.execute("ALTER TABLE away RENAME TO notifications").await.unwrap();
    handled.await.unwrap();
    assert_eq!(shop.counts().await, (1, 1, 2));
}

#[tokio::test]
async fn who_has_lost_the_event_begins_nothing() {
    let shop = Shop::with(|_, _| Answer::Take, |_| Reply::Do).await;
    let ctx = context("e1");
    ctx.cancelled().cancel();
    assert!(is_retry(&shop.handler.handle(&order("e1"), &ctx).await));
    assert_eq!(shop.counts().await, (0, 0, 0));
}

#[tokio::test]
async fn without_a_number_there_is_no_sms() {
    let shop = Shop::with(|_, _| Answer::Take, |_| Reply::Do).await;
    let order = OrderCreated { phone: None, ..order("e1") };
    shop.handler.handle(&order, &context("e1")).await.unwrap();
    assert!(shop.handler.was_applied(&order, &context("e1")).await.unwrap());
    assert_eq!((shop.counts().await, shop.sms.requests().len()), ((1, 0, 1), 0));
}

#[tokio::test]
async fn an_order_that_cannot_be_is_not_confirmed() {
    let shop = Shop::with(|_, _| Answer::Take, |_| Reply::Do).await;
    let order = OrderCreated { items: Vec::new(), ..order("e1") };
    assert!(is_reject(&shop.handler.handle(&order, &context("e1")).await));
    assert_eq!(shop.counts().await, (0, 0, 0));
}

#[tokio::test]
async fn what_is_not_configured_goes_to_the_log_and_is_marked_all_the_same() {
    let (database, _home) = database().await;
    let channels = Channels::default();
    let handler = SendConfirmation { postbox: Postbox { database: database.clone(), channels } };
    handler.handle(&order("e1"), &context("e1")).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM notifications").await, 2);
}

/// What becomes of one order with a mail server that answers so, where the reply has this long: its harness, and how many
/// mails there are.
async fn confirmed(answer: Answer, reply_timeout: Duration) -> (Harness, usize) {
    let mail = MailServer::that(move |_, _| answer).await;
    let (database, _home) = database().await;
    let (host, port) = (mail.address.ip().to_string(), mail.address.port());
    let email = EmailSettings {
        server: Place { host, port, tls: MailTls::None, login: None },
        from: "shop@example.com".parse().unwrap(),
        timeout: SHORT,
        reply_timeout,
    };
    let config = ShopConfig { email: Some(email), ..ShopConfig::default() };
    let start = move || service(database.clone(), Channels::new(&config).unwrap());
    let mut harness = Harness::restarting(start);
    harness.deliver(TestRecord::json(&order("e1"))).await;
    (harness, mail.mails().len())
}

const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_mail_server_that_thinks_a_while_is_waited_for() {
    let (harness, mails) = confirmed(Answer::Late(2 * SHORT), Duration::from_secs(60)).await;
    assert_eq!((harness.outcomes(), mails), (vec![How::Done], 1));
}

#[tokio::test]
async fn a_mail_server_that_never_acknowledges_is_given_three_mails() {
    for answer in [Answer::Silence, Answer::TakeAndHangUp] {
        let (harness, mails) = confirmed(answer, Duration::from_millis(100)).await;
        assert_eq!((harness.outcomes(), mails), (vec![How::DeadLettered], 3), "{answer:?}");
        let letters = harness.letters();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!(letter.disposition, Disposition::Rejected);
        assert!(
            letter.error.contains("sent 3 times, and it is not known whether it has arrived"),
            "{letter:?}"
        );
    }
}
