//! E-mail over SMTP.

use std::fmt;

use lettre::{
    Address, Message,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        self,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};

use super::{EmailSettings, MailError, announce::announce, settings::MailTls};

/// Mail servers refuse clients that open many.
const CONNECTIONS: usize = 10;
/// A longer key is told by its hash: no line of a message may have more than 998 characters, and nobody reads one.
const LONGEST_ID: usize = 200;
/// What may not stand before the `@` of a `Message-ID`, and the dots that may not stand everywhere.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Something to tell one person.
#[derive(Debug)]
pub struct Mail<'a> {
    /// The same for every attempt at the same mail; becomes the `Message-ID`.
    pub idempotency_key: &'a str,
    /// Who is told.
    pub to: &'a str,
    /// The subject line.
    pub subject: &'a str,
    /// The plain text.
    pub text: &'a str,
}

/// A mail server, and the connections to it.
pub struct Mailer {
    settings: EmailSettings,
    tls: Option<TlsParameters>,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
    places: Semaphore,
}

impl Mailer {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// This machine has no certificates to trust.
    pub fn new(settings: EmailSettings) -> Result<Self, smtp::Error> {
        let encrypts = settings.server.tls != MailTls::None;
        let tls = encrypts.then(|| TlsParameters::new(settings.server.host.clone())).transpose()?;
        Ok(Self { settings, tls, idle: Mutex::default(), places: Semaphore::new(CONNECTIONS) })
    }

    /// Sends a mail; the server has taken it over when this returns.
    ///
    /// Until the server has asked for the message all must go fast. Then it has minutes: who gives up while a server
    /// makes up its mind and comes again sends a second mail (RFC 5321, 4.5.3.2.6).
    ///
    /// # Errors
    /// The server has not acknowledged it. Only with [`MailError::InDoubt`] may the mail be on its way all the same.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        let message = self.message(mail)?;
        let (envelope, message) = (message.envelope(), message.formatted());
        let EmailSettings { timeout: soon, reply_timeout, .. } = self.settings;
        let place = timeout(soon, self.places.acquire());
        let _place = place.await.map_err(|_| MailError::Unusable("all connections are in use".to_owned()))?;
        let announced = timeout(soon, async {
            let mut connection = self.connection().await?;
            announce(&mut connection, envelope, &message).await?;
            Ok(connection)
        });
        let mut connection = announced.await.unwrap_or(Err(MailError::TimedOut))?;
        let reply = timeout(reply_timeout, connection.message(&message)).await;
        let silence = |_| Err(MailError::InDoubt("no answer in time".to_owned()));
        reply.map_or_else(silence, |reply| reply.map_err(|error| MailError::handing_over(&error)))?;
        // A connection is kept only after an acknowledgement. Wherever else this ends, also because nobody waits any
        // longer, an answer may be on its way, and the next mail would take it for its own.
        self.idle.lock().await.push(connection);
        Ok(())
    }

    fn message(&self, mail: &Mail<'_>) -> Result<Message, MailError> {
        let to: Address = mail.to.parse().map_err(|_| MailError::Address)?;
        let from = &self.settings.from;
        let mut id = utf8_percent_encode(mail.idempotency_key, ESCAPED).to_string();
        if id.len() > LONGEST_ID {
            id = blake3::hash(mail.idempotency_key.as_bytes()).to_string();
        }
        Message::builder()
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.to_owned())
            .map_err(|error| MailError::Message(error.to_string()))
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
        loop {
            let Some(mut connection) = self.idle.lock().await.pop() else {
                return self.connect().await.map_err(|error| MailError::connecting(&error));
            };
            // The server may have closed it meanwhile.
            if connection.test_connected().await {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let (server, hello) = (&self.settings.server, ClientId::default());
        let (wrapped, starttls) = match server.tls {
            MailTls::Wrapped => (self.tls.clone(), None),
            MailTls::StartTls => (None, self.tls.clone()),
            MailTls::None => (None, None),
        };
        let address = (server.host.as_str(), server.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, None, &hello, wrapped, None).await?;
        if let Some(tls) = starttls {
            connection.starttls(tls, &hello).await?;
        }
        if let Some((user, password)) = &server.login {
            let login = Credentials::new(user.reveal().to_owned(), password.reveal().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &login).await?;
        }
        Ok(connection)
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("settings", &self.settings).finish_non_exhaustive()
    }
}
