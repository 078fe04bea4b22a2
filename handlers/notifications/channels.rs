//! The ways to a customer.

use oncewise::{Context, Failure};
use serde::Serialize;
use thiserror::Error;

use super::confirmation::{Channel, Confirmation};
use crate::{
    config::ShopConfig,
    outside::{GatewayError, HttpGateway, Mail, MailError, Mailer, SetupError},
};

/// A mail server and an SMS gateway; what is not configured goes to the log.
#[derive(Debug, Default)]
pub struct Channels {
    email: Option<Mailer>,
    sms: Option<HttpGateway>,
}

/// What the SMS gateway is asked for.
#[derive(Debug, Serialize)]
struct Sms<'a> {
    to: &'a str,
    text: String,
}

impl Channels {
    /// The channels of this configuration. Connects to nothing yet.
    ///
    /// # Errors
    /// One of them is to be reached over TLS, and this machine has no certificates to trust.
    pub fn new(config: &ShopConfig) -> Result<Self, SetupError> {
        let email = config.email.clone().map(Mailer::new).transpose();
        let sms = config.sms.as_ref().map(HttpGateway::new).transpose();
        Ok(Self {
            email: email.map_err(SetupError::of("shop.email"))?,
            sms: sms.map_err(SetupError::of("shop.sms"))?,
        })
    }

    /// Sends the message. It is acknowledged when this returns.
    pub(super) async fn send(&self, message: &Confirmation<'_>, ctx: &Context) -> Result<(), SendError> {
        let (key, to, text) = (message.key(ctx.idempotency_key()), message.recipient, message.to_string());
        match (message.channel, &self.email, &self.sms) {
            (Channel::Email, Some(mailer), _) => {
                let mail = Mail { idempotency_key: &key, to, subject: &message.subject(), text: &text };
                mailer.send(&mail).await?;
            }
            (Channel::Sms, _, Some(gateway)) => gateway.post(ctx, &key, &Sms { to, text }).await?,
            // Without the address, which belongs to nobody who reads logs.
            (channel, ..) => {
                tracing::info!(order_id = message.order.order_id, channel = channel.as_str(), "{text}");
            }
        }
        Ok(())
    }
}

/// A message that was not acknowledged.
#[derive(Debug, Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Email(#[from] MailError),
    #[error(transparent)]
    Sms(#[from] GatewayError),
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Email(error) => error.into(),
            SendError::Sms(error) => error.into(),
        }
    }
}
