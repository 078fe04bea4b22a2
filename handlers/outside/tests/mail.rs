use oncewise::config::Secret;

use super::*;
use crate::{
    outside::{EmailSettings, Mail, MailError, MailServer as Place, MailTls, Mailer},
    testing::{
        mail_server::{Answer, MailServer},
        until,
    },
};

const MAIL: Mail<'_> = Mail {
    idempotency_key: "notifications.send_confirmation:o.1:email",
    to: "ann@example.com",
    subject: "Your order",
    text: "Thank you.",
};

fn mailer(server: impl Display, change: impl FnOnce(&mut EmailSettings)) -> Mailer {
    let server = server.to_string();
    let (host, port) = server.rsplit_once(':').unwrap();
    let server =
        Place { host: host.to_owned(), port: port.parse().unwrap(), tls: MailTls::None, login: None };
    let from = "The Shop <shop@example.com>".parse().unwrap();
    let mut settings = EmailSettings { server, from, timeout: PATIENCE, reply_timeout: PATIENCE };
    change(&mut settings);
    Mailer::new(settings).unwrap()
}

fn plain(server: &MailServer) -> Mailer {
    mailer(server.address, |_| ())
}

/// What becomes of a mail that the server answers so.
async fn answered(answer: Answer) -> (char, String) {
    let server = MailServer::that(move |_, _| answer).await;
    let mailer = mailer(server.address, |settings| {
        if answer == Answer::Silence {
            settings.reply_timeout = IMPATIENCE;
        }
    });
    let (kind, after, text) = judged(mailer.send(&MAIL).await.unwrap_err());
    assert_eq!(after, None);
    assert!(!text.contains("example.com"), "{text}");
    (kind, text)
}

#[tokio::test]
async fn a_mail_says_who_what_to_whom_and_always_under_the_same_id() {
    let server = MailServer::start().await;
    let mailer = plain(&server);
    mailer.send(&MAIL).await.unwrap();
    mailer.send(&Mail { text: "grüße", subject: "a\r\nBcc: eve@example.com", ..MAIL }).await.unwrap();
    let [first, second] = &server.mails()[..] else { panic!() };
    assert_eq!(first.to, "ann@example.com");
    assert_eq!(first.header("To"), "ann@example.com");
    assert_eq!(first.header("From"), "\"The Shop\" <shop@example.com>");
    assert_eq!(first.header("Subject"), "Your order");
    assert_eq!(first.header("Content-Type"), "text/plain; charset=utf-8");
    assert!(first.header("Date").ends_with(" +0000"), "{first:?}");
    assert!(first.text.ends_with("\r\n\r\nThank you.\r\n.\r\n"), "{first:?}");
    let id = "<notifications%2Esend_confirmation%3Ao%2E1%3Aemail@example.com>";
    assert_eq!([first.header("Message-ID"), second.header("Message-ID")], [id, id]);
    assert_eq!(second.header("Bcc"), "", "a subject cannot forge a header: {second:?}");
    assert!(second.text.ends_with("\r\n\r\nZ3LDvMOfZQ==\r\n.\r\n"), "`grüße` in base64: {second:?}");
}

#[tokio::test]
async fn a_long_key_becomes_an_id_of_a_length_that_mail_servers_take() {
    let server = MailServer::start().await;
    let mailer = plain(&server);
    let long = |end: &str| "ключ\r\n".repeat(400) + end;
    for end in ["1", "1", "2"] {
        mailer.send(&Mail { idempotency_key: &long(end), ..MAIL }).await.unwrap();
    }
    let mails = server.mails();
    let ids: Vec<_> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    let longest = mails.iter().flat_map(|mail| mail.text.lines()).map(str::len).max();
    assert!(longest < Some(998), "{longest:?}");
}

#[tokio::test]
async fn until_the_server_asks_for_the_message_it_has_to_be_quick() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = mailer(silent.local_addr().unwrap(), |settings| settings.timeout = IMPATIENCE);
    let (kind, _, text) = judged(mailer.send(&MAIL).await.unwrap_err());
    assert_eq!((kind, &*text), ('R', "the mail server did not answer in time"));
}

#[tokio::test]
async fn a_connection_is_kept_while_all_goes_well() {
    let server = MailServer::that(|_, asked| match asked {
        2 => Answer::ToMessage("451 later"),
        4 => Answer::HangUp,
        _ => Answer::Take,
    })
    .await;
    let mailer = plain(&server);
    for _ in 0..6 {
        drop(mailer.send(&MAIL).await);
    }
    let connections: Vec<_> = server.mails().iter().map(|mail| mail.connection).collect();
    assert_eq!(connections, [1, 1, 2, 3], "a new one after each trouble");
}

#[tokio::test]
async fn an_answer_is_judged_by_its_number_and_never_quoted() {
    let cases = [
        (Answer::ToRecipient("450 4.2.1 ann@example.com is busy"), 'R', "the mail server answered 450"),
        (Answer::ToMessage("451 4.7.1 not now, ann@example.com"), 'R', "the mail server answered 451"),
        (Answer::ToRecipient("421 bye"), 'R', "the mail server answered 421"),
        (Answer::ToRecipient("550 5.1.1 ann@example.com? never heard"), 'X', "the mail server answered 550"),
        (Answer::ToMessage("554 5.7.1 spam for ann@example.com"), 'X', "the mail server answered 554"),
        (
            Answer::ToRecipient("530 5.7.0 log in, ann@example.com"),
            'R',
            "the mail server cannot be used: it answered 530",
        ),
        (
            Answer::ToRecipient("hello"),
            'R',
            "the conversation with the mail server broke off: its answer cannot be read",
        ),
        (
            Answer::HangUp,
            'R',
            "the mail server was given the message and did not acknowledge it: its answer cannot be read",
        ),
        (
            Answer::Silence,
            'R',
            "the mail server was given the message and did not acknowledge it: no answer in time",
        ),
    ];
    for (answer, kind, text) in cases {
        assert_eq!(answered(answer).await, (kind, text.to_owned()), "{answer:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anybody_is_asked() {
    let server = MailServer::start().await;
    for to in ["", "ann", "ann@", "Ann <ann@example.com>", "ann@example.com\r\nRCPT TO:<eve@example.com>"] {
        let refused = plain(&server).send(&Mail { to, ..MAIL }).await.unwrap_err();
        assert_eq!(judged(refused), ('X', None, "the recipient's address is none".to_owned()), "{to:?}");
    }
    assert!(server.mails().is_empty());
    let beyond_ascii = plain(&server).send(&Mail { to: "änn@example.com", ..MAIL }).await.unwrap_err();
    assert!(matches!(beyond_ascii, MailError::Message(_)), "{beyond_ascii:?}: this server cannot");
    assert_eq!(judged(beyond_ascii).0, 'X');
}

#[tokio::test]
async fn a_server_that_is_away_silent_or_without_starttls_is_tried_again_later() {
    let absent = mailer(nowhere().await, |_| ()).send(&MAIL).await.unwrap_err();
    let server = MailServer::with(|_, _| Answer::Take, |_| (), &["AUTH PLAIN"]).await;
    let in_clear = mailer(server.address, |settings| settings.server.tls = MailTls::StartTls);
    let in_clear = in_clear.send(&MAIL).await.unwrap_err();
    let login = (Secret::new("shop@example.com"), Secret::new("hunter2"));
    let no_login = mailer(server.address, |settings| settings.server.login = Some(login));
    let no_login = no_login.send(&MAIL).await.unwrap_err();
    assert!(server.mails().is_empty());
    for (error, text) in [
        (absent, "Connection refused"),
        (in_clear, "STARTTLS is not supported"),
        (no_login, "it answered 535"),
    ] {
        let (kind, _, found) = judged(error);
        assert!(kind == 'R' && found.starts_with("the mail server cannot be used: "), "{found}");
        assert!(found.contains(text) && !found.contains("hunter2") && !found.contains("shop@"), "{found}");
    }
}

/// The answer that nobody waited for must not be taken for that of the next mail.
#[tokio::test]
async fn a_mail_that_was_cut_off_leaves_no_answer_behind() {
    let server = MailServer::that(|_, asked| if asked == 1 { Answer::Silence } else { Answer::Take }).await;
    let mailer = mailer(server.address, |settings| settings.timeout = PATIENCE);
    mailer.send(&MAIL).await.unwrap();
    tokio::select! {
        sent = mailer.send(&MAIL) => panic!("{sent:?}"),
        () = until("two mails to arrive", async || server.mails().len() == 2) => (),
    }
    mailer.send(&MAIL).await.unwrap();
    let connections: Vec<_> = server.mails().iter().map(|mail| mail.connection).collect();
    assert_eq!(connections, [1, 1, 2]);
}

#[tokio::test]
async fn many_mails_share_few_connections() {
    let server = MailServer::start().await;
    let mailer = std::sync::Arc::new(plain(&server));
    let sending: Vec<_> = (0..100)
        .map(|_| {
            let mailer = std::sync::Arc::clone(&mailer);
            tokio::spawn(async move { mailer.send(&MAIL).await.unwrap() })
        })
        .collect();
    for sent in sending {
        sent.await.unwrap();
    }
    let mails = server.mails();
    assert_eq!(mails.len(), 100);
    assert!(
        mails.iter().all(|mail| mail.connection <= 10),
        "{:?}",
        mails.iter().map(|mail| mail.connection).max()
    );
}
